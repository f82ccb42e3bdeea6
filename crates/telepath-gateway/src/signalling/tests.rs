//! The signalling task without its loop: turns at chosen times, so that no test depends on the speed of the machine.

mod dialled_numbers;
mod early_refusals;
mod floods;
mod known_callers;
mod malformed_invites;
mod within_calls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use telepath_core::clock::SystemClock;
use telepath_core::digest_hash::SIP_REALM;
use telepath_core::entropy::SystemEntropy;
use telepath_sip::digest::{ClientCredentials, Password};
use telepath_sip::message::{HostPort, SipUri, StatusCode};
use telepath_sip::{
    Endpoint, EndpointConfig, EndpointCounts, EndpointSeed, Event, Flow, NextHop, OutgoingCall,
};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Signalling, SignallingSeeds, Wakeup};
use crate::advertised::LocalAddresses;
use crate::command::Command;
use crate::options::GatewayOptions;
use crate::rtp_ports::PortPool;
use crate::shared::Shared;
use crate::strangers::StrangerTable;
use crate::tests::fixture::{PASSWORD, ScriptedAgent, TestControl, USER, egress_to, loopback, within};
use crate::transport::{Received, Transports};

const AGENT: &str = "ws://127.0.0.1:9/";

fn carrier() -> SocketAddr {
    "192.0.2.10:5070".parse().unwrap()
}

/// A signalling task that is not running; the test takes its turns.
fn signalling(adjust: impl FnOnce(&mut GatewayOptions)) -> (Signalling, Arc<TestControl>) {
    signalling_to(AGENT, adjust)
}

fn signalling_to(agent: &str, adjust: impl FnOnce(&mut GatewayOptions)) -> (Signalling, Arc<TestControl>) {
    let mut options = GatewayOptions::new(loopback(0));
    adjust(&mut options);
    let transports = Transports::open(&options.transports()).unwrap();
    let address = transports.listeners()[0].1;
    let (commands, receiver) = mpsc::channel(64);
    let control = Arc::new(TestControl::new(agent));
    let shared = Arc::new(Shared {
        ports: PortPool::new(address.ip(), options.rtp_ports.clone(), options.rtp_port_drain).unwrap(),
        options,
        addresses: LocalAddresses::One(address.ip()),
        control: control.clone(),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy::default()),
        live: Arc::default(),
        transfer_limits: Arc::default(),
        strangers: StrangerTable::default(),
        commands,
        tasks: TaskTracker::new(),
        unrecorded: Semaphore::new(1),
        give_up: CancellationToken::new(),
    });
    let seeds = SignallingSeeds { endpoint: [1; 32], nonce_issuer: 2, nonce_secret: [3; 32] };
    (Signalling::new(shared, transports, address.into(), &seeds, receiver), control)
}

fn invite(call_id: &str, extra: &str) -> String {
    format!(
        "INVITE sip:{USER}@192.0.2.20 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10:5070;branch=z9hG4bK{call_id}\r\n\
         From: <sip:probe@caller.test>;tag=pt\r\nTo: <sip:{USER}@callee.test>\r\nCall-ID: {call_id}\r\n\
         CSeq: 1 INVITE\r\nMax-Forwards: 70\r\nContact: <sip:probe@192.0.2.10:5070>\r\n{extra}\
         Content-Length: 0\r\n\r\n"
    )
}

#[tokio::test]
async fn sip_timers_fire_in_a_turn_that_reads_datagrams() {
    let (mut signalling, _) = signalling(|_| {});
    let now = Instant::now();
    signalling.endpoint.handle_message(
        signalling.transports.datagram_flow(0, carrier()).unwrap(),
        invite("timers", "").as_bytes(),
        now,
    );
    let Some(Event::Incoming(incoming)) = signalling.endpoint.poll_event() else { panic!("no INVITE") };
    signalling.endpoint.reject(incoming.call, StatusCode::BUSY_HERE, None, now).unwrap();
    while signalling.endpoint.poll_transmit().is_some() {}
    // Timer G is due after 500 ms (RFC 3261 section 17.2.1), and the socket always has a datagram.
    let mut keep_alive = *b"\r\n\r\n";
    let wakeup = Wakeup::Received(Received::Datagram(0, Ok((keep_alive.len(), carrier()))));
    signalling.take_turn(wakeup, &mut keep_alive, now + Duration::from_millis(600));
    let sent = signalling.endpoint.poll_transmit().expect("486 is retransmitted during a flood");
    assert!(sent.payload.starts_with(b"SIP/2.0 486 "));
}

/// Delivers a message and returns what the task sends.
fn deliver(signalling: &mut Signalling, source: SocketAddr, message: &str) -> Vec<String> {
    deliver_at(signalling, source, message, Instant::now())
}

fn deliver_at(signalling: &mut Signalling, source: SocketAddr, message: &str, now: Instant) -> Vec<String> {
    let flow = signalling.transports.datagram_flow(0, source).unwrap();
    signalling.receive_message(flow, message.as_bytes(), now);
    sent_at(signalling, now)
}

fn sent(signalling: &mut Signalling) -> Vec<String> {
    sent_at(signalling, Instant::now())
}

fn sent_at(signalling: &mut Signalling, now: Instant) -> Vec<String> {
    while let Some(event) = signalling.endpoint.poll_event() {
        signalling.handle_event(event, now);
    }
    let sent = std::iter::from_fn(|| signalling.endpoint.poll_transmit());
    sent.map(|transmit| String::from_utf8_lossy(&transmit.payload).into_owned()).collect()
}

/// Applies the next command, for example the result of a look-up.
async fn apply_next_command(signalling: &mut Signalling) -> Vec<String> {
    let command = signalling.commands.recv().await.unwrap();
    signalling.apply(command);
    sent(signalling)
}

fn statuses(responses: &[String]) -> Vec<&str> {
    responses.iter().map(|response| response.split(' ').nth(1).unwrap()).collect()
}

/// Credentials with a wrong digest over this nonce.
fn guess(nonce: &str) -> String {
    format!(
        "Authorization: Digest username=\"{USER}\", realm=\"{SIP_REALM}\", nonce=\"{nonce}\", \
         uri=\"sip:{USER}@192.0.2.20\", response=\"{nonce}\", algorithm=MD5, qop=auth, nc=00000001, cnonce=\"c\"\r\n"
    )
}

/// The INVITE with which a client at [`carrier`] answers the challenge to its first INVITE.
fn answer_to_challenge(signalling: &mut Signalling, seed: u8, password: &str) -> String {
    answer_to_challenge_of(signalling, carrier(), USER, seed, password)
}

fn answer_to_challenge_of(
    signalling: &mut Signalling,
    client_address: SocketAddr,
    called: &str,
    seed: u8,
    password: &str,
) -> String {
    let us: SocketAddr = "192.0.2.20:5060".parse().unwrap();
    let uri = |address| SipUri::new(Some(called), HostPort::from(address)).unwrap();
    let mut client = Endpoint::new(EndpointConfig::new(client_address), EndpointSeed([seed; 32]));
    let credentials = ClientCredentials { username: USER.to_owned(), password: Password::new(password) };
    let (target, from) = (uri(us), uri(client_address));
    let call = OutgoingCall {
        target,
        next_hop: NextHop::udp(us),
        from,
        offer: None,
        credentials: Some(credentials),
    };
    client.invite(call, Instant::now()).unwrap();
    let first = client.poll_transmit().unwrap();
    let challenge = deliver(signalling, client_address, &String::from_utf8_lossy(&first.payload));
    assert_eq!(statuses(&challenge), ["401"]);
    client.handle_message(Flow::udp(client_address, us), challenge[0].as_bytes(), Instant::now());
    let messages = std::iter::from_fn(|| client.poll_transmit());
    let mut messages = messages.map(|message| String::from_utf8_lossy(&message.payload).into_owned());
    messages.find(|message| message.starts_with("INVITE ")).unwrap()
}

fn assert_nothing_is_left(signalling: &Signalling, control: &TestControl) {
    assert_eq!(signalling.endpoint.counts(), EndpointCounts::default());
    assert!(signalling.calls.is_empty() && signalling.shared.tasks.is_empty());
    assert_eq!(*control.lookups.lock().unwrap(), 0);
}

#[tokio::test]
async fn an_invite_without_a_nonce_of_ours_gets_one_401_and_leaves_nothing_behind() {
    let (mut signalling, control) = signalling(|_| {});
    let foreign = guess("invented");
    let malformed = format!("Authorization: Digest realm=\"{SIP_REALM}\", username=\"{USER}\"\r\n");
    for (extra, status, stale) in [("", "401", false), (&foreign, "401", true), (&malformed, "400", false)] {
        let first = deliver(&mut signalling, carrier(), &invite("stranger", extra));
        assert_eq!(statuses(&first), [status], "{extra}");
        assert_eq!(first[0].contains("stale=true"), stale, "{extra}");
        assert_nothing_is_left(&signalling, &control);
        let tag = first[0].split(";tag=").nth(2).unwrap().split('\r').next().unwrap();
        let ack = invite("stranger", "").replace("INVITE", "ACK").replacen(
            "callee.test>",
            &format!("callee.test>;tag={tag}"),
            1,
        );
        assert!(deliver(&mut signalling, carrier(), &ack).is_empty());
        signalling.endpoint.handle_timeout(Instant::now() + Duration::from_mins(5));
        assert!(sent(&mut signalling).is_empty(), "401 is sent once (RFC 3261 section 26.3.2.4)");
        assert!(signalling.endpoint.poll_trace().is_none());
    }
}

#[tokio::test]
async fn a_flood_of_invites_from_forged_addresses_leaves_nothing_behind() {
    const SEED: u64 = 20_261_129;
    println!("seed {SEED}");
    let (mut signalling, control) = signalling(|options| options.auth_failures_per_minute = 1);
    let mut state = SEED;
    for n in 0..5_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let [a, b, c, kind, ..] = state.to_be_bytes();
        let source = SocketAddr::from(([10, a, b, c], 5060));
        let extra = if kind < 128 { String::new() } else { guess(&format!("{state:064x}")) };
        assert_eq!(
            statuses(&deliver(&mut signalling, source, &invite(&format!("flood-{n}"), &extra))),
            ["401"]
        );
    }
    assert_nothing_is_left(&signalling, &control);
}

#[tokio::test]
async fn a_nonce_admits_an_invite_only_from_the_address_that_it_was_sent_to() {
    let (mut signalling, control) = signalling(|_| {});
    let valid = answer_to_challenge(&mut signalling, 1, PASSWORD);
    let elsewhere = "192.0.2.11:5070".parse().unwrap();
    assert_eq!(statuses(&deliver(&mut signalling, elsewhere, &valid)), ["401"]);
    assert_nothing_is_left(&signalling, &control);
    assert!(deliver(&mut signalling, carrier(), &valid).is_empty(), "no 100 before the look-up");
    assert!(apply_next_command(&mut signalling).await.is_empty());
    assert_eq!(statuses(&apply_next_command(&mut signalling).await), ["180"], "admitted");
}

#[tokio::test]
async fn only_failures_over_a_live_nonce_throttle_and_a_correct_digest_always_passes() {
    let (mut signalling, _) = signalling(|options| options.auth_failures_per_minute = 2);
    for n in 0..100 {
        let forged = invite(&format!("forged-{n}"), &guess("invented"));
        assert_eq!(statuses(&deliver(&mut signalling, carrier(), &forged)), ["401"]);
    }
    let mut outcomes = Vec::new();
    for (seed, password) in (1..).zip(["guess", "guess", "guess", PASSWORD]) {
        let answer = answer_to_challenge(&mut signalling, seed, password);
        assert!(deliver(&mut signalling, carrier(), &answer).is_empty(), "no 100 before the look-up");
        let responses = loop {
            let responses = apply_next_command(&mut signalling).await;
            if !responses.is_empty() {
                break responses;
            }
        };
        outcomes.push(statuses(&responses)[0].to_owned());
    }
    assert_eq!(outcomes, ["401", "401", "403", "180"]);
}

#[tokio::test]
async fn an_invite_from_a_trusted_network_is_looked_up_without_a_nonce() {
    let (mut signalling, control) = signalling(|_| {});
    control.change_trunk(|found| found.trunk.allowed_ips = "192.0.2.0/24".parse().unwrap());
    crate::trusted_networks::refresh(&signalling.shared).await.unwrap();
    assert!(apply_next_command(&mut signalling).await.is_empty());
    let outside = "198.51.100.1:5060".parse().unwrap();
    assert_eq!(statuses(&deliver(&mut signalling, outside, &invite("outside", ""))), ["401"]);
    assert_nothing_is_left(&signalling, &control);
    assert!(
        deliver(&mut signalling, carrier(), &invite("inside", "")).is_empty(),
        "no 100 before the look-up"
    );
    assert!(matches!(signalling.commands.recv().await, Some(Command::TrunkLookedUp(..))));
    assert_eq!(*control.lookups.lock().unwrap(), 1);
}

#[tokio::test]
async fn calls_admitted_during_a_lookup_count_towards_max_calls() {
    let (mut signalling, control) = signalling(|options| options.max_calls = 1);
    control.change_trunk(|found| found.trunk.allowed_ips = "192.0.2.0/24".parse().unwrap());
    crate::trusted_networks::refresh(&signalling.shared).await.unwrap();
    apply_next_command(&mut signalling).await;
    assert!(deliver(&mut signalling, carrier(), &invite("one", "")).is_empty(), "no 100 before the look-up");
    assert!(deliver(&mut signalling, carrier(), &invite("two", "")).is_empty(), "no 100 before the look-up");
    let mut lookups = Vec::new();
    while lookups.len() < 2 {
        lookups.push(signalling.commands.recv().await.unwrap());
    }
    let responses: Vec<_> = lookups
        .into_iter()
        .flat_map(|lookup| {
            signalling.apply(lookup);
            sent(&mut signalling)
        })
        .collect();
    assert_eq!(statuses(&responses), ["503"], "one is admitted and its task has not run yet");
    assert!(responses[0].contains("\r\nRetry-After: "));
}

/// Lets virtual time pass; every task runs when its time has come.
async fn pass(time: Duration) {
    let _ = tokio::time::timeout(time, std::future::pending::<()>()).await;
}

#[tokio::test(start_paused = true)]
async fn trusted_networks_are_read_after_a_change_only() {
    let (signalling, control) = signalling(|_| {});
    let reads = || *control.network_reads.borrow();
    let task = tokio::spawn(crate::trusted_networks::keep_current(signalling.shared.clone(), true));
    pass(Duration::from_hours(24)).await;
    assert_eq!(reads(), 0);
    control.announce_networks();
    pass(Duration::from_millis(1)).await;
    assert_eq!(reads(), 1);
    pass(Duration::from_hours(24)).await;
    assert_eq!(reads(), 1);
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn a_failed_read_of_trusted_networks_is_repeated_until_it_succeeds() {
    let (signalling, control) = signalling(|_| {});
    let reads = || *control.network_reads.borrow();
    let retry = signalling.shared.options.trusted_networks_retry;
    control.set_unavailable(true);
    let task = tokio::spawn(crate::trusted_networks::keep_current(signalling.shared.clone(), false));
    pass(retry * 3 + Duration::from_millis(1)).await;
    assert_eq!(reads(), 3);
    control.set_unavailable(false);
    pass(retry).await;
    assert_eq!(reads(), 4);
    pass(Duration::from_hours(24)).await;
    assert_eq!(reads(), 4);
    task.abort();
}

/// A request of the carrier with a body, within the dialog if `to_tag` is not empty.
fn request(method: &str, branch: &str, cseq: u32, to_tag: &str, content_type: &str, body: &str) -> String {
    format!(
        "{method} sip:{USER}@192.0.2.20 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10:5070;branch=z9hG4bK{branch}\r\n\
         From: <sip:probe@caller.test>;tag=pt\r\nTo: <sip:{USER}@callee.test>{to_tag}\r\nCall-ID: reinvite\r\n\
         CSeq: {cseq} {method}\r\nMax-Forwards: 70\r\nContact: <sip:probe@192.0.2.10:5070>\r\n\
         Content-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

const SDP: &str = "application/sdp";

fn session(direction: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\na={direction}\r\n"
    )
}

/// A signalling task whose trunk trusts the network of [`carrier`] and has this agent.
async fn trusting_to(agent: &ScriptedAgent) -> (Signalling, Arc<TestControl>) {
    let egress = egress_to(&agent.url);
    let (mut signalling, control) = signalling_to(&agent.url, |options| options.egress = egress);
    control.change_trunk(|found| found.trunk.allowed_ips = "192.0.2.0/24".parse().unwrap());
    crate::trusted_networks::refresh(&signalling.shared).await.unwrap();
    apply_next_command(&mut signalling).await;
    (signalling, control)
}

/// The To tag of a call that is answered and confirmed.
async fn answered(signalling: &mut Signalling) -> String {
    let invite = request("INVITE", "first", 1, "", SDP, &session("sendrecv"));
    assert!(deliver(signalling, carrier(), &invite).is_empty(), "no 100 before the look-up");
    let answer = loop {
        let sent = apply_next_command(signalling).await;
        if let Some(answer) = sent.into_iter().find(|sent| sent.starts_with("SIP/2.0 200")) {
            break answer;
        }
    };
    let to = answer.lines().find(|line| line.starts_with("To: ")).unwrap();
    let tag = to[to.find(";tag=").unwrap()..].to_owned();
    deliver(signalling, carrier(), &request("ACK", "ack", 1, &tag, SDP, ""));
    tag
}

//! Floods of INVITEs from many loopback addresses, while calls are live and others are set up: without credentials; and with
//! live nonces, where each source answers its own challenge with a wrong digest, and one repeats a correct one. Callers and
//! flood run in this process; the server and the echo agent are processes of their own.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use telepath_core::secret::SecretText;
use telepath_gateway::caller::{CallOutcome, CallerOptions, LoadOptions, place_call, place_load};
use telepath_sip::digest::{ClientCredentials, Password};
use telepath_sip::message::{HostPort, SipUri};
use telepath_sip::{Endpoint, EndpointConfig, EndpointSeed, Flow, NextHop, OutgoingCall};

use crate::Effort;
use crate::calls::{RATE, make_trunk, noise, start_agent};
use crate::process::resident_kib;
use crate::server::Server;
use crate::table::{Table, progress};

/// INVITEs per second.
const FLOOD_RATE: u64 = 20_000;
/// Source addresses, each with a socket of its own.
const SOURCES: u16 = 512;
/// Calls that are live during the flood.
const LIVE_CALLS: usize = 50;
/// Calls that are set up during the flood, one after the other.
const NEW_CALLS: u32 = 10;
/// The time between two bursts of the flood.
const BURST: Duration = Duration::from_millis(1);

/// The user name of the trunk.
const TRUNK: &str = "bench-01";
/// How long a source waits for its challenge.
const CHALLENGE_TIMEOUT: Duration = Duration::from_secs(5);

/// What the INVITEs of a flood carry.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flood {
    WithoutCredentials,
    LiveNonces,
}

impl Flood {
    fn name(self) -> &'static str {
        match self {
            Self::WithoutCredentials => "INVITE flood",
            Self::LiveNonces => "INVITE flood with live nonces",
        }
    }
}

pub(crate) async fn measure(table: &mut Table, effort: Effort, scratch: &Path) -> anyhow::Result<()> {
    for flood in [Flood::WithoutCredentials, Flood::LiveNonces] {
        measure_flood(flood, table, effort, scratch).await?;
    }
    Ok(())
}

async fn measure_flood(kind: Flood, table: &mut Table, effort: Effort, scratch: &Path) -> anyhow::Result<()> {
    let name = kind.name();
    progress(name);
    let seconds = match effort {
        Effort::Quick => 10,
        Effort::Full => 30,
    };
    let (agent, url) = start_agent().await?;
    let address = url.trim_start_matches("ws://").trim_end_matches('/');
    let server = Server::start_reaching(&scratch.join(name.replace(' ', "-")), address).await?;
    let (uri, credentials) = make_trunk(&server.data, &url).await?;
    let mut call = CallerOptions::new(&uri)?;
    call.credentials = Some(credentials.clone());
    call.listen = Duration::from_millis(200);
    let target = call.target.host_port().socket_addr().context("the SIP address of the server")?;

    let ramp = Duration::from_secs(1);
    let mut live = call.clone();
    live.play = noise((seconds + 4) * RATE);
    let live = tokio::spawn(place_load(LoadOptions { call: live, calls: LIVE_CALLS, duration: ramp, ramp }));
    tokio::time::sleep(ramp * 2).await;
    let sources = tokio::task::spawn_blocking(move || open_sources(kind, target, &credentials)).await??;
    let before = resident_kib(server.process()?)?;
    let flood =
        tokio::task::spawn_blocking(move || send_flood(&sources, target, Duration::from_secs(seconds)));
    let setups = set_up_calls(&call, Duration::from_secs(seconds) / (NEW_CALLS + 1)).await?;
    let sent = flood.await??;
    let grown = resident_kib(server.process()?)?.saturating_sub(before);
    let report = live.await?;
    ensure!(
        report.answered == LIVE_CALLS as u64,
        "{} of {LIVE_CALLS} live calls were answered: {:?}",
        report.answered,
        report.first_error
    );

    let late = report.late_echoes + report.packets_sent.saturating_sub(report.echoes);
    let share = |count: u64| u32::try_from(count).map(f64::from);
    let percent = share(late)? / share(report.packets_sent.max(1))? * 100.0;
    table.row_with_goal(
        format!("{name}: sent"),
        format!("{} per second", sent / seconds),
        "20,000 per second",
    );
    table.row_with_goal(
        format!("{name}: frames of {LIVE_CALLS} live calls lost or more than 20 ms late"),
        format!("{percent:.3} %"),
        "≤ 0.1 %",
    );
    let slowest = setups
        .iter()
        .flatten()
        .max()
        .map_or_else(|| "-".to_owned(), |time| format!("{} ms", time.as_millis()));
    let in_time = setups.iter().flatten().filter(|time| **time < Duration::from_secs(2)).count();
    table.row_with_goal(
        format!("{name}: new calls answered within 2 s"),
        format!("{in_time} of {NEW_CALLS}"),
        "10 of 10",
    );
    table.row(format!("{name}: slowest set-up"), slowest);
    table.row_with_goal(format!("{name}: memory grows by"), format!("{grown} KiB"), "< 65,536 KiB");
    drop(agent);
    server.stop().await
}

/// Places one call after the other; `None` for a call that was not answered.
async fn set_up_calls(call: &CallerOptions, interval: Duration) -> anyhow::Result<Vec<Option<Duration>>> {
    let mut setups = Vec::new();
    let started = Instant::now();
    for number in 1..=NEW_CALLS {
        tokio::time::sleep_until((started + interval * number).into()).await;
        let outcome = place_call(call.clone()).await;
        let answered = outcome.ok().filter(CallOutcome::answered);
        setups.push(answered.map(|outcome| outcome.answered_after));
    }
    Ok(setups)
}

/// A source address of the flood, with a socket of its own.
struct Source {
    address: SocketAddr,
    socket: UdpSocket,
    /// The Authorization header of its INVITEs, with its line end.
    credentials: String,
}

/// Opens the sources; those of a flood with live nonces fetch one each.
fn open_sources(
    kind: Flood,
    target: SocketAddr,
    credentials: &(String, SecretText),
) -> anyhow::Result<Vec<Source>> {
    let mut sources = Vec::new();
    for number in 0..SOURCES {
        let [high, low] = number.to_be_bytes();
        let address = Ipv4Addr::new(127, 10 + high, low, 1);
        let socket = UdpSocket::bind((address, 0)).with_context(|| format!("cannot bind {address}"))?;
        socket.set_read_timeout(Some(CHALLENGE_TIMEOUT))?;
        let address = socket.local_addr()?;
        let credentials = match kind {
            Flood::WithoutCredentials => String::new(),
            Flood::LiveNonces if number == 0 => correct_credentials(&socket, target, credentials)?,
            Flood::LiveNonces => wrong_credentials(&socket, target, &credentials.0)?,
        };
        socket.set_nonblocking(true)?;
        sources.push(Source { address, socket, credentials });
    }
    Ok(sources)
}

/// Sends a message and returns the response.
fn exchange(socket: &UdpSocket, target: SocketAddr, message: &[u8]) -> anyhow::Result<String> {
    socket.send_to(message, target)?;
    let mut buffer = vec![0; 65_536];
    let length = socket.recv(&mut buffer).context("no challenge arrived")?;
    Ok(String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned())
}

/// Credentials with a wrong response over a nonce that this source has received.
fn wrong_credentials(socket: &UdpSocket, target: SocketAddr, username: &str) -> anyhow::Result<String> {
    let first = invite(socket.local_addr()?, target, "first", "");
    let challenge = exchange(socket, target, first.as_bytes())?;
    let nonce = challenge.split("nonce=\"").nth(1).and_then(|rest| rest.split('"').next());
    let nonce = nonce.with_context(|| format!("no nonce in {challenge}"))?;
    let response = "0".repeat(32);
    Ok(format!(
        "Authorization: Digest username=\"{username}\", realm=\"telepath\", nonce=\"{nonce}\", uri=\"sip:{username}@{target}\", \
         response=\"{response}\", algorithm=MD5, qop=auth, nc=00000001, cnonce=\"c\"\r\n"
    ))
}

/// Credentials with the correct response over a nonce that this source has received.
fn correct_credentials(
    socket: &UdpSocket,
    target: SocketAddr,
    (username, password): &(String, SecretText),
) -> anyhow::Result<String> {
    let address = socket.local_addr()?;
    let uri = |user: &str, address| SipUri::new(Some(user), HostPort::from(address)).context("a user name");
    let mut client = Endpoint::new(EndpointConfig::new(address), EndpointSeed([7; 32]));
    let credentials =
        ClientCredentials { username: username.clone(), password: Password::new(password.expose()) };
    let call = OutgoingCall {
        target: uri(username, target)?,
        next_hop: NextHop::udp(target),
        from: uri("flood", address)?,
        offer: None,
        credentials: Some(credentials),
    };
    client.invite(call, Instant::now())?;
    let first = client.poll_transmit().context("an INVITE")?;
    let challenge = exchange(socket, target, &first.payload)?;
    client.handle_message(Flow::udp(address, target), challenge.as_bytes(), Instant::now());
    while let Some(transmit) = client.poll_transmit() {
        let text = String::from_utf8_lossy(&transmit.payload).into_owned();
        if let Some(line) = text.lines().find(|line| line.starts_with("Authorization: ")) {
            return Ok(format!("{line}\r\n"));
        }
    }
    anyhow::bail!("the client did not answer the challenge {challenge}")
}

/// Sends INVITEs at a steady rate; returns their number.
#[expect(clippy::disallowed_methods, reason = "a thread of its own sends at a steady rate")]
fn send_flood(sources: &[Source], target: SocketAddr, length: Duration) -> anyhow::Result<u64> {
    let started = Instant::now();
    let mut sent = 0_u64;
    let mut failed = 0_u64;
    while started.elapsed() < length {
        let due = u64::try_from(started.elapsed().as_micros())? * FLOOD_RATE / 1_000_000;
        while sent + failed < due {
            let number = sent + failed;
            let source = &sources[usize::try_from(number)? % sources.len()];
            let message = invite(source.address, target, &number.to_string(), &source.credentials);
            match source.socket.send_to(message.as_bytes(), target) {
                Ok(_) => sent += 1,
                // The kernel's queue is full.
                Err(_) => failed += 1,
            }
        }
        std::thread::sleep(BURST);
    }
    Ok(sent)
}

fn invite(source: SocketAddr, target: SocketAddr, id: &str, credentials: &str) -> String {
    // The credentials cover the user that they name; without them, each INVITE calls another user.
    let called = if credentials.is_empty() { id } else { TRUNK };
    format!(
        "INVITE sip:{called}@{target} SIP/2.0\r\nVia: SIP/2.0/UDP {source};branch=z9hG4bK{id}\r\nMax-Forwards: 70\r\n\
         From: <sip:flood@{source}>;tag={id}\r\nTo: <sip:{called}@{target}>\r\nCall-ID: {id}@{source}\r\n\
         CSeq: 1 INVITE\r\nContact: <sip:flood@{source}>\r\n{credentials}Content-Length: 0\r\n\r\n"
    )
}

//! Who may call, and what everybody else is told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use telepath_core::call::{CallStatus, DisconnectReason};
use telepath_core::secret::SecretText;
use telepath_core::trunk::{AgentTarget, E164, TrunkStatus};
use telepath_media::codec::Codec;
use telepath_sip::message::StatusCode;
use tokio::net::UdpSocket;
use tokio::time::Instant;

use super::world::{PASSWORD, USER, World, echo, loopback, within};
use crate::caller::{CallOutcome, CallerOptions, Line, place_call};
use crate::{Gateway, StartError};

async fn short(mut options: CallerOptions) -> CallOutcome {
    options.play.clear();
    options.listen = Duration::ZERO;
    within(place_call(options)).await.unwrap()
}

/// Passes datagrams between one caller and the gateway, and takes the SHA-256 challenge out of each 401, as an old
/// proxy might that knows only MD5. Its task ends with the test's runtime.
async fn md5_only_way_to(gateway: SocketAddr) -> SocketAddr {
    let near = Arc::new(UdpSocket::bind(loopback(0)).await.unwrap());
    let far = Arc::new(UdpSocket::bind(loopback(0)).await.unwrap());
    let address = near.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut up, mut down) = (vec![0; 65_536], vec![0; 65_536]);
        let mut caller = None;
        loop {
            tokio::select! {
                got = near.recv_from(&mut up) => {
                    let (length, from) = got.unwrap();
                    caller = Some(from);
                    far.send_to(&up[..length], gateway).await.unwrap();
                }
                got = far.recv_from(&mut down) => {
                    let text = String::from_utf8(down[..got.unwrap().0].to_vec()).unwrap();
                    let kept: String = text.split_inclusive("\r\n").filter(|line| !line.contains("SHA-256")).collect();
                    near.send_to(kept.as_bytes(), caller.unwrap()).await.unwrap();
                }
            }
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_knows_only_md5_is_let_in() {
    let echo = echo().await;
    let world = World::start(&echo.url()).await;
    let mut options = world.caller();
    options.peer = Some(md5_only_way_to(world.sip).await);
    assert_eq!(short(options).await.status, StatusCode::OK);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_looks_like_an_unknown_user() {
    let echo = echo().await;
    let world = World::start(&echo.url()).await;
    let wrong = short(world.caller_as(USER, "wrong password")).await;
    let unknown = short(world.caller_as("nobody-01", PASSWORD)).await;
    let impossible = short(world.caller_as("no", PASSWORD)).await;
    let look = |outcome: &CallOutcome| (outcome.status, outcome.refusal.clone(), outcome.rang);
    assert_eq!(look(&wrong), (StatusCode::UNAUTHORIZED, Some("Unauthorized".to_owned()), false));
    assert_eq!(look(&wrong), look(&unknown));
    assert_eq!(look(&wrong), look(&impossible));
    assert!(world.control.said().is_empty(), "nothing of it is recorded");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_one_trunk_do_not_open_another() {
    let echo = echo().await;
    let world = World::start(&echo.url()).await;
    let mut options = world.caller_as("other-01", PASSWORD);
    options.credentials = Some((USER.to_owned(), SecretText::new(PASSWORD.to_owned())));
    assert_eq!(short(options).await.status, StatusCode::UNAUTHORIZED);
    // A number in the Request-URI is no trunk's name, so the credentials decide.
    let mut options = world.caller_as("+15550100123", PASSWORD);
    options.credentials = Some((USER.to_owned(), SecretText::new(PASSWORD.to_owned())));
    assert_eq!(short(options).await.status, StatusCode::OK);
    let ends = world.control.until_ends(1).await;
    assert_eq!(ends[0].to.as_str(), "+15550100123");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_with_too_many_refused_digests_is_refused_unread() {
    let echo = echo().await;
    let world = World::start_with(&echo.url(), |options| options.auth_failures_per_minute = 2).await;
    for _ in 0..2 {
        assert_eq!(short(world.caller_as(USER, "wrong password")).await.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(short(world.caller()).await.status, StatusCode::FORBIDDEN);
    // A carrier known by its address is not locked out by what others send in its name.
    world.control.change(|found| found.trunk.allowed_ips = "127.0.0.0/8".parse().unwrap());
    assert_eq!(short(world.caller()).await.status, StatusCode::OK);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listed_address_needs_no_digest() {
    let echo = echo().await;
    let world = World::start(&echo.url()).await;
    let mut options = world.caller();
    options.credentials = None;
    assert_eq!(short(options.clone()).await.status, StatusCode::UNAUTHORIZED);
    world.control.change(|found| found.trunk.allowed_ips = "127.0.0.1".parse().unwrap());
    assert_eq!(short(options).await.status, StatusCode::OK);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trunk_that_takes_no_calls_says_which_kind_of_no() {
    let echo = echo().await;
    let world = World::start(&echo.url()).await;
    for (status, answer) in [
        (TrunkStatus::Inactive, StatusCode::FORBIDDEN),
        (TrunkStatus::Error, StatusCode::TEMPORARILY_UNAVAILABLE),
        (TrunkStatus::Active, StatusCode::OK),
    ] {
        world.control.change(|found| found.trunk.status = status);
        assert_eq!(short(world.caller()).await.status, answer, "{status:?}");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_listed_numbers_may_be_dialled() {
    let echo = echo().await;
    let world = World::start(&echo.url()).await;
    let number = E164::try_from("+15550100123".to_owned()).unwrap();
    world.control.change(|found| found.trunk.settings.inbound_numbers = vec![number]);
    let mut options = world.caller_as("+15550100123", PASSWORD);
    options.credentials = Some((USER.to_owned(), SecretText::new(PASSWORD.to_owned())));
    assert_eq!(short(options).await.status, StatusCode::OK);
    assert_eq!(short(world.caller()).await.status, StatusCode::NOT_FOUND);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trunk_takes_as_many_calls_as_it_may_and_then_is_busy() {
    let echo = echo().await;
    let world = World::start(&echo.url()).await;
    world.control.change(|found| found.trunk.settings.max_concurrent_calls = Some(1));
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut first = Line::dial(world.caller()).await.unwrap();
    assert!(within(first.until_answered(deadline)).await.unwrap().is_some());
    assert_eq!(short(world.caller()).await.status, StatusCode::BUSY_HERE);
    first.hang_up();
    assert!(within(first.until_ended(deadline)).await.unwrap());
    world.until_idle().await;
    assert_eq!(short(world.caller()).await.status, StatusCode::OK, "the place is free again");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_and_used_up_ports_are_503() {
    let echo = echo().await;
    let full = World::start_with(&echo.url(), |options| options.max_calls = 0).await;
    assert_eq!(short(full.caller()).await.status, StatusCode::SERVICE_UNAVAILABLE);
    full.stop().await;

    let one_port = World::start_with(&echo.url(), |options| options.rtp_ports = 18_400..=18_401).await;
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut first = Line::dial(one_port.caller()).await.unwrap();
    assert!(within(first.until_answered(deadline)).await.unwrap().is_some());
    assert_eq!(short(one_port.caller()).await.status, StatusCode::SERVICE_UNAVAILABLE);
    first.hang_up();
    assert!(within(first.until_ended(deadline)).await.unwrap());
    one_port.until_idle().await;
    assert_eq!(short(one_port.caller()).await.status, StatusCode::OK, "the port is free again");
    one_port.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_control_plane_is_503_and_nothing_is_guessed() {
    let echo = echo().await;
    let world = World::start(&echo.url()).await;
    *world.control.unavailable.lock().unwrap() = true;
    assert_eq!(short(world.caller()).await.status, StatusCode::SERVICE_UNAVAILABLE);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trunks_codecs_decide_and_none_in_common_is_488() {
    let echo = echo().await;
    let world = World::start(&echo.url()).await;
    world.control.change(|found| found.trunk.settings.codecs = vec![telepath_core::trunk::Codec::Pcma]);
    assert_eq!(short(world.caller()).await.codec, Some(Codec::Pcma));
    let mut options = world.caller();
    options.codecs = vec![Codec::Pcmu];
    assert_eq!(short(options).await.status, StatusCode::NOT_ACCEPTABLE_HERE);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_of_another_dialect_is_refused_and_recorded_as_such() {
    let echo = echo().await;
    let world = World::start(&echo.url()).await;
    world.control.change(|found| {
        found.agent = AgentTarget::OpenAi { api_key: SecretText::new("sk-never-shown".to_owned()) };
    });
    assert_eq!(short(world.caller()).await.status, StatusCode::TEMPORARILY_UNAVAILABLE);
    let ends = world.control.until_ends(1).await;
    assert_eq!((ends[0].status, ends[0].reason), (CallStatus::Failed, DisconnectReason::ConnectionFailed));
    assert!(ends[0].reason_text.as_ref().unwrap().contains("OpenAI"), "{:?}", ends[0].reason_text);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn noise_from_a_scanner_harms_nobody() {
    let echo = echo().await;
    let world = World::start(&echo.url()).await;
    let scanner = UdpSocket::bind(loopback(0)).await.unwrap();
    for noise in
        [&b"\0\0\0\0"[..], b"GET / HTTP/1.1\r\n\r\n", b"INVITE sip:x SIP/2.0\r\n\r\n", b"", &[0xff; 1400]]
    {
        for _ in 0..50 {
            scanner.send_to(noise, world.sip).await.unwrap();
        }
    }
    assert_eq!(short(world.caller()).await.status, StatusCode::OK);
    world.until_idle().await;
    world.stop().await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_one_clear_error() {
    let taken = std::net::UdpSocket::bind(loopback(0)).unwrap();
    let world = World::start_with("ws://127.0.0.1:9/", |_| {}).await;
    let options = crate::GatewayOptions::new(taken.local_addr().unwrap());
    let started = Gateway::start(
        options,
        world.control.clone(),
        Arc::new(telepath_core::clock::SystemClock),
        Arc::new(telepath_core::entropy::SystemEntropy::default()),
        [0; 32],
    );
    let error = started.await.err().unwrap();
    assert!(matches!(error, StartError::PortTaken(_)));
    let text = error.to_string();
    assert!(text.contains(&taken.local_addr().unwrap().port().to_string()) && !text.contains('\n'), "{text}");
    world.stop().await;
}

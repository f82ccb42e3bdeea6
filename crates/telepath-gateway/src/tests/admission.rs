//! Admission of INVITEs: authentication, limits and rejections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use telepath_core::call::DisconnectReason;
use telepath_core::id::{Id as _, TrunkId};
use telepath_core::secret::SecretText;
use telepath_core::trunk::{E164, TrunkStatus};
use telepath_media::codec::AudioCodec;
use telepath_sip::message::StatusCode;
use tokio::net::UdpSocket;
use tokio::time::Instant;

use super::fixture::{PASSWORD, TestGateway, USER, echo, loopback, within};
use crate::caller::{CallOutcome, CallerOptions, TestCall, place_call};
use crate::{Gateway, StartError};

async fn short_call(mut options: CallerOptions) -> CallOutcome {
    options.play.clear();
    options.listen = Duration::ZERO;
    within(place_call(options)).await.unwrap()
}

/// Forwards datagrams between one caller and the gateway and removes the SHA-256 challenge from each 401. The task ends
/// with the runtime of the test.
async fn md5_only_proxy(gateway: SocketAddr) -> SocketAddr {
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
async fn a_caller_that_supports_only_md5_digest_is_admitted() {
    let echo = echo().await;
    let gateway = TestGateway::start(&echo.url()).await;
    let mut options = gateway.caller();
    options.peer = Some(md5_only_proxy(gateway.sip).await);
    assert_eq!(short_call(options).await.status, StatusCode::OK);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_and_an_unknown_user_get_the_same_responses() {
    let echo = echo().await;
    let gateway = TestGateway::start(&echo.url()).await;
    let wrong = short_call(gateway.caller_as(USER, "wrong password")).await;
    let unknown = short_call(gateway.caller_as("nobody-01", PASSWORD)).await;
    let impossible = short_call(gateway.caller_as("no", PASSWORD)).await;
    let response = |outcome: &CallOutcome| (outcome.status, outcome.reason_phrase.clone(), outcome.rang);
    assert_eq!(response(&wrong), (StatusCode::UNAUTHORIZED, Some("Unauthorized".to_owned()), false));
    assert_eq!(response(&wrong), response(&unknown));
    assert_eq!(response(&wrong), response(&impossible));
    let ends = gateway.control.wait_for_ends(1).await;
    assert_eq!(ends.len(), 1, "an unknown user leaves no record");
    assert_eq!(
        (ends[0].reason, ends[0].sip.rule.as_deref()),
        (DisconnectReason::Rejected, Some("wrong_password"))
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_one_trunk_are_rejected_for_another() {
    let echo = echo().await;
    let gateway = TestGateway::start(&echo.url()).await;
    let mut options = gateway.caller_as("other-01", PASSWORD);
    options.credentials = Some((USER.to_owned(), SecretText::new(PASSWORD.to_owned())));
    assert_eq!(short_call(options).await.status, StatusCode::UNAUTHORIZED);
    // A number in the Request-URI does not name a trunk, so the credentials select it.
    let mut options = gateway.caller_as("+15550100123", PASSWORD);
    options.credentials = Some((USER.to_owned(), SecretText::new(PASSWORD.to_owned())));
    assert_eq!(short_call(options).await.status, StatusCode::OK);
    let ends = gateway.control.wait_for_ends(1).await;
    assert_eq!(ends[0].to.as_str(), "+15550100123");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_with_too_many_failed_digests_is_refused_with_403() {
    let echo = echo().await;
    let gateway = TestGateway::start_with(&echo.url(), |options| options.auth_failures_per_minute = 2).await;
    for _ in 0..2 {
        assert_eq!(
            short_call(gateway.caller_as(USER, "wrong password")).await.status,
            StatusCode::UNAUTHORIZED
        );
    }
    assert_eq!(short_call(gateway.caller_as(USER, "wrong password")).await.status, StatusCode::FORBIDDEN);
    assert_eq!(short_call(gateway.caller()).await.status, StatusCode::OK, "a correct digest always passes");
    // Failed digests do not lock out an address in allowed_ips.
    gateway.control.trust("127.0.0.0/8").await;
    let mut without_digest = gateway.caller_as(USER, "wrong password");
    without_digest.credentials = None;
    assert_eq!(short_call(without_digest).await.status, StatusCode::OK);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_allowed_ip_needs_no_digest() {
    let echo = echo().await;
    let gateway = TestGateway::start(&echo.url()).await;
    let mut options = gateway.caller();
    options.credentials = None;
    assert_eq!(short_call(options.clone()).await.status, StatusCode::UNAUTHORIZED);
    gateway.control.trust("127.0.0.1").await;
    assert_eq!(short_call(options).await.status, StatusCode::OK);
    gateway.stop().await;
}

fn number(text: &str) -> E164 {
    E164::try_from(text.to_owned()).unwrap()
}

/// A caller without credentials that dials this user.
fn dial(gateway: &TestGateway, user: &str) -> CallerOptions {
    CallerOptions { credentials: None, ..gateway.caller_as(user, PASSWORD) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_carrier_in_allowed_ips_reaches_its_trunk_by_number_without_digest() {
    let echo = echo().await;
    let gateway = TestGateway::start(&echo.url()).await;
    gateway.control.change_trunk(|found| found.trunk.settings.inbound_numbers = vec![number("+15550100123")]);
    gateway.control.trust("127.0.0.1").await;
    for user in ["+15550100123", "15550100123", "+15550100123;npdi;rn=+15550199", "+1-555-0100123;tgrp=a"] {
        assert_eq!(short_call(dial(&gateway, user)).await.status, StatusCode::OK, "{user}");
    }
    for end in gateway.control.wait_for_ends(4).await {
        assert_eq!(end.to.as_str().trim_start_matches('+'), "15550100123");
    }
    assert_eq!(short_call(dial(&gateway, "+15550100199")).await.status, StatusCode::NOT_FOUND);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_two_trunks_take_is_refused_with_404() {
    let echo = echo().await;
    let gateway = TestGateway::start(&echo.url()).await;
    let mut other = super::fixture::trunk(&echo.url());
    other.trunk.id = TrunkId::from_bytes([8; 16]);
    other.trunk.allowed_ips = "127.0.0.0/8".parse().unwrap();
    other.trunk.settings.inbound_numbers = vec![number("+15550100123")];
    gateway.control.trunks.lock().unwrap().insert("other-01".to_owned(), other);
    gateway.control.change_trunk(|found| found.trunk.settings.inbound_numbers = vec![number("+15550100123")]);
    gateway.control.trust("127.0.0.1").await;
    assert_eq!(short_call(dial(&gateway, "+15550100123")).await.status, StatusCode::NOT_FOUND);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inactive_trunk_responds_with_403_and_one_in_error_takes_calls() {
    let echo = echo().await;
    let gateway = TestGateway::start(&echo.url()).await;
    for (status, answer) in [
        (TrunkStatus::Inactive, StatusCode::FORBIDDEN),
        (TrunkStatus::Error, StatusCode::OK),
        (TrunkStatus::Active, StatusCode::OK),
    ] {
        gateway.control.change_trunk(|lookup| lookup.trunk.status = status);
        assert_eq!(short_call(gateway.caller()).await.status, answer, "{status:?}");
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_not_in_inbound_numbers_is_refused_with_404() {
    let echo = echo().await;
    let gateway = TestGateway::start(&echo.url()).await;
    let number = E164::try_from("+15550100123".to_owned()).unwrap();
    gateway.control.change_trunk(|lookup| lookup.trunk.settings.inbound_numbers = vec![number]);
    let mut options = gateway.caller_as("+15550100123", PASSWORD);
    options.credentials = Some((USER.to_owned(), SecretText::new(PASSWORD.to_owned())));
    assert_eq!(short_call(options).await.status, StatusCode::OK);
    assert_eq!(short_call(gateway.caller()).await.status, StatusCode::NOT_FOUND);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trunk_at_max_concurrent_calls_responds_with_486() {
    let echo = echo().await;
    let gateway = TestGateway::start(&echo.url()).await;
    gateway.control.change_trunk(|lookup| lookup.trunk.settings.max_concurrent_calls = Some(1));
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut first = TestCall::dial(gateway.caller()).await.unwrap();
    assert!(within(first.until_answered(deadline)).await.unwrap().is_some());
    assert_eq!(short_call(gateway.caller()).await.status, StatusCode::BUSY_HERE);
    first.hang_up();
    assert!(within(first.until_ended(deadline)).await.unwrap());
    gateway.wait_until_idle().await;
    assert_eq!(short_call(gateway.caller()).await.status, StatusCode::OK, "the call no longer counts");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn max_calls_and_exhausted_rtp_ports_are_refused_with_503() {
    let echo = echo().await;
    let full = TestGateway::start_with(&echo.url(), |options| options.max_calls = 0).await;
    assert_eq!(short_call(full.caller()).await.status, StatusCode::SERVICE_UNAVAILABLE);
    full.stop().await;

    let one_port = TestGateway::start_with(&echo.url(), |options| options.rtp_ports = 18_400..=18_401).await;
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut first = TestCall::dial(one_port.caller()).await.unwrap();
    assert!(within(first.until_answered(deadline)).await.unwrap().is_some());
    assert_eq!(short_call(one_port.caller()).await.status, StatusCode::SERVICE_UNAVAILABLE);
    first.hang_up();
    assert!(within(first.until_ended(deadline)).await.unwrap());
    one_port.wait_until_idle().await;
    assert_eq!(short_call(one_port.caller()).await.status, StatusCode::OK, "the port is free again");
    one_port.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unavailable_control_plane_is_refused_with_503() {
    let echo = echo().await;
    let gateway = TestGateway::start(&echo.url()).await;
    *gateway.control.unavailable.lock().unwrap() = true;
    assert_eq!(short_call(gateway.caller()).await.status, StatusCode::SERVICE_UNAVAILABLE);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trunks_codecs_are_used_and_no_common_codec_is_refused_with_488() {
    let echo = echo().await;
    let gateway = TestGateway::start(&echo.url()).await;
    gateway
        .control
        .change_trunk(|lookup| lookup.trunk.settings.codecs = vec![telepath_core::trunk::Codec::Pcma]);
    assert_eq!(short_call(gateway.caller()).await.codec, Some(AudioCodec::Pcma));
    let mut options = gateway.caller();
    options.codecs = vec![AudioCodec::Pcmu];
    assert_eq!(short_call(options).await.status, StatusCode::NOT_ACCEPTABLE_HERE);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_datagrams_do_not_affect_calls() {
    let echo = echo().await;
    let gateway = TestGateway::start(&echo.url()).await;
    let scanner = UdpSocket::bind(loopback(0)).await.unwrap();
    for noise in
        [&b"\0\0\0\0"[..], b"GET / HTTP/1.1\r\n\r\n", b"INVITE sip:x SIP/2.0\r\n\r\n", b"", &[0xff; 1400]]
    {
        for _ in 0..50 {
            scanner.send_to(noise, gateway.sip).await.unwrap();
        }
    }
    assert_eq!(short_call(gateway.caller()).await.status, StatusCode::OK);
    gateway.wait_until_idle().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_sip_port_in_use_is_a_one_line_error() {
    let taken = std::net::UdpSocket::bind(loopback(0)).unwrap();
    let gateway = TestGateway::start_with("ws://127.0.0.1:9/", |_| {}).await;
    let options = crate::GatewayOptions::new(taken.local_addr().unwrap());
    let started = Gateway::start(
        options,
        gateway.control.clone(),
        Arc::new(telepath_core::clock::SystemClock),
        Arc::new(telepath_core::entropy::SystemEntropy::default()),
        [0; 32],
    );
    let error = started.await.err().unwrap();
    assert!(matches!(error, StartError::PortTaken { .. }));
    let text = error.to_string();
    assert!(text.contains(&taken.local_addr().unwrap().port().to_string()) && !text.contains('\n'), "{text}");
    gateway.stop().await;
}

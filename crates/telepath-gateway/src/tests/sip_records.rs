//! What the record of a call says about its signalling, refused calls, and strangers.

use telepath_core::call::{CallStatus, DisconnectReason};
use telepath_core::ports::LiveCalls as _;
use telepath_core::secret::SecretText;
use telepath_core::trunk::{E164, TrunkStatus};
use tokio::net::UdpSocket;

use super::agent::wait_for_event;
use super::fixture::{PASSWORD, ScriptedAgent, TestGateway, USER, echo, loopback, within};
use super::renegotiation::ScriptedCaller;
use crate::caller::place_call;

async fn refused(gateway: &TestGateway, user: &str, password: &str) {
    let mut options = gateway.caller_as(user, password);
    options.credentials = Some((USER.to_owned(), SecretText::new(password.to_owned())));
    options.play.clear();
    assert!(!within(place_call(options)).await.unwrap().answered());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_call_of_a_known_trunk_is_recorded_with_rule_source_numbers_and_trace() {
    let echo = echo().await;
    let gateway = TestGateway::start(&echo.url()).await;
    gateway.control.change_trunk(|found| {
        found.trunk.settings.inbound_numbers = vec![E164::try_from("+15550100123".to_owned()).unwrap()];
    });
    refused(&gateway, "+15550100199", PASSWORD).await;
    let end = gateway.control.wait_for_ends(1).await.remove(0);
    assert_eq!(
        (end.status, end.reason, end.answer_time),
        (CallStatus::Failed, DisconnectReason::Rejected, None)
    );
    assert_eq!((end.to.as_str(), end.from.as_str()), ("+15550100199", "telepath-caller"));
    assert_eq!((end.sip.rule.as_deref(), end.sip.status), (Some("number_not_listed"), Some(404)));
    assert!(end.sip.source.as_ref().unwrap().starts_with("127.0.0.1:"), "{:?}", end.sip);
    let call_id = end.sip.call_id.unwrap();
    for part in ["INVITE sip:+15550100199@", "SIP/2.0 404 ", "Warning: 399 ", "number_not_listed", &call_id] {
        assert!(end.sip_trace.contains(part), "{part} is missing in {}", end.sip_trace);
    }
    assert!(!end.sip_trace.contains(PASSWORD));
    assert!(end.reason_text.unwrap().contains("inbound_numbers"));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_passwords_and_inactive_trunks_are_recorded_and_unknown_users_are_strangers() {
    let echo = echo().await;
    let gateway = TestGateway::start(&echo.url()).await;
    refused(&gateway, USER, "wrong password").await;
    gateway.control.change_trunk(|found| found.trunk.status = TrunkStatus::Inactive);
    refused(&gateway, USER, PASSWORD).await;
    let ends = gateway.control.wait_for_ends(2).await;
    let rules: Vec<_> =
        ends.iter().map(|end| (end.sip.rule.as_deref().unwrap(), end.sip.status.unwrap())).collect();
    assert_eq!(rules, [("wrong_password", 401), ("trunk_inactive", 403)]);
    assert!(!within(place_call(gateway.caller_as("nobody-01", PASSWORD))).await.unwrap().answered());
    let strangers = gateway.handle.sip_strangers().strangers;
    let attempts =
        |rule: &str| strangers.iter().find(|stranger| stranger.rule == rule).map(|found| found.attempts);
    assert_eq!((attempts("unknown_user"), attempts("wrong_password")), (Some(1), Some(1)));
    assert_eq!(attempts("trunk_inactive"), None, "it has a record");
    assert!(strangers.iter().all(|stranger| stranger.source == loopback(0).ip()));
    assert_eq!(gateway.control.wait_for_ends(2).await.len(), 2, "an unknown user leaves no record");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_answers_the_challenge_is_no_stranger_and_noise_is_counted() {
    let echo = echo().await;
    let gateway = TestGateway::start(&echo.url()).await;
    assert!(gateway.call().await.answered());
    assert!(gateway.handle.sip_strangers().strangers.is_empty());
    let scanner = UdpSocket::bind(loopback(0)).await.unwrap();
    for noise in [&b"REGISTER sip:x SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1;rport\r\nFrom: <sip:a@b.test>;tag=1\r\nTo: <sip:a@b.test>\r\nCall-ID: 1\r\nCSeq: 1 REGISTER\r\n\r\n"[..], b"GET / HTTP/1.1\r\n\r\n"] {
        scanner.send_to(noise, gateway.sip).await.unwrap();
    }
    // The response proves that both have been read: a socket delivers in order.
    let last = b"REGISTER sip:x SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK2;rport\r\nFrom: <sip:a@b.test>;tag=1\r\nTo: <sip:a@b.test>\r\nCall-ID: 2\r\nCSeq: 2 REGISTER\r\n\r\n";
    scanner.send_to(last, gateway.sip).await.unwrap();
    let mut buffer = vec![0; 65_536];
    for _ in 0..2 {
        within(scanner.recv_from(&mut buffer)).await.unwrap();
    }
    let mut rules: Vec<_> =
        gateway.handle.sip_strangers().strangers.iter().map(|found| (found.rule, found.attempts)).collect();
    rules.sort_unstable();
    assert_eq!(rules, [("method_not_allowed", 2), ("unanswerable_request", 1)]);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_of_the_invite_and_the_reason_of_bye_reach_agent_and_record() {
    let mut agent = ScriptedAgent::start().await;
    let mut caller = ScriptedCaller::new(&agent.url, "headers").await;
    caller.headers = "P-Asserted-Identity: <tel:+15550100001>\r\nX-Queue: sales\r\n\
                      Reason: Q.850;cause=16;text=\"Normal call clearing\"\r\n";
    caller.send("INVITE", 1, &caller.sdp("0", "sendrecv")).await;
    caller.answer(1, "INVITE").await;
    caller.send("ACK", 1, "").await;
    let mut socket = agent.connection().await;
    let start = wait_for_event(&mut socket, "start").await;
    assert!(
        start.contains(r#""sip_headers":{"P-Asserted-Identity":"<tel:+15550100001>","X-Queue":"sales"}"#),
        "{start}"
    );
    caller.send("BYE", 2, "").await;
    caller.answer(2, "BYE").await;
    let end = caller.gateway.control.wait_for_ends(1).await.remove(0);
    assert_eq!(end.sip.call_id.as_deref(), Some("headers"));
    assert_eq!(end.sip.headers.get("X-Queue").map(String::as_str), Some("sales"));
    assert_eq!(end.sip.peer_reason.as_deref(), Some("Q.850;cause=16;text=\"Normal call clearing\""));
    assert_eq!((end.sip.rule, end.sip.status), (None, None));
    drop(socket);
    caller.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bye_of_a_call_that_the_api_hangs_up_carries_its_reason() {
    let mut agent = ScriptedAgent::start().await;
    let mut caller = ScriptedCaller::new(&agent.url, "reason").await;
    caller.send("INVITE", 1, &caller.sdp("0", "sendrecv")).await;
    caller.answer(1, "INVITE").await;
    caller.send("ACK", 1, "").await;
    let socket = agent.connection().await;
    let start = caller.gateway.control.wait_for_start().await;
    assert!(caller.gateway.handle.hang_up(start.id, DisconnectReason::ApiHangup));
    let bye = caller.request().await;
    assert!(
        bye.starts_with("BYE ") && bye.contains("\r\nReason: Q.850;cause=16;text=\"api_hangup\"\r\n"),
        "{bye}"
    );
    drop(socket);
    let report = within(caller.gateway.gateway.shutdown(std::time::Duration::from_secs(10))).await;
    assert_eq!(report.tasks_left, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invite_of_a_known_source_that_the_endpoint_rejects_is_recorded() {
    let echo = echo().await;
    let mut caller = ScriptedCaller::new(&echo.url(), "rejected").await;
    caller.send_typed("INVITE", 1, "application/isup", "x").await;
    assert!(caller.answer(1, "INVITE").await.starts_with("SIP/2.0 415"));
    let end = caller.gateway.control.wait_for_ends(1).await.remove(0);
    assert_eq!((end.sip.rule.as_deref(), end.sip.status), (Some("unsupported_content"), Some(415)));
    assert_eq!((end.status, end.reason), (CallStatus::Failed, DisconnectReason::Rejected));
    assert!(
        end.sip_trace.contains("INVITE sip:") && end.sip_trace.contains("SIP/2.0 415"),
        "{}",
        end.sip_trace
    );
    assert!(caller.gateway.handle.sip_strangers().strangers.is_empty());
    caller.gateway.stop().await;
}

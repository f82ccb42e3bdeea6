//! Transfers by the agent, and session refreshes, with a caller whose SIP messages are written by hand.

use futures_util::SinkExt as _;
use telepath_core::call::{CallStatus, DisconnectReason};
use telepath_core::trunk::{NumberPrefix, OutboundRules};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::agent::wait_for_event;
use super::fixture::ScriptedAgent;
use super::renegotiation::ScriptedCaller;

type AgentSocket = WebSocketStream<TcpStream>;

/// A connected call of a trunk that may call numbers which begin with +1555.
async fn connected(agent: &mut ScriptedAgent, call_id: &'static str) -> (ScriptedCaller, AgentSocket) {
    let mut caller = ScriptedCaller::new(&agent.url, call_id).await;
    caller.gateway.control.change_trunk(|found| {
        let prefix = NumberPrefix::try_from("+1555".to_owned()).unwrap();
        found.trunk.settings.outbound =
            OutboundRules { allowed_prefixes: vec![prefix], ..OutboundRules::default() };
    });
    caller.send("INVITE", 1, &caller.sdp("0", "sendrecv")).await;
    caller.answer(1, "INVITE").await;
    caller.send("ACK", 1, "").await;
    let mut socket = agent.connection().await;
    wait_for_event(&mut socket, "start").await;
    (caller, socket)
}

/// Waits for the REFER and responds to it.
async fn respond_to_refer(caller: &ScriptedCaller, status: &str) -> String {
    let refer = caller.request().await;
    assert!(refer.starts_with("REFER "), "{refer}");
    let line = |name: &str| refer.lines().find(|line| line.starts_with(name)).unwrap();
    let lines = ["Via: ", "From: ", "To: ", "Call-ID: ", "CSeq: "].map(line).join("\r\n");
    let response = format!("SIP/2.0 {status}\r\n{lines}\r\nContent-Length: 0\r\n\r\n");
    caller.socket.send_to(response.as_bytes(), caller.gateway.sip).await.unwrap();
    refer
}

async fn notify(caller: &mut ScriptedCaller, cseq: u32, body: &str) {
    caller.headers = "Event: refer\r\nSubscription-State: active;expires=60\r\n";
    caller.send_typed("NOTIFY", cseq, "message/sipfrag", body).await;
    assert!(caller.answer(cseq, "NOTIFY").await.starts_with("SIP/2.0 200"));
    caller.headers = "";
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_by_the_agent_sends_refer_and_ends_the_call_when_the_target_answers() {
    let mut agent = ScriptedAgent::start().await;
    let (mut caller, mut socket) = connected(&mut agent, "transfer").await;
    socket.send(Message::text(r#"{"type":"transfer","to":"tel:+1-555-010-0999"}"#)).await.unwrap();
    let refer = respond_to_refer(&caller, "202 Accepted").await;
    assert!(refer.contains("\r\nRefer-To: <tel:+15550100999>\r\n"), "{refer}");
    notify(&mut caller, 2, "SIP/2.0 100 Trying\r\n").await;
    notify(&mut caller, 3, "SIP/2.0 200 OK\r\n").await;
    let bye = caller.request().await;
    assert!(bye.starts_with("BYE ") && bye.contains("text=\"transferred\""), "{bye}");
    assert!(wait_for_event(&mut socket, "stop").await.contains("transferred"));
    drop(socket);
    let ends = caller.gateway.control.wait_for_ends(1).await;
    assert_eq!((ends[0].status, ends[0].reason), (CallStatus::Disconnected, DisconnectReason::Transferred));
    assert!(ends[0].sip_trace.contains("REFER sip:"), "{}", ends[0].sip_trace);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_that_fails_is_reported_to_the_agent_and_the_call_continues() {
    let mut agent = ScriptedAgent::start().await;
    let (mut caller, mut socket) = connected(&mut agent, "failing").await;
    let transfer = || Message::text(r#"{"type":"transfer","to":"+15550100999"}"#);
    socket.send(transfer()).await.unwrap();
    respond_to_refer(&caller, "405 Method Not Allowed").await;
    let error = wait_for_event(&mut socket, "error").await;
    assert!(error.contains("transfer_failed") && error.contains("405"), "{error}");
    socket.send(transfer()).await.unwrap();
    respond_to_refer(&caller, "202 Accepted").await;
    notify(&mut caller, 2, "SIP/2.0 486 Busy Here\r\n").await;
    let error = wait_for_event(&mut socket, "error").await;
    assert!(error.contains("transfer_failed") && error.contains("486"), "{error}");
    drop(socket);
    caller.gateway.control.wait_for_ends(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_outside_the_outbound_rules_is_refused_without_a_refer() {
    let mut agent = ScriptedAgent::start().await;
    let (caller, mut socket) = connected(&mut agent, "refused").await;
    for target in ["+19005550100", "tel:+88213001234", "sip:desk@evil.example", "desk", "sip:a@b?x=y"] {
        let transfer = format!(r#"{{"type":"transfer","to":"{target}"}}"#);
        socket.send(Message::text(transfer)).await.unwrap();
        let error = wait_for_event(&mut socket, "error").await;
        assert!(error.contains("transfer_not_allowed"), "{target}: {error}");
    }
    let end = caller.bye(2).await;
    assert!(!end.sip_trace.contains("REFER sip:"), "{}", end.sip_trace);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_is_complete_when_the_carrier_hangs_up_after_accepting_it() {
    let mut agent = ScriptedAgent::start().await;
    let (mut caller, mut socket) = connected(&mut agent, "bye").await;
    socket.send(Message::text(r#"{"type":"transfer","to":"tel:+15550100999"}"#)).await.unwrap();
    respond_to_refer(&caller, "202 Accepted").await;
    caller.send("BYE", 2, "").await;
    caller.answer(2, "BYE").await;
    let ends = caller.gateway.control.wait_for_ends(1).await;
    assert_eq!(ends[0].reason, DisconnectReason::Transferred);
    drop(socket);
    caller.gateway.wait_until_idle().await;
    caller.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_timer_of_the_caller_is_agreed_to_and_refreshed_by_update() {
    let mut agent = ScriptedAgent::start().await;
    let mut caller = ScriptedCaller::new(&agent.url, "timer").await;
    caller.headers = "Supported: timer\r\nSession-Expires: 60\r\n";
    caller.send("INVITE", 1, &caller.sdp("0", "sendrecv")).await;
    let refused = caller.answer(1, "INVITE").await;
    assert!(refused.starts_with("SIP/2.0 422") && refused.contains("\r\nMin-SE: 90\r\n"), "{refused}");
    caller.forget_dialog();
    caller.headers = "Supported: timer\r\nSession-Expires: 90\r\n";
    caller.send("INVITE", 2, &caller.sdp("0", "sendrecv")).await;
    let answer = caller.answer(2, "INVITE").await;
    assert!(answer.contains("\r\nSession-Expires: 90;refresher=uac\r\n"), "{answer}");
    caller.send("ACK", 2, "").await;
    let socket = agent.connection().await;
    caller.send("UPDATE", 3, "").await;
    let answer = caller.answer(3, "UPDATE").await;
    assert!(answer.starts_with("SIP/2.0 200") && answer.contains("\r\nSession-Expires: 90;"), "{answer}");
    drop(socket);
    caller.gateway.control.wait_for_ends(1).await;
}

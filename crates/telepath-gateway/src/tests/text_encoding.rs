//! Calls whose SIP or SDP contains text that is not UTF-8.

use telepath_core::call::CallStatus;

use super::agent::wait_for_event;
use super::fixture::ScriptedAgent;
use super::renegotiation::ScriptedCaller;

/// Sends the message in Latin-1, with accents in everything that a caller may name.
async fn send(caller: &ScriptedCaller, method: &str, cseq: u32, body: &str) {
    let body = body.replace("o=-", "o=José").replace("s=-", "s=Réunion");
    let text = caller
        .message(method, cseq, "application/sdp", &body)
        .replace("From: <sip:caller@", "From: José <sip:josé;x=é@")
        .replace("Call-ID: latin", "Call-ID: latin-é")
        .replace("Max-Forwards:", "User-Agent: Boîte\r\nX-Ville: Orléans\r\nMax-Forwards:")
        // The length in UTF-8 is not that in Latin-1, and a datagram needs none.
        .replace("Content-Length:", "X-Length:");
    let latin_1: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    assert!(std::str::from_utf8(&latin_1).is_err());
    caller.socket.send_to(&latin_1, caller.gateway.sip).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_in_latin_1_is_answered_and_its_record_is_readable() {
    let mut agent = ScriptedAgent::start().await;
    let mut caller = ScriptedCaller::new(&agent.url, "latin").await;
    send(&caller, "INVITE", 1, &caller.sdp("0", "sendrecv")).await;
    let answer = caller.answer(1, "INVITE").await;
    assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    send(&caller, "ACK", 1, "").await;
    let mut socket = agent.connection().await;
    let start = wait_for_event(&mut socket, "start").await;
    assert!(start.contains(r#""from":"josé""#) && start.contains(r#""X-Ville":"Orléans""#), "{start}");
    send(&caller, "BYE", 2, "").await;
    assert!(caller.answer(2, "BYE").await.starts_with("SIP/2.0 200"));
    let end = caller.gateway.control.wait_for_ends(1).await.remove(0);
    assert_eq!((end.status, end.from.as_str()), (CallStatus::Disconnected, "josé"));
    assert_eq!(end.carrier.as_deref(), Some("Boîte"));
    assert_eq!(end.sip.call_id.as_deref(), Some("latin-é"));
    assert_eq!(end.sip.headers.get("X-Ville").map(String::as_str), Some("Orléans"));
    assert!(end.sip_trace.contains("From: José <sip:josé;x=é@"), "{}", end.sip_trace);
    assert!(!end.sip_trace.contains(|c: char| u32::from(c) > 0xff), "{}", end.sip_trace);
    drop(socket);
    caller.gateway.stop().await;
}

//! Callers in `allowed_ips` without digest: their agent is opened after the ACK, which proves that they receive what is sent
//! to their source address.

use super::agent::wait_for_event;
use super::fixture::ScriptedAgent;
use super::renegotiation::ScriptedCaller;

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_has_proved_no_return_path_gets_its_agent_after_the_ack() {
    let mut agent = ScriptedAgent::start().await;
    let mut caller = ScriptedCaller::new(&agent.url, "unproved").await;
    caller.send("INVITE", 1, &caller.sdp("0", "sendrecv")).await;
    assert!(caller.answer(1, "INVITE").await.starts_with("SIP/2.0 200"), "answered without an agent");
    assert!(agent.try_connection().is_none(), "no agent before the ACK");
    caller.send("ACK", 1, "").await;
    let mut socket = agent.connection().await;
    wait_for_event(&mut socket, "start").await;
    caller.bye(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dtmf_by_info_reaches_the_agent_like_rfc_4733_digits() {
    let mut agent = ScriptedAgent::start().await;
    let mut caller = ScriptedCaller::new(&agent.url, "info").await;
    caller.send("INVITE", 1, &caller.sdp("0", "sendrecv")).await;
    caller.answer(1, "INVITE").await;
    caller.send("ACK", 1, "").await;
    let mut socket = agent.connection().await;
    for (cseq, content_type, body, digit) in [
        (2, "application/dtmf-relay", "Signal=5\r\nDuration=160\r\n", '5'),
        (3, "application/dtmf", "#", '#'),
        (4, "application/dtmf-relay", "Signal=11\r\n", '#'),
    ] {
        caller.send_typed("INFO", cseq, content_type, body).await;
        assert!(caller.answer(cseq, "INFO").await.starts_with("SIP/2.0 200"), "{body}");
        let event = wait_for_event(&mut socket, "dtmf").await;
        assert!(event.contains(&format!("\"digit\":\"{digit}\"")), "{event}");
    }
    caller.send_typed("INFO", 5, "application/vnd.nortelnetworks.digits", "p=Digit-Collection").await;
    assert!(caller.answer(5, "INFO").await.starts_with("SIP/2.0 415"));
    caller.bye(6).await;
}

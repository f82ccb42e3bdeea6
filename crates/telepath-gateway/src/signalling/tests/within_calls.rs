//! Requests within the dialog of a live call.

use futures_util::StreamExt as _;

use super::*;

#[tokio::test]
async fn a_reinvite_that_is_cancelled_before_its_answer_leaves_the_session_unchanged() {
    let mut agent = ScriptedAgent::start().await;
    let (mut signalling, _control) = trusting_to(&agent).await;
    let tag = &answered(&mut signalling).await;
    let mut socket = agent.connection().await;

    let hold = request("INVITE", "hold", 2, tag, SDP, &session("sendonly"));
    assert_eq!(statuses(&deliver(&mut signalling, carrier(), &hold)), ["100"]);
    let accept = within(signalling.commands.recv()).await.unwrap();
    assert!(matches!(accept, Command::AcceptReInvite(..)), "{accept:?}");
    let cancel = request("CANCEL", "hold", 2, tag, SDP, "");
    assert_eq!(statuses(&deliver(&mut signalling, carrier(), &cancel)), ["200", "487"]);
    signalling.apply(accept);
    assert!(sent(&mut signalling).is_empty(), "the answer comes too late");
    let digit = request("INFO", "digit", 3, tag, "application/dtmf", "5");
    assert_eq!(statuses(&deliver(&mut signalling, carrier(), &digit)), ["200"]);

    let mut events = Vec::new();
    while !events.last().is_some_and(|event: &String| event.contains("\"dtmf\"")) {
        let message = within(socket.next()).await.unwrap().unwrap();
        if let Ok(text) = message.to_text() {
            events.push(text.to_owned());
        }
    }
    assert!(!events.iter().any(|event| event.contains("\"hold\"")), "{events:?}");
}

//! Requests within the dialog of a live call.

use futures_util::StreamExt as _;
use telepath_core::call::{CallEnd, CallStatus, DisconnectReason};

use super::super::CALL_QUEUE;
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

/// Fills the event queue of a call whose task does not run meanwhile; returns what is sent beside the responses.
fn fill_event_queue(signalling: &mut Signalling, tag: &str) -> Vec<String> {
    let mut other = Vec::new();
    for number in 0..40 {
        let digit = request("INFO", &format!("digit{number}"), 2 + number, tag, "application/dtmf", "5");
        let sent = deliver(signalling, carrier(), &digit);
        other.extend(sent.into_iter().filter(|sent| !sent.starts_with("SIP/2.0 200 ")));
    }
    other
}

#[tokio::test]
async fn a_call_that_does_not_read_its_events_is_hung_up_once_and_learns_that_its_dialog_has_ended() {
    let agent = ScriptedAgent::start().await;
    let (mut signalling, control) = trusting_to(&agent).await;
    let tag = answered(&mut signalling).await;
    let sent = fill_event_queue(&mut signalling, &tag);
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert!(sent[0].starts_with("BYE ") && sent[0].contains("\r\nReason: "), "{}", sent[0]);

    let header = |name: &str| sent[0].lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    let headers = ["Via: ", "From: ", "To: ", "Call-ID: ", "CSeq: "].map(header).join("\r\n");
    assert!(deliver(&mut signalling, carrier(), &format!("SIP/2.0 200 OK\r\n{headers}\r\n\r\n")).is_empty());
    let end = end_of(&mut signalling, &control).await;
    assert_eq!((end.status, end.reason), (CallStatus::Disconnected, DisconnectReason::Unknown));
    assert_eq!(end.reason_text.as_deref(), Some("the call did not read its SIP events"));
    assert_eq!(signalling.shared.live.len(), 0);
}

#[tokio::test]
async fn the_bye_of_the_caller_reaches_a_call_whose_event_queue_is_full() {
    let agent = ScriptedAgent::start().await;
    let (mut signalling, control) = trusting_to(&agent).await;
    let tag = answered(&mut signalling).await;
    // The ACK is in the queue too.
    for number in 1..u32::try_from(CALL_QUEUE).unwrap() {
        let digit = request("INFO", &format!("digit{number}"), 2 + number, &tag, "application/dtmf", "5");
        deliver(&mut signalling, carrier(), &digit);
    }
    let bye = request("BYE", "bye", 100, &tag, SDP, "");
    assert_eq!(statuses(&deliver(&mut signalling, carrier(), &bye)), ["200"]);
    let end = end_of(&mut signalling, &control).await;
    assert_eq!((end.status, end.reason), (CallStatus::Disconnected, DisconnectReason::NormalDisconnect));
    assert_eq!(end.caller_actions.len(), CALL_QUEUE - 1, "no digit is lost");
    assert_eq!(signalling.shared.live.len(), 0);
}

/// Applies the commands of the call until its record is written.
async fn end_of(signalling: &mut Signalling, control: &TestControl) -> CallEnd {
    let record = async {
        loop {
            tokio::select! {
                biased;
                ends = control.wait_for_ends(1) => return ends,
                _ = apply_next_command(signalling) => {}
            }
        }
    };
    within(record).await.remove(0)
}

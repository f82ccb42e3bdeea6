//! What goes on within a call: ACK, BYE, CANCEL, re-INVITE, and what must not happen before or after them.

use std::time::Duration;

use super::super::{DialogEnd, EndpointCounts, Event, ReInviteMethod, RejectReason, WrongCallState};
use super::door::{Ask, Door, INVITE, bare, status, statuses, tag_of};
use super::pair::sdp;
use crate::message::StatusCode;

#[test]
fn an_answer_nobody_acknowledges_is_repeated_and_then_hung_up() {
    let mut door = Door::new();
    door.put(&INVITE);
    door.endpoint.accept(door.call(), &sdp("v=0\r\n"), door.now).unwrap();
    door.collect();
    let sent = door.pass(Duration::from_secs(31));
    assert!(sent.len() >= 9 && sent.iter().all(|text| status(text) == 200), "{}", sent.len());
    let sent = door.pass(Duration::from_secs(2));
    assert!(sent.iter().any(|text| text.starts_with("BYE sip:probe@192.0.2.10:5070 SIP/2.0")));
    door.pass(Duration::from_mins(2));
    assert_eq!(door.ends(), [DialogEnd::AckTimeout]);
    assert_eq!(door.endpoint.counts(), EndpointCounts::default());
}

#[test]
fn cancel_that_comes_after_the_answer_changes_nothing() {
    let (mut door, call, _) = Door::established();
    assert_eq!(
        statuses(&door.put(&bare("CANCEL sip:desk@192.0.2.20 SIP/2.0", "one", "5 CANCEL", ""))),
        [200]
    );
    assert!(door.ends().is_empty());
    door.endpoint.hang_up(call, door.now).unwrap();
}

#[test]
fn hanging_up_waits_for_the_ack() {
    let mut door = Door::new();
    door.put(&INVITE);
    let call = door.call();
    door.endpoint.accept(call, &sdp("v=0\r\n"), door.now).unwrap();
    door.collect();
    let tag = tag_of(&door.sent.pop().unwrap());
    door.endpoint.hang_up(call, door.now).unwrap();
    door.collect();
    assert!(door.sent.is_empty());
    let sent = door.put(&bare("ACK sip:192.0.2.20 SIP/2.0", "ack", "5 ACK", &tag));
    assert!(sent[0].starts_with("BYE "));
}

#[test]
fn bye_follows_the_recorded_route_and_keeps_from_and_to() {
    let mut door = Door::new();
    let routes =
        "Record-Route: <sip:192.0.2.10:5070;lr>, <sip:core.test;lr>\r\nContent-Type: application/sdp\r\n";
    door.put(&Ask { extra: routes, ..INVITE });
    let call = door.call();
    door.endpoint.accept(call, &sdp("v=0\r\n"), door.now).unwrap();
    door.collect();
    let answer = door.sent.pop().unwrap();
    assert!(answer.contains("\r\nRecord-Route: <sip:192.0.2.10:5070;lr>, <sip:core.test;lr>\r\n"));
    let tag = tag_of(&answer);
    door.put(&bare("ACK sip:192.0.2.20 SIP/2.0", "ack", "5 ACK", &tag));
    door.endpoint.hang_up(call, door.now).unwrap();
    door.collect();
    let bye = door.sent.pop().unwrap();
    assert!(bye.starts_with("BYE sip:probe@192.0.2.10:5070 SIP/2.0\r\n"), "{bye}");
    assert!(bye.contains("\r\nRoute: <sip:192.0.2.10:5070;lr>\r\nRoute: <sip:core.test;lr>\r\n"), "{bye}");
    assert!(bye.contains(&format!("\r\nFrom: <sip:desk@callee.test>{tag}\r\n")), "{bye}");
    assert!(bye.contains("\r\nTo: <sip:probe@caller.test>;tag=pt\r\n"), "{bye}");
    assert!(bye.contains("\r\nCSeq: 1 BYE\r\n"), "{bye}");
}

#[test]
fn requests_within_a_call_are_answered_and_must_count_up() {
    let (mut door, _, tag) = Door::established();
    assert_eq!(statuses(&door.put(&bare("OPTIONS sip:x SIP/2.0", "b1", "6 OPTIONS", &tag))), [200]);
    assert_eq!(statuses(&door.put(&bare("UPDATE sip:x SIP/2.0", "b2", "7 UPDATE", &tag))), [200]);
    assert_eq!(statuses(&door.put(&bare("OPTIONS sip:x SIP/2.0", "b3", "7 OPTIONS", &tag))), [500]);
    assert_eq!(door.rule(), RejectReason::CSeqNotAdvanced);
    let dtmf = Ask {
        start: "INFO sip:x SIP/2.0",
        branch: "b4",
        to_tag: &tag,
        cseq: "8 INFO",
        extra: "Content-Type: application/dtmf-relay\r\n",
        body: "Signal=5\r\nDuration=160\r\n",
    };
    assert_eq!(statuses(&door.put(&dtmf)), [200]);
    assert_eq!(statuses(&door.put(&dtmf)), [200], "repeated, and answered as before");
    let digits = door.events.iter().filter(|event| matches!(event, Event::Info(_))).count();
    assert_eq!(digits, 1, "but pressed once");
    let odd = Ask { branch: "b5", cseq: "9 INFO", extra: "Content-Type: text/odd\r\n", ..dtmf };
    assert_eq!(statuses(&door.put(&odd)), [415]);
    let bye = bare("BYE sip:x SIP/2.0", "b6", "10 BYE", &tag);
    assert_eq!(statuses(&door.put(&bye)), [200]);
    assert_eq!(statuses(&door.put(&bye)), [200], "a repeated BYE is not a stranger");
    assert_eq!(door.ends(), [DialogEnd::ByeReceived]);
    door.pass(Duration::from_mins(1));
    assert_eq!(door.endpoint.counts(), EndpointCounts::default());
}

#[test]
fn a_reinvite_is_passed_on_and_its_answer_is_repeated_until_the_ack() {
    let (mut door, call, tag) = Door::established();
    let again = Ask { start: "INVITE sip:x SIP/2.0", branch: "re", to_tag: &tag, cseq: "6 INVITE", ..INVITE };
    assert_eq!(statuses(&door.put(&again)), [100]);
    let offered = matches!(
        door.events.last(),
        Some(Event::ReInvite { method: ReInviteMethod::Invite, offer: Some(_), .. })
    );
    assert!(offered, "{:?}", door.events.last());
    let glare = Ask { branch: "re2", cseq: "7 INVITE", ..again };
    let sent = door.put(&glare);
    assert_eq!((statuses(&sent), door.rule()), (vec![500], RejectReason::ReInvitePending));
    assert!(sent[0].contains("\r\nRetry-After: "));
    door.endpoint.accept_reinvite(call, &sdp("v=0 again"), door.now).unwrap();
    door.collect();
    assert!(door.sent.pop().unwrap().ends_with("\r\n\r\nv=0 again"));
    assert_eq!(statuses(&door.put(&Ask { branch: "re3", cseq: "8 INVITE", ..again })), [491]);
    assert!(statuses(&door.pass(Duration::from_millis(600))).contains(&200));
    door.put(&bare("ACK sip:x SIP/2.0", "ack2", "6 ACK", &tag));
    assert!(door.pass(Duration::from_secs(1)).iter().all(|text| status(text) != 200));
    assert!(door.ends().is_empty());
}

#[test]
fn a_refused_or_withdrawn_reinvite_leaves_the_call_as_it_was() {
    let (mut door, call, tag) = Door::established();
    let again = Ask { start: "INVITE sip:x SIP/2.0", branch: "re", to_tag: &tag, cseq: "6 INVITE", ..INVITE };
    door.put(&again);
    door.endpoint.reject_reinvite(call, StatusCode::NOT_ACCEPTABLE_HERE, door.now).unwrap();
    door.collect();
    assert_eq!(statuses(&door.sent), [488]);
    door.put(&Ask { branch: "re2", cseq: "7 INVITE", ..again });
    let sent = door.put(&bare("CANCEL sip:x SIP/2.0", "re2", "7 CANCEL", &tag));
    assert_eq!(statuses(&sent), [200, 487]);
    assert!(matches!(door.events.last(), Some(Event::ReInviteCancelled { .. })));
    assert!(door.endpoint.accept_reinvite(call, &sdp("v=0"), door.now).is_err());
    assert!(door.ends().is_empty());
}

#[test]
fn bye_before_the_answer_ends_the_invite_too() {
    let mut door = Door::new();
    door.put(&INVITE);
    door.endpoint.ring(door.call(), door.now).unwrap();
    door.collect();
    let tag = tag_of(door.sent.last().unwrap());
    let sent = door.put(&bare("BYE sip:x SIP/2.0", "bye", "6 BYE", &tag));
    assert_eq!(statuses(&sent), [200, 487]);
    assert_eq!(door.ends(), [DialogEnd::ByeReceived]);
}

#[test]
fn a_late_offer_is_answered_in_the_ack() {
    let mut door = Door::new();
    door.put(&Ask { extra: "", body: "", ..INVITE });
    let late = matches!(door.events.last(), Some(Event::Incoming(incoming)) if incoming.offer.is_none());
    assert!(late);
    door.endpoint.accept(door.call(), &sdp("v=0 offer"), door.now).unwrap();
    door.collect();
    let tag = tag_of(&door.sent.pop().unwrap());
    door.put(&Ask { start: "ACK sip:x SIP/2.0", branch: "ack", to_tag: &tag, cseq: "5 ACK", ..INVITE });
    match door.events.last() {
        Some(Event::Confirmed { answer: Some(answer), .. }) => assert_eq!(answer.as_bytes(), b"v=0\r\n"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn hanging_up_settles_a_change_of_session_that_waits() {
    let (mut door, call, tag) = Door::established();
    door.put(&Ask { start: "INVITE sip:x SIP/2.0", branch: "re", to_tag: &tag, cseq: "6 INVITE", ..INVITE });
    door.endpoint.hang_up(call, door.now).unwrap();
    door.collect();
    assert_eq!(status(&door.sent[0]), 487);
    assert!(door.sent[1].starts_with("BYE "));
    assert_eq!(door.endpoint.accept_reinvite(call, &sdp("v=0"), door.now), Err(WrongCallState(call)));
    door.pass(Duration::from_mins(2));
    assert_eq!(door.ends(), [DialogEnd::ByeSent { confirmed: false }]);
    assert_eq!(door.endpoint.counts(), EndpointCounts::default());
}

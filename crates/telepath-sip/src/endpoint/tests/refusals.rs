//! Every status the stack answers by itself, and what it does not let itself be talked into.

use std::time::Duration;

use super::super::{DialogEnd, EndpointCounts, EndpointLimits, RejectReason, RetryAfter, WrongCallState};
use super::door::{Ask, Door, INVITE, bare, statuses, tag_of};
use super::pair::sdp;
use crate::message::StatusCode;

#[test]
fn options_outside_a_call_tells_what_is_served() {
    let sent = Door::new().put(&bare("OPTIONS sip:192.0.2.20 SIP/2.0", "o", "1 OPTIONS", ""));
    assert_eq!(statuses(&sent), [200]);
    assert!(sent[0].contains("\r\nAllow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE\r\n"));
    assert!(sent[0].contains("\r\nAccept: application/sdp\r\n"));
}

#[test]
fn methods_that_are_not_served_are_told_from_unknown_ones() {
    for (method, expected) in [("REGISTER", 405), ("SUBSCRIBE", 405), ("REFER", 405), ("FROBNICATE", 501)] {
        let (start, cseq) = (format!("{method} sip:192.0.2.20 SIP/2.0"), format!("1 {method}"));
        let sent = Door::new().put(&bare(&start, "m", &cseq, ""));
        assert_eq!(statuses(&sent), [expected], "{method}");
        assert!(sent[0].contains("\r\nAllow: "), "{method}");
    }
}

#[test]
fn what_is_required_and_not_supported_is_named() {
    let mut door = Door::new();
    let sent = door.put(&Ask { extra: "Require: 100rel, timer\r\n", body: "", ..INVITE });
    assert_eq!(statuses(&sent), [420]);
    assert!(sent[0].contains("\r\nUnsupported: 100rel, timer\r\n"));
    assert_eq!(door.rule(), RejectReason::UnsupportedExtension);
    assert_eq!(door.endpoint.counts(), EndpointCounts::default(), "what is turned away costs no memory");
}

#[test]
fn requests_for_dialogs_nobody_knows_get_481() {
    for method in ["BYE", "INFO", "UPDATE", "OPTIONS", "INVITE", "CANCEL"] {
        let (start, cseq) = (format!("{method} sip:192.0.2.20 SIP/2.0"), format!("1 {method}"));
        let sent = Door::new().put(&bare(&start, "s", &cseq, ";tag=nobody"));
        assert_eq!(statuses(&sent), [481], "{method}");
    }
    let sent = Door::new().put(&bare("BYE sip:192.0.2.20 SIP/2.0", "s", "1 BYE", ""));
    assert_eq!(statuses(&sent), [481]);
}

#[test]
fn an_ack_is_never_answered() {
    assert!(Door::new().put(&bare("ACK sip:192.0.2.20 SIP/2.0", "a", "1 ACK", ";tag=x")).is_empty());
    assert!(Door::new().put(&bare("ACK bad uri SIP/2.0", "a", "1 ACK", "")).is_empty());
}

#[test]
fn a_request_that_came_by_two_ways_is_merged() {
    let mut door = Door::new();
    assert_eq!(statuses(&door.put(&INVITE)), [100]);
    assert_eq!(statuses(&door.put(&Ask { branch: "two", ..INVITE })), [482]);
    assert_eq!(door.rule(), RejectReason::MergedRequest);
}

#[test]
fn loops_and_endless_ways_are_cut() {
    let mut door = Door::new();
    let sent =
        door.put(&Ask { extra: "Via: SIP/2.0/UDP 192.0.2.20:5060;branch=z9hG4bKx\r\n", body: "", ..INVITE });
    assert_eq!((statuses(&sent), door.rule()), (vec![482], RejectReason::LoopedRequest));
    let hops = "Via: SIP/2.0/UDP hop.test;branch=z9hG4bKh\r\n".repeat(71);
    let sent = door.put(&Ask { extra: &hops, body: "", ..INVITE });
    assert_eq!((statuses(&sent), door.rule()), (vec![483], RejectReason::TooManyHops));
}

#[test]
fn a_repeated_invite_is_answered_as_before_and_is_no_second_call() {
    let mut door = Door::new();
    let first = door.put(&INVITE);
    assert_eq!(first, door.put(&INVITE));
    let call = door.call();
    door.endpoint.ring(call, door.now).unwrap();
    door.collect();
    let ringing = door.sent.clone();
    assert_eq!(ringing, door.put(&INVITE));
    assert_eq!(door.events.len(), 1);
}

#[test]
fn a_refusal_is_repeated_until_acknowledged_and_then_forgotten() {
    let mut door = Door::new();
    door.put(&INVITE);
    let wait = Some(RetryAfter(Duration::from_secs(7)));
    door.endpoint.reject(door.call(), StatusCode::BUSY_HERE, wait, door.now).unwrap();
    door.collect();
    assert!(door.sent[0].contains("\r\nRetry-After: 7\r\n"));
    let tag = tag_of(&door.sent[0]);
    assert_eq!(statuses(&door.pass(Duration::from_millis(1600))), [486, 486]);
    door.put(&bare("ACK sip:desk@192.0.2.20 SIP/2.0", "one", "5 ACK", &tag));
    assert!(door.pass(Duration::from_mins(1)).is_empty());
    assert_eq!(door.ends(), [DialogEnd::RejectedByUs(StatusCode::BUSY_HERE)]);
    assert_eq!(door.endpoint.counts(), EndpointCounts::default());
}

#[test]
fn an_ack_with_a_branch_of_its_own_stops_a_refusal_when_its_tags_fit() {
    let mut door = Door::new();
    door.put(&INVITE);
    door.endpoint.reject(door.call(), StatusCode::FORBIDDEN, None, door.now).unwrap();
    door.collect();
    let tag = tag_of(&door.sent[0]);
    door.put(&bare("ACK sip:desk@192.0.2.20 SIP/2.0", "wrong", "5 ACK", ";tag=guess"));
    assert_eq!(statuses(&door.pass(Duration::from_millis(600))), [403]);
    door.put(&bare("ACK sip:desk@192.0.2.20 SIP/2.0", "wrong", "5 ACK", &tag));
    assert!(door.pass(Duration::from_mins(1)).is_empty());
    assert_eq!(door.endpoint.counts(), EndpointCounts::default());
}

#[test]
fn cancel_ends_a_call_that_is_not_answered() {
    let mut door = Door::new();
    door.put(&INVITE);
    let call = door.call();
    let cancel = bare("CANCEL sip:desk@192.0.2.20 SIP/2.0", "one", "5 CANCEL", "");
    let sent = door.put(&cancel);
    assert_eq!(statuses(&sent), [200, 487]);
    assert_eq!(door.ends(), [DialogEnd::Cancelled]);
    assert_eq!(statuses(&door.put(&cancel)), [200], "a repeated CANCEL is answered, the INVITE is not again");
    assert_eq!(door.endpoint.accept(call, &sdp("v=0"), door.now), Err(WrongCallState(call)));
    door.pass(Duration::from_mins(1));
    assert_eq!(door.endpoint.counts(), EndpointCounts::default());
}

#[test]
fn over_the_bounds_is_503_with_a_time_to_wait() {
    let mut door = Door::with(EndpointLimits { max_calls: 1, ..EndpointLimits::default() });
    assert_eq!(statuses(&door.put(&INVITE)), [100]);
    let other =
        INVITE.text().replace("Call-ID: door", "Call-ID: other").replace("z9hG4bKone", "z9hG4bKother");
    let sent = door.put_text(&other);
    assert_eq!((statuses(&sent), door.rule()), (vec![503], RejectReason::CallTableFull));
    assert!(sent[0].contains("\r\nRetry-After: 5\r\n"));
    let mut door = Door::with(EndpointLimits { max_server_transactions: 0, ..EndpointLimits::default() });
    assert_eq!((statuses(&door.put(&INVITE)), door.rule()), (vec![503], RejectReason::TransactionTableFull));
}

#[test]
fn answers_go_back_to_where_the_request_came_from() {
    let mut door = Door::new();
    let behind_nat = bare("OPTIONS sip:x SIP/2.0", "n", "1 OPTIONS", "").text();
    let behind_nat = behind_nat.replace("192.0.2.10:5070;branch", "10.1.1.1:9999;rport;branch");
    // `put_text` checks that it goes to the source.
    let sent = door.put_text(&behind_nat);
    assert!(
        sent[0].contains("Via: SIP/2.0/UDP 10.1.1.1:9999;rport=5070;branch=z9hG4bKn;received=192.0.2.10\r\n")
    );
}

#[test]
fn the_trace_holds_the_messages_of_a_call_in_order_and_no_secret() {
    let mut door = Door::new();
    door.put(&bare("OPTIONS sip:x SIP/2.0", "noise", "1 OPTIONS", ""));
    door.put(&Ask { extra: "Authorization: Digest response=\"s3cret\"\r\n", body: "", ..INVITE });
    door.put(&bare("CANCEL sip:desk@192.0.2.20 SIP/2.0", "one", "5 CANCEL", ""));
    let records: Vec<_> = std::iter::from_fn(|| door.endpoint.poll_trace()).collect();
    let starts: Vec<&str> = records.iter().map(|r| r.text.split(' ').take(2).last().unwrap()).collect();
    assert_eq!(starts, ["sip:desk@192.0.2.20", "100", "sip:desk@192.0.2.20", "200", "487"]);
    assert!(records.iter().all(|record| record.call == door.call() && !record.text.contains("s3cret")));
}

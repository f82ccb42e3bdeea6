//! Requests within a dialog (RFC 3261 sections 12 to 15): ACK, BYE, CANCEL, re-INVITE, UPDATE, INFO and OPTIONS.

use std::time::Duration;

use super::super::{
    DialogEnd, EndpointCounts, EndpointLimits, Event, InviteRejection, ReInviteMethod, RejectReason,
    WrongCallState,
};
use super::harness::{Harness, INVITE, TestRequest, status, statuses, tag_of, without_body};
use super::pair::sdp;
use crate::message::{Reason, ReasonProtocol, StatusCode, Warning, WarningCode};

#[test]
fn a_2xx_without_ack_is_retransmitted_and_then_followed_by_bye() {
    let mut harness = Harness::new();
    harness.receive(&INVITE);
    harness.endpoint.accept(harness.call(), &sdp("v=0\r\n"), harness.now).unwrap();
    harness.collect();
    let sent = harness.advance(Duration::from_secs(31));
    assert!(sent.len() >= 9 && sent.iter().all(|text| status(text) == 200), "{}", sent.len());
    let sent = harness.advance(Duration::from_secs(2));
    assert!(sent.iter().any(|text| text.starts_with("BYE sip:probe@192.0.2.10:5070 SIP/2.0")));
    harness.advance(Duration::from_mins(2));
    assert_eq!(harness.dialog_ends(), [DialogEnd::AckTimeout]);
    assert_eq!(harness.endpoint.counts(), EndpointCounts::default());
}

#[test]
fn cancel_after_the_final_response_has_no_effect() {
    let (mut harness, call, _) = Harness::established();
    assert_eq!(
        harness.statuses(&without_body("CANCEL sip:desk@192.0.2.20 SIP/2.0", "one", "5 CANCEL", "")),
        [200]
    );
    assert!(harness.dialog_ends().is_empty());
    harness.endpoint.hang_up(call, harness.now).unwrap();
}

#[test]
fn bye_waits_for_the_ack() {
    let mut harness = Harness::new();
    harness.receive(&INVITE);
    let call = harness.call();
    harness.endpoint.accept(call, &sdp("v=0\r\n"), harness.now).unwrap();
    harness.collect();
    let tag = tag_of(&harness.sent.pop().unwrap());
    harness.endpoint.hang_up(call, harness.now).unwrap();
    harness.collect();
    assert!(harness.sent.is_empty());
    let sent = harness.receive(&without_body("ACK sip:192.0.2.20 SIP/2.0", "ack", "5 ACK", &tag));
    assert!(sent[0].starts_with("BYE "));
}

#[test]
fn bye_has_the_route_set_and_the_from_and_to_of_the_dialog() {
    let mut harness = Harness::new();
    let routes =
        "Record-Route: <sip:192.0.2.10:5070;lr>, <sip:core.test;lr>\r\nContent-Type: application/sdp\r\n";
    harness.receive(&TestRequest { extra: routes, ..INVITE });
    let call = harness.call();
    harness.endpoint.accept(call, &sdp("v=0\r\n"), harness.now).unwrap();
    harness.collect();
    let answer = harness.sent.pop().unwrap();
    assert!(answer.contains("\r\nRecord-Route: <sip:192.0.2.10:5070;lr>, <sip:core.test;lr>\r\n"));
    let tag = tag_of(&answer);
    harness.receive(&without_body("ACK sip:192.0.2.20 SIP/2.0", "ack", "5 ACK", &tag));
    harness.endpoint.hang_up(call, harness.now).unwrap();
    harness.collect();
    let bye = harness.sent.pop().unwrap();
    assert!(bye.starts_with("BYE sip:probe@192.0.2.10:5070 SIP/2.0\r\n"), "{bye}");
    assert!(bye.contains("\r\nRoute: <sip:192.0.2.10:5070;lr>\r\nRoute: <sip:core.test;lr>\r\n"), "{bye}");
    assert!(bye.contains(&format!("\r\nFrom: <sip:desk@callee.test>{tag}\r\n")), "{bye}");
    assert!(bye.contains("\r\nTo: <sip:probe@caller.test>;tag=pt\r\n"), "{bye}");
    assert!(bye.contains("\r\nCSeq: 1 BYE\r\n"), "{bye}");
}

#[test]
fn in_dialog_requests_are_answered_and_their_cseq_must_increase() {
    let (mut harness, _, tag) = Harness::established();
    assert_eq!(harness.statuses(&without_body("OPTIONS sip:x SIP/2.0", "b1", "6 OPTIONS", &tag)), [200]);
    assert_eq!(harness.statuses(&without_body("UPDATE sip:x SIP/2.0", "b2", "7 UPDATE", &tag)), [200]);
    assert_eq!(harness.statuses(&without_body("OPTIONS sip:x SIP/2.0", "b3", "7 OPTIONS", &tag)), [500]);
    assert_eq!(harness.reject_reason(), RejectReason::CSeqNotAdvanced);
    let dtmf = TestRequest {
        start: "INFO sip:x SIP/2.0",
        branch: "b4",
        to_tag: &tag,
        cseq: "8 INFO",
        extra: "Content-Type: application/dtmf-relay\r\n",
        body: "Signal=5\r\nDuration=160\r\n",
    };
    assert_eq!(harness.statuses(&dtmf), [200]);
    assert_eq!(harness.statuses(&dtmf), [200], "a retransmission gets the same response");
    let digits =
        |harness: &Harness| harness.events.iter().filter(|event| matches!(event, Event::Dtmf { .. })).count();
    assert_eq!(digits(&harness), 1, "but is reported once");
    let odd = TestRequest { branch: "b5", cseq: "9 INFO", extra: "Content-Type: text/odd\r\n", ..dtmf };
    let sent = harness.receive(&odd);
    assert_eq!(statuses(&sent), [415]);
    assert!(sent[0].contains("\r\nAccept: application/dtmf-relay, application/dtmf\r\n"));
    let malformed = TestRequest { branch: "b5b", cseq: "9 INFO", body: "Signal=X\r\n", ..dtmf };
    assert_eq!(harness.statuses(&TestRequest { cseq: "10 INFO", ..malformed }), [400]);
    assert_eq!(digits(&harness), 1);
    let bye = without_body("BYE sip:x SIP/2.0", "b6", "11 BYE", &tag);
    assert_eq!(harness.statuses(&bye), [200]);
    assert_eq!(harness.statuses(&bye), [200], "a retransmitted BYE gets the same response");
    assert_eq!(harness.dialog_ends(), [DialogEnd::ByeReceived]);
    harness.advance(Duration::from_mins(1));
    assert_eq!(harness.endpoint.counts(), EndpointCounts::default());
}

#[test]
fn the_2xx_of_a_reinvite_is_retransmitted_until_the_ack() {
    let (mut harness, call, tag) = Harness::established();
    let reinvite =
        TestRequest { start: "INVITE sip:x SIP/2.0", branch: "re", to_tag: &tag, cseq: "6 INVITE", ..INVITE };
    assert_eq!(harness.statuses(&reinvite), [100]);
    let offered = matches!(
        harness.events.last(),
        Some(Event::ReInvite { method: ReInviteMethod::Invite, offer: Some(_), .. })
    );
    assert!(offered, "{:?}", harness.events.last());
    let glare = TestRequest { branch: "re2", cseq: "7 INVITE", ..reinvite };
    let sent = harness.receive(&glare);
    assert_eq!((statuses(&sent), harness.reject_reason()), (vec![500], RejectReason::ReInvitePending));
    assert!(sent[0].contains("\r\nRetry-After: "));
    harness.endpoint.accept_reinvite(call, &sdp("v=0 again"), harness.now).unwrap();
    harness.collect();
    assert!(harness.sent.pop().unwrap().ends_with("\r\n\r\nv=0 again"));
    assert_eq!(harness.statuses(&TestRequest { branch: "re3", cseq: "8 INVITE", ..reinvite }), [491]);
    assert!(statuses(&harness.advance(Duration::from_millis(600))).contains(&200));
    harness.receive(&without_body("ACK sip:x SIP/2.0", "ack2", "6 ACK", &tag));
    assert!(harness.advance(Duration::from_secs(1)).iter().all(|text| status(text) != 200));
    assert!(harness.dialog_ends().is_empty());
}

#[test]
fn a_rejected_or_cancelled_reinvite_keeps_the_call() {
    let (mut harness, call, tag) = Harness::established();
    let reinvite =
        TestRequest { start: "INVITE sip:x SIP/2.0", branch: "re", to_tag: &tag, cseq: "6 INVITE", ..INVITE };
    harness.receive(&reinvite);
    let warning = Warning { code: WarningCode::IncompatibleMediaFormat, text: "no_common_codec" };
    let rejection =
        InviteRejection { warning: Some(warning), ..InviteRejection::of(StatusCode::NOT_ACCEPTABLE_HERE) };
    harness.endpoint.reject_reinvite(call, rejection, harness.now).unwrap();
    harness.collect();
    assert_eq!(statuses(&harness.sent), [488]);
    let expected = "\r\nWarning: 305 192.0.2.20:5060 \"no_common_codec\"\r\n";
    assert!(harness.sent[0].contains(expected), "{}", harness.sent[0]);
    harness.receive(&TestRequest { branch: "re2", cseq: "7 INVITE", ..reinvite });
    let sent = harness.receive(&without_body("CANCEL sip:x SIP/2.0", "re2", "7 CANCEL", &tag));
    assert_eq!(statuses(&sent), [200, 487]);
    assert!(matches!(harness.events.last(), Some(Event::ReInviteCancelled { .. })));
    assert!(harness.endpoint.accept_reinvite(call, &sdp("v=0"), harness.now).is_err());
    assert!(harness.dialog_ends().is_empty());
}

#[test]
fn bye_in_an_early_dialog_terminates_the_invite_with_487() {
    let mut harness = Harness::new();
    harness.receive(&INVITE);
    harness.endpoint.ring(harness.call(), harness.now).unwrap();
    harness.collect();
    let tag = tag_of(harness.sent.last().unwrap());
    let sent = harness.receive(&without_body("BYE sip:x SIP/2.0", "bye", "6 BYE", &tag));
    assert_eq!(statuses(&sent), [200, 487]);
    assert_eq!(harness.dialog_ends(), [DialogEnd::ByeReceived]);
}

#[test]
fn the_ack_carries_the_answer_to_an_offer_in_the_2xx() {
    let mut harness = Harness::new();
    harness.receive(&TestRequest { extra: "", body: "", ..INVITE });
    let late = matches!(harness.events.last(), Some(Event::Incoming(incoming)) if incoming.offer.is_none());
    assert!(late);
    harness.endpoint.accept(harness.call(), &sdp("v=0 offer"), harness.now).unwrap();
    harness.collect();
    let tag = tag_of(&harness.sent.pop().unwrap());
    harness.receive(&TestRequest {
        start: "ACK sip:x SIP/2.0",
        branch: "ack",
        to_tag: &tag,
        cseq: "5 ACK",
        ..INVITE
    });
    match harness.events.last() {
        Some(Event::Confirmed { answer: Some(answer), .. }) => assert_eq!(answer.as_bytes(), b"v=0\r\n"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn hanging_up_terminates_a_pending_reinvite_with_487() {
    let (mut harness, call, tag) = Harness::established();
    harness.receive(&TestRequest {
        start: "INVITE sip:x SIP/2.0",
        branch: "re",
        to_tag: &tag,
        cseq: "6 INVITE",
        ..INVITE
    });
    harness.endpoint.hang_up(call, harness.now).unwrap();
    harness.collect();
    assert_eq!(status(&harness.sent[0]), 487);
    assert!(harness.sent[1].starts_with("BYE "));
    assert_eq!(harness.endpoint.accept_reinvite(call, &sdp("v=0"), harness.now), Err(WrongCallState(call)));
    harness.advance(Duration::from_mins(2));
    assert_eq!(harness.dialog_ends(), [DialogEnd::ByeSent { confirmed: false }]);
    assert_eq!(harness.endpoint.counts(), EndpointCounts::default());
}

#[test]
fn a_table_full_of_initial_invites_does_not_refuse_in_dialog_requests() {
    let limits =
        EndpointLimits { max_server_transactions: 40, max_calls: 1_000, ..EndpointLimits::default() };
    let (mut harness, call, tag) = Harness::established_with(limits);
    for n in 0..100 {
        let flood = INVITE.text().replace("Call-ID: test", &format!("Call-ID: flood-{n}"));
        harness.receive_text(&flood.replace("z9hG4bKone", &format!("z9hG4bKflood{n}")));
    }
    assert_eq!(harness.reject_reason(), RejectReason::TransactionTableFull);
    let reinvite =
        TestRequest { start: "INVITE sip:x SIP/2.0", branch: "re", to_tag: &tag, cseq: "6 INVITE", ..INVITE };
    assert_eq!(harness.statuses(&reinvite), [100]);
    harness.endpoint.accept_reinvite(call, &sdp("v=0 again"), harness.now).unwrap();
    harness.receive(&without_body("ACK sip:x SIP/2.0", "ack2", "6 ACK", &tag));
    assert_eq!(harness.statuses(&without_body("OPTIONS sip:x SIP/2.0", "b1", "7 OPTIONS", &tag)), [200]);
    assert_eq!(harness.statuses(&without_body("BYE sip:x SIP/2.0", "b2", "8 BYE", &tag)), [200]);
    assert!(harness.dialog_ends().contains(&DialogEnd::ByeReceived));
}

#[test]
fn one_call_cannot_use_up_the_transactions_of_other_calls_and_its_bye_is_accepted() {
    let limits = EndpointLimits { max_transactions_per_call: 4, ..EndpointLimits::default() };
    let (mut harness, _, tag) = Harness::established_with(limits);
    let mut options = |n: u32| {
        let (branch, cseq) = (format!("o{n}"), format!("{n} OPTIONS"));
        harness.statuses(&without_body("OPTIONS sip:x SIP/2.0", &branch, &cseq, &tag))
    };
    assert_eq!((6..12).flat_map(&mut options).collect::<Vec<_>>(), [200, 200, 200, 200, 503, 503]);
    assert_eq!(harness.reject_reason(), RejectReason::CallTransactionsFull);
    let sent = harness.receive(&without_body("BYE sip:x SIP/2.0", "bye", "20 BYE", &tag));
    assert_eq!(statuses(&sent), [200]);
    assert_eq!(harness.dialog_ends(), [DialogEnd::ByeReceived]);
    harness.advance(Duration::from_mins(1));
    assert_eq!(harness.endpoint.counts(), EndpointCounts::default());
}

#[test]
fn a_bye_whose_cseq_has_not_advanced_ends_the_call() {
    let (mut harness, _, tag) = Harness::established();
    assert_eq!(harness.statuses(&without_body("OPTIONS sip:x SIP/2.0", "b1", "6 OPTIONS", &tag)), [200]);
    assert_eq!(harness.statuses(&without_body("BYE sip:x SIP/2.0", "b2", "5 BYE", &tag)), [500], "lower");
    assert_eq!(harness.statuses(&without_body("BYE sip:x SIP/2.0", "b3", "6 BYE", &tag)), [200], "equal");
    assert_eq!(harness.dialog_ends(), [DialogEnd::ByeReceived]);
}

#[test]
fn the_reason_of_a_received_bye_or_cancel_is_reported() {
    let reason = |harness: &Harness| match harness.events.last() {
        Some(Event::Ended { reason, .. }) => reason.clone(),
        other => panic!("{other:?}"),
    };
    let (mut harness, _, tag) = Harness::established();
    let bye = without_body("BYE sip:x SIP/2.0", "b1", "6 BYE", &tag);
    harness
        .receive(&TestRequest { extra: "Reason: Q.850;cause=16;text=\"Normal call clearing\"\r\n", ..bye });
    assert_eq!(reason(&harness).as_deref(), Some("Q.850;cause=16;text=\"Normal call clearing\""));
    let mut harness = Harness::new();
    harness.receive(&INVITE);
    let cancel = without_body("CANCEL sip:desk@192.0.2.20 SIP/2.0", "one", "5 CANCEL", "");
    harness.receive(&TestRequest { extra: "Reason: SIP;cause=200\r\n", ..cancel });
    assert_eq!(reason(&harness).as_deref(), Some("SIP;cause=200"));
    let (mut harness, _, tag) = Harness::established();
    harness.receive(&without_body("BYE sip:x SIP/2.0", "b1", "6 BYE", &tag));
    assert_eq!(reason(&harness), None);
}

#[test]
fn our_bye_carries_its_reason() {
    const REASON: Reason = Reason { protocol: ReasonProtocol::Q850, cause: 16, text: "agent_hangup" };
    let (mut harness, call, _) = Harness::established();
    harness.endpoint.hang_up_because(call, Some(REASON), harness.now).unwrap();
    harness.collect();
    assert!(
        harness.sent[0].contains("\r\nReason: Q.850;cause=16;text=\"agent_hangup\"\r\n"),
        "{:?}",
        harness.sent
    );
    let mut harness = Harness::new();
    harness.receive(&INVITE);
    let call = harness.call();
    harness.endpoint.accept(call, &sdp("v=0\r\n"), harness.now).unwrap();
    harness.endpoint.hang_up_because(call, Some(REASON), harness.now).unwrap();
    harness.collect();
    let tag = tag_of(&harness.sent.pop().unwrap());
    let sent = harness.receive(&without_body("ACK sip:192.0.2.20 SIP/2.0", "ack", "5 ACK", &tag));
    assert!(sent[0].starts_with("BYE ") && sent[0].contains("\r\nReason: Q.850;cause=16;"), "after the ACK");
}

#[test]
fn the_transactions_within_a_dialog_are_bounded_in_bytes_and_bye_is_accepted_beyond_it() {
    let limits = EndpointLimits { max_transaction_bytes_per_call: 40_000, ..EndpointLimits::default() };
    let (mut harness, _, tag) = Harness::established_with(limits);
    let long = format!("X-Long: {}\r\n", "x".repeat(10_000));
    let mut answers = Vec::new();
    for n in 6..12 {
        let (branch, cseq) = (format!("o{n}"), format!("{n} OPTIONS"));
        let options = without_body("OPTIONS sip:x SIP/2.0", &branch, &cseq, &tag);
        answers.extend(harness.statuses(&TestRequest { extra: &long, ..options }));
    }
    assert_eq!(answers, [200, 200, 503, 503, 503, 503]);
    harness.advance(Duration::from_mins(1));
    assert_eq!(harness.statuses(&without_body("OPTIONS sip:x SIP/2.0", "later", "20 OPTIONS", &tag)), [200]);
    assert_eq!(harness.statuses(&without_body("BYE sip:x SIP/2.0", "bye", "21 BYE", &tag)), [200]);
}

#[test]
fn bye_goes_to_the_source_of_the_invite_if_its_contact_is_private() {
    for contact in
        ["10.1.1.1:5060", "192.168.0.7", "100.64.1.1", "127.0.0.1:5070", "[fd00::1]:5060", "0.0.0.0"]
    {
        let mut harness = Harness::new();
        let invite = INVITE.text().replace("<sip:probe@192.0.2.10:5070>", &format!("<sip:probe@{contact}>"));
        let sent = harness.receive_text(&invite);
        assert_eq!(statuses(&sent), [100], "{contact}");
        harness.endpoint.accept(harness.call(), &sdp("v=0\r\n"), harness.now).unwrap();
        harness.collect();
        let tag = tag_of(&harness.sent.pop().unwrap());
        harness.receive(&without_body("ACK sip:192.0.2.20 SIP/2.0", "ack", "5 ACK", &tag));
        harness.endpoint.hang_up(harness.call(), harness.now).unwrap();
        // `collect` checks the destination.
        harness.collect();
        assert!(harness.sent[0].starts_with(&format!("BYE sip:probe@{contact} SIP/2.0")), "{contact}");
    }
}

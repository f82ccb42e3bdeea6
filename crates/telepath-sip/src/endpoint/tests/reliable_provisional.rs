//! Reliable provisional responses and PRACK (RFC 3262), as the UAS and as the UAC.

use std::time::Duration;

use super::super::{DialogEnd, EndpointCounts, Event, RejectReason};
use super::harness::{Harness, INVITE, TestRequest, header, status, statuses, tag_of, without_body};
use super::pair::{NetworkConditions, Pair, from_callee, sdp};

const REQUIRED: TestRequest<'static> =
    TestRequest { extra: "Content-Type: application/sdp\r\nRequire: 100rel\r\n", ..INVITE };

/// A call that rings, the tag of its 180 and its `RSeq`.
fn ringing(invite: &TestRequest<'_>) -> (Harness, Vec<String>) {
    let mut harness = Harness::new();
    harness.receive(invite);
    harness.endpoint.ring(harness.call(), harness.now).unwrap();
    harness.collect();
    let sent = std::mem::take(&mut harness.sent);
    (harness, sent)
}

fn rseq(ringing: &str) -> u32 {
    header(ringing, "RSeq").unwrap().parse().unwrap()
}

fn prack(harness: &mut Harness, branch: &str, cseq: u32, tag: &str, rack: &str) -> Vec<String> {
    let (number, extra) = (format!("{cseq} PRACK"), format!("RAck: {rack}\r\n"));
    let request = without_body("PRACK sip:x SIP/2.0", branch, &number, tag);
    harness.receive(&TestRequest { extra: &extra, ..request })
}

#[test]
fn a_180_is_sent_reliably_only_if_the_caller_requires_it() {
    let (_, sent) =
        ringing(&TestRequest { extra: "Content-Type: application/sdp\r\nSupported: 100rel\r\n", ..INVITE });
    assert_eq!((status(&sent[0]), header(&sent[0], "RSeq")), (180, None));
    let (_, sent) = ringing(&REQUIRED);
    assert_eq!((status(&sent[0]), header(&sent[0], "Require")), (180, Some("100rel")));
    assert!((1..1 << 31).contains(&rseq(&sent[0])));
}

#[test]
fn a_reliable_180_is_repeated_with_doubling_intervals_until_its_prack() {
    let (mut harness, sent) = ringing(&REQUIRED);
    let (tag, rseq) = (tag_of(&sent[0]), rseq(&sent[0]));
    // 0.5, 1.5, 3.5 and 7.5 s after the first.
    let repeated = harness.advance(Duration::from_secs(8));
    assert_eq!(repeated.len(), 4, "{repeated:?}");
    assert!(repeated.iter().all(|message| *message == sent[0]));
    assert_eq!(statuses(&prack(&mut harness, "p", 6, &tag, &format!("{rseq} 5 INVITE"))), [200]);
    assert!(harness.advance(Duration::from_mins(1)).is_empty());
    let call = harness.call();
    harness.endpoint.accept(call, &sdp("v=0\r\n"), harness.now).unwrap();
    harness.collect();
    harness.receive(&without_body("ACK sip:x SIP/2.0", "ack", "5 ACK", &tag));
    assert!(matches!(harness.events.last(), Some(Event::Confirmed { .. })), "the CSeq of the INVITE counts");
}

#[test]
fn an_invite_whose_reliable_180_gets_no_prack_is_rejected_with_504() {
    let (mut harness, _) = ringing(&REQUIRED);
    let sent = harness.advance(Duration::from_secs(33));
    let last = sent.iter().map(|message| status(message)).rfind(|status| *status >= 200);
    assert_eq!(last, Some(504));
    assert_eq!(harness.dialog_ends(), [DialogEnd::PrackTimeout]);
    harness.advance(Duration::from_mins(1));
    assert_eq!(harness.endpoint.counts(), EndpointCounts::default());
}

#[test]
fn a_prack_that_matches_nothing_is_refused_with_481_and_a_malformed_one_with_400() {
    let (mut harness, sent) = ringing(&REQUIRED);
    let (tag, rseq) = (tag_of(&sent[0]), rseq(&sent[0]));
    let wrong = [
        format!("{} 5 INVITE", rseq + 1),
        format!("{} 5 INVITE", rseq - 1),
        format!("{rseq} 4 INVITE"),
        format!("{rseq} 5 UPDATE"),
        "4294967295 4294967295 INVITE".to_owned(),
    ];
    for (number, rack) in (6..).zip(&wrong) {
        assert_eq!(
            statuses(&prack(&mut harness, &format!("w{number}"), number, &tag, rack)),
            [481],
            "{rack}"
        );
        assert_eq!(harness.reject_reason(), RejectReason::UnknownProvisional);
    }
    let malformed = ["", "1", "1 5", "-1 5 INVITE", "99999999999 5 INVITE", "1 5 INVITE x"];
    for (number, rack) in (20..).zip(malformed) {
        assert_eq!(
            statuses(&prack(&mut harness, &format!("m{number}"), number, &tag, rack)),
            [400],
            "{rack}"
        );
    }
    let rack = format!("{rseq} 5 INVITE");
    assert_eq!(statuses(&prack(&mut harness, "right", 30, &tag, &rack)), [200]);
    assert_eq!(statuses(&prack(&mut harness, "again", 31, &tag, &rack)), [481], "it is acknowledged already");
}

#[test]
fn a_prack_after_the_2xx_is_still_answered() {
    let (mut harness, sent) = ringing(&REQUIRED);
    let (tag, rseq) = (tag_of(&sent[0]), rseq(&sent[0]));
    harness.endpoint.accept(harness.call(), &sdp("v=0\r\n"), harness.now).unwrap();
    harness.collect();
    harness.sent.clear();
    assert_eq!(statuses(&prack(&mut harness, "p", 6, &tag, &format!("{rseq} 5 INVITE"))), [200]);
    let repeated = harness.advance(Duration::from_secs(4));
    assert!(repeated.iter().all(|message| status(message) == 200), "only the 200 is repeated");
}

#[test]
fn a_prack_with_an_offer_is_refused_but_acknowledges_the_180() {
    let (mut harness, sent) = ringing(&REQUIRED);
    let (tag, rseq) = (tag_of(&sent[0]), rseq(&sent[0]));
    let extra = format!("RAck: {rseq} 5 INVITE\r\nContent-Type: application/sdp\r\n");
    let request = without_body("PRACK sip:x SIP/2.0", "p", "6 PRACK", &tag);
    let sent = harness.receive(&TestRequest { extra: &extra, body: "v=0\r\n", ..request });
    assert_eq!(statuses(&sent), [500]);
    assert!(header(&sent[0], "Retry-After").is_some());
    assert!(harness.advance(Duration::from_mins(1)).is_empty());
}

#[test]
fn a_late_offer_with_required_100rel_gets_no_180() {
    let (mut harness, sent) = ringing(&TestRequest { extra: "Require: 100rel\r\n", body: "", ..INVITE });
    assert_eq!(sent, Vec::<String>::new());
    harness.endpoint.accept(harness.call(), &sdp("v=0\r\n"), harness.now).unwrap();
    harness.collect();
    assert_eq!(statuses(&harness.sent), [200]);
}

#[test]
fn a_cancelled_call_stops_its_reliable_180() {
    let (mut harness, _) = ringing(&REQUIRED);
    let sent = harness.receive(&without_body("CANCEL sip:desk@192.0.2.20 SIP/2.0", "one", "5 CANCEL", ""));
    assert_eq!(statuses(&sent), [200, 487]);
    let repeated = harness.advance(Duration::from_secs(40));
    assert!(repeated.iter().all(|message| status(message) == 487), "{repeated:?}");
    assert_eq!(harness.endpoint.counts().timers, 0);
}

/// A provisional response of the callee to the caller's INVITE.
fn provisional(pair: &Pair, tag: &str, rseq: u32) -> String {
    let invite = &pair.log[0].1;
    let line = |name: &str| invite.lines().find(|line| line.starts_with(name)).unwrap();
    let lines: Vec<&str> = ["Via: ", "From: ", "Call-ID: ", "CSeq: "].map(line).to_vec();
    format!(
        "SIP/2.0 180 Ringing\r\n{}\r\n{};tag={tag}\r\nContact: <sip:{tag}@192.0.2.20:5060>\r\nRequire: 100rel\r\n\
         RSeq: {rseq}\r\nContent-Length: 0\r\n\r\n",
        lines.join("\r\n"),
        line("To: "),
    )
}

/// Delivers a provisional response and returns the `RAck` and To of the PRACK that follows.
fn acknowledged(pair: &mut Pair, tag: &str, rseq: u32) -> Option<(String, String)> {
    let text = provisional(pair, tag, rseq);
    let before = pair.log.len();
    pair.caller.handle_message(from_callee(), text.as_bytes(), pair.now);
    pair.settle();
    let prack = pair.log[before..].iter().find(|(_, text)| text.starts_with("PRACK "))?;
    Some((header(&prack.1, "RAck")?.to_owned(), header(&prack.1, "To")?.to_owned()))
}

#[test]
fn reliable_provisional_responses_are_acknowledged_in_order_and_per_dialog() {
    let mut pair = Pair::new(1, super::pair::RELIABLE);
    pair.call(None);
    let (rack, to) = acknowledged(&mut pair, "a", 4_000_000_000).unwrap();
    assert_eq!(rack, "4000000000 1 INVITE");
    assert!(to.ends_with(";tag=a"));
    assert_eq!(acknowledged(&mut pair, "a", 4_000_000_000), None, "a retransmission");
    assert_eq!(acknowledged(&mut pair, "a", 4_000_000_002), None, "one is missing");
    assert_eq!(acknowledged(&mut pair, "b", 7).unwrap().0, "7 1 INVITE", "another callee");
    assert_eq!(acknowledged(&mut pair, "a", 4_000_000_001).unwrap().0, "4000000001 1 INVITE");
    let ringing = |events: &[Event]| events.iter().filter(|e| matches!(e, Event::Ringing { .. })).count();
    assert_eq!(ringing(&pair.caller_events), 3);
    for fork in 0..20 {
        acknowledged(&mut pair, &format!("fork{fork}"), 1);
    }
    let pracks = pair.log.iter().filter(|(_, text)| text.starts_with("PRACK ")).count();
    assert_eq!(pracks, 3 + 6, "the dialogs that are followed are bounded");
}

#[test]
fn an_rseq_at_its_end_does_not_overflow() {
    let mut pair = Pair::new(1, super::pair::RELIABLE);
    pair.call(None);
    assert!(acknowledged(&mut pair, "a", u32::MAX).is_some());
    assert_eq!(acknowledged(&mut pair, "a", 0), None);
    assert_eq!(acknowledged(&mut pair, "a", 1), None);
}

#[test]
fn calls_with_required_100rel_complete_on_a_bad_network() {
    let lossy = NetworkConditions { lost: 20, duplicated: 20, delay_ms: 400 };
    for seed in 1..=50 {
        let mut pair = Pair::new(seed, lossy);
        pair.require_reliable();
        let ours = pair.call(None);
        let theirs = pair.incoming();
        pair.callee.ring(theirs, pair.now).unwrap();
        pair.settle();
        pair.until_caller(|event| matches!(event, Event::Ringing { .. }).then_some(()));
        pair.callee.accept(theirs, &sdp("v=0 answer"), pair.now).unwrap();
        pair.settle();
        pair.until_caller(|event| matches!(event, Event::Answered { .. }).then_some(()));
        pair.until_callee(|event| matches!(event, Event::Confirmed { .. }).then_some(()));
        pair.caller.hang_up(ours, pair.now).unwrap();
        pair.settle();
        pair.drain();
    }
}

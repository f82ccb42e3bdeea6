//! Our requests within a dialog (RFC 3261 sections 12.2.1 and 14.1): UPDATE, re-INVITE, INFO and OPTIONS.

use std::time::Duration;

use super::super::{DialogEnd, DialogRequest, EndpointCounts, Event, RequestError};
use super::harness::{Harness, INVITE, TestRequest, header, statuses, without_body};
use super::pair::{NetworkConditions, Pair, RELIABLE, sdp};
use crate::message::{Method, StatusCode};

fn response(events: &[Event]) -> Option<(Method, u16)> {
    events.iter().rev().find_map(|event| match event {
        Event::Response { method, status, .. } => Some((method.clone(), status.code())),
        _ => None,
    })
}

fn offer() -> DialogRequest {
    DialogRequest::ReInvite(sdp("v=0 again"))
}

#[test]
fn requests_within_a_dialog_are_sent_with_increasing_cseq_and_their_responses_reported() {
    let (mut harness, call, _, _) = Harness::established_by("Allow: INVITE, UPDATE\r\n");
    let info = DialogRequest::Info { content_type: "application/dtmf".to_owned(), body: b"5".to_vec() };
    let requests = [
        (info, Method::Info, "1 INFO"),
        (DialogRequest::Options, Method::Options, "2 OPTIONS"),
        (DialogRequest::Update(None), Method::Update, "3 UPDATE"),
        (DialogRequest::Update(Some(sdp("v=0"))), Method::Update, "4 UPDATE"),
    ];
    for (request, method, cseq) in requests {
        let sent = harness.request(call, request);
        assert_eq!(header(&sent, "CSeq"), Some(cseq));
        assert!(harness.respond(&sent, "200 OK", "", "").is_empty());
        assert_eq!(response(&harness.events), Some((method, 200)));
    }
    harness.advance(Duration::from_mins(1));
    assert_eq!(harness.endpoint.counts().client_transactions, 0);
}

#[test]
fn a_reinvite_is_acknowledged_whatever_its_response() {
    let (mut harness, call, _) = Harness::established();
    let sent = harness.request(call, offer());
    assert!(sent.ends_with("v=0 again"));
    let update = harness.request(call, DialogRequest::Update(None));
    assert_eq!(header(&update, "CSeq"), Some("2 UPDATE"));
    let extra = "Content-Type: application/sdp\r\n";
    let ack = harness.respond(&sent, "200 OK", extra, "v=0 answer");
    assert!(ack[0].starts_with("ACK sip:probe@192.0.2.10:5070 SIP/2.0"), "{ack:?}");
    assert_eq!(header(&ack[0], "CSeq"), Some("1 ACK"), "that of its INVITE");
    let answered =
        harness.events.iter().any(|event| matches!(event, Event::Response { answer: Some(_), .. }));
    assert!(answered);
    assert_eq!(harness.respond(&sent, "200 OK", extra, "v=0 answer"), ack, "the ACK was lost");
    harness.respond(&update, "200 OK", "", "");
    let sent = harness.request(call, offer());
    let ack = harness.respond(&sent, "488 Not Acceptable Here", "", "");
    let branch = |message: &str| header(message, "Via").map(str::to_owned);
    assert_eq!((branch(&ack[0]), header(&ack[0], "CSeq")), (branch(&sent), Some("3 ACK")));
    assert_eq!(response(&harness.events), Some((Method::Invite, 488)));
    assert!(harness.dialog_ends().is_empty(), "the session stays as it is");
}

#[test]
fn a_request_that_the_state_of_the_call_does_not_permit_is_refused() {
    let (mut harness, call, _) = Harness::established();
    let now = harness.now;
    harness.request(call, offer());
    let refused = harness.endpoint.request(call, offer(), now);
    assert_eq!(refused, Err(RequestError::OfferPending));
    for _ in 0..7 {
        harness.request(call, DialogRequest::Options);
    }
    let refused = harness.endpoint.request(call, DialogRequest::Options, now);
    assert_eq!(refused, Err(RequestError::TooManyPending));
    harness.endpoint.hang_up(call, now).unwrap();
    let refused = harness.endpoint.request(call, DialogRequest::Options, now);
    assert_eq!(refused, Err(RequestError::NotEstablished));
    let mut ringing = Harness::new();
    ringing.receive(&INVITE);
    let refused = ringing.endpoint.request(ringing.call(), offer(), now);
    assert_eq!(refused, Err(RequestError::NotEstablished));
}

#[test]
fn an_update_without_an_offer_is_sent_and_answered_before_the_call_is_answered() {
    let mut harness = Harness::new();
    harness.receive(&TestRequest {
        extra: "Content-Type: application/sdp\r\nAllow: INVITE, UPDATE\r\n",
        ..INVITE
    });
    let call = harness.call();
    harness.endpoint.ring(call, harness.now).unwrap();
    harness.collect();
    let tag = super::harness::tag_of(harness.sent.last().unwrap());
    let sent = harness.request(call, DialogRequest::Update(None));
    assert!(sent.starts_with("UPDATE "));
    harness.respond(&sent, "200 OK", "", "");
    assert_eq!(harness.statuses(&without_body("UPDATE sip:x SIP/2.0", "u1", "6 UPDATE", &tag)), [200]);
    let with_offer = TestRequest {
        start: "UPDATE sip:x SIP/2.0",
        branch: "u2",
        cseq: "7 UPDATE",
        to_tag: &tag,
        extra: "Content-Type: application/sdp\r\n",
        body: "v=0\r\n",
    };
    let sent = harness.receive(&with_offer);
    assert_eq!(statuses(&sent), [500], "the offer of the INVITE has no answer yet");
    assert!(header(&sent[0], "Retry-After").is_some());
}

#[test]
fn a_408_a_481_or_no_response_ends_the_call() {
    for answer in [Some("408 Request Timeout"), Some("481 Call Does Not Exist"), None] {
        let (mut harness, call, _) = Harness::established();
        let sent = harness.request(call, DialogRequest::Options);
        let sent = match answer {
            Some(status) => harness.respond(&sent, status, "", ""),
            None => harness.advance(Duration::from_secs(33)),
        };
        let bye = sent.iter().find(|message| message.starts_with("BYE ")).unwrap();
        harness.respond(bye, "200 OK", "", "");
        assert_eq!(harness.dialog_ends(), [DialogEnd::PeerLost], "{answer:?}");
        harness.advance(Duration::from_mins(1));
        assert_eq!(harness.endpoint.counts(), EndpointCounts::default());
    }
}

#[test]
fn a_491_is_followed_by_another_attempt_within_two_seconds_if_the_peer_owns_the_call_id() {
    for seed in 1..=20 {
        let (mut harness, call, _) = Harness::established();
        for _ in 0..seed {
            let sent = harness.request(call, DialogRequest::Options);
            harness.respond(&sent, "200 OK", "", "");
        }
        let sent = harness.request(call, offer());
        harness.respond(&sent, "491 Request Pending", "", "");
        assert_eq!(
            harness.endpoint.request(call, offer(), harness.now),
            Err(RequestError::OfferPending),
            "the offer waits"
        );
        let sent = harness.advance(Duration::from_millis(2_001));
        let again: Vec<&String> = sent.iter().filter(|message| message.starts_with("INVITE ")).collect();
        assert!(!again.is_empty());
        let ack = harness.respond(again[0], "200 OK", "", "");
        assert!(ack[0].starts_with("ACK "));
    }
}

#[test]
fn colliding_reinvites_of_both_sides_succeed_in_the_end() {
    let lossy = NetworkConditions { lost: 10, duplicated: 10, delay_ms: 200 };
    for (seed, conditions) in (1..=40).map(|seed| (seed, if seed % 2 == 0 { lossy } else { RELIABLE })) {
        let (mut pair, ours, theirs) = Pair::established(seed, conditions);
        pair.run(Duration::from_secs(10));
        pair.caller.request(ours, offer(), pair.now).unwrap();
        pair.callee.request(theirs, offer(), pair.now).unwrap();
        pair.settle();
        let end = pair.now + Duration::from_mins(1);
        while pair.now < end && pair.step() {
            // Whoever receives a re-INVITE accepts it.
            let _ = pair.caller.accept_reinvite(ours, &sdp("v=0"), pair.now);
            let _ = pair.callee.accept_reinvite(theirs, &sdp("v=0"), pair.now);
            pair.settle();
        }
        let done = [&pair.caller_events, &pair.callee_events].map(|events| response(events));
        assert_eq!(done, [Some((Method::Invite, 200)), Some((Method::Invite, 200))], "seed {seed}");
        let _ = pair.caller.hang_up(ours, pair.now);
        pair.settle();
        pair.drain();
    }
}

#[test]
fn a_challenge_is_answered_once_with_the_credentials_of_the_call() {
    let mut pair = Pair::new(1, RELIABLE);
    let ours = pair.call(Some(("alice", "secret")));
    let theirs = pair.incoming();
    pair.callee.accept(theirs, &sdp("v=0"), pair.now).unwrap();
    pair.settle();
    pair.until_caller(|event| matches!(event, Event::Answered { .. }).then_some(()));
    pair.caller.request(ours, DialogRequest::Options, pair.now).unwrap();
    let mut attempts = 0;
    while let Some(out) = pair.caller.poll_transmit() {
        let text = String::from_utf8_lossy(&out.payload).into_owned();
        if !text.starts_with("OPTIONS ") {
            continue;
        }
        attempts += 1;
        assert_eq!(header(&text, "Proxy-Authorization").is_some(), attempts > 1);
        let line = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap();
        let lines = ["Via: ", "From: ", "To: ", "Call-ID: ", "CSeq: "].map(line).join("\r\n");
        let challenge = format!(
            "SIP/2.0 407 Proxy Authentication Required\r\n{lines}\r\nProxy-Authenticate: Digest realm=\"r\", \
             nonce=\"{attempts}\", qop=\"auth\"\r\nContent-Length: 0\r\n\r\n"
        );
        pair.caller.handle_message(super::pair::from_callee(), challenge.as_bytes(), pair.now);
    }
    assert_eq!(attempts, 2, "only a stale nonce would justify a third");
    pair.settle();
    assert_eq!(response(&pair.caller_events), Some((Method::Options, 407)));
}

#[test]
fn a_reinvite_that_only_gets_provisional_responses_ends_the_call_after_a_bounded_time() {
    let (mut harness, call, _) = Harness::established();
    let sent = harness.request(call, offer());
    harness.respond(&sent, "183 Session Progress", "", "");
    assert!(harness.advance(Duration::from_secs(179)).is_empty());
    let sent = harness.advance(Duration::from_secs(2));
    assert!(sent[0].starts_with("BYE "), "{sent:?}");
}

#[test]
fn a_reinvite_of_the_peer_is_refused_with_491_while_ours_is_pending() {
    let (mut harness, call, tag) = Harness::established();
    harness.request(call, offer());
    let reinvite = TestRequest { branch: "two", cseq: "6 INVITE", to_tag: &tag, ..INVITE };
    assert_eq!(harness.statuses(&reinvite), [491]);
    let update = without_body("UPDATE sip:x SIP/2.0", "three", "7 UPDATE", &tag);
    assert_eq!(harness.statuses(&update), [200], "it has no offer");
}

#[test]
fn a_response_after_the_call_has_ended_changes_nothing() {
    let (mut harness, call, tag) = Harness::established();
    let reinvite = harness.request(call, offer());
    let options = harness.request(call, DialogRequest::Options);
    harness.receive(&without_body("BYE sip:x SIP/2.0", "bye", "6 BYE", &tag));
    let ack = harness.respond(&reinvite, "487 Request Terminated", "", "");
    assert!(ack[0].starts_with("ACK "), "a rejection is acknowledged all the same");
    assert!(harness.respond(&options, "481 Call Does Not Exist", "", "").is_empty());
    assert_eq!(harness.dialog_ends(), [DialogEnd::ByeReceived]);
    harness.advance(Duration::from_mins(1));
    assert_eq!(harness.endpoint.counts(), EndpointCounts::default());
}

#[test]
fn an_info_with_an_unknown_package_is_refused_with_469_and_recv_info() {
    let (mut harness, _, tag) = Harness::established();
    let request = without_body("INFO sip:x SIP/2.0", "i", "6 INFO", &tag);
    let extra = "Info-Package: foo\r\nContent-Type: application/dtmf\r\n";
    let sent = harness.receive(&TestRequest { extra, body: "5", ..request });
    assert_eq!(statuses(&sent), [StatusCode::BAD_INFO_PACKAGE.code()]);
    assert_eq!(header(&sent[0], "Recv-Info"), Some(""));
    assert!(!harness.events.iter().any(|event| matches!(event, Event::Dtmf { .. })));
}

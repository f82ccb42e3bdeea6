//! The responses that the endpoint sends without the application, and the requests that it must not act on.

use std::net::SocketAddr;
use std::time::Duration;

use super::super::{
    DialogEnd, EndpointCounts, EndpointLimits, Event, InviteRejection, InviteScreen, InviteScreening,
    RejectReason, RetryAfter, WrongCallState,
};
use super::harness::{Harness, INVITE, TestRequest, statuses, tag_of, without_body};
use super::pair::{from_caller, sdp};
use crate::digest::Challenge;
use crate::message::{Request, StatusCode, Warning};

#[test]
fn options_is_answered_with_allow_and_accept() {
    let sent = Harness::new().receive(&without_body("OPTIONS sip:192.0.2.20 SIP/2.0", "o", "1 OPTIONS", ""));
    assert_eq!(statuses(&sent), [200]);
    assert!(
        sent[0].contains("\r\nAllow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK, NOTIFY\r\n")
    );
    assert!(sent[0].contains("\r\nAccept: application/sdp, multipart/mixed\r\n"));
}

#[test]
fn register_is_refused_with_405_and_an_unknown_method_with_501() {
    for (method, expected) in [("REGISTER", 405), ("SUBSCRIBE", 405), ("REFER", 405), ("FROBNICATE", 501)] {
        let (start, cseq) = (format!("{method} sip:192.0.2.20 SIP/2.0"), format!("1 {method}"));
        let sent = Harness::new().receive(&without_body(&start, "m", &cseq, ""));
        assert_eq!(statuses(&sent), [expected], "{method}");
        assert!(sent[0].contains("\r\nAllow: "), "{method}");
    }
}

#[test]
fn a_required_extension_is_refused_with_420_and_unsupported() {
    let mut harness = Harness::new();
    let sent = harness.receive(&TestRequest {
        extra: "Require: 100rel, precondition, timer\r\n",
        body: "",
        ..INVITE
    });
    assert_eq!(statuses(&sent), [420]);
    assert!(sent[0].contains("\r\nUnsupported: precondition\r\n"));
    assert_eq!(harness.reject_reason(), RejectReason::UnsupportedExtension);
    assert_eq!(harness.endpoint.counts(), EndpointCounts::default(), "a rejected request creates no state");
}

#[test]
fn a_request_for_an_unknown_dialog_is_refused_with_481() {
    for method in ["BYE", "INFO", "UPDATE", "OPTIONS", "INVITE", "CANCEL", "PRACK", "NOTIFY"] {
        let (start, cseq) = (format!("{method} sip:192.0.2.20 SIP/2.0"), format!("1 {method}"));
        let sent = Harness::new().receive(&without_body(&start, "s", &cseq, ";tag=unknown"));
        assert_eq!(statuses(&sent), [481], "{method}");
    }
    let sent = Harness::new().receive(&without_body("BYE sip:192.0.2.20 SIP/2.0", "s", "1 BYE", ""));
    assert_eq!(statuses(&sent), [481]);
}

#[test]
fn an_ack_is_never_answered() {
    assert!(
        Harness::new()
            .receive(&without_body("ACK sip:192.0.2.20 SIP/2.0", "a", "1 ACK", ";tag=x"))
            .is_empty()
    );
    assert!(Harness::new().receive(&without_body("ACK bad uri SIP/2.0", "a", "1 ACK", "")).is_empty());
}

#[test]
fn a_merged_request_is_refused_with_482() {
    let mut harness = Harness::new();
    assert_eq!(harness.statuses(&INVITE), [100]);
    assert_eq!(harness.statuses(&TestRequest { branch: "two", ..INVITE }), [482]);
    assert_eq!(harness.reject_reason(), RejectReason::MergedRequest);
}

#[test]
fn a_looped_request_is_refused_with_482_and_too_many_hops_with_483() {
    let mut harness = Harness::new();
    let sent = harness.receive(&TestRequest {
        extra: "Via: SIP/2.0/UDP 192.0.2.20:5060;branch=z9hG4bKx\r\n",
        body: "",
        ..INVITE
    });
    assert_eq!((statuses(&sent), harness.reject_reason()), (vec![482], RejectReason::LoopedRequest));
    let hops = "Via: SIP/2.0/UDP hop.test;branch=z9hG4bKh\r\n".repeat(71);
    let sent = harness.receive(&TestRequest { extra: &hops, body: "", ..INVITE });
    assert_eq!((statuses(&sent), harness.reject_reason()), (vec![483], RejectReason::TooManyHops));
}

#[test]
fn a_retransmitted_invite_gets_the_last_response_and_creates_no_call() {
    let mut harness = Harness::new();
    let first = harness.receive(&INVITE);
    assert_eq!(first, harness.receive(&INVITE));
    let call = harness.call();
    harness.endpoint.ring(call, harness.now).unwrap();
    harness.collect();
    let ringing = harness.sent.clone();
    assert_eq!(ringing, harness.receive(&INVITE));
    assert_eq!(harness.events.len(), 1);
}

#[test]
fn a_non_2xx_response_is_retransmitted_until_the_ack() {
    let mut harness = Harness::new();
    harness.receive(&INVITE);
    let retry_after = Some(RetryAfter(Duration::from_secs(7)));
    harness.endpoint.reject(harness.call(), StatusCode::BUSY_HERE, retry_after, harness.now).unwrap();
    harness.collect();
    assert!(harness.sent[0].contains("\r\nRetry-After: 7\r\n"));
    let tag = tag_of(&harness.sent[0]);
    assert_eq!(statuses(&harness.advance(Duration::from_millis(1600))), [486, 486]);
    harness.receive(&without_body("ACK sip:desk@192.0.2.20 SIP/2.0", "one", "5 ACK", &tag));
    assert!(harness.advance(Duration::from_mins(1)).is_empty());
    assert_eq!(harness.dialog_ends(), [DialogEnd::RejectedByUs(StatusCode::BUSY_HERE)]);
    assert_eq!(harness.endpoint.counts(), EndpointCounts::default());
}

#[test]
fn an_ack_with_a_new_branch_is_matched_by_its_tags() {
    let mut harness = Harness::new();
    harness.receive(&INVITE);
    harness.endpoint.reject(harness.call(), StatusCode::FORBIDDEN, None, harness.now).unwrap();
    harness.collect();
    let tag = tag_of(&harness.sent[0]);
    harness.receive(&without_body("ACK sip:desk@192.0.2.20 SIP/2.0", "wrong", "5 ACK", ";tag=guess"));
    assert_eq!(statuses(&harness.advance(Duration::from_millis(600))), [403]);
    harness.receive(&without_body("ACK sip:desk@192.0.2.20 SIP/2.0", "wrong", "5 ACK", &tag));
    assert!(harness.advance(Duration::from_mins(1)).is_empty());
    assert_eq!(harness.endpoint.counts(), EndpointCounts::default());
}

#[test]
fn cancel_terminates_a_pending_invite_with_487() {
    let mut harness = Harness::new();
    harness.receive(&INVITE);
    let call = harness.call();
    let cancel = without_body("CANCEL sip:desk@192.0.2.20 SIP/2.0", "one", "5 CANCEL", "");
    let sent = harness.receive(&cancel);
    assert_eq!(statuses(&sent), [200, 487]);
    assert_eq!(harness.dialog_ends(), [DialogEnd::Cancelled]);
    assert_eq!(
        harness.statuses(&cancel),
        [200],
        "a second CANCEL is answered, the INVITE is not answered again"
    );
    assert_eq!(harness.endpoint.accept(call, &sdp("v=0"), harness.now), Err(WrongCallState(call)));
    harness.advance(Duration::from_mins(1));
    assert_eq!(harness.endpoint.counts(), EndpointCounts::default());
}

#[test]
fn requests_over_a_limit_are_refused_with_503_and_retry_after() {
    let mut harness = Harness::with(EndpointLimits { max_calls: 1, ..EndpointLimits::default() });
    assert_eq!(harness.statuses(&INVITE), [100]);
    let other =
        INVITE.text().replace("Call-ID: test", "Call-ID: other").replace("z9hG4bKone", "z9hG4bKother");
    let sent = harness.receive_text(&other);
    assert_eq!((statuses(&sent), harness.reject_reason()), (vec![503], RejectReason::CallTableFull));
    assert!(sent[0].contains("\r\nRetry-After: 5\r\n"));
    let mut harness =
        Harness::with(EndpointLimits { max_server_transactions: 0, ..EndpointLimits::default() });
    assert_eq!(
        (harness.statuses(&INVITE), harness.reject_reason()),
        (vec![503], RejectReason::TransactionTableFull)
    );
}

#[test]
fn responses_go_to_the_source_with_received_and_rport() {
    let mut harness = Harness::new();
    let behind_nat = without_body("OPTIONS sip:x SIP/2.0", "n", "1 OPTIONS", "").text();
    let behind_nat = behind_nat.replace("192.0.2.10:5070;branch", "10.1.1.1:9999;rport;branch");
    // `receive_text` checks the destination.
    let sent = harness.receive_text(&behind_nat);
    assert!(
        sent[0].contains("Via: SIP/2.0/UDP 10.1.1.1:9999;rport=5070;branch=z9hG4bKn;received=192.0.2.10\r\n")
    );
}

#[test]
fn the_trace_contains_the_messages_of_a_call_in_order_without_credentials() {
    let mut harness = Harness::new();
    harness.receive(&without_body("OPTIONS sip:x SIP/2.0", "noise", "1 OPTIONS", ""));
    harness.receive(&TestRequest {
        extra: "Authorization: Digest response=\"s3cret\"\r\n",
        body: "",
        ..INVITE
    });
    harness.receive(&without_body("CANCEL sip:desk@192.0.2.20 SIP/2.0", "one", "5 CANCEL", ""));
    let records: Vec<_> = std::iter::from_fn(|| harness.endpoint.poll_trace()).collect();
    let starts: Vec<&str> = records.iter().map(|r| r.text.split(' ').take(2).last().unwrap()).collect();
    assert_eq!(starts, ["sip:desk@192.0.2.20", "100", "sip:desk@192.0.2.20", "200", "487"]);
    assert!(records.iter().all(|record| record.call == harness.call() && !record.text.contains("s3cret")));
}

/// Challenges or rejects every INVITE.
struct RefuseEveryInvite(InviteScreening);

impl InviteScreen for RefuseEveryInvite {
    fn screen(&mut self, _invite: &Request, _source: SocketAddr) -> InviteScreening {
        self.0.clone()
    }
}

#[test]
fn an_invite_that_is_not_admitted_gets_one_stateless_response() {
    let challenge = Challenge("Digest realm=\"r\", nonce=\"n\"".to_owned());
    for (screening, expected) in [
        (InviteScreening::Challenge(vec![challenge]), 401),
        (InviteScreening::Reject(InviteRejection::of(StatusCode::BAD_REQUEST)), 400),
    ] {
        let mut harness = Harness::new();
        let mut screen = RefuseEveryInvite(screening);
        let mut receive = |harness: &mut Harness, text: &str| {
            harness.sent.clear();
            harness.endpoint.handle_screened_message(
                from_caller(),
                text.as_bytes(),
                &mut screen,
                harness.now,
            );
            harness.collect();
            harness.sent.clone()
        };
        let first = receive(&mut harness, &INVITE.text());
        assert_eq!(statuses(&first), [expected], "no 100");
        assert_eq!(first[0].contains("\r\nWWW-Authenticate: Digest realm"), expected == 401);
        assert_eq!(harness.endpoint.counts(), EndpointCounts::default());
        assert!(harness.events.is_empty() && harness.endpoint.poll_trace().is_none());
        let again = receive(&mut harness, &INVITE.text());
        assert_eq!(first, again, "a retransmission gets the same To tag (RFC 3261 section 8.2.7)");
        let ack = without_body("ACK sip:desk@192.0.2.20 SIP/2.0", "one", "5 ACK", &tag_of(&first[0])).text();
        assert!(receive(&mut harness, &ack).is_empty());
        assert!(harness.advance(Duration::from_mins(1)).is_empty(), "sent once");
        assert!(harness.events.is_empty());
    }
}

#[test]
fn the_200_to_cancel_has_the_to_tag_of_the_487() {
    let mut harness = Harness::new();
    harness.receive(&INVITE);
    let sent = harness.receive(&without_body("CANCEL sip:desk@192.0.2.20 SIP/2.0", "one", "5 CANCEL", ""));
    assert_eq!(statuses(&sent), [200, 487]);
    assert_eq!(tag_of(&sent[0]), tag_of(&sent[1]), "RFC 3261 section 9.2");
}

#[test]
fn a_display_name_that_should_be_quoted_is_accepted_without_quotes() {
    for name in ["José ", "Smith, John ", "ACME (Sales) ", "O'Neil & Co ", "a;b=c@d "] {
        let mut harness = Harness::new();
        let text = INVITE.text().replace("From: <sip:probe", &format!("From: {name}<sip:probe"));
        let sent = harness.receive_text(&text);
        assert_eq!(statuses(&sent), [100], "{name}");
        assert!(sent[0].contains(&format!("\r\nFrom: {name}<sip:probe@caller.test>;tag=pt\r\n")), "{name}");
    }
    for name in ["\"open ", "a \"b\" c ", "a > b "] {
        let text = INVITE.text().replace("To: <sip:desk", &format!("To: {name}<sip:desk"));
        assert_eq!(statuses(&Harness::new().receive_text(&text)), [400], "{name}");
    }
}

#[test]
fn whatever_stands_before_the_last_address_of_from_is_its_name() {
    for from in [
        "ACME \"The Best\" <sip:probe@caller.test>",
        "\"ACME\" Inc <sip:probe@caller.test>",
        "5\" Pipe Co <sip:probe@caller.test>",
        "\"ACME <sip:probe@caller.test>",
        "a > b <sip:probe@caller.test>",
        "<unknown> <sip:+15550100123@caller.test>",
        "<tel:anonymous>",
        "<sip:@caller.test>",
    ] {
        let text = INVITE.text().replace("From: <sip:probe@caller.test>", &format!("From: {from}"));
        let sent = Harness::new().receive_text(&text);
        assert_eq!(statuses(&sent), [100], "{from}");
        assert!(sent[0].contains(&format!("\r\nFrom: {from};tag=pt\r\n")), "{}", sent[0]);
    }
    for from in ["ACME", "<sip:>", "<http:x", "\"ACME\" sip:probe@caller.test"] {
        let text = INVITE.text().replace("From: <sip:probe@caller.test>", &format!("From: {from}"));
        assert_eq!(statuses(&Harness::new().receive_text(&text)), [400], "{from}");
    }
}

#[test]
fn a_latin_1_name_is_repeated_byte_for_byte() {
    let mut harness = Harness::new();
    let text = INVITE.text().replace("From: <sip:probe", "From: Jos\u{e9} <sip:probe");
    let latin_1: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    harness.endpoint.handle_message(from_caller(), &latin_1, harness.now);
    let sent = harness.endpoint.poll_transmit().unwrap().payload;
    assert!(sent.starts_with(b"SIP/2.0 100 "));
    let from = b"\r\nFrom: Jos\xe9 <sip:probe@caller.test>;tag=pt\r\n";
    assert!(sent.windows(from.len()).any(|window| window == from), "{}", String::from_utf8_lossy(&sent));
    let trace = harness.endpoint.poll_trace().unwrap().text;
    assert!(trace.contains("From: José <sip:probe"), "{trace}");
}

#[test]
fn a_contact_whose_name_has_a_comma_and_no_quotes_is_one_contact() {
    let text = INVITE.text().replace("Contact: <sip:probe", "Contact: Smith, John <sip:probe");
    assert_eq!(statuses(&Harness::new().receive_text(&text)), [100]);
    let two = INVITE.text().replace("Contact: <sip:probe", "Contact: <sip:other@192.0.2.9>, <sip:probe");
    assert_eq!(statuses(&Harness::new().receive_text(&two)), [400]);
}

#[test]
fn a_session_description_within_a_multipart_body_is_the_offer() {
    let invite = |handling: &str| {
        let body = format!(
            "--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n\r\n--b\r\nContent-Type: application/isup;version=itu-t92+\r\n\
             Content-Disposition: signal;handling={handling}\r\n\r\n\u{1}\u{0}\r\n--b--\r\n"
        );
        let extra = "Content-Type: multipart/mixed;boundary=b\r\nMIME-Version: 1.0\r\n";
        let mut harness = Harness::new();
        let sent = harness.receive(&TestRequest { extra, body: &body, ..INVITE });
        (harness, sent)
    };
    let (harness, sent) = invite("optional");
    assert_eq!(statuses(&sent), [100]);
    match harness.events.last() {
        Some(Event::Incoming(incoming)) => {
            assert_eq!(incoming.offer.as_ref().unwrap().as_bytes(), b"v=0\r\n");
        }
        other => panic!("{other:?}"),
    }
    let (harness, sent) = invite("required");
    assert_eq!((statuses(&sent), harness.reject_reason()), (vec![415], RejectReason::UnsupportedContent));
    assert!(sent[0].contains("\r\nAccept: application/sdp, multipart/mixed\r\n"));
}

#[test]
fn an_invite_with_more_than_8_kb_of_headers_is_refused_with_513() {
    let invite = |bytes: usize| {
        let extra = format!("X-Long: {}\r\n", "x".repeat(bytes));
        let mut harness = Harness::new();
        let sent = harness.receive(&TestRequest { extra: &extra, body: "", ..INVITE });
        assert_eq!(harness.endpoint.counts().server_transactions, usize::from(statuses(&sent) == [100]));
        sent
    };
    assert_eq!(statuses(&invite(7_000)), [100]);
    let sent = invite(8_192);
    assert_eq!(statuses(&sent), [513]);
    assert!(sent[0].contains("\r\nWarning: 399 192.0.2.20:5060 \"headers_too_large\"\r\n"), "{}", sent[0]);
}

#[test]
fn the_transactions_of_initial_invites_are_bounded_in_bytes() {
    let limits = EndpointLimits { max_server_transaction_bytes: 100_000, ..EndpointLimits::default() };
    let mut harness = Harness::with(limits);
    let extra = format!("X-Long: {}\r\n", "x".repeat(4_000));
    let mut admitted = 0;
    for n in 0..100 {
        let text = TestRequest { extra: &extra, body: "", ..INVITE }.text();
        let text = text.replace("Call-ID: test", &format!("Call-ID: flood-{n}"));
        let sent = harness.receive_text(&text.replace("z9hG4bKone", &format!("z9hG4bKflood{n}")));
        admitted += usize::from(statuses(&sent) == [100]);
    }
    assert!((5..=25).contains(&admitted), "{admitted}");
    assert_eq!(harness.reject_reason(), RejectReason::TransactionTableFull);
    let calls: Vec<_> = harness
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Incoming(incoming) => Some(incoming.call),
            _ => None,
        })
        .collect();
    for call in calls {
        harness.endpoint.reject(call, StatusCode::BUSY_HERE, None, harness.now).unwrap();
    }
    harness.advance(Duration::from_mins(1));
    assert_eq!(harness.statuses(&INVITE), [100], "ended transactions free their bytes");
}

#[test]
fn a_rejection_carries_a_warning() {
    let mut harness = Harness::new();
    harness.receive(&INVITE);
    let warning = Some(Warning::miscellaneous("number_not_listed"));
    let rejection = InviteRejection { warning, ..InviteRejection::of(StatusCode::NOT_FOUND) };
    harness.endpoint.reject_with(harness.call(), rejection, harness.now).unwrap();
    harness.collect();
    let sent = harness.sent.pop().unwrap();
    assert!(sent.contains("\r\nWarning: 399 192.0.2.20:5060 \"number_not_listed\"\r\n"), "{sent}");
}

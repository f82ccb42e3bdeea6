//! The Reason of our BYE and the Warning of our rejections.

use std::time::Duration;

use super::super::DialogEnd;
use super::harness::{Harness, INVITE, TestRequest, status, without_body};
use super::pair::sdp;
use crate::message::StatusCode;

/// The only response, which must have this status and name the reason.
fn assert_warned(sent: &[String], code: u16, reason: &str) {
    let [response] = sent else { panic!("{sent:?}") };
    assert_eq!(status(response), code, "{response}");
    let warning = format!("\r\nWarning: 399 192.0.2.20:5060 \"{reason}\"\r\n");
    assert!(response.contains(&warning), "{response}");
}

#[test]
fn the_bye_after_a_missing_ack_has_a_reason() {
    let mut harness = Harness::new();
    harness.receive(&INVITE);
    harness.endpoint.accept(harness.call(), &sdp("v=0\r\n"), harness.now).unwrap();
    let sent = harness.advance(Duration::from_secs(32));
    let bye = sent.iter().find(|message| message.starts_with("BYE ")).unwrap();
    assert!(bye.contains("\r\nReason: Q.850;cause=102;text=\"no_answer\"\r\n"), "{bye}");
}

#[test]
fn malformed_requests_are_rejected_with_a_warning() {
    let mut harness = Harness::new();
    let malformed = INVITE.text().replace("To: <sip:desk@callee.test>", "To: \"desk <sip:desk@callee.test>");
    assert_warned(&harness.receive_text(&malformed), 400, "malformed");
    let version = INVITE.text().replacen("SIP/2.0", "SIP/7.0", 1);
    assert_warned(&harness.receive_text(&version), 505, "malformed");
}

#[test]
fn a_reinvite_that_collides_with_another_offer_is_rejected_with_a_warning() {
    let (mut harness, _, tag) = Harness::established();
    let reinvite = |branch, cseq| TestRequest { branch, cseq, to_tag: &tag, ..INVITE };
    harness.receive(&reinvite("two", "6 INVITE"));
    assert_warned(&harness.receive(&reinvite("three", "7 INVITE")), 500, "reinvite_pending");
    let call = harness.call();
    harness.endpoint.accept_reinvite(call, &sdp("v=0\r\n"), harness.now).unwrap();
    harness.collect();
    assert_warned(&harness.receive(&reinvite("four", "8 INVITE")), 491, "reinvite_pending");
}

#[test]
fn an_info_that_is_not_dtmf_is_rejected_with_a_warning() {
    let (mut harness, _, tag) = Harness::established();
    for (branch, cseq, content_type, body, code) in [
        ("a", "6 INFO", "application/dtmf-relay", "Signal=?\r\n", 400),
        ("b", "7 INFO", "application/vnd.nortelnetworks.digits", "d=5", 415),
    ] {
        let extra = format!("Content-Type: {content_type}\r\n");
        let info = TestRequest {
            start: "INFO sip:desk@192.0.2.20 SIP/2.0",
            branch,
            cseq,
            to_tag: &tag,
            extra: &extra,
            body,
        };
        assert_warned(&harness.receive(&info), code, "unsupported_content");
    }
}

#[test]
fn a_bye_that_requires_an_unknown_extension_ends_the_call() {
    let (mut harness, _, tag) = Harness::established();
    let require = "Require: x\r\n";
    let options = without_body("OPTIONS sip:desk@192.0.2.20 SIP/2.0", "opt", "6 OPTIONS", &tag);
    assert_warned(&harness.receive(&TestRequest { extra: require, ..options }), 420, "unsupported_extension");
    let bye = without_body("BYE sip:desk@192.0.2.20 SIP/2.0", "bye", "7 BYE", &tag);
    assert_eq!(harness.statuses(&TestRequest { extra: require, ..bye }), [200]);
    assert_eq!(harness.dialog_ends(), [DialogEnd::ByeReceived]);
}

#[test]
fn a_reinvite_after_our_bye_is_rejected_with_a_warning() {
    let (mut harness, call, tag) = Harness::established();
    harness.endpoint.hang_up(call, harness.now).unwrap();
    harness.collect();
    let reinvite = TestRequest { branch: "two", cseq: "6 INVITE", to_tag: &tag, ..INVITE };
    let code = StatusCode::CALL_DOES_NOT_EXIST.code();
    assert_warned(&harness.receive(&reinvite), code, "unknown_dialog");
    let options = without_body("OPTIONS sip:desk@192.0.2.20 SIP/2.0", "three", "7 OPTIONS", &tag);
    assert_eq!(harness.statuses(&options), [200]);
}

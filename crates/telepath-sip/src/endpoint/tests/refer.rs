//! Our REFER (RFC 3515) and the NOTIFY requests that report its result.

use std::time::Duration;

use super::super::{
    CallHandle, DialogRequest, EndpointCounts, Event, ReferProgress, ReferRequest, RequestError,
};
use super::harness::{Harness, TestRequest, header, statuses, without_body};
use crate::message::{StatusCode, Uri};

fn transfer(target: &str) -> DialogRequest {
    DialogRequest::Refer(ReferRequest { target: Uri::parse(target).unwrap(), referred_by: true })
}

struct Referring {
    harness: Harness,
    call: CallHandle,
    tag: String,
    refer: String,
    cseq: u32,
}

impl Referring {
    fn new() -> Self {
        let (mut harness, call, tag) = Harness::established();
        let refer = harness.request(call, transfer("tel:+15550100123"));
        Self { harness, call, tag, refer, cseq: 5 }
    }

    fn respond(&mut self, status: &str, extra: &str) {
        let refer = self.refer.clone();
        self.harness.respond(&refer, status, extra, "");
    }

    fn notify_with(&mut self, event: &str, state: &str, content_type: &str, body: &str) -> u16 {
        self.cseq += 1;
        let (number, branch) = (format!("{} NOTIFY", self.cseq), format!("n{}", self.cseq));
        let extra =
            format!("Event: {event}\r\nSubscription-State: {state}\r\nContent-Type: {content_type}\r\n");
        let request = without_body("NOTIFY sip:x SIP/2.0", &branch, &number, &self.tag);
        self.harness.statuses(&TestRequest { extra: &extra, body, ..request })[0]
    }

    fn notify(&mut self, state: &str, body: &str) -> u16 {
        self.notify_with("refer", state, "message/sipfrag;version=2.0", body)
    }

    fn progress(&self) -> Vec<ReferProgress> {
        let progress = self.harness.events.iter().filter_map(|event| match event {
            Event::Refer { progress, .. } => Some(progress.clone()),
            _ => None,
        });
        progress.collect()
    }
}

#[test]
fn a_refer_names_its_target_and_us() {
    let referring = Referring::new();
    assert!(referring.refer.starts_with("REFER sip:probe@192.0.2.10:5070 SIP/2.0\r\n"));
    assert_eq!(header(&referring.refer, "Refer-To"), Some("<tel:+15550100123>"));
    assert_eq!(header(&referring.refer, "Referred-By"), Some("<sip:desk@callee.test>"));
    assert!(header(&referring.refer, "Contact").is_some());
}

#[test]
fn the_result_of_a_refer_comes_with_notify() {
    let mut referring = Referring::new();
    referring.respond("202 Accepted", "");
    assert_eq!(referring.notify("active;expires=60", "SIP/2.0 100 Trying\r\n"), 200);
    assert_eq!(referring.notify("active", "SIP/2.0 180 Ringing"), 200);
    assert_eq!(referring.notify("terminated;reason=noresource", "SIP/2.0 200 OK\r\n"), 200);
    let trying = |code| ReferProgress::Trying(StatusCode::new(code).unwrap());
    let expected = [ReferProgress::Accepted, trying(100), trying(180), ReferProgress::Succeeded];
    assert_eq!(referring.progress(), expected);
    assert_eq!(referring.notify("terminated", "SIP/2.0 200 OK"), 481, "the subscription has ended");
}

#[test]
fn a_notify_may_overtake_the_response_to_the_refer() {
    let mut referring = Referring::new();
    assert_eq!(referring.notify("terminated", "SIP/2.0 486 Busy Here\r\nWarning: 399 x \"y\"\r\n"), 200);
    referring.respond("202 Accepted", "");
    let failed = ReferProgress::Failed { status: StatusCode::BUSY_HERE, phrase: "Busy Here".to_owned() };
    assert_eq!(referring.progress(), [failed]);
    let again = referring.harness.request(referring.call, transfer("sip:other@192.0.2.9"));
    assert_eq!(header(&again, "CSeq"), Some("2 REFER"), "another REFER may follow");
}

#[test]
fn a_refused_refer_is_reported_with_its_status() {
    for (status, code) in
        [("405 Method Not Allowed", 405), ("501 Not Implemented", 501), ("603 Decline", 603), ("403 No", 403)]
    {
        let mut referring = Referring::new();
        referring.respond(status, "");
        let progress = referring.progress();
        let [ReferProgress::Refused { status, .. }] = progress.as_slice() else { panic!("{progress:?}") };
        assert_eq!(status.code(), code);
        assert!(referring.harness.dialog_ends().is_empty());
    }
}

#[test]
fn a_refer_sub_of_false_means_that_no_result_follows() {
    let mut referring = Referring::new();
    referring.respond("200 OK", "Refer-Sub: FALSE\r\n");
    assert_eq!(referring.progress(), [ReferProgress::Unreported]);
    let mut referring = Referring::new();
    referring.respond("202 Accepted", "Refer-Sub: true\r\n");
    assert_eq!(referring.progress(), [ReferProgress::Accepted]);
}

#[test]
fn a_refer_without_a_result_is_given_up_after_three_minutes() {
    let mut referring = Referring::new();
    referring.respond("202 Accepted", "");
    for _ in 0..17 {
        referring.harness.advance(Duration::from_secs(10));
        assert_eq!(referring.notify("active", "SIP/2.0 100 Trying"), 200, "it does not extend the time");
    }
    referring.harness.advance(Duration::from_secs(11));
    assert_eq!(referring.progress().last(), Some(&ReferProgress::NoResult));
    assert!(referring.harness.dialog_ends().is_empty(), "the call goes on");
}

#[test]
fn a_subscription_that_ends_without_a_final_status_has_no_result() {
    for body in ["SIP/2.0 180 Ringing", "", "SIP/2.0", "SIP/2.0 999 Odd", "SIP/2.0 2000 OK", "\u{7f}\0\r\n"] {
        let mut referring = Referring::new();
        referring.respond("202 Accepted", "");
        assert_eq!(referring.notify("Terminated;reason=giveup", body), 200, "{body:?}");
        assert_eq!(referring.progress().last(), Some(&ReferProgress::NoResult), "{body:?}");
    }
    let mut referring = Referring::new();
    referring.respond("202 Accepted", "");
    assert_eq!(referring.notify_with("refer", "active", "text/plain", "SIP/2.0 200 OK"), 200);
    assert_eq!(referring.progress(), [ReferProgress::Accepted], "not a message/sipfrag");
}

#[test]
fn a_notify_of_a_foreign_subscription_is_refused() {
    let mut referring = Referring::new();
    let sipfrag = "message/sipfrag";
    assert_eq!(referring.notify_with("presence", "active", sipfrag, "SIP/2.0 200 OK"), 489);
    assert_eq!(referring.notify_with("", "active", sipfrag, "SIP/2.0 200 OK"), 489);
    for id in ["2", "0", "x", "4294967297", "-1"] {
        let event = format!("refer;id={id}");
        assert_eq!(referring.notify_with(&event, "terminated", sipfrag, "SIP/2.0 200 OK"), 481, "{id}");
    }
    assert_eq!(referring.progress(), []);
    assert_eq!(referring.notify_with("Refer;id=1", "terminated", sipfrag, "SIP/2.0 200 OK"), 200);
    assert_eq!(referring.progress(), [ReferProgress::Succeeded]);
    let (mut harness, _, tag) = Harness::established();
    let extra = "Event: refer\r\nSubscription-State: active\r\n";
    let request = without_body("NOTIFY sip:x SIP/2.0", "n", "6 NOTIFY", &tag);
    assert_eq!(statuses(&harness.receive(&TestRequest { extra, ..request })), [481], "we sent no REFER");
}

#[test]
fn only_one_refer_is_pending_and_none_outlives_its_call() {
    let mut referring = Referring::new();
    referring.respond("202 Accepted", "");
    let now = referring.harness.now;
    let second = referring.harness.endpoint.request(referring.call, transfer("tel:+15550100124"), now);
    assert_eq!(second, Err(RequestError::ReferPending));
    let bye = without_body("BYE sip:x SIP/2.0", "bye", "90 BYE", &referring.tag);
    assert_eq!(referring.harness.statuses(&bye), [200]);
    referring.harness.advance(Duration::from_mins(1));
    assert_eq!(referring.harness.endpoint.counts(), EndpointCounts::default());
}

#[test]
fn the_target_of_a_refer_cannot_add_headers() {
    let (mut harness, call, _) = Harness::established();
    for text in ["sip:a@b>\r\nX: y", "sip:a@b\r\n\r\nBYE", "tel:+1\r\nX: y"] {
        if let Some(target) = Uri::parse(text) {
            let refer =
                harness.request(call, DialogRequest::Refer(ReferRequest { target, referred_by: false }));
            assert!(!refer.contains("\r\nX: ") && !refer.contains("\nBYE"), "{refer}");
        }
    }
}

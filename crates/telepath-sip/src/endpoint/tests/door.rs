//! One message at a time through the door: every status the stack answers by itself, and what it does not let
//! itself be talked into.

use std::time::{Duration, Instant};

use super::super::{
    CallHandle, Counts, EndCause, Endpoint, EndpointConfig, EndpointSeed, Event, Limits, NotInThisState,
    RejectRule, ReofferKind, RetryAfter,
};
use super::pair::{callee_addr, caller_addr, sdp};
use crate::message::StatusCode;

struct Door {
    endpoint: Endpoint,
    now: Instant,
    sent: Vec<String>,
    events: Vec<Event>,
}

/// A request as a peer would write it; each part can be replaced.
struct Ask<'a> {
    start: &'a str,
    branch: &'a str,
    to_tag: &'a str,
    cseq: &'a str,
    extra: &'a str,
    body: &'a str,
}

const INVITE: Ask<'static> = Ask {
    start: "INVITE sip:desk@192.0.2.20 SIP/2.0",
    branch: "one",
    to_tag: "",
    cseq: "5 INVITE",
    extra: "Content-Type: application/sdp\r\n",
    body: "v=0\r\n",
};

impl Ask<'_> {
    fn text(&self) -> String {
        format!(
            "{}\r\nVia: SIP/2.0/UDP 192.0.2.10:5070;branch=z9hG4bK{}\r\nFrom: <sip:probe@caller.test>;tag=pt\r\n\
             To: <sip:desk@callee.test>{}\r\nCall-ID: door\r\nCSeq: {}\r\nMax-Forwards: 70\r\n\
             Contact: <sip:probe@192.0.2.10:5070>\r\n{}Content-Length: {}\r\n\r\n{}",
            self.start,
            self.branch,
            self.to_tag,
            self.cseq,
            self.extra,
            self.body.len(),
            self.body
        )
    }
}

/// The rest of a request that has no body.
fn bare<'a>(start: &'a str, branch: &'a str, cseq: &'a str, to_tag: &'a str) -> Ask<'a> {
    Ask { start, branch, to_tag, cseq, extra: "", body: "" }
}

impl Door {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        let config = EndpointConfig { limits, ..EndpointConfig::new(callee_addr()) };
        let endpoint = Endpoint::new(config, EndpointSeed([9; 32]));
        Self { endpoint, now: Instant::now(), sent: Vec::new(), events: Vec::new() }
    }

    fn collect(&mut self) {
        while let Some(out) = self.endpoint.poll_transmit() {
            assert_eq!(out.to, caller_addr());
            self.sent.push(String::from_utf8_lossy(&out.payload).into_owned());
        }
        while let Some(event) = self.endpoint.poll_event() {
            self.events.push(event);
        }
    }

    /// Puts a request in; gives back what goes out.
    fn put(&mut self, ask: &Ask<'_>) -> Vec<String> {
        self.put_text(&ask.text())
    }

    fn put_text(&mut self, text: &str) -> Vec<String> {
        self.sent.clear();
        self.endpoint.handle_datagram(caller_addr(), text.as_bytes(), self.now);
        self.collect();
        std::mem::take(&mut self.sent)
    }

    /// Lets time pass timer by timer; gives back what goes out.
    fn pass(&mut self, span: Duration) -> Vec<String> {
        self.sent.clear();
        let end = self.now + span;
        while let Some(at) = self.endpoint.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.endpoint.handle_timeout(self.now);
            self.collect();
        }
        self.now = end;
        std::mem::take(&mut self.sent)
    }

    fn call(&self) -> CallHandle {
        let incoming = self.events.iter().rev().find_map(|event| match event {
            Event::Incoming(incoming) => Some(incoming.call),
            _ => None,
        });
        incoming.unwrap()
    }

    fn rule(&self) -> RejectRule {
        match self.events.last() {
            Some(Event::Rejected(rejection)) => rejection.rule,
            other => panic!("no rejection but {other:?}"),
        }
    }

    fn ends(&self) -> Vec<EndCause> {
        let ends = self.events.iter().filter_map(|event| match event {
            Event::Ended { cause, .. } => Some(cause.clone()),
            _ => None,
        });
        ends.collect()
    }

    /// A call that is answered and acknowledged; gives back the To tag with its `;tag=`.
    fn established() -> (Self, CallHandle, String) {
        let mut door = Self::new();
        door.put(&INVITE);
        let call = door.call();
        door.endpoint.accept(call, &sdp("v=0\r\n"), door.now).unwrap();
        door.collect();
        let tag = tag_of(&door.sent.pop().unwrap());
        door.put(&bare("ACK sip:192.0.2.20 SIP/2.0", "ack", "5 ACK", &tag));
        (door, call, tag)
    }
}

fn tag_of(response: &str) -> String {
    let to = response.lines().find(|line| line.starts_with("To: ")).unwrap();
    to[to.find(";tag=").unwrap()..].to_owned()
}

fn status(text: &str) -> u16 {
    text.strip_prefix("SIP/2.0 ").and_then(|rest| rest[..3].parse().ok()).unwrap_or_else(|| panic!("{text}"))
}

fn statuses(texts: &[String]) -> Vec<u16> {
    texts.iter().map(|text| status(text)).collect()
}

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
    assert_eq!(door.rule(), RejectRule::UnsupportedExtension);
    assert_eq!(door.endpoint.counts(), Counts::default(), "what is turned away costs no memory");
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
    assert_eq!(door.rule(), RejectRule::MergedRequest);
}

#[test]
fn loops_and_endless_ways_are_cut() {
    let mut door = Door::new();
    let sent =
        door.put(&Ask { extra: "Via: SIP/2.0/UDP 192.0.2.20:5060;branch=z9hG4bKx\r\n", body: "", ..INVITE });
    assert_eq!((statuses(&sent), door.rule()), (vec![482], RejectRule::LoopedRequest));
    let hops = "Via: SIP/2.0/UDP hop.test;branch=z9hG4bKh\r\n".repeat(71);
    let sent = door.put(&Ask { extra: &hops, body: "", ..INVITE });
    assert_eq!((statuses(&sent), door.rule()), (vec![483], RejectRule::TooManyHops));
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
    assert_eq!(door.ends(), [EndCause::Rejected(StatusCode::BUSY_HERE)]);
    assert_eq!(door.endpoint.counts(), Counts::default());
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
    assert_eq!(door.endpoint.counts(), Counts::default());
}

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
    assert_eq!(door.ends(), [EndCause::AckTimeout]);
    assert_eq!(door.endpoint.counts(), Counts::default());
}

#[test]
fn cancel_ends_a_call_that_is_not_answered() {
    let mut door = Door::new();
    door.put(&INVITE);
    let call = door.call();
    let cancel = bare("CANCEL sip:desk@192.0.2.20 SIP/2.0", "one", "5 CANCEL", "");
    let sent = door.put(&cancel);
    assert_eq!(statuses(&sent), [200, 487]);
    assert_eq!(door.ends(), [EndCause::Cancelled]);
    assert_eq!(statuses(&door.put(&cancel)), [200], "a repeated CANCEL is answered, the INVITE is not again");
    assert_eq!(door.endpoint.accept(call, &sdp("v=0"), door.now), Err(NotInThisState(call)));
    door.pass(Duration::from_mins(1));
    assert_eq!(door.endpoint.counts(), Counts::default());
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
    assert_eq!(door.rule(), RejectRule::CSeqNotAdvanced);
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
    assert_eq!(door.ends(), [EndCause::RemoteHangUp]);
    door.pass(Duration::from_mins(1));
    assert_eq!(door.endpoint.counts(), Counts::default());
}

#[test]
fn a_reinvite_is_passed_on_and_its_answer_is_repeated_until_the_ack() {
    let (mut door, call, tag) = Door::established();
    let again = Ask { start: "INVITE sip:x SIP/2.0", branch: "re", to_tag: &tag, cseq: "6 INVITE", ..INVITE };
    assert_eq!(statuses(&door.put(&again)), [100]);
    let offered = matches!(
        door.events.last(),
        Some(Event::Reoffer { kind: ReofferKind::ReInvite, offer: Some(_), .. })
    );
    assert!(offered, "{:?}", door.events.last());
    let glare = Ask { branch: "re2", cseq: "7 INVITE", ..again };
    let sent = door.put(&glare);
    assert_eq!((statuses(&sent), door.rule()), (vec![500], RejectRule::SessionChangePending));
    assert!(sent[0].contains("\r\nRetry-After: "));
    door.endpoint.answer_reoffer(call, &sdp("v=0 again"), door.now).unwrap();
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
    door.endpoint.reject_reoffer(call, StatusCode::NOT_ACCEPTABLE_HERE, door.now).unwrap();
    door.collect();
    assert_eq!(statuses(&door.sent), [488]);
    door.put(&Ask { branch: "re2", cseq: "7 INVITE", ..again });
    let sent = door.put(&bare("CANCEL sip:x SIP/2.0", "re2", "7 CANCEL", &tag));
    assert_eq!(statuses(&sent), [200, 487]);
    assert!(matches!(door.events.last(), Some(Event::ReofferWithdrawn { .. })));
    assert!(door.endpoint.answer_reoffer(call, &sdp("v=0"), door.now).is_err());
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
    assert_eq!(door.ends(), [EndCause::RemoteHangUp]);
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
fn over_the_bounds_is_503_with_a_time_to_wait() {
    let mut door = Door::with(Limits { max_calls: 1, ..Limits::default() });
    assert_eq!(statuses(&door.put(&INVITE)), [100]);
    let other =
        INVITE.text().replace("Call-ID: door", "Call-ID: other").replace("z9hG4bKone", "z9hG4bKother");
    let sent = door.put_text(&other);
    assert_eq!((statuses(&sent), door.rule()), (vec![503], RejectRule::CallTableFull));
    assert!(sent[0].contains("\r\nRetry-After: 5\r\n"));
    let mut door = Door::with(Limits { max_server_transactions: 0, ..Limits::default() });
    assert_eq!((statuses(&door.put(&INVITE)), door.rule()), (vec![503], RejectRule::TransactionTableFull));
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

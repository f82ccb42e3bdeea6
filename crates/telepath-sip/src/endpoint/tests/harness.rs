//! One endpoint that a test feeds with single messages, and the requests of its peer.

use std::time::{Duration, Instant};

use super::super::{
    CallHandle, DialogEnd, DialogRequest, Endpoint, EndpointConfig, EndpointLimits, EndpointSeed, Event,
    RejectReason,
};
use super::pair::{callee_addr, caller_addr, from_caller, sdp};

pub(super) struct Harness {
    pub(super) endpoint: Endpoint,
    pub(super) now: Instant,
    pub(super) sent: Vec<String>,
    pub(super) events: Vec<Event>,
}

/// A request of the peer; a test can replace each part.
pub(super) struct TestRequest<'a> {
    pub(super) start: &'a str,
    pub(super) branch: &'a str,
    pub(super) to_tag: &'a str,
    pub(super) cseq: &'a str,
    pub(super) extra: &'a str,
    pub(super) body: &'a str,
}

pub(super) const INVITE: TestRequest<'static> = TestRequest {
    start: "INVITE sip:desk@192.0.2.20 SIP/2.0",
    branch: "one",
    to_tag: "",
    cseq: "5 INVITE",
    extra: "Content-Type: application/sdp\r\n",
    body: "v=0\r\n",
};

impl TestRequest<'_> {
    pub(super) fn text(&self) -> String {
        format!(
            "{}\r\nVia: SIP/2.0/UDP 192.0.2.10:5070;branch=z9hG4bK{}\r\nFrom: <sip:probe@caller.test>;tag=pt\r\n\
             To: <sip:desk@callee.test>{}\r\nCall-ID: test\r\nCSeq: {}\r\nMax-Forwards: 70\r\n\
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

/// A request without a body.
pub(super) fn without_body<'a>(
    start: &'a str,
    branch: &'a str,
    cseq: &'a str,
    to_tag: &'a str,
) -> TestRequest<'a> {
    TestRequest { start, branch, to_tag, cseq, extra: "", body: "" }
}

impl Harness {
    pub(super) fn new() -> Self {
        Self::with(EndpointLimits::default())
    }

    pub(super) fn with(limits: EndpointLimits) -> Self {
        let config = EndpointConfig { limits, ..EndpointConfig::new(callee_addr()) };
        let endpoint = Endpoint::new(config, EndpointSeed([9; 32]));
        Self { endpoint, now: Instant::now(), sent: Vec::new(), events: Vec::new() }
    }

    pub(super) fn collect(&mut self) {
        while let Some(out) = self.endpoint.poll_transmit() {
            assert_eq!(out.flow.remote, caller_addr(), "responses go to the source of the request");
            self.sent.push(String::from_utf8_lossy(&out.payload).into_owned());
        }
        while let Some(event) = self.endpoint.poll_event() {
            self.events.push(event);
        }
    }

    /// Delivers a request and returns what the endpoint sends.
    pub(super) fn receive(&mut self, request: &TestRequest<'_>) -> Vec<String> {
        self.receive_text(&request.text())
    }

    /// Delivers a request and returns the statuses of the responses.
    pub(super) fn statuses(&mut self, request: &TestRequest<'_>) -> Vec<u16> {
        statuses(&self.receive(request))
    }

    pub(super) fn receive_text(&mut self, text: &str) -> Vec<String> {
        self.sent.clear();
        self.endpoint.handle_message(from_caller(), text.as_bytes(), self.now);
        self.collect();
        std::mem::take(&mut self.sent)
    }

    /// Sends the response of the peer to a request of the endpoint, and returns what the endpoint sends.
    pub(super) fn respond(&mut self, request: &str, status: &str, extra: &str, body: &str) -> Vec<String> {
        let line = |name: &str| request.lines().find(|line| line.starts_with(name)).unwrap();
        let echo: Vec<&str> = ["Via: ", "From: ", "To: ", "Call-ID: ", "CSeq: "].map(line).to_vec();
        let length = body.len();
        self.receive_text(&format!(
            "SIP/2.0 {status}\r\n{}\r\nContact: <sip:probe@192.0.2.10:5070>\r\n{extra}Content-Length: {length}\r\n\r\n{body}",
            echo.join("\r\n")
        ))
    }

    /// Sends a request of the endpoint and returns what it sends.
    pub(super) fn request(&mut self, call: CallHandle, request: DialogRequest) -> String {
        self.sent.clear();
        self.endpoint.request(call, request, self.now).unwrap();
        self.collect();
        self.sent.pop().unwrap()
    }

    /// Advances the time, firing each timer, and returns what the endpoint sends.
    pub(super) fn advance(&mut self, span: Duration) -> Vec<String> {
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

    pub(super) fn call(&self) -> CallHandle {
        let incoming = self.events.iter().rev().find_map(|event| match event {
            Event::Incoming(incoming) => Some(incoming.call),
            _ => None,
        });
        incoming.unwrap()
    }

    pub(super) fn reject_reason(&self) -> RejectReason {
        match self.events.last() {
            Some(Event::Rejected { reason, .. }) => *reason,
            other => panic!("not a rejection: {other:?}"),
        }
    }

    pub(super) fn dialog_ends(&self) -> Vec<DialogEnd> {
        let ends = self.events.iter().filter_map(|event| match event {
            Event::Ended { end, .. } => Some(end.clone()),
            _ => None,
        });
        ends.collect()
    }

    /// An established call whose INVITE had these headers; the strings are the To parameter `;tag=…` and the 200.
    pub(super) fn established_by(extra: &str) -> (Self, CallHandle, String, String) {
        let mut harness = Self::new();
        let extra = format!("Content-Type: application/sdp\r\n{extra}");
        harness.receive(&TestRequest { extra: &extra, ..INVITE });
        let call = harness.call();
        harness.endpoint.accept(call, &sdp("v=0\r\n"), harness.now).unwrap();
        harness.collect();
        let ok = harness.sent.pop().unwrap();
        let tag = tag_of(&ok);
        harness.receive(&without_body("ACK sip:192.0.2.20 SIP/2.0", "ack", "5 ACK", &tag));
        (harness, call, tag, ok)
    }

    /// An established call; the string is the To parameter `;tag=…`.
    pub(super) fn established() -> (Self, CallHandle, String) {
        Self::established_with(EndpointLimits::default())
    }

    pub(super) fn established_with(limits: EndpointLimits) -> (Self, CallHandle, String) {
        let mut harness = Self::with(limits);
        harness.receive(&INVITE);
        let call = harness.call();
        harness.endpoint.accept(call, &sdp("v=0\r\n"), harness.now).unwrap();
        harness.collect();
        let tag = tag_of(&harness.sent.pop().unwrap());
        harness.receive(&without_body("ACK sip:192.0.2.20 SIP/2.0", "ack", "5 ACK", &tag));
        (harness, call, tag)
    }
}

pub(super) fn tag_of(response: &str) -> String {
    let to = response.lines().find(|line| line.starts_with("To: ")).unwrap();
    to[to.find(";tag=").unwrap()..].to_owned()
}

/// The value of the first header with this name.
pub(super) fn header<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    message.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

pub(super) fn status(text: &str) -> u16 {
    text.strip_prefix("SIP/2.0 ").and_then(|rest| rest[..3].parse().ok()).unwrap_or_else(|| panic!("{text}"))
}

pub(super) fn statuses(texts: &[String]) -> Vec<u16> {
    texts.iter().map(|text| status(text)).collect()
}

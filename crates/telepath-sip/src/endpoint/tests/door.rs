//! An endpoint that a test feeds one message at a time, and the messages a peer would write to it.

use std::time::{Duration, Instant};

use super::super::{
    CallHandle, DialogEnd, Endpoint, EndpointConfig, EndpointLimits, EndpointSeed, Event, RejectReason,
};
use super::pair::{callee_addr, caller_addr, sdp};

pub(super) struct Door {
    pub(super) endpoint: Endpoint,
    pub(super) now: Instant,
    pub(super) sent: Vec<String>,
    pub(super) events: Vec<Event>,
}

/// A request as a peer would write it; each part can be replaced.
pub(super) struct Ask<'a> {
    pub(super) start: &'a str,
    pub(super) branch: &'a str,
    pub(super) to_tag: &'a str,
    pub(super) cseq: &'a str,
    pub(super) extra: &'a str,
    pub(super) body: &'a str,
}

pub(super) const INVITE: Ask<'static> = Ask {
    start: "INVITE sip:desk@192.0.2.20 SIP/2.0",
    branch: "one",
    to_tag: "",
    cseq: "5 INVITE",
    extra: "Content-Type: application/sdp\r\n",
    body: "v=0\r\n",
};

impl Ask<'_> {
    pub(super) fn text(&self) -> String {
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
pub(super) fn bare<'a>(start: &'a str, branch: &'a str, cseq: &'a str, to_tag: &'a str) -> Ask<'a> {
    Ask { start, branch, to_tag, cseq, extra: "", body: "" }
}

impl Door {
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
            assert_eq!(out.to, caller_addr());
            self.sent.push(String::from_utf8_lossy(&out.payload).into_owned());
        }
        while let Some(event) = self.endpoint.poll_event() {
            self.events.push(event);
        }
    }

    /// Puts a request in; gives back what goes out.
    pub(super) fn put(&mut self, ask: &Ask<'_>) -> Vec<String> {
        self.put_text(&ask.text())
    }

    pub(super) fn put_text(&mut self, text: &str) -> Vec<String> {
        self.sent.clear();
        self.endpoint.handle_datagram(caller_addr(), text.as_bytes(), self.now);
        self.collect();
        std::mem::take(&mut self.sent)
    }

    /// Lets time pass timer by timer; gives back what goes out.
    pub(super) fn pass(&mut self, span: Duration) -> Vec<String> {
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

    pub(super) fn rule(&self) -> RejectReason {
        match self.events.last() {
            Some(Event::Rejected { reason, .. }) => *reason,
            other => panic!("no rejection but {other:?}"),
        }
    }

    pub(super) fn ends(&self) -> Vec<DialogEnd> {
        let ends = self.events.iter().filter_map(|event| match event {
            Event::Ended { end, .. } => Some(end.clone()),
            _ => None,
        });
        ends.collect()
    }

    /// A call that is answered and acknowledged; gives back the To tag with its `;tag=`.
    pub(super) fn established() -> (Self, CallHandle, String) {
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

pub(super) fn tag_of(response: &str) -> String {
    let to = response.lines().find(|line| line.starts_with("To: ")).unwrap();
    to[to.find(";tag=").unwrap()..].to_owned()
}

pub(super) fn status(text: &str) -> u16 {
    text.strip_prefix("SIP/2.0 ").and_then(|rest| rest[..3].parse().ok()).unwrap_or_else(|| panic!("{text}"))
}

pub(super) fn statuses(texts: &[String]) -> Vec<u16> {
    texts.iter().map(|text| status(text)).collect()
}

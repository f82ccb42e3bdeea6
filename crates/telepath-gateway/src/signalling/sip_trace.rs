//! The SIP trace of one call as text: its messages from the INVITE on, with direction, peer and time. The endpoint has already
//! removed credentials. The trace is bounded; when it is full, messages in the middle are left out, so that the beginning and
//! the end of the call are kept.

use std::collections::VecDeque;
use std::time::Instant;

use telepath_core::call::MAX_TRACE_BYTES;
use telepath_core::call::sip_trace::{SipDirection, append_message, omission};
use telepath_sip::{TraceDirection, TraceRecord};

/// The bytes kept of the beginning, and of the end.
const HALF: usize = MAX_TRACE_BYTES / 2 - 64;

#[derive(Debug)]
pub(super) struct SipTrace {
    /// The time of the INVITE.
    start: Instant,
    beginning: String,
    /// The latest messages, once the beginning is full.
    end: VecDeque<String>,
    end_bytes: usize,
    left_out: u64,
}

impl SipTrace {
    pub(super) fn new(start: Instant) -> Self {
        Self { start, beginning: String::new(), end: VecDeque::new(), end_bytes: 0, left_out: 0 }
    }

    pub(super) fn append(&mut self, record: &TraceRecord) {
        let direction = match record.direction {
            TraceDirection::Received => SipDirection::Received,
            TraceDirection::Sent => SipDirection::Sent,
        };
        let elapsed = record.at.saturating_duration_since(self.start);
        let mut text = String::new();
        append_message(&mut text, elapsed, direction, record.peer, &record.text);
        if text.len() + 2 > HALF {
            text.truncate(text.floor_char_boundary(HALF - "…\n\n".len()));
            text.push('…');
        }
        text.push_str("\n\n");
        if self.end.is_empty() && self.beginning.len() + text.len() <= HALF {
            return self.beginning.push_str(&text);
        }
        self.end_bytes += text.len();
        self.end.push_back(text);
        while self.end_bytes > HALF {
            let Some(oldest) = self.end.pop_front() else { return };
            self.end_bytes -= oldest.len();
            self.left_out += 1;
        }
    }

    pub(super) fn into_text(self) -> String {
        let mut text = self.beginning;
        if self.left_out > 0 {
            text.push_str(&omission(self.left_out));
        }
        text.extend(self.end);
        text
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use telepath_core::call::sip_trace::messages_of;
    use telepath_sip::{Endpoint, EndpointConfig, EndpointSeed, Flow};

    use super::*;

    /// A record of a real call, whose text and time the tests replace.
    fn record(start: Instant) -> TraceRecord {
        let address = "192.0.2.1:5060".parse().unwrap();
        let local: std::net::SocketAddr = "192.0.2.2:5060".parse().unwrap();
        let mut endpoint = Endpoint::new(EndpointConfig::new(local), EndpointSeed([1; 32]));
        let invite = "INVITE sip:a@b.test SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nCSeq: 1 INVITE\r\n\
                      From: <sip:c@d.test>;tag=1\r\nTo: <sip:a@b.test>\r\nCall-ID: 1\r\nContact: <sip:c@192.0.2.1>\r\n\r\n";
        endpoint.handle_message(Flow::udp(local, address), invite.as_bytes(), start);
        endpoint.poll_trace().unwrap()
    }

    fn trace_of(messages: &[String]) -> String {
        let start = Instant::now();
        let record = record(start);
        let mut trace = SipTrace::new(start);
        for (number, text) in (1..).zip(messages) {
            trace.append(&TraceRecord {
                at: start + Duration::from_secs(number),
                text: text.clone(),
                ..record.clone()
            });
        }
        trace.into_text()
    }

    #[test]
    fn the_beginning_and_the_end_of_a_long_call_are_kept() {
        let mut messages: Vec<String> =
            (0..500).map(|n| format!("OPTIONS {n}\r\n{}", "x".repeat(1_000))).collect();
        messages.insert(0, "INVITE sip:desk@example.test\r\n".to_owned());
        messages.push("BYE sip:desk@example.test\r\n".to_owned());
        let text = trace_of(&messages);
        assert!(text.len() <= MAX_TRACE_BYTES && text.len() > MAX_TRACE_BYTES / 2);
        assert!(text.starts_with("+1.000s received from 192.0.2.1:5060\nINVITE "), "{}", &text[..80]);
        assert!(text.contains("OPTIONS 0\r\n") && text.contains("OPTIONS 499\r\n"));
        assert!(text.ends_with("BYE sip:desk@example.test\n\n"));
        let left_out: u64 = text.split("… ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        let kept = u64::try_from(text.matches("received from").count()).unwrap();
        assert_eq!(left_out + kept, 502);
        let messages = messages_of(&text);
        assert_eq!(messages.len() as u64, kept);
        assert_eq!(messages.iter().map(|message| message.omitted_before).sum::<u64>(), left_out);
        assert_eq!(messages.last().unwrap().method(), Some("BYE"));
    }

    #[test]
    fn a_short_trace_is_complete_and_one_long_message_is_cut() {
        let text = trace_of(&["INVITE a".to_owned(), "BYE a".to_owned()]);
        assert_eq!(
            text,
            "+1.000s received from 192.0.2.1:5060\nINVITE a\n\n+2.000s received from 192.0.2.1:5060\nBYE a\n\n"
        );
        let text = trace_of(&["é".repeat(MAX_TRACE_BYTES), "é".repeat(MAX_TRACE_BYTES), "BYE a".to_owned()]);
        assert!(text.len() <= MAX_TRACE_BYTES && text.ends_with("BYE a\n\n"));
    }
}

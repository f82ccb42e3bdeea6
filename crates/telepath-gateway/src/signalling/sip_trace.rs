//! The SIP trace of one call as text: every message from the INVITE on, with its direction, peer and time. The endpoint
//! has already removed credentials. When the trace is full, later messages are left out and a last line says so.

use std::fmt::Write as _;
use std::time::Instant;

use telepath_core::call::MAX_TRACE_BYTES;
use telepath_sip::{TraceDirection, TraceRecord};

const TRUNCATED: &str = "… later messages were left out\n";

#[derive(Debug)]
pub(super) struct SipTrace {
    /// The time of the INVITE.
    start: Instant,
    text: String,
    full: bool,
}

impl SipTrace {
    pub(super) fn new(start: Instant) -> Self {
        Self { start, text: String::new(), full: false }
    }

    pub(super) fn append(&mut self, record: &TraceRecord) {
        if self.full {
            return;
        }
        let length = self.text.len();
        let direction = match record.direction {
            TraceDirection::Received => "received from",
            TraceDirection::Sent => "sent to",
        };
        let elapsed = record.at.saturating_duration_since(self.start).as_secs_f64();
        let message = record.text.trim_end();
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "+{elapsed:.3}s {direction} {}\n{message}\n", record.peer);
        if self.text.len() + TRUNCATED.len() > MAX_TRACE_BYTES {
            self.text.truncate(length);
            self.text.push_str(TRUNCATED);
            self.full = true;
        }
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }
}

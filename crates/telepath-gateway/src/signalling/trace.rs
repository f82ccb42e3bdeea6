//! The SIP messages of one call as text, from its INVITE on, each with its way and its time. Secrets are out already;
//! what does not fit the bound is left out and said to be.

use std::fmt::Write as _;
use std::time::Instant;

use telepath_core::call::MAX_TRACE_BYTES;
use telepath_sip::{Direction, TraceRecord};

const CUT: &str = "… later messages were left out\n";

#[derive(Debug)]
pub(super) struct SipTrace {
    origin: Instant,
    text: String,
    full: bool,
}

impl SipTrace {
    pub(super) fn new(origin: Instant) -> Self {
        Self { origin, text: String::new(), full: false }
    }

    pub(super) fn add(&mut self, record: &TraceRecord) {
        if self.full {
            return;
        }
        let (before, way) = match record.direction {
            Direction::Received => (self.text.len(), "received from"),
            Direction::Sent => (self.text.len(), "sent to"),
        };
        let after = record.at.saturating_duration_since(self.origin);
        let body = record.text.trim_end();
        // Writing into a String cannot fail.
        let _ = writeln!(self.text, "+{:.3}s {way} {}\n{body}\n", after.as_secs_f64(), record.peer);
        if self.text.len() + CUT.len() > MAX_TRACE_BYTES {
            self.text.truncate(before);
            self.text.push_str(CUT);
            self.full = true;
        }
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }
}

//! What a caller does beside speaking, for the call record: DTMF digits, hold and resume.

use crate::dtmf::Digit;
use std::time::{Duration, Instant};

/// Maximum number of recorded actions per call; further ones are only counted.
pub const ACTION_LIMIT: usize = 500;

/// How a digit arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DtmfMethod {
    /// As a telephone event in RTP (RFC 4733).
    TelephoneEvent,
    /// In a SIP INFO request.
    Info,
}

/// An action of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallerAction {
    /// Pressed a key.
    Dtmf {
        /// The key.
        digit: Digit,
        /// How it arrived.
        method: DtmfMethod,
    },
    /// Put the call on hold.
    Hold,
    /// Resumed the call.
    Resume,
}

/// An action and when it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimedCallerAction {
    /// Time since the answer; zero before it.
    pub at: Duration,
    /// The action.
    pub action: CallerAction,
}

/// Records the actions of one call.
#[derive(Debug, Default)]
pub(crate) struct CallerActionRecorder {
    actions: Vec<(Instant, CallerAction)>,
    omitted: u64,
}

impl CallerActionRecorder {
    pub(crate) fn record(&mut self, action: CallerAction, now: Instant) {
        if self.actions.len() < ACTION_LIMIT {
            self.actions.push((now, action));
        } else {
            self.omitted += 1;
        }
    }

    /// The first [`ACTION_LIMIT`] actions, in order.
    pub(crate) fn since(&self, answered: Option<Instant>) -> Vec<TimedCallerAction> {
        let timed = |&(at, action): &(Instant, CallerAction)| TimedCallerAction {
            at: answered.map_or(Duration::ZERO, |answered| at.saturating_duration_since(answered)),
            action,
        };
        self.actions.iter().map(timed).collect()
    }

    /// How many further actions there were.
    pub(crate) fn omitted(&self) -> u64 {
        self.omitted
    }
}

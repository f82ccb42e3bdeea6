//! Some callers send each digit twice, as an RFC 4733 event and by SIP INFO. The second arrival of such a pair is no new digit.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::caller_actions::DtmfMethod;
use crate::dtmf::Digit;

/// The longest time between the two arrivals.
const WINDOW: Duration = Duration::from_secs(1);
/// Digits that wait for their second arrival.
const MAX_WAITING: usize = 32;

/// The digits that have arrived by one way only.
#[derive(Debug, Default)]
pub(super) struct DigitPairs(VecDeque<Arrival>);

#[derive(Debug)]
struct Arrival {
    digit: Digit,
    method: DtmfMethod,
    at: Instant,
}

impl DigitPairs {
    /// Whether a digit is new, and not one that has arrived by the other way.
    pub(super) fn is_new(&mut self, digit: Digit, method: DtmfMethod, now: Instant) -> bool {
        self.expire(now);
        let first = self.0.iter().position(|earlier| earlier.digit == digit && earlier.method != method);
        if let Some(place) = first {
            self.0.remove(place);
            return false;
        }
        if self.0.len() >= MAX_WAITING {
            self.0.pop_front();
        }
        self.0.push_back(Arrival { digit, method, at: now });
        true
    }

    /// The event of a digit goes on. Its INFO may have arrived when the key was pressed; the event is reported when the key is
    /// released.
    pub(super) fn hold(&mut self, digit: Digit, now: Instant) {
        self.expire(now);
        let by_info = |earlier: &&mut Arrival| earlier.digit == digit && earlier.method == DtmfMethod::Info;
        for earlier in self.0.iter_mut().filter(by_info) {
            earlier.at = now;
        }
    }

    fn expire(&mut self, now: Instant) {
        self.0.retain(|earlier| now.saturating_duration_since(earlier.at) <= WINDOW);
    }
}

//! How fast an endpoint is sent to. One that says that it cannot keep up (429, 5xx, time-outs) gets fewer deliveries at
//! once and a pause between them; each success gives a little back.

use std::time::Duration;

use super::delivery::ErrorClass;
use crate::clock::Timestamp;

/// The pause after the first complaint; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The pace of one endpoint on one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    allowed: u32,
    complaints: u32,
    paused_until: Option<Timestamp>,
}

impl Pace {
    /// The pace of an endpoint that has not complained.
    pub const fn full(ceiling: u32) -> Self {
        Self { allowed: ceiling, complaints: 0, paused_until: None }
    }

    /// The pace after an attempt that ended at `now`.
    #[must_use]
    pub fn after(self, error: Option<ErrorClass>, ceiling: u32, now: Timestamp) -> Self {
        match error {
            None => Self { allowed: (self.allowed + 1).min(ceiling), complaints: 0, paused_until: None },
            Some(error) if error.asks_for_less() => {
                let pause = FIRST_PAUSE.saturating_mul(1 << self.complaints.min(10)).min(LONGEST_PAUSE);
                Self {
                    allowed: (self.allowed / 2).max(1),
                    complaints: self.complaints.saturating_add(1),
                    paused_until: Some(now.plus(pause)),
                }
            }
            Some(_) => self,
        }
    }

    /// How many deliveries may be under way at `now`.
    pub fn allows(&self, ceiling: u32, now: Timestamp) -> u32 {
        if self.paused_until.is_some_and(|until| now < until) { 0 } else { self.allowed.min(ceiling) }
    }

    /// Whether there is nothing to remember.
    pub const fn is_full(&self, ceiling: u32) -> bool {
        self.allowed >= ceiling && self.complaints == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

    #[test]
    fn complaints_halve_the_pace_and_lengthen_the_pause_and_success_restores_it() {
        let mut pace = Pace::full(10);
        let mut seen = Vec::new();
        for _ in 0..5 {
            pace = pace.after(Some(ErrorClass::TooMany), 10, START);
            seen.push(pace.allowed);
        }
        assert_eq!(seen, [5, 2, 1, 1, 1]);
        assert_eq!(pace.allows(10, START.plus(Duration::from_millis(3_999))), 0);
        assert_eq!(pace.allows(10, START.plus(Duration::from_secs(4))), 1);
        for _ in 0..9 {
            pace = pace.after(None, 10, START);
        }
        assert_eq!(pace, Pace::full(10));
        assert!(pace.is_full(10));
    }

    #[test]
    fn the_pause_has_a_bound_and_other_errors_change_nothing() {
        let mut pace = Pace::full(100);
        for _ in 0..1000 {
            pace = pace.after(Some(ErrorClass::TimedOut), 100, START);
        }
        assert_eq!(pace.allows(100, START.plus(LONGEST_PAUSE)), 1);
        assert_eq!(pace.after(Some(ErrorClass::ClientError), 100, START), pace);
        assert_eq!(Pace::full(10).allows(3, START), 3, "a lowered ceiling holds at once");
    }
}

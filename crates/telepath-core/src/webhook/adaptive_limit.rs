//! The adaptive concurrency limit of an endpoint. Each overload signal (429, 5xx, time-out) halves the deliveries in flight
//! and adds a pause; each success raises the limit by one.

use std::time::Duration;

use super::delivery::ErrorClass;
use crate::clock::Timestamp;

/// The pause after the first overload signal; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The limit of one endpoint on one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdaptiveLimit {
    allowed: u32,
    overloads: u32,
    paused_until: Option<Timestamp>,
}

impl AdaptiveLimit {
    /// The limit of an endpoint without overload signals.
    pub const fn full(ceiling: u32) -> Self {
        Self { allowed: ceiling, overloads: 0, paused_until: None }
    }

    /// The limit after an attempt that ended at `now`.
    #[must_use]
    pub fn after(self, error: Option<ErrorClass>, ceiling: u32, now: Timestamp) -> Self {
        match error {
            None => Self { allowed: (self.allowed + 1).min(ceiling), overloads: 0, paused_until: None },
            Some(error) if error.is_overload() => {
                let pause = FIRST_PAUSE.saturating_mul(1 << self.overloads.min(10)).min(LONGEST_PAUSE);
                Self {
                    allowed: (self.allowed / 2).max(1),
                    overloads: self.overloads.saturating_add(1),
                    paused_until: Some(now.plus(pause)),
                }
            }
            Some(_) => self,
        }
    }

    /// How many deliveries may be in flight at `now`.
    pub fn allows(&self, ceiling: u32, now: Timestamp) -> u32 {
        if self.paused_until.is_some_and(|until| now < until) { 0 } else { self.allowed.min(ceiling) }
    }

    /// Whether the limit is back at the ceiling, so that it need not be stored.
    pub const fn is_full(&self, ceiling: u32) -> bool {
        self.allowed >= ceiling && self.overloads == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

    #[test]
    fn overload_halves_the_limit_and_doubles_the_pause_and_success_restores_it() {
        let mut limit = AdaptiveLimit::full(10);
        let mut seen = Vec::new();
        for _ in 0..5 {
            limit = limit.after(Some(ErrorClass::TooMany), 10, START);
            seen.push(limit.allowed);
        }
        assert_eq!(seen, [5, 2, 1, 1, 1]);
        assert_eq!(limit.allows(10, START.plus(Duration::from_millis(3_999))), 0);
        assert_eq!(limit.allows(10, START.plus(Duration::from_secs(4))), 1);
        for _ in 0..9 {
            limit = limit.after(None, 10, START);
        }
        assert_eq!(limit, AdaptiveLimit::full(10));
        assert!(limit.is_full(10));
    }

    #[test]
    fn the_pause_is_bounded_and_other_errors_do_not_change_the_limit() {
        let mut limit = AdaptiveLimit::full(100);
        for _ in 0..1000 {
            limit = limit.after(Some(ErrorClass::TimedOut), 100, START);
        }
        assert_eq!(limit.allows(100, START.plus(LONGEST_PAUSE)), 1);
        assert_eq!(limit.after(Some(ErrorClass::ClientError), 100, START), limit);
        assert_eq!(AdaptiveLimit::full(10).allows(3, START), 3, "a lowered ceiling holds at once");
    }
}

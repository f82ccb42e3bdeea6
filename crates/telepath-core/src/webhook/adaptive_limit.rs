//! The adaptive concurrency limit of an endpoint. Each overload signal (429, 5xx, time-out) halves the deliveries in flight
//! and adds a pause; each success raises the limit by one.

use std::time::Duration;

use super::delivery::ErrorClass;
use crate::clock::Timestamp;

/// The pause after the first overload signal; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The limit of one endpoint. It is stored with the endpoint, so it applies across all servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AdaptiveLimit {
    /// The reduced limit; `None` is the endpoint's ceiling.
    pub reduced: Option<u32>,
    /// Overload signals since the last success.
    pub overloads: u32,
    /// Nothing is sent before this time.
    pub paused_until: Option<Timestamp>,
}

impl AdaptiveLimit {
    /// The limit after an attempt that ended at `now`.
    #[must_use]
    pub fn after(self, error: Option<ErrorClass>, ceiling: u32, now: Timestamp) -> Self {
        let allowed = self.reduced.unwrap_or(ceiling);
        match error {
            None => {
                let raised = allowed.saturating_add(1);
                let reduced = (raised < ceiling).then_some(raised);
                Self { reduced, overloads: 0, paused_until: None }
            }
            Some(error) if error.is_overload() => {
                let pause = FIRST_PAUSE.saturating_mul(1 << self.overloads.min(10)).min(LONGEST_PAUSE);
                Self {
                    reduced: Some((allowed.min(ceiling) / 2).max(1)),
                    overloads: self.overloads.saturating_add(1),
                    paused_until: Some(now.plus(pause)),
                }
            }
            Some(_) => self,
        }
    }

    /// How many deliveries may be in flight at `now`. A pause further away than the longest one is left from a clock that
    /// was set back, and has no effect.
    pub fn allows(&self, ceiling: u32, now: Timestamp) -> u32 {
        let paused = self.paused_until.is_some_and(|until| now < until && until <= now.plus(LONGEST_PAUSE));
        if paused { 0 } else { self.reduced.unwrap_or(ceiling).min(ceiling) }
    }

    /// Whether nothing is reduced.
    pub fn is_full(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

    #[test]
    fn overload_halves_the_limit_and_doubles_the_pause_and_success_restores_it() {
        let mut limit = AdaptiveLimit::default();
        let mut seen = Vec::new();
        for _ in 0..5 {
            limit = limit.after(Some(ErrorClass::TooMany), 10, START);
            seen.push(limit.reduced.unwrap());
        }
        assert_eq!(seen, [5, 2, 1, 1, 1]);
        assert_eq!(limit.allows(10, START.minus(Duration::from_hours(1))), 1, "the clock was set back");
        assert_eq!(limit.allows(10, START.plus(Duration::from_millis(3_999))), 0);
        assert_eq!(limit.allows(10, START.plus(Duration::from_secs(4))), 1);
        for _ in 0..9 {
            limit = limit.after(None, 10, START);
        }
        assert!(limit.is_full(), "{limit:?}");
        assert_eq!(limit.after(None, 10, START), limit);
    }

    #[test]
    fn the_pause_is_bounded_and_other_errors_do_not_change_the_limit() {
        let mut limit = AdaptiveLimit::default();
        for _ in 0..1000 {
            limit = limit.after(Some(ErrorClass::TimedOut), 100, START);
        }
        assert_eq!(limit.allows(100, START.plus(LONGEST_PAUSE)), 1);
        assert_eq!(limit.after(Some(ErrorClass::ClientError), 100, START), limit);
        let reduced = AdaptiveLimit { reduced: Some(8), ..AdaptiveLimit::default() };
        assert_eq!(reduced.allows(3, START), 3, "a lowered ceiling holds at once");
        assert_eq!(reduced.after(Some(ErrorClass::TooMany), 3, START).allows(3, START), 0);
    }
}

//! The lease: for how long a server may admit requests by the keys that it has in memory. It is counted on the server's
//! own monotonic clock from the instant before it asked the database, so no two clocks need to agree about anything.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a view of the keys may be used after it was asked for.
pub(crate) const LEASE: Duration = Duration::from_millis(500);
/// How long after its commit a change waits for a server that does not confirm it. Whatever that server admits by was
/// asked for before the commit, so its lease is over by then. The difference is for clocks that run at different rates
/// and for the way from the judgement to the answer.
pub(crate) const BARRIER_TIMEOUT: Duration = Duration::from_millis(600);

/// Always valid: there is no other server.
const UNBOUNDED: u64 = u64::MAX;

/// Until when requests may be admitted; read by every admission, written by the worker that renews it.
pub(crate) struct Lease {
    base: Instant,
    /// Nanoseconds after `base`; 0 is no lease at all.
    until: AtomicU64,
}

impl Lease {
    /// For the only server of a database: it needs none.
    pub(crate) fn unbounded() -> Self {
        Self { base: Instant::now(), until: AtomicU64::new(UNBOUNDED) }
    }

    /// For a server that must first ask.
    pub(crate) fn none() -> Self {
        Self { base: Instant::now(), until: AtomicU64::new(0) }
    }

    /// A view that was asked for at this instant is in memory.
    pub(crate) fn grant(&self, asked: Instant) {
        self.until.store(self.nanos(asked + LEASE), Ordering::Release);
    }

    /// From now on nothing is admitted.
    pub(crate) fn end(&self) {
        self.until.store(0, Ordering::Release);
    }

    /// Whether a request may be admitted now. Where no lease is needed no clock is read.
    pub(crate) fn holds(&self) -> bool {
        match self.until.load(Ordering::Acquire) {
            UNBOUNDED => true,
            0 => false,
            until => self.nanos(Instant::now()) < until,
        }
    }

    /// What is left at an instant; `None` where no lease is needed.
    pub(crate) fn left(&self, now: Instant) -> Option<Duration> {
        match self.until.load(Ordering::Acquire) {
            UNBOUNDED => None,
            until => Some(Duration::from_nanos(until.saturating_sub(self.nanos(now)))),
        }
    }

    /// Five hundred years fit.
    fn nanos(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.base).as_nanos()).unwrap_or(UNBOUNDED - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_counted_from_before_the_question_and_not_from_the_answer() {
        let lease = Lease::none();
        assert!(!lease.holds());
        let asked = Instant::now();
        lease.grant(asked);
        assert_eq!(lease.left(asked), Some(LEASE));
        assert_eq!(lease.left(asked + LEASE / 2), Some(LEASE / 2));
        assert_eq!(lease.left(asked + LEASE), Some(Duration::ZERO));
        assert!(BARRIER_TIMEOUT > LEASE, "who waits, waits longer than who admits");
    }

    #[test]
    fn an_ended_lease_admits_nothing_and_an_unbounded_one_never_ends() {
        let lease = Lease::none();
        lease.grant(Instant::now());
        lease.end();
        assert!(!lease.holds());
        let unbounded = Lease::unbounded();
        assert!(unbounded.holds());
        assert_eq!(unbounded.left(Instant::now() + Duration::from_hours(24)), None);
    }
}

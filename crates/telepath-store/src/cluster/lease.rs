//! The lease: how long a server may admit requests by the keys in its memory. It starts, on the server's own boot clock,
//! at the instant before the server asked the database, so no clocks need to be synchronized. The boot clock also counts
//! the time that a machine is suspended, so a server that wakes up has no lease.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use telepath_core::clock::boot_time;

/// How long a view of the keys may be used, from the instant it was requested.
pub(crate) const LEASE: Duration = Duration::from_millis(500);
/// How long after its commit a change waits for a server that does not confirm it. That server's view was requested
/// before the commit, so its lease has expired by then. The margin covers clock drift and the time from the decision
/// to the response.
pub(crate) const BARRIER_TIMEOUT: Duration = Duration::from_millis(600);

/// Always valid: there is no other server.
const UNBOUNDED: u64 = u64::MAX;

/// Until when requests may be admitted. Read by every admission, written by the renewal.
pub(crate) struct Lease {
    /// Nanoseconds after the start of the machine; 0 is no lease.
    until: AtomicU64,
}

impl Lease {
    /// For the only server of a database.
    pub(crate) fn unbounded() -> Self {
        Self { until: AtomicU64::new(UNBOUNDED) }
    }

    /// For a server that must first get a lease.
    pub(crate) fn none() -> Self {
        Self { until: AtomicU64::new(0) }
    }

    /// Extends the lease for a view requested at `asked`, by [`boot_time`].
    pub(crate) fn grant(&self, asked: Duration) {
        self.until.store(nanos(asked + LEASE), Ordering::Release);
    }

    /// Ends the lease; nothing is admitted from now on.
    pub(crate) fn end(&self) {
        self.until.store(0, Ordering::Release);
    }

    /// Whether requests may be admitted now. An unbounded lease reads no clock.
    pub(crate) fn holds(&self) -> bool {
        match self.until.load(Ordering::Acquire) {
            UNBOUNDED => true,
            0 => false,
            until => nanos(boot_time()) < until,
        }
    }

    /// The time left at `now`, by [`boot_time`]; `None` for an unbounded lease.
    pub(crate) fn left(&self, now: Duration) -> Option<Duration> {
        match self.until.load(Ordering::Acquire) {
            UNBOUNDED => None,
            until => Some(Duration::from_nanos(until.saturating_sub(nanos(now)))),
        }
    }
}

/// Enough for five hundred years.
fn nanos(at: Duration) -> u64 {
    u64::try_from(at.as_nanos()).unwrap_or(UNBOUNDED - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_starts_when_the_database_is_asked() {
        let lease = Lease::none();
        assert!(!lease.holds());
        let asked = boot_time();
        lease.grant(asked);
        assert_eq!(lease.left(asked), Some(LEASE));
        assert_eq!(lease.left(asked + LEASE / 2), Some(LEASE / 2));
        assert_eq!(lease.left(asked + LEASE), Some(Duration::ZERO));
        assert!(BARRIER_TIMEOUT > LEASE, "who waits, waits longer than who admits");
    }

    #[test]
    fn a_lease_expires_while_the_machine_is_suspended() {
        let lease = Lease::none();
        // Asked before the machine was suspended; the boot clock went on.
        lease.grant(boot_time().saturating_sub(LEASE));
        assert!(!lease.holds());
    }

    #[test]
    fn an_ended_lease_does_not_hold_and_an_unbounded_one_always_does() {
        let lease = Lease::none();
        lease.grant(boot_time());
        lease.end();
        assert!(!lease.holds());
        let unbounded = Lease::unbounded();
        assert!(unbounded.holds());
        assert_eq!(unbounded.left(boot_time() + Duration::from_hours(24)), None);
    }
}

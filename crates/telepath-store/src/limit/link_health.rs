//! Whether a connection to the shared limiter still works. One late reply says little: Redis pauses when it forks. All
//! requests that wait at the same time wait for the same pause, so they count as one failure.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

/// A connection is replaced after this many failures without a reply in between.
const MAX_FAILURES: u32 = 3;

#[derive(Default)]
struct Failures {
    count: u32,
    last: Option<Instant>,
}

/// The health of one connection.
#[derive(Default)]
pub(super) struct LinkHealth {
    /// Read on every reply, so that the lock is taken only after failures.
    is_failing: AtomicBool,
    failures: Mutex<Failures>,
    broken: Notify,
}

impl LinkHealth {
    /// A reply arrived.
    pub(super) fn succeeded(&self) {
        if self.is_failing.swap(false, Ordering::Relaxed) {
            *self.failures.lock().unwrap_or_else(PoisonError::into_inner) = Failures::default();
        }
    }

    /// A request sent at `asked` got no reply until `now`.
    pub(super) fn failed(&self, asked: Instant, now: Instant) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.last.is_some_and(|last| asked < last) {
            return;
        }
        self.is_failing.store(true, Ordering::Relaxed);
        *failures = Failures { count: failures.count + 1, last: Some(now) };
        if failures.count >= MAX_FAILURES {
            self.broken.notify_one();
        }
    }

    /// The connection is closed.
    pub(super) fn broke(&self) {
        self.broken.notify_one();
    }

    /// Waits until the connection must be replaced.
    pub(super) async fn until_broken(&self) {
        self.broken.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt as _;

    use super::*;

    fn is_broken(health: &LinkHealth) -> bool {
        health.until_broken().now_or_never().is_some()
    }

    #[test]
    fn only_failures_one_after_the_other_break_a_connection() {
        let (health, start) = (LinkHealth::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        // A thousand requests wait for the same pause.
        for request in 0..1000 {
            health.failed(at(request % 200), at(250 + request % 200));
        }
        assert!(!is_broken(&health));
        health.failed(at(500), at(750));
        assert!(!is_broken(&health));
        health.failed(at(800), at(1050));
        assert!(is_broken(&health));
    }

    #[test]
    fn a_reply_in_between_makes_failures_forgotten() {
        let (health, start) = (LinkHealth::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        for round in 0..100 {
            health.failed(at(round * 1000), at(round * 1000 + 250));
            health.failed(at(round * 1000 + 300), at(round * 1000 + 550));
            health.succeeded();
        }
        assert!(!is_broken(&health));
    }

    #[test]
    fn a_closed_connection_is_replaced_at_once() {
        let health = LinkHealth::default();
        health.broke();
        assert!(is_broken(&health));
    }
}

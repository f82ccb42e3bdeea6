//! What happens on one connection, as counters that its requests increment.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts what happens on one connection. It reads no clock, which would cost every request; the idle check compares the
/// counters at two points in time.
#[derive(Debug, Default)]
pub(crate) struct ActivityCounters {
    /// Requests whose handler was started.
    pub(crate) started: AtomicU64,
    /// Requests whose handler returned or was dropped.
    pub(crate) answered: AtomicU64,
    /// Requests whose response body ended or was dropped.
    pub(crate) ended: AtomicU64,
    /// Parts of bodies that were sent.
    pub(crate) progress: AtomicU64,
}

impl ActivityCounters {
    /// Whether no handler runs and no response body is being sent.
    pub(crate) fn is_idle(&self) -> bool {
        // A request ends after it started; loading in this order never counts an end without its start.
        let ended = self.ended.load(Ordering::Acquire);
        self.started.load(Ordering::Acquire) == ended
    }

    /// Whether no handler runs and nothing was sent since the last check, which left its memory in `seen`.
    pub(crate) fn was_idle_since(&self, seen: &mut u64) -> bool {
        let progress = self.progress.load(Ordering::Acquire).wrapping_add(self.ended.load(Ordering::Acquire));
        let before = std::mem::replace(seen, progress);
        let answered = self.answered.load(Ordering::Acquire);
        progress == before && self.started.load(Ordering::Acquire) == answered
    }
}

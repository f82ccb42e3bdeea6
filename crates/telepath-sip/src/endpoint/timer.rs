//! Deadlines in order of time. Each carries its reason, and whoever set one can take it back exactly, so no
//! dead timers pile up behind calls that are long gone.

use std::collections::BTreeMap;
use std::time::Instant;

/// The name of a set deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TimerId(Instant, u64);

/// Deadlines with their reasons.
pub(crate) struct Timers<R> {
    queue: BTreeMap<TimerId, R>,
    next: u64,
}

impl<R> Timers<R> {
    pub(crate) fn new() -> Self {
        Self { queue: BTreeMap::new(), next: 0 }
    }

    pub(crate) fn set(&mut self, at: Instant, reason: R) -> TimerId {
        self.next += 1;
        let id = TimerId(at, self.next);
        self.queue.insert(id, reason);
        id
    }

    pub(crate) fn clear(&mut self, id: Option<TimerId>) {
        if let Some(id) = id {
            self.queue.remove(&id);
        }
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.queue.first_key_value().map(|(id, _)| id.0)
    }

    /// Takes the earliest deadline that has come.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<R> {
        let entry = self.queue.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }
}

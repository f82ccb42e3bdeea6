//! A queue of timers in order of time. Each timer carries what to do when it fires and can be cleared by its id, so that
//! no timer outlives its call.

use std::collections::BTreeMap;
use std::time::Instant;

/// Identifies a timer that is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TimerId(Instant, u64);

/// Timers, each with an action of type `A`.
pub(super) struct Timers<A> {
    queue: BTreeMap<TimerId, A>,
    last_id: u64,
}

impl<A> Timers<A> {
    pub(super) fn new() -> Self {
        Self { queue: BTreeMap::new(), last_id: 0 }
    }

    pub(super) fn set(&mut self, at: Instant, action: A) -> TimerId {
        self.last_id += 1;
        let id = TimerId(at, self.last_id);
        self.queue.insert(id, action);
        id
    }

    pub(super) fn clear(&mut self, id: Option<TimerId>) {
        if let Some(id) = id {
            self.queue.remove(&id);
        }
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.queue.first_key_value().map(|(id, _)| id.0)
    }

    /// Removes the earliest timer if it is due.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<A> {
        let entry = self.queue.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }
}

//! A secret in memory, and when it ends.

use std::num::NonZeroI64;

use telepath_core::clock::{ClockReading, SteadyTime, Timestamp};
use telepath_core::secret::HashedKey;

use super::snapshot::{SnapshotEnd, SnapshotSecret};

/// A secret that requests may be made with until it ends.
pub(super) struct Secret {
    pub(super) hash: HashedKey,
    /// By the wall clock; `i64::MAX` is never, and `i64::MIN` has ended for good.
    expires: i64,
    /// By the steady clock, which nobody can set. Never zero, so that an absent secret takes no more memory.
    steady_end: NonZeroI64,
}

impl Secret {
    pub(super) fn new(secret: &SnapshotSecret, now: ClockReading) -> Self {
        let (expires, steady_end) = match secret.end {
            None => (i64::MAX, NonZeroI64::MAX),
            Some(SnapshotEnd::AtOnce) => (i64::MIN, NonZeroI64::MIN),
            Some(SnapshotEnd::Grace(grace)) => {
                let end = NonZeroI64::new(grace.steady_end(now).ms()).unwrap_or(NonZeroI64::MIN);
                (grace.ends_at.unix_ms(), end)
            }
        };
        Self { hash: secret.hash, expires, steady_end }
    }

    pub(super) fn has_ended(&self, now: ClockReading) -> bool {
        now.wall.unix_ms() >= self.expires || now.steady.ms() >= self.steady_end.get()
    }

    /// Keeps what this process knows about the end of the secret: it is never extended.
    pub(super) fn bounded_by(self, known: &Self) -> Self {
        let expires = if known.expires == i64::MIN { i64::MIN } else { self.expires };
        Self { expires, steady_end: self.steady_end.min(known.steady_end), ..self }
    }

    /// Also if the clock is set back.
    pub(super) fn end_for_good(&mut self) {
        self.expires = i64::MIN;
    }

    /// Whether it is valid by the wall clock.
    pub(super) fn is_valid_at(&self, now: Timestamp) -> bool {
        now.unix_ms() < self.expires
    }

    pub(super) fn steady_end(&self) -> SteadyTime {
        SteadyTime::from_ms(self.steady_end.get())
    }
}

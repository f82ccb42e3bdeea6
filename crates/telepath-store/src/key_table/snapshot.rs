//! The state of a key as it is read from the database.

use std::time::Duration;

use telepath_core::clock::{ClockReading, SteadyTime, Timestamp};
use telepath_core::id::{AccountId, KeyId};
use telepath_core::key::{KeyPolicy, Preset};
use telepath_core::secret::HashedKey;

/// The state of a key as a transaction left it.
pub(crate) struct Snapshot {
    pub(crate) id: KeyId,
    pub(crate) account: AccountId,
    pub(crate) name: Box<str>,
    pub(crate) preset: Preset,
    pub(crate) policy: KeyPolicy,
    /// Increases with every change of the key.
    pub(crate) version: i64,
    pub(crate) secrets: Vec<SnapshotSecret>,
}

/// One secret of a [`Snapshot`].
pub(crate) struct SnapshotSecret {
    pub(crate) hash: HashedKey,
    /// When it stops working; `None` for the current secret.
    pub(crate) end: Option<SnapshotEnd>,
}

/// The end of a secret that was replaced.
#[derive(Clone, Copy)]
pub(crate) enum SnapshotEnd {
    /// It was ended explicitly.
    AtOnce,
    /// It works until its grace period ends.
    Grace(GracePeriod),
}

/// A grace period, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GracePeriod {
    /// When it was granted, by the wall clock of then.
    pub(crate) granted_at: Timestamp,
    pub(crate) ends_at: Timestamp,
}

impl GracePeriod {
    pub(crate) fn length(self) -> Duration {
        self.ends_at.since(self.granted_at)
    }

    /// The end on the steady timeline. Whatever the wall clock shows, the secret works for the length of its grace period at
    /// most.
    pub(crate) fn steady_end(self, now: ClockReading) -> SteadyTime {
        let left = self.ends_at.since(now.wall);
        let most = if left.is_zero() { self.length() } else { left.min(self.length()) };
        now.steady.plus_ms(i64::try_from(most.as_millis()).unwrap_or(i64::MAX))
    }
}

//! The state of a key as it is read from the database.

use telepath_core::clock::Timestamp;
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
    pub(crate) expires_at: Option<Timestamp>,
}

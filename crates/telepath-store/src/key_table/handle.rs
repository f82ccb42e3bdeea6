//! What a handle says of its key.

use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, KeyId};
use telepath_core::principal::NamesKey;
use telepath_core::secret::HashedKey;

use super::KeyHandle;
use super::entry::KeyDescription;

impl NamesKey for KeyHandle {
    fn key_id(&self) -> KeyId {
        self.entry.id
    }
}

impl KeyHandle {
    /// Whether the secret works now, or will when the key becomes valid. Counts nothing.
    pub fn is_live(&self, hash: &HashedKey, now: Timestamp) -> bool {
        self.entry.is_live(hash, now)
    }

    pub fn key_id(&self) -> KeyId {
        self.entry.id
    }

    pub fn account_id(&self) -> AccountId {
        self.entry.account
    }

    /// The key as it is now.
    pub fn description(&self) -> KeyDescription {
        self.entry.description()
    }
}

//! What the program provides to the store: the vault, the clock and the random source.

use std::sync::Arc;

use telepath_core::audit::KeyedAuditId;
use telepath_core::clock::{Clock, Timestamp};
use telepath_core::entropy::Entropy;
use telepath_core::id::Id;
use telepath_core::vault::Vault;

use crate::error::StoreError;

/// The vault, the clock and the random source.
#[derive(Clone)]
pub struct StoreContext {
    /// Hashes API keys and seals credentials.
    pub vault: Arc<Vault>,
    pub clock: Arc<dyn Clock>,
    /// Random bytes for ids and secrets.
    pub entropy: Arc<dyn Entropy>,
}

impl StoreContext {
    /// Generates the id of an audit entry that the trail always has room for, with the key that links the entry to its chain.
    pub(crate) fn new_audit_id(&self, now: Timestamp) -> Result<KeyedAuditId, StoreError> {
        Ok(KeyedAuditId { id: self.new_id(now)?, key: self.vault.audit_chain().clone(), trail_limit: None })
    }

    /// Generates an id with the timestamp `now`.
    pub(crate) fn new_id<T: Id>(&self, now: Timestamp) -> Result<T, StoreError> {
        Ok(T::generate(now, &*self.entropy)?)
    }
}

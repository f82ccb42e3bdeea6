//! The transactions that activate and remove a master key and that end a rotation, each with its audit row.

use telepath_core::audit::AuditEntry;
use telepath_core::id::{AccountId, NodeId};
use telepath_core::keyring::ServerKeys;
use telepath_core::vault::{Sealed, SealingKeyId};

use super::KeyringError;
use super::columns::SEALED;
use super::stored::{
    ACTIVE, DERIVED_KEYS, PENDING, is_pending, loaded_text, lock, pending, servers, set, text_of,
};
use crate::audit;
use crate::error::StoreError;
use crate::sql::{Connection, TransactionFuture, binds, corrupt};

/// Makes a key the one that seals, if every server has loaded it.
pub(super) struct Activation {
    pub(super) from: SealingKeyId,
    pub(super) to: SealingKeyId,
    /// Sealed under the new key.
    pub(super) derived: Sealed,
    pub(super) entry: AuditEntry,
}

impl Activation {
    pub(super) fn run(self, db: &mut Connection) -> TransactionFuture<'_, (), KeyringError> {
        Box::pin(async move {
            let active = lock(db).await?;
            if active != self.from.to_string() {
                // Another server was faster.
                return Err(KeyringError::Resealing);
            }
            let without = servers(db).await?.into_iter().find(|server| !server.loaded.contains(&self.to));
            if let Some(ServerKeys { name, .. }) = without {
                return Err(KeyringError::MissingOnServer { server: name, key: self.to });
            }
            set(db, DERIVED_KEYS, text_of(&self.derived)).await?;
            set(db, ACTIVE, self.to.to_string()).await?;
            set(db, PENDING, format!("{} {}", self.to, self.entry.account_id)).await?;
            Ok(audit::write(db, &self.entry).await?)
        })
    }
}

/// Removes a key from the row of this server, if nothing is sealed by it.
pub(super) struct Removal {
    pub(super) id: SealingKeyId,
    pub(super) node: Option<NodeId>,
    /// The keys that stay.
    pub(super) others: Vec<SealingKeyId>,
    pub(super) entry: AuditEntry,
}

impl Removal {
    pub(super) fn run(self, db: &mut Connection) -> TransactionFuture<'_, (), KeyringError> {
        Box::pin(async move {
            // No server activates the key meanwhile.
            let active = lock(db).await?;
            if active == self.id.to_string() || is_pending(db).await? {
                return Err(KeyringError::Resealing);
            }
            for column in SEALED {
                if db.fetch_optional(column.any(), binds![&self.id.as_bytes()[..]]).await?.is_some() {
                    return Err(KeyringError::Resealing);
                }
            }
            if let Some(node) = self.node {
                let sql = "UPDATE nodes SET master_keys = $2 WHERE id = $1";
                db.execute(sql, binds![node.to_string(), loaded_text(&self.others)]).await?;
            }
            Ok(audit::write(db, &self.entry).await?)
        })
    }
}

/// The account whose audit trail records the end of the rotation to `active`, if every server seals with it.
pub(super) async fn finished(
    db: &mut Connection,
    active: SealingKeyId,
) -> Result<Option<AccountId>, StoreError> {
    if servers(db).await?.iter().any(|server| server.active != Some(active)) {
        return Ok(None);
    }
    let Some(pending) = pending(db).await? else { return Ok(None) };
    let account = pending.split_once(' ').and_then(|(_, account)| account.parse().ok());
    account.ok_or_else(|| corrupt(PENDING)).map(Some)
}

/// Ends the rotation; `false` if another server ended it, or another key was activated meanwhile.
pub(super) async fn end(db: &mut Connection, entry: &AuditEntry) -> Result<bool, StoreError> {
    let sql = "DELETE FROM settings WHERE name = $1 AND value = $2";
    let value = format!("{} {}", entry.target, entry.account_id);
    if db.execute(sql, binds![PENDING, value]).await? == 0 {
        return Ok(false);
    }
    audit::write(db, entry).await.map(|()| true)
}

//! Heads of chains for the log: a copy outside the database of what a chain contained at a moment.

use std::sync::PoisonError;

use telepath_core::audit::{ChainHash, ChainHead};
use telepath_core::id::AccountId;

use crate::error::StoreError;
use crate::store::Store;

/// The head of an account's chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditHead {
    pub account: AccountId,
    pub head: ChainHead,
}

impl Store {
    /// The heads that are due to be logged; each is returned once.
    pub async fn audit_heads_to_log(&self) -> Result<Vec<AuditHead>, StoreError> {
        // An installation has at most a thousand accounts.
        let sql = "SELECT id, audit_position, audit_hash FROM accounts ORDER BY id";
        let rows = self.backend.read().await?.fetch_all(sql, vec![]).await?;
        let now = self.now();
        let mut due = Vec::new();
        for row in rows {
            let hash = ChainHash(row.array("audit_hash")?);
            let head = ChainHead { position: row.number("audit_position")?, hash };
            let account = row.parse("id")?;
            let mut log = self.audit_heads.lock().unwrap_or_else(PoisonError::into_inner);
            if log.is_due(account, head, now) {
                due.push(AuditHead { account, head });
            }
        }
        Ok(due)
    }
}

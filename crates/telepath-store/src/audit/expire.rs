//! Retention of audit entries: the oldest are deleted, and the last of them stays known as the anchor that the chain begins at.

use telepath_core::audit::{ChainKey, ChainState};
use telepath_core::clock::Timestamp;
use telepath_core::id::AccountId;

use super::chain_state::{self, integer};
use super::verify::ChainCheck;
use crate::error::StoreError;
use crate::sql::{Connection, binds};
use crate::store::Store;

/// Entries per transaction.
const AT_ONCE: i64 = 200;
/// Transactions per account and call; the rest waits for the next call.
const MAX_STEPS: usize = 100;

impl Store {
    /// Deletes entries from before a moment; returns their number. Entries are deleted in the order of the chain, so one with a
    /// later time keeps those after it.
    pub(crate) async fn expire_audit(&self, before: Timestamp) -> Result<u64, StoreError> {
        // An installation has at most a thousand accounts.
        let rows =
            self.backend.read().await?.fetch_all("SELECT id FROM accounts ORDER BY id", vec![]).await?;
        let mut expired = 0;
        for row in rows {
            let account: AccountId = row.parse("id")?;
            for _ in 0..MAX_STEPS {
                let key = self.context.vault.audit_chain().clone();
                let step: Result<u64, StoreError> = self
                    .backend
                    .write(move |db| Box::pin(async move { expire_some(db, account, before, &key).await }))
                    .await;
                let step = step?;
                expired += step;
                if step < AT_ONCE.unsigned_abs() {
                    break;
                }
            }
        }
        Ok(expired)
    }
}

/// Deletes some entries and moves the anchor. They are verified first: a broken trail is evidence, and is not shortened.
async fn expire_some(
    db: &mut Connection,
    account: AccountId,
    before: Timestamp,
    key: &ChainKey,
) -> Result<u64, StoreError> {
    let chain = chain_state::lock(db, account).await?;
    let state = chain.state;
    if !state.is_authentic(key, &chain.tag) {
        return Ok(0);
    }
    let sql = "SELECT id, position, actor, address, at, action, target, before_json, after_json, hash \
               FROM audit_events WHERE account_id = $1 AND position > $2 ORDER BY position LIMIT $3";
    let rows =
        db.fetch_all(sql, binds![account.to_string(), integer(state.anchor.position), AT_ONCE]).await?;
    let mut check = ChainCheck::new(chain, 0, None);
    let mut freed = 0;
    for row in &rows {
        if row.time("at")? >= before {
            break;
        }
        check.follow(row, key);
        let [target, old, new] = [row.text("target")?, row.text("before_json")?, row.text("after_json")?];
        freed += chain_state::size_of([&target, &old, &new]);
    }
    let anchor = check.last;
    if check.broken || anchor == state.anchor {
        return Ok(0);
    }
    let sql = "DELETE FROM audit_events WHERE account_id = $1 AND position <= $2";
    let deleted = db.execute(sql, binds![account.to_string(), integer(anchor.position)]).await?;
    let bytes = check.chain.bytes.saturating_sub(freed);
    chain_state::advance(db, &check.chain, (ChainState { anchor, ..state }, bytes), key).await?;
    Ok(deleted)
}

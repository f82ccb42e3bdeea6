//! Rows of what was revoked or deleted. A revoked key stays, so that requests with its secret are told apart from those with
//! an unknown one, and a deleted trunk stays for its calls; but neither may grow without bound when keys or trunks are
//! created and removed in turn.

use std::collections::HashSet;
use std::time::Duration;

use telepath_core::clock::Timestamp;
use telepath_core::id::KeyId;

use super::until_fewer;
use crate::error::StoreError;
use crate::sql::{Connection, Row, Value, binds, placeholders};
use crate::store::Store;

/// Revoked keys deleted per transaction, with their usage.
const KEYS: u64 = 20;
/// Deleted trunks per transaction.
const TRUNKS: i64 = 200;
/// Longer than the set-up of any call.
const SETUP: Duration = Duration::from_hours(1);
/// Keys in the memory of this server that one query looks for.
const LOOKED_UP: usize = 512;
/// What belongs to a key.
const OF_A_KEY: [&str; 8] = [
    "usage_buckets",
    "key_usage",
    "usage_addresses",
    "usage_programs",
    "key_watches",
    "key_quotas",
    "key_secrets",
    "leak_guides",
];

impl Store {
    /// Deletes the keys of each account that were revoked first, beyond as many as it can have keys.
    pub(super) async fn expire_revoked_keys(&self) -> Result<u64, StoreError> {
        let kept = u64::from(self.storage_limits.keys);
        // A transaction deletes keys of one account, so only one that deletes none is the last.
        let delete = || self.backend.write(move |db| Box::pin(delete_some_keys(db, kept)));
        let all = until_fewer(1, delete).await?;
        self.forget_deleted_keys().await?;
        Ok(all)
    }

    /// Removes keys from this server's memory that this or another server deleted.
    async fn forget_deleted_keys(&self) -> Result<(), StoreError> {
        let in_memory = self.keys.len() as u64;
        let sql =
            "SELECT CAST(COALESCE(sum(keys + revoked_keys), 0) AS BIGINT) AS stored FROM account_totals";
        let stored: u64 = self.backend.read().await?.fetch_one(sql, vec![]).await?.number("stored")?;
        if in_memory <= stored {
            return Ok(());
        }
        for ids in self.keys.revoked().chunks(LOOKED_UP) {
            let sql = format!("SELECT id FROM keys WHERE id IN ({})", placeholders(1, ids.len()));
            let values = ids.iter().map(|id| Value::from(id.to_string())).collect();
            let rows = self.backend.read().await?.fetch_all(sql, values).await?;
            let found = rows.iter().map(|row| row.parse("id")).collect::<Result<HashSet<KeyId>, _>>()?;
            let gone: Vec<KeyId> = ids.iter().filter(|id| !found.contains(id)).copied().collect();
            self.keys.forget(&gone);
        }
        Ok(())
    }

    /// Deletes deleted trunks that have neither calls nor statistics of them. A call that was being set up when its trunk was
    /// deleted is stored by then.
    pub(super) async fn expire_deleted_trunks(&self, now: Timestamp) -> Result<u64, StoreError> {
        let sql = "DELETE FROM trunks WHERE id IN (SELECT id FROM trunks WHERE deleted_at < $1 \
                   AND NOT EXISTS (SELECT 1 FROM calls WHERE calls.trunk_id = trunks.id) \
                   AND NOT EXISTS (SELECT 1 FROM call_statistics s WHERE s.trunk_id = trunks.id) \
                   ORDER BY id LIMIT $2)";
        let before = now.minus(SETUP);
        self.in_steps(sql, TRUNKS, move || binds![before, TRUNKS]).await
    }
}

/// Deletes surplus keys of one account, if there are any.
async fn delete_some_keys(db: &mut Connection, kept: u64) -> Result<u64, StoreError> {
    let most = i64::try_from(kept).unwrap_or(i64::MAX);
    let over = "SELECT account_id, revoked_keys FROM account_totals WHERE revoked_keys > $1 ORDER BY account_id LIMIT 1";
    // Locked, so that two servers do not delete below the number that is kept.
    let Some(account) = db.fetch_locked(over, binds![most]).await? else { return Ok(0) };
    let surplus = account.number::<u64>("revoked_keys")?.saturating_sub(kept).min(KEYS);
    let id = account.text("account_id")?;
    let oldest = format!(
        "SELECT id FROM keys WHERE account_id = $1 AND revoked_at IS NOT NULL ORDER BY revoked_at, id LIMIT $2{}",
        db.skip_locked()
    );
    let rows = db.fetch_all(oldest, binds![id.as_str(), i64::try_from(surplus).unwrap_or(i64::MAX)]).await?;
    let ids: Vec<Value> =
        rows.iter().map(|row: &Row| Ok(row.text("id")?.into())).collect::<Result<_, StoreError>>()?;
    if ids.is_empty() {
        return Ok(0);
    }
    let list = placeholders(1, ids.len());
    for table in OF_A_KEY {
        db.execute(format!("DELETE FROM {table} WHERE key_id IN ({list})"), ids.clone()).await?;
    }
    let gone = db.execute(format!("DELETE FROM keys WHERE id IN ({list})"), ids.clone()).await?;
    // Where events are left, the sequence number goes with the last of them.
    let subjects = format!(
        "DELETE FROM outbox_subjects WHERE subject IN ({list}) AND NOT EXISTS \
         (SELECT 1 FROM outbox_events e WHERE e.subject = outbox_subjects.subject)"
    );
    db.execute(subjects, ids).await?;
    let sql = "UPDATE account_totals SET revoked_keys = revoked_keys - $2 WHERE account_id = $1";
    db.execute(sql, binds![id, i64::try_from(gone).unwrap_or(i64::MAX)]).await?;
    Ok(gone)
}

//! What a page about all keys of an account shows above and beside the list.

use std::time::Duration;

use telepath_core::id::AccountId;

use crate::error::StoreError;
use crate::sql::binds;
use crate::store::Store;

/// A key that expires within this time is counted as one that expires soon.
pub const EXPIRES_SOON: Duration = Duration::from_hours(30 * 24);
/// A key that was not used for this long is counted as idle.
pub const IDLE_FOR: Duration = Duration::from_hours(90 * 24);

/// How many keys an account has. All but the first three count keys that are neither expired nor revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeyCounts {
    pub total: u64,
    pub expired: u64,
    pub revoked: u64,
    /// Neither expired nor revoked.
    pub current: u64,
    /// Expire within [`EXPIRES_SOON`].
    pub expire_soon: u64,
    pub never_expire: u64,
    /// Not used for [`IDLE_FOR`]; an unused key counts from its creation.
    pub idle: u64,
}

impl Store {
    /// Counts the keys of an account.
    pub async fn count_keys(&self, account: AccountId) -> Result<KeyCounts, StoreError> {
        let now = self.now();
        let sql = "SELECT count(*) AS total, \
             CAST(COALESCE(sum(CASE WHEN revoked_at IS NOT NULL THEN 1 ELSE 0 END), 0) AS BIGINT) AS revoked, \
             CAST(COALESCE(sum(CASE WHEN revoked_at IS NULL AND expires_at <= $2 THEN 1 ELSE 0 END), 0) AS BIGINT) AS expired, \
             CAST(COALESCE(sum(CASE WHEN revoked_at IS NULL AND expires_at > $2 AND expires_at <= $3 THEN 1 ELSE 0 END), 0) AS BIGINT) AS expire_soon, \
             CAST(COALESCE(sum(CASE WHEN revoked_at IS NULL AND expires_at IS NULL THEN 1 ELSE 0 END), 0) AS BIGINT) AS never_expire, \
             CAST(COALESCE(sum(CASE WHEN revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2) \
                AND COALESCE(last_used_at, created_at) <= $4 THEN 1 ELSE 0 END), 0) AS BIGINT) AS idle \
             FROM keys WHERE account_id = $1";
        let values = binds![account.to_string(), now, now.plus(EXPIRES_SOON), now.minus(IDLE_FOR)];
        let row = self.backend.read().await?.fetch_one(sql, values).await?;
        let (total, expired, revoked): (u64, u64, u64) =
            (row.number("total")?, row.number("expired")?, row.number("revoked")?);
        Ok(KeyCounts {
            total,
            expired,
            revoked,
            current: total.saturating_sub(expired + revoked),
            expire_soon: row.number("expire_soon")?,
            never_expire: row.number("never_expire")?,
            idle: row.number("idle")?,
        })
    }
}

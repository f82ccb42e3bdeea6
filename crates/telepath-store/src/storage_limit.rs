//! Limits of what accounts store, checked in the transaction that stores something. Whoever checks one holds the lock of the account's
//! row until the transaction ends, so concurrent requests cannot exceed a limit together.

use telepath_core::id::AccountId;
use telepath_core::storage_limit::{StorageLimit, StorageLimits};

use crate::error::StoreError;
use crate::sql::{Connection, binds, corrupt};

/// Locks the account's row until the transaction ends.
pub(crate) async fn lock_account(db: &mut Connection, account: AccountId) -> Result<(), StoreError> {
    let held = db.fetch_locked("SELECT id FROM accounts WHERE id = $1", binds![account.to_string()]).await?;
    held.map(drop).ok_or_else(|| corrupt("accounts.id"))
}

/// Locks a row that always exists, so that accounts and users are counted and created one after the other.
pub(crate) async fn lock_creation(db: &mut Connection) -> Result<(), StoreError> {
    db.fetch_locked("SELECT value FROM settings WHERE name = 'sealing_key_id'", vec![]).await.map(drop)
}

/// What the table `account_totals` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counted {
    /// Keys that are not revoked.
    Keys,
    /// Trunks that are not deleted.
    Trunks,
    /// Webhook endpoints that are not deleted.
    Webhooks,
}

impl Counted {
    const fn column(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::Trunks => "trunks",
            Self::Webhooks => "webhooks",
        }
    }

    const fn limit(self) -> StorageLimit {
        match self {
            Self::Keys => StorageLimit::Keys,
            Self::Trunks => StorageLimit::Trunks,
            Self::Webhooks => StorageLimit::Webhooks,
        }
    }
}

/// Counts one more object of an account, and refuses it when the limit is reached. The total stays locked until the
/// transaction ends.
pub(crate) async fn require_room(
    db: &mut Connection,
    account: AccountId,
    storage_limits: StorageLimits,
    counted: Counted,
) -> Result<(), StoreError> {
    lock_account(db, account).await?;
    let column = counted.column();
    let sql = format!(
        "INSERT INTO account_totals (account_id, {column}) VALUES ($1, 1) \
         ON CONFLICT (account_id) DO UPDATE SET {column} = account_totals.{column} + 1 RETURNING {column} AS total"
    );
    let total: u64 = db.fetch_one(sql, binds![account.to_string()]).await?.number("total")?;
    // The total contains the new object.
    Ok(storage_limits.check(counted.limit(), total.saturating_sub(1))?)
}

/// Counts one object less: a key that was revoked, a trunk or an endpoint that was deleted.
pub(crate) async fn make_room(
    db: &mut Connection,
    account: AccountId,
    counted: Counted,
) -> Result<(), StoreError> {
    let sql = match counted {
        Counted::Keys => {
            "UPDATE account_totals SET keys = keys - 1, revoked_keys = revoked_keys + 1 WHERE account_id = $1"
        }
        Counted::Trunks => "UPDATE account_totals SET trunks = trunks - 1 WHERE account_id = $1",
        Counted::Webhooks => "UPDATE account_totals SET webhooks = webhooks - 1 WHERE account_id = $1",
    };
    db.execute(sql, binds![account.to_string()]).await.map(drop)
}

/// Adds to what the stored responses of an account hold; returns the new sums of responses and of their bytes.
pub(crate) async fn count_stored_responses(
    db: &mut Connection,
    account: &str,
    responses: i64,
    bytes: i64,
) -> Result<(u64, u64), StoreError> {
    let sql = "INSERT INTO idempotency_totals (account_id, responses, bytes) VALUES ($1, $2, $3) \
               ON CONFLICT (account_id) DO UPDATE SET responses = idempotency_totals.responses + $2, \
               bytes = idempotency_totals.bytes + $3 RETURNING responses, bytes";
    let totals = db.fetch_one(sql, binds![account, responses, bytes]).await?;
    Ok((totals.number("responses")?, totals.number("bytes")?))
}

/// Adds a response that is yet to come, and refuses it if it may not fit.
pub(crate) async fn reserve_stored_response(
    db: &mut Connection,
    account: &str,
    storage_limits: StorageLimits,
    responses: i64,
    bytes: i64,
) -> Result<(), StoreError> {
    let (stored, stored_bytes) = count_stored_responses(db, account, responses, bytes).await?;
    // The sums contain the new response.
    storage_limits.check(StorageLimit::StoredResponses, stored.saturating_sub(1))?;
    storage_limits.check(StorageLimit::StoredResponseBytes, stored_bytes.saturating_sub(1))?;
    Ok(())
}

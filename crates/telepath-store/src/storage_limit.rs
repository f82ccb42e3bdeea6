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

/// Refuses one more row of an account when the limit is reached. `count` selects how many there are as `total`; `$1` is
/// the account.
pub(crate) async fn require_room(
    db: &mut Connection,
    account: AccountId,
    storage_limits: StorageLimits,
    limit: StorageLimit,
    count: &'static str,
) -> Result<(), StoreError> {
    lock_account(db, account).await?;
    let total = db.fetch_one(count, binds![account.to_string()]).await?.number("total")?;
    Ok(storage_limits.check(limit, total)?)
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

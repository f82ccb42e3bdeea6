//! Rows of keys and of their secrets.

use std::collections::HashMap;

use telepath_core::id::{AccountId, KeyId};
use telepath_core::key::{KeyRecord, Preset, Revocation, SecretRecord};
use telepath_core::limit::RateLimit;
use telepath_core::limit::quota::Quotas;
use telepath_core::secret::KeyMask;

use crate::error::StoreError;
use crate::key_table::load::{last_use_of, quota_of};
use crate::sql::{Connection, Row, Value, binds, corrupt, placeholders};

/// The columns that [`keys`] reads.
pub(super) const COLUMNS: &str = "id, account_id, name, description, metadata, paused_at, preset, scopes, trunk_ids, rate_limit, quota_per_day, quota_per_month, allowed_ips, not_before, \
     expires_at, created_at, created_by, last_used_at, last_used_ip, request_count, error_count, \
     revoked_at, revoked_by, revoke_reason";

/// The keys of a query over [`COLUMNS`], with their secrets.
pub(super) async fn keys(
    db: &mut Connection,
    sql: String,
    values: Vec<Value>,
) -> Result<Vec<KeyRecord>, StoreError> {
    let rows = db.fetch_all(sql, values).await?;
    with_secrets(db, &rows).await
}

/// The keys of rows with [`COLUMNS`], with their secrets.
pub(super) async fn with_secrets(db: &mut Connection, rows: &[Row]) -> Result<Vec<KeyRecord>, StoreError> {
    let records: Vec<KeyRecord> = rows.iter().map(record_of).collect::<Result<_, _>>()?;
    let mut secrets = secrets_of(db, &records).await?;
    let add = |mut record: KeyRecord| {
        record.secrets = secrets.remove(&record.id).unwrap_or_default();
        record
    };
    Ok(records.into_iter().map(add).collect())
}

/// One key of an account.
pub(super) async fn key(
    db: &mut Connection,
    account: AccountId,
    id: KeyId,
) -> Result<Option<KeyRecord>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM keys WHERE id = $1 AND account_id = $2");
    Ok(keys(db, sql, binds![id.to_string(), account.to_string()]).await?.pop())
}

type Secrets = HashMap<KeyId, Vec<SecretRecord>>;

/// Keys whose secrets are read with one statement; databases limit the number of binds.
const KEYS_AT_ONCE: usize = 1000;

async fn secrets_of(db: &mut Connection, keys: &[KeyRecord]) -> Result<Secrets, StoreError> {
    let mut secrets = Secrets::new();
    for keys in keys.chunks(KEYS_AT_ONCE) {
        // The current secret has no expiry, and comes first even if a clock was set back.
        let sql = format!(
            "SELECT id, key_id, mask, created_at, expires_at, last_used_at, last_used_ip FROM key_secrets \
             WHERE key_id IN ({}) \
             ORDER BY CASE WHEN expires_at IS NULL THEN 0 ELSE 1 END, created_at DESC, id DESC",
            placeholders(1, keys.len())
        );
        let ids = keys.iter().map(|key| key.id.to_string().into()).collect();
        for row in db.fetch_all(sql, ids).await? {
            let secret = SecretRecord {
                id: row.parse("id")?,
                mask: KeyMask::from_stored(row.text("mask")?),
                created_at: row.time("created_at")?,
                expires_at: row.maybe_time("expires_at")?,
                last_use: last_use_of(&row)?,
            };
            secrets.entry(row.parse("key_id")?).or_default().push(secret);
        }
    }
    Ok(secrets)
}

fn record_of(row: &Row) -> Result<KeyRecord, StoreError> {
    let revocation = match row.maybe_time("revoked_at")? {
        Some(at) => {
            Some(Revocation { at, by: row.parse("revoked_by")?, reason: row.maybe_text("revoke_reason")? })
        }
        None => None,
    };
    Ok(KeyRecord {
        id: row.parse("id")?,
        account_id: row.parse("account_id")?,
        name: row.text("name")?,
        description: row.maybe_text("description")?,
        metadata: row.json("metadata")?,
        paused_at: row.maybe_time("paused_at")?,
        preset: row.named("preset", Preset::from_name)?,
        scopes: row.parse("scopes")?,
        trunks: row.parse("trunk_ids")?,
        rate_limit: RateLimit::per_minute(row.number("rate_limit")?).ok_or_else(|| corrupt("rate_limit"))?,
        quotas: Quotas {
            per_day: quota_of(row.maybe_integer("quota_per_day")?)?,
            per_month: quota_of(row.maybe_integer("quota_per_month")?)?,
        },
        allowed_ips: row.parse("allowed_ips")?,
        expires_at: row.maybe_time("expires_at")?,
        not_before: row.maybe_time("not_before")?,
        created_at: row.time("created_at")?,
        created_by: row.parse("created_by")?,
        last_use: last_use_of(row)?,
        request_count: row.number("request_count")?,
        error_count: row.number("error_count")?,
        revocation,
        secrets: Vec::new(),
    })
}

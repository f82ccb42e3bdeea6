//! Fills the table at start, row by row as they come, so that a million keys never stand in memory twice.

use telepath_core::address::NetworkList;
use telepath_core::key::{KeyPolicy, LastUse};
use telepath_core::limit::RateLimit;
use telepath_core::secret::HashedKey;

use super::{KeyTable, Snapshot, SnapshotSecret};
use crate::backend::Backend;
use crate::error::StoreError;
use crate::sql::{Connection, Row, binds, corrupt};

/// The columns from which [`snapshot_of`] makes a key with one of its secrets.
macro_rules! snapshot_query {
    ($rest:literal) => {
        concat!(
            "SELECT k.id AS id, k.account_id AS account_id, k.scopes AS scopes, k.rate_limit AS rate_limit, \
             k.allowed_ips AS allowed_ips, k.not_before AS not_before, k.expires_at AS expires_at, \
             k.revoked_at AS revoked_at, k.version AS version, k.request_count AS request_count, \
             k.error_count AS error_count, s.hash AS hash, s.expires_at AS secret_expires_at, \
             s.last_used_at AS last_used_at, s.last_used_ip AS last_used_ip \
             FROM keys k JOIN key_secrets s ON s.key_id = k.id ",
            $rest
        )
    };
}

/// All keys of the database.
pub(crate) async fn load(backend: &Backend) -> Result<KeyTable, StoreError> {
    let table = KeyTable::empty();
    let mut gathered: Option<Snapshot> = None;
    let mut db = backend.read().await?;
    db.fetch_each(snapshot_query!("ORDER BY k.id, s.created_at DESC, s.id DESC"), vec![], |row| {
        let next = snapshot_of(&row)?;
        match &mut gathered {
            Some(key) if key.id == next.id => key.secrets.extend(next.secrets),
            Some(_) | None => {
                if let Some(whole) = gathered.replace(next) {
                    table.apply(whole);
                }
            }
        }
        Ok(())
    })
    .await?;
    if let Some(last) = gathered {
        table.apply(last);
    }
    Ok(table)
}

/// One key as it stands in the database now.
pub(crate) async fn snapshot(db: &mut Connection, key: &str) -> Result<Option<Snapshot>, StoreError> {
    let sql = snapshot_query!("WHERE k.id = $1 ORDER BY s.created_at DESC, s.id DESC");
    let mut gathered: Option<Snapshot> = None;
    for row in db.fetch_all(sql, binds![key]).await? {
        let next = snapshot_of(&row)?;
        match &mut gathered {
            Some(key) => key.secrets.extend(next.secrets),
            None => gathered = Some(next),
        }
    }
    Ok(gathered)
}

fn snapshot_of(row: &Row) -> Result<Snapshot, StoreError> {
    Ok(Snapshot {
        id: row.parse("id")?,
        account: row.parse("account_id")?,
        policy: policy_of(row)?,
        version: row.integer("version")?,
        requests: row.number("request_count")?,
        errors: row.number("error_count")?,
        secrets: vec![SnapshotSecret {
            hash: HashedKey::from_bytes(row.array("hash")?),
            expires_at: row.maybe_time("secret_expires_at")?,
            last_use: last_use_of(row)?,
        }],
    })
}

fn policy_of(row: &Row) -> Result<KeyPolicy, StoreError> {
    let allowed_ips: NetworkList = row.parse("allowed_ips")?;
    Ok(KeyPolicy {
        scopes: row.parse("scopes")?,
        rate_limit: RateLimit::per_minute(row.number("rate_limit")?).ok_or_else(|| corrupt("rate_limit"))?,
        allowed_ips: if allowed_ips.is_empty() { None } else { Some(Box::new(allowed_ips)) },
        not_before: row.maybe_time("not_before")?,
        expires_at: row.maybe_time("expires_at")?,
        revoked: row.maybe_integer("revoked_at")?.is_some(),
    })
}

/// The two columns of a last use.
pub(crate) fn last_use_of(row: &Row) -> Result<Option<LastUse>, StoreError> {
    let at = row.maybe_time("last_used_at")?;
    Ok(at.zip(row.maybe_parse("last_used_ip")?).map(|(at, address)| LastUse { at, address }))
}

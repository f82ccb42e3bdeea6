//! Loads the table row by row, so that a million keys are never in memory twice.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::num::NonZeroU32;
use std::sync::Arc;

use telepath_core::address::NetworkList;
use telepath_core::clock::Clock;
use telepath_core::id::{AccountId, KeyId};
use telepath_core::key::{KeyPolicy, LONGEST_GRACE, LastUse, Preset};
use telepath_core::limit::RateLimit;
use telepath_core::limit::quota::Quotas;
use telepath_core::scope::ScopeSet;
use telepath_core::secret::HashedKey;

use super::KeyTable;
use super::snapshot::{GracePeriod, Snapshot, SnapshotEnd, SnapshotSecret};
use crate::backend::Backend;
use crate::cluster::lease::Lease;
use crate::error::StoreError;
use crate::sql::{Connection, Row, Value, binds, corrupt};

/// The columns that [`snapshot_of`] reads: a key with one of its secrets, in the order of [`column`].
macro_rules! snapshot_query {
    ($rest:literal) => {
        concat!(
            "SELECT k.id, k.account_id, k.scopes, k.rate_limit, k.allowed_ips, k.not_before, k.expires_at, \
             k.revoked_at, k.version, s.hash, s.expires_at, s.ended_at, k.name, k.preset, \
             k.paused_at, k.trunk_ids, k.quota_per_day, k.quota_per_month, s.grace_from \
             FROM keys k JOIN key_secrets s ON s.key_id = k.id ",
            $rest
        )
    };
}

/// Column positions. Looking up nineteen columns by name a million times would dominate the start.
mod column {
    pub(super) const ID: usize = 0;
    pub(super) const ACCOUNT: usize = 1;
    pub(super) const SCOPES: usize = 2;
    pub(super) const LIMIT: usize = 3;
    pub(super) const NETWORKS: usize = 4;
    pub(super) const NOT_BEFORE: usize = 5;
    pub(super) const EXPIRES: usize = 6;
    pub(super) const REVOKED: usize = 7;
    pub(super) const VERSION: usize = 8;
    pub(super) const HASH: usize = 9;
    pub(super) const SECRET_EXPIRES: usize = 10;
    pub(super) const ENDED: usize = 11;
    pub(super) const NAME: usize = 12;
    pub(super) const PRESET: usize = 13;
    pub(super) const PAUSED: usize = 14;
    pub(super) const TRUNKS: usize = 15;
    pub(super) const PER_DAY: usize = 16;
    pub(super) const PER_MONTH: usize = 17;
    pub(super) const GRACE_FROM: usize = 18;
}

/// All keys of the database, unordered: sorting a million rows would only delay the start.
pub(crate) async fn load(
    backend: &Backend,
    lease: Arc<Lease>,
    clock: Arc<dyn Clock>,
) -> Result<KeyTable, StoreError> {
    let now = clock.read();
    let table = KeyTable::with_lease(lease, clock);
    let mut scopes = LastScopes::default();
    let mut db = backend.read().await?;
    db.fetch_each(snapshot_query!(""), vec![], |row| {
        table.load_row(snapshot_of(&row, &mut scopes)?, now);
        Ok(())
    })
    .await?;
    Ok(table)
}

/// The current state of one key.
pub(crate) async fn snapshot(db: &mut Connection, key: &str) -> Result<Option<Snapshot>, StoreError> {
    let sql = snapshot_query!("WHERE k.id = $1 ORDER BY s.created_at DESC, s.id DESC");
    let mut gathered: Option<Snapshot> = None;
    for row in db.fetch_all(sql, binds![key]).await? {
        let next = snapshot_of(&row, &mut LastScopes::default())?;
        match &mut gathered {
            Some(key) => key.secrets.extend(next.secrets),
            None => gathered = Some(next),
        }
    }
    Ok(gathered)
}

/// Every key of an account that is not revoked.
pub(crate) async fn snapshots(
    db: &mut Connection,
    account: AccountId,
) -> Result<HashMap<KeyId, Snapshot>, StoreError> {
    let sql = snapshot_query!(
        "WHERE k.account_id = $1 AND k.revoked_at IS NULL ORDER BY k.id, s.created_at DESC, s.id DESC"
    );
    let (mut gathered, mut scopes) = (HashMap::<KeyId, Snapshot>::new(), LastScopes::default());
    db.fetch_each(sql, binds![account.to_string()], |row| {
        let next = snapshot_of(&row, &mut scopes)?;
        match gathered.entry(next.id) {
            Entry::Occupied(mut known) => known.get_mut().secrets.extend(next.secrets),
            Entry::Vacant(free) => drop(free.insert(next)),
        }
        Ok(())
    })
    .await?;
    Ok(gathered)
}

/// Applies all keys that changed after a version of the key clock.
pub(crate) async fn load_changed(
    db: &mut Connection,
    after: i64,
    table: &KeyTable,
) -> Result<(), StoreError> {
    // The first condition matches the partial index.
    let sql = snapshot_query!(
        "WHERE k.change_version > 0 AND k.change_version > $1 ORDER BY k.id, s.created_at DESC, s.id DESC"
    );
    apply_rows(db, sql, binds![after], table, table.reloads()).await
}

/// Loads all keys again into a table that has some already. What the table has of them is replaced, whatever its version,
/// and keys that are not in the database are ended. Nothing may be admitted meanwhile.
pub(crate) async fn reload(db: &mut Connection, table: &KeyTable) -> Result<(), StoreError> {
    let reload = table.begin_reload();
    let sql = snapshot_query!("ORDER BY k.id, s.created_at DESC, s.id DESC");
    apply_rows(db, sql, vec![], table, reload).await?;
    table.end_reload(reload);
    Ok(())
}

/// Applies keys row by row; the rows of a key follow each other.
async fn apply_rows(
    db: &mut Connection,
    sql: &'static str,
    values: Vec<Value>,
    table: &KeyTable,
    reload: u32,
) -> Result<(), StoreError> {
    let mut scopes = LastScopes::default();
    let mut gathered: Option<Snapshot> = None;
    db.fetch_each(sql, values, |row| {
        let next = snapshot_of(&row, &mut scopes)?;
        match &mut gathered {
            Some(key) if key.id == next.id => key.secrets.extend(next.secrets),
            Some(_) | None => {
                if let Some(whole) = gathered.replace(next) {
                    table.apply(whole, reload);
                }
            }
        }
        Ok(())
    })
    .await?;
    if let Some(last) = gathered {
        table.apply(last, reload);
    }
    Ok(())
}

/// Most keys have the scopes of a preset, so consecutive rows mostly have the same text.
#[derive(Default)]
struct LastScopes {
    text: String,
    scopes: ScopeSet,
}

impl LastScopes {
    fn parse(&mut self, row: &Row) -> Result<ScopeSet, StoreError> {
        let text = row.borrowed(column::SCOPES)?;
        if text != self.text {
            self.scopes = text.parse().map_err(|_| corrupt("scopes"))?;
            text.clone_into(&mut self.text);
        }
        Ok(self.scopes)
    }
}

fn snapshot_of(row: &Row, scopes: &mut LastScopes) -> Result<Snapshot, StoreError> {
    Ok(Snapshot {
        id: row.parse(column::ID)?,
        account: row.parse(column::ACCOUNT)?,
        name: row.borrowed(column::NAME)?.into(),
        preset: row.named(column::PRESET, Preset::from_name)?,
        policy: policy_of(row, scopes)?,
        version: row.integer(column::VERSION)?,
        secrets: vec![SnapshotSecret {
            hash: HashedKey::from_bytes(row.array(column::HASH)?),
            end: secret_end(row)?,
        }],
    })
}

/// A secret that was ended explicitly counts as always expired: neither a clock set back nor a request that
/// arrived earlier can revive it.
fn secret_end(row: &Row) -> Result<Option<SnapshotEnd>, StoreError> {
    if row.maybe_integer(column::ENDED)?.is_some() {
        return Ok(Some(SnapshotEnd::AtOnce));
    }
    let Some(ends_at) = row.maybe_time(column::SECRET_EXPIRES)? else { return Ok(None) };
    let granted_at = row.maybe_time(column::GRACE_FROM)?.unwrap_or_else(|| ends_at.minus(LONGEST_GRACE));
    Ok(Some(SnapshotEnd::Grace(GracePeriod { granted_at, ends_at })))
}

fn policy_of(row: &Row, scopes: &mut LastScopes) -> Result<KeyPolicy, StoreError> {
    let allowed_ips: NetworkList = row.parse(column::NETWORKS)?;
    Ok(KeyPolicy {
        scopes: scopes.parse(row)?,
        trunks: row.parse(column::TRUNKS)?,
        rate_limit: RateLimit::per_minute(row.number(column::LIMIT)?).ok_or_else(|| corrupt("rate_limit"))?,
        quotas: Quotas {
            per_day: quota_of(row.maybe_integer(column::PER_DAY)?)?,
            per_month: quota_of(row.maybe_integer(column::PER_MONTH)?)?,
        },
        allowed_ips: if allowed_ips.is_empty() { None } else { Some(Box::new(allowed_ips)) },
        not_before: row.maybe_time(column::NOT_BEFORE)?,
        expires_at: row.maybe_time(column::EXPIRES)?,
        paused: row.maybe_integer(column::PAUSED)?.is_some(),
        revoked: row.maybe_integer(column::REVOKED)?.is_some(),
    })
}

/// A quota column.
pub(crate) fn quota_of(stored: Option<i64>) -> Result<Option<NonZeroU32>, StoreError> {
    let number = |stored| u32::try_from(stored).ok().and_then(NonZeroU32::new);
    stored.map(|stored| number(stored).ok_or_else(|| corrupt("quota"))).transpose()
}

pub(crate) fn last_use_of(row: &Row) -> Result<Option<LastUse>, StoreError> {
    let (at, address) = (row.maybe_time("last_used_at")?, row.maybe_parse("last_used_ip")?);
    Ok(at.zip(address).map(|(at, address)| LastUse { at, address }))
}

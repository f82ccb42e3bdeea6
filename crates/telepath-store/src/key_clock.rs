//! The key clock: a logical clock of key changes on PostgreSQL. A change takes the clock's next version as its last
//! statement and writes it on the changed keys, or on the changed account. The clock's row stays locked until the commit, so versions become
//! visible in order: a server that has read up to a version has seen every change up to it.

use telepath_core::id::{AccountId, KeyId};

use crate::error::StoreError;
use crate::sql::{Connection, binds, placeholders};

/// A position on the key clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClockPosition {
    pub(crate) version: i64,
    /// The history that the version belongs to. After a failover to a replica or the restore of a backup, versions may be
    /// used again for other changes.
    pub(crate) epoch: String,
}

impl ClockPosition {
    /// Whether every change up to this position is part of the history that `now` continues.
    pub(crate) fn is_continued_by(&self, now: &Self) -> bool {
        self.epoch == now.epoch && self.version <= now.version
    }
}

/// The epoch as an SQL expression: the random text of [`claim_epoch`], the start of this PostgreSQL instance, and the file of
/// the table. A replica that is promoted, an instance that is restored from a backup, and one that lost commits in a crash
/// have another start time; a table that is dropped, truncated or loaded again has another file. A restart of PostgreSQL
/// that loses nothing changes the epoch too, which costs one reload of the keys.
pub(crate) const EPOCH: &str = "(SELECT epoch FROM key_clock WHERE id = 1) || ' ' || \
    extract(epoch FROM pg_postmaster_start_time())::text || ' ' || pg_relation_filenode('key_clock')::text";

/// Wakes the listening servers before their next renewal.
pub(crate) const CHANNEL: &str = "telepath_key_clock";
/// Keys per statement.
const KEYS: usize = 512;

/// Stamps the keys that this transaction changed; returns the version that every other server must have read before
/// the change is confirmed. It must be the last statement of the transaction, because other changes wait for the
/// clock's row. `None` on SQLite, which has one server.
pub(crate) async fn stamp(db: &mut Connection, keys: &[KeyId]) -> Result<Option<i64>, StoreError> {
    if !db.is_postgres() {
        return Ok(None);
    }
    let version = tick(db).await?;
    for keys in keys.chunks(KEYS) {
        let sql =
            format!("UPDATE keys SET change_version = $1 WHERE id IN ({})", placeholders(2, keys.len()));
        let ids = keys.iter().map(|id| id.to_string().into());
        db.execute(sql, binds![version].into_iter().chain(ids).collect()).await?;
    }
    db.announce(CHANNEL).await?;
    Ok(Some(version))
}

/// Stamps an account that this transaction changed, like [`stamp`].
pub(crate) async fn stamp_account(
    db: &mut Connection,
    account: AccountId,
) -> Result<Option<i64>, StoreError> {
    if !db.is_postgres() {
        return Ok(None);
    }
    let version = tick(db).await?;
    let sql = "UPDATE accounts SET change_version = $1 WHERE id = $2";
    db.execute(sql, binds![version, account.to_string()]).await?;
    db.announce(CHANNEL).await?;
    Ok(Some(version))
}

async fn tick(db: &mut Connection) -> Result<i64, StoreError> {
    let next = "UPDATE key_clock SET version = version + 1 WHERE id = 1 RETURNING version";
    db.fetch_one(next, vec![]).await?.integer("version")
}

/// The accounts that changed after a version.
pub(crate) async fn changed_accounts(db: &mut Connection, after: i64) -> Result<Vec<AccountId>, StoreError> {
    let sql = "SELECT id FROM accounts WHERE change_version > $1";
    db.fetch_all(sql, binds![after]).await?.iter().map(|row| row.parse("id")).collect()
}

/// Writes the random text of the epoch, unless the database has one.
pub(crate) async fn claim_epoch(db: &mut Connection, random: String) -> Result<(), StoreError> {
    let sql = "UPDATE key_clock SET epoch = $1 WHERE id = 1 AND epoch = ''";
    db.execute(sql, binds![random]).await?;
    Ok(())
}

/// The current position.
pub(crate) async fn now(db: &mut Connection) -> Result<ClockPosition, StoreError> {
    // SQLite has one server, whose keys are loaded at each start.
    let epoch = if db.is_postgres() { EPOCH } else { "epoch" };
    let row =
        db.fetch_one(format!("SELECT version, {epoch} AS epoch FROM key_clock WHERE id = 1"), vec![]).await?;
    Ok(ClockPosition { version: row.integer("version")?, epoch: row.text("epoch")? })
}

//! The key clock: a logical clock of key changes on PostgreSQL. A change takes the clock's next version as its last
//! statement and writes it on the changed keys. The clock's row stays locked until the commit, so versions become
//! visible in order: a server that has read up to a version has seen every change up to it.

use telepath_core::id::KeyId;

use crate::error::StoreError;
use crate::sql::{Connection, binds, placeholders};

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
    let tick = "UPDATE key_clock SET version = version + 1 WHERE id = 1 RETURNING version";
    let version = db.fetch_one(tick, vec![]).await?.integer("version")?;
    for keys in keys.chunks(KEYS) {
        let sql =
            format!("UPDATE keys SET change_version = $1 WHERE id IN ({})", placeholders(2, keys.len()));
        let ids = keys.iter().map(|id| id.to_string().into());
        db.execute(sql, binds![version].into_iter().chain(ids).collect()).await?;
    }
    db.announce(CHANNEL).await?;
    Ok(Some(version))
}

/// The current version.
pub(crate) async fn now(db: &mut Connection) -> Result<i64, StoreError> {
    db.fetch_one("SELECT version FROM key_clock WHERE id = 1", vec![]).await?.integer("version")
}

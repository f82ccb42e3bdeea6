//! The clock of key changes on PostgreSQL. Whoever changes keys takes its next number as the last thing before the commit
//! and writes it on the keys. The clock's row stays locked until the commit, so numbers become visible in their order: a
//! server that has read up to a number has seen every change up to it.

use telepath_core::id::KeyId;

use crate::error::StoreError;
use crate::sql::{Connection, binds, placeholders};

/// Wakes the servers that listen, so that they need not wait for their next renewal.
pub(crate) const CHANNEL: &str = "telepath_key_clock";
/// Keys of one statement.
const KEYS: usize = 512;

/// Stamps keys that this transaction has changed; the number that every other server must have read before the change may
/// be answered. It must be the transaction's last statement, because others who change keys wait for its end. `None` on
/// SQLite, which has one server.
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

/// Where the clock stands.
pub(crate) async fn now(db: &mut Connection) -> Result<i64, StoreError> {
    db.fetch_one("SELECT version FROM key_clock WHERE id = 1", vec![]).await?.integer("version")
}

//! Wakes the processes that send. What is due is found without it too, only later: nothing depends on a message that may be
//! lost.

use crate::error::StoreError;
use crate::sql::{Connection, binds};

/// Where PostgreSQL announces, with the commit, that deliveries may be due.
pub(crate) const CHANNEL: &str = "telepath_deliveries";

/// Announces to all processes on the database, with the commit, that deliveries may be due. On SQLite only one process
/// sends, and its own commits wake it.
pub(crate) async fn announce(db: &mut Connection) -> Result<(), StoreError> {
    if db.is_postgres() {
        db.execute("SELECT pg_notify($1, '')", binds![CHANNEL]).await?;
    }
    Ok(())
}

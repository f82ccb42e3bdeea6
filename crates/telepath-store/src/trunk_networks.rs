//! The version of the networks in `allowed_ips` of all trunks, by which other servers notice a change.

use telepath_core::address::NetworkList;

use crate::error::StoreError;
use crate::sql::{Connection, binds};

/// The name of the version among the settings. Servers that share a database read it with each renewal of their lease.
pub(crate) const VERSION: &str = "trunk_networks_version";

/// Whether a change of a trunk changed the networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NetworksChange {
    Unchanged,
    Changed,
}

/// Raises the version if `allowed_ips` of a trunk changes. It must be the last statement of the transaction, because other
/// changes wait for the version's row. On SQLite there is no other server, so there is no version.
pub(crate) async fn stamp(
    db: &mut Connection,
    before: Option<&NetworkList>,
    after: Option<&NetworkList>,
) -> Result<NetworksChange, StoreError> {
    let text = |list: Option<&NetworkList>| list.map(ToString::to_string).unwrap_or_default();
    if text(before) == text(after) {
        return Ok(NetworksChange::Unchanged);
    }
    if db.is_postgres() {
        let sql = "INSERT INTO settings (name, value) VALUES ($1, '1') ON CONFLICT (name) \
                   DO UPDATE SET value = CAST(CAST(settings.value AS BIGINT) + 1 AS TEXT)";
        db.execute(sql, binds![VERSION]).await?;
    }
    Ok(NetworksChange::Changed)
}

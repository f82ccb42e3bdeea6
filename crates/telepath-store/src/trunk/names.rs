//! The names of trunks, for pages that show trunks of calls.

use telepath_core::id::{AccountId, TrunkId};

use crate::error::StoreError;
use crate::sql::binds;
use crate::store::Store;

/// The most trunks that are named.
const MAX_TRUNKS: i64 = 500;

/// What a trunk is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrunkName {
    pub id: TrunkId,
    pub name: String,
    /// Whether it was deleted; its calls remain.
    pub deleted: bool,
}

impl Store {
    /// The names of an account's trunks: those that exist by name, then the deleted ones of which calls remain. At most 500, read
    /// with one statement.
    pub async fn trunks_by_name(&self, account: AccountId) -> Result<Vec<TrunkName>, StoreError> {
        let sql = "SELECT id, name, CAST(CASE WHEN deleted_at IS NULL THEN 0 ELSE 1 END AS BIGINT) AS deleted FROM trunks \
                   WHERE account_id = $1 ORDER BY deleted, lower(name), id LIMIT $2";
        let rows = self.backend.read().await?.fetch_all(sql, binds![account.to_string(), MAX_TRUNKS]).await?;
        rows.iter()
            .map(|row| {
                Ok(TrunkName {
                    id: row.parse("id")?,
                    name: row.text("name")?,
                    deleted: row.integer("deleted")? != 0,
                })
            })
            .collect()
    }
}

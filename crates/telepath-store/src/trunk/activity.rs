//! What pages show of trunks beside their settings: when they were last called, and how old the SIP password is.

use std::collections::HashMap;

use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, TrunkId};

use crate::error::StoreError;
use crate::sql::{Row, Value, binds, placeholders};
use crate::store::Store;

/// The most trunks of one read.
const MAX_TRUNKS: usize = 100;

/// What happens on a trunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrunkActivity {
    /// When the SIP password became valid.
    pub password_at: Timestamp,
    /// When the latest call that is on record started.
    pub last_call: Option<Timestamp>,
    /// Calls that are live on any server.
    pub live_calls: u64,
}

impl Store {
    /// The activity of an account's trunks, of at most 100 of them, read with one statement.
    pub async fn trunk_activity(
        &self,
        account: AccountId,
        trunks: &[TrunkId],
    ) -> Result<HashMap<TrunkId, TrunkActivity>, StoreError> {
        let trunks = &trunks[..trunks.len().min(MAX_TRUNKS)];
        if trunks.is_empty() {
            return Ok(HashMap::new());
        }
        // Each is a look-up in an index, however many calls there are.
        let sql = format!(
            "SELECT id, sip_password_at, \
             (SELECT max(start_time) FROM calls WHERE calls.trunk_id = trunks.id) AS last_call, \
             (SELECT count(*) FROM calls WHERE calls.trunk_id = trunks.id AND calls.status = 'connected') AS live \
             FROM trunks WHERE account_id = $1 AND deleted_at IS NULL AND id IN ({})",
            placeholders(2, trunks.len())
        );
        let mut values = binds![account.to_string()];
        values.extend(trunks.iter().map(|trunk| Value::from(trunk.to_string())));
        let rows = self.backend.read().await?.fetch_all(sql, values).await?;
        rows.iter().map(|row| Ok((row.parse("id")?, activity_of(row)?))).collect()
    }
}

fn activity_of(row: &Row) -> Result<TrunkActivity, StoreError> {
    Ok(TrunkActivity {
        password_at: row.time("sip_password_at")?,
        last_call: row.maybe_time("last_call")?,
        live_calls: row.number("live")?,
    })
}

//! Calls: live ones are rows with status `connected`; ended ones have metrics, turns and a SIP trace.

mod control;
mod erase;
mod events;
mod export;
pub(crate) mod hangup;
mod list;
pub(crate) mod orphan;
mod row;
mod statistics;
pub(crate) mod write;

pub use erase::{EraseError, NumberErasure};
pub use events::CallEvent;
pub use export::CallExport;
pub use hangup::HangUpError;
pub use statistics::{CallBuckets, CallGroups, TooManyRows};

use serde_json::json;
use telepath_core::audit::{AuditAction, AuditEntry, Origin};
use telepath_core::call::{CallDetails, DisconnectReason};
use telepath_core::id::{AccountId, CallId};
use telepath_core::reach::Reach;

use crate::audit;
use crate::error::StoreError;
use crate::sql::within::trunk_within;
use crate::sql::{Row, binds};
use crate::store::Store;

impl Store {
    /// A call of a trunk within reach, with its turns and SIP trace.
    pub async fn get_call(
        &self,
        reach: impl Into<Reach>,
        id: CallId,
    ) -> Result<Option<CallDetails>, StoreError> {
        let Reach { account, trunks } = reach.into();
        let mut values = binds![id.to_string(), account.to_string()];
        let within = trunk_within("trunk_id", &trunks, &mut values);
        let sql = format!(
            "SELECT {}, turns, sip_trace, sip, caller_actions FROM calls \
             WHERE id = $1 AND account_id = $2{within}",
            row::COLUMNS
        );
        let mut db = self.backend.read().await?;
        let row = db.fetch_optional(sql, values).await?;
        let now = self.now();
        row.as_ref().map(|row| row::details_of(row, now)).transpose()
    }

    /// Records in the audit trail that the hangup of a live call was requested.
    pub async fn record_hangup_request(
        &self,
        account: AccountId,
        call: CallId,
        origin: Origin,
    ) -> Result<(), StoreError> {
        let entry = AuditEntry {
            id: self.new_audit_id(origin.at)?,
            account_id: account,
            origin,
            action: AuditAction::CallHangupRequested,
            target: call.to_string(),
            before: json!({}),
            after: json!({}),
        };
        self.backend
            .write(move |db| {
                Box::pin(async move {
                    audit::write(db, &entry).await?;
                    hangup::request(db, account, call, entry.origin.at).await
                })
            })
            .await
    }

    /// Whether another server of this database carries a live call.
    pub async fn is_carried_elsewhere(&self, account: AccountId, call: CallId) -> Result<bool, StoreError> {
        // Local administration on a shared database is no server itself.
        let own = self.cluster.node_id().map(|id| id.to_string()).unwrap_or_default();
        let sql = "SELECT count(*) AS calls FROM calls JOIN nodes ON nodes.id = calls.node_id \
                   WHERE calls.id = $1 AND calls.account_id = $2 AND calls.status = 'connected' AND nodes.id <> $3";
        let values = binds![call.to_string(), account.to_string(), own];
        Ok(self.backend.read().await?.fetch_one(sql, values).await?.integer("calls")? > 0)
    }

    /// The live calls of this server that are to end, because that was requested or because their trunk was deleted. Empty
    /// with a single server, where the API reaches every call.
    pub async fn calls_to_hang_up(&self) -> Result<Vec<(CallId, DisconnectReason)>, StoreError> {
        let Some(own) = self.cluster.node_id() else { return Ok(Vec::new()) };
        let sql = "SELECT calls.id AS id, calls.hangup_requested_at AS requested_at \
                   FROM calls JOIN trunks ON trunks.id = calls.trunk_id \
                   WHERE calls.status = 'connected' AND calls.node_id = $1 \
                   AND (calls.hangup_requested_at IS NOT NULL OR trunks.deleted_at IS NOT NULL)";
        let rows = self.backend.read().await?.fetch_all(sql, binds![own.to_string()]).await?;
        rows.iter().map(to_hang_up).collect()
    }

    /// Waits until a hang-up is announced. Some announcements are lost, for example with a connection.
    pub async fn wait_for_hangup_request(&self) {
        self.cluster.hangup_requests().notified().await;
    }
}

fn to_hang_up(row: &Row) -> Result<(CallId, DisconnectReason), StoreError> {
    let reason = match row.maybe_integer("requested_at")? {
        Some(_) => DisconnectReason::ApiHangup,
        None => DisconnectReason::TrunkDeleted,
    };
    Ok((row.parse("id")?, reason))
}

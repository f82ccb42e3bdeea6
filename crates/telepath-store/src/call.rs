//! Calls: live ones are rows with status `connected`; ended ones have metrics, turns and a SIP trace.

mod control;
pub(crate) mod hangup;
pub(crate) mod orphan;
mod row;
pub(crate) mod write;

use serde_json::json;
use telepath_core::audit::{AuditAction, AuditEntry, Origin};
use telepath_core::call::{CallDetails, CallFilter, CallRecord, CallSortKey, CallStatus, DisconnectReason};
use telepath_core::id::{AccountId, CallId};
use telepath_core::page::{Page, PageRequest};
use telepath_core::reach::Reach;

use crate::audit;
use crate::error::StoreError;
use crate::sql::within::trunk_within;
use crate::sql::{ListQuery, Order, Row, SortBy, binds};
use crate::store::Store;

/// The duration of a call in seconds, rounded up; for a live call until `$3`, the current time.
const DURATION: &str =
    "CASE WHEN status = 'connected' THEN ($3 - answer_time + 999) / 1000 ELSE duration_seconds END";

impl Store {
    /// Calls of trunks within reach.
    pub async fn list_calls(
        &self,
        reach: impl Into<Reach>,
        filter: CallFilter,
        page: PageRequest,
    ) -> Result<Page<CallRecord>, StoreError> {
        let Reach { account, trunks } = reach.into();
        let now = self.now();
        let mut filters = binds![
            account.to_string(),
            filter.trunk_id.map(|id| id.to_string()),
            now,
            filter.status.map(CallStatus::name),
            filter.start_date,
            filter.end_date,
            filter.from,
            filter.to,
            filter.min_duration_seconds,
            filter.min_ai_latency_ms,
        ];
        let within = trunk_within("trunk_id", &trunks, &mut filters);
        // Every statement uses `$3`, because both databases reject unused binds.
        let source = format!(
            "FROM calls WHERE account_id = $1 AND ($2 IS NULL OR trunk_id = $2) AND $3 IS NOT NULL \
             AND ($4 IS NULL OR status = $4) \
             AND ($5 IS NULL OR start_time >= $5) AND ($6 IS NULL OR start_time <= $6) \
             AND ($7 IS NULL OR from_party = $7) AND ($8 IS NULL OR to_party = $8) \
             AND ($9 IS NULL OR {DURATION} >= $9) AND ($10 IS NULL OR ai_latency_ms >= $10){within}"
        );
        let mut db = self.backend.read().await?;
        let order = order(filter.sort, filter.ascending);
        let list = ListQuery { columns: row::COLUMNS, source: &source, filters, order };
        list.page(&mut db, page).await?.try_map(|row| row::call_of(&row, now))
    }

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

/// The SQL expression that calls are sorted by.
const fn sort_expression(sort: CallSortKey) -> &'static str {
    match sort {
        CallSortKey::StartTime => "start_time",
        CallSortKey::Duration => DURATION,
        CallSortKey::CarrierLag => "carrier_lag_ms",
        CallSortKey::AiLatency => "ai_latency_ms",
        CallSortKey::GatewayProcessing => "gateway_processing_ms",
    }
}

/// Calls without a value come last in either direction.
const fn order(sort: CallSortKey, ascending: bool) -> Order<'static> {
    let nullable = match sort {
        CallSortKey::StartTime => false,
        CallSortKey::Duration
        | CallSortKey::CarrierLag
        | CallSortKey::AiLatency
        | CallSortKey::GatewayProcessing => true,
    };
    Order {
        id: "id",
        by: Some(SortBy { key: sort.key(), expression: sort_expression(sort), nullable }),
        ascending,
    }
}

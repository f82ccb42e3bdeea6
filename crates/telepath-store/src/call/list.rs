//! Lists of calls, with filters and order. A filter that is not given is not in the statement, so that an index can serve
//! those that are.

use std::fmt::Write as _;

use telepath_core::call::{CallFilter, CallRecord, CallSortKey, CallStatus, DisconnectReason};
use telepath_core::clock::Timestamp;
use telepath_core::id::AccountId;
use telepath_core::page::{Page, PageRequest};
use telepath_core::reach::Reach;

use super::row;
use crate::error::StoreError;
use crate::sql::within::trunk_within;
use crate::sql::{ListQuery, Order, SortBy, Value};
use crate::store::Store;

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
        let order = order(filter.sort, filter.ascending);
        let Conditions { mut source, mut values } = conditions(account, filter, now);
        source.push_str(&trunk_within("trunk_id", &trunks, &mut values));
        let mut db = self.backend.read().await?;
        let list = ListQuery { columns: row::COLUMNS, source: &source, filters: values, order };
        list.page(&mut db, page).await?.try_map(|row| row::call_of(&row, now))
    }
}

/// `FROM` and `WHERE` of a list, with the values of its placeholders.
struct Conditions {
    source: String,
    values: Vec<Value>,
}

impl Conditions {
    /// Adds a condition up to its placeholder, if there is a value for it.
    fn add(&mut self, condition: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.values.push(value.into());
            // Writing to a String cannot fail.
            let _ = write!(self.source, " AND {condition} ${}", self.values.len());
        }
    }
}

fn conditions(account: AccountId, filter: CallFilter, now: Timestamp) -> Conditions {
    let mut list = Conditions {
        source: "FROM calls WHERE account_id = $1".to_owned(),
        values: vec![account.to_string().into()],
    };
    list.add("trunk_id =", filter.trunk_id.map(|id| id.to_string()));
    list.add("status =", filter.status.map(CallStatus::name));
    list.add("disconnect_reason =", filter.reason.map(DisconnectReason::name));
    list.add("start_time >=", filter.start_date);
    list.add("start_time <=", filter.end_date);
    list.add("from_party =", filter.from);
    list.add("to_party =", filter.to);
    list.add("COALESCE(carrier_lag_ms, -1) >=", filter.min_carrier_lag_ms);
    list.add("COALESCE(ai_latency_ms, -1) >=", filter.min_ai_latency_ms);
    list.add("COALESCE(gateway_processing_ms, -1) >=", filter.min_gateway_ms);
    if let Some(seconds) = filter.min_duration_seconds {
        list.values.extend([now.into(), seconds.into()]);
        let (until, least) = (list.values.len() - 1, list.values.len());
        // In whole seconds, rounded up; of a live call, until now.
        let _ = write!(
            list.source,
            " AND CASE WHEN status = 'connected' THEN (${until} - answer_time + 999) / 1000 \
             ELSE duration_seconds END >= ${least}"
        );
    }
    list
}

/// What calls are sorted by. Calls without a value come last in either direction: their place is below every value of a
/// descending list, and above every value of an ascending one. The expressions of descending lists are those of indexes.
///
/// The duration of a live call changes while a reader pages, so live calls come behind the others in a list by duration,
/// in the order of when they were answered, which is the order of their durations.
const fn sort_expression(sort: CallSortKey, ascending: bool) -> &'static str {
    match (sort, ascending) {
        (CallSortKey::StartTime, _) => "start_time",
        (CallSortKey::Duration, false) => {
            "CASE WHEN status = 'connected' THEN -answer_time ELSE duration_seconds END"
        }
        (CallSortKey::Duration, true) => {
            "CASE WHEN status = 'connected' THEN 9007199254740992 - answer_time ELSE duration_seconds END"
        }
        (CallSortKey::CarrierLag, false) => "COALESCE(carrier_lag_ms, -1)",
        (CallSortKey::CarrierLag, true) => "COALESCE(carrier_lag_ms, 9007199254740992)",
        (CallSortKey::AiLatency, false) => "COALESCE(ai_latency_ms, -1)",
        (CallSortKey::AiLatency, true) => "COALESCE(ai_latency_ms, 9007199254740992)",
        (CallSortKey::GatewayProcessing, false) => "COALESCE(gateway_processing_ms, -1)",
        (CallSortKey::GatewayProcessing, true) => "COALESCE(gateway_processing_ms, 9007199254740992)",
    }
}

const fn order(sort: CallSortKey, ascending: bool) -> Order<'static> {
    let expression = sort_expression(sort, ascending);
    Order { id: "id", by: Some(SortBy { key: sort.key(), expression, nullable: false }), ascending }
}

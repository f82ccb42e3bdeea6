//! `/v1/calls`: what became of each call, and the one thing that can be done to a live one.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use telepath_core::call::{
    CallDetails, CallFilter, CallMetrics, CallRecord, CallSortKey, CallStatus, Direction, DisconnectReason,
    Turn,
};
use telepath_core::clock::Timestamp;
use telepath_core::error::ErrorCode;
use telepath_core::id::{CallId, TrunkId};
use telepath_core::page::{CursorPage, PageRequest};
use telepath_store::CallListError;
use utoipa::ToSchema;

use crate::auth::caller::{Authorized, Caller, CallsRead, CallsWrite};
use crate::endpoint::{Endpoints, endpoints};
use crate::error::ApiError;
use crate::extract::date::DayEdge;
use crate::extract::json::{NoMembers, OptionalJson};
use crate::extract::page::CursorPagination;
use crate::extract::path::{PathId, Resource as _};
use crate::extract::query::{QueryForm, QueryReader, StrictQuery, UNKNOWN_CURSOR};
use crate::state::{AppState, Shared};

pub(crate) fn endpoints() -> Endpoints {
    endpoints![list_calls, get_call, hangup_call]
}

/// A call.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Call)]
struct CallBody {
    /// Its id.
    #[schema(value_type = String, example = "call_01k9v1n2xrf6t8g3m5q7w9y0za")]
    id: CallId,
    /// On which trunk.
    #[schema(value_type = String, example = "conn_01k9v1n2xrf6t8g3m5q7w9y0za")]
    trunk_id: TrunkId,
    /// Who called; E.164 where the carrier gave it.
    #[schema(example = "+15550100123")]
    from: String,
    /// Whom.
    #[schema(example = "support-01")]
    to: String,
    /// Who called whom.
    direction: Direction,
    /// The carrier, if known.
    carrier: Option<String>,
    /// `connected` is live now, `disconnected` was connected and ended, `failed` never reached the agent.
    status: CallStatus,
    /// From answer to end, or to now of a live call, rounded up.
    #[schema(example = 42)]
    duration_seconds: u32,
    /// When the INVITE arrived.
    #[schema(value_type = String, format = DateTime)]
    start_time: Timestamp,
    /// When it was answered.
    #[schema(value_type = Option<String>, format = DateTime)]
    answer_time: Option<Timestamp>,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    end_time: Option<Timestamp>,
    /// Why it ended.
    disconnect_reason: Option<DisconnectReason>,
    /// More about the reason.
    reason_text: Option<String>,
    /// Delay of the carrier's leg.
    carrier_lag_ms: Option<u32>,
    /// Caller's speech ends to first agent audio, mean over turns.
    ai_latency_ms: Option<u32>,
    /// Median time inside Telepath.
    gateway_processing_ms: Option<u32>,
}

/// A call with everything that was kept of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CallDetails)]
struct CallDetailsBody {
    #[serde(flatten)]
    call: CallBody,
    /// All its figures.
    metrics: CallMetrics,
    /// Its stretches of speech.
    turns: Vec<Turn>,
    /// Its SIP messages, without secrets.
    sip_trace: String,
}

/// A page of calls.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CallList)]
struct CallListBody {
    /// The newest first, unless asked otherwise.
    calls: Vec<CallBody>,
    pagination: CursorPagination,
}

/// A call that was asked to end.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HangupRequested)]
struct HangupBody {
    /// The call's id.
    #[schema(value_type = String, example = "call_01k9v1n2xrf6t8g3m5q7w9y0za")]
    id: CallId,
    /// When it was asked.
    #[schema(value_type = String, format = DateTime)]
    requested_at: Timestamp,
}

impl From<CallRecord> for CallBody {
    fn from(call: CallRecord) -> Self {
        Self {
            id: call.id,
            trunk_id: call.trunk_id,
            from: call.from.as_str().to_owned(),
            to: call.to.as_str().to_owned(),
            direction: call.direction,
            carrier: call.carrier,
            status: call.status,
            duration_seconds: call.duration_seconds,
            start_time: call.start_time,
            answer_time: call.answer_time,
            end_time: call.end_time,
            disconnect_reason: call.disconnect_reason,
            reason_text: call.reason_text,
            carrier_lag_ms: call.metrics.carrier_lag_ms,
            ai_latency_ms: call.metrics.ai_latency_ms,
            gateway_processing_ms: call.metrics.gateway_processing_ms,
        }
    }
}

impl From<CallDetails> for CallDetailsBody {
    fn from(details: CallDetails) -> Self {
        let metrics = details.call.metrics.clone();
        Self { call: details.call.into(), metrics, turns: details.turns, sip_trace: details.sip_trace }
    }
}

/// Which calls a list shows.
struct CallQuery {
    filter: CallFilter,
    page: PageRequest,
}

/// The names by which a list of calls is sorted; with `-` in front, the largest first.
const SORTS: [(&str, CallSortKey); 5] = [
    ("start_time", CallSortKey::StartTime),
    ("duration_seconds", CallSortKey::Duration),
    ("carrier_lag_ms", CallSortKey::CarrierLag),
    ("ai_latency_ms", CallSortKey::AiLatency),
    ("gateway_processing_ms", CallSortKey::GatewayProcessing),
];

fn parse_sort(text: &str) -> Option<(CallSortKey, bool)> {
    let (name, ascending) = text.strip_prefix('-').map_or((text, true), |name| (name, false));
    SORTS.iter().find(|(known, _)| *known == name).map(|(_, key)| (*key, ascending))
}

/// A `+` that was not percent-encoded arrives as a space; no party begins with one.
fn parse_party(text: &str) -> Result<String, &'static str> {
    let text = text.strip_prefix(' ').map_or_else(|| text.to_owned(), |digits| format!("+{digits}"));
    if text.is_empty() || text.len() > 128 { Err("must have 1 to 128 characters") } else { Ok(text) }
}

impl QueryForm for CallQuery {
    fn read(query: &mut QueryReader) -> Self {
        let sorts = SORTS.iter().map(|(name, _)| *name);
        let (sort, ascending) = query.choice("sort", parse_sort, sorts).unwrap_or_default();
        let (after, page) = query.cursor_page();
        let filter = CallFilter {
            trunk_id: query.take("trunk_id", str::parse),
            status: query.choice("status", CallStatus::from_name, CallStatus::ALL.iter().map(|s| s.name())),
            start_date: query.date("start_date", DayEdge::First),
            end_date: query.date("end_date", DayEdge::Last),
            from: query.take("from", parse_party),
            to: query.take("to", parse_party),
            min_duration_seconds: query.number("min_duration_seconds"),
            min_ai_latency_ms: query.number("min_ai_latency_ms"),
            sort,
            ascending,
            after,
        };
        Self { filter, page }
    }
}

/// List calls
#[utoipa::path(get, path = "/v1/calls", tag = "Calls", operation_id = "listCalls",
    params(
        ("trunk_id" = Option<String>, Query, description = "Only calls of this trunk."),
        ("status" = Option<String>, Query, description = "`connected`, `disconnected` or `failed`."),
        ("start_date" = Option<String>, Query, description = "Only calls that started at this time or later: a date or an RFC 3339 date-time."),
        ("end_date" = Option<String>, Query, description = "Only calls that started at this time or earlier; a date includes its whole day (UTC)."),
        ("from" = Option<String>, Query, description = "Only calls from this party."),
        ("to" = Option<String>, Query, description = "Only calls to this party."),
        ("min_duration_seconds" = Option<u32>, Query, description = "Only calls at least this long."),
        ("min_ai_latency_ms" = Option<u32>, Query, description = "Only calls with at least this AI latency."),
        ("sort" = Option<String>, Query, description = "`start_time`, `duration_seconds`, `carrier_lag_ms`, `ai_latency_ms` or `gateway_processing_ms`; a leading `-` sorts the largest first. Default `-start_time`."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "Calls per page; default 20."),
        ("offset" = Option<u32>, Query, description = "Calls to skip."),
        ("cursor" = Option<String>, Query, description = "`pagination.next_cursor` of the previous page, with the same filters and sort; replaces `offset`.")),
    responses((status = 200, description = "A page of calls.", body = CallListBody)))]
async fn list_calls(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<CallsRead>,
    StrictQuery(query): StrictQuery<CallQuery>,
) -> Result<Json<CallListBody>, ApiError> {
    let listed = state.store.list_calls(caller.account, query.filter, query.page).await;
    let CursorPage { page, next } = listed.map_err(|error| match error {
        CallListError::UnknownCursor => ApiError::invalid("cursor", UNKNOWN_CURSOR),
        CallListError::Store(error) => error.into(),
    })?;
    let pagination = CursorPagination::of(query.page, page.total, next);
    Ok(Json(CallListBody { calls: page.items.into_iter().map(CallBody::from).collect(), pagination }))
}

/// Get a call
#[utoipa::path(get, path = "/v1/calls/{id}", tag = "Calls", operation_id = "getCall",
    params(("id" = String, Path, description = "The call's id.")),
    responses((status = 200, description = "The call.", body = CallDetailsBody)))]
async fn get_call(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<CallsRead>,
    PathId(id): PathId<CallId>,
) -> Result<Json<CallDetailsBody>, ApiError> {
    let details = state.store.get_call(caller.account, id).await?;
    details.map(|details| Json(details.into())).ok_or_else(|| CallId::not_found(&id.to_string()))
}

/// Hang up a live call
///
/// The call ends shortly afterwards with the reason `api_hangup`.
#[utoipa::path(post, path = "/v1/calls/{id}/hangup", tag = "Calls", operation_id = "hangupCall",
    params(("id" = String, Path, description = "The call's id.")),
    responses(
        (status = 202, description = "The call is being ended.", body = HangupBody),
        (status = 409, description = "`CALL_NOT_LIVE`")))]
async fn hangup_call(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<CallsWrite>,
    PathId(id): PathId<CallId>,
    OptionalJson(NoMembers {}): OptionalJson<NoMembers>,
) -> Result<(StatusCode, Json<HangupBody>), ApiError> {
    // A task of its own: a caller that goes away must not leave an audit row of a hangup that never came.
    let (shared, requested_at) = (Arc::clone(&state), caller.at);
    let work = tokio::spawn(async move { hang_up(&shared, &caller, id).await });
    work.await.map_err(|_| ApiError::internal("hanging up panicked"))??;
    Ok((StatusCode::ACCEPTED, Json(HangupBody { id, requested_at })))
}

async fn hang_up(shared: &Shared, caller: &Caller, id: CallId) -> Result<(), ApiError> {
    let details = shared.store.get_call(caller.account, id).await?;
    let call = details.ok_or_else(|| CallId::not_found(&id.to_string()))?.call;
    match call.status {
        CallStatus::Connected => {}
        CallStatus::Disconnected | CallStatus::Failed => return Err(ApiError::of(ErrorCode::CallNotLive)),
    }
    // The trail first: what cannot be written down is not done.
    shared.store.record_hangup_request(caller.account, id, caller.origin()).await?;
    if shared.live.hang_up(id, DisconnectReason::ApiHangup) {
        Ok(())
    } else {
        Err(ApiError::of(ErrorCode::CallNotLive))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_have_a_direction_and_the_newest_comes_first_by_default() {
        assert_eq!(parse_sort("-ai_latency_ms"), Some((CallSortKey::AiLatency, false)));
        assert_eq!(parse_sort("duration_seconds"), Some((CallSortKey::Duration, true)));
        assert_eq!(parse_sort("colour"), None);
        assert_eq!(<(CallSortKey, bool)>::default(), (CallSortKey::StartTime, false));
    }

    #[test]
    fn a_plus_that_became_a_space_is_a_plus_again() {
        assert_eq!(parse_party(" 15550100123").unwrap(), "+15550100123");
        assert!(parse_party("").is_err());
    }
}

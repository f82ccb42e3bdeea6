//! `/v1/calls`: call records, and hanging up a live call.

mod erase;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use telepath_api_types::calls::{Call, CallDetails, CallList, HangupRequested};
use telepath_api_types::enums;
use telepath_api_types::sip_trace::SipTrace;
use telepath_core::call::{self, CallFilter, CallSortKey, CallStatus, DisconnectReason};
use telepath_core::error::ErrorCode;
use telepath_core::id::CallId;
use telepath_core::page::{Page, PageRequest};
use telepath_store::HangUpError;

use crate::auth::caller::{AuthorizedWithin, Caller, CallsRead, CallsWrite};
use crate::endpoint::{Endpoints, endpoints};
use crate::error::ApiError;
use crate::extract::json::{NoMembers, OptionalJson};
use crate::extract::path::{PathId, Resource as _};
use crate::extract::query::{QueryForm, QueryReader, StrictQuery};
use crate::state::{AppState, Shared};
use telepath_core::date::DayEdge;

pub(crate) fn endpoints() -> Endpoints {
    endpoints![list_calls, get_call, get_sip_trace, hangup_call].merge(erase::endpoints())
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
        let (sort, ascending) = query.choice("sort", parse_sort, call::CALL_SORTS).unwrap_or_default();
        let page = query.page::<CallId>(Some(sort.key()));
        let filter = CallFilter {
            trunk_id: query.take("trunk_id", str::parse),
            status: query.choice("status", CallStatus::from_name, CallStatus::ALL.iter().map(|s| s.name())),
            start_date: query.date("start_date", DayEdge::First),
            end_date: query.date("end_date", DayEdge::Last),
            from: query.take("from", parse_party),
            to: query.take("to", parse_party),
            reason: query.choice(
                "reason",
                DisconnectReason::from_name,
                DisconnectReason::ALL.iter().map(|reason| reason.name()),
            ),
            min_duration_seconds: query.number("min_duration_seconds"),
            min_carrier_lag_ms: query.number("min_carrier_lag_ms"),
            min_ai_latency_ms: query.number("min_ai_latency_ms"),
            min_gateway_ms: query.number("min_gateway_ms"),
            sort,
            ascending,
        };
        Self { filter, page }
    }
}

/// List calls
#[utoipa::path(get, path = "/v1/calls", tag = "Calls", operation_id = "listCalls",
    params(
        ("trunk_id" = Option<String>, Query, description = "Only calls of this trunk."),
        ("status" = inline(Option<enums::CallStatus>), Query, description = "`connected`, `disconnected` or `failed`."),
        ("start_date" = Option<String>, Query, description = "Only calls that started at this time or later: a date or an RFC 3339 date-time."),
        ("end_date" = Option<String>, Query, description = "Only calls that started at this time or earlier; a date includes its whole day (UTC)."),
        ("from" = Option<String>, Query, description = "Only calls from this party."),
        ("to" = Option<String>, Query, description = "Only calls to this party."),
        ("reason" = inline(Option<enums::DisconnectReason>), Query, description = "Only calls with this `disconnect_reason`."),
        ("min_duration_seconds" = Option<u32>, Query, description = "Only calls at least this long."),
        ("min_carrier_lag_ms" = Option<u32>, Query, description = "Only calls with at least this `carrier_lag_ms`."),
        ("min_ai_latency_ms" = Option<u32>, Query, description = "Only calls with at least this `ai_latency_ms`."),
        ("min_gateway_ms" = Option<u32>, Query, description = "Only calls with at least this `gateway_processing_ms`."),
        ("sort" = inline(Option<enums::CallSort>), Query, description = "`start_time`, `duration_seconds`, `carrier_lag_ms`, `ai_latency_ms` or `gateway_processing_ms`; a leading `-` sorts the largest first. Default `-start_time`. Calls without a value come last. By duration, live calls come behind those that ended."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "Calls per page; default 20."),
        ("offset" = Option<u32>, Query, description = "Calls to skip."),
        ("cursor" = Option<String>, Query, description = "`pagination.next_cursor` of the previous page, with the same filters and sort; replaces `offset`.")),
    responses((status = 200, description = "A page of calls.", body = CallList)))]
async fn list_calls(
    State(state): State<AppState>,
    AuthorizedWithin { caller, .. }: AuthorizedWithin<CallsRead>,
    StrictQuery(query): StrictQuery<CallQuery>,
) -> Result<Json<CallList>, ApiError> {
    let Page { items, position } = state.store.list_calls(caller.reach(), query.filter, query.page).await?;
    Ok(Json(CallList { calls: items.into_iter().map(Call::from).collect(), pagination: position.into() }))
}

/// Get a call
#[utoipa::path(get, path = "/v1/calls/{id}", tag = "Calls", operation_id = "getCall",
    params(("id" = String, Path, description = "The call's id.")),
    responses((status = 200, description = "The call.", body = CallDetails)))]
async fn get_call(
    State(state): State<AppState>,
    AuthorizedWithin { caller, .. }: AuthorizedWithin<CallsRead>,
    PathId(id): PathId<CallId>,
) -> Result<Json<CallDetails>, ApiError> {
    let details = state.store.get_call(caller.reach(), id).await?;
    details.map(|details| Json(details.into())).ok_or_else(|| CallId::not_found(&id.to_string()))
}

/// Get the SIP messages of a call
///
/// The messages of `sip_trace` one by one, with their time, direction, method and status.
#[utoipa::path(get, path = "/v1/calls/{id}/sip-trace", tag = "Calls", operation_id = "getSipTrace",
    params(("id" = String, Path, description = "The call's id.")),
    responses((status = 200, description = "The SIP messages.", body = SipTrace)))]
async fn get_sip_trace(
    State(state): State<AppState>,
    AuthorizedWithin { caller, .. }: AuthorizedWithin<CallsRead>,
    PathId(id): PathId<CallId>,
) -> Result<Json<SipTrace>, ApiError> {
    let details = state.store.get_call(caller.reach(), id).await?;
    let details = details.ok_or_else(|| CallId::not_found(&id.to_string()))?;
    Ok(Json(SipTrace::of(id, &details.sip_trace)))
}

/// Hang up a live call
///
/// The call ends shortly afterwards with the reason `api_hangup`.
#[utoipa::path(post, path = "/v1/calls/{id}/hangup", tag = "Calls", operation_id = "hangupCall",
    params(("id" = String, Path, description = "The call's id.")),
    responses(
        (status = 202, description = "The call is being ended.", body = HangupRequested),
        (status = 409, description = "`CALL_NOT_LIVE`")))]
async fn hangup_call(
    State(state): State<AppState>,
    AuthorizedWithin { caller, .. }: AuthorizedWithin<CallsWrite>,
    PathId(id): PathId<CallId>,
    OptionalJson(NoMembers {}): OptionalJson<NoMembers>,
) -> Result<(StatusCode, Json<HangupRequested>), ApiError> {
    // Spawned, so that it completes when the caller disconnects: otherwise the audit trail could record a hangup that did not
    // happen.
    let (shared, requested_at) = (Arc::clone(&state), caller.at);
    let work = tokio::spawn(async move { hang_up(&shared, &caller, id).await });
    work.await.map_err(|error| ApiError::internal_because("hanging up failed", &error))??;
    Ok((StatusCode::ACCEPTED, Json(HangupRequested { id, requested_at })))
}

async fn hang_up(shared: &Shared, caller: &Caller, id: CallId) -> Result<(), ApiError> {
    let done = shared.store.hang_up_call(caller.reach(), id, &*shared.live, caller.origin()).await;
    done.map_err(|error| match error {
        HangUpError::NotFound => CallId::not_found(&id.to_string()),
        HangUpError::NotLive => ApiError::of(ErrorCode::CallNotLive),
        HangUpError::Store(error) => error.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_have_a_direction_and_the_newest_comes_first_by_default() {
        assert_eq!(parse_sort("-ai_latency_ms"), Some((CallSortKey::AiLatency, false)));
        assert_eq!(parse_sort("duration_seconds"), Some((CallSortKey::Duration, true)));
        assert_eq!(parse_sort("colour"), None);
        assert!(call::CALL_SORTS.iter().all(|sort| parse_sort(sort).is_some()));
        assert_eq!(call::CALL_SORTS.len(), 2 * SORTS.len());
        assert_eq!(<(CallSortKey, bool)>::default(), (CallSortKey::StartTime, false));
    }

    #[test]
    fn a_plus_that_became_a_space_is_a_plus_again() {
        assert_eq!(parse_party(" 15550100123").unwrap(), "+15550100123");
        assert!(parse_party("").is_err());
    }
}

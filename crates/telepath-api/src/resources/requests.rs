//! `/v1/requests`: recent requests with the account's keys, by page or as an export.

mod export;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use telepath_api_types::enums;
use telepath_api_types::requests::{LoggedRequest, RequestList, RequestPagination};
use telepath_core::address::parse_network;
use telepath_core::error::ErrorCode;
use telepath_core::page::{DEFAULT_LIMIT, UnknownCursor};
use telepath_core::request::{RequestFilter, RequestMethod, StatusFilter};
use telepath_store::{RequestCursor, RequestOrder};

use crate::auth::caller::{AuditRead, Authorized};
use crate::endpoint::{Endpoints, endpoints};
use crate::error::ApiError;
use crate::extract::query::{QueryForm, QueryReader, StrictQuery};
use crate::state::AppState;
use telepath_core::date::DayEdge;

use export::Format;

/// The longest text of a filter, in bytes: no longer one is kept of a request.
const LONGEST: usize = 256;

pub(crate) fn endpoints() -> Endpoints {
    endpoints![list_requests]
}

/// Which requests are shown, and how.
struct RequestQuery {
    filter: RequestFilter,
    order: RequestOrder,
    limit: Option<u32>,
    cursor: Option<RequestCursor>,
    format: Option<Format>,
}

const ORDERS: [(&str, RequestOrder); 2] = [("-time", RequestOrder::Newest), ("time", RequestOrder::Oldest)];

fn parse_order(text: &str) -> Option<RequestOrder> {
    ORDERS.iter().find(|(name, _)| *name == text).map(|(_, order)| *order)
}

fn parse_error_code(text: &str) -> Result<ErrorCode, &'static str> {
    ErrorCode::ALL.iter().copied().find(|code| code.name() == text).ok_or("must be the code of an error")
}

fn read_filter(query: &mut QueryReader) -> RequestFilter {
    let methods = RequestMethod::ALL.iter().map(|method| method.name());
    let status =
        |text: &str| StatusFilter::parse(text).ok_or("must be a status such as 404, or a class such as 4xx");
    RequestFilter {
        key_id: query.take("key_id", str::parse),
        secret_id: query.take("secret_id", str::parse),
        user_id: query.take("user_id", str::parse),
        method: query.choice("method", RequestMethod::from_name, methods),
        route: query.text("route", LONGEST),
        path: query.text("path", LONGEST),
        status: query.take("status", status),
        error: query.take("error_code", parse_error_code),
        network: query.take("address", parse_network),
        user_agent: query.text("user_agent", LONGEST),
        id: query.take("request_id", str::parse),
        min_duration_us: query.number("min_duration_ms").map(|ms| u64::from(ms) * 1000),
        start: query.date("start_date", DayEdge::First),
        end: query.date("end_date", DayEdge::Last),
    }
}

impl QueryForm for RequestQuery {
    fn read(query: &mut QueryReader) -> Self {
        let cursor = |text: &str| RequestCursor::parse(text).ok_or(UnknownCursor);
        Self {
            filter: read_filter(query),
            order: query
                .choice("sort", parse_order, ORDERS.iter().map(|(name, _)| *name))
                .unwrap_or_default(),
            limit: query.limit(),
            cursor: query.take("cursor", cursor),
            format: query.choice("format", Format::from_name, Format::ALL.iter().map(|f| f.name())),
        }
    }
}

/// List requests
///
/// Requests with the account's keys and of its users, including refused ones. A request appears half a second after its response, with several
/// servers after two seconds. `format=ndjson` and `format=csv` (or `Accept`) export all matching requests up to now, without pages.
#[utoipa::path(get, path = "/v1/requests", tag = "Audit", operation_id = "listRequests",
    params(
        ("key_id" = Option<String>, Query, description = "Only requests with this key."),
        ("secret_id" = Option<String>, Query, description = "Only requests with this secret of a key, such as the old one after a rotation."),
        ("user_id" = Option<String>, Query, description = "Only requests of this user."),
        ("method" = inline(Option<enums::RequestMethod>), Query, description = "Only requests with this method."),
        ("route" = Option<String>, Query, description = "Only requests of the route with this path, such as `/v1/trunks/{id}`."),
        ("path" = Option<String>, Query, description = "Only requests with exactly this path."),
        ("status" = Option<String>, Query, description = "Only responses with this status, such as `404`, or this class, such as `4xx`."),
        ("error_code" = inline(Option<enums::ErrorCode>), Query, description = "Only requests that failed with this error code."),
        ("address" = Option<String>, Query, description = "Only requests from this address or network."),
        ("user_agent" = Option<String>, Query, description = "Only requests whose user agent contains this text."),
        ("request_id" = Option<String>, Query, description = "Only the request with this id."),
        ("min_duration_ms" = Option<u32>, Query, description = "Only requests that took at least this long."),
        ("start_date" = Option<String>, Query, description = "Only requests that arrived at this time or later: a date or an RFC 3339 date-time."),
        ("end_date" = Option<String>, Query, description = "Only requests that arrived at this time or earlier; a date includes its whole day (UTC)."),
        ("sort" = inline(Option<enums::RequestSort>), Query, description = "`-time` (newest first, the default) or `time`."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "Requests per page; default 20."),
        ("cursor" = Option<String>, Query, description = "`pagination.next_cursor` of the previous page, with the same filters and sort."),
        ("format" = inline(Option<enums::RequestFormat>), Query, description = "`json`, `ndjson` or `csv`; by default what `Accept` asks for, otherwise `json`.")),
    responses((status = 200, description = "A page of requests, or an export of all of them.", content(
        (RequestList = "application/json"), (String = "application/x-ndjson"), (String = "text/csv")))))]
async fn list_requests(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<AuditRead>,
    StrictQuery(query): StrictQuery<RequestQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let RequestQuery { filter, order, limit, cursor, format } = query;
    let format = format.unwrap_or_else(|| Format::accepted(&headers));
    if let Format::Export(format) = format {
        if limit.is_some() {
            return Err(ApiError::invalid("limit", "must not be given for an export"));
        }
        let filter = RequestFilter { end: filter.end.or(Some(caller.at)), ..filter };
        return export::start(&state, &caller, (filter, order, cursor), format);
    }
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    let many = usize::try_from(limit).unwrap_or(usize::MAX);
    let page = state.store.list_requests(caller.account, &filter, order, many, cursor).await?;
    let next_cursor = page.next.map(|cursor| cursor.to_string());
    let requests = page.requests.into_iter().map(LoggedRequest::from).collect();
    let pagination = RequestPagination { limit, next_cursor };
    Ok(Json(RequestList { requests, pagination }).into_response())
}

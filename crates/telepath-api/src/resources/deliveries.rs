//! `/v1/webhooks/{id}/deliveries` and `/v1/deliveries`: what was sent to an endpoint, what came of each attempt, and
//! sending it again.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Serialize;
use serde_json::value::RawValue;
use telepath_core::clock::Timestamp;
use telepath_core::event::EventKind;
use telepath_core::id::{DeliveryId, EventId, WebhookId};
use telepath_core::page::{CursorPage, PageRequest};
use telepath_core::webhook::delivery::{DeliveryStatus, ErrorClass};
use telepath_store::{AttemptRecord, DeliveryDetails, DeliveryFilter, DeliveryRecord, WebhookChangeError};
use utoipa::ToSchema;

use crate::auth::caller::{Authorized, WebhooksRead, WebhooksWrite};
use crate::endpoint::{Endpoints, endpoints};
use crate::error::ApiError;
use crate::extract::json::{NoMembers, OptionalJson};
use crate::extract::page::CursorPagination;
use crate::extract::path::{PathId, Resource as _};
use crate::extract::query::{QueryForm, QueryReader, StrictQuery};
use crate::resources::webhooks::errors::change_error;
use crate::state::AppState;

pub(crate) fn endpoints() -> Endpoints {
    endpoints![list_deliveries, get_delivery, redeliver]
}

/// The delivery of an event to an endpoint.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Delivery)]
pub(crate) struct DeliveryBody {
    /// Its id.
    #[schema(value_type = String, example = "dlv_01k9v1n2xrf6t8g3m5q7w9y0za")]
    id: DeliveryId,
    /// To which endpoint.
    #[schema(value_type = String, example = "whk_01k9v1n2xrf6t8g3m5q7w9y0za")]
    webhook_id: WebhookId,
    /// Of which event; also the header `webhook-id` of every attempt.
    #[schema(value_type = String, example = "evt_01k9v1n2xrf6t8g3m5q7w9y0za")]
    event_id: EventId,
    /// The event's name.
    #[schema(value_type = String, example = "call.ended")]
    event: &'static str,
    /// `pending`, `delivered`, `exhausted` or `held`.
    #[schema(value_type = String, example = "delivered")]
    status: &'static str,
    /// How often it was tried in all.
    attempt_count: u32,
    /// When it is tried next, while it is pending.
    #[schema(value_type = Option<String>, format = DateTime)]
    next_attempt_at: Option<Timestamp>,
    /// When the event happened.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was delivered, exhausted or held.
    #[schema(value_type = Option<String>, format = DateTime)]
    finished_at: Option<Timestamp>,
    /// The last attempts, the oldest first.
    attempts: Vec<AttemptBody>,
}

/// What came of an attempt.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeliveryAttempt)]
struct AttemptBody {
    /// 1 for the first.
    number: u32,
    /// When it ended.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// How long it took.
    duration_ms: u32,
    /// The status that the endpoint answered.
    status: Option<u16>,
    /// What went wrong; null for success.
    #[schema(value_type = Option<String>, example = "timed_out")]
    error: Option<&'static str>,
    /// The first 16 KiB of the answer; only where one delivery is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<String>,
}

/// A delivery with the answers to its attempts and what it carries.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeliveryDetails)]
struct DeliveryDetailsBody {
    #[serde(flatten)]
    delivery: DeliveryBody,
    /// The body, as it is sent.
    #[schema(value_type = Object)]
    payload: Box<RawValue>,
}

/// A page of deliveries.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeliveryList)]
struct DeliveryListBody {
    /// The newest event first, unless asked otherwise.
    deliveries: Vec<DeliveryBody>,
    pagination: CursorPagination,
}

impl From<DeliveryRecord> for DeliveryBody {
    fn from(record: DeliveryRecord) -> Self {
        Self {
            id: record.id,
            webhook_id: record.webhook_id,
            event_id: record.event_id,
            event: record.kind.name(),
            status: record.status.name(),
            attempt_count: record.attempts,
            next_attempt_at: record.next_at,
            created_at: record.created_at,
            finished_at: record.finished_at,
            attempts: record.tried.into_iter().map(AttemptBody::from).collect(),
        }
    }
}

impl From<AttemptRecord> for AttemptBody {
    fn from(attempt: AttemptRecord) -> Self {
        Self {
            number: attempt.number,
            at: attempt.at,
            duration_ms: attempt.duration_ms,
            status: attempt.status,
            error: attempt.error.map(ErrorClass::name),
            response: None,
        }
    }
}

/// Shows the answers too, as far as they are text.
fn with_answers(details: DeliveryDetails) -> Result<DeliveryDetailsBody, ApiError> {
    let answers: Vec<_> = details
        .record
        .tried
        .iter()
        .map(|attempt| String::from_utf8_lossy(&attempt.answer).into_owned())
        .collect();
    let mut delivery = DeliveryBody::from(details.record);
    for (attempt, answer) in delivery.attempts.iter_mut().zip(answers) {
        attempt.response = Some(answer);
    }
    let payload = RawValue::from_string(details.payload)
        .map_err(|_| ApiError::internal("a stored event is no JSON"))?;
    Ok(DeliveryDetailsBody { delivery, payload })
}

/// Which deliveries a list shows.
struct DeliveryQuery {
    filter: DeliveryFilter,
    page: PageRequest,
}

impl QueryForm for DeliveryQuery {
    fn read(query: &mut QueryReader) -> Self {
        let statuses = DeliveryStatus::ALL.iter().map(|status| status.name());
        let kinds = EventKind::ALL.iter().map(|kind| kind.name());
        let (after, page) = query.cursor_page();
        let filter = DeliveryFilter {
            status: query.choice("status", DeliveryStatus::from_name, statuses),
            kind: query.choice("event", EventKind::from_name, kinds),
            oldest_first: query.oldest_first(),
            after,
        };
        Self { filter, page }
    }
}

/// List deliveries to an endpoint
#[utoipa::path(get, path = "/v1/webhooks/{id}/deliveries", tag = "Webhooks", operation_id = "listDeliveries",
    params(
        ("id" = String, Path, description = "The endpoint's id."),
        ("status" = Option<String>, Query, description = "`pending`, `delivered`, `exhausted` or `held`."),
        ("event" = Option<String>, Query, description = "Only deliveries of events with this name."),
        ("sort" = Option<String>, Query, description = "`created_at` or `-created_at` (newest first, the default)."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "Deliveries per page; default 20."),
        ("offset" = Option<u32>, Query, description = "Deliveries to skip."),
        ("cursor" = Option<String>, Query, description = "`pagination.next_cursor` of the previous page, with the same filters and sort; replaces `offset`.")),
    responses((status = 200, description = "A page of deliveries.", body = DeliveryListBody)))]
async fn list_deliveries(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<WebhooksRead>,
    PathId(id): PathId<WebhookId>,
    StrictQuery(query): StrictQuery<DeliveryQuery>,
) -> Result<Json<DeliveryListBody>, ApiError> {
    let listed = state.store.list_deliveries(caller.account, id, query.filter, query.page).await;
    let CursorPage { page, next } = listed.map_err(change_error(id))?;
    let pagination = CursorPagination::of(query.page, page.total, next);
    Ok(Json(DeliveryListBody {
        deliveries: page.items.into_iter().map(DeliveryBody::from).collect(),
        pagination,
    }))
}

/// Get a delivery
#[utoipa::path(get, path = "/v1/deliveries/{id}", tag = "Webhooks", operation_id = "getDelivery",
    params(("id" = String, Path, description = "The delivery's id.")),
    responses((status = 200, description = "The delivery with its body and the responses to it.", body = DeliveryDetailsBody)))]
async fn get_delivery(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<WebhooksRead>,
    PathId(id): PathId<DeliveryId>,
) -> Result<Json<DeliveryDetailsBody>, ApiError> {
    let found = state.store.get_delivery(caller.account, id).await?;
    let details = found.ok_or_else(|| DeliveryId::not_found(&id.to_string()))?;
    with_answers(details).map(Json)
}

/// Redeliver
///
/// Restarts a delivery in any state; a pending one is sent now. The event keeps its id.
#[utoipa::path(post, path = "/v1/deliveries/{id}/redeliver", tag = "Webhooks", operation_id = "redeliver",
    params(("id" = String, Path, description = "The delivery's id.")),
    responses(
        (status = 202, description = "The delivery, which is being sent.", body = DeliveryBody),
        (status = 409, description = "`WEBHOOK_DISABLED`")))]
async fn redeliver(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<WebhooksWrite>,
    PathId(id): PathId<DeliveryId>,
    OptionalJson(NoMembers {}): OptionalJson<NoMembers>,
) -> Result<impl IntoResponse, ApiError> {
    let asked = state.store.redeliver(caller.account, id, caller.origin()).await;
    let delivery = asked.map_err(|error| match error {
        WebhookChangeError::NotFound | WebhookChangeError::DeliveryNotFound => {
            DeliveryId::not_found(&id.to_string())
        }
        WebhookChangeError::TooMany
        | WebhookChangeError::Disabled
        | WebhookChangeError::Invalid(_)
        | WebhookChangeError::Store(_) => error.into(),
    })?;
    Ok((StatusCode::ACCEPTED, Json(DeliveryBody::from(delivery))))
}

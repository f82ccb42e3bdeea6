//! `/v1/webhooks/{id}/deliveries` and `/v1/deliveries`: deliveries to an endpoint, their attempts, and redelivery.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde_json::value::RawValue;
use telepath_api_types::deliveries::{Delivery, DeliveryAttempt, DeliveryDetails, DeliveryList};
use telepath_api_types::enums;
use telepath_core::event::EventKind;
use telepath_core::event::family::EventFamily;
use telepath_core::id::{DeliveryId, WebhookId};
use telepath_core::page::{Page, PageRequest};
use telepath_core::webhook::delivery::DeliveryStatus;
use telepath_store::{
    AccountDeliveryFilter, AttemptRecord, DeliveryFilter, DeliveryRecord, WebhookChangeError,
};

use crate::auth::caller::{AuthorizedWithin, WebhooksRead, WebhooksWrite};
use crate::endpoint::{Endpoints, endpoints};
use crate::error::ApiError;
use crate::extract::json::{NoMembers, OptionalJson};
use crate::extract::path::{PathId, Resource as _};
use crate::extract::query::{QueryForm, QueryReader, StrictQuery};
use crate::resources::webhooks::errors::change_error;
use crate::state::AppState;

pub(crate) fn endpoints() -> Endpoints {
    endpoints![list_deliveries, list_account_deliveries, get_delivery, redeliver]
}

/// A delivery without the responses to its attempts.
pub(crate) fn delivery_body(record: &DeliveryRecord) -> Delivery {
    Delivery {
        id: record.id,
        webhook_id: record.webhook_id,
        event_id: record.event_id,
        event: record.kind.name().to_owned(),
        status: record.status.name().to_owned(),
        attempt_count: record.attempts,
        next_attempt_at: record.next_at,
        created_at: record.created_at,
        finished_at: record.finished_at,
        attempts: record.attempt_records.iter().map(attempt_body).collect(),
    }
}

fn attempt_body(attempt: &AttemptRecord) -> DeliveryAttempt {
    DeliveryAttempt {
        number: attempt.number,
        at: attempt.at,
        duration_ms: attempt.duration_ms,
        status: attempt.status,
        error: attempt.error.map(|class| class.name().to_owned()),
        response: None,
    }
}

/// Adds the payload and the responses, with invalid UTF-8 replaced.
fn details_body(details: telepath_store::DeliveryDetails) -> Result<DeliveryDetails, ApiError> {
    let responses: Vec<_> = details
        .record
        .attempt_records
        .iter()
        .map(|attempt| String::from_utf8_lossy(&attempt.response_body).into_owned())
        .collect();
    let mut delivery = delivery_body(&details.record);
    for (attempt, response) in delivery.attempts.iter_mut().zip(responses) {
        attempt.response = Some(response);
    }
    let payload = RawValue::from_string(details.payload)
        .map_err(|error| ApiError::internal_because("a stored event is not valid JSON", &error))?;
    Ok(DeliveryDetails { delivery, payload })
}

fn list_body(Page { items, position }: Page<DeliveryRecord>) -> DeliveryList {
    DeliveryList { deliveries: items.iter().map(delivery_body).collect(), pagination: position.into() }
}

/// Which deliveries a list shows.
struct DeliveryQuery {
    filter: DeliveryFilter,
    page: PageRequest,
}

fn read_filter(query: &mut QueryReader) -> DeliveryFilter {
    let statuses = DeliveryStatus::ALL.iter().map(|status| status.name());
    let kinds = EventKind::ALL.iter().map(|kind| kind.name());
    DeliveryFilter {
        status: query.choice("status", DeliveryStatus::from_name, statuses),
        kind: query.choice("event", EventKind::from_name, kinds),
        oldest_first: query.oldest_first(),
    }
}

impl QueryForm for DeliveryQuery {
    fn read(query: &mut QueryReader) -> Self {
        Self { filter: read_filter(query), page: query.page::<DeliveryId>(None) }
    }
}

/// Which deliveries of the account a list shows.
struct AccountDeliveryQuery {
    filter: AccountDeliveryFilter,
    page: PageRequest,
}

impl QueryForm for AccountDeliveryQuery {
    fn read(query: &mut QueryReader) -> Self {
        let filter = AccountDeliveryFilter {
            call: query.take("call_id", str::parse),
            key: query.take("key_id", str::parse),
            of_endpoint: read_filter(query),
        };
        Self { filter, page: query.page::<DeliveryId>(None) }
    }
}

/// List deliveries
///
/// To all endpoints, for example those of the events of one call. With `call_id` the key also needs `calls:read`, with `key_id`
/// `keys:read`.
#[utoipa::path(get, path = "/v1/deliveries", tag = "Webhooks", operation_id = "listAllDeliveries",
    params(
        ("call_id" = Option<String>, Query, description = "Only deliveries of events about this call."),
        ("key_id" = Option<String>, Query, description = "Only deliveries of events about this key."),
        ("status" = inline(Option<enums::DeliveryStatus>), Query, description = "`pending`, `delivered`, `exhausted`, `held` or `canceled`."),
        ("event" = inline(Option<enums::EventName>), Query, description = "Only deliveries of events with this name."),
        ("sort" = inline(Option<enums::OrderByCreation>), Query, description = "`created_at` or `-created_at` (newest first, the default)."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "Deliveries per page; default 20."),
        ("offset" = Option<u32>, Query, description = "Deliveries to skip."),
        ("cursor" = Option<String>, Query, description = "`pagination.next_cursor` of the previous page, with the same filters and sort; replaces `offset`.")),
    responses((status = 200, description = "A page of deliveries.", body = DeliveryList)))]
async fn list_account_deliveries(
    State(state): State<AppState>,
    AuthorizedWithin { caller, .. }: AuthorizedWithin<WebhooksRead>,
    StrictQuery(query): StrictQuery<AccountDeliveryQuery>,
) -> Result<Json<DeliveryList>, ApiError> {
    let needed = [
        query.filter.call.map(|_| EventFamily::Call.read_scope()),
        query.filter.key.map(|_| EventFamily::Key.read_scope()),
    ];
    needed.into_iter().flatten().try_for_each(|scope| caller.require_scope(scope, false))?;
    let listed = state.store.list_account_deliveries(caller.reach(), query.filter, query.page).await?;
    Ok(Json(list_body(listed)))
}

/// List deliveries to an endpoint
#[utoipa::path(get, path = "/v1/webhooks/{id}/deliveries", tag = "Webhooks", operation_id = "listDeliveries",
    params(
        ("id" = String, Path, description = "The endpoint's id."),
        ("status" = inline(Option<enums::DeliveryStatus>), Query, description = "`pending`, `delivered`, `exhausted`, `held` or `canceled`."),
        ("event" = inline(Option<enums::EventName>), Query, description = "Only deliveries of events with this name."),
        ("sort" = inline(Option<enums::OrderByCreation>), Query, description = "`created_at` or `-created_at` (newest first, the default)."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "Deliveries per page; default 20."),
        ("offset" = Option<u32>, Query, description = "Deliveries to skip."),
        ("cursor" = Option<String>, Query, description = "`pagination.next_cursor` of the previous page, with the same filters and sort; replaces `offset`.")),
    responses((status = 200, description = "A page of deliveries.", body = DeliveryList)))]
async fn list_deliveries(
    State(state): State<AppState>,
    AuthorizedWithin { caller, .. }: AuthorizedWithin<WebhooksRead>,
    PathId(id): PathId<WebhookId>,
    StrictQuery(query): StrictQuery<DeliveryQuery>,
) -> Result<Json<DeliveryList>, ApiError> {
    let listed = state.store.list_deliveries(caller.reach(), id, query.filter, query.page).await;
    Ok(Json(list_body(listed.map_err(change_error(id))?)))
}

/// Get a delivery
///
/// Shows the event itself, so the key also needs the read scope of what the event is about, such as `calls:read` for `call.*`.
#[utoipa::path(get, path = "/v1/deliveries/{id}", tag = "Webhooks", operation_id = "getDelivery",
    params(("id" = String, Path, description = "The delivery's id.")),
    responses((status = 200, description = "The delivery with its body and the responses to it.", body = DeliveryDetails)))]
async fn get_delivery(
    State(state): State<AppState>,
    AuthorizedWithin { caller, .. }: AuthorizedWithin<WebhooksRead>,
    PathId(id): PathId<DeliveryId>,
) -> Result<Json<DeliveryDetails>, ApiError> {
    let found = state.store.get_delivery(caller.reach(), id).await?;
    let details = found.ok_or_else(|| DeliveryId::not_found(&id.to_string()))?;
    caller.require_scope(details.record.kind.family().read_scope(), false)?;
    details_body(details).map(Json)
}

/// Redeliver
///
/// Restarts a delivery in any state; a pending one is sent now. The event keeps its id.
#[utoipa::path(post, path = "/v1/deliveries/{id}/redeliver", tag = "Webhooks", operation_id = "redeliver",
    params(("id" = String, Path, description = "The delivery's id.")),
    responses(
        (status = 202, description = "The delivery, which is being sent.", body = Delivery),
        (status = 409, description = "`WEBHOOK_DISABLED`")))]
async fn redeliver(
    State(state): State<AppState>,
    AuthorizedWithin { caller, .. }: AuthorizedWithin<WebhooksWrite>,
    PathId(id): PathId<DeliveryId>,
    OptionalJson(NoMembers {}): OptionalJson<NoMembers>,
) -> Result<impl IntoResponse, ApiError> {
    let asked = state.store.redeliver(caller.reach(), id, caller.origin()).await;
    let delivery = asked.map_err(|error| match error {
        WebhookChangeError::NotFound | WebhookChangeError::DeliveryNotFound => {
            DeliveryId::not_found(&id.to_string())
        }
        WebhookChangeError::TooManySecrets
        | WebhookChangeError::Disabled
        | WebhookChangeError::OutOfReach
        | WebhookChangeError::MissingScope(_)
        | WebhookChangeError::Invalid(_)
        | WebhookChangeError::Store(_) => error.into(),
    })?;
    Ok((StatusCode::ACCEPTED, Json(delivery_body(&delivery))))
}

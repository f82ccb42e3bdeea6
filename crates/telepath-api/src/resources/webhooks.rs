//! `/v1/webhooks`: endpoints that events are sent to. A signing secret is shown once, in the response that creates it. A URL is
//! checked against the allowed destinations here, and again at every connection.

pub(crate) mod errors;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::IntoResponse;
use telepath_api_types::deliveries::Delivery;
use telepath_api_types::enums;
use telepath_api_types::webhooks::{
    CreateWebhook, RecoveredDeliveries, UpdateWebhook, Webhook, WebhookList, WebhookRecovery,
    WebhookRotation, WebhookWithSecret,
};
use telepath_core::clock::Timestamp;
use telepath_core::id::WebhookId;
use telepath_core::page::{CREATED_AT, Page, PageRequest};
use telepath_core::patch::Patch;
use telepath_core::validation::Invalid;
use telepath_core::webhook::{
    DEFAULT_GRACE_SECONDS, MAX_GRACE_SECONDS, WebhookDraft, WebhookPatchDraft, WebhookStatus,
};
use telepath_egress::Authorities;
use telepath_store::WebhookChangeError;

use crate::auth::caller::{AuthorizedWithin, WebhooksRead, WebhooksWrite};
use crate::destination::require_webhook_url;
use crate::endpoint::{Endpoints, endpoints};
use crate::error::ApiError;
use crate::extract::json::{NoMembers, OptionalJson, StrictJson};
use crate::extract::path::{PathId, Resource as _};
use crate::extract::query::{QueryForm, QueryReader, StrictQuery};
use crate::resources::deliveries::delivery_body;
use crate::state::AppState;
use errors::change_error;

pub(crate) fn endpoints() -> Endpoints {
    endpoints![list_webhooks, create_webhook => [MissingRequired, LimitReached], get_webhook, update_webhook, delete_webhook, rotate_webhook_secret, test_webhook, recover_webhook => [MissingRequired]]
}

/// The one place where a shared secret leaves the server.
fn shown(made: telepath_store::WebhookWithSecret) -> WebhookWithSecret {
    WebhookWithSecret { webhook: made.webhook.into(), secret: made.secret }
}

/// Refuses certificates that the sender could not use.
fn require_authorities(pem: Option<&str>) -> Result<(), ApiError> {
    let checked = pem.map(Authorities::parse).transpose();
    checked.map(drop).map_err(|error| Invalid::one("ca_pem", error.to_string()).into())
}

/// Which endpoints a list shows.
struct WebhookQuery {
    status: Option<WebhookStatus>,
    page: PageRequest,
}

impl QueryForm for WebhookQuery {
    fn read(query: &mut QueryReader) -> Self {
        let names = WebhookStatus::ALL.iter().map(|status| status.name());
        let status = query.choice("status", WebhookStatus::from_name, names);
        Self { status, page: query.page::<WebhookId>(Some(CREATED_AT)) }
    }
}

/// List webhook endpoints
#[utoipa::path(get, path = "/v1/webhooks", tag = "Webhooks", operation_id = "listWebhooks",
    params(
        ("status" = inline(Option<enums::WebhookStatus>), Query, description = "`active` or `disabled`."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "Endpoints per page; default 20."),
        ("offset" = Option<u32>, Query, description = "Endpoints to skip."),
        ("cursor" = Option<String>, Query, description = "`pagination.next_cursor` of the previous page, with the same filters and sort; replaces `offset`.")),
    responses((status = 200, description = "A page of endpoints.", body = WebhookList)))]
async fn list_webhooks(
    State(state): State<AppState>,
    AuthorizedWithin { caller, .. }: AuthorizedWithin<WebhooksRead>,
    StrictQuery(query): StrictQuery<WebhookQuery>,
) -> Result<Json<WebhookList>, ApiError> {
    let Page { items, position } =
        state.store.list_webhooks(caller.reach(), query.status, query.page).await?;
    let webhooks = items.into_iter().map(Webhook::from).collect();
    Ok(Json(WebhookList { webhooks, pagination: position.into() }))
}

/// Create a webhook endpoint
///
/// To receive events, the key also needs the read scope of what they are about: `calls:read` for `call.*` and `agent.*`, `keys:read` for
/// `key.*`, and all of them for `*`.
#[utoipa::path(post, path = "/v1/webhooks", tag = "Webhooks", operation_id = "createWebhook",
    request_body = CreateWebhook,
    responses(
        (status = 201, description = "The endpoint, with its shared secret if it has one.", body = WebhookWithSecret),
        (status = 409, description = "`LIMIT_REACHED`")))]
async fn create_webhook(
    State(state): State<AppState>,
    AuthorizedWithin { caller, .. }: AuthorizedWithin<WebhooksWrite>,
    StrictJson(draft): StrictJson<CreateWebhook>,
) -> Result<impl IntoResponse, ApiError> {
    let new = WebhookDraft::from(draft).check()?;
    require_webhook_url(&state, &new.url)?;
    require_authorities(new.ca_pem.as_deref())?;
    if let Some(scope) = new.subscription.events.missing_scope(caller.scopes) {
        return Err(WebhookChangeError::MissingScope(scope).into());
    }
    let made = state.store.create_webhook(caller.reach(), new, caller.origin()).await?;
    let location = format!("/v1/webhooks/{}", made.webhook.id);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(shown(made))))
}

/// Get a webhook endpoint
#[utoipa::path(get, path = "/v1/webhooks/{id}", tag = "Webhooks", operation_id = "getWebhook",
    params(("id" = String, Path, description = "The endpoint's id.")),
    responses((status = 200, description = "The endpoint.", body = Webhook)))]
async fn get_webhook(
    State(state): State<AppState>,
    AuthorizedWithin { caller, .. }: AuthorizedWithin<WebhooksRead>,
    PathId(id): PathId<WebhookId>,
) -> Result<Json<Webhook>, ApiError> {
    let found = state.store.get_webhook(caller.reach(), id).await?;
    found.map(|webhook| Json(webhook.into())).ok_or_else(|| WebhookId::not_found(&id.to_string()))
}

/// Update a webhook endpoint
///
/// Changes the members that are present. To change `url`, `events` or `trunk_ids`, the key also needs the read scopes of the events. If host
/// or port of `url` changes, `headers` that are set must be given again, or removed with null. Disabling the endpoint holds pending and later events; after enabling it again, send
/// them with `recover`.
#[utoipa::path(patch, path = "/v1/webhooks/{id}", tag = "Webhooks", operation_id = "updateWebhook",
    request_body = UpdateWebhook,
    params(("id" = String, Path, description = "The endpoint's id.")),
    responses((status = 200, description = "The updated endpoint.", body = Webhook)))]
async fn update_webhook(
    State(state): State<AppState>,
    AuthorizedWithin { caller, .. }: AuthorizedWithin<WebhooksWrite>,
    PathId(id): PathId<WebhookId>,
    StrictJson(draft): StrictJson<UpdateWebhook>,
) -> Result<Json<Webhook>, ApiError> {
    let patch = WebhookPatchDraft::from(draft).check()?;
    if let Some(url) = &patch.url {
        require_webhook_url(&state, url)?;
    }
    if let Patch::Set(pem) = &patch.ca_pem {
        require_authorities(Some(pem))?;
    }
    let changed = state.store.update_webhook(caller.reach(), id, patch, caller.scopes, caller.origin()).await;
    Ok(Json(changed.map_err(change_error(id))?.into()))
}

/// Delete a webhook endpoint
///
/// Sends nothing more to it, and deletes its deliveries.
#[utoipa::path(delete, path = "/v1/webhooks/{id}", tag = "Webhooks", operation_id = "deleteWebhook",
    params(("id" = String, Path, description = "The endpoint's id.")),
    responses((status = 204, description = "The endpoint is deleted.")))]
async fn delete_webhook(
    State(state): State<AppState>,
    AuthorizedWithin { caller, .. }: AuthorizedWithin<WebhooksWrite>,
    PathId(id): PathId<WebhookId>,
) -> Result<StatusCode, ApiError> {
    state.store.delete_webhook(caller.reach(), id, caller.origin()).await.map_err(change_error(id))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Rotate the signing secret
///
/// The new secret is used immediately. Old secrets keep signing until their grace period ends, so a delivery then has several
/// signatures. At most 5 secrets of an endpoint sign at the same time; one more is refused with `TOO_MANY_SECRETS`, unless
/// `grace_seconds` is 0.
#[utoipa::path(post, path = "/v1/webhooks/{id}/rotate-secret", tag = "Webhooks",
    operation_id = "rotateWebhookSecret", request_body = Option<WebhookRotation>,
    params(("id" = String, Path, description = "The endpoint's id.")),
    responses(
        (status = 200, description = "The endpoint with its new secret. The secret is shown only here.", body = WebhookWithSecret),
        (status = 409, description = "`TOO_MANY_SECRETS`")))]
async fn rotate_webhook_secret(
    State(state): State<AppState>,
    AuthorizedWithin { caller, .. }: AuthorizedWithin<WebhooksWrite>,
    PathId(id): PathId<WebhookId>,
    OptionalJson(draft): OptionalJson<WebhookRotation>,
) -> Result<Json<WebhookWithSecret>, ApiError> {
    let grace = draft.grace_seconds.unwrap_or(DEFAULT_GRACE_SECONDS);
    if grace > MAX_GRACE_SECONDS {
        return Err(ApiError::invalid("grace_seconds", format!("must be 0 to {MAX_GRACE_SECONDS}")));
    }
    let rotated = state.store.rotate_webhook_secret(caller.reach(), id, grace, caller.origin()).await;
    Ok(Json(shown(rotated.map_err(change_error(id))?)))
}

/// Send a test event
///
/// Sends the event `webhook.test` to this endpoint only, whether or not it is subscribed to it.
#[utoipa::path(post, path = "/v1/webhooks/{id}/test", tag = "Webhooks", operation_id = "testWebhook",
    params(("id" = String, Path, description = "The endpoint's id.")),
    responses(
        (status = 202, description = "The delivery, which is being sent.", body = Delivery),
        (status = 409, description = "`WEBHOOK_DISABLED`")))]
async fn test_webhook(
    State(state): State<AppState>,
    AuthorizedWithin { caller, .. }: AuthorizedWithin<WebhooksWrite>,
    PathId(id): PathId<WebhookId>,
    OptionalJson(NoMembers {}): OptionalJson<NoMembers>,
) -> Result<impl IntoResponse, ApiError> {
    let delivery = state.store.test_webhook(caller.reach(), id, caller.origin()).await;
    Ok((StatusCode::ACCEPTED, Json(delivery_body(&delivery.map_err(change_error(id))?))))
}

/// Recover failed deliveries
///
/// Restarts every exhausted or held delivery of this endpoint for events since the given time.
#[utoipa::path(post, path = "/v1/webhooks/{id}/recover", tag = "Webhooks", operation_id = "recoverWebhook",
    request_body = WebhookRecovery,
    params(("id" = String, Path, description = "The endpoint's id.")),
    responses(
        (status = 200, description = "The number of restarted deliveries.", body = RecoveredDeliveries),
        (status = 409, description = "`WEBHOOK_DISABLED`")))]
async fn recover_webhook(
    State(state): State<AppState>,
    AuthorizedWithin { caller, .. }: AuthorizedWithin<WebhooksWrite>,
    PathId(id): PathId<WebhookId>,
    StrictJson(draft): StrictJson<WebhookRecovery>,
) -> Result<Json<RecoveredDeliveries>, ApiError> {
    let mut problems = Invalid::default();
    let since = problems.require("since", draft.since, |text| Timestamp::parse_rfc3339(&text));
    let since = since.ok_or(problems)?;
    let recovered = state.store.recover_deliveries(caller.reach(), id, since, caller.origin()).await;
    let telepath_store::RecoveredDeliveries { deliveries, more } = recovered.map_err(change_error(id))?;
    Ok(Json(RecoveredDeliveries { deliveries, more }))
}

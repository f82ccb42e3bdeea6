//! `/v1/webhooks`: endpoints that events are sent to. A shared secret is shown in the answer that made it and never again;
//! a URL is checked against what may be reached, here and again at every connection.

pub(crate) mod errors;

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use telepath_core::clock::Timestamp;
use telepath_core::id::{TrunkId, WebhookId};
use telepath_core::page::PageRequest;
use telepath_core::validation::Invalid;
use telepath_core::webhook::{
    DEFAULT_GRACE_SECONDS, DisabledReason, MAX_GRACE_SECONDS, Webhook, WebhookDraft, WebhookPatchDraft,
    WebhookStatus, WebhookUrl,
};
use telepath_egress::{EgressError, Security};
use telepath_store::{RecoveredDeliveries, WebhookWithSecret};
use utoipa::ToSchema;

use crate::auth::caller::{Authorized, WebhooksRead, WebhooksWrite};
use crate::endpoint::{Endpoints, endpoints};
use crate::error::ApiError;
use crate::extract::json::{NoMembers, OptionalJson, StrictJson};
use crate::extract::page::Pagination;
use crate::extract::path::{PathId, Resource as _};
use crate::extract::query::{QueryForm, QueryReader, StrictQuery};
use crate::resources::deliveries::DeliveryBody;
use crate::state::{AppState, Shared};
use errors::change_error;

/// How long a host name is looked up when a URL is saved. One that is not known by then is looked up when it is needed.
const LOOK_UP_WITHIN: Duration = Duration::from_secs(3);

pub(crate) fn endpoints() -> Endpoints {
    endpoints![list_webhooks, create_webhook => [MissingRequired], get_webhook, update_webhook, delete_webhook, rotate_webhook_secret, test_webhook, recover_webhook => [MissingRequired]]
}

/// A webhook endpoint, never with its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Webhook)]
struct WebhookBody {
    /// Its id.
    #[schema(value_type = String, example = "whk_01k9v1n2xrf6t8g3m5q7w9y0za")]
    id: WebhookId,
    /// Where events are sent.
    #[schema(example = "https://hooks.example/telepath")]
    url: String,
    /// What people say about it.
    description: Option<String>,
    /// Names of events, or just `*`.
    #[schema(value_type = Vec<String>, example = json!(["call.ended", "key.revoked"]))]
    events: Vec<&'static str>,
    /// Calls of these trunks only; empty means of all.
    #[schema(value_type = Vec<String>)]
    trunk_ids: Vec<TrunkId>,
    /// `v1` (HMAC-SHA-256) or `v1a` (Ed25519).
    #[schema(value_type = String, example = "v1")]
    signature: &'static str,
    /// For `v1a`: the keys to verify with, the newest first.
    public_keys: Vec<String>,
    /// Deliveries under way at once.
    #[schema(example = 10)]
    max_in_flight: u32,
    /// `active` or `disabled`.
    #[schema(value_type = String, example = "active")]
    status: &'static str,
    /// `requested`, `gone` (it answered 410) or `failing` (every attempt failed for five days).
    #[schema(value_type = Option<String>)]
    disabled_reason: Option<&'static str>,
    /// Since when every attempt has failed.
    #[schema(value_type = Option<String>, format = DateTime)]
    failing_since: Option<Timestamp>,
    /// How many have.
    failures: u32,
    /// When it will be disabled if nothing succeeds; there from half time on.
    #[schema(value_type = Option<String>, format = DateTime)]
    given_up_at: Option<Timestamp>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// An endpoint with a new secret.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookWithSecret)]
struct WebhookWithSecretBody {
    #[serde(flatten)]
    webhook: WebhookBody,
    /// For `v1`: the shared secret. Shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = Password, example = "whsec_…")]
    secret: Option<String>,
}

/// A page of endpoints.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookList)]
struct WebhookListBody {
    /// The newest first.
    webhooks: Vec<WebhookBody>,
    pagination: Pagination,
}

/// How long old secrets sign too.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookRotation)]
struct RotationDraft {
    /// 0–604800; a day when left out.
    grace_seconds: Option<u32>,
}

/// From when on.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookRecovery)]
struct RecoveryDraft {
    /// Events since this RFC 3339 date-time.
    since: Option<String>,
}

/// What is sent again.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RecoveredDeliveries)]
struct RecoveredBody {
    /// How many deliveries.
    deliveries: u64,
    /// Whether there may be more; then ask again.
    more: bool,
}

impl From<Webhook> for WebhookBody {
    fn from(webhook: Webhook) -> Self {
        Self {
            id: webhook.id,
            events: webhook.subscription.events.names(),
            trunk_ids: webhook.subscription.trunks,
            url: webhook.url.as_str().to_owned(),
            description: webhook.description,
            signature: webhook.scheme.name(),
            public_keys: webhook.public_keys,
            max_in_flight: webhook.max_in_flight,
            status: webhook.status.name(),
            disabled_reason: webhook.disabled_reason.map(DisabledReason::name),
            failing_since: webhook.health.failing_since,
            failures: webhook.health.failures,
            given_up_at: webhook.health.given_up_at(),
            created_at: webhook.created_at,
            updated_at: webhook.updated_at,
        }
    }
}

/// The one place where a shared secret leaves the server.
fn shown(made: WebhookWithSecret) -> WebhookWithSecretBody {
    let secret = made.secret.map(|secret| secret.expose().to_owned());
    WebhookWithSecretBody { webhook: made.webhook.into(), secret }
}

/// Refuses a URL that leads where nothing may be sent. A name that is not known now may be known when it is needed, and
/// is judged then.
async fn require_reachable(shared: &Shared, url: &WebhookUrl) -> Result<(), ApiError> {
    let check = shared.options.egress.check(url.host(), url.port(), Security::Tls);
    match tokio::time::timeout(LOOK_UP_WITHIN, check).await {
        Err(_) | Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => match error {
            EgressError::Refused(_) | EgressError::Plain | EgressError::Name | EgressError::OtherPeer => {
                Err(Invalid::one("url", format!("cannot be used: {error}")).into())
            }
            EgressError::Resolve(_)
            | EgressError::Connect(_)
            | EgressError::NoRoots
            | EgressError::Tls(_) => Ok(()),
        },
    }
}

/// Which endpoints a list shows.
struct WebhookQuery {
    status: Option<WebhookStatus>,
    page: PageRequest,
}

impl QueryForm for WebhookQuery {
    fn read(query: &mut QueryReader) -> Self {
        let names = WebhookStatus::ALL.iter().map(|status| status.name());
        Self { status: query.choice("status", WebhookStatus::from_name, names), page: query.page() }
    }
}

/// List webhook endpoints
#[utoipa::path(get, path = "/v1/webhooks", tag = "Webhooks", operation_id = "listWebhooks",
    params(
        ("status" = Option<String>, Query, description = "`active` or `disabled`."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "Endpoints per page; default 20."),
        ("offset" = Option<u32>, Query, description = "Endpoints to skip.")),
    responses((status = 200, description = "A page of endpoints.", body = WebhookListBody)))]
async fn list_webhooks(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<WebhooksRead>,
    StrictQuery(query): StrictQuery<WebhookQuery>,
) -> Result<Json<WebhookListBody>, ApiError> {
    let page = state.store.list_webhooks(caller.account, query.status, query.page).await?;
    let pagination = Pagination::of(query.page, page.total);
    Ok(Json(WebhookListBody {
        webhooks: page.items.into_iter().map(WebhookBody::from).collect(),
        pagination,
    }))
}

/// Create a webhook endpoint
#[utoipa::path(post, path = "/v1/webhooks", tag = "Webhooks", operation_id = "createWebhook",
    request_body = WebhookDraft,
    responses(
        (status = 201, description = "The endpoint, with its shared secret if it has one.", body = WebhookWithSecretBody),
        (status = 409, description = "`WEBHOOK_LIMIT_REACHED`")))]
async fn create_webhook(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<WebhooksWrite>,
    StrictJson(draft): StrictJson<WebhookDraft>,
) -> Result<impl IntoResponse, ApiError> {
    let new = draft.check()?;
    require_reachable(&state, &new.url).await?;
    let made = state.store.create_webhook(caller.account, new, caller.origin()).await?;
    let location = format!("/v1/webhooks/{}", made.webhook.id);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(shown(made))))
}

/// Get a webhook endpoint
#[utoipa::path(get, path = "/v1/webhooks/{id}", tag = "Webhooks", operation_id = "getWebhook",
    params(("id" = String, Path, description = "The endpoint's id.")),
    responses((status = 200, description = "The endpoint.", body = WebhookBody)))]
async fn get_webhook(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<WebhooksRead>,
    PathId(id): PathId<WebhookId>,
) -> Result<Json<WebhookBody>, ApiError> {
    let found = state.store.get_webhook(caller.account, id).await?;
    found.map(|webhook| Json(webhook.into())).ok_or_else(|| WebhookId::not_found(&id.to_string()))
}

/// Update a webhook endpoint
///
/// Changes the members that are present. Disabling the endpoint holds pending and later events; after enabling it again, send
/// them with `recover`.
#[utoipa::path(patch, path = "/v1/webhooks/{id}", tag = "Webhooks", operation_id = "updateWebhook",
    request_body = WebhookPatchDraft,
    params(("id" = String, Path, description = "The endpoint's id.")),
    responses((status = 200, description = "The updated endpoint.", body = WebhookBody)))]
async fn update_webhook(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<WebhooksWrite>,
    PathId(id): PathId<WebhookId>,
    StrictJson(draft): StrictJson<WebhookPatchDraft>,
) -> Result<Json<WebhookBody>, ApiError> {
    let patch = draft.check()?;
    if let Some(url) = &patch.url {
        require_reachable(&state, url).await?;
    }
    let changed = state.store.update_webhook(caller.account, id, patch, caller.origin()).await;
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
    Authorized { caller, .. }: Authorized<WebhooksWrite>,
    PathId(id): PathId<WebhookId>,
) -> Result<StatusCode, ApiError> {
    state.store.delete_webhook(caller.account, id, caller.origin()).await.map_err(change_error(id))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Rotate the signing secret
///
/// The new secret is used immediately. Old secrets keep signing until their grace period ends, so a delivery then has several
/// signatures.
#[utoipa::path(post, path = "/v1/webhooks/{id}/rotate-secret", tag = "Webhooks",
    operation_id = "rotateWebhookSecret", request_body = Option<RotationDraft>,
    params(("id" = String, Path, description = "The endpoint's id.")),
    responses((status = 200, description = "The endpoint with its new secret. The secret is shown only here.", body = WebhookWithSecretBody)))]
async fn rotate_webhook_secret(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<WebhooksWrite>,
    PathId(id): PathId<WebhookId>,
    OptionalJson(draft): OptionalJson<RotationDraft>,
) -> Result<Json<WebhookWithSecretBody>, ApiError> {
    let grace = draft.grace_seconds.unwrap_or(DEFAULT_GRACE_SECONDS);
    if grace > MAX_GRACE_SECONDS {
        return Err(ApiError::invalid("grace_seconds", format!("must be 0 to {MAX_GRACE_SECONDS}")));
    }
    let rotated = state.store.rotate_webhook_secret(caller.account, id, grace, caller.origin()).await;
    Ok(Json(shown(rotated.map_err(change_error(id))?)))
}

/// Send a test event
///
/// Sends the event `webhook.test` to this endpoint only, whatever it is subscribed to.
#[utoipa::path(post, path = "/v1/webhooks/{id}/test", tag = "Webhooks", operation_id = "testWebhook",
    params(("id" = String, Path, description = "The endpoint's id.")),
    responses(
        (status = 202, description = "The delivery, which is being sent.", body = DeliveryBody),
        (status = 409, description = "`WEBHOOK_DISABLED`")))]
async fn test_webhook(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<WebhooksWrite>,
    PathId(id): PathId<WebhookId>,
    OptionalJson(NoMembers {}): OptionalJson<NoMembers>,
) -> Result<impl IntoResponse, ApiError> {
    let delivery = state.store.test_webhook(caller.account, id, caller.origin()).await;
    Ok((StatusCode::ACCEPTED, Json(DeliveryBody::from(delivery.map_err(change_error(id))?))))
}

/// Recover failed deliveries
///
/// Restarts every exhausted or held delivery of this endpoint for events since the given time.
#[utoipa::path(post, path = "/v1/webhooks/{id}/recover", tag = "Webhooks", operation_id = "recoverWebhook",
    request_body = RecoveryDraft,
    params(("id" = String, Path, description = "The endpoint's id.")),
    responses(
        (status = 200, description = "The number of restarted deliveries.", body = RecoveredBody),
        (status = 409, description = "`WEBHOOK_DISABLED`")))]
async fn recover_webhook(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<WebhooksWrite>,
    PathId(id): PathId<WebhookId>,
    StrictJson(draft): StrictJson<RecoveryDraft>,
) -> Result<Json<RecoveredBody>, ApiError> {
    let mut problems = Invalid::default();
    let since = problems.require("since", draft.since, |text| Timestamp::parse_rfc3339(&text));
    let since = since.ok_or(problems)?;
    let recovered = state.store.recover_deliveries(caller.account, id, since, caller.origin()).await;
    let RecoveredDeliveries { deliveries, more } = recovered.map_err(change_error(id))?;
    Ok(Json(RecoveredBody { deliveries, more }))
}

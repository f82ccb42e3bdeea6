//! `/v1/keys`: making, showing, changing and withdrawing API keys. A secret is shown once, in the answer that made it; a
//! key never hands out more rights than it has.

use std::net::IpAddr;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use telepath_core::account::Account;
use telepath_core::address::NetworkList;
use telepath_core::clock::Timestamp;
use telepath_core::error::ErrorCode;
use telepath_core::id::{KeyId, SecretId};
use telepath_core::key::{
    KeyDraft, KeyFilter, KeyPatchDraft, KeyRecord, KeyStatus, LastUse, Preset, SecretRecord,
};
use telepath_core::page::PageRequest;
use telepath_core::scope::{Scope, ScopeSet};
use telepath_core::validation::{Invalid, bounded_text};
use telepath_store::{CreatedKey, KeyChangeError};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::{AppState, Shared};
use crate::auth::caller::{Authorized, Caller, KeysRead, KeysWrite};
use crate::error::ApiError;
use crate::json::{OptionalJson, StrictJson};
use crate::page::Pagination;
use crate::path::{PathId, Resource as _};
use crate::query::{QueryForm, QueryReader, StrictQuery};

pub(crate) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list_keys, create_key))
        .routes(routes!(get_key, update_key, delete_key))
        .routes(routes!(revoke_key))
}

/// An API key, never with its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Key)]
struct KeyBody {
    /// Its id.
    #[schema(value_type = String, example = "key_01k9v1n2xrf6t8g3m5q7w9y0za")]
    id: KeyId,
    /// What people call it.
    #[schema(example = "Production")]
    name: String,
    /// The bundle it was made from.
    #[schema(value_type = String, example = "production")]
    preset: &'static str,
    /// What it may do.
    #[schema(value_type = Vec<String>, example = json!(["trunks:read", "trunks:write"]))]
    scopes: Vec<&'static str>,
    /// Requests per minute.
    #[schema(example = 6000)]
    rate_limit_per_minute: u32,
    /// Networks from which it may be used; empty means from everywhere.
    #[schema(example = json!(["203.0.113.0/24"]))]
    allowed_ips: Vec<String>,
    /// When it stops to work; null when never.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// Before when it does not work yet; null when there is no such time.
    #[schema(value_type = Option<String>, format = DateTime)]
    not_before: Option<Timestamp>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// By whom: a key's or a user's id, `local` or `system`.
    #[schema(example = "local")]
    created_by: String,
    /// When it was last used; at most a second late.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
    /// From where it was last used.
    #[schema(value_type = Option<String>, example = "203.0.113.7")]
    last_used_ip: Option<IpAddr>,
    /// Requests so far, whatever their answer.
    request_count: u64,
    /// Requests that were answered with 4xx or 5xx.
    error_count: u64,
    /// `active`, `expiring`, `expired` or `revoked`.
    #[schema(value_type = String, example = "active")]
    status: &'static str,
    /// When it was revoked.
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<Timestamp>,
    /// By whom it was revoked.
    revoked_by: Option<String>,
    /// Why it was revoked.
    revoke_reason: Option<String>,
    /// Its secrets, the newest first, never in full.
    secrets: Vec<SecretBody>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KeySecret)]
struct SecretBody {
    /// Its id.
    #[schema(value_type = String, example = "sec_01k9v1n2xrf6t8g3m5q7w9y0za")]
    id: SecretId,
    /// Its first three and last four characters.
    #[schema(example = "sk_live_AbC…wxyz")]
    masked: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it stops to work although the key goes on.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// When it was last used.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
    /// From where it was last used.
    #[schema(value_type = Option<String>)]
    last_used_ip: Option<IpAddr>,
}

/// A new key with its secret.
#[derive(Serialize, ToSchema)]
#[schema(as = CreatedKey)]
struct CreatedKeyBody {
    #[serde(flatten)]
    key: KeyBody,
    /// The key to send as `Authorization: Bearer …`. Shown this once.
    #[schema(example = "sk_live_…")]
    secret: String,
}

/// A page of keys.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KeyList)]
struct KeyListBody {
    /// The newest first.
    keys: Vec<KeyBody>,
    pagination: Pagination,
}

/// Why a key is revoked.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RevokeKey)]
struct RevokeDraft {
    /// For those who read the audit trail, 1–500 characters.
    reason: Option<String>,
}

fn used(last: Option<LastUse>) -> (Option<Timestamp>, Option<IpAddr>) {
    (last.map(|last| last.at), last.map(|last| last.address))
}

pub(crate) fn scope_names(scopes: ScopeSet) -> Vec<&'static str> {
    scopes.iter().map(Scope::name).collect()
}

pub(crate) fn network_texts(networks: &NetworkList) -> Vec<String> {
    networks.iter().map(ToString::to_string).collect()
}

impl KeyBody {
    fn new(key: KeyRecord, now: Timestamp) -> Self {
        let status = key.status(now).name();
        let (last_used_at, last_used_ip) = used(key.last_use);
        let (revoked_at, revoked_by, revoke_reason) = match key.revocation {
            Some(end) => (Some(end.at), Some(end.by.to_string()), end.reason),
            None => (None, None, None),
        };
        Self {
            id: key.id,
            name: key.name,
            preset: key.preset.name(),
            scopes: scope_names(key.scopes),
            rate_limit_per_minute: key.rate_limit.get(),
            allowed_ips: network_texts(&key.allowed_ips),
            expires_at: key.expires_at,
            not_before: key.not_before,
            created_at: key.created_at,
            created_by: key.created_by.to_string(),
            last_used_at,
            last_used_ip,
            request_count: key.request_count,
            error_count: key.error_count,
            status,
            revoked_at,
            revoked_by,
            revoke_reason,
            secrets: key.secrets.into_iter().map(SecretBody::from).collect(),
        }
    }
}

impl From<SecretRecord> for SecretBody {
    fn from(secret: SecretRecord) -> Self {
        let (last_used_at, last_used_ip) = used(secret.last_use);
        Self {
            id: secret.id,
            masked: secret.mask.as_str().to_owned(),
            created_at: secret.created_at,
            expires_at: secret.expires_at,
            last_used_at,
            last_used_ip,
        }
    }
}

/// Which keys a list shows.
struct KeyQuery {
    filter: KeyFilter,
    page: PageRequest,
}

impl QueryForm for KeyQuery {
    fn read(query: &mut QueryReader) -> Self {
        let filter = KeyFilter {
            status: query.choice("status", KeyStatus::from_name, KeyStatus::ALL.iter().map(|s| s.name())),
            preset: query.choice("preset", Preset::from_name, Preset::ALL.iter().map(|p| p.name())),
            idle_days: query.number("idle_days"),
            expires_before: query.take("expires_before", Timestamp::parse_rfc3339),
        };
        Self { filter, page: query.page() }
    }
}

impl From<KeyChangeError> for ApiError {
    fn from(error: KeyChangeError) -> Self {
        match error {
            // Handlers that know the id name it; see `change_error`.
            KeyChangeError::NotFound => ApiError::of(ErrorCode::KeyNotFound),
            KeyChangeError::Escalation => ApiError::new(
                ErrorCode::InsufficientScope,
                "The key has or would get more rights than the key that makes this request",
            ),
            KeyChangeError::Revoked => {
                ApiError::invalid("id", "names a revoked key, which cannot be changed")
            }
            KeyChangeError::Store(error) => error.into(),
        }
    }
}

fn change_error(id: KeyId) -> impl FnOnce(KeyChangeError) -> ApiError {
    move |error| match error {
        KeyChangeError::NotFound => KeyId::not_found(&id.to_string()),
        KeyChangeError::Escalation | KeyChangeError::Revoked | KeyChangeError::Store(_) => error.into(),
    }
}

/// The caller's account, against whose bounds drafts are checked.
pub(crate) async fn account_of(shared: &Shared, caller: &Caller) -> Result<Account, ApiError> {
    let account = shared.store.account(caller.account).await?;
    account.ok_or_else(|| ApiError::internal(format!("account {} is gone", caller.account)))
}

/// Make a key
#[utoipa::path(post, path = "/v1/keys", tag = "Keys", operation_id = "createKey", request_body = KeyDraft,
    responses((status = 201, description = "The key, with its secret shown this once.", body = CreatedKeyBody)))]
async fn create_key(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<KeysWrite>,
    StrictJson(draft): StrictJson<KeyDraft>,
) -> Result<impl IntoResponse, ApiError> {
    let account = account_of(&state, &caller).await?;
    let new = draft.check(&account, caller.giver(), caller.at)?;
    let CreatedKey { record, secret } = state.store.create_key(caller.account, new, caller.origin()).await?;
    let location = format!("/v1/keys/{}", record.id);
    let body =
        CreatedKeyBody { key: KeyBody::new(record, caller.at), secret: secret.reveal().expose().to_owned() };
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(body)))
}

/// List keys
#[utoipa::path(get, path = "/v1/keys", tag = "Keys", operation_id = "listKeys",
    params(
        ("status" = Option<String>, Query, description = "`active`, `expiring`, `expired` or `revoked`."),
        ("preset" = Option<String>, Query, description = "The bundle that keys were made from."),
        ("idle_days" = Option<u32>, Query, description = "Only keys not used for this many days."),
        ("expires_before" = Option<String>, Query, description = "Only keys that expire before this moment."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "Keys per page; 20 when left out."),
        ("offset" = Option<u32>, Query, description = "Keys to pass over.")),
    responses((status = 200, description = "A page of keys.", body = KeyListBody)))]
async fn list_keys(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<KeysRead>,
    StrictQuery(query): StrictQuery<KeyQuery>,
) -> Result<Json<KeyListBody>, ApiError> {
    let page = state.store.list_keys(caller.account, query.filter, query.page).await?;
    let pagination = Pagination::of(query.page, page.total);
    let keys = page.items.into_iter().map(|key| KeyBody::new(key, caller.at)).collect();
    Ok(Json(KeyListBody { keys, pagination }))
}

/// Show a key
#[utoipa::path(get, path = "/v1/keys/{id}", tag = "Keys", operation_id = "getKey",
    params(("id" = String, Path, description = "The key's id.")),
    responses((status = 200, description = "The key.", body = KeyBody)))]
async fn get_key(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<KeysRead>,
    PathId(id): PathId<KeyId>,
) -> Result<Json<KeyBody>, ApiError> {
    let record = state.store.get_key(caller.account, id).await?;
    let record = record.ok_or_else(|| KeyId::not_found(&id.to_string()))?;
    Ok(Json(KeyBody::new(record, caller.at)))
}

/// Change a key
///
/// Takes effect before the answer: no later request is admitted by the old rights, limit, addresses or expiry.
#[utoipa::path(patch, path = "/v1/keys/{id}", tag = "Keys", operation_id = "updateKey", request_body = KeyPatchDraft,
    params(("id" = String, Path, description = "The key's id.")),
    responses((status = 200, description = "The key as it is now.", body = KeyBody)))]
async fn update_key(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<KeysWrite>,
    PathId(id): PathId<KeyId>,
    StrictJson(draft): StrictJson<KeyPatchDraft>,
) -> Result<Json<KeyBody>, ApiError> {
    let account = account_of(&state, &caller).await?;
    let patch = draft.check(&account, caller.giver(), caller.at)?;
    let changed = state.store.update_key(caller.account, id, patch, caller.giver(), caller.origin()).await;
    Ok(Json(KeyBody::new(changed.map_err(change_error(id))?, caller.at)))
}

/// Revoke a key
///
/// At once and for good: once this is answered, no request with the key is admitted. Revoking again changes nothing.
#[utoipa::path(post, path = "/v1/keys/{id}/revoke", tag = "Keys", operation_id = "revokeKey",
    request_body(content = Option<RevokeDraft>),
    params(("id" = String, Path, description = "The key's id.")),
    responses((status = 200, description = "The revoked key.", body = KeyBody)))]
async fn revoke_key(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<KeysWrite>,
    PathId(id): PathId<KeyId>,
    OptionalJson(draft): OptionalJson<RevokeDraft>,
) -> Result<Json<KeyBody>, ApiError> {
    let mut problems = Invalid::default();
    let reason = problems.optional("reason", draft.reason, |text| bounded_text(text, 1, 500, &['\n', '\t']));
    if !problems.is_empty() {
        return Err(problems.into());
    }
    let record = revoke(&state, &caller, id, reason).await?;
    Ok(Json(KeyBody::new(record, caller.at)))
}

/// Revoke a key without a reason
///
/// The same as revoking it: the key stays visible as `revoked`, because its history does.
#[utoipa::path(delete, path = "/v1/keys/{id}", tag = "Keys", operation_id = "deleteKey",
    params(("id" = String, Path, description = "The key's id.")),
    responses((status = 204, description = "The key is revoked.")))]
async fn delete_key(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<KeysWrite>,
    PathId(id): PathId<KeyId>,
) -> Result<StatusCode, ApiError> {
    revoke(&state, &caller, id, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn revoke(
    shared: &Shared,
    caller: &Caller,
    id: KeyId,
    reason: Option<String>,
) -> Result<KeyRecord, ApiError> {
    let revoked = shared.store.revoke_key(caller.account, id, reason, caller.giver(), caller.origin()).await;
    revoked.map_err(change_error(id))
}

//! `/v1/keys`: create, list, update and revoke API keys. A secret is shown once, in the response that creates it. A key never
//! grants more rights than it has.

mod rotation;
mod usage;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::IntoResponse;
use telepath_api_types::enums;
use telepath_api_types::keys::{CreateKey, CreatedKey, Key, KeyList, RevokeKey, UpdateKey};
use telepath_core::clock::Timestamp;
use telepath_core::error::ErrorCode;
use telepath_core::id::KeyId;
use telepath_core::key::{self, KeyFilter, KeyRecord, KeySort, KeyStatus, Preset};
use telepath_core::page::{Page, PageRequest};
use telepath_core::validation::{Invalid, bounded_text};
use telepath_store::KeyChangeError;

use crate::auth::caller::{AuthorizedWithin, Caller, KeysRead, KeysWrite};
use crate::endpoint::{Endpoints, endpoints};
use crate::error::ApiError;
use crate::extract::json::{NoMembers, OptionalJson, StrictJson};
use crate::extract::path::{PathId, Resource as _};
use crate::extract::query::{QueryForm, QueryReader, StrictQuery};
use crate::resources::account::account_of;
use crate::state::{AppState, Shared};

pub(crate) fn endpoints() -> Endpoints {
    endpoints![list_keys, create_key => [MissingRequired, LimitReached], get_key, update_key, delete_key, revoke_key, pause_key, resume_key]
        .merge(rotation::endpoints())
        .merge(usage::endpoints())
}

/// The maximum length of a search text in bytes.
const MAX_SEARCH_BYTES: usize = 400;

/// Which keys a list shows.
struct KeyQuery {
    filter: KeyFilter,
    page: PageRequest,
}

impl QueryForm for KeyQuery {
    fn read(query: &mut QueryReader) -> Self {
        let (sort, ascending) = query.choice("sort", KeySort::parse, key::KEY_SORTS).unwrap_or_default();
        let filter = KeyFilter {
            status: query.choice("status", KeyStatus::from_name, KeyStatus::ALL.iter().map(|s| s.name())),
            ended: None,
            preset: query.choice("preset", Preset::from_name, Preset::ALL.iter().map(|p| p.name())),
            idle_days: query.number("idle_days"),
            expires_before: query.take("expires_before", Timestamp::parse_rfc3339),
            never_expires: query.choice("never_expires", |text| text.parse().ok(), ["true", "false"]),
            search: query.text("q", MAX_SEARCH_BYTES),
            sort,
            ascending,
        };
        Self { filter, page: query.page::<KeyId>(Some(sort.key())) }
    }
}

impl From<KeyChangeError> for ApiError {
    fn from(error: KeyChangeError) -> Self {
        match error {
            // Handlers that know the id name it; see `change_error`.
            KeyChangeError::NotFound => ApiError::of(ErrorCode::KeyNotFound),
            KeyChangeError::SecretNotFound => ApiError::of(ErrorCode::SecretNotFound),
            KeyChangeError::Escalation(why) => ApiError::new(ErrorCode::InsufficientScope, why.to_string()),
            KeyChangeError::Beyond(problems) => problems.into(),
            KeyChangeError::Revoked => {
                ApiError::invalid("id", "names a revoked key, which cannot be changed")
            }
            KeyChangeError::Expired => {
                ApiError::invalid("id", "names an expired key; give it a later expires_at first")
            }
            KeyChangeError::CurrentSecret => ApiError::of(ErrorCode::SecretIsCurrent),
            KeyChangeError::TooManySecrets => ApiError::of(ErrorCode::TooManySecrets),
            KeyChangeError::Store(error) => error.into(),
        }
    }
}

fn change_error(id: KeyId) -> impl FnOnce(KeyChangeError) -> ApiError {
    move |error| match error {
        KeyChangeError::NotFound => KeyId::not_found(&id.to_string()),
        KeyChangeError::SecretNotFound
        | KeyChangeError::Escalation(_)
        | KeyChangeError::Beyond(_)
        | KeyChangeError::Revoked
        | KeyChangeError::Expired
        | KeyChangeError::CurrentSecret
        | KeyChangeError::TooManySecrets
        | KeyChangeError::Store(_) => error.into(),
    }
}

/// The one place where a secret leaves the server.
fn with_secret(created: &telepath_store::CreatedKey, now: Timestamp) -> CreatedKey {
    CreatedKey { key: Key::new(created.record.clone(), now), secret: Some(created.secret.reveal()) }
}

/// Create a key
#[utoipa::path(post, path = "/v1/keys", tag = "Keys", operation_id = "createKey", request_body = CreateKey,
    responses((status = 201, description = "The key with its secret. The secret is shown only here.", body = CreatedKey)))]
async fn create_key(
    State(state): State<AppState>,
    AuthorizedWithin { caller, .. }: AuthorizedWithin<KeysWrite>,
    StrictJson(draft): StrictJson<CreateKey>,
) -> Result<impl IntoResponse, ApiError> {
    let account = account_of(&state, &caller).await?;
    let authority = state.store.authority(caller.account, caller.origin()).await?;
    let presets = state.store.presets(caller.account).await?;
    let new = key::KeyDraft::from(draft).check(&account, &presets, &authority, caller.at)?;
    let created = state.store.create_key(caller.account, new, caller.origin()).await?;
    let location = format!("/v1/keys/{}", created.record.id);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(with_secret(&created, caller.at))))
}

/// List keys
#[utoipa::path(get, path = "/v1/keys", tag = "Keys", operation_id = "listKeys",
    params(
        ("status" = inline(Option<enums::KeyStatus>), Query, description = "`scheduled`, `active`, `paused`, `expiring`, `expired` or `revoked`."),
        ("preset" = inline(Option<enums::Preset>), Query, description = "Only keys created from this preset."),
        ("idle_days" = Option<u32>, Query, description = "Only keys not used for this many days."),
        ("expires_before" = Option<String>, Query, description = "Only keys that expire before this time."),
        ("never_expires" = Option<bool>, Query, description = "Only keys that never expire, or only those that do."),
        ("q" = Option<String>, Query, description = "Only keys with this text in their name (ignoring the case of ASCII letters), with this id, with a secret that ends in these four characters, or used from this address."),
        ("sort" = inline(Option<enums::KeySort>), Query, description = "`name`, `created_at`, `last_used_at`, `request_count` or `expires_at`; a leading `-` sorts the largest or newest first. Default `-created_at`. Keys without a value come last. Sorting by anything but creation may repeat or miss keys that change while you page."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "Keys per page; default 20."),
        ("offset" = Option<u32>, Query, description = "Keys to skip."),
        ("cursor" = Option<String>, Query, description = "`pagination.next_cursor` of the previous page, with the same filters and sort; replaces `offset`.")),
    responses((status = 200, description = "A page of keys.", body = KeyList)))]
async fn list_keys(
    State(state): State<AppState>,
    AuthorizedWithin { caller, .. }: AuthorizedWithin<KeysRead>,
    StrictQuery(query): StrictQuery<KeyQuery>,
) -> Result<Json<KeyList>, ApiError> {
    let Page { items, position } = state.store.list_keys(caller.reach(), query.filter, query.page).await?;
    let keys = items.into_iter().map(|key| Key::new(key, caller.at)).collect();
    Ok(Json(KeyList { keys, pagination: position.into() }))
}

/// Get a key
#[utoipa::path(get, path = "/v1/keys/{id}", tag = "Keys", operation_id = "getKey",
    params(("id" = String, Path, description = "The key's id.")),
    responses((status = 200, description = "The key.", body = Key)))]
async fn get_key(
    State(state): State<AppState>,
    AuthorizedWithin { caller, .. }: AuthorizedWithin<KeysRead>,
    PathId(id): PathId<KeyId>,
) -> Result<Json<Key>, ApiError> {
    let record = state.store.get_key(caller.reach(), id).await?;
    let record = record.ok_or_else(|| KeyId::not_found(&id.to_string()))?;
    Ok(Json(Key::new(record, caller.at)))
}

/// Update a key
///
/// Takes effect before the response: no later request is admitted with the old scopes, limit, addresses or expiry.
#[utoipa::path(patch, path = "/v1/keys/{id}", tag = "Keys", operation_id = "updateKey", request_body = UpdateKey,
    params(("id" = String, Path, description = "The key's id.")),
    responses((status = 200, description = "The updated key.", body = Key)))]
async fn update_key(
    State(state): State<AppState>,
    AuthorizedWithin { caller, .. }: AuthorizedWithin<KeysWrite>,
    PathId(id): PathId<KeyId>,
    StrictJson(draft): StrictJson<UpdateKey>,
) -> Result<Json<Key>, ApiError> {
    let account = account_of(&state, &caller).await?;
    let patch = key::KeyPatchDraft::from(draft).check(&account, caller.at)?;
    let changed = state.store.update_key(caller.account, id, patch, caller.origin()).await;
    Ok(Json(Key::new(changed.map_err(change_error(id))?, caller.at)))
}

/// Revoke a key
///
/// Takes effect before the response and cannot be undone: no later request with the key is admitted. Revoking a revoked key changes
/// nothing.
#[utoipa::path(post, path = "/v1/keys/{id}/revoke", tag = "Keys", operation_id = "revokeKey",
    request_body(content = Option<RevokeKey>),
    params(("id" = String, Path, description = "The key's id.")),
    responses((status = 200, description = "The revoked key.", body = Key)))]
async fn revoke_key(
    State(state): State<AppState>,
    AuthorizedWithin { caller, .. }: AuthorizedWithin<KeysWrite>,
    PathId(id): PathId<KeyId>,
    OptionalJson(draft): OptionalJson<RevokeKey>,
) -> Result<Json<Key>, ApiError> {
    let mut problems = Invalid::default();
    let reason = problems.optional("reason", draft.reason, |text| bounded_text(text, 1, 500, &['\n', '\t']));
    if !problems.is_empty() {
        return Err(problems.into());
    }
    let record = revoke(&state, &caller, id, reason).await?;
    Ok(Json(Key::new(record, caller.at)))
}

/// Pause a key
///
/// Takes effect before the response, like a revocation, and can be undone: until the key is resumed, its requests get
/// `INVALID_API_KEY`. Pausing a paused key changes nothing.
#[utoipa::path(post, path = "/v1/keys/{id}/pause", tag = "Keys", operation_id = "pauseKey",
    params(("id" = String, Path, description = "The key's id.")),
    responses((status = 200, description = "The paused key.", body = Key)))]
async fn pause_key(
    State(state): State<AppState>,
    AuthorizedWithin { caller, .. }: AuthorizedWithin<KeysWrite>,
    PathId(id): PathId<KeyId>,
    OptionalJson(NoMembers {}): OptionalJson<NoMembers>,
) -> Result<Json<Key>, ApiError> {
    let paused = state.store.pause_key(caller.account, id, caller.origin()).await;
    Ok(Json(Key::new(paused.map_err(change_error(id))?, caller.at)))
}

/// Resume a paused key
///
/// The caller needs every right of the key. Resuming a key that is not paused changes nothing.
#[utoipa::path(post, path = "/v1/keys/{id}/resume", tag = "Keys", operation_id = "resumeKey",
    params(("id" = String, Path, description = "The key's id.")),
    responses((status = 200, description = "The resumed key.", body = Key)))]
async fn resume_key(
    State(state): State<AppState>,
    AuthorizedWithin { caller, .. }: AuthorizedWithin<KeysWrite>,
    PathId(id): PathId<KeyId>,
    OptionalJson(NoMembers {}): OptionalJson<NoMembers>,
) -> Result<Json<Key>, ApiError> {
    let resumed = state.store.resume_key(caller.account, id, caller.origin()).await;
    Ok(Json(Key::new(resumed.map_err(change_error(id))?, caller.at)))
}

/// Revoke a key without a reason
///
/// Like revoke: the key stays visible with the status `revoked`, because its history does.
#[utoipa::path(delete, path = "/v1/keys/{id}", tag = "Keys", operation_id = "deleteKey",
    params(("id" = String, Path, description = "The key's id.")),
    responses((status = 204, description = "The key is revoked.")))]
async fn delete_key(
    State(state): State<AppState>,
    AuthorizedWithin { caller, .. }: AuthorizedWithin<KeysWrite>,
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
    let revoked = shared.store.revoke_key(caller.account, id, reason, caller.origin()).await;
    revoked.map_err(change_error(id))
}

//! `/local/keyring`: the master keys of the installation, for local administration only.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use telepath_api_types::keyring::{Keyring, KeyringChange, RotateMasterKey};
use telepath_core::error::ErrorCode;
use telepath_core::validation::Invalid;
use telepath_core::vault::{InvalidSealingKeyId, SealingKeyId};
use telepath_store::KeyringError;

use crate::auth::caller::LocalAdministration;
use crate::endpoint::{Endpoints, endpoints};
use crate::error::ApiError;
use crate::extract::json::OptionalJson;
use crate::state::AppState;

pub(crate) fn endpoints() -> Endpoints {
    endpoints![
        show_keyring,
        add_master_key => [KeyringConflict],
        rotate_master_key => [KeyringConflict],
        prune_master_keys => [KeyringConflict],
    ]
}

impl From<KeyringError> for ApiError {
    fn from(error: KeyringError) -> Self {
        match error {
            KeyringError::Configured
            | KeyringError::File(_)
            | KeyringError::TooMany
            | KeyringError::NotLoaded(_)
            | KeyringError::MissingOnServer { .. }
            | KeyringError::Resealing => {
                Self::new(ErrorCode::KeyringConflict, capitalized(&error.to_string()))
            }
            KeyringError::Store(error) => error.into(),
        }
    }
}

fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

/// Show the master keys
#[utoipa::path(get, path = "/local/keyring", tag = "Account", operation_id = "showKeyring",
    responses((status = 200, description = "The master keys, and what each has sealed.", body = Keyring)))]
async fn show_keyring(
    State(state): State<AppState>,
    LocalAdministration { .. }: LocalAdministration,
) -> Result<Json<Keyring>, ApiError> {
    Ok(Json(state.store.keyring_status().await?.into()))
}

/// Add a new master key
///
/// The server generates it, adds it to `master.key` in its data folder, and loads it. It seals nothing before it is activated.
#[utoipa::path(post, path = "/local/keyring/keys", tag = "Account", operation_id = "addMasterKey",
    responses((status = 201, description = "The master keys with the new one.", body = KeyringChange)))]
async fn add_master_key(
    State(state): State<AppState>,
    LocalAdministration { caller }: LocalAdministration,
) -> Result<(StatusCode, Json<KeyringChange>), ApiError> {
    let change = state.store.add_master_key(caller.account, caller.origin()).await?;
    Ok((StatusCode::CREATED, Json(change.into())))
}

/// Activate another master key
///
/// Every server must have loaded it. From now on everything is sealed with it, and what other keys have sealed is sealed again
/// in the background.
#[utoipa::path(post, path = "/local/keyring/rotate", tag = "Account", operation_id = "rotateMasterKey",
    request_body = Option<RotateMasterKey>,
    responses((status = 200, description = "The master keys after the activation.", body = KeyringChange)))]
async fn rotate_master_key(
    State(state): State<AppState>,
    LocalAdministration { caller }: LocalAdministration,
    OptionalJson(request): OptionalJson<RotateMasterKey>,
) -> Result<Json<KeyringChange>, ApiError> {
    let parsed = request.key.map(|key| key.parse::<SealingKeyId>()).transpose();
    let key = parsed.map_err(|problem: InvalidSealingKeyId| Invalid::one("key", problem.to_string()))?;
    Ok(Json(state.store.rotate_master_key(caller.account, key, caller.origin()).await?.into()))
}

/// Remove the master keys that were replaced and seal nothing
///
/// They are removed from `master.key` in the data folder of this server, and unloaded.
#[utoipa::path(post, path = "/local/keyring/prune", tag = "Account", operation_id = "pruneMasterKeys",
    responses((status = 200, description = "The master keys that are left.", body = KeyringChange)))]
async fn prune_master_keys(
    State(state): State<AppState>,
    LocalAdministration { caller }: LocalAdministration,
) -> Result<Json<KeyringChange>, ApiError> {
    Ok(Json(state.store.prune_master_keys(caller.account, caller.origin()).await?.into()))
}

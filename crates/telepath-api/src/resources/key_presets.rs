//! `/v1/key-presets`: the presets as this account has edited them. A new key copies its preset; existing keys do not change when
//! the preset does.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use telepath_api_types::key_presets::{KeyPreset, KeyPresetList, UpdateKeyPreset};
use telepath_core::error::ErrorCode;
use telepath_core::key::{Preset, PresetPatchDraft};

use crate::auth::caller::{Authorized, KeysRead, KeysWrite};
use crate::endpoint::{Endpoints, endpoints};
use crate::error::ApiError;
use crate::extract::json::StrictJson;
use crate::extract::path::{PathName, safe_excerpt};
use crate::resources::account::account_of;
use crate::state::AppState;

pub(crate) fn endpoints() -> Endpoints {
    endpoints![list_presets, update_preset => [PresetNotFound], reset_preset => [PresetNotFound]]
}

fn parse(name: &str) -> Result<Preset, ApiError> {
    Preset::from_name(name).ok_or_else(|| {
        ApiError::new(ErrorCode::PresetNotFound, format!("Preset '{}' not found", safe_excerpt(name)))
    })
}

/// List presets
#[utoipa::path(get, path = "/v1/key-presets", tag = "Keys", operation_id = "listKeyPresets",
    responses((status = 200, description = "All presets.", body = KeyPresetList)))]
async fn list_presets(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<KeysRead>,
) -> Result<Json<KeyPresetList>, ApiError> {
    let presets = state.store.presets(caller.account).await?;
    let presets = presets.iter().map(|(preset, terms)| KeyPreset::new(preset, terms)).collect();
    Ok(Json(KeyPresetList { presets }))
}

/// Update a preset
///
/// Applies to keys created from now on; existing keys stay as they are. A preset cannot grant more than the caller has, and `custom`
/// cannot be changed.
#[utoipa::path(patch, path = "/v1/key-presets/{name}", tag = "Keys", operation_id = "updateKeyPreset",
    request_body = UpdateKeyPreset,
    params(("name" = String, Path, description = "The preset's name.")),
    responses((status = 200, description = "The updated preset.", body = KeyPreset)))]
async fn update_preset(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<KeysWrite>,
    PathName(name): PathName,
    StrictJson(draft): StrictJson<UpdateKeyPreset>,
) -> Result<Json<KeyPreset>, ApiError> {
    let preset = parse(&name)?;
    let account = account_of(&state, &caller).await?;
    let patch = PresetPatchDraft::from(draft).check(preset, &account)?;
    let terms = state.store.update_preset(caller.account, preset, patch, caller.origin()).await?;
    Ok(Json(KeyPreset::new(preset, terms)))
}

/// Reset a preset
#[utoipa::path(delete, path = "/v1/key-presets/{name}", tag = "Keys", operation_id = "resetKeyPreset",
    params(("name" = String, Path, description = "The preset's name.")),
    responses((status = 204, description = "The preset is the built-in one again.")))]
async fn reset_preset(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<KeysWrite>,
    PathName(name): PathName,
) -> Result<StatusCode, ApiError> {
    state.store.reset_preset(caller.account, parse(&name)?, caller.origin()).await?;
    Ok(StatusCode::NO_CONTENT)
}

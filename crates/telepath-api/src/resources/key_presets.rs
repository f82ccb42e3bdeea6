//! `/v1/key-presets`: what the named bundles of rights stand for in this account. A new key takes a bundle as it is at that
//! moment; keys that were made before stay as they are.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use telepath_core::error::ErrorCode;
use telepath_core::key::{Preset, PresetPatchDraft, PresetTerms};
use utoipa::ToSchema;

use crate::auth::caller::{Authorized, KeysRead, KeysWrite};
use crate::endpoint::{Endpoints, endpoints};
use crate::error::ApiError;
use crate::extract::json::StrictJson;
use crate::extract::path::{PathName, safe_excerpt};
use crate::resources::account::account_of;
use crate::resources::keys::scope_names;
use crate::state::AppState;

pub(crate) fn endpoints() -> Endpoints {
    endpoints![list_presets, update_preset => [PresetNotFound], reset_preset => [PresetNotFound]]
}

/// A bundle of rights for new keys.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KeyPreset)]
struct PresetBody {
    /// `production`, `development`, `testing`, `monitoring` or `custom`.
    #[schema(value_type = String, example = "monitoring")]
    name: &'static str,
    /// What new keys of it may do; none for `custom`, where they are chosen one by one.
    #[schema(value_type = Vec<String>, example = json!(["calls:read", "analytics:read"]))]
    scopes: Vec<&'static str>,
    /// Requests per minute of new keys that choose no limit.
    #[schema(example = 1200)]
    rate_limit_per_minute: u32,
    /// Whether the account has edited it.
    modified: bool,
}

impl PresetBody {
    fn new(preset: Preset, terms: PresetTerms) -> Self {
        Self {
            name: preset.name(),
            scopes: scope_names(terms.scopes),
            rate_limit_per_minute: terms.rate_limit.get(),
            modified: terms.modified,
        }
    }
}

/// All presets.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KeyPresetList)]
struct PresetListBody {
    presets: Vec<PresetBody>,
}

fn parse(name: &str) -> Result<Preset, ApiError> {
    Preset::from_name(name).ok_or_else(|| {
        ApiError::new(ErrorCode::PresetNotFound, format!("Preset '{}' not found", safe_excerpt(name)))
    })
}

/// List presets
#[utoipa::path(get, path = "/v1/key-presets", tag = "Keys", operation_id = "listKeyPresets",
    responses((status = 200, description = "All presets.", body = PresetListBody)))]
async fn list_presets(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<KeysRead>,
) -> Result<Json<PresetListBody>, ApiError> {
    let presets = state.store.presets(caller.account).await?;
    let presets = presets.iter().map(|(preset, terms)| PresetBody::new(preset, terms)).collect();
    Ok(Json(PresetListBody { presets }))
}

/// Update a preset
///
/// Applies to keys created from now on; existing keys stay as they are. A preset cannot grant more than the caller has, and `custom`
/// cannot be changed.
#[utoipa::path(patch, path = "/v1/key-presets/{name}", tag = "Keys", operation_id = "updateKeyPreset",
    request_body = PresetPatchDraft,
    params(("name" = String, Path, description = "The preset's name.")),
    responses((status = 200, description = "The updated preset.", body = PresetBody)))]
async fn update_preset(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<KeysWrite>,
    PathName(name): PathName,
    StrictJson(draft): StrictJson<PresetPatchDraft>,
) -> Result<Json<PresetBody>, ApiError> {
    let preset = parse(&name)?;
    let account = account_of(&state, &caller).await?;
    let patch = draft.check(preset, &account)?;
    let terms = state.store.update_preset(caller.account, preset, patch, caller.origin()).await?;
    Ok(Json(PresetBody::new(preset, terms)))
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

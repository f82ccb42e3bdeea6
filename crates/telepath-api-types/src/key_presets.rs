//! `/v1/key-presets`: named sets of scopes with a rate limit, as the account has edited them.

use serde::{Deserialize, Serialize};
use telepath_core::key::{Preset, PresetPatchDraft, PresetTerms};

#[cfg(feature = "openapi")]
use crate::enums;
use crate::text::scope_names;

/// A preset of the account: scopes and a rate limit for new keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyPreset {
    /// `production`, `development`, `testing`, `monitoring` or `custom`.
    #[cfg_attr(feature = "openapi", schema(value_type = enums::Preset, example = "monitoring"))]
    pub name: String,
    /// The scopes of new keys; empty for `custom`, which has none of its own.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<enums::Scope>, example = json!(["calls:read", "analytics:read"])))]
    pub scopes: Vec<String>,
    /// Requests per minute of new keys that set no limit.
    #[cfg_attr(feature = "openapi", schema(example = 1200))]
    pub rate_limit_per_minute: u32,
    /// Whether the account has edited it.
    pub modified: bool,
}

/// All presets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyPresetList {
    pub presets: Vec<KeyPreset>,
}

/// A request to edit a preset. Members that are left out keep their value.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"rate_limit_per_minute": 2400})))]
#[serde(deny_unknown_fields)]
pub struct UpdateKeyPreset {
    /// The scopes of new keys.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<enums::Scope>>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// Requests per minute of new keys that set no limit, at most the account's maximum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit_per_minute: Option<u32>,
}

impl KeyPreset {
    /// A preset as the account has it.
    pub fn new(preset: Preset, terms: PresetTerms) -> Self {
        Self {
            name: preset.name().to_owned(),
            scopes: scope_names(terms.scopes),
            rate_limit_per_minute: terms.rate_limit.get(),
            modified: terms.modified,
        }
    }
}

impl From<UpdateKeyPreset> for PresetPatchDraft {
    fn from(body: UpdateKeyPreset) -> Self {
        let UpdateKeyPreset { scopes, rate_limit_per_minute } = body;
        Self { scopes, rate_limit_per_minute }
    }
}

//! `/v1/keys`: API keys. A secret appears in one response only, the one that creates it.

mod conversions;

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use telepath_core::clock::Timestamp;
use telepath_core::id::{KeyId, SecretId, TrunkId};
use telepath_core::key::{KeyRecord, LastUse, SecretRecord};
use telepath_core::patch::Patch;
use telepath_core::secret::SecretText;

#[cfg(feature = "openapi")]
use crate::enums;
use crate::page::Pagination;
use crate::quotas::{Quotas, UpdateQuotas};
use crate::secret;
use crate::text::{network_texts, scope_names};

/// An API key, never with its secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Key {
    /// The id.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "key_01k9v1n2xrf6t8g3m5q7w9y0za"))]
    pub id: KeyId,
    /// A name for people.
    #[cfg_attr(feature = "openapi", schema(example = "Production"))]
    pub name: String,
    /// What the key is for.
    #[cfg_attr(feature = "openapi", schema(example = "Nightly reports"))]
    pub description: Option<String>,
    /// Your own pairs.
    #[cfg_attr(feature = "openapi", schema(example = json!({"team": "billing"})))]
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// The preset it was created from.
    #[cfg_attr(feature = "openapi", schema(value_type = enums::Preset, example = "production"))]
    pub preset: String,
    /// Its scopes.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<enums::Scope>, example = json!(["trunks:read", "trunks:write"])))]
    pub scopes: Vec<String>,
    /// The trunks that it reaches; empty means all.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>, example = json!(["conn_01k9v1n2xrf6t8g3m5q7w9y0za"])))]
    #[serde(default)]
    pub trunk_ids: Vec<TrunkId>,
    /// Requests per minute.
    #[cfg_attr(feature = "openapi", schema(example = 6000))]
    pub rate_limit_per_minute: u32,
    /// Requests per calendar day and month.
    #[serde(default)]
    pub quotas: Quotas,
    /// Networks from which it may be used; empty means any address.
    #[cfg_attr(feature = "openapi", schema(example = json!(["203.0.113.0/24"])))]
    pub allowed_ips: Vec<String>,
    /// When it stops working; null when never.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub expires_at: Option<Timestamp>,
    /// When it starts working; null when it works from its creation on.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub not_before: Option<Timestamp>,
    /// When it was paused; null when it is not paused.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub paused_at: Option<Timestamp>,
    /// When it was created.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
    /// Who created it: a key's or a user's id, `local` or `system`.
    #[cfg_attr(feature = "openapi", schema(example = "local"))]
    pub created_by: String,
    /// When it was last used. Up to a second out of date.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub last_used_at: Option<Timestamp>,
    /// The address from which it was last used.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, example = "203.0.113.7"))]
    pub last_used_ip: Option<IpAddr>,
    /// Requests so far, refused ones included.
    #[cfg_attr(feature = "openapi", schema(example = 48210))]
    pub request_count: u64,
    /// Requests so far whose response was 4xx or 5xx.
    #[cfg_attr(feature = "openapi", schema(example = 12))]
    pub error_count: u64,
    /// `scheduled`, `active`, `paused`, `expiring`, `expired` or `revoked`.
    #[cfg_attr(feature = "openapi", schema(value_type = enums::KeyStatus, example = "active"))]
    pub status: String,
    /// When it was revoked.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub revoked_at: Option<Timestamp>,
    /// Who revoked it.
    pub revoked_by: Option<String>,
    /// Why it was revoked.
    pub revoke_reason: Option<String>,
    /// Its secrets, the newest first, never in full.
    pub secrets: Vec<KeySecret>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeySecret {
    /// The id.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "sec_01k9v1n2xrf6t8g3m5q7w9y0za"))]
    pub id: SecretId,
    /// Its first three and last four characters.
    #[cfg_attr(feature = "openapi", schema(example = "sk_live_AbC…wxyz"))]
    pub masked: String,
    /// When it was created.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
    /// `current` is the newest; `grace` works until `expires_at`; `ended` no longer works.
    #[cfg_attr(feature = "openapi", schema(value_type = enums::SecretStatus, example = "current"))]
    pub status: String,
    /// When this secret stops or stopped working; null for the current one.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub expires_at: Option<Timestamp>,
    /// When it was last used.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub last_used_at: Option<Timestamp>,
    /// The address from which it was last used.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub last_used_ip: Option<IpAddr>,
}

/// A key with its new secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CreatedKey {
    #[serde(flatten)]
    pub key: Key,
    /// The secret, sent as `Authorization: Bearer …`. Shown only once.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "secret::reveal")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "sk_live_…"))]
    pub secret: Option<SecretText>,
}

/// A page of keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyList {
    /// The newest first.
    pub keys: Vec<Key>,
    pub pagination: Pagination,
}

/// Every usable key with its new secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RotatedKeys {
    /// When they were rotated.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub rotated_at: Timestamp,
    /// How long their previous secrets keep working, in seconds.
    #[cfg_attr(feature = "openapi", schema(example = 86400))]
    pub grace_seconds: u32,
    /// The newest first, each with its new secret, which is shown only once.
    pub keys: Vec<CreatedKey>,
}

/// A request to create a key.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"name": "Billing", "preset": "custom", "scopes": ["calls:read", "usage:read"], "rate_limit_per_minute": 600, "allowed_ips": ["203.0.113.0/24"], "expires_at": "2027-03-01T00:00:00Z"})))]
#[serde(deny_unknown_fields)]
pub struct CreateKey {
    /// A name for people, 1–100 characters.
    #[cfg_attr(feature = "openapi", schema(required))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the key is for, 1–500 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Your own pairs, at most 16: names of 1–64, values of at most 512 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<BTreeMap<String, String>>,
    /// `production`, `development`, `testing`, `monitoring` or `custom`.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<enums::Preset>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// Required for `custom`; for other presets, a subset of the preset's scopes.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<enums::Scope>>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// The trunks that the key reaches, at most 100; empty means all. Default: those of the caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trunk_ids: Option<Vec<String>>,
    /// Requests per minute, at most the account's maximum and the caller's own limit. Default: the preset's limit, or the caller's if that is lower.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit_per_minute: Option<u32>,
    /// Requests per calendar day and month, at most the caller's own. Default: the caller's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quotas: Option<Quotas>,
    /// Networks in CIDR form from which the key may be used. Default and empty: any address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_ips: Option<Vec<String>>,
    /// When the key stops working.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// When the key starts working.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<String>,
}

/// A request to change a key. Members that are left out keep their value.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"name": "Billing", "rate_limit_per_minute": 1200})))]
#[serde(deny_unknown_fields)]
pub struct UpdateKey {
    /// A name for people, 1–100 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the key is for; null removes it.
    #[serde(default, skip_serializing_if = "Patch::is_kept")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub description: Patch<String>,
    /// Your own pairs, which replace the present ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<BTreeMap<String, String>>,
    /// The new scopes.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<enums::Scope>>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// The trunks that the key reaches; empty means all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trunk_ids: Option<Vec<String>>,
    /// Requests per minute. Requests already counted in the current window stay counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit_per_minute: Option<u32>,
    /// Requests per calendar day and month; null removes both quotas. Requests already counted stay counted.
    #[serde(default, skip_serializing_if = "Patch::is_kept")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<UpdateQuotas>))]
    pub quotas: Patch<UpdateQuotas>,
    /// Networks in CIDR form; empty means any address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_ips: Option<Vec<String>>,
    /// When the key stops working; null means never.
    #[serde(default, skip_serializing_if = "Patch::is_kept")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub expires_at: Patch<String>,
    /// When the key starts working; null means at once.
    #[serde(default, skip_serializing_if = "Patch::is_kept")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub not_before: Patch<String>,
}

/// A request to revoke a key.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"reason": "Found in a public repository"})))]
#[serde(deny_unknown_fields)]
pub struct RevokeKey {
    /// The reason, for the audit trail, 1–500 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A request to rotate keys.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"grace_seconds": 3600})))]
#[serde(deny_unknown_fields)]
pub struct RotateKey {
    /// How many seconds the previous secrets keep working, 0–604800; 86400 by default. With 0 they stop working at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_seconds: Option<u32>,
}

/// A request to rotate the keys of the account.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"grace_seconds": 3600})))]
#[serde(deny_unknown_fields)]
pub struct RotateKeys {
    /// How many seconds the previous secrets keep working, 0–604800; 86400 by default. With 0 they stop working at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_seconds: Option<u32>,
    /// Rotate only keys whose current secret was created before this time; by default, every key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub secrets_before: Option<String>,
}

fn last_use(last: Option<LastUse>) -> (Option<Timestamp>, Option<IpAddr>) {
    (last.map(|last| last.at), last.map(|last| last.address))
}

impl Key {
    /// A key as it is at `now`.
    pub fn new(key: KeyRecord, now: Timestamp) -> Self {
        let status = key.status(now).name().to_owned();
        let (last_used_at, last_used_ip) = last_use(key.last_use);
        let (revoked_at, revoked_by, revoke_reason) = match key.revocation {
            Some(end) => (Some(end.at), Some(end.by.to_string()), end.reason),
            None => (None, None, None),
        };
        Self {
            id: key.id,
            name: key.name,
            description: key.description,
            metadata: key.metadata,
            preset: key.preset.name().to_owned(),
            scopes: scope_names(key.scopes),
            trunk_ids: key.trunks.ids().to_vec(),
            rate_limit_per_minute: key.rate_limit.get(),
            quotas: key.quotas.into(),
            allowed_ips: network_texts(&key.allowed_ips),
            expires_at: key.expires_at,
            not_before: key.not_before,
            paused_at: key.paused_at,
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
            secrets: key.secrets.iter().map(|secret| KeySecret::new(secret, now)).collect(),
        }
    }
}

impl KeySecret {
    fn new(secret: &SecretRecord, now: Timestamp) -> Self {
        let (last_used_at, last_used_ip) = last_use(secret.last_use);
        Self {
            id: secret.id,
            masked: secret.mask.as_str().to_owned(),
            created_at: secret.created_at,
            status: secret.status(now).name().to_owned(),
            expires_at: secret.expires_at,
            last_used_at,
            last_used_ip,
        }
    }
}

impl CreateKey {
    /// A key with a preset's scopes and limit.
    pub fn new(name: impl Into<String>, preset: impl Into<String>) -> Self {
        Self { name: Some(name.into()), preset: Some(preset.into()), ..Self::default() }
    }
}

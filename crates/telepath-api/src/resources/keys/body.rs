//! How keys and their secrets look in answers.

use std::net::IpAddr;

use serde::Serialize;
use telepath_core::address::NetworkList;
use telepath_core::clock::Timestamp;
use telepath_core::id::{KeyId, SecretId};
use telepath_core::key::{KeyRecord, LastUse, SecretRecord};
use telepath_core::scope::{Scope, ScopeSet};
use telepath_store::CreatedKey;
use utoipa::ToSchema;

/// An API key, never with its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Key)]
pub(crate) struct KeyBody {
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
    /// `current` is the newest; `grace` works until `expires_at`; `ended` works no more.
    #[schema(value_type = String, example = "current")]
    status: &'static str,
    /// When it stops, or stopped, to work although the key goes on.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// When it was last used.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
    /// From where it was last used.
    #[schema(value_type = Option<String>)]
    last_used_ip: Option<IpAddr>,
}

/// A key with its new secret.
#[derive(Serialize, ToSchema)]
#[schema(as = CreatedKey)]
pub(crate) struct CreatedKeyBody {
    #[serde(flatten)]
    key: KeyBody,
    /// The key to send as `Authorization: Bearer …`. Shown this once.
    #[schema(example = "sk_live_…")]
    secret: String,
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

impl CreatedKeyBody {
    /// The one place where a secret goes out.
    pub(super) fn new(created: &CreatedKey, now: Timestamp) -> Self {
        let secret = created.secret.reveal().expose().to_owned();
        Self { key: KeyBody::new(created.record.clone(), now), secret }
    }
}

impl KeyBody {
    pub(super) fn new(key: KeyRecord, now: Timestamp) -> Self {
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
            secrets: key.secrets.iter().map(|secret| SecretBody::new(secret, now)).collect(),
        }
    }
}

impl SecretBody {
    fn new(secret: &SecretRecord, now: Timestamp) -> Self {
        let status = secret.status(now).name();
        let (last_used_at, last_used_ip) = used(secret.last_use);
        Self {
            id: secret.id,
            masked: secret.mask.as_str().to_owned(),
            created_at: secret.created_at,
            status,
            expires_at: secret.expires_at,
            last_used_at,
            last_used_ip,
        }
    }
}

//! `/v1/webhooks`: endpoints that receive events.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use telepath_core::clock::Timestamp;
use telepath_core::id::{TrunkId, WebhookId};
use telepath_core::patch::Patch;
use telepath_core::secret::SecretText;
use telepath_core::webhook::{self, WebhookDraft, WebhookPatchDraft};

#[cfg(feature = "openapi")]
use crate::enums;
use crate::page::Pagination;
use crate::secret;
use crate::trunks::CredentialState;

/// A webhook endpoint, never with its secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Webhook {
    /// The id.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "whk_01k9v1n2xrf6t8g3m5q7w9y0za"))]
    pub id: WebhookId,
    /// The destination of events.
    #[cfg_attr(feature = "openapi", schema(example = "https://hooks.example/telepath"))]
    pub url: String,
    /// A description for people.
    pub description: Option<String>,
    /// Names of events, families such as `call.*`, or `*` for all.
    #[cfg_attr(feature = "openapi", schema(example = json!(["call.*", "key.revoked"])))]
    pub events: Vec<String>,
    /// Restricts call events to these trunks; empty means all trunks.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>, example = json!([])))]
    pub trunk_ids: Vec<TrunkId>,
    /// `v1` (HMAC-SHA-256) or `v1a` (Ed25519).
    #[cfg_attr(feature = "openapi", schema(value_type = enums::SignatureScheme, example = "v1"))]
    pub signature: String,
    /// For `v1a`: the public keys for verification, the newest first.
    #[cfg_attr(feature = "openapi", schema(example = json!([])))]
    pub public_keys: Vec<String>,
    /// The headers that are added to each delivery, never in full.
    pub headers: Option<CredentialState>,
    /// The certificate authorities of the endpoint in PEM; null for those of the system.
    pub ca_pem: Option<String>,
    /// Maximum concurrent deliveries.
    #[cfg_attr(feature = "openapi", schema(example = 10))]
    pub max_in_flight: u32,
    /// `active` or `disabled`.
    #[cfg_attr(feature = "openapi", schema(value_type = enums::WebhookStatus, example = "active"))]
    pub status: String,
    /// `requested`, `gone` (it responded with 410) or `failing` (every attempt failed for five days).
    #[cfg_attr(feature = "openapi", schema(value_type = Option<enums::DisabledReason>))]
    pub disabled_reason: Option<String>,
    /// Since when every attempt has failed.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub failing_since: Option<Timestamp>,
    /// Failed attempts since then.
    pub failures: u32,
    /// When it will be disabled if every attempt keeps failing; set after half of that time.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub given_up_at: Option<Timestamp>,
    /// When it was created.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
    /// When it was last changed.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub updated_at: Timestamp,
}

/// An endpoint with its new secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WebhookWithSecret {
    #[serde(flatten)]
    pub webhook: Webhook,
    /// For `v1`: the shared secret. Shown only once.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "secret::reveal")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = Password, example = "whsec_…"))]
    pub secret: Option<SecretText>,
}

/// A page of endpoints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WebhookList {
    /// The newest first.
    pub webhooks: Vec<Webhook>,
    pub pagination: Pagination,
}

/// A request to create a webhook endpoint.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"url": "https://hooks.example/telepath", "events": ["call.ended", "key.revoked"]})))]
#[serde(deny_unknown_fields)]
pub struct CreateWebhook {
    /// The destination: an `https://` URL without user info.
    #[cfg_attr(feature = "openapi", schema(required))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// A description for people, at most 500 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Names of events, families such as `call.*`, or `*` for all, the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<String>>,
    /// Restricts call events to these trunks. Default and empty: all trunks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trunk_ids: Option<Vec<String>>,
    /// `v1` (HMAC-SHA-256, the default) or `v1a` (Ed25519).
    #[cfg_attr(feature = "openapi", schema(value_type = Option<enums::SignatureScheme>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// Up to 16 headers to add to each delivery; their values are stored encrypted and never returned.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "secret::reveal_map")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<BTreeMap<String, String>>))]
    pub headers: Option<BTreeMap<String, SecretText>>,
    /// 1 to 10 certificate authorities in PEM, at most 32 KiB. The endpoint's certificate is verified against them instead of those of the
    /// system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_pem: Option<String>,
    /// Maximum concurrent deliveries, 1–100; 10 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_in_flight: Option<u32>,
    /// `active` (the default), or `disabled` to keep events without sending them.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<enums::WebhookStatus>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}

/// A request to change a webhook endpoint. Members that are left out keep their value.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"events": ["call.started", "call.ended"], "max_in_flight": 20})))]
#[serde(deny_unknown_fields)]
pub struct UpdateWebhook {
    /// The new destination, also for pending deliveries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Null removes it.
    #[serde(default, skip_serializing_if = "Patch::is_kept")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub description: Patch<String>,
    /// Replaces the whole list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<String>>,
    /// Replaces the whole list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trunk_ids: Option<Vec<String>>,
    /// Replaces all headers; null removes them. Required if they are set and host or port of `url` changes.
    #[serde(default, skip_serializing_if = "Patch::is_kept", serialize_with = "secret::reveal_patch")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<BTreeMap<String, String>>))]
    pub headers: Patch<BTreeMap<String, SecretText>>,
    /// Replaces the certificate authorities; null stands for those of the system.
    #[serde(default, skip_serializing_if = "Patch::is_kept")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub ca_pem: Patch<String>,
    /// Maximum concurrent deliveries, 1–100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_in_flight: Option<u32>,
    /// `active` or `disabled`.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<enums::WebhookStatus>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}

/// A request to rotate the signing secret.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"grace_seconds": 3600})))]
#[serde(deny_unknown_fields)]
pub struct WebhookRotation {
    /// How many seconds the previous secrets also sign, 0–604800; 86400 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_seconds: Option<u32>,
}

/// A request to send failed deliveries again.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"since": "2026-03-01T00:00:00Z"})))]
#[serde(deny_unknown_fields)]
pub struct WebhookRecovery {
    /// Events since this RFC 3339 date-time.
    #[cfg_attr(feature = "openapi", schema(required))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}

/// The deliveries that are sent again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecoveredDeliveries {
    /// Number of deliveries.
    #[cfg_attr(feature = "openapi", schema(example = 7))]
    pub deliveries: u64,
    /// Whether there may be more; if so, repeat the request.
    pub more: bool,
}

impl From<webhook::Webhook> for Webhook {
    fn from(webhook: webhook::Webhook) -> Self {
        Self {
            id: webhook.id,
            events: webhook.subscription.events.names(),
            trunk_ids: webhook.subscription.trunks,
            url: webhook.url.as_str().to_owned(),
            description: webhook.description,
            signature: webhook.scheme.name().to_owned(),
            public_keys: webhook.public_keys,
            headers: webhook.headers_at.map(|updated_at| CredentialState {
                set: true,
                last4: None,
                updated_at,
            }),
            ca_pem: webhook.ca_pem,
            max_in_flight: webhook.max_in_flight,
            status: webhook.status.name().to_owned(),
            disabled_reason: webhook.disabled_reason.map(|reason| reason.name().to_owned()),
            failing_since: webhook.health.failing_since,
            failures: webhook.health.failures,
            given_up_at: webhook.health.given_up_at(),
            created_at: webhook.created_at,
            updated_at: webhook.updated_at,
        }
    }
}

impl CreateWebhook {
    /// An endpoint that receives all events.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: Some(url.into()), ..Self::default() }
    }
}

impl From<CreateWebhook> for WebhookDraft {
    fn from(body: CreateWebhook) -> Self {
        let CreateWebhook {
            url,
            description,
            events,
            trunk_ids,
            signature,
            headers,
            ca_pem,
            max_in_flight,
            status,
        } = body;
        Self { url, description, events, trunk_ids, signature, headers, ca_pem, max_in_flight, status }
    }
}

impl From<UpdateWebhook> for WebhookPatchDraft {
    fn from(body: UpdateWebhook) -> Self {
        let UpdateWebhook { url, description, events, trunk_ids, headers, ca_pem, max_in_flight, status } =
            body;
        Self { url, description, events, trunk_ids, headers, ca_pem, max_in_flight, status }
    }
}

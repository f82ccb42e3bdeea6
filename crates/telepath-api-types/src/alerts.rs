//! `/v1/alerts`: unusual use of keys, and webhooks that fail.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use telepath_core::alert;
use telepath_core::clock::Timestamp;
use telepath_core::id::{AlertId, KeyId, WebhookId};

#[cfg(feature = "openapi")]
use crate::enums;
use crate::page::Pagination;

/// What an alert is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AlertSubject {
    /// `key`, `webhook`, `trunk`, `user` or `account`.
    #[cfg_attr(feature = "openapi", schema(value_type = enums::AlertSubjectKind, example = "key"))]
    pub kind: String,
    /// The subject's id; its prefix also names the kind.
    #[cfg_attr(feature = "openapi", schema(example = "key_01k9v1n2xrf6t8g3m5q7w9y0za"))]
    pub id: String,
    /// Its current name; for a webhook, the host of its URL; `deleted` when it is gone.
    #[cfg_attr(feature = "openapi", schema(example = "Billing"))]
    pub name: String,
}

/// An alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Alert {
    /// The id.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "alr_01k9v1n2xrf6t8g3m5q7w9y0za"))]
    pub id: AlertId,
    /// The rule that raised it: `new_address`, `request_spike`, `error_burst`, `limit_riding`, `idle_awake`, `dead_key_used`,
    /// `seen_in_clear`, `leak_reported`, `expiring`, `unused` or `webhook_failing`.
    #[cfg_attr(feature = "openapi", schema(value_type = enums::AlertRule, example = "dead_key_used"))]
    pub rule: String,
    /// `info`, `warning` or `critical`.
    #[cfg_attr(feature = "openapi", schema(value_type = enums::AlertSeverity, example = "warning"))]
    pub severity: String,
    /// What the alert is about.
    pub subject: AlertSubject,
    /// The key it is about; null when it is about something else.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, example = "key_01k9v1n2xrf6t8g3m5q7w9y0za"))]
    pub key_id: Option<KeyId>,
    /// The name of that key.
    #[cfg_attr(feature = "openapi", schema(example = "Billing"))]
    pub key_name: Option<String>,
    /// The webhook it is about; null when it is about something else.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, example = "whk_01k9v1n2xrf6t8g3m5q7w9y0za"))]
    pub webhook_id: Option<WebhookId>,
    /// The host of the webhook's URL.
    #[cfg_attr(feature = "openapi", schema(example = "hooks.example.com"))]
    pub webhook_host: Option<String>,
    /// What happened, in one or two sentences.
    #[cfg_attr(feature = "openapi", schema(example = "The revoked key Billing was used from 198.51.100.7."))]
    pub message: String,
    /// What was measured; the members depend on the rule.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub figures: Map<String, Value>,
    /// When it was raised.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub raised_at: Timestamp,
    /// When it was acknowledged.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub acknowledged_at: Option<Timestamp>,
    /// Who acknowledged it: a key's id, or `local`.
    pub acknowledged_by: Option<String>,
    /// What they wrote about it.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(example = "The new office in Lyon; expected."))]
    pub acknowledged_note: Option<String>,
}

/// An acknowledgement of an alert.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AcknowledgeAlert {
    /// What you found out, 1–1000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(min_length = 1, max_length = 1000, example = "The new office in Lyon; expected.")
    )]
    pub note: Option<String>,
}

/// What to send as a test.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TestAlerts {
    /// `mail` is a short text, `alert` an alert as it would look. Default `alert`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<enums::AlertTestKind>))]
    pub kind: Option<String>,
}

/// The result of a test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AlertTest {
    /// What was to be sent.
    #[cfg_attr(feature = "openapi", schema(value_type = enums::AlertTestKind))]
    pub kind: String,
    /// Whether the mail server accepted it.
    pub sent: bool,
    /// Why not.
    #[cfg_attr(feature = "openapi", schema(example = "the mail server did not respond in time"))]
    pub error: Option<String>,
}

/// A page of alerts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AlertList {
    /// The newest first.
    pub alerts: Vec<Alert>,
    pub pagination: Pagination,
}

impl From<alert::Alert> for Alert {
    fn from(alert: alert::Alert) -> Self {
        let (key, webhook) = match alert.subject {
            alert::AlertSubject::Key(id) => (Some(id), None),
            alert::AlertSubject::Webhook(id) => (None, Some(id)),
            alert::AlertSubject::Trunk(_)
            | alert::AlertSubject::User(_)
            | alert::AlertSubject::Account(_) => (None, None),
        };
        let subject = AlertSubject {
            kind: alert.subject.kind().name().to_owned(),
            id: alert.subject.to_string(),
            name: alert.name,
        };
        Self {
            id: alert.id,
            rule: alert.rule.name().to_owned(),
            severity: alert.severity.name().to_owned(),
            key_id: key,
            key_name: key.map(|_| subject.name.clone()),
            webhook_id: webhook,
            webhook_host: webhook.map(|_| subject.name.clone()),
            subject,
            message: alert.message,
            figures: alert.figures,
            raised_at: alert.raised_at,
            acknowledged_at: alert.acknowledged.as_ref().map(|acknowledged| acknowledged.at),
            acknowledged_by: alert.acknowledged.as_ref().map(|acknowledged| acknowledged.by.to_string()),
            acknowledged_note: alert.acknowledged.and_then(|acknowledged| acknowledged.note),
        }
    }
}

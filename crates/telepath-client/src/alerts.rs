//! `/v1/alerts`: what was unusual about the use of a key, and webhooks that fail.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use telepath_core::clock::Timestamp;
use telepath_core::id::{AlertId, KeyId, WebhookId};

use crate::client::Client;
use crate::error::Error;
use crate::page::{ListPage, Pagination};
use crate::request::Query;

/// What an alert is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertSubject {
    /// `key`, `webhook`, `trunk`, `user` or `account`.
    pub kind: String,
    /// The subject's id; its prefix says the kind too.
    pub id: String,
    /// Its current name; of a webhook, the host of its URL; `deleted` when it is gone.
    pub name: String,
}

/// An alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Its id.
    pub id: AlertId,
    /// Which rule raised it, such as `new_address`.
    pub rule: String,
    /// `info`, `warning` or `critical`.
    pub severity: String,
    /// What the alert is about.
    pub subject: AlertSubject,
    /// About which key, if it is about one.
    #[serde(default)]
    pub key_id: Option<KeyId>,
    /// What people call that key.
    #[serde(default)]
    pub key_name: Option<String>,
    /// About which webhook, if it is about one.
    #[serde(default)]
    pub webhook_id: Option<WebhookId>,
    /// The host that the webhook is sent to.
    #[serde(default)]
    pub webhook_host: Option<String>,
    /// What happened, for people.
    pub message: String,
    /// What was measured.
    #[serde(default)]
    pub figures: Map<String, Value>,
    /// When it was raised.
    pub raised_at: Timestamp,
    /// When somebody took note of it.
    #[serde(default)]
    pub acknowledged_at: Option<Timestamp>,
    /// Who.
    #[serde(default)]
    pub acknowledged_by: Option<String>,
}

/// Which alerts to list.
#[derive(Debug, Clone, Default)]
pub struct AlertsQuery {
    /// Only those about this key.
    pub key_id: Option<KeyId>,
    /// Only those about this webhook.
    pub webhook_id: Option<WebhookId>,
    /// Only those about subjects of this kind.
    pub subject_kind: Option<String>,
    /// Only those about the subject with this id, instead of `key_id` and `webhook_id`.
    pub subject_id: Option<String>,
    /// Only those of this rule.
    pub rule: Option<String>,
    /// `open` or `acknowledged`.
    pub status: Option<String>,
    /// Items per page, 1–100.
    pub limit: Option<u32>,
    /// Items to pass over.
    pub offset: Option<u32>,
    /// The `next_cursor` of the page before, instead of `offset`.
    pub cursor: Option<String>,
}

#[derive(Deserialize)]
struct AlertList {
    alerts: Vec<Alert>,
    pagination: Pagination,
}

impl Client {
    /// One page of the alerts, the newest first.
    pub async fn list_alerts(&self, query: &AlertsQuery) -> Result<ListPage<Alert>, Error> {
        let path = Query::new("/v1/alerts")
            .add("key_id", query.key_id)
            .add("webhook_id", query.webhook_id)
            .add("subject_kind", query.subject_kind.as_deref())
            .add("subject_id", query.subject_id.as_deref())
            .add("rule", query.rule.as_deref())
            .add("status", query.status.as_deref())
            .add("limit", query.limit)
            .add("offset", query.offset)
            .add("cursor", query.cursor.as_deref())
            .finish();
        let list: AlertList = self.get(&path).await?;
        Ok(ListPage { items: list.alerts, pagination: list.pagination })
    }

    /// Takes note of an alert. A second time changes nothing.
    pub async fn acknowledge_alert(&self, id: AlertId) -> Result<Alert, Error> {
        self.post_empty(&format!("/v1/alerts/{id}/acknowledge")).await
    }
}

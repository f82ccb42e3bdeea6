//! `/v1/alerts`: unusual use of keys, and webhooks that fail.

use telepath_api_types::alerts::{AcknowledgeAlert, Alert, AlertList, AlertTest, TestAlerts};
use telepath_core::id::{AlertId, KeyId, WebhookId};

use crate::client::Client;
use crate::error::Error;
use crate::page::ListPage;
use crate::request::Query;

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
    /// Items to skip.
    pub offset: Option<u32>,
    /// The `next_cursor` of the page before, instead of `offset`.
    pub cursor: Option<String>,
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

    /// Acknowledges an alert. Doing so again changes nothing.
    pub async fn acknowledge_alert(&self, id: AlertId, note: Option<&str>) -> Result<Alert, Error> {
        let body = AcknowledgeAlert { note: note.map(str::to_owned) };
        self.post(&format!("/v1/alerts/{id}/acknowledge"), &body).await
    }

    /// Sends a test to everybody who gets the emails about alerts: `mail`, or `alert`, which is the default.
    pub async fn test_alerts(&self, kind: Option<&str>) -> Result<AlertTest, Error> {
        self.post("/v1/alerts/test", &TestAlerts { kind: kind.map(str::to_owned) }).await
    }
}

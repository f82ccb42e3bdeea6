//! `/v1/webhooks` and `/v1/deliveries`: where events are sent, and what became of them.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use telepath_core::clock::Timestamp;
use telepath_core::id::{DeliveryId, EventId, TrunkId, WebhookId};
use telepath_core::patch::Patch;
use telepath_core::secret::SecretText;

use crate::client::Client;
use crate::error::Error;
use crate::page::{ListPage, Pagination};
use crate::request::Query;

/// A webhook endpoint, never with its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Its id.
    pub id: WebhookId,
    /// Where events are sent.
    pub url: String,
    /// What people say about it.
    pub description: Option<String>,
    /// Names of events, or just `*`.
    pub events: Vec<String>,
    /// Calls of these trunks only; empty means of all.
    pub trunk_ids: Vec<TrunkId>,
    /// `v1` or `v1a`.
    pub signature: String,
    /// For `v1a`: the keys to verify with, the newest first.
    pub public_keys: Vec<String>,
    /// Deliveries under way at once.
    pub max_in_flight: u32,
    /// `active` or `disabled`.
    pub status: String,
    /// Why it is disabled.
    pub disabled_reason: Option<String>,
    /// Since when every attempt has failed.
    pub failing_since: Option<Timestamp>,
    /// How many have.
    pub failures: u32,
    /// When it will be disabled if nothing succeeds.
    pub given_up_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// An endpoint with a new secret.
#[derive(Debug, Deserialize)]
pub struct WebhookWithSecret {
    /// The endpoint.
    #[serde(flatten)]
    pub webhook: Webhook,
    /// For `v1`: the shared secret, which stands in no other answer.
    pub secret: Option<SecretText>,
}

/// What to make an endpoint with.
#[derive(Debug, Clone, Default, Serialize)]
pub struct WebhookRequest {
    /// Where events are sent.
    pub url: String,
    /// What people say about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Names of events; all when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<String>>,
    /// Calls of these trunks only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trunk_ids: Vec<String>,
    /// `v1` or `v1a`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// Deliveries under way at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_in_flight: Option<u32>,
    /// `active` or `disabled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}

/// What to change; what is left out stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct WebhookChange {
    /// Where events are sent from now on, those that wait included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What people say about it; [`Patch::Clear`] takes it away.
    #[serde(skip_serializing_if = "Patch::is_kept")]
    pub description: Patch<String>,
    /// Names of events, or just `*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<String>>,
    /// Calls of these trunks only; an empty list means of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trunk_ids: Option<Vec<TrunkId>>,
    /// Deliveries under way at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_in_flight: Option<u32>,
    /// `active` or `disabled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}

/// The delivery of an event to an endpoint.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Delivery {
    /// Its id.
    pub id: DeliveryId,
    /// To which endpoint.
    pub webhook_id: WebhookId,
    /// Of which event.
    pub event_id: EventId,
    /// The event's name.
    pub event: String,
    /// `pending`, `delivered`, `exhausted` or `held`.
    pub status: String,
    /// How often it was tried in all.
    pub attempt_count: u32,
    /// When it is tried next.
    pub next_attempt_at: Option<Timestamp>,
    /// When the event happened.
    pub created_at: Timestamp,
    /// When it was delivered, exhausted or held.
    pub finished_at: Option<Timestamp>,
    /// The last attempts, the oldest first.
    pub attempts: Vec<DeliveryAttempt>,
    /// The body as it is sent; only where one delivery is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Box<RawValue>>,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryAttempt {
    /// 1 for the first.
    pub number: u32,
    /// When it ended.
    pub at: Timestamp,
    /// How long it took.
    pub duration_ms: u32,
    /// The status that the endpoint answered.
    pub status: Option<u16>,
    /// What went wrong; `None` for success.
    pub error: Option<String>,
    /// The beginning of the answer; only where one delivery is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<String>,
}

/// What is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveredDeliveries {
    /// How many deliveries.
    pub deliveries: u64,
    /// Whether there may be more; then ask again.
    pub more: bool,
}

/// Which deliveries to list.
#[derive(Debug, Clone, Default)]
pub struct DeliveriesQuery {
    /// Only deliveries in this state.
    pub status: Option<String>,
    /// `created_at` or `-created_at`.
    pub sort: Option<String>,
    /// Items per page, 1–100.
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
}

#[derive(Deserialize)]
struct WebhookList {
    webhooks: Vec<Webhook>,
    pagination: Pagination,
}

#[derive(Deserialize)]
struct DeliveryList {
    deliveries: Vec<Delivery>,
    pagination: Pagination,
}

impl Client {
    /// Makes an endpoint. The answer is the only place where a shared secret ever stands.
    pub async fn create_webhook(&self, request: &WebhookRequest) -> Result<WebhookWithSecret, Error> {
        self.post("/v1/webhooks", request).await
    }

    /// Changes an endpoint.
    pub async fn update_webhook(&self, id: WebhookId, change: &WebhookChange) -> Result<Webhook, Error> {
        self.patch(&format!("/v1/webhooks/{id}"), change).await
    }

    /// One page of the account's endpoints, newest first.
    pub async fn list_webhooks(&self, limit: u32, offset: u32) -> Result<ListPage<Webhook>, Error> {
        let path = Query::new("/v1/webhooks").add("limit", Some(limit)).add("offset", Some(offset)).finish();
        let list: WebhookList = self.get(&path).await?;
        Ok(ListPage { items: list.webhooks, pagination: list.pagination })
    }

    /// One endpoint.
    pub async fn get_webhook(&self, id: WebhookId) -> Result<Webhook, Error> {
        self.get(&format!("/v1/webhooks/{id}")).await
    }

    /// Deletes an endpoint; nothing more is sent to it.
    pub async fn delete_webhook(&self, id: WebhookId) -> Result<(), Error> {
        self.delete(&format!("/v1/webhooks/{id}")).await
    }

    /// Gives an endpoint a new secret; the old ones sign too for `grace_seconds`.
    pub async fn rotate_webhook_secret(
        &self,
        id: WebhookId,
        grace_seconds: Option<u32>,
    ) -> Result<WebhookWithSecret, Error> {
        #[derive(Serialize)]
        struct Rotation {
            #[serde(skip_serializing_if = "Option::is_none")]
            grace_seconds: Option<u32>,
        }
        self.post(&format!("/v1/webhooks/{id}/rotate-secret"), &Rotation { grace_seconds }).await
    }

    /// Sends the event `webhook.test` to an endpoint.
    pub async fn test_webhook(&self, id: WebhookId) -> Result<Delivery, Error> {
        self.post_empty(&format!("/v1/webhooks/{id}/test")).await
    }

    /// Sends every delivery again that was exhausted or held, of events since a time.
    pub async fn recover_webhook(
        &self,
        id: WebhookId,
        since: Timestamp,
    ) -> Result<RecoveredDeliveries, Error> {
        #[derive(Serialize)]
        struct Recovery {
            since: Timestamp,
        }
        self.post(&format!("/v1/webhooks/{id}/recover"), &Recovery { since }).await
    }

    /// One page of the deliveries to an endpoint.
    pub async fn list_deliveries(
        &self,
        webhook: WebhookId,
        query: &DeliveriesQuery,
    ) -> Result<ListPage<Delivery>, Error> {
        let path = Query::new(&format!("/v1/webhooks/{webhook}/deliveries"))
            .add("status", query.status.as_deref())
            .add("sort", query.sort.as_deref())
            .add("limit", query.limit)
            .add("cursor", query.cursor.as_deref())
            .finish();
        let list: DeliveryList = self.get(&path).await?;
        Ok(ListPage { items: list.deliveries, pagination: list.pagination })
    }

    /// One delivery with its body and the answers to it.
    pub async fn get_delivery(&self, id: DeliveryId) -> Result<Delivery, Error> {
        self.get(&format!("/v1/deliveries/{id}")).await
    }

    /// Sends a delivery again.
    pub async fn redeliver(&self, id: DeliveryId) -> Result<Delivery, Error> {
        self.post_empty(&format!("/v1/deliveries/{id}/redeliver")).await
    }
}

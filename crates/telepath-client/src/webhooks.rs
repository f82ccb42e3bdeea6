//! `/v1/webhooks` and `/v1/deliveries`: endpoints that receive events, and deliveries.

use telepath_api_types::deliveries::{Delivery, DeliveryDetails, DeliveryList};
use telepath_api_types::webhooks::{
    CreateWebhook, RecoveredDeliveries, UpdateWebhook, Webhook, WebhookList, WebhookRecovery,
    WebhookRotation, WebhookWithSecret,
};
use telepath_core::clock::Timestamp;
use telepath_core::id::{CallId, DeliveryId, KeyId, WebhookId};

use crate::client::Client;
use crate::error::Error;
use crate::page::{ListPage, PageQuery};
use crate::request::Query;

/// Which deliveries to list.
#[derive(Debug, Clone, Default)]
pub struct DeliveriesQuery {
    /// Only deliveries of events about this call; not for the deliveries to one endpoint.
    pub call_id: Option<CallId>,
    /// Only deliveries of events about this key; not for the deliveries to one endpoint.
    pub key_id: Option<KeyId>,
    /// Only deliveries in this state.
    pub status: Option<String>,
    /// `created_at` or `-created_at`.
    pub sort: Option<String>,
    /// Items per page, 1–100.
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
}

impl DeliveriesQuery {
    fn path(&self, route: &str) -> String {
        Query::new(route)
            .add("call_id", self.call_id)
            .add("key_id", self.key_id)
            .add("status", self.status.as_deref())
            .add("sort", self.sort.as_deref())
            .add("limit", self.limit)
            .add("cursor", self.cursor.as_deref())
            .finish()
    }
}

impl Client {
    /// Creates an endpoint. A shared secret is in this response only.
    pub async fn create_webhook(&self, request: &CreateWebhook) -> Result<WebhookWithSecret, Error> {
        self.post("/v1/webhooks", request).await
    }

    /// Changes an endpoint.
    pub async fn update_webhook(&self, id: WebhookId, change: &UpdateWebhook) -> Result<Webhook, Error> {
        self.patch(&format!("/v1/webhooks/{id}"), change).await
    }

    /// One page of the account's endpoints, newest first.
    pub async fn list_webhooks(&self, query: &PageQuery) -> Result<ListPage<Webhook>, Error> {
        let path = Query::new("/v1/webhooks")
            .add("limit", query.limit)
            .add("offset", query.offset)
            .add("cursor", query.cursor.as_deref())
            .finish();
        let list: WebhookList = self.get(&path).await?;
        Ok(ListPage { items: list.webhooks, pagination: list.pagination })
    }

    /// One endpoint.
    pub async fn get_webhook(&self, id: WebhookId) -> Result<Webhook, Error> {
        self.get(&format!("/v1/webhooks/{id}")).await
    }

    /// Deletes an endpoint. Nothing more is sent to it.
    pub async fn delete_webhook(&self, id: WebhookId) -> Result<(), Error> {
        self.delete(&format!("/v1/webhooks/{id}")).await
    }

    /// Gives an endpoint a new secret. The previous ones also sign for `grace_seconds`.
    pub async fn rotate_webhook_secret(
        &self,
        id: WebhookId,
        grace_seconds: Option<u32>,
    ) -> Result<WebhookWithSecret, Error> {
        self.post(&format!("/v1/webhooks/{id}/rotate-secret"), &WebhookRotation { grace_seconds }).await
    }

    /// Sends the event `webhook.test` to an endpoint.
    pub async fn test_webhook(&self, id: WebhookId) -> Result<Delivery, Error> {
        self.post_empty(&format!("/v1/webhooks/{id}/test")).await
    }

    /// Sends all exhausted and held deliveries of events since a time again.
    pub async fn recover_webhook(
        &self,
        id: WebhookId,
        since: Timestamp,
    ) -> Result<RecoveredDeliveries, Error> {
        self.post(&format!("/v1/webhooks/{id}/recover"), &WebhookRecovery { since: Some(since.to_string()) })
            .await
    }

    /// One page of the deliveries to an endpoint.
    pub async fn list_deliveries(
        &self,
        webhook: WebhookId,
        query: &DeliveriesQuery,
    ) -> Result<ListPage<Delivery>, Error> {
        let path = query.path(&format!("/v1/webhooks/{webhook}/deliveries"));
        let list: DeliveryList = self.get(&path).await?;
        Ok(ListPage { items: list.deliveries, pagination: list.pagination })
    }

    /// One page of the deliveries to all endpoints.
    pub async fn list_all_deliveries(&self, query: &DeliveriesQuery) -> Result<ListPage<Delivery>, Error> {
        let list: DeliveryList = self.get(&query.path("/v1/deliveries")).await?;
        Ok(ListPage { items: list.deliveries, pagination: list.pagination })
    }

    /// One delivery with its payload and the responses to its attempts.
    pub async fn get_delivery(&self, id: DeliveryId) -> Result<DeliveryDetails, Error> {
        self.get(&format!("/v1/deliveries/{id}")).await
    }

    /// Sends a delivery again.
    pub async fn redeliver(&self, id: DeliveryId) -> Result<Delivery, Error> {
        self.post_empty(&format!("/v1/deliveries/{id}/redeliver")).await
    }
}

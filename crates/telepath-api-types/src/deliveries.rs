//! `/v1/deliveries`: deliveries of events to webhook endpoints, with their attempts.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use telepath_core::clock::Timestamp;
use telepath_core::id::{DeliveryId, EventId, WebhookId};

#[cfg(feature = "openapi")]
use crate::enums;
use crate::page::Pagination;

/// The delivery of an event to an endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Delivery {
    /// The id.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "dlv_01k9v1n2xrf6t8g3m5q7w9y0za"))]
    pub id: DeliveryId,
    /// The endpoint.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "whk_01k9v1n2xrf6t8g3m5q7w9y0za"))]
    pub webhook_id: WebhookId,
    /// The event; also the header `webhook-id` of every attempt.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "evt_01k9v1n2xrf6t8g3m5q7w9y0za"))]
    pub event_id: EventId,
    /// The event's name.
    #[cfg_attr(feature = "openapi", schema(value_type = enums::EventName, example = "call.ended"))]
    pub event: String,
    /// `pending`, `delivered`, `exhausted`, `held` or `canceled`.
    #[cfg_attr(feature = "openapi", schema(value_type = enums::DeliveryStatus, example = "delivered"))]
    pub status: String,
    /// Number of attempts.
    pub attempt_count: u32,
    /// When the next attempt is due, while it is pending.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub next_attempt_at: Option<Timestamp>,
    /// When the event happened.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
    /// When it was delivered, exhausted or held.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub finished_at: Option<Timestamp>,
    /// The most recent attempts, the oldest first.
    pub attempts: Vec<DeliveryAttempt>,
}

/// The result of one attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeliveryAttempt {
    /// 1 for the first.
    pub number: u32,
    /// When it ended.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: Timestamp,
    /// Duration in milliseconds.
    pub duration_ms: u32,
    /// The status of the endpoint's response.
    pub status: Option<u16>,
    /// The class of the error; null for success.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<enums::DeliveryError>, example = "timed_out"))]
    pub error: Option<String>,
    /// The first 16 KiB of the response; only in a single delivery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<String>,
}

/// A delivery with its payload and the responses to its attempts.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeliveryDetails {
    #[serde(flatten)]
    pub delivery: Delivery,
    /// The request body, exactly as it is sent.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub payload: Box<RawValue>,
}

/// A page of deliveries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeliveryList {
    /// The newest event first by default.
    pub deliveries: Vec<Delivery>,
    pub pagination: Pagination,
}

/// The payload is kept byte for byte, which serde cannot do beside flattened members; so the text is read twice.
impl<'de> Deserialize<'de> for DeliveryDetails {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Payload {
            payload: Box<RawValue>,
        }
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let delivery = serde_json::from_str(text.get()).map_err(serde::de::Error::custom)?;
        let Payload { payload } = serde_json::from_str(text.get()).map_err(serde::de::Error::custom)?;
        Ok(Self { delivery, payload })
    }
}

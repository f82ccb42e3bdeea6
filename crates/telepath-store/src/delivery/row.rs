//! Rows of deliveries and of their attempts.

use telepath_core::clock::Timestamp;
use telepath_core::event::EventKind;
use telepath_core::id::{DeliveryId, EventId, WebhookId};
use telepath_core::reach::Reach;
use telepath_core::webhook::delivery::{DeliveryStatus, ErrorClass};

use crate::error::StoreError;
use crate::sql::within::{delivery_within, subscription_within};
use crate::sql::{Connection, Row, binds, corrupt, placeholders};

/// A delivery of an event to an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRecord {
    pub id: DeliveryId,
    pub webhook_id: WebhookId,
    pub event_id: EventId,
    pub kind: EventKind,
    pub status: DeliveryStatus,
    /// Attempts in total.
    pub attempts: u32,
    /// When the next attempt is due, while pending.
    pub next_at: Option<Timestamp>,
    /// When the event happened.
    pub created_at: Timestamp,
    /// When it was delivered, exhausted or held.
    pub finished_at: Option<Timestamp>,
    /// The attempts on record, oldest first.
    pub attempt_records: Vec<AttemptRecord>,
}

/// The result of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRecord {
    /// Counted from 1.
    pub number: u32,
    /// When the attempt ended.
    pub at: Timestamp,
    pub duration_ms: u32,
    /// The HTTP status of the response, if there was one.
    pub status: Option<u16>,
    /// The error; `None` for success.
    pub error: Option<ErrorClass>,
    /// The beginning of the response body; empty in lists.
    pub response_body: Vec<u8>,
}

/// A delivery with its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryDetails {
    /// The delivery with its attempts and their response bodies.
    pub record: DeliveryRecord,
    /// The exact request body.
    pub payload: String,
}

/// The columns that [`record_of`] reads.
pub(crate) const COLUMNS: &str =
    "id, webhook_id, event_id, kind, status, attempts, next_at, created_at, finished_at";

/// A delivery of an event within reach, without its attempts.
pub(crate) async fn record(
    db: &mut Connection,
    reach: &Reach,
    id: DeliveryId,
) -> Result<Option<DeliveryRecord>, StoreError> {
    let mut values = binds![id.to_string(), reach.account.to_string()];
    let of_endpoint = subscription_within(&reach.trunks, &mut values);
    let of_event = delivery_within(&reach.trunks, &mut values);
    let sql = format!(
        "SELECT {COLUMNS} FROM webhook_deliveries WHERE id = $1 AND account_id = $2 \
         AND webhook_id IN (SELECT id FROM webhooks WHERE deleted_at IS NULL{of_endpoint}){of_event}"
    );
    let row = db.fetch_optional(sql, values).await?;
    row.as_ref().map(record_of).transpose()
}

/// Adds the attempts on record to each delivery, without response bodies.
pub(crate) async fn add_attempts(
    db: &mut Connection,
    records: &mut [DeliveryRecord],
) -> Result<(), StoreError> {
    if records.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "SELECT delivery_id, number, at, duration_ms, status, error FROM webhook_attempts \
         WHERE delivery_id IN ({}) ORDER BY delivery_id, number",
        placeholders(1, records.len())
    );
    let ids = records.iter().map(|record| record.id.to_string().into()).collect();
    for row in db.fetch_all(sql, ids).await? {
        let id: DeliveryId = row.parse("delivery_id")?;
        if let Some(record) = records.iter_mut().find(|record| record.id == id) {
            record.attempt_records.push(attempt_of(&row)?);
        }
    }
    Ok(())
}

pub(crate) fn record_of(row: &Row) -> Result<DeliveryRecord, StoreError> {
    let status = row.named("status", DeliveryStatus::from_name)?;
    Ok(DeliveryRecord {
        id: row.parse("id")?,
        webhook_id: row.parse("webhook_id")?,
        event_id: row.parse("event_id")?,
        kind: row.named("kind", EventKind::from_name)?,
        status,
        attempts: row.number("attempts")?,
        next_at: if status == DeliveryStatus::Pending { Some(row.time("next_at")?) } else { None },
        created_at: row.time("created_at")?,
        finished_at: row.maybe_time("finished_at")?,
        attempt_records: Vec::new(),
    })
}

pub(super) fn attempt_of(row: &Row) -> Result<AttemptRecord, StoreError> {
    let status = row.maybe_integer("status")?;
    let error = row.maybe_text("error")?;
    Ok(AttemptRecord {
        number: row.number("number")?,
        at: row.time("at")?,
        duration_ms: row.number("duration_ms")?,
        status: status.map(|status| u16::try_from(status).map_err(|_| corrupt("status"))).transpose()?,
        error: match error {
            None => None,
            Some(name) => Some(ErrorClass::from_name(&name).ok_or_else(|| corrupt("error"))?),
        },
        response_body: Vec::new(),
    })
}

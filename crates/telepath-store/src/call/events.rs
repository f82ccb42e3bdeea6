//! The events of a call, with their deliveries, for the page of one call.

use std::collections::BTreeMap;

use telepath_core::clock::Timestamp;
use telepath_core::event::EventKind;
use telepath_core::id::{CallId, EventId};
use telepath_core::reach::Reach;

use crate::delivery::row::{COLUMNS, DeliveryRecord, add_attempts, record_of};
use crate::error::StoreError;
use crate::sql::within::{delivery_within, subscription_within, trunk_within};
use crate::sql::{binds, corrupt};
use crate::store::Store;

/// The most events that are read of a call, and the most deliveries of them all.
const MAX_EVENTS: i64 = 50;
const MAX_DELIVERIES: i64 = 100;

/// An event of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallEvent {
    pub id: EventId,
    pub kind: EventKind,
    /// When it happened.
    pub at: Timestamp,
    /// To each endpoint, with attempts but without response bodies.
    pub deliveries: Vec<DeliveryRecord>,
}

impl Store {
    /// The first events of a call of a trunk within reach, oldest first, as far as they are kept. At most 50 events and 100
    /// deliveries, read with three statements.
    pub async fn call_events(
        &self,
        reach: impl Into<Reach>,
        call: CallId,
    ) -> Result<Vec<CallEvent>, StoreError> {
        let Reach { account, trunks } = reach.into();
        let mut values = binds![call.to_string(), account.to_string(), MAX_EVENTS];
        let within = trunk_within("trunk_id", &trunks, &mut values);
        let sql = format!(
            "SELECT id, kind, created_at FROM outbox_events WHERE subject = $1 AND account_id = $2{within} \
             ORDER BY sequence LIMIT $3"
        );
        let mut db = self.backend.read().await?;
        let mut events = Vec::new();
        for row in db.fetch_all(sql, values).await? {
            let kind = EventKind::from_name(&row.text("kind")?).ok_or_else(|| corrupt("kind"))?;
            let (id, at) = (row.parse("id")?, row.time("created_at")?);
            events.push(CallEvent { id, kind, at, deliveries: Vec::new() });
        }
        if events.is_empty() {
            return Ok(events);
        }
        let mut values = binds![call.to_string(), account.to_string(), MAX_DELIVERIES];
        let of_endpoint = subscription_within(&trunks, &mut values);
        let of_event = delivery_within(&trunks, &mut values);
        let sql = format!(
            "SELECT {COLUMNS} FROM webhook_deliveries WHERE account_id = $2 AND event_id IN \
             (SELECT id FROM outbox_events WHERE subject = $1 AND account_id = $2) AND webhook_id IN \
             (SELECT id FROM webhooks WHERE account_id = $2 AND deleted_at IS NULL{of_endpoint}){of_event} \
             ORDER BY id LIMIT $3"
        );
        let rows = db.fetch_all(sql, values).await?;
        let mut deliveries = rows.iter().map(record_of).collect::<Result<Vec<_>, _>>()?;
        add_attempts(&mut db, &mut deliveries).await?;
        let mut by_event: BTreeMap<EventId, Vec<DeliveryRecord>> = BTreeMap::new();
        for delivery in deliveries {
            by_event.entry(delivery.event_id).or_default().push(delivery);
        }
        for event in &mut events {
            event.deliveries = by_event.remove(&event.id).unwrap_or_default();
        }
        Ok(events)
    }
}

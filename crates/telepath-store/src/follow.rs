//! Events of calls, alerts and attempted deliveries in the order in which they were written, for readers that follow them. An id
//! or a time is made shortly before its transaction commits, so a reader stays behind the present by more than that: a row that
//! commits late is never skipped.

use std::time::Duration;

use telepath_core::alert::Alert;
use telepath_core::clock::Timestamp;
use telepath_core::event::EventKind;
use telepath_core::event::family::EventFamily;
use telepath_core::id::{AccountId, AlertId, DeliveryId, EventId, Id as _};
use telepath_core::reach::Reach;

use crate::alert::list::{COLUMNS, FROM, alert_of};
use crate::delivery::row::{COLUMNS as DELIVERY_COLUMNS, DeliveryRecord, add_attempts, record_of};
use crate::error::StoreError;
use crate::sql::within::{delivery_within, subscription_within, trunk_within};
use crate::sql::{Row, Value, binds, placeholders};
use crate::store::Store;

/// How far readers stay behind: with one writer, and with several servers whose clocks differ.
const LAG: Duration = Duration::from_millis(500);
const LAG_OF_SEVERAL: Duration = Duration::from_secs(2);

/// An event of a call or of its agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowedEvent {
    pub id: EventId,
    pub kind: EventKind,
    /// The body that webhooks receive, as JSON.
    pub payload: String,
}

/// The place of a delivery in the order of last attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptedDelivery {
    /// When the attempt ended.
    pub at: Timestamp,
    pub id: DeliveryId,
}

impl Store {
    /// The moment before which every id is committed.
    pub fn settled_until(&self) -> Timestamp {
        self.now().minus(if self.cluster.node_id().is_some() { LAG_OF_SEVERAL } else { LAG })
    }

    /// Events of calls within reach after one, up to the settled ones, at most `limit`.
    pub async fn call_events_after(
        &self,
        reach: impl Into<Reach>,
        after: EventId,
        limit: u32,
    ) -> Result<Vec<FollowedEvent>, StoreError> {
        let Reach { account, trunks } = reach.into();
        let until = EventId::first_of(self.settled_until());
        let mut values = binds![account.to_string(), after.to_string(), until.to_string(), limit];
        let kinds = EventKind::ALL.iter().filter(|kind| match kind.family() {
            EventFamily::Call | EventFamily::Agent => true,
            EventFamily::Key | EventFamily::Webhook => false,
        });
        let first = values.len() + 1;
        values.extend(kinds.map(|kind| Value::from(kind.name())));
        let kinds = placeholders(first, values.len() + 1 - first);
        let within = trunk_within("trunk_id", &trunks, &mut values);
        let sql = format!(
            "SELECT id, kind, payload FROM outbox_events WHERE account_id = $1 AND id > $2 AND id < $3 \
             AND kind IN ({kinds}){within} ORDER BY id LIMIT $4"
        );
        let rows = self.backend.read().await?.fetch_all(sql, values).await?;
        let event = |row: &Row| {
            Ok(FollowedEvent {
                id: row.parse("id")?,
                kind: row.named("kind", EventKind::from_name)?,
                payload: row.text("payload")?,
            })
        };
        rows.iter().map(event).collect()
    }

    /// Alerts of an account after one, up to the settled ones, at most `limit`.
    pub async fn alerts_after(
        &self,
        account: AccountId,
        after: AlertId,
        limit: u32,
    ) -> Result<Vec<Alert>, StoreError> {
        let until = AlertId::first_of(self.settled_until());
        let sql = format!(
            "SELECT {COLUMNS} {FROM} WHERE a.account_id = $1 AND a.id > $2 AND a.id < $3 ORDER BY a.id LIMIT $4"
        );
        let values = binds![account.to_string(), after.to_string(), until.to_string(), limit];
        let rows = self.backend.read().await?.fetch_all(sql, values).await?;
        rows.iter().map(alert_of).collect()
    }

    /// Deliveries within reach whose last attempt ended after one, up to the settled ones, at most `limit`, with attempts but
    /// without response bodies. A delivery that is attempted again moves to its new place.
    pub async fn attempted_deliveries_after(
        &self,
        reach: impl Into<Reach>,
        after: AttemptedDelivery,
        limit: u32,
    ) -> Result<Vec<(AttemptedDelivery, DeliveryRecord)>, StoreError> {
        let Reach { account, trunks } = reach.into();
        let until = self.settled_until();
        let mut values = binds![account.to_string(), after.at, after.id.to_string(), until, limit];
        let of_event = delivery_within(&trunks, &mut values);
        let of_endpoint = subscription_within(&trunks, &mut values);
        let sql = format!(
            "SELECT {DELIVERY_COLUMNS}, attempted_at FROM webhook_deliveries WHERE account_id = $1 AND attempted_at >= $2 \
             AND (attempted_at > $2 OR id > $3) AND attempted_at < $4{of_event} AND webhook_id IN \
             (SELECT id FROM webhooks WHERE account_id = $1 AND deleted_at IS NULL{of_endpoint}) \
             ORDER BY attempted_at, id LIMIT $5"
        );
        let mut db = self.backend.read().await?;
        let rows = db.fetch_all(sql, values).await?;
        let mut records = rows.iter().map(record_of).collect::<Result<Vec<_>, _>>()?;
        add_attempts(&mut db, &mut records).await?;
        let at = rows.iter().map(|row| row.time("attempted_at"));
        at.zip(records)
            .map(|(at, record)| Ok((AttemptedDelivery { at: at?, id: record.id }, record)))
            .collect()
    }
}

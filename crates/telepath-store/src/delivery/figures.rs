//! How deliveries went in the last 24 hours, by endpoint: success by hour, how long events waited for their delivery, and what
//! still waits. One statement for all endpoints of an account; the number of deliveries that are read is bounded.

use std::collections::BTreeMap;
use std::time::Duration;

use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, WebhookId};
use telepath_core::webhook::delivery::DeliveryStatus;

use crate::error::StoreError;
use crate::sql::binds;
use crate::store::Store;

/// The most deliveries of an account that are counted, the latest first.
pub const MOST_COUNTED: usize = 10_000;
/// The hours that are counted.
pub const COUNTED_HOURS: usize = 24;
const HOUR: Duration = Duration::from_hours(1);

/// Deliveries that were attempted in one hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AttemptedHour {
    pub delivered: u64,
    /// Those whose last attempt failed, whether or not they are tried again.
    pub failed: u64,
}

/// How the deliveries to an endpoint went.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EndpointFigures {
    /// By the hour of their last attempt, the earliest first; the last one ends now.
    pub hours: [AttemptedHour; COUNTED_HOURS],
    /// Those that are not tried again.
    pub exhausted: u64,
    /// How long events waited until they were delivered, in milliseconds, the shortest first.
    waits: Vec<u64>,
    /// Since when the oldest due delivery has waited; its attempt may be running.
    pub waiting_since: Option<Timestamp>,
}

/// How the deliveries of an account went.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeliveryFigures {
    endpoints: BTreeMap<WebhookId, EndpointFigures>,
    /// Whether there were more than [`MOST_COUNTED`]; the figures are those of the latest then.
    pub is_partial: bool,
}

impl DeliveryFigures {
    /// The figures of an endpoint; all zero if nothing was attempted.
    pub fn of(&self, endpoint: WebhookId) -> EndpointFigures {
        self.endpoints.get(&endpoint).cloned().unwrap_or_default()
    }
}

impl EndpointFigures {
    /// The deliveries of all hours.
    pub fn total(&self) -> AttemptedHour {
        self.hours.iter().fold(AttemptedHour::default(), |sum, hour| AttemptedHour {
            delivered: sum.delivered.saturating_add(hour.delivered),
            failed: sum.failed.saturating_add(hour.failed),
        })
    }

    /// How long an event waited at most in `percent` of the deliveries; `None` if nothing was delivered.
    pub fn lag(&self, percent: usize) -> Option<Duration> {
        // The nearest rank, at least the first.
        let rank = (self.waits.len() * percent.min(100)).div_ceil(100).max(1);
        self.waits.get(rank - 1).copied().map(Duration::from_millis)
    }
}

impl Store {
    /// How the deliveries to the endpoints of an account went in the last 24 hours; or those to one endpoint only.
    pub async fn delivery_figures(
        &self,
        account: AccountId,
        endpoint: Option<WebhookId>,
    ) -> Result<DeliveryFigures, StoreError> {
        let (now, endpoint) = (self.now(), endpoint.map(|id| id.to_string()));
        let start = now.minus(HOUR * 24);
        let limit = i64::try_from(MOST_COUNTED + 1).unwrap_or(i64::MAX);
        let mut db = self.backend.read().await?;
        let (mut figures, mut rows) = (DeliveryFigures::default(), 0_usize);
        // The index by account and attempt bounds what is read of the past. The last rows, without a status, are one look-up in
        // the index of pending deliveries for each endpoint. The time of a leased delivery is the end of its lease, so a
        // delivery whose attempt is running does not count.
        let sql = "SELECT webhook_id, status, created_at, attempted_at FROM \
             (SELECT webhook_id, status, created_at, attempted_at, id FROM webhook_deliveries WHERE account_id = $1 \
             AND attempted_at > $2 ORDER BY attempted_at DESC, id DESC LIMIT $3) latest \
             WHERE $4 IS NULL OR webhook_id = $4 \
             UNION ALL SELECT w.id, NULL, (SELECT min(d.next_at) FROM webhook_deliveries d \
             WHERE d.webhook_id = w.id AND d.status = 'pending'), NULL FROM webhooks w \
             WHERE w.account_id = $1 AND w.status = 'active' AND w.deleted_at IS NULL AND ($4 IS NULL OR w.id = $4)";
        let values = binds![account.to_string(), start, limit, endpoint];
        db.fetch_each(sql.to_owned(), values, |row| {
            let of = figures.endpoints.entry(row.parse("webhook_id")?).or_default();
            if row.maybe_text("status")?.is_none() {
                of.waiting_since = row.maybe_time("created_at")?.filter(|due| *due <= now);
                return Ok(());
            }
            rows += 1;
            if rows > MOST_COUNTED {
                return Ok(());
            }
            let (created, attempted) = (row.time("created_at")?, row.time("attempted_at")?);
            of.count(row.named("status", DeliveryStatus::from_name)?, created, (attempted, start));
            Ok(())
        })
        .await?;
        figures.is_partial = rows > MOST_COUNTED;
        figures.endpoints.values_mut().for_each(|endpoint| endpoint.waits.sort_unstable());
        Ok(figures)
    }
}

impl EndpointFigures {
    fn count(
        &mut self,
        status: DeliveryStatus,
        created: Timestamp,
        (attempted, start): (Timestamp, Timestamp),
    ) {
        let hour = attempted.since(start).as_secs() / HOUR.as_secs();
        let place = usize::try_from(hour).unwrap_or(usize::MAX).min(COUNTED_HOURS - 1);
        let Some(hour) = self.hours.get_mut(place) else { return };
        match status {
            DeliveryStatus::Delivered => {
                hour.delivered += 1;
                self.waits.push(u64::try_from(attempted.since(created).as_millis()).unwrap_or(u64::MAX));
            }
            DeliveryStatus::Exhausted => {
                hour.failed += 1;
                self.exhausted += 1;
            }
            // It has been attempted, or it would not be counted: the attempt failed.
            DeliveryStatus::Pending | DeliveryStatus::Held | DeliveryStatus::Canceled => hour.failed += 1,
        }
    }
}

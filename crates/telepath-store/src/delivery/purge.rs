//! Deletes finished deliveries after thirty days, what belongs to deleted endpoints, and events without deliveries; a
//! few rows at a time, so that no change waits long.

use telepath_core::clock::Timestamp;
use telepath_core::webhook::delivery::KEPT;

use crate::error::StoreError;
use crate::sql::{Connection, Value, binds};
use crate::store::Store;

/// Rows per transaction.
const ROWS: i64 = 500;
/// Transactions per call; the rest waits for the next call.
const ROUNDS: u32 = 200;

impl Store {
    /// Deletes what has expired; returns the number of rows.
    pub async fn purge_deliveries(&self) -> Result<u64, StoreError> {
        let mut removed = 0;
        for _ in 0..ROUNDS {
            let now = self.now();
            let some = self.backend.write(move |db| Box::pin(clear_some(db, now))).await?;
            removed += some;
            if some == 0 {
                break;
            }
        }
        Ok(removed)
    }
}

async fn clear_some(db: &mut Connection, now: Timestamp) -> Result<u64, StoreError> {
    // Pending deliveries of a disabled endpoint: they were in flight when it was disabled and never finished.
    let held = "UPDATE webhook_deliveries SET status = 'held', lease = NULL, finished_at = $1 \
                WHERE status = 'pending' AND next_at <= $1 \
                AND webhook_id IN (SELECT id FROM webhooks WHERE status = 'disabled')";
    db.execute(held, binds![now]).await?;
    let before = now.minus(KEPT);
    let old = "(SELECT id FROM webhook_deliveries WHERE finished_at < $1 ORDER BY finished_at LIMIT $2)";
    let mut removed = remove(db, old, binds![before, ROWS]).await?;
    let orphans = "(SELECT d.id FROM webhooks w JOIN webhook_deliveries d ON d.webhook_id = w.id \
                   WHERE w.deleted_at < $1 LIMIT $2)";
    removed += remove(db, orphans, binds![now, ROWS]).await?;
    let endpoints = "DELETE FROM webhooks WHERE deleted_at < $1 \
                     AND NOT EXISTS (SELECT 1 FROM webhook_deliveries d WHERE d.webhook_id = webhooks.id)";
    removed += db.execute(endpoints, binds![now]).await?;
    let events = "DELETE FROM outbox_events WHERE id IN (SELECT e.id FROM outbox_events e WHERE e.created_at < $1 \
                  AND NOT EXISTS (SELECT 1 FROM webhook_deliveries d WHERE d.event_id = e.id) \
                  ORDER BY e.created_at LIMIT $2)";
    removed += db.execute(events, binds![before, ROWS]).await?;
    Ok(removed)
}

/// Deletes the deliveries of a subquery with their attempts.
async fn remove(db: &mut Connection, which: &'static str, values: Vec<Value>) -> Result<u64, StoreError> {
    let attempts = format!("DELETE FROM webhook_attempts WHERE delivery_id IN {which}");
    db.execute(attempts, values.clone()).await?;
    db.execute(format!("DELETE FROM webhook_deliveries WHERE id IN {which}"), values).await
}

//! Deletes finished deliveries after thirty days, what belongs to deleted endpoints, events without deliveries, and the sequence
//! numbers of calls and endpoints that have no events any more; a few rows at a time, so that no change waits long.

use std::collections::BTreeSet;

use telepath_core::clock::Timestamp;
use telepath_core::webhook::delivery::KEPT;

use super::responses::forget_responses;
use crate::error::StoreError;
use crate::sql::{Connection, Value, binds, placeholders};
use crate::store::Store;

/// Rows per transaction.
const ROWS: i64 = 500;
/// Transactions per call; the rest waits for the next call.
const ROUNDS: u32 = 200;

impl Store {
    /// Deletes what has expired; returns the number of rows.
    pub async fn purge_deliveries(&self) -> Result<u64, StoreError> {
        let (mut removed, expires) = (0, self.retention_time().await?.earliest);
        for _ in 0..ROUNDS {
            let now = self.now();
            let some = self.backend.write(move |db| Box::pin(clear_some(db, now, expires))).await?;
            removed += some;
            if some == 0 {
                break;
            }
        }
        Ok(removed)
    }
}

async fn clear_some(db: &mut Connection, now: Timestamp, expires: Timestamp) -> Result<u64, StoreError> {
    hold_left_over(db, now).await?;
    let before = expires.minus(KEPT);
    let old = "SELECT id FROM webhook_deliveries WHERE finished_at < $1 ORDER BY finished_at LIMIT $2";
    let mut removed = remove_deliveries(db, old, binds![before, ROWS]).await?;
    let orphans = "SELECT id FROM webhook_deliveries \
                   WHERE webhook_id IN (SELECT id FROM webhooks WHERE deleted_at < $1) LIMIT $2";
    removed += remove_deliveries(db, orphans, binds![expires, ROWS]).await?;
    let endpoints = "SELECT id FROM webhooks WHERE deleted_at < $1 \
                     AND NOT EXISTS (SELECT 1 FROM webhook_deliveries d WHERE d.webhook_id = webhooks.id) LIMIT $2";
    let endpoints = locked_ids(db, endpoints, binds![expires, ROWS]).await?;
    removed += delete(db, "webhooks", "id", endpoints.clone()).await?;
    let events = "SELECT id, subject FROM outbox_events WHERE created_at < $1 \
                  AND NOT EXISTS (SELECT 1 FROM webhook_deliveries d WHERE d.event_id = outbox_events.id) \
                  ORDER BY created_at LIMIT $2";
    removed += remove_events(db, events, binds![before, ROWS], endpoints).await?;
    Ok(removed)
}

/// Subjects of which there will be no further event: calls that are over, and deleted endpoints and keys.
const ENDED: &str = "(subject LIKE 'call!_%' ESCAPE '!' AND NOT EXISTS \
    (SELECT 1 FROM calls c WHERE c.id = outbox_subjects.subject AND c.status = 'connected') \
    OR subject LIKE 'whk!_%' ESCAPE '!' AND NOT EXISTS \
    (SELECT 1 FROM webhooks w WHERE w.id = outbox_subjects.subject) \
    OR subject LIKE 'key!_%' ESCAPE '!' AND NOT EXISTS \
    (SELECT 1 FROM keys k WHERE k.id = outbox_subjects.subject))";

/// Deletes the events that a query selects, and the sequence numbers of their subjects and of `subjects` if nothing is left
/// of them. A call's last change and its event are one transaction, so one statement sees either a live call or the event.
async fn remove_events(
    db: &mut Connection,
    which: &'static str,
    values: Vec<Value>,
    mut subjects: Vec<Value>,
) -> Result<u64, StoreError> {
    let rows = db.fetch_all(format!("{which}{}", db.skip_locked()), values).await?;
    let mut ids = Vec::with_capacity(rows.len());
    let mut of_events = BTreeSet::new();
    for row in &rows {
        ids.push(row.text("id")?.into());
        of_events.insert(row.text("subject")?);
    }
    subjects.extend(of_events.into_iter().map(Value::from));
    if subjects.is_empty() {
        return Ok(0);
    }
    let of = format!("subject IN ({}) AND {ENDED}", placeholders(1, subjects.len()));
    // If another server deletes the other events of a subject at the same time, the second of the two finds none left.
    let lock = format!("SELECT subject FROM outbox_subjects WHERE {of} ORDER BY subject");
    db.lock_all(lock, subjects.clone()).await?;
    let events = delete(db, "outbox_events", "id", ids).await?;
    let unused = format!(
        "DELETE FROM outbox_subjects WHERE {of} AND NOT EXISTS \
         (SELECT 1 FROM outbox_events e WHERE e.subject = outbox_subjects.subject)"
    );
    Ok(events + db.execute(unused, subjects).await?)
}

/// Holds pending deliveries of disabled endpoints: they were in flight when the endpoint was disabled and never finished.
/// The endpoint is locked first, as everywhere.
async fn hold_left_over(db: &mut Connection, now: Timestamp) -> Result<(), StoreError> {
    let disabled = "SELECT id FROM webhooks WHERE status = 'disabled' AND EXISTS (SELECT 1 FROM webhook_deliveries d \
                    WHERE d.webhook_id = webhooks.id AND d.status = 'pending' AND d.next_at <= $1) ORDER BY id LIMIT $2";
    for id in locked_ids(db, disabled, binds![now, ROWS]).await? {
        let held = "UPDATE webhook_deliveries SET status = 'held', lease = NULL, finished_at = $2 \
                    WHERE webhook_id = $1 AND status = 'pending' AND next_at <= $2";
        db.execute(held, vec![id, now.into()]).await?;
    }
    Ok(())
}

/// Deletes the deliveries that a query selects, with their attempts.
async fn remove_deliveries(
    db: &mut Connection,
    which: &'static str,
    values: Vec<Value>,
) -> Result<u64, StoreError> {
    let ids = locked_ids(db, which, values).await?;
    forget_responses(db, &ids).await?;
    delete(db, "webhook_attempts", "delivery_id", ids.clone()).await?;
    delete(db, "webhook_deliveries", "id", ids).await
}

/// The ids that a query selects, without rows that other transactions hold, so that two servers that purge at once do not
/// wait for each other.
async fn locked_ids(
    db: &mut Connection,
    which: &'static str,
    values: Vec<Value>,
) -> Result<Vec<Value>, StoreError> {
    let rows = db.fetch_all(format!("{which}{}", db.skip_locked()), values).await?;
    rows.iter().map(|row| Ok(row.text("id")?.into())).collect()
}

async fn delete(
    db: &mut Connection,
    table: &'static str,
    column: &'static str,
    ids: Vec<Value>,
) -> Result<u64, StoreError> {
    if ids.is_empty() {
        return Ok(0);
    }
    let sql = format!("DELETE FROM {table} WHERE {column} IN ({})", placeholders(1, ids.len()));
    db.execute(sql, ids).await
}

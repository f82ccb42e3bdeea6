//! Figures about the database for metrics. Each costs a few index look-ups at most, so they can be read every few seconds.

use std::time::Duration;

use crate::error::StoreError;
use crate::store::Store;

/// Figures about the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StorageStats {
    /// The size of the database. For SQLite, of its pages, without the write-ahead log.
    pub database_bytes: u64,
    /// How long the oldest due delivery of an active endpoint has waited for its attempt. Zero if none is due.
    pub oldest_due_delivery: Duration,
}

impl Store {
    /// Reads the figures.
    pub async fn storage_stats(&self) -> Result<StorageStats, StoreError> {
        let mut db = self.backend.read().await?;
        let size = if db.is_postgres() {
            "SELECT pg_database_size(current_database()) AS bytes"
        } else {
            "SELECT page_count * page_size AS bytes FROM pragma_page_count(), pragma_page_size()"
        };
        let database_bytes = db.fetch_one(size, vec![]).await?.number("bytes")?;
        // One look-up in the index of pending deliveries for each active endpoint. The time of a leased delivery is the end of
        // its lease, so a delivery whose attempt is running does not count.
        let oldest = "SELECT min(next) AS oldest FROM (SELECT (SELECT min(d.next_at) FROM webhook_deliveries d \
             WHERE d.webhook_id = w.id AND d.status = 'pending') AS next FROM webhooks w \
             WHERE w.status = 'active' AND w.deleted_at IS NULL) due";
        let oldest = db.fetch_one(oldest, vec![]).await?.maybe_time("oldest")?;
        let oldest_due_delivery = oldest.map_or(Duration::ZERO, |due| self.now().since(due));
        Ok(StorageStats { database_bytes, oldest_due_delivery })
    }
}

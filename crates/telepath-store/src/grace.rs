//! Grace periods that were granted while the clock was ahead. A running server ends the secrets of keys by its steady clock; here the
//! database learns of it, so that a restart does not prolong them.

use std::time::Duration;

use telepath_core::clock::{ClockReading, Timestamp};
use telepath_core::secret::HashedKey;

use crate::error::StoreError;
use crate::key_table::KeyTable;
use crate::key_table::snapshot::GracePeriod;
use crate::retention_time::RetentionTime;
use crate::sql::{Connection, binds};
use crate::store::Store;

/// Secrets per transaction.
const BATCH: i64 = 500;

impl Store {
    /// Moves grace periods that lie ahead to the present; returns how many. A key's secret keeps the time that this server knows
    /// it has left; the old secret of an endpoint signs for its whole grace period again.
    pub async fn correct_grace_periods(&self) -> Result<u64, StoreError> {
        let RetentionTime { latest, .. } = self.retention_time().await?;
        let mut corrected = 0;
        loop {
            let (keys, steady) = (self.keys.clone(), self.clock().steady());
            let now = ClockReading { wall: latest, steady };
            let some =
                self.backend.write(move |db| Box::pin(async move { correct_keys(db, &keys, now).await }));
            let some: u64 = some.await?;
            corrected += some;
            if some < BATCH.unsigned_abs() {
                break;
            }
        }
        let sql = "UPDATE webhook_secrets SET expires_at = expires_at - grace_from + $1, grace_from = $1 \
                   WHERE grace_from > $2";
        Ok(corrected + self.backend.execute(sql, binds![latest, latest.horizon(Duration::ZERO)]).await?)
    }
}

async fn correct_keys(db: &mut Connection, keys: &KeyTable, now: ClockReading) -> Result<u64, StoreError> {
    let sql = "SELECT id, hash, expires_at, grace_from FROM key_secrets WHERE ended_at IS NULL AND grace_from > $1 \
               ORDER BY grace_from LIMIT $2";
    let rows = db.fetch_all(sql, binds![now.wall.horizon(Duration::ZERO), BATCH]).await?;
    for row in &rows {
        let (granted_at, ends_at) = (row.time("grace_from")?, row.time("expires_at")?);
        let grace = GracePeriod { granted_at, ends_at };
        let known = keys.steady_end(&HashedKey::from_bytes(row.array("hash")?));
        let left = known.map_or(grace.length(), |end| {
            Timestamp::from_unix_ms(end.ms()).since(Timestamp::from_unix_ms(now.steady.ms()))
        });
        let ends_at = now.wall.plus(left.min(grace.length()));
        // Only if it is still the same grace period: meanwhile the key may have been rotated again.
        let sql = "UPDATE key_secrets SET expires_at = $2, grace_from = $3 WHERE id = $1 AND grace_from = $4";
        let values = binds![row.text("id")?, ends_at, ends_at.minus(grace.length()), granted_at];
        db.execute(sql, values).await?;
    }
    Ok(rows.len() as u64)
}

//! The size of the request log. The sum of all segments is a row that changes with them, so each write compares it with
//! the limit and deletes the oldest segments beyond it.

use telepath_core::clock::Timestamp;

use crate::error::StoreError;
use crate::sql::{Connection, binds};
use crate::store::Store;

/// Segments deleted per transaction; few, so that changes never wait long.
pub(crate) const SEGMENTS: i64 = 200;

impl Store {
    /// Deletes the oldest segments beyond the largest size. Those that are not in the counters yet are added first.
    pub(super) async fn trim_request_log(&self) -> Result<(), StoreError> {
        let most = i64::try_from(self.request_log_bytes).unwrap_or(i64::MAX);
        let mut rolled_up = false;
        loop {
            let excess = size(&mut self.backend.read().await?).await? - most;
            if excess <= 0 {
                return Ok(());
            }
            if self.backend.write(move |db| Box::pin(delete_oldest(db, excess))).await? > 0 {
                continue;
            }
            if rolled_up {
                // Another server is adding the rest to the counters; the next write deletes it.
                return Ok(());
            }
            self.roll_up_segments().await?;
            rolled_up = true;
        }
    }
}

/// The bytes of all segments.
async fn size(db: &mut Connection) -> Result<i64, StoreError> {
    db.fetch_one("SELECT bytes FROM request_log_size WHERE id = 1", vec![]).await?.integer("bytes")
}

/// Adds to the bytes of all segments. `bytes` can be negative.
pub(super) async fn add(db: &mut Connection, bytes: i64) -> Result<(), StoreError> {
    let sql = "UPDATE request_log_size SET bytes = bytes + $1 WHERE id = 1";
    db.execute(sql, binds![bytes]).await.map(drop)
}

/// Deletes segments from the oldest on until `excess` bytes are gone, as far as they are in the counters and fit into one
/// transaction; returns their number.
async fn delete_oldest(db: &mut Connection, excess: i64) -> Result<u64, StoreError> {
    let sql = "SELECT written_at, bytes, folded FROM request_segments ORDER BY written_at LIMIT $1";
    let (mut freed, mut before) = (0, None);
    for row in db.fetch_all(sql, binds![SEGMENTS]).await? {
        if freed >= excess || row.integer("folded")? < 16 {
            break;
        }
        freed += row.integer("bytes")?;
        before = Some(row.integer("written_at")? + 1);
    }
    match before {
        Some(before) => delete_before(db, Timestamp::from_unix_ms(before)).await,
        None => Ok(0),
    }
}

/// Deletes segments that were written before a moment and are in the counters; returns their number.
pub(crate) async fn delete_before(db: &mut Connection, before: Timestamp) -> Result<u64, StoreError> {
    let sql = "DELETE FROM request_segments WHERE id IN \
               (SELECT id FROM request_segments WHERE written_at < $1 AND folded >= 16 \
                ORDER BY written_at LIMIT $2) RETURNING bytes";
    let deleted = db.fetch_all(sql, binds![before, SEGMENTS]).await?;
    let mut freed = 0;
    for row in &deleted {
        freed += row.integer("bytes")?;
    }
    add(db, -freed).await?;
    Ok(deleted.len() as u64)
}

//! Writes segments. A segment keeps its id until it is known to be in the database, so a segment whose commit had an
//! unknown outcome is written again without being duplicated.

use telepath_core::clock::Timestamp;

use super::encode::encode;
use super::{MAX_WAITING, Segment, Waiting, size};
use crate::error::StoreError;
use crate::sql::{Connection, binds};
use crate::store::Store;

/// Segments per transaction: at most 4 MiB.
const GROUP: usize = 16;

impl Store {
    /// Writes all requests not yet in the database; returns the number of segments.
    pub(crate) async fn write_requests(&self) -> Result<usize, StoreError> {
        let mut waiting = self.requests.waiting.lock().await;
        self.gather(&mut waiting)?;
        let mut written = 0;
        while !waiting.segments.is_empty() {
            let group = stamped(&mut waiting, self.now());
            let (count, bytes) =
                (group.len(), group.iter().map(|(_, segment)| segment.payload.len()).sum::<usize>());
            self.backend.write(move |db| Box::pin(insert(db, group))).await?;
            // Only now: if the caller is cancelled before this point, nothing is lost.
            waiting.segments.drain(..count);
            waiting.bytes = waiting.bytes.saturating_sub(bytes);
            written += count;
        }
        drop(waiting);
        if written > 0 {
            self.trim_request_log().await?;
        }
        Ok(written)
    }

    /// Moves the buffer's contents to the queue, unless the queue is full.
    fn gather(&self, waiting: &mut Waiting) -> Result<(), StoreError> {
        if waiting.bytes >= MAX_WAITING {
            return Ok(());
        }
        let log = &self.requests;
        log.buffer.take(&mut waiting.taken);
        let routes = log.routes.get().map_or(&[][..], Vec::as_slice);
        let now = self.now();
        let segments = encode(&waiting.taken, routes, || self.new_id(now));
        if segments.is_err() {
            log.buffer.count_lost(&waiting.taken);
        }
        waiting.taken.clear();
        for segment in segments? {
            waiting.bytes += segment.payload.len();
            waiting.segments.push_back(segment);
        }
        Ok(())
    }
}

/// The next segments with unique timestamps, so that the order of the log is the order of writing.
fn stamped(waiting: &mut Waiting, now: Timestamp) -> Vec<(Timestamp, Segment)> {
    let mut last = waiting.last_written;
    let stamp = |segment: &Segment| {
        last = now.max(Timestamp::from_unix_ms(last.unix_ms() + 1));
        (last, segment.clone())
    };
    let group = waiting.segments.iter().take(GROUP).map(stamp).collect();
    waiting.last_written = last;
    group
}

async fn insert(db: &mut Connection, group: Vec<(Timestamp, Segment)>) -> Result<(), StoreError> {
    let mut added = 0;
    for (written_at, segment) in group {
        let bytes = i64::try_from(segment.payload.len()).unwrap_or(i64::MAX);
        let inserted = db
            .execute(
                "INSERT INTO request_segments (id, account_id, written_at, first_at, bytes, folded) \
             VALUES ($1, $2, $3, $4, $5, 0) ON CONFLICT (id) DO NOTHING",
                binds![
                    segment.id.to_string(),
                    segment.account.to_string(),
                    written_at,
                    segment.first_at,
                    bytes,
                ],
            )
            .await?;
        // A segment whose commit had an unknown outcome may be there already.
        if inserted > 0 {
            added += bytes;
        }
        db.execute(
            "INSERT INTO request_payloads (segment_id, payload) VALUES ($1, $2) \
             ON CONFLICT (segment_id) DO NOTHING",
            binds![segment.id.to_string(), segment.payload.as_slice()],
        )
        .await?;
    }
    size::add(db, added).await
}

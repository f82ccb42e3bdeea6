//! Rollup: the segments of the request log are added to the counters, each exactly once. A segment records how many
//! of its partitions are in the counters; one transaction raises that number and adds those partitions. A crash
//! neither loses nor repeats anything, and when two servers roll up the same segment, one finds the number changed
//! and stops.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use telepath_core::request::segment;
use telepath_core::usage::{PARTS, Totals};

use super::totals;
use crate::error::StoreError;
use crate::sql::{Connection, Value, binds, placeholders};
use crate::store::Store;

/// Segments per read: at most 16 MiB.
const PAGE: usize = 64;
/// Segments added up together. More segments mean fewer writes: a key that is in all of them is written once.
const SEGMENTS: usize = 1024;
/// Approximate number of rows added up together; bounds memory.
const MAX_ROWS: usize = 250_000;
/// Approximate number of rows per transaction; small, so that other changes never wait long.
const ROWS_PER_TRANSACTION: usize = 4096;
/// How many conflicts with another server end a run; the other server does the rest.
const MAX_CONFLICTS: usize = 8;

/// Why partitions were not added.
enum RollupConflict {
    /// Another server has added them.
    AlreadyApplied,
    Failed(StoreError),
}

impl From<StoreError> for RollupConflict {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

/// Segments with the same number of partitions left to add.
#[derive(Default)]
struct Batch {
    ids: Vec<String>,
    totals: Totals,
}

impl Store {
    pub(crate) async fn roll_up_segments(&self) -> Result<(), StoreError> {
        let mut conflicts = 0;
        loop {
            let (is_last, batches) = self.pending_segments().await?;
            for (folded, batch) in batches {
                match self.roll_up_batch(folded, batch).await {
                    Ok(()) => {}
                    Err(RollupConflict::AlreadyApplied) => conflicts += 1,
                    Err(RollupConflict::Failed(error)) => return Err(error),
                }
            }
            if is_last || conflicts > MAX_CONFLICTS {
                return Ok(());
            }
        }
    }

    /// The sums of pending segments, by the number of partitions already in the counters, and whether these are all.
    async fn pending_segments(&self) -> Result<(bool, BTreeMap<u8, Batch>), StoreError> {
        let (mut batches, mut last) = (BTreeMap::<u8, Batch>::new(), String::new());
        for _ in 0..SEGMENTS / PAGE {
            let found = self.add_page(&mut last, &mut batches).await?;
            if found < PAGE {
                return Ok((true, batches));
            }
            if batches.values().map(|batch| totals::rows(&batch.totals)).sum::<usize>() >= MAX_ROWS {
                break;
            }
        }
        Ok((false, batches))
    }

    /// Adds the segments after the last one read; returns their number.
    async fn add_page(
        &self,
        last: &mut String,
        batches: &mut BTreeMap<u8, Batch>,
    ) -> Result<usize, StoreError> {
        let sql = "SELECT id, folded, payload FROM request_segments JOIN request_payloads ON segment_id = id \
                   WHERE folded < 16 AND id > $1 ORDER BY id LIMIT $2";
        let values = binds![last.as_str(), i64::try_from(PAGE).unwrap_or(i64::MAX)];
        let mut found = 0;
        self.backend
            .read()
            .await?
            .fetch_each(sql, values, |row| {
                found += 1;
                let batch = batches.entry(row.number("folded")?).or_default();
                *last = row.text("id")?;
                match segment::read(&row.bytes("payload")?) {
                    Ok(entries) => batch.totals.add(&entries),
                    // Skipped, or it would block every later segment.
                    Err(error) => tracing::error!(segment = last, %error, "could not read a segment of the request log; its requests are not counted"),
                }
                batch.ids.push(last.clone());
                Ok(())
            })
            .await?;
        Ok(found)
    }

    async fn roll_up_batch(&self, folded: u8, batch: Batch) -> Result<(), RollupConflict> {
        let (ids, totals) = (Arc::new(batch.ids), Arc::new(batch.totals));
        let step = parts_of_one_transaction(totals::rows(&totals));
        let mut from = folded;
        while from < PARTS {
            let to = from.saturating_add(step).min(PARTS);
            let (ids, totals) = (Arc::clone(&ids), Arc::clone(&totals));
            self.backend
                .write(move |db| Box::pin(async move { add_parts(db, &ids, &totals, from..to).await }))
                .await?;
            from = to;
        }
        Ok(())
    }
}

fn parts_of_one_transaction(rows: usize) -> u8 {
    let parts = usize::from(PARTS) * ROWS_PER_TRANSACTION / rows.max(1);
    u8::try_from(parts).unwrap_or(PARTS).clamp(1, PARTS)
}

async fn add_parts(
    db: &mut Connection,
    ids: &[String],
    totals: &Totals,
    parts: Range<u8>,
) -> Result<(), RollupConflict> {
    let sql = format!(
        "UPDATE request_segments SET folded = $1 WHERE folded = $2 AND id IN ({})",
        placeholders(3, ids.len())
    );
    let mut values = binds![i64::from(parts.end), i64::from(parts.start)];
    values.extend(ids.iter().map(|id| Value::from(id.as_str())));
    if db.execute(sql, values).await? != ids.len() as u64 {
        return Err(RollupConflict::AlreadyApplied);
    }
    totals::add(db, totals, parts).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_per_transaction_are_bounded() {
        for (rows, parts) in [
            (0, PARTS),
            (1, PARTS),
            (ROWS_PER_TRANSACTION, PARTS),
            (2 * ROWS_PER_TRANSACTION, PARTS / 2),
            (1 << 30, 1),
        ] {
            assert_eq!(parts_of_one_transaction(rows), parts, "{rows}");
        }
    }
}

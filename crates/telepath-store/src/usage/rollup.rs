//! Folding: segments of the request log are added to the counters, each exactly once. A segment says how many of the
//! parts of its keys are in the counters; a transaction raises that number and adds those parts, or does neither. So a
//! crash neither loses nor doubles anything, and of two servers that rollup the same segment one finds the number changed
//! and gives way.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use telepath_core::request::segment;
use telepath_core::usage::{PARTS, Totals};

use super::totals;
use crate::error::StoreError;
use crate::sql::{Connection, Value, binds, placeholders};
use crate::store::Store;

/// Segments that are read at once: at most 16 MiB.
const PAGE: usize = 64;
/// Segments that are added up together. The more, the fewer rows are written: a key that is in all of them is written once.
const SEGMENTS: usize = 1024;
/// Rows that are added up together, about; what they take in memory.
const MOST_ROWS: usize = 250_000;
/// Rows of one transaction, about: few enough that other changes never wait long behind it.
const ROWS: usize = 4096;
/// How often another server may get ahead of us before we leave the rest to it.
const OVERTAKEN: usize = 8;

/// Why parts were not added.
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

/// Segments of which the same number of parts is still to be added.
#[derive(Default)]
struct Batch {
    ids: Vec<String>,
    totals: Totals,
}

impl Store {
    pub(super) async fn roll_up_segments(&self) -> Result<(), StoreError> {
        let mut overtaken = 0;
        loop {
            let (is_last, batches) = self.pending_segments().await?;
            for (folded, batch) in batches {
                match self.roll_up_batch(folded, batch).await {
                    Ok(()) => {}
                    Err(RollupConflict::AlreadyApplied) => overtaken += 1,
                    Err(RollupConflict::Failed(error)) => return Err(error),
                }
            }
            if is_last || overtaken > OVERTAKEN {
                return Ok(());
            }
        }
    }

    /// The sums of segments by how many parts of them are already in the counters, and whether these are all.
    async fn pending_segments(&self) -> Result<(bool, BTreeMap<u8, Batch>), StoreError> {
        let (mut batches, mut last) = (BTreeMap::<u8, Batch>::new(), String::new());
        for _ in 0..SEGMENTS / PAGE {
            let found = self.add_page(&mut last, &mut batches).await?;
            if found < PAGE {
                return Ok((true, batches));
            }
            if batches.values().map(|batch| totals::rows(&batch.totals)).sum::<usize>() >= MOST_ROWS {
                break;
            }
        }
        Ok((false, batches))
    }

    /// Adds the segments behind the last one that was read; how many.
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
                    // It is passed over, or all later ones would wait behind it for ever.
                    Err(error) => tracing::error!(segment = last, %error, "requests are not counted"),
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
    let parts = usize::from(PARTS) * ROWS / rows.max(1);
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
    fn a_transaction_stays_small_and_little_is_written_at_once() {
        for (rows, parts) in [(0, PARTS), (1, PARTS), (ROWS, PARTS), (2 * ROWS, PARTS / 2), (1 << 30, 1)] {
            assert_eq!(parts_of_one_transaction(rows), parts, "{rows}");
        }
    }
}

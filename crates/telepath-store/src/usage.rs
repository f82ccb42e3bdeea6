//! Usage: the counters of keys, the buckets and the addresses, rolled up from the request log.

mod columns;
mod many_keys;
pub(crate) mod recent;
mod rollup;
pub(crate) mod totals;

use std::time::Duration;

use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, KeyId, SecretId};
use telepath_core::usage::{BucketSum, Seen, SeenAddress, SeenProgram, UsageRow, UsageSpan};

use crate::error::StoreError;
use crate::sql::{Connection, Row, binds};
use crate::store::Store;

use columns::{DURATIONS_SUMMED, histogram};
pub use many_keys::{HoursOfKeys, KeyHour, KeyRequests, UsageOfKeys};
use totals::{ADDRESSES, PROGRAMS, SeenTable};

/// Counters younger than this are not refreshed. Together with the half second until a request is written, readers
/// see counters less than a second old.
const SYNC_INTERVAL: Duration = Duration::from_millis(400);
/// How long a reader waits for the counters to catch up; then it gets what there is.
const SYNC_TIMEOUT: Duration = Duration::from_secs(2);

/// The usage of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyUsage {
    /// Per bucket, route and status; earliest first.
    pub rows: Vec<UsageRow>,
    /// The client addresses on record, most recently seen first; not limited to the requested range.
    pub addresses: Vec<SeenAddress>,
    /// The programs on record, most recently seen first; not limited to the requested range.
    pub programs: Vec<SeenProgram>,
}

impl Store {
    /// Rolls up the log before a read. Errors are only logged: reading keys must not depend on it.
    pub(crate) async fn sync_usage(&self) {
        match tokio::time::timeout(SYNC_TIMEOUT, self.catch_up()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::debug!(%error, "could not update the usage counters; showing the last values");
            }
            Err(_elapsed) => {
                tracing::debug!("the usage counters are still being updated; showing the last values");
            }
        }
    }

    async fn catch_up(&self) -> Result<(), StoreError> {
        let mut synced = self.requests.synced.lock().await;
        let now = self.now();
        if synced.is_some_and(|last| now >= last && now.since(last) < SYNC_INTERVAL) {
            return Ok(());
        }
        self.write_requests().await?;
        self.roll_up_segments().await?;
        *synced = Some(now);
        Ok(())
    }

    /// Rolls up every segment of the request log that is not in the counters yet.
    pub async fn roll_up_usage(&self) -> Result<(), StoreError> {
        let _alone = self.requests.synced.lock().await;
        self.roll_up_segments().await
    }

    /// The usage of a key, or of one of its secrets, from `start` (inclusive) to `end` (exclusive). Each row has one of the
    /// program's routes and statuses, so the range bounds the number of rows. `None` if there is no such key or secret.
    pub async fn key_usage(
        &self,
        account: AccountId,
        key: KeyId,
        secret: Option<SecretId>,
        span: UsageSpan,
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Option<KeyUsage>, StoreError> {
        self.sync_usage().await;
        let mut db = self.backend.read().await?;
        let sql = "SELECT id FROM keys WHERE id = $1 AND account_id = $2";
        if db.fetch_optional(sql, binds![key.to_string(), account.to_string()]).await?.is_none() {
            return Ok(None);
        }
        let mark = match secret {
            None => None,
            Some(secret) => {
                let sql = "SELECT substr(hash, 1, 8) AS mark FROM key_secrets WHERE id = $1 AND key_id = $2";
                let row = db.fetch_optional(sql, binds![secret.to_string(), key.to_string()]).await?;
                let Some(row) = row else { return Ok(None) };
                Some(row.bytes("mark")?)
            }
        };
        let rows = usage_rows(&mut db, key, mark.clone(), span, start, end).await?;
        let (addresses, programs) = seen_of_key(&mut db, key, mark).await?;
        Ok(Some(KeyUsage { rows, addresses, programs }))
    }
}

async fn usage_rows(
    db: &mut Connection,
    key: KeyId,
    mark: Option<Vec<u8>>,
    span: UsageSpan,
    start: Timestamp,
    end: Timestamp,
) -> Result<Vec<UsageRow>, StoreError> {
    let durations = DURATIONS_SUMMED.as_str();
    let sql = format!(
        "SELECT start, route, status, CAST(sum(requests) AS BIGINT), CAST(sum(duration_us) AS BIGINT), {durations} \
         FROM usage_buckets WHERE key_id = $1 AND span = $2 AND start >= $3 AND start < $4 \
         AND ($5 IS NULL OR secret = $5) GROUP BY start, route, status ORDER BY start, route, status"
    );
    let rows = db.fetch_all(sql, binds![key.to_string(), span.name(), start, end, mark]).await?;
    let usage_row = |row: &Row| {
        let durations = histogram(row, 5)?;
        Ok(UsageRow {
            start: row.time(0)?,
            route: row.text(1)?,
            status: row.number(2)?,
            sum: BucketSum { requests: row.number(3)?, duration_us: row.number(4)?, durations },
        })
    };
    rows.iter().map(usage_row).collect()
}

/// What was seen of a key, or of one of its secrets, most recently seen first.
pub(crate) async fn seen<T>(
    db: &mut Connection,
    key: KeyId,
    mark: Option<Vec<u8>>,
    table: SeenTable,
    what: impl Fn(&Row) -> Result<T, StoreError>,
) -> Result<Vec<Seen<T>>, StoreError> {
    let rows = db.fetch_all(seen_sql(table), binds![key.to_string(), mark]).await?;
    rows.iter().map(|row| seen_of(row, &what)).collect()
}

/// The addresses and the programs of a key, or of one of its secrets, in one statement.
async fn seen_of_key(
    db: &mut Connection,
    key: KeyId,
    mark: Option<Vec<u8>>,
) -> Result<(Vec<SeenAddress>, Vec<SeenProgram>), StoreError> {
    let sql = format!(
        "SELECT seen.*, CAST(0 AS BIGINT) AS is_program FROM ({}) AS seen UNION ALL \
         SELECT seen.*, CAST(1 AS BIGINT) AS is_program FROM ({}) AS seen ORDER BY is_program, last_seen DESC, what",
        seen_sql(ADDRESSES),
        seen_sql(PROGRAMS)
    );
    let (mut addresses, mut programs) = (Vec::new(), Vec::new());
    for row in &db.fetch_all(sql, binds![key.to_string(), mark]).await? {
        if row.integer("is_program")? == 0 {
            addresses.push(seen_of(row, |row| row.parse("what"))?);
        } else {
            programs.push(seen_of(row, |row| row.text("what"))?);
        }
    }
    Ok((addresses, programs))
}

fn seen_sql(SeenTable { name, column, most }: SeenTable) -> String {
    format!(
        "SELECT {column} AS what, min(first_seen) AS first_seen, max(last_seen) AS last_seen, \
         CAST(sum(requests) AS BIGINT) AS requests FROM {name} WHERE key_id = $1 AND ($2 IS NULL OR secret = $2) \
         GROUP BY {column} ORDER BY max(last_seen) DESC, {column} LIMIT {most}"
    )
}

fn seen_of<T>(row: &Row, what: impl Fn(&Row) -> Result<T, StoreError>) -> Result<Seen<T>, StoreError> {
    let (first_seen, last_seen) = (row.time("first_seen")?, row.time("last_seen")?);
    Ok(Seen { what: what(row)?, first_seen, last_seen, requests: row.number("requests")? })
}

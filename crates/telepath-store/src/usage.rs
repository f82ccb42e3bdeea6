//! Usage: the counters of keys, the buckets and the addresses, rolled up from the request log.

mod rollup;
pub(crate) mod totals;

use std::time::Duration;

use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, KeyId};
use telepath_core::usage::{BucketSum, MAX_ADDRESSES, SeenAddress, UsageRow, UsageSpan};

use crate::error::StoreError;
use crate::sql::{Connection, Row, binds};
use crate::store::Store;

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

    /// The usage of a key from `start` (inclusive) to `end` (exclusive). Each row has one of the program's routes and
    /// statuses, so the range bounds the number of rows.
    pub async fn key_usage(
        &self,
        account: AccountId,
        key: KeyId,
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
        let rows = usage_rows(&mut db, key, span, start, end).await?;
        Ok(Some(KeyUsage { rows, addresses: addresses_of(&mut db, key).await? }))
    }
}

async fn usage_rows(
    db: &mut Connection,
    key: KeyId,
    span: UsageSpan,
    start: Timestamp,
    end: Timestamp,
) -> Result<Vec<UsageRow>, StoreError> {
    let sql = "SELECT start, route, status, requests, duration_us FROM usage_buckets \
               WHERE key_id = $1 AND span = $2 AND start >= $3 AND start < $4 ORDER BY start, route, status";
    let rows = db.fetch_all(sql, binds![key.to_string(), span.name(), start, end]).await?;
    let usage_row = |row: &Row| {
        Ok(UsageRow {
            start: row.time("start")?,
            route: row.text("route")?,
            status: row.number("status")?,
            sum: BucketSum { requests: row.number("requests")?, duration_us: row.number("duration_us")? },
        })
    };
    rows.iter().map(usage_row).collect()
}

async fn addresses_of(db: &mut Connection, key: KeyId) -> Result<Vec<SeenAddress>, StoreError> {
    let sql = "SELECT address, first_seen, last_seen, requests FROM usage_addresses \
               WHERE key_id = $1 ORDER BY last_seen DESC, address LIMIT $2";
    let most = i64::try_from(MAX_ADDRESSES).unwrap_or(i64::MAX);
    let rows = db.fetch_all(sql, binds![key.to_string(), most]).await?;
    let seen = |row: &Row| {
        Ok(SeenAddress {
            address: row.parse("address")?,
            first_seen: row.time("first_seen")?,
            last_seen: row.time("last_seen")?,
            requests: row.number("requests")?,
        })
    };
    rows.iter().map(seen).collect()
}

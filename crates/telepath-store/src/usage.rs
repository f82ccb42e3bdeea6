//! What keys are used for: the counters of keys, the buckets and the addresses, added up from the request log.

mod rollup;
pub(crate) mod totals;

use std::time::Duration;

use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, KeyId};
use telepath_core::usage::{BucketSum, MAX_ADDRESSES, SeenAddress, UsageRow, UsageSpan};

use crate::error::StoreError;
use crate::sql::{Connection, Row, binds};
use crate::store::Store;

/// Counters that are younger than this are shown as they are. With the half second until a request is written, what is
/// shown is less than a second late.
const SYNCED_FOR: Duration = Duration::from_millis(400);
/// How long a reader waits for the counters to catch up; then it shows what there is.
const SYNC_WITHIN: Duration = Duration::from_secs(2);

/// What a key was used for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyUsage {
    /// By bucket, route and status, the earliest first.
    pub rows: Vec<UsageRow>,
    /// The addresses seen, the last seen first; not only in the time asked for.
    pub addresses: Vec<SeenAddress>,
}

impl Store {
    /// Brings the counters up to now, for somebody who is about to read them. Counters that cannot be brought up are
    /// shown as they are: reading keys must not depend on it.
    pub(crate) async fn sync_usage(&self) {
        match tokio::time::timeout(SYNC_WITHIN, self.catch_up()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the counters could not be brought up to now"),
            Err(_elapsed) => tracing::debug!("the counters are still being brought up to now"),
        }
    }

    async fn catch_up(&self) -> Result<(), StoreError> {
        let mut synced = self.requests.synced.lock().await;
        let now = self.now();
        if synced.is_some_and(|last| now >= last && now.since(last) < SYNCED_FOR) {
            return Ok(());
        }
        self.write_requests().await?;
        self.roll_up_segments().await?;
        *synced = Some(now);
        Ok(())
    }

    /// Adds to the counters what was written into the log since the last time. Returns when nothing is left.
    pub async fn roll_up_usage(&self) -> Result<(), StoreError> {
        let _alone = self.requests.synced.lock().await;
        self.roll_up_segments().await
    }

    /// What a key of the account was used for from `start` on and before `end`. Each of the rows belongs to one of the
    /// program's routes and one of its statuses, so the time asked for bounds their number.
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

//! Retention: usage buckets expire after the retention time of their span, the request log after its retention time
//! or beyond its maximum size, cooldowns of alerts when they are over, calls and audit entries after a time that can be set,
//! revoked keys beyond a number, and deleted trunks without calls. Each transaction is small, so that changes never wait
//! long, and one call runs a bounded number of them. Ages are measured by the known time, so that a clock that is wrong for a
//! while deletes nothing.

mod removed;

use std::time::Duration;

use telepath_core::alert::AlertRule;
use telepath_core::clock::Timestamp;
use telepath_core::usage::UsageSpan;

use crate::error::StoreError;
use crate::request_log::size::{SEGMENTS, delete_before};
use crate::sql::{Value, binds};
use crate::store::Store;
use crate::usage::totals::{ADDRESSES, PROGRAMS, SeenTable, trim};

/// Buckets deleted per transaction.
const BUCKETS: i64 = 2000;
/// Cooldowns of alerts deleted per transaction.
const COOLDOWNS: i64 = 500;
/// Rows of the statistics of calls deleted per transaction.
const STATISTICS: i64 = 1000;
/// Calls deleted per transaction.
const CALLS: i64 = 200;
/// Transactions per kind and call; the rest waits for the next call.
const MAX_STEPS: usize = 200;
/// Keys per call whose surplus addresses, or programs, are deleted.
const KEYS: i64 = 200;

/// How much of the request log is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Older requests are deleted.
    pub age: Duration,
    /// Beyond this many bytes, the oldest requests are deleted.
    pub bytes: u64,
    /// Older statistics of calls are deleted; those by minute and by hour earlier.
    pub analytics: Duration,
    /// Older calls are deleted; `None` keeps all.
    pub calls: Option<Duration>,
    /// Older audit entries are deleted; `None` keeps all.
    pub audit: Option<Duration>,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            age: Duration::from_hours(30 * 24),
            bytes: 1024 * 1024 * 1024,
            analytics: UsageSpan::Day.kept_for(),
            calls: None,
            audit: None,
        }
    }
}

/// What one call deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Expired {
    /// Usage buckets.
    pub buckets: u64,
    /// Request log segments.
    pub segments: u64,
    /// Rows of the statistics of calls.
    pub statistics: u64,
    /// Records of calls.
    pub calls: u64,
    /// Audit entries.
    pub audit: u64,
    /// Revoked keys, of which an account keeps as many as it can have keys.
    pub keys: u64,
    /// Deleted trunks without calls.
    pub trunks: u64,
}

impl Store {
    /// Deletes what exceeds the retention time or size.
    pub async fn expire_usage(&self, keep: Retention) -> Result<Expired, StoreError> {
        let now = self.retention_time().await?.earliest;
        let mut expired = Expired::default();
        for span in UsageSpan::ALL {
            expired.buckets += self.expire_buckets(*span, now.minus(span.kept_for())).await?;
            self.expire_account_usage(*span, now.minus(span.kept_for())).await?;
            self.expire_key_usage(*span, now.minus(span.kept_for())).await?;
            let kept = match span {
                UsageSpan::Minute | UsageSpan::Hour => span.kept_for().min(keep.analytics),
                UsageSpan::Day => keep.analytics,
            };
            expired.statistics += self.expire_statistics(*span, now.minus(kept)).await?;
        }
        let oldest = now.minus(keep.age).max(self.oldest_within(keep.bytes).await?);
        expired.segments = self.expire_segments(oldest).await?;
        self.expire_seen().await?;
        self.expire_cooldowns(now).await?;
        expired.keys = self.expire_revoked_keys().await?;
        if let Some(age) = keep.calls {
            expired.calls = self.expire_calls(now.minus(age)).await?;
        }
        expired.trunks = self.expire_deleted_trunks(now).await?;
        if let Some(age) = keep.audit {
            expired.audit = self.expire_audit(now.minus(age)).await?;
        }
        Ok(expired)
    }

    /// A cooldown that is over silences nothing, so its row says no more than a missing one.
    async fn expire_cooldowns(&self, now: Timestamp) -> Result<(), StoreError> {
        let sql = "DELETE FROM alert_cooldowns WHERE (subject_kind, subject_id, rule, occasion) IN \
                   (SELECT subject_kind, subject_id, rule, occasion FROM alert_cooldowns \
                    WHERE rule = $1 AND raised_at <= $2 ORDER BY raised_at LIMIT $3)";
        for rule in AlertRule::ALL {
            let over = now.minus(self.alert_settings.cooldown(*rule));
            self.in_steps(sql, COOLDOWNS, move || binds![rule.name(), over, COOLDOWNS]).await?;
        }
        Ok(())
    }

    /// Live calls are kept at any age.
    async fn expire_calls(&self, before: Timestamp) -> Result<u64, StoreError> {
        let sql = "DELETE FROM calls WHERE id IN \
                   (SELECT id FROM calls WHERE start_time < $1 AND status <> 'connected' \
                    ORDER BY start_time LIMIT $2)";
        self.in_steps(sql, CALLS, move || binds![before, CALLS]).await
    }

    async fn expire_buckets(&self, span: UsageSpan, before: Timestamp) -> Result<u64, StoreError> {
        let sql = "DELETE FROM usage_buckets WHERE (key_id, span, start, route, status, secret) IN \
                   (SELECT key_id, span, start, route, status, secret FROM usage_buckets \
                    WHERE span = $1 AND start < $2 ORDER BY start LIMIT $3)";
        self.in_steps(sql, BUCKETS, move || binds![span.name(), before, BUCKETS]).await
    }

    async fn expire_account_usage(&self, span: UsageSpan, before: Timestamp) -> Result<u64, StoreError> {
        let sql = "DELETE FROM account_usage WHERE (account_id, span, start, status) IN \
                   (SELECT account_id, span, start, status FROM account_usage \
                    WHERE span = $1 AND start < $2 ORDER BY start LIMIT $3)";
        self.in_steps(sql, BUCKETS, move || binds![span.name(), before, BUCKETS]).await
    }

    async fn expire_key_usage(&self, span: UsageSpan, before: Timestamp) -> Result<u64, StoreError> {
        let sql = "DELETE FROM key_usage WHERE (key_id, span, start) IN \
                   (SELECT key_id, span, start FROM key_usage \
                    WHERE span = $1 AND start < $2 ORDER BY start LIMIT $3)";
        self.in_steps(sql, BUCKETS, move || binds![span.name(), before, BUCKETS]).await
    }

    async fn expire_statistics(&self, span: UsageSpan, before: Timestamp) -> Result<u64, StoreError> {
        let sql = "DELETE FROM call_statistics \
                   WHERE (account_id, span, start, trunk_id, provider, model, carrier, reason) IN \
                   (SELECT account_id, span, start, trunk_id, provider, model, carrier, reason FROM call_statistics \
                    WHERE span = $1 AND start < $2 ORDER BY start LIMIT $3)";
        self.in_steps(sql, STATISTICS, move || binds![span.name(), before, STATISTICS]).await
    }

    /// Segments that are not rolled up yet are kept at any age.
    async fn expire_segments(&self, before: Timestamp) -> Result<u64, StoreError> {
        let delete = || self.backend.write(move |db| Box::pin(delete_before(db, before)));
        until_fewer(SEGMENTS.unsigned_abs(), delete).await
    }

    async fn in_steps(
        &self,
        sql: &'static str,
        most: i64,
        values: impl Fn() -> Vec<Value>,
    ) -> Result<u64, StoreError> {
        until_fewer(most.unsigned_abs(), || self.backend.execute(sql, values())).await
    }

    /// When the oldest segment was written that, with all newer ones, fits into `bytes`.
    async fn oldest_within(&self, bytes: u64) -> Result<Timestamp, StoreError> {
        let mut db = self.backend.read().await?;
        let (mut left, mut oldest) = (bytes, None);
        // The index covers both columns, so the segments themselves are not read.
        let sql = "SELECT written_at, bytes FROM request_segments ORDER BY written_at DESC";
        db.fetch_each(sql, vec![], |row| {
            if let Some(rest) = left.checked_sub(row.number("bytes")?) {
                left = rest;
            } else {
                left = 0;
                oldest = oldest.max(Some(row.time("written_at")?));
            }
            Ok(())
        })
        .await?;
        Ok(oldest.map_or(Timestamp::from_unix_ms(i64::MIN), |at| at.plus(Duration::from_millis(1))))
    }

    /// Deletes surplus addresses and programs.
    async fn expire_seen(&self) -> Result<(), StoreError> {
        for SeenTable { name, most, .. } in [ADDRESSES, PROGRAMS] {
            let sql =
                format!("SELECT key_id FROM {name} GROUP BY key_id, secret HAVING count(*) > $1 LIMIT $2");
            let most = i64::try_from(most).unwrap_or(i64::MAX);
            let rows = self.backend.read().await?.fetch_all(sql, binds![most, KEYS]).await?;
            for row in rows {
                let key = row.text("key_id")?;
                self.backend.write(move |db| Box::pin(async move { trim(db, &key).await })).await?;
            }
        }
        Ok(())
    }
}

/// Repeats a deletion until it deletes fewer rows than `most`; returns how many it deleted in all.
async fn until_fewer<F>(most: u64, delete: impl Fn() -> F) -> Result<u64, StoreError>
where
    F: Future<Output = Result<u64, StoreError>>,
{
    let mut all = 0;
    for _ in 0..MAX_STEPS {
        let gone = delete().await?;
        all += gone;
        if gone < most {
            break;
        }
    }
    Ok(all)
}

//! Which keys of an account ask for attention: those that never expire, are idle, run at their limit, or can be removed.

use std::time::Duration;

use telepath_core::alert::AlertRule;
use telepath_core::clock::Timestamp;
use telepath_core::id::AccountId;
use telepath_core::key::KeyRecord;
use telepath_core::usage::UsageSpan;

use super::overview::IDLE_FOR;
use super::row;
use crate::error::StoreError;
use crate::sql::{Row, binds};
use crate::store::Store;
use crate::usage::recent::{Places, RecentUse, hours_and_days};

/// The most keys that are found.
const MOST: usize = 200;
/// The use of this long decides whether a key runs at its limit, and of the rest of the hour in which it begins.
const RECENT: Duration = Duration::from_hours(24);

/// What is found about a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyFinding {
    /// It was idle, no previous secret of it works, and there is no open alert about it but that it is idle or expires.
    SafeToRemove,
    /// It was not used for [`KeySafety::idle_for`]; an unused key counts from its creation.
    Idle,
    /// A minute of the last 24 hours had requests beyond its limit, or [`KeySafety::limit_percent`] of it.
    NearLimit,
    NeverExpires,
}

/// A key with what is found about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundKey {
    pub key: KeyRecord,
    /// In the order of [`KeyFinding`]; a key that is safe to remove is not also idle.
    pub findings: Vec<KeyFinding>,
    /// The most accepted requests in a minute of the last 24 hours.
    pub busiest_minute: u64,
    /// Requests of the last 24 hours that were beyond the limit.
    pub limited: u64,
}

/// The keys of an account that ask for attention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySafety {
    /// Those not used for longest first; at most 200.
    pub keys: Vec<FoundKey>,
    pub has_more: bool,
    /// The threshold of the alert rule for unused keys; 90 days if that rule is off.
    pub idle_for: Duration,
    /// The threshold of the alert rule for keys at their limit.
    pub limit_percent: u32,
}

impl Store {
    /// Classifies the keys of an account that can be used, with the thresholds of the alert rules.
    pub async fn key_safety(&self, account: AccountId) -> Result<KeySafety, StoreError> {
        self.sync_usage().await;
        let (now, settings) = (self.now(), self.alert_settings());
        let idle_for = if settings.unused.is_zero() { IDLE_FOR } else { settings.unused };
        let limit_percent = settings.riding_percent;
        let (unused, expiring) = (AlertRule::Unused.name(), AlertRule::Expiring.name());
        let (columns, sort) = (row::COLUMNS, "COALESCE(last_used_at, created_at), id");
        let recent_of = |key| hours_and_days(Places { key, from: "$4", long_from: "$7" });
        // The figures are read only of the keys that are found.
        let sql = format!(
            "SELECT {columns}, COALESCE((SELECT max(busiest_minute) FROM {of_found} AS u), 0) AS busiest, \
             CAST(COALESCE((SELECT sum(limited) FROM {of_found} AS u), 0) AS BIGINT) AS limited, \
             CAST(CASE WHEN EXISTS (SELECT 1 FROM key_secrets s WHERE s.key_id = found.id AND s.expires_at > $2) \
               THEN 1 ELSE 0 END AS BIGINT) AS in_grace, \
             CAST(CASE WHEN EXISTS (SELECT 1 FROM alerts a WHERE a.subject_id = found.id AND a.acknowledged_at IS NULL \
               AND a.rule NOT IN ('{unused}', '{expiring}')) THEN 1 ELSE 0 END AS BIGINT) AS has_alert \
             FROM (SELECT {columns} FROM keys \
               WHERE account_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2) \
               AND (expires_at IS NULL OR COALESCE(last_used_at, created_at) <= $3 \
                 OR EXISTS (SELECT 1 FROM {of_key} AS u \
                   WHERE u.limited > 0 OR u.busiest_minute * 100 >= keys.rate_limit * $5)) \
               ORDER BY {sort} LIMIT $6) AS found ORDER BY {sort}",
            of_found = recent_of("found.id"),
            of_key = recent_of("keys.id"),
        );
        let (idle_since, most) = (now.minus(idle_for), i64::try_from(MOST).unwrap_or(i64::MAX) + 1);
        let recent = RecentUse::since(now.minus(RECENT), UsageSpan::Hour);
        let values = binds![
            account.to_string(),
            now,
            idle_since,
            recent.from,
            i64::from(limit_percent),
            most,
            recent.long_from
        ];
        let mut db = self.backend.read().await?;
        let mut rows = db.fetch_all(sql, values).await?;
        let has_more = rows.len() > MOST;
        rows.truncate(MOST);
        let keys = row::with_secrets(&mut db, &rows).await?;
        let found = |(key, row)| found_key(key, row, idle_since, limit_percent);
        let keys = keys.into_iter().zip(&rows).map(found).collect::<Result<_, _>>()?;
        Ok(KeySafety { keys, has_more, idle_for, limit_percent })
    }
}

fn found_key(key: KeyRecord, row: &Row, idle_since: Timestamp, percent: u32) -> Result<FoundKey, StoreError> {
    let (busiest_minute, limited): (u64, u64) = (row.number("busiest")?, row.number("limited")?);
    let is_quiet = row.integer("in_grace")? == 0 && row.integer("has_alert")? == 0;
    let is_idle = key.last_use.map_or(key.created_at, |last| last.at) <= idle_since;
    let limit = u64::from(key.rate_limit.get());
    let is_near = limited > 0 || busiest_minute * 100 >= limit * u64::from(percent);
    let findings = [
        (is_idle && is_quiet, KeyFinding::SafeToRemove),
        (is_idle && !is_quiet, KeyFinding::Idle),
        (is_near, KeyFinding::NearLimit),
        (key.expires_at.is_none(), KeyFinding::NeverExpires),
    ];
    let findings = findings.into_iter().filter(|(is_found, _)| *is_found).map(|(_, finding)| finding);
    Ok(FoundKey { findings: findings.collect(), key, busiest_minute, limited })
}

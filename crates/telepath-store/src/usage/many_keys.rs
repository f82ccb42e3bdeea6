//! The usage of many keys in one statement, for lists that draw a small chart beside each key.

use std::collections::BTreeMap;

use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, KeyId};
use telepath_core::reach::Reach;
use telepath_core::usage::UsageSpan;

use crate::error::StoreError;
use crate::sql::within::trunk_list_within;
use crate::sql::{Row, Value, binds, placeholders};
use crate::store::Store;

/// The requests of a bucket that had one status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyRequests {
    /// When the bucket starts.
    pub start: Timestamp,
    pub status: u16,
    pub requests: u64,
}

/// The requests of each key, in the order of time and status. A key that was not used has an empty list; a key that is
/// not within reach is missing.
pub type UsageOfKeys = BTreeMap<KeyId, Vec<KeyRequests>>;

/// The requests of a key in an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyHour {
    /// When the hour starts.
    pub start: Timestamp,
    pub requests: u64,
    /// Those with a status of 400 or above.
    pub errors: u64,
}

/// The hours in which keys were used. A key that was not used is missing.
pub type HoursOfKeys = BTreeMap<KeyId, Vec<KeyHour>>;

impl Store {
    /// The hours of keys of an account from `start` (inclusive) to `end` (exclusive), read with one statement of one row for
    /// each hour with requests. The caller bounds the number of keys and the range.
    pub async fn hours_of_keys(
        &self,
        account: AccountId,
        keys: &[KeyId],
        start: Timestamp,
        end: Timestamp,
    ) -> Result<HoursOfKeys, StoreError> {
        let Some(last) = keys.last() else { return Ok(HoursOfKeys::new()) };
        self.sync_usage().await;
        let mut values = binds![account.to_string(), start, end];
        let places = keys.len().next_power_of_two();
        let ids = placeholders(values.len() + 1, places);
        let padding = std::iter::repeat_n(last, places - keys.len());
        values.extend(keys.iter().chain(padding).map(|id| Value::from(id.to_string())));
        // The keys are found by their ids, however many the account has.
        let sql = format!(
            "SELECT key_id, start, requests, errors FROM key_usage \
             WHERE span = 'hour' AND start >= $2 AND start < $3 \
             AND key_id IN (SELECT id FROM keys WHERE account_id || '' = $1 AND id IN ({ids})) ORDER BY key_id, start"
        );
        let mut hours = HoursOfKeys::new();
        for row in &self.backend.read().await?.fetch_all(sql, values).await? {
            let hour = KeyHour { start: row.time(1)?, requests: row.number(2)?, errors: row.number(3)? };
            hours.entry(row.parse(0)?).or_default().push(hour);
        }
        Ok(hours)
    }

    /// The usage of keys within reach from `start` (inclusive) to `end` (exclusive), read with one statement. The caller
    /// bounds the number of keys and the range, and with them the number of rows.
    pub async fn usage_of_keys(
        &self,
        reach: impl Into<Reach>,
        keys: &[KeyId],
        span: UsageSpan,
        start: Timestamp,
        end: Timestamp,
    ) -> Result<UsageOfKeys, StoreError> {
        let Some(last) = keys.last() else { return Ok(UsageOfKeys::new()) };
        let Reach { account, trunks } = reach.into();
        self.sync_usage().await;
        let mut values = binds![account.to_string(), span.name(), start, end];
        // A power of two, so that few different statements are prepared.
        let places = keys.len().next_power_of_two();
        let ids = placeholders(values.len() + 1, places);
        let padding = std::iter::repeat_n(last, places - keys.len());
        values.extend(keys.iter().chain(padding).map(|id| Value::from(id.to_string())));
        let within = trunk_list_within("keys.trunk_ids", &trunks, &mut values);
        let sql = format!(
            "SELECT keys.id, b.start, b.status, CAST(sum(b.requests) AS BIGINT) \
             FROM keys LEFT JOIN usage_buckets b \
             ON b.key_id = keys.id AND b.span = $2 AND b.start >= $3 AND b.start < $4 \
             WHERE keys.account_id = $1 AND keys.id IN ({ids}){within} \
             GROUP BY keys.id, b.start, b.status ORDER BY keys.id, b.start, b.status"
        );
        let mut usage = UsageOfKeys::new();
        for row in &self.backend.read().await?.fetch_all(sql, values).await? {
            let rows = usage.entry(row.parse(0)?).or_default();
            rows.extend(requests_of(row)?);
        }
        Ok(usage)
    }
}

/// `None` for the row of a key without usage.
fn requests_of(row: &Row) -> Result<Option<KeyRequests>, StoreError> {
    let Some(start) = row.maybe_time(1)? else { return Ok(None) };
    Ok(Some(KeyRequests { start, status: row.number(2)?, requests: row.number(3)? }))
}

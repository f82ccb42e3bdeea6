//! Counts the requests of equal slots of time, for a chart above the log. Where the counters of keys can answer they do;
//! otherwise the log itself is read, newest first and as far back as a read of the log may go.

use std::collections::BTreeMap;
use std::time::Duration;

use telepath_core::clock::Timestamp;
use telepath_core::id::AccountId;
use telepath_core::request::segment;
use telepath_core::request::{RequestFilter, StatusFilter};
use telepath_core::usage::UsageSpan;

use super::read::{Batch, RequestOrder, SCAN_BYTES, SCAN_SEGMENTS, Segments, first_position};
use super::secrets;
use crate::error::StoreError;
use crate::sql::{binds, corrupt};
use crate::store::Store;

/// The most counters that one answer adds up.
const COUNTERS: u64 = 100_000;

/// Equal slots of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestSlots {
    pub start: Timestamp,
    /// At least a millisecond.
    pub length: Duration,
    pub count: u32,
}

impl RequestSlots {
    /// When the last slot ends.
    pub fn end(&self) -> Timestamp {
        self.start.plus(self.length * self.count)
    }

    fn length_ms(&self) -> i64 {
        i64::try_from(self.length.as_millis()).unwrap_or(i64::MAX).max(1)
    }

    fn slot_of(&self, moment: Timestamp) -> Option<u32> {
        let place = (moment.unix_ms() - self.start.unix_ms()).div_euclid(self.length_ms());
        u32::try_from(place).ok().filter(|place| *place < self.count)
    }
}

/// The requests of a slot that had one status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotRequests {
    /// The place of the slot, from 0.
    pub slot: u32,
    pub status: u16,
    pub requests: u64,
}

/// The requests of some slots.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequestCounts {
    /// By slot and status; slots without requests are left out.
    pub rows: Vec<SlotRequests>,
    /// From when on every request is counted; `None` if all are.
    pub since: Option<Timestamp>,
}

impl Store {
    /// The requests of the account that pass a filter, by slot and status.
    pub async fn count_requests(
        &self,
        account: AccountId,
        filter: &RequestFilter,
        slots: RequestSlots,
    ) -> Result<RequestCounts, StoreError> {
        if let Some(span) = self.span_of_counters(filter, slots)
            && let Some(rows) = self.counted(account, filter, slots, span).await?
        {
            return Ok(RequestCounts { rows, since: None });
        }
        self.count_in_log(account, filter, slots).await
    }

    /// The counters that can answer: the longest ones that fit into the slots and are still kept.
    fn span_of_counters(&self, filter: &RequestFilter, slots: RequestSlots) -> Option<UsageSpan> {
        let RequestFilter { key_id: _, status: _, start, end, .. } = filter;
        let others = RequestFilter { key_id: None, status: None, start: None, end: None, ..filter.clone() };
        let is_whole = start.is_none_or(|start| start <= slots.start)
            && end.is_none_or(|end| end.plus(Duration::from_millis(1)) >= slots.end().min(self.now()));
        let fits = |span: &UsageSpan| {
            let length = i64::try_from(span.length().as_millis()).unwrap_or(i64::MAX);
            slots.length_ms() % length == 0
                && slots.start.unix_ms() % length == 0
                && self.now().since(slots.start) < span.kept_for()
        };
        (is_whole && others.lets_everything_through())
            .then(|| UsageSpan::ALL.iter().rev().copied().find(fits))
            .flatten()
    }

    /// `None` if there are too many counters to add up.
    async fn counted(
        &self,
        account: AccountId,
        filter: &RequestFilter,
        slots: RequestSlots,
        span: UsageSpan,
    ) -> Result<Option<Vec<SlotRequests>>, StoreError> {
        self.sync_usage().await;
        let (least, most) = match filter.status {
            None => (0, 999),
            Some(StatusFilter::Exactly(status)) => (status, status),
            Some(StatusFilter::Class(class)) => (class * 100, class * 100 + 99),
        };
        let mut values = binds![
            account.to_string(),
            span.name(),
            slots.start,
            slots.length_ms(),
            slots.end(),
            i64::from(least),
            i64::from(most),
            i64::try_from(COUNTERS + 1).unwrap_or(i64::MAX),
        ];
        let counters = match filter.key_id {
            None => "account_usage b WHERE b.account_id = $1",
            Some(key) => {
                values.push(key.to_string().into());
                "keys JOIN usage_buckets b ON b.key_id = keys.id WHERE keys.account_id = $1 AND keys.id = $9"
            }
        };
        let sql = format!(
            "SELECT slot, status, CAST(sum(requests) AS BIGINT), count(*) FROM \
             (SELECT (b.start - $3) / $4 AS slot, b.status AS status, b.requests AS requests FROM {counters} \
              AND b.span = $2 AND b.start >= $3 AND b.start < $5 AND b.status BETWEEN $6 AND $7 LIMIT $8) AS counters \
             GROUP BY slot, status ORDER BY slot, status"
        );
        let (mut rows, mut counters) = (Vec::new(), 0_u64);
        for row in &self.backend.read().await?.fetch_all(sql, values).await? {
            rows.push(SlotRequests {
                slot: row.number(0)?,
                status: row.number(1)?,
                requests: row.number(2)?,
            });
            counters += row.number::<u64>(3)?;
        }
        Ok((counters <= COUNTERS).then_some(rows))
    }

    async fn count_in_log(
        &self,
        account: AccountId,
        filter: &RequestFilter,
        slots: RequestSlots,
    ) -> Result<RequestCounts, StoreError> {
        let last = slots.end().minus(Duration::from_millis(1));
        let filter = RequestFilter {
            start: filter.start.into_iter().chain([slots.start]).max(),
            end: filter.end.into_iter().chain([last]).min(),
            ..filter.clone()
        };
        let order = RequestOrder::Newest;
        let bounds = self.bounds(&filter, order);
        let mut at = first_position(&bounds, order);
        let mut db = self.backend.read().await?;
        let secret = match filter.secret_id {
            Some(secret) => Some(secrets::find(&mut db, account, secret).await?),
            None => None,
        };
        let mut log = Segments::new(account, bounds, order);
        let (mut bytes, mut count) = (0, 0);
        let mut sums = BTreeMap::<(u32, u16), u64>::new();
        loop {
            let Batch { segments, is_last } = log.next(&mut db, at).await?;
            for (position, payload) in segments {
                bytes += payload.len();
                count += 1;
                at = position;
                for entry in segment::read(&payload).map_err(|_| corrupt("payload"))? {
                    let caller = entry.facts.caller;
                    let is_of_secret =
                        secret.is_none_or(|secret| caller.key().zip(caller.secret()) == Some(secret));
                    if is_of_secret
                        && filter.lets_through(&entry)
                        && let Some(slot) = slots.slot_of(entry.facts.at)
                    {
                        let sum = sums.entry((slot, entry.facts.status)).or_default();
                        *sum = sum.saturating_add(entry.requests());
                    }
                }
            }
            let is_enough = bytes >= SCAN_BYTES || count >= SCAN_SEGMENTS;
            if is_last || is_enough {
                let rows = sums.into_iter().map(|((slot, status), requests)| SlotRequests {
                    slot,
                    status,
                    requests,
                });
                let since = (!is_last).then(|| at.reached());
                return Ok(RequestCounts { rows: rows.collect(), since });
            }
        }
    }
}

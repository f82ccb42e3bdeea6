//! Writes sums: many rows per statement, ordered by key.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use telepath_core::clock::Timestamp;
use telepath_core::id::KeyId;
use telepath_core::usage::{
    BucketKey, BucketSum, KeyTotals, MAX_ADDRESSES, MAX_PROGRAMS, PARTS, SecretTotals, Seen, Totals,
    UsageSpan,
};

use super::columns::{DURATIONS, DURATIONS_ADDED};
use crate::error::StoreError;
use crate::sql::{Connection, Row, Value, binds, placeholders};

/// Rows per statement; a power of two.
const ROWS: usize = 64;
/// Beyond this many addresses, or programs, of one secret in one batch, the surplus ones of its key are deleted at once.
/// The others wait for retention.
const MANY_SEEN: usize = 4;

/// A stored last use that is later than a newer one by more than this was written while the clock was ahead, and is replaced.
/// Servers roll up their requests within this time.
const AHEAD_MS: i64 = 600_000;

/// The status of requests beyond the limit of a key.
const TOO_MANY: u16 = 429;

type Keys<'a> = [(KeyId, &'a KeyTotals)];

/// The approximate number of rows.
pub(super) fn rows(totals: &Totals) -> usize {
    totals.of_parts(0..PARTS).iter().map(|(_, key)| key.rows()).sum()
}

/// Adds the keys of some partitions.
pub(super) async fn add(db: &mut Connection, totals: &Totals, parts: Range<u8>) -> Result<(), StoreError> {
    let mut keys = totals.of_parts(parts);
    let accounts = add_keys(db, &keys).await?;
    // The others were deleted after they were revoked; a request of one may still be in the log.
    keys.retain(|(key, _)| accounts.contains_key(&key.to_string()));
    add_secrets(db, &keys).await?;
    let buckets: Vec<Buckets> = keys.iter().map(|(id, key)| (id.to_string(), key.buckets())).collect();
    add_buckets(db, totals, &buckets).await?;
    add_key_usage(db, &buckets).await?;
    add_seen(db, &keys, ADDRESSES, |secret| rows_of_seen(secret, &secret.addresses)).await?;
    add_seen(db, &keys, PROGRAMS, |secret| rows_of_seen(secret, &secret.programs)).await?;
    let many = |secret: &SecretTotals| secret.addresses.len().max(secret.programs.len()) > MANY_SEEN;
    for (key, _) in keys.iter().filter(|(_, key)| key.secrets.iter().any(many)) {
        trim(db, &key.to_string()).await?;
    }
    // Last, because every rollup of an account changes the same rows.
    add_accounts(db, &buckets, &accounts).await
}

/// A key and its buckets of every span.
type Buckets = (String, Vec<(BucketKey, BucketSum)>);

/// The account of each key.
type Accounts = HashMap<String, String>;

/// Returns the keys that exist. Their rows stay locked until the transaction ends, so none is deleted meanwhile.
async fn add_keys(db: &mut Connection, keys: &Keys<'_>) -> Result<Accounts, StoreError> {
    let row = |(id, key): &(KeyId, &KeyTotals)| {
        let last = key.last_use();
        binds![
            id.to_string(),
            count(key.requests),
            count(key.errors),
            last.map(|last| last.at),
            last.map(|last| last.address),
        ]
    };
    let rows = in_statements(db, keys.iter().map(row).collect(), |rows| {
        let newer = is_newer("used.used_at", "keys.last_used_at");
        format!(
            "WITH used (id, requests, errors, used_at, used_ip) AS (VALUES {rows}) \
             UPDATE keys SET request_count = keys.request_count + used.requests, \
             error_count = keys.error_count + used.errors, \
             last_used_ip = CASE WHEN {newer} THEN used.used_ip ELSE keys.last_used_ip END, \
             last_used_at = CASE WHEN {newer} THEN used.used_at ELSE keys.last_used_at END \
             FROM used WHERE keys.id = used.id RETURNING keys.id AS id, keys.account_id AS account_id"
        )
    })
    .await?;
    rows.iter().map(|row| Ok((row.text("id")?, row.text("account_id")?))).collect()
}

/// Adds the requests of all keys to those of their accounts, in the order of the primary key, so that two servers that do
/// so wait for each other and not in a circle.
async fn add_accounts(db: &mut Connection, keys: &[Buckets], accounts: &Accounts) -> Result<(), StoreError> {
    let mut sums = BTreeMap::<(&str, &str, Timestamp, u16), u64>::new();
    for (id, buckets) in keys {
        let Some(account) = accounts.get(id) else { continue };
        for (bucket, sum) in buckets {
            let requests =
                sums.entry((account, bucket.span.name(), bucket.start, bucket.status)).or_default();
            *requests = requests.saturating_add(sum.requests);
        }
    }
    let row = |((account, span, start, status), requests): ((&str, &str, Timestamp, u16), u64)| {
        binds![account, span, start, i64::from(status), count(requests)]
    };
    in_statements(db, sums.into_iter().map(row).collect(), |rows| {
        format!(
            "INSERT INTO account_usage (account_id, span, start, status, requests) VALUES {rows} \
             ON CONFLICT (account_id, span, start, status) DO UPDATE SET \
             requests = account_usage.requests + excluded.requests"
        )
    })
    .await
    .map(drop)
}

async fn add_secrets(db: &mut Connection, keys: &Keys<'_>) -> Result<(), StoreError> {
    let of_key = |(id, key): &(KeyId, &KeyTotals)| {
        let id = id.to_string();
        let row = |secret: &SecretTotals| {
            let last = secret.last_use?;
            Some(binds![id.as_str(), &secret.mark.0[..], last.at, Some(last.address)])
        };
        key.secrets.iter().filter_map(row).collect::<Vec<_>>()
    };
    in_statements(db, keys.iter().flat_map(of_key).collect(), |rows| {
        let newer = is_newer("used.used_at", "key_secrets.last_used_at");
        format!(
            "WITH used (key_id, mark, used_at, used_ip) AS (VALUES {rows}) \
             UPDATE key_secrets SET last_used_at = used.used_at, last_used_ip = used.used_ip \
             FROM used WHERE key_secrets.key_id = used.key_id AND substr(key_secrets.hash, 1, 8) = used.mark \
             AND {newer}"
        )
    })
    .await
    .map(drop)
}

async fn add_buckets(db: &mut Connection, totals: &Totals, keys: &[Buckets]) -> Result<(), StoreError> {
    let of_key = |(id, buckets): &Buckets| {
        let row = |(bucket, sum): &(BucketKey, BucketSum)| {
            let mut row = binds![
                id.as_str(),
                bucket.span.name(),
                bucket.start,
                totals.route(bucket.route),
                i64::from(bucket.status),
                &bucket.secret.0[..],
                count(sum.requests),
                count(sum.duration_us),
            ];
            row.extend(sum.durations.counts().iter().map(|requests| Value::from(count(*requests))));
            row
        };
        buckets.iter().map(row).collect::<Vec<_>>()
    };
    in_statements(db, keys.iter().flat_map(of_key).collect(), |rows| {
        let (durations, added) = (DURATIONS.as_str(), DURATIONS_ADDED.as_str());
        format!(
            "INSERT INTO usage_buckets (key_id, span, start, route, status, secret, requests, duration_us, {durations}) \
             VALUES {rows} ON CONFLICT (key_id, span, start, route, status, secret) DO UPDATE SET \
             requests = usage_buckets.requests + excluded.requests, \
             duration_us = usage_buckets.duration_us + excluded.duration_us, {added}"
        )
    })
    .await
    .map(drop)
}

/// The requests of a key in an hour or a day.
struct KeyUsage {
    requests: u64,
    errors: u64,
    limited: u64,
    /// The first and the last minute with some of them.
    minutes: (Timestamp, Timestamp),
}

/// The hours and days of buckets.
fn key_usage(buckets: &[(BucketKey, BucketSum)]) -> BTreeMap<(UsageSpan, Timestamp), KeyUsage> {
    let mut sums = BTreeMap::new();
    let minutes = buckets.iter().filter(|(bucket, _)| bucket.span == UsageSpan::Minute);
    for (BucketKey { start: minute, status, .. }, BucketSum { requests, .. }) in minutes {
        for span in [UsageSpan::Hour, UsageSpan::Day] {
            let sum = sums.entry((span, span.start_of(*minute))).or_insert(KeyUsage {
                requests: 0,
                errors: 0,
                limited: 0,
                minutes: (*minute, *minute),
            });
            let add = |to: &mut u64| *to = to.saturating_add(*requests);
            add(&mut sum.requests);
            if *status >= 400 {
                add(&mut sum.errors);
            }
            if *status == TOO_MANY {
                add(&mut sum.limited);
            }
            sum.minutes = (sum.minutes.0.min(*minute), sum.minutes.1.max(*minute));
        }
    }
    sums
}

/// Adds to the hours and days of keys, after the buckets: the busiest minute is found among all requests of the minutes
/// that got more.
async fn add_key_usage(db: &mut Connection, keys: &[Buckets]) -> Result<(), StoreError> {
    let of_key = |(id, buckets): &Buckets| {
        let row = |((span, start), sum): ((UsageSpan, Timestamp), KeyUsage)| {
            let (first, last) = sum.minutes;
            let (requests, errors, limited) = (count(sum.requests), count(sum.errors), count(sum.limited));
            binds![id.as_str(), span.name(), start, requests, errors, limited, first, last]
        };
        key_usage(buckets).into_iter().map(row).collect::<Vec<_>>()
    };
    in_statements(db, keys.iter().flat_map(of_key).collect(), |rows| {
        format!(
            "WITH added (key_id, span, start, requests, errors, limited, first_minute, last_minute) AS (VALUES {rows}) \
             INSERT INTO key_usage (key_id, span, start, requests, errors, limited, busiest_minute) \
             SELECT a.key_id, a.span, a.start, a.requests, a.errors, a.limited, \
               COALESCE((SELECT CAST(max(m.requests) AS BIGINT) FROM (SELECT sum(b.requests) AS requests \
                 FROM usage_buckets b WHERE b.key_id = a.key_id AND b.span = 'minute' \
                 AND b.start >= a.first_minute AND b.start <= a.last_minute AND b.status <> {TOO_MANY} \
                 GROUP BY b.start) m), 0) \
             FROM added a WHERE true ON CONFLICT (key_id, span, start) DO UPDATE SET \
             requests = key_usage.requests + excluded.requests, errors = key_usage.errors + excluded.errors, \
             limited = key_usage.limited + excluded.limited, \
             busiest_minute = CASE WHEN excluded.busiest_minute > key_usage.busiest_minute \
               THEN excluded.busiest_minute ELSE key_usage.busiest_minute END"
        )
    })
    .await
    .map(drop)
}

/// A table of what was seen of the secrets of a key.
#[derive(Clone, Copy)]
pub(crate) struct SeenTable {
    pub(crate) name: &'static str,
    /// The column of what was seen.
    pub(crate) column: &'static str,
    /// The most rows of a secret.
    pub(crate) most: usize,
}

pub(crate) const ADDRESSES: SeenTable =
    SeenTable { name: "usage_addresses", column: "address", most: MAX_ADDRESSES };
pub(crate) const PROGRAMS: SeenTable =
    SeenTable { name: "usage_programs", column: "program", most: MAX_PROGRAMS };

fn rows_of_seen<T: ToString>(secret: &SecretTotals, seen: &[Seen<T>]) -> Vec<Vec<Value>> {
    let row = |seen: &Seen<T>| {
        let mark = &secret.mark.0[..];
        binds![mark, seen.what.to_string(), seen.first_seen, seen.last_seen, count(seen.requests)]
    };
    seen.iter().map(row).collect()
}

async fn add_seen(
    db: &mut Connection,
    keys: &Keys<'_>,
    SeenTable { name, column, .. }: SeenTable,
    of_secret: impl Fn(&SecretTotals) -> Vec<Vec<Value>>,
) -> Result<(), StoreError> {
    let mut all = Vec::new();
    for (id, key) in keys {
        for row in key.secrets.iter().flat_map(&of_secret) {
            all.push([vec![Value::from(id.to_string())], row].concat());
        }
    }
    in_statements(db, all, |rows| {
        let newer = is_newer("excluded.last_seen", &format!("{name}.last_seen"));
        format!(
            "INSERT INTO {name} (key_id, secret, {column}, first_seen, last_seen, requests) VALUES {rows} \
             ON CONFLICT (key_id, secret, {column}) DO UPDATE SET \
             requests = {name}.requests + excluded.requests, \
             first_seen = CASE WHEN excluded.first_seen < {name}.first_seen \
                THEN excluded.first_seen ELSE {name}.first_seen END, \
             last_seen = CASE WHEN {newer} THEN excluded.last_seen ELSE {name}.last_seen END"
        )
    })
    .await
    .map(drop)
}

/// Deletes the surplus addresses and programs of each secret of a key, those not seen for longest.
pub(crate) async fn trim(db: &mut Connection, key: &str) -> Result<(), StoreError> {
    for SeenTable { name, column, most } in [ADDRESSES, PROGRAMS] {
        let sql = format!(
            "DELETE FROM {name} WHERE key_id = $1 AND (secret, {column}) IN (SELECT secret, {column} FROM \
             (SELECT secret, {column}, row_number() OVER (PARTITION BY secret ORDER BY last_seen DESC, {column}) AS place \
              FROM {name} WHERE key_id = $1) AS ranked WHERE place > $2)"
        );
        db.execute(sql, binds![key, i64::try_from(most).unwrap_or(i64::MAX)]).await?;
    }
    Ok(())
}

/// Deletes the addresses and programs of a secret that its key no longer has on record.
pub(crate) async fn forget_secret(db: &mut Connection, key: &str, secret: &str) -> Result<(), StoreError> {
    for SeenTable { name, .. } in [ADDRESSES, PROGRAMS] {
        let sql = format!(
            "DELETE FROM {name} WHERE key_id = $1 AND secret = \
             (SELECT substr(hash, 1, 8) FROM key_secrets WHERE id = $2)"
        );
        db.execute(sql, binds![key, secret]).await?;
    }
    Ok(())
}

/// The SQL condition that a last use replaces the stored one.
fn is_newer(used: &str, stored: &str) -> String {
    format!("({stored} IS NULL OR {used} >= {stored} OR {used} < {stored} - {AHEAD_MS})")
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Runs a statement over all rows, a power of two at a time, so that few different statements are prepared; returns what the
/// statement returns.
async fn in_statements(
    db: &mut Connection,
    rows: Vec<Vec<Value>>,
    sql: impl Fn(&str) -> String,
) -> Result<Vec<Row>, StoreError> {
    let (mut rows, mut returned) = (rows.into_iter(), Vec::new());
    while rows.len() > 0 {
        let size = if rows.len() >= ROWS { ROWS } else { 1 << rows.len().ilog2() };
        let group: Vec<Vec<Value>> = rows.by_ref().take(size).collect();
        let columns = group.first().map_or(0, Vec::len);
        let row = |row: usize| format!("({})", placeholders(row * columns + 1, columns));
        let table = (0..size).map(row).collect::<Vec<_>>().join(", ");
        returned.extend(db.fetch_all(sql(&table), group.concat()).await?);
    }
    Ok(returned)
}

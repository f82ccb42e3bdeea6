//! Writes sums: many rows per statement, ordered by key.

use std::ops::Range;

use telepath_core::id::KeyId;
use telepath_core::usage::{KeyTotals, MAX_ADDRESSES, PARTS, Totals};

use crate::error::StoreError;
use crate::sql::{Connection, Value, binds, placeholders};

/// Rows per statement; a power of two.
const ROWS: usize = 64;
/// Beyond this many addresses of one key in one batch, its surplus addresses are deleted at once. The others wait for
/// retention.
const MANY_ADDRESSES: usize = 4;

type Keys<'a> = [(KeyId, &'a KeyTotals)];

/// The approximate number of rows.
pub(super) fn rows(totals: &Totals) -> usize {
    totals.of_parts(0..PARTS).iter().map(|(_, key)| key.rows()).sum()
}

/// Adds the keys of some partitions.
pub(super) async fn add(db: &mut Connection, totals: &Totals, parts: Range<u8>) -> Result<(), StoreError> {
    let keys = totals.of_parts(parts);
    add_keys(db, &keys).await?;
    add_secrets(db, &keys).await?;
    add_buckets(db, totals, &keys).await?;
    add_addresses(db, &keys).await?;
    for (key, _) in keys.iter().filter(|(_, key)| key.addresses.len() > MANY_ADDRESSES) {
        trim_addresses(db, &key.to_string()).await?;
    }
    Ok(())
}

async fn add_keys(db: &mut Connection, keys: &Keys<'_>) -> Result<(), StoreError> {
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
    in_statements(db, keys.iter().map(row).collect(), |rows| {
        format!(
            "WITH used (id, requests, errors, used_at, used_ip) AS (VALUES {rows}) \
             UPDATE keys SET request_count = keys.request_count + used.requests, \
             error_count = keys.error_count + used.errors, \
             last_used_ip = CASE WHEN used.used_at >= COALESCE(keys.last_used_at, used.used_at) \
                THEN used.used_ip ELSE keys.last_used_ip END, \
             last_used_at = CASE WHEN used.used_at >= COALESCE(keys.last_used_at, used.used_at) \
                THEN used.used_at ELSE keys.last_used_at END \
             FROM used WHERE keys.id = used.id"
        )
    })
    .await
}

async fn add_secrets(db: &mut Connection, keys: &Keys<'_>) -> Result<(), StoreError> {
    let of_key = |(id, key): &(KeyId, &KeyTotals)| {
        let id = id.to_string();
        let row = |(mark, last): &(telepath_core::request::SecretMark, telepath_core::key::LastUse)| {
            binds![id.as_str(), &mark.0[..], last.at, Some(last.address)]
        };
        key.secrets.iter().map(row).collect::<Vec<_>>()
    };
    in_statements(db, keys.iter().flat_map(of_key).collect(), |rows| {
        format!(
            "WITH used (key_id, mark, used_at, used_ip) AS (VALUES {rows}) \
             UPDATE key_secrets SET last_used_at = used.used_at, last_used_ip = used.used_ip \
             FROM used WHERE key_secrets.key_id = used.key_id AND substr(key_secrets.hash, 1, 8) = used.mark \
             AND used.used_at >= COALESCE(key_secrets.last_used_at, used.used_at)"
        )
    })
    .await
}

async fn add_buckets(db: &mut Connection, totals: &Totals, keys: &Keys<'_>) -> Result<(), StoreError> {
    let of_key = |(id, key): &(KeyId, &KeyTotals)| {
        let id = id.to_string();
        let row = |(bucket, sum): (telepath_core::usage::BucketKey, telepath_core::usage::BucketSum)| {
            binds![
                id.as_str(),
                bucket.span.name(),
                bucket.start,
                totals.route(bucket.route),
                i64::from(bucket.status),
                count(sum.requests),
                count(sum.duration_us),
            ]
        };
        key.buckets().into_iter().map(row).collect::<Vec<_>>()
    };
    in_statements(db, keys.iter().flat_map(of_key).collect(), |rows| {
        format!(
            "INSERT INTO usage_buckets (key_id, span, start, route, status, requests, duration_us) \
             VALUES {rows} ON CONFLICT (key_id, span, start, route, status) DO UPDATE SET \
             requests = usage_buckets.requests + excluded.requests, \
             duration_us = usage_buckets.duration_us + excluded.duration_us"
        )
    })
    .await
}

async fn add_addresses(db: &mut Connection, keys: &Keys<'_>) -> Result<(), StoreError> {
    let of_key = |(id, key): &(KeyId, &KeyTotals)| {
        let id = id.to_string();
        let row = |seen: &telepath_core::usage::SeenAddress| {
            let address = seen.address.to_string();
            binds![id.as_str(), address, seen.first_seen, seen.last_seen, count(seen.requests)]
        };
        key.addresses.iter().map(row).collect::<Vec<_>>()
    };
    in_statements(db, keys.iter().flat_map(of_key).collect(), |rows| {
        format!(
            "INSERT INTO usage_addresses (key_id, address, first_seen, last_seen, requests) VALUES {rows} \
             ON CONFLICT (key_id, address) DO UPDATE SET \
             requests = usage_addresses.requests + excluded.requests, \
             first_seen = CASE WHEN excluded.first_seen < usage_addresses.first_seen \
                THEN excluded.first_seen ELSE usage_addresses.first_seen END, \
             last_seen = CASE WHEN excluded.last_seen > usage_addresses.last_seen \
                THEN excluded.last_seen ELSE usage_addresses.last_seen END"
        )
    })
    .await
}

/// Deletes the surplus addresses of a key, those not seen for longest.
pub(crate) async fn trim_addresses(db: &mut Connection, key: &str) -> Result<(), StoreError> {
    let sql = "DELETE FROM usage_addresses WHERE key_id = $1 AND address IN \
               (SELECT address FROM usage_addresses WHERE key_id = $1 ORDER BY last_seen DESC, address \
                LIMIT 1000000 OFFSET $2)";
    let most = i64::try_from(MAX_ADDRESSES).unwrap_or(i64::MAX);
    db.execute(sql, binds![key, most]).await.map(drop)
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Runs a statement over all rows, a power of two at a time, so that few different statements are prepared.
async fn in_statements(
    db: &mut Connection,
    rows: Vec<Vec<Value>>,
    sql: impl Fn(&str) -> String,
) -> Result<(), StoreError> {
    let mut rows = rows.into_iter();
    while rows.len() > 0 {
        let size = if rows.len() >= ROWS { ROWS } else { 1 << rows.len().ilog2() };
        let group: Vec<Vec<Value>> = rows.by_ref().take(size).collect();
        let columns = group.first().map_or(0, Vec::len);
        let row = |row: usize| format!("({})", placeholders(row * columns + 1, columns));
        let table = (0..size).map(row).collect::<Vec<_>>().join(", ");
        db.execute(sql(&table), group.concat()).await?;
    }
    Ok(())
}

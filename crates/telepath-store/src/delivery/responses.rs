//! The responses of webhook endpoints that are kept for inspection. An account keeps a limited number of bytes: the oldest responses
//! make room for newer ones, and the attempts stay on record without them.
//!
//! The total of an account is locked before rows of attempts are changed, by whoever keeps, replaces or deletes some.

use std::collections::BTreeMap;

use telepath_core::clock::Timestamp;
use telepath_core::id::AccountId;

use crate::error::StoreError;
use crate::sql::{Connection, Value, binds, placeholders};

/// Deliveries whose responses are deleted by one statement.
const BATCH: i64 = 200;
/// Statements of one transaction; what is left is left to the next attempt.
const ROUNDS: u32 = 20;

/// Counts a response, and makes room if the account has more than `limit` bytes of them. Must be called before the response is
/// stored.
pub(super) async fn count_response(
    db: &mut Connection,
    account: AccountId,
    bytes: usize,
    limit: u64,
) -> Result<(), StoreError> {
    if bytes == 0 {
        return Ok(());
    }
    let sql = "INSERT INTO webhook_response_totals (account_id, bytes, cleared_until) VALUES ($1, $2, 0) \
               ON CONFLICT (account_id) DO UPDATE SET bytes = webhook_response_totals.bytes + $2 \
               RETURNING bytes, cleared_until";
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    let row = db.fetch_one(sql, binds![account.to_string(), bytes]).await?;
    let total: u64 = row.number("bytes")?;
    if total > limit {
        // More than is needed, so that not every attempt deletes.
        let excess = total - limit + limit / 10;
        clear_oldest(db, account, row.time("cleared_until")?, excess).await?;
    }
    Ok(())
}

async fn clear_oldest(
    db: &mut Connection,
    account: AccountId,
    mut since: Timestamp,
    excess: u64,
) -> Result<(), StoreError> {
    let mut freed = 0;
    for _ in 0..ROUNDS {
        let sql = "SELECT id, attempted_at FROM webhook_deliveries d WHERE account_id = $1 AND attempted_at >= $2 \
                   AND EXISTS (SELECT 1 FROM webhook_attempts a WHERE a.delivery_id = d.id AND octet_length(a.answer) > 0) \
                   ORDER BY attempted_at, id LIMIT $3";
        let rows = db.fetch_all(sql, binds![account.to_string(), since, BATCH]).await?;
        let Some(last) = rows.last() else { break };
        since = last.time("attempted_at")?;
        let ids =
            rows.iter().map(|row| Ok(row.text("id")?.into())).collect::<Result<Vec<Value>, StoreError>>()?;
        let of = format!("delivery_id IN ({}) AND octet_length(answer) > 0", placeholders(2, ids.len()));
        let sql = format!("UPDATE webhook_attempts SET answer = $1 WHERE {of}");
        let sizes = format!(
            "SELECT CAST(COALESCE(sum(octet_length(answer)), 0) AS BIGINT) AS bytes FROM webhook_attempts WHERE delivery_id IN ({})",
            placeholders(1, ids.len())
        );
        freed += db.fetch_one(sizes, ids.clone()).await?.number::<u64>("bytes")?;
        let mut values = binds![&[][..]];
        values.extend(ids);
        db.execute(sql, values).await?;
        if freed >= excess {
            break;
        }
    }
    let sql =
        "UPDATE webhook_response_totals SET bytes = bytes - $2, cleared_until = $3 WHERE account_id = $1";
    let freed = i64::try_from(freed).unwrap_or(i64::MAX);
    db.execute(sql, binds![account.to_string(), freed, since]).await.map(drop)
}

/// Subtracts the responses of deliveries that are about to be deleted.
pub(super) async fn forget_responses(db: &mut Connection, deliveries: &[Value]) -> Result<(), StoreError> {
    if deliveries.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "SELECT d.account_id AS account_id, CAST(sum(octet_length(a.answer)) AS BIGINT) AS bytes \
         FROM webhook_attempts a JOIN webhook_deliveries d ON d.id = a.delivery_id WHERE d.id IN ({}) \
         GROUP BY d.account_id HAVING sum(octet_length(a.answer)) > 0",
        placeholders(1, deliveries.len())
    );
    // In the order of the accounts, so that two servers never wait for each other in a circle.
    let mut freed = BTreeMap::<String, i64>::new();
    for row in db.fetch_all(sql, deliveries.to_vec()).await? {
        freed.insert(row.text("account_id")?, row.integer("bytes")?);
    }
    for (account, bytes) in freed {
        let sql = "UPDATE webhook_response_totals SET bytes = bytes - $2 WHERE account_id = $1";
        db.execute(sql, binds![account, bytes]).await?;
    }
    Ok(())
}

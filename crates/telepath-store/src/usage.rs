//! Brings the counts in memory to the database: a worker asks for it every second. Requests never wait for this, and a
//! kill loses at most what was counted since the last time.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use telepath_core::id::KeyId;
use telepath_core::key::LastUse;

use crate::Store;
use crate::backend::Backend;
use crate::call::beat;
use crate::error::StoreError;
use crate::key::settle_doubts;
use crate::key_table::{KeyTable, Spent};
use crate::sql::{Connection, Value};

/// Rows of one statement.
const ROWS: usize = 64;
/// Keys of one transaction: few enough that changes never wait long behind it.
const KEYS: usize = 512;

/// How often it is written down that live calls are live.
const BEAT_MS: i64 = 10_000;

impl Store {
    /// Writes all counts that the database does not have yet; of how many keys. Also asks again about keys whose last
    /// change may or may not have happened.
    pub async fn flush_usage(&self) -> Result<usize, StoreError> {
        let (backend, keys) = (self.backend.clone(), self.keys.clone());
        let (last_beat, now) = (Arc::clone(&self.last_beat), self.now());
        let node = self.cluster.node_id();
        // In a task of its own: counts that were taken from the table must not be lost with a caller that goes away.
        let task = tokio::spawn(async move {
            settle_doubts(&backend, &keys).await;
            if now.unix_ms() - last_beat.load(Ordering::Relaxed) >= BEAT_MS {
                backend.write(move |db| Box::pin(beat(db, node, now))).await?;
                last_beat.store(now.unix_ms(), Ordering::Relaxed);
            }
            flush(&backend, &keys).await
        });
        task.await.unwrap_or(Err(StoreError::Broken))
    }
}

async fn flush(backend: &Backend, keys: &KeyTable) -> Result<usize, StoreError> {
    let mut spent = keys.take_spent();
    // The same order everywhere, so that two servers on one database do not wait for each other in a circle.
    spent.sort_by_key(Spent::key_id);
    let mut failure = None;
    for group in spent.chunks(KEYS) {
        let used = group.iter().map(Used::of).collect();
        let written = match failure {
            None => backend.write(move |db| Box::pin(write_used(db, used))).await,
            Some(_) => Ok(()),
        };
        // Counts of a commit whose outcome is unknown are given up: too few is better than counted twice.
        let settled = match &written {
            Ok(()) => failure.is_none(),
            Err(StoreError::OutcomeUnknown(_)) => true,
            Err(_) => false,
        };
        keys.settle(group, settled);
        failure = failure.or(written.err());
    }
    failure.map_or(Ok(spent.len()), Err)
}

/// What is written of one key.
struct Used {
    id: KeyId,
    requests: u32,
    errors: u32,
    last: Option<LastUse>,
    secrets: Vec<(Vec<u8>, LastUse)>,
}

impl Used {
    fn of(spent: &Spent) -> Self {
        Self {
            id: spent.key_id(),
            requests: spent.requests,
            errors: spent.errors,
            last: spent.last_use(),
            secrets: spent.secrets.iter().map(|(hash, last)| (hash.as_bytes().to_vec(), *last)).collect(),
        }
    }
}

async fn write_used(db: &mut Connection, used: Vec<Used>) -> Result<(), StoreError> {
    for rows in used.chunks(ROWS) {
        let values = rows.iter().flat_map(|row| -> [Value; 5] {
            [
                row.id.to_string().into(),
                row.requests.into(),
                row.errors.into(),
                row.last.map(|last| last.at).into(),
                row.last.map(|last| last.address).into(),
            ]
        });
        let sql = format!(
            "WITH used (id, requests, errors, used_at, used_ip) AS (VALUES {}) \
             UPDATE keys SET request_count = keys.request_count + used.requests, \
             error_count = keys.error_count + used.errors, \
             last_used_ip = CASE WHEN used.used_at >= COALESCE(keys.last_used_at, used.used_at) \
                THEN used.used_ip ELSE keys.last_used_ip END, \
             last_used_at = CASE WHEN used.used_at >= COALESCE(keys.last_used_at, used.used_at) \
                THEN used.used_at ELSE keys.last_used_at END \
             FROM used WHERE keys.id = used.id",
            table(rows.len(), 5)
        );
        db.execute(sql, values.collect()).await?;
    }
    let secrets: Vec<_> = used.iter().flat_map(|row| &row.secrets).collect();
    for rows in secrets.chunks(ROWS) {
        let values = rows.iter().flat_map(|(hash, last)| -> [Value; 3] {
            [hash.as_slice().into(), last.at.into(), Some(last.address).into()]
        });
        let sql = format!(
            "WITH used (hash, used_at, used_ip) AS (VALUES {}) \
             UPDATE key_secrets SET last_used_at = used.used_at, last_used_ip = used.used_ip \
             FROM used WHERE key_secrets.hash = used.hash \
             AND used.used_at >= COALESCE(key_secrets.last_used_at, used.used_at)",
            table(rows.len(), 3)
        );
        db.execute(sql, values.collect()).await?;
    }
    Ok(())
}

/// `($1, $2), ($3, $4)`: the placeholders of a table of values.
fn table(rows: usize, columns: usize) -> String {
    let row = |row: usize| format!("({})", crate::sql::placeholders(row * columns + 1, columns));
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

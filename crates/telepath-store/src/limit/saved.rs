//! Windows that are counted in memory are also kept in the database, so that a restart continues them. Twice a second,
//! the windows that changed are written as one row; the keys' own rows are never touched. A kill loses the counts since
//! the last row.

use telepath_core::clock::{ClockReading, Timestamp};
use telepath_core::id::{Id as _, KeyId};
use telepath_core::limit::{WINDOW_MS, Window};

use super::quotas;
use crate::backend::Backend;
use crate::context::StoreContext;
use crate::error::StoreError;
use crate::key_table::KeyTable;
use crate::sql::{Connection, Row, binds, corrupt};

/// Windows per row: at most 900 KiB.
const WINDOWS_PER_ROW: usize = 32_768;
/// The bytes of a window: the key's id, the end and the count.
const ENTRY: usize = 16 + 8 + 4;
/// Rows older than this, in milliseconds, hold only windows that have ended.
const MAX_AGE_MS: i64 = 2 * WINDOW_MS;

/// Writes the windows and quotas that changed since the last call.
pub(crate) async fn save(
    backend: &Backend,
    context: &StoreContext,
    keys: &KeyTable,
) -> Result<(), StoreError> {
    let counts = keys.take_changed_counts();
    if counts.is_empty() {
        return Ok(());
    }
    let windows: Vec<_> = counts.iter().map(|changed| (changed.key, changed.window)).collect();
    let quotas: Vec<_> = counts.iter().filter_map(|changed| Some((changed.key, changed.quota?))).collect();
    let (rows, now) = (encode(&windows), context.clock.read());
    let written: Result<(), StoreError> = backend
        .write(move |db| {
            Box::pin(async move {
                let oldest = now.steady.plus_ms(-MAX_AGE_MS).ms();
                db.execute("DELETE FROM rate_windows WHERE steady_at < $1", binds![oldest]).await?;
                insert(db, rows, now).await?;
                quotas::write(db, &quotas).await
            })
        })
        .await;
    if written.is_err() {
        keys.put_back_changed_counts(&counts);
    }
    written
}

/// Continues the windows of the previous run. The time in between is taken from the wall clock, because steady time does
/// not continue across runs; a clock that was set back meanwhile counts as no time.
pub(crate) async fn restore(
    backend: &Backend,
    context: &StoreContext,
    keys: &KeyTable,
) -> Result<(), StoreError> {
    let now = context.clock.read();
    let rows = {
        let mut db = backend.read().await?;
        for (id, counts) in quotas::read(&mut db).await? {
            keys.restore_quota(id, counts);
        }
        let sql = "SELECT wall_at, steady_at, windows FROM rate_windows ORDER BY id";
        db.fetch_all(sql, vec![]).await?
    };
    let mut windows = Vec::new();
    for row in &rows {
        windows.extend(open_windows(row, now)?);
    }
    // A later row replaces what an earlier one says of a key.
    for (id, window) in &windows {
        keys.restore_window(*id, *window);
    }
    // From now on all rows are on this run's timeline.
    let rewritten = encode(&windows);
    backend
        .write(move |db| {
            Box::pin(async move {
                db.execute("DELETE FROM rate_windows", vec![]).await?;
                insert(db, rewritten, now).await
            })
        })
        .await
}

async fn insert(db: &mut Connection, rows: Vec<Vec<u8>>, now: ClockReading) -> Result<(), StoreError> {
    // Only the one server that counts in memory writes rows, so two never draw the same number.
    let sql = "INSERT INTO rate_windows (id, wall_at, steady_at, windows) \
               SELECT COALESCE(MAX(id), 0) + 1, $1, $2, $3 FROM rate_windows";
    for row in rows {
        db.execute(sql, binds![now.wall, now.steady.ms(), row.as_slice()]).await?;
    }
    Ok(())
}

fn encode(windows: &[(KeyId, Window)]) -> Vec<Vec<u8>> {
    let row = |chunk: &[(KeyId, Window)]| {
        let mut bytes = Vec::with_capacity(chunk.len() * ENTRY);
        for (id, window) in chunk {
            bytes.extend_from_slice(id.as_bytes());
            bytes.extend_from_slice(&window.end().ms().to_be_bytes());
            bytes.extend_from_slice(&window.used().to_be_bytes());
        }
        bytes
    };
    windows.chunks(WINDOWS_PER_ROW).map(row).collect()
}

/// The windows of a row that have not ended, on this run's timeline.
fn open_windows(row: &Row, now: ClockReading) -> Result<Vec<(KeyId, Window)>, StoreError> {
    let (wall_at, steady_at): (Timestamp, i64) = (row.time("wall_at")?, row.integer("steady_at")?);
    let elapsed = i64::try_from(now.wall.since(wall_at).as_millis()).unwrap_or(i64::MAX);
    let bytes = row.bytes("windows")?;
    let (entries, rest) = bytes.as_chunks::<ENTRY>();
    if !rest.is_empty() {
        return Err(corrupt("windows"));
    }
    let window = |entry: &[u8; ENTRY]| {
        let (id, end, used) = split(entry);
        let left = end.saturating_sub(steady_at).min(WINDOW_MS).saturating_sub(elapsed);
        (left > 0).then(|| (id, Window::counted(now.steady.plus_ms(left), used)))
    };
    Ok(entries.iter().filter_map(window).collect())
}

fn split(entry: &[u8; ENTRY]) -> (KeyId, i64, u32) {
    let (mut id, mut end, mut used) = ([0; 16], [0; 8], [0; 4]);
    id.copy_from_slice(&entry[..16]);
    end.copy_from_slice(&entry[16..24]);
    used.copy_from_slice(&entry[24..]);
    (KeyId::from_bytes(id), i64::from_be_bytes(end), u32::from_be_bytes(used))
}

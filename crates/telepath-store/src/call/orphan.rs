//! Live calls whose server is gone: heartbeats record how long they are known to have been live, and later they are
//! closed.

use telepath_core::analytics::CallFigures;
use telepath_core::call::{CallMetrics, CallStatus, DisconnectReason};
use telepath_core::clock::Timestamp;
use telepath_core::event::{CallDelays, CallEnded};
use telepath_core::id::{AccountId, CallId, NodeId};

use super::row::duration_seconds;
use super::statistics::{CountedCall, count_call};
use crate::context::StoreContext;
use crate::error::StoreError;
use crate::event;
use crate::sql::{Connection, Row, binds};

/// The setting with the time of the last heartbeat; see [`record_heartbeat`].
const ALIVE: &str = "alive_at";

/// Records that the server is alive. If it is killed, its live calls count as ended at the last heartbeat.
pub(crate) async fn record_heartbeat(
    db: &mut Connection,
    node: Option<NodeId>,
    now: Timestamp,
) -> Result<(), StoreError> {
    if let Some(node) = node {
        db.execute("UPDATE nodes SET alive_at = $2 WHERE id = $1", binds![node.to_string(), now]).await?;
        return Ok(());
    }
    let sql = "INSERT INTO settings (name, value) SELECT $1, $2 \
               WHERE EXISTS (SELECT 1 FROM calls WHERE status = 'connected') \
               ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    db.execute(sql, binds![ALIVE, now.unix_ms().to_string()]).await?;
    Ok(())
}

/// Live calls that no server carries.
pub(crate) enum OrphanedCalls {
    /// Every live call: their only server has just started.
    All,
    /// Calls of no known server.
    WithoutNode,
    /// Calls of a server that is gone, with its last heartbeat.
    Of(NodeId, Timestamp),
}

/// Ends the calls that a crash left live. They count as ended at the last heartbeat of their server, but not before
/// they were answered.
pub(crate) async fn close_orphaned_calls(
    db: &mut Connection,
    context: &StoreContext,
    orphans: OrphanedCalls,
) -> Result<u64, StoreError> {
    const LIVE: &str = "SELECT id, account_id, trunk_id, start_time, answer_time, carrier FROM calls \
         WHERE status = 'connected'";
    // In one order on every server, so that two that close calls of the same trunks never wait for each other in a circle.
    const ORDER: &str = "ORDER BY account_id, trunk_id, carrier, start_time";
    let (rows, alive) = match orphans {
        OrphanedCalls::All => {
            (db.fetch_all(format!("{LIVE} {ORDER}"), vec![]).await?, last_heartbeat(db).await?)
        }
        OrphanedCalls::WithoutNode => {
            let sql =
                format!("{LIVE} AND (node_id IS NULL OR node_id NOT IN (SELECT id FROM nodes)) {ORDER}");
            (db.fetch_all(sql, vec![]).await?, last_heartbeat(db).await?)
        }
        OrphanedCalls::Of(node, alive) => {
            let sql = format!("{LIVE} AND node_id = $1 {ORDER}");
            (db.fetch_all(sql, binds![node.to_string()]).await?, alive)
        }
    };
    for row in &rows {
        close_orphaned_call(db, context, row, alive).await?;
    }
    Ok(rows.len() as u64)
}

async fn last_heartbeat(db: &mut Connection) -> Result<Timestamp, StoreError> {
    let alive = db.fetch_optional("SELECT value FROM settings WHERE name = $1", binds![ALIVE]).await?;
    alive.map_or(Ok(Timestamp::default()), |row| row.parse("value").map(Timestamp::from_unix_ms))
}

async fn close_orphaned_call(
    db: &mut Connection,
    context: &StoreContext,
    row: &Row,
    alive: Timestamp,
) -> Result<(), StoreError> {
    let (call, account): (CallId, AccountId) = (row.parse("id")?, row.parse("account_id")?);
    let trunk = row.parse("trunk_id")?;
    let answer = row.maybe_time("answer_time")?;
    let now = context.clock.now();
    // A heartbeat from a clock that was ahead does not make the call longer.
    let end = alive.min(now).max(answer.unwrap_or_default());
    let duration = duration_seconds(answer, end);
    let closed = db
        .execute(
            "UPDATE calls SET status = 'disconnected', disconnect_reason = 'unknown', end_time = $3, \
             duration_seconds = $4, reason_text = 'the server stopped without ending the call' \
             WHERE id = $1 AND account_id = $2 AND status = 'connected'",
            binds![call.to_string(), account.to_string(), end, duration],
        )
        .await?;
    if closed == 0 {
        return Ok(());
    }
    let delays = CallDelays::from(&CallMetrics::default());
    let event = CallEnded::new(call, trunk, duration, DisconnectReason::Unknown, delays);
    let id = context.new_id(now)?;
    event::write(db, account, id, event.into(), now).await?;
    let figures = CallFigures::of_call(CallStatus::Disconnected, duration, &CallMetrics::default(), &[]);
    let (start_time, carrier) = (row.time("start_time")?, row.maybe_text("carrier")?);
    let (carrier, reason) = (carrier.as_deref(), DisconnectReason::Unknown);
    count_call(db, CountedCall { account, trunk, start_time, carrier, reason, figures }).await
}

//! The rows of the servers that share a database: how one joins, renews, confirms, and is found to be gone. No clock of
//! the database is used: a server whose `beats` stand still while another watches for longer than a lease admits nobody.

use std::collections::HashMap;

use telepath_core::clock::Timestamp;
use telepath_core::id::NodeId;

use crate::call::orphan::{OrphanedCalls, close_orphaned_calls};
use crate::context::StoreContext;
use crate::error::StoreError;
use crate::sql::{Connection, Row, binds};

/// A server as it joins.
#[derive(Clone)]
pub(crate) struct NewNode {
    pub(crate) id: NodeId,
    pub(crate) name: String,
    pub(crate) shared_windows: bool,
    /// Up to which change its memory holds the keys.
    pub(crate) confirmed: i64,
}

/// Another server's row as it was seen.
pub(crate) struct NodeRow {
    id: NodeId,
    name: String,
    shared_windows: bool,
    beats: i64,
    alive_at: Timestamp,
}

/// What was seen of each server at one look.
pub(crate) type Heartbeats = HashMap<NodeId, i64>;

/// The beats of all servers that this one may not work beside, as long as they live: limits that are counted in two
/// memories are no limits.
pub(crate) async fn conflicting_nodes(db: &mut Connection, new: &NewNode) -> Result<Heartbeats, StoreError> {
    let seen = others(db, new.id).await?;
    Ok(seen.iter().filter(|seen| conflicts_with(new, seen)).map(|seen| (seen.id, seen.beats)).collect())
}

fn conflicts_with(new: &NewNode, other: &NodeRow) -> bool {
    !(new.shared_windows && other.shared_windows)
}

/// Enters the row. `watched` are the conflicting servers as they were a whole lease ago; who has not moved since is gone.
pub(crate) async fn join(
    db: &mut Connection,
    context: &StoreContext,
    new: NewNode,
    watched: &Heartbeats,
) -> Result<(), StoreError> {
    // Two servers that start at once see each other.
    db.execute("LOCK TABLE nodes IN SHARE ROW EXCLUSIVE MODE", vec![]).await?;
    for other in others(db, new.id).await? {
        if !conflicts_with(&new, &other) {
            continue;
        }
        if watched.get(&other.id) != Some(&other.beats) {
            return Err(StoreError::OtherServer { name: other.name });
        }
        evict(db, context, &other).await?;
    }
    let now = context.clock.now();
    let sql = "INSERT INTO nodes (id, name, started_at, shared_windows, beats, confirmed_version, alive_at) \
               VALUES ($1, $2, $3, $4, 0, $5, $3) ON CONFLICT (id) DO NOTHING";
    let shared = i64::from(new.shared_windows);
    db.execute(sql, binds![new.id.to_string(), new.name, now, shared, new.confirmed]).await?;
    Ok(())
}

/// What a renewal found.
pub(crate) struct Renewed {
    /// Where the clock of key changes stands.
    pub(crate) clock: i64,
    /// How many servers have a row.
    pub(crate) nodes: u32,
}

/// Renews a server's row and asks for the clock, as of one moment. `None` when the row is gone: the server must join
/// again before it may admit anybody, because those who change keys no longer ask for it.
pub(crate) async fn renew(
    db: &mut Connection,
    id: NodeId,
    confirmed: i64,
) -> Result<Option<Renewed>, StoreError> {
    let sql = "UPDATE nodes SET beats = beats + 1, confirmed_version = $2 WHERE id = $1 \
               RETURNING (SELECT version FROM key_clock WHERE id = 1) AS clock, \
               (SELECT count(*) FROM nodes) AS nodes";
    let row = db.fetch_optional(sql, binds![id.to_string(), confirmed]).await?;
    row.map(|row| Ok(Renewed { clock: row.integer("clock")?, nodes: row.number("nodes")? })).transpose()
}

/// Whether every server but this one has read up to a change.
pub(crate) async fn all_confirmed(
    db: &mut Connection,
    node_id: Option<NodeId>,
    version: i64,
) -> Result<bool, StoreError> {
    let sql = "SELECT count(*) AS behind FROM nodes WHERE confirmed_version < $1 AND id <> $2";
    let node_id = node_id.map(|id| id.to_string()).unwrap_or_default();
    Ok(db.fetch_one(sql, binds![version, node_id]).await?.integer("behind")? == 0)
}

/// Takes a server out that stops and admits nobody any more.
pub(crate) async fn leave(db: &mut Connection, id: NodeId) -> Result<(), StoreError> {
    db.execute("DELETE FROM nodes WHERE id = $1", binds![id.to_string()]).await?;
    Ok(())
}

/// Takes servers out that have not moved since an earlier look, closes the calls that nobody carries any more, and gives
/// what is to be compared at the next look.
pub(crate) async fn evict_dead_nodes(
    db: &mut Connection,
    context: &StoreContext,
    node_id: NodeId,
    earlier: &Heartbeats,
) -> Result<Heartbeats, StoreError> {
    let mut living = Heartbeats::new();
    for other in others(db, node_id).await? {
        if earlier.get(&other.id) == Some(&other.beats) {
            evict(db, context, &other).await?;
        } else {
            living.insert(other.id, other.beats);
        }
    }
    close_orphaned_calls(db, context, OrphanedCalls::WithoutNode).await?;
    Ok(living)
}

/// Only if it has not moved in the meantime.
async fn evict(db: &mut Connection, context: &StoreContext, dead: &NodeRow) -> Result<(), StoreError> {
    let sql = "DELETE FROM nodes WHERE id = $1 AND beats = $2";
    if db.execute(sql, binds![dead.id.to_string(), dead.beats]).await? > 0 {
        let calls = close_orphaned_calls(db, context, OrphanedCalls::Of(dead.id, dead.alive_at)).await?;
        tracing::warn!(node = %dead.id, name = dead.name, calls, "a server is gone without having stopped");
    }
    Ok(())
}

async fn others(db: &mut Connection, node_id: NodeId) -> Result<Vec<NodeRow>, StoreError> {
    let sql = "SELECT id, name, shared_windows, beats, alive_at FROM nodes WHERE id <> $1";
    db.fetch_all(sql, binds![node_id.to_string()]).await?.iter().map(node_row).collect()
}

fn node_row(row: &Row) -> Result<NodeRow, StoreError> {
    Ok(NodeRow {
        id: row.parse("id")?,
        name: row.text("name")?,
        shared_windows: row.integer("shared_windows")? != 0,
        beats: row.integer("beats")?,
        alive_at: row.time("alive_at")?,
    })
}

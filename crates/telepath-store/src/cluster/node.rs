//! The rows of the servers that share a database: joining, renewing, confirming and evicting. No database clock is
//! used: a server whose heartbeat does not change while another server watches for longer than a lease admits no
//! requests.

use std::collections::HashMap;

use telepath_core::clock::Timestamp;
use telepath_core::id::NodeId;

use crate::call::orphan::{OrphanedCalls, close_orphaned_calls};
use crate::context::StoreContext;
use crate::error::StoreError;
use crate::key_clock::{ClockPosition, EPOCH};
use crate::keyring::stored::{loaded_text, require_active};
use crate::sql::{Connection, Row, binds};
use crate::trunk_networks;

/// In a row's `confirmed_version`: every change waits for this server.
const NOTHING_CONFIRMED: i64 = -1;

/// Every server, and how many changes of keys it has not read yet: all of them if it has confirmed nothing.
pub(crate) const SELECT_NODES: &str = "SELECT id, name, started_at, alive_at, \
     (SELECT version FROM key_clock WHERE id = 1) \
     - CASE WHEN confirmed_version < 0 THEN 0 ELSE confirmed_version END AS behind \
     FROM nodes ORDER BY started_at, id";

/// A joining server.
#[derive(Clone)]
pub(crate) struct NewNode {
    pub(crate) id: NodeId,
    pub(crate) name: String,
    pub(crate) shared_windows: bool,
}

/// Another server's row.
pub(crate) struct NodeRow {
    id: NodeId,
    name: String,
    shared_windows: bool,
    beats: i64,
    alive_at: Timestamp,
}

/// The heartbeat of each server at one observation.
pub(crate) type Heartbeats = HashMap<NodeId, i64>;

/// The heartbeats of servers that this one cannot run beside: without a shared limiter each would count rate limits
/// separately.
pub(crate) async fn conflicting_nodes(db: &mut Connection, new: &NewNode) -> Result<Heartbeats, StoreError> {
    let seen = others(db, new.id).await?;
    Ok(seen.iter().filter(|seen| conflicts_with(new, seen)).map(|seen| (seen.id, seen.beats)).collect())
}

fn conflicts_with(new: &NewNode, other: &NodeRow) -> bool {
    !(new.shared_windows && other.shared_windows)
}

/// Inserts the row. `watched` are the heartbeats of conflicting servers more than a lease ago; a server whose
/// heartbeat has not changed since is dead.
pub(crate) async fn join(
    db: &mut Connection,
    context: &StoreContext,
    new: NewNode,
    watched: &Heartbeats,
) -> Result<(), StoreError> {
    // Serializes two servers that start at once.
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
    require_active(db, context).await?;
    let now = context.clock.now();
    let sql = "INSERT INTO nodes (id, name, started_at, shared_windows, beats, confirmed_version, alive_at, \
               sealing_key, master_keys) VALUES ($1, $2, $3, $4, 0, $5, $3, $6, $7) ON CONFLICT (id) DO NOTHING";
    let shared = i64::from(new.shared_windows);
    let (active, loaded) = (context.vault.sealing_key_id().to_string(), loaded_text(&context.vault.loaded()));
    let id = new.id.to_string();
    db.execute(sql, binds![id, new.name, now, shared, NOTHING_CONFIRMED, active, loaded]).await?;
    Ok(())
}

/// The result of a renewal.
pub(crate) struct Renewed {
    /// The key clock's position.
    pub(crate) clock: ClockPosition,
    /// The number of servers with a row.
    pub(crate) nodes: u32,
    /// The version of the networks in `allowed_ips` of all trunks.
    pub(crate) trunk_networks: Option<String>,
}

/// Renews a server's row, and reads the key clock and the version of the trunks' networks in the same statement. `confirmed` is the position that the server's keys
/// include; it is confirmed only if the database continues its history. `None` if the row is gone: changes of keys no
/// longer wait for this server, so it must join again before it admits requests.
pub(crate) async fn renew(
    db: &mut Connection,
    id: NodeId,
    confirmed: &ClockPosition,
) -> Result<Option<Renewed>, StoreError> {
    let version = "(SELECT version FROM key_clock WHERE id = 1)";
    let sql = format!(
        "UPDATE nodes SET beats = beats + 1, \
         confirmed_version = CASE WHEN $2 <= {version} AND $3 = {EPOCH} THEN $2 ELSE $4 END WHERE id = $1 \
         RETURNING {version} AS clock, {EPOCH} AS epoch, (SELECT count(*) FROM nodes) AS nodes, \
         (SELECT value FROM settings WHERE name = $5) AS trunk_networks"
    );
    let values = binds![
        id.to_string(),
        confirmed.version,
        confirmed.epoch.as_str(),
        NOTHING_CONFIRMED,
        trunk_networks::VERSION
    ];
    let row = db.fetch_optional(sql, values).await?;
    row.map(|row| {
        let clock = ClockPosition { version: row.integer("clock")?, epoch: row.text("epoch")? };
        let trunk_networks = row.maybe_text("trunk_networks")?;
        Ok(Renewed { clock, nodes: row.number("nodes")?, trunk_networks })
    })
    .transpose()
}

/// Whether every other server has read up to a version.
pub(crate) async fn all_confirmed(
    db: &mut Connection,
    node_id: Option<NodeId>,
    version: i64,
) -> Result<bool, StoreError> {
    let sql = "SELECT count(*) AS behind FROM nodes WHERE confirmed_version < $1 AND id <> $2";
    let node_id = node_id.map(|id| id.to_string()).unwrap_or_default();
    Ok(db.fetch_one(sql, binds![version, node_id]).await?.integer("behind")? == 0)
}

/// Deletes the row of a server that has stopped admitting requests.
pub(crate) async fn leave(db: &mut Connection, id: NodeId) -> Result<(), StoreError> {
    db.execute("DELETE FROM nodes WHERE id = $1", binds![id.to_string()]).await?;
    Ok(())
}

/// Evicts servers whose heartbeat has not changed since `earlier`, closes calls that no server carries, and returns
/// the heartbeats for the next comparison.
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

/// Only if its heartbeat has not changed in the meantime.
async fn evict(db: &mut Connection, context: &StoreContext, dead: &NodeRow) -> Result<(), StoreError> {
    let sql = "DELETE FROM nodes WHERE id = $1 AND beats = $2";
    if db.execute(sql, binds![dead.id.to_string(), dead.beats]).await? > 0 {
        let calls = close_orphaned_calls(db, context, OrphanedCalls::Of(dead.id, dead.alive_at)).await?;
        tracing::warn!(node = %dead.id, name = dead.name, calls, "evicted a server that stopped renewing its lease");
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

//! The database and the servers that share it, for the page about the system. Three statements.

use telepath_core::clock::Timestamp;
use telepath_core::id::NodeId;

use crate::cluster::node::SELECT_NODES;
use crate::error::StoreError;
use crate::sql::Row;
use crate::store::Store;

/// The database and the servers that share it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// Product and version of the database, such as `SQLite 3.46.0`.
    pub database: String,
    /// The size of the database. For SQLite, of its pages, without the write-ahead log.
    pub database_bytes: u64,
    /// When the oldest request was sent that the request log of any account still has.
    pub oldest_request: Option<Timestamp>,
    /// The servers that are registered in the database, in the order in which they started; empty if the database allows
    /// only one.
    pub nodes: Vec<ClusterNode>,
}

/// A server that shares the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterNode {
    pub id: NodeId,
    pub name: String,
    pub started_at: Timestamp,
    /// When its live calls were last known to be live.
    pub alive_at: Timestamp,
    /// How many changes of keys it has not read yet.
    pub changes_behind: u64,
    /// Whether this process is that server.
    pub is_self: bool,
}

impl Store {
    /// Reads the facts.
    pub async fn installation(&self) -> Result<Installation, StoreError> {
        let mut db = self.backend.read().await?;
        let about = if db.is_postgres() {
            "SELECT 'PostgreSQL ' || current_setting('server_version') AS product, \
             pg_database_size(current_database()) AS bytes"
        } else {
            "SELECT 'SQLite ' || sqlite_version() AS product, page_count * page_size AS bytes \
             FROM pragma_page_count(), pragma_page_size()"
        };
        let about = db.fetch_one(about, vec![]).await?;
        // The index by age finds the segment; its first request is at most as old as the time that a segment collects.
        let oldest = "SELECT first_at FROM request_segments ORDER BY written_at LIMIT 1";
        let oldest = db.fetch_optional(oldest, vec![]).await?;
        let nodes = db.fetch_all(SELECT_NODES, vec![]).await?;
        Ok(Installation {
            database: about.text("product")?,
            database_bytes: about.number("bytes")?,
            oldest_request: oldest.map(|row| row.time("first_at")).transpose()?,
            nodes: nodes.iter().map(|row| self.cluster_node(row)).collect::<Result<_, _>>()?,
        })
    }

    fn cluster_node(&self, row: &Row) -> Result<ClusterNode, StoreError> {
        let id = row.parse("id")?;
        Ok(ClusterNode {
            id,
            name: row.text("name")?,
            started_at: row.time("started_at")?,
            alive_at: row.time("alive_at")?,
            // A server that has not noticed a restored database yet has confirmed more than there is.
            changes_behind: u64::try_from(row.integer("behind")?).unwrap_or(0),
            is_self: self.cluster.node_id() == Some(id),
        })
    }
}

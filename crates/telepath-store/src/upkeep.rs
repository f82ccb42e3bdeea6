//! Periodic work, run twice a second by a worker: it writes requests to the log and rate windows, resolves keys in doubt,
//! and records a heartbeat for live calls. Requests never wait for it; a kill loses at most the requests since the last run.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::call::orphan::record_heartbeat;
use crate::error::StoreError;
use crate::key::commit::resolve_in_doubt;
use crate::limit::saved;
use crate::store::Store;

/// Milliseconds between two heartbeats for live calls.
const HEARTBEAT_INTERVAL_MS: i64 = 10_000;

impl Store {
    /// Writes buffered requests to the log; returns the number of segments. Also writes the rate windows that changed,
    /// and resolves keys whose last change may or may not be committed.
    pub async fn flush_usage(&self) -> Result<usize, StoreError> {
        let (backend, keys) = (self.backend.clone(), self.keys.clone());
        // Runs in its own task: keys taken from the in-doubt list must not be lost when the caller is cancelled.
        let resolved = tokio::spawn(async move { resolve_in_doubt(&backend, &keys).await });
        resolved.await.map_err(|_| StoreError::Broken)?;
        let (last_heartbeat, reading) = (Arc::clone(&self.last_heartbeat), self.context.clock.read());
        let (now, steady_ms) = (reading.wall, reading.steady.ms());
        if steady_ms.saturating_sub(last_heartbeat.load(Ordering::Relaxed)) >= HEARTBEAT_INTERVAL_MS {
            let node = self.cluster.node_id();
            self.backend.write(move |db| Box::pin(record_heartbeat(db, node, now))).await?;
            last_heartbeat.store(steady_ms, Ordering::Relaxed);
        }
        let (windows, requests) =
            tokio::join!(saved::save(&self.backend, &self.context, &self.keys), self.write_requests());
        windows?;
        requests
    }
}

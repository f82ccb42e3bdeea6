//! What a worker asks for twice a second: that requests are written, that keys in doubt are asked about, and that it is
//! written down that live calls are live. Requests never wait for this, and a kill loses at most what was answered since
//! the last time.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::call::orphan::record_heartbeat;
use crate::error::StoreError;
use crate::key::commit::resolve_in_doubt;
use crate::store::Store;

/// How often it is written down that live calls are live.
const HEARTBEAT_INTERVAL_MS: i64 = 10_000;

impl Store {
    /// Writes all requests that the database does not have yet; in how many segments. Also asks again about keys whose
    /// last change may or may not have happened.
    pub async fn flush_usage(&self) -> Result<usize, StoreError> {
        let (backend, keys) = (self.backend.clone(), self.keys.clone());
        // In a task of its own: keys that were taken to be asked about must not be lost with a caller that goes away.
        let settled = tokio::spawn(async move { resolve_in_doubt(&backend, &keys).await });
        settled.await.map_err(|_| StoreError::Broken)?;
        let (last_heartbeat, now) = (Arc::clone(&self.last_heartbeat), self.now());
        if now.unix_ms() - last_heartbeat.load(Ordering::Relaxed) >= HEARTBEAT_INTERVAL_MS {
            let node = self.cluster.node_id();
            self.backend.write(move |db| Box::pin(record_heartbeat(db, node, now))).await?;
            last_heartbeat.store(now.unix_ms(), Ordering::Relaxed);
        }
        self.write_requests().await
    }
}

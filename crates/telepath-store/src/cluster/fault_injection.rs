//! Faults that only tests inject.

use super::node::{self, Heartbeats};
use super::{Cluster, PoisonError};
use crate::backend::Backend;
use crate::context::StoreContext;
use crate::error::StoreError;

impl Cluster {
    /// Stops this server's cluster work without notice, as a kill does.
    pub(crate) async fn isolate(&self) {
        let lease_thread = self.lease_thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(lease_thread) = lease_thread {
            lease_thread.stop().await;
        }
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }

    /// Evicts dead servers as the periodic worker does.
    pub(crate) async fn evict_dead_nodes(
        &self,
        backend: &Backend,
        context: &StoreContext,
        earlier: Heartbeats,
    ) -> Result<Heartbeats, StoreError> {
        let (node_id, context) = (self.state.node_id.unwrap(), context.clone());
        backend
            .write(move |db| {
                Box::pin(async move { node::evict_dead_nodes(db, &context, node_id, &earlier).await })
            })
            .await
    }
}

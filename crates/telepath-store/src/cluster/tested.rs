//! What tests do to a server that nothing else does.

use super::node::{self, Heartbeats};
use super::{Cluster, PoisonError};
use crate::backend::Backend;
use crate::context::StoreContext;
use crate::error::StoreError;

impl Cluster {
    /// Ends all work on the server's place without a word, as a kill does.
    pub(crate) async fn deafen(&self) {
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(keeper) = keeper {
            keeper.stop().await;
        }
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }

    /// Looks after the others as the worker does now and then.
    pub(crate) async fn look(
        &self,
        backend: &Backend,
        context: &StoreContext,
        earlier: Heartbeats,
    ) -> Result<Heartbeats, StoreError> {
        let (me, context) = (self.state.me.unwrap(), context.clone());
        backend
            .write(move |db| {
                Box::pin(async move { node::evict_dead_nodes(db, &context, me, &earlier).await })
            })
            .await
    }
}

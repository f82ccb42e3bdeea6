//! The thread on which keys are changed. It has its own runtime and connections, so that a server with more requests than
//! it can answer still revokes a key: only the operating system decides when it runs. PostgreSQL aborts a transaction
//! whose next statement takes too long, which on the busy runtime of the API would abort most changes.

use sqlx::postgres::{PgConnectOptions, PgPool};
use tokio::runtime::{Builder, Handle};
use tokio::sync::{oneshot, watch};

use super::pool_options;
use crate::error::StoreError;

/// Connections for changes of keys. Changes of one account wait for each other anyway.
const MAX_CONNECTIONS: u32 = 4;

/// The running thread; it stops on drop.
pub(crate) struct ChangeThread {
    pub(super) pool: PgPool,
    handle: Handle,
    _stop: watch::Sender<()>,
}

impl ChangeThread {
    /// Starts the thread, which connects in the background.
    pub(super) async fn start(options: PgConnectOptions) -> Result<Self, StoreError> {
        let (stop, mut stopped) = watch::channel(());
        let (started, starting) = oneshot::channel();
        let work = move || {
            if let Ok(runtime) = Builder::new_current_thread().enable_all().build() {
                // Fails if nobody waits; then the sender of `stopped` is gone too.
                let _ = started.send(runtime.handle().clone());
                // Ends when the sender is dropped.
                runtime.block_on(async { while stopped.changed().await.is_ok() {} });
            }
        };
        let thread = std::thread::Builder::new().name("telepath-keys".to_owned()).spawn(work);
        thread.map_err(|_| StoreError::Broken)?;
        let handle = starting.await.map_err(|_| StoreError::Broken)?;
        let pool = {
            // The pool's own tasks run on this thread too.
            let _inside = handle.enter();
            let pool = pool_options().max_connections(MAX_CONNECTIONS);
            // One connection is always open, because connecting takes long on a busy machine.
            pool.min_connections(1).idle_timeout(None).connect_lazy_with(options)
        };
        Ok(Self { pool, handle, _stop: stop })
    }

    pub(super) const fn handle(&self) -> &Handle {
        &self.handle
    }
}

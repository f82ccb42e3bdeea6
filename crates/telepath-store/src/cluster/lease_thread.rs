//! The thread that renews the lease. It has its own runtime and connection, so that an overloaded server does not
//! lose its lease: only the operating system decides when it runs.

use tokio::runtime::Builder;
use tokio::sync::{oneshot, watch};

use super::worker::LeaseRenewer;
use crate::error::StoreError;

/// The running thread; it stops on drop.
pub(super) struct LeaseThread {
    stop: watch::Sender<bool>,
    ended: oneshot::Receiver<()>,
}

impl LeaseThread {
    /// Starts the thread.
    pub(super) fn start(mut renewer: LeaseRenewer) -> Result<Self, StoreError> {
        // The current connection belongs to the runtime that this thread must not depend on.
        renewer.disconnect();
        let (stop, mut stopped) = watch::channel(false);
        let (end, ended) = oneshot::channel();
        let work = move || {
            if let Ok(runtime) = Builder::new_current_thread().enable_all().build() {
                runtime.block_on(async {
                    tokio::select! {
                        () = renewer.run() => {}
                        // Also resolves when the sender is dropped.
                        _ = stopped.wait_for(|stop| *stop) => {}
                    }
                });
            }
            // Fails if nobody waits.
            let _ = end.send(());
        };
        let thread = std::thread::Builder::new().name("telepath-lease".to_owned()).spawn(work);
        thread.map(|_| Self { stop, ended }).map_err(|_| StoreError::NoLease)
    }

    /// Stops the renewals; returns when the thread has ended.
    pub(super) async fn stop(self) {
        self.stop.send_replace(true);
        // An error means that the thread has already ended.
        let _ = self.ended.await;
    }
}

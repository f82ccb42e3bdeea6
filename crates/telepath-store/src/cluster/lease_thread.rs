//! The thread that renews the lease. It has a runtime and a connection of its own, so that a server with more requests than
//! it can answer refuses none of them for want of a lease: only the operating system decides when it runs.

use tokio::runtime::Builder;
use tokio::sync::{oneshot, watch};

use super::worker::LeaseRenewer;
use crate::error::StoreError;

/// The running thread; it ends when this is dropped.
pub(super) struct LeaseThread {
    stop: watch::Sender<bool>,
    ended: oneshot::Receiver<()>,
}

impl LeaseThread {
    /// Takes over the renewals.
    pub(super) fn start(mut renewer: LeaseRenewer) -> Result<Self, StoreError> {
        // What it was connected by is driven by the runtime that is to be left out of this.
        renewer.disconnect();
        let (stop, mut stopped) = watch::channel(false);
        let (end, ended) = oneshot::channel();
        let work = move || {
            if let Ok(runtime) = Builder::new_current_thread().enable_all().build() {
                runtime.block_on(async {
                    tokio::select! {
                        () = renewer.run() => {}
                        // Also when the sender is gone.
                        _ = stopped.wait_for(|stop| *stop) => {}
                    }
                });
            }
            // Nobody may be waiting.
            let _ = end.send(());
        };
        let thread = std::thread::Builder::new().name("telepath-lease".to_owned()).spawn(work);
        thread.map(|_| Self { stop, ended }).map_err(|_| StoreError::NoLease)
    }

    /// Ends the renewals; returns when there will be none any more.
    pub(super) async fn stop(self) {
        self.stop.send_replace(true);
        // An error means that the thread is gone already.
        let _ = self.ended.await;
    }
}

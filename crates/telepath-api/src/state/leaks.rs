//! Keys that were received over plain HTTP. The request is refused without waiting for storage, so the report is stored in the
//! background.

use std::sync::Arc;
use std::time::Duration;

use telepath_core::leak::ExposureReport;
use telepath_store::Store;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

/// Reports that are stored at the same time.
const MAX_REPORTS: usize = 64;
/// Pauses between the attempts to store a report while the storage is unavailable.
const RETRY_AFTER: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(25)];

/// Stores reports in background tasks.
pub(crate) struct ClearTextReports {
    store: Arc<Store>,
    slots: Arc<Semaphore>,
    tasks: TaskTracker,
}

impl ClearTextReports {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        Self { store, slots: Arc::new(Semaphore::new(MAX_REPORTS)), tasks: TaskTracker::new() }
    }

    /// Stores a report. If too many are being stored, only the alert tells about the key.
    pub(crate) fn record(&self, report: ExposureReport) {
        let Ok(permit) = Arc::clone(&self.slots).try_acquire_owned() else {
            tracing::error!(
                "an API key was received over plain HTTP and is not revoked, because {MAX_REPORTS} such reports are \
                 being stored; see the alert and revoke the key by hand"
            );
            return;
        };
        let store = Arc::clone(&self.store);
        self.tasks.spawn(async move {
            let mut pauses = RETRY_AFTER.into_iter();
            while let Err(error) = store.record_exposure(report.clone()).await {
                let Some(pause) = pauses.next() else {
                    tracing::error!(
                        %error,
                        "could not store that an API key was received over plain HTTP; see the alert and revoke the key \
                         by hand"
                    );
                    break;
                };
                tracing::warn!(%error, "could not store that an API key was received over plain HTTP; retrying in {pause:?}");
                tokio::time::sleep(pause).await;
            }
            drop(permit);
        });
    }

    /// Waits until every report is stored.
    pub(crate) async fn drain(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

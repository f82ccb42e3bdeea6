//! Keys that were exposed and are being revoked in the background. Responses do not wait for the revocation, because the
//! time they take would reveal whether a reported secret was a key.

use std::sync::Arc;
use std::time::Duration;

use telepath_core::audit::Origin;
use telepath_store::{KeyHandle, Store};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

/// Reports whose keys are revoked at the same time.
const MAX_REPORTS: usize = 64;
/// Pauses between the attempts to revoke a key while the storage is unavailable.
const RETRY_AFTER: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(25)];

/// A key whose secret was reported as leaked.
pub(crate) struct LeakedKey {
    pub(crate) handle: KeyHandle,
    pub(crate) reason: String,
}

/// As many reports as allowed are being processed.
#[derive(Debug)]
pub(crate) struct LeakQueueFull;

/// Revokes leaked keys in background tasks.
pub(crate) struct LeakQueue {
    store: Arc<Store>,
    slots: Arc<Semaphore>,
    tasks: TaskTracker,
}

impl LeakQueue {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        Self { store, slots: Arc::new(Semaphore::new(MAX_REPORTS)), tasks: TaskTracker::new() }
    }

    /// Revokes the keys of one report. `find` looks the keys up; it runs only if the queue has room.
    pub(crate) fn revoke_reported(
        &self,
        origin: Origin,
        find: impl FnOnce() -> Vec<LeakedKey>,
    ) -> Result<(), LeakQueueFull> {
        let permit = self.slot()?;
        self.tasks.spawn(revoke_all(Arc::clone(&self.store), find(), origin, permit));
        Ok(())
    }

    /// Revokes a key that was received over plain HTTP, if its account requires that. If the queue is full, the key stays
    /// valid and only its alert tells about it.
    pub(crate) fn revoke_seen_in_clear(&self, handle: &KeyHandle, origin: Origin) {
        let (account, key) = (handle.account_id(), handle.key_id());
        let Ok(permit) = self.slot() else {
            tracing::error!(
                %key,
                "an API key was received over plain HTTP and not revoked: {MAX_REPORTS} leak reports are being \
                 processed; revoke the key by hand"
            );
            return;
        };
        let store = Arc::clone(&self.store);
        self.tasks.spawn(async move {
            if let Err(error) = store.revoke_seen_in_clear(account, key, origin).await {
                tracing::error!(
                    %key, %error,
                    "could not revoke an API key that was received over plain HTTP; revoke it by hand"
                );
            }
            drop(permit);
        });
    }

    /// Waits until every queued key is revoked. Takes no new reports from then on.
    pub(crate) async fn drain(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn slot(&self) -> Result<OwnedSemaphorePermit, LeakQueueFull> {
        Arc::clone(&self.slots).try_acquire_owned().map_err(|_| LeakQueueFull)
    }
}

async fn revoke_all(store: Arc<Store>, leaked: Vec<LeakedKey>, origin: Origin, permit: OwnedSemaphorePermit) {
    for LeakedKey { handle, reason } in leaked {
        let (account, key) = (handle.account_id(), handle.key_id());
        let mut pauses = RETRY_AFTER.into_iter();
        while let Err(error) = store.revoke_leaked_key(account, key, reason.clone(), origin).await {
            let Some(pause) = pauses.next() else {
                tracing::error!(%key, %error, "could not revoke a leaked key; revoke it by hand");
                break;
            };
            tracing::error!(%key, %error, "could not revoke a leaked key; retrying in {pause:?}");
            tokio::time::sleep(pause).await;
        }
    }
    drop(permit);
}

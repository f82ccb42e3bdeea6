//! How many exports of the request log may run at once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The most exports that run at once.
const MAX_EXPORTS: usize = 4;

/// A slot for each export that may run. Dropping the permit frees the slot.
#[derive(Debug)]
pub(crate) struct ExportSlots(Arc<Semaphore>);

impl Default for ExportSlots {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_EXPORTS)))
    }
}

impl ExportSlots {
    /// Takes a slot; `None` when all of them are taken.
    pub(crate) fn try_acquire(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).try_acquire_owned().ok()
    }
}

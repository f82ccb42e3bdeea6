//! What a process knows about its master keys beside the vault: their file, and how far it has sealed secrets again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use telepath_core::keyring::MasterKeyFile;
use tokio::sync::{Mutex, MutexGuard, Notify};

/// The state of the keyring in this process.
pub(crate) struct KeyringState {
    file: Option<Arc<dyn MasterKeyFile>>,
    /// Held while the file or the loaded keys are changed.
    changing: Mutex<()>,
    activated: Notify,
    /// Consecutive passes that found nothing to seal again.
    empty_passes: AtomicU32,
    unreadable: AtomicU64,
    is_checked: AtomicBool,
}

impl KeyringState {
    /// `is_checked`: nothing needs to be sealed again unless the database says so.
    pub(crate) fn new(file: Option<Arc<dyn MasterKeyFile>>, is_checked: bool) -> Self {
        Self {
            file,
            changing: Mutex::default(),
            activated: Notify::new(),
            empty_passes: AtomicU32::default(),
            unreadable: AtomicU64::default(),
            is_checked: AtomicBool::new(is_checked),
        }
    }

    pub(super) fn file(&self) -> Option<&dyn MasterKeyFile> {
        self.file.as_deref()
    }

    pub(super) async fn lock(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().await
    }

    /// Wakes whoever seals secrets again.
    pub(super) fn activate(&self) {
        self.activated.notify_one();
    }

    pub(super) async fn activated(&self) {
        self.activated.notified().await;
    }

    /// Whether this process has not looked through all secrets yet.
    pub(super) fn is_first_pass(&self) -> bool {
        !self.is_checked.load(Ordering::Relaxed)
    }

    pub(super) fn unreadable(&self) -> u64 {
        self.unreadable.load(Ordering::Relaxed)
    }

    /// Records a pass through all secrets; returns the number of those that could not be opened in the pass before.
    pub(super) fn record_pass(&self, unreadable: u64) -> u64 {
        self.is_checked.store(true, Ordering::Relaxed);
        self.unreadable.swap(unreadable, Ordering::Relaxed)
    }

    /// Counts passes that found nothing; returns how many there were in a row.
    pub(super) fn count_empty(&self, is_empty: bool) -> u32 {
        if is_empty {
            return self.empty_passes.fetch_add(1, Ordering::Relaxed) + 1;
        }
        self.empty_passes.store(0, Ordering::Relaxed);
        0
    }
}

//! Password hashing on separate threads, a bounded number at a time, because each hash takes 64 MiB and a processor for about
//! 100 ms.

use telepath_core::user::PasswordHashError;
use tokio::sync::Semaphore;

/// Hashes that are computed at once.
const RUNNING: usize = 2;
/// Hashes that are computed or wait for their turn.
const ADMITTED: usize = RUNNING + 20;

/// Why a password was not hashed or compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HashingError {
    /// More passwords wait than may wait.
    #[error("too many passwords are being checked; try again in a moment")]
    Busy,
    /// The hash could not be computed.
    #[error(transparent)]
    Failed(#[from] PasswordHashError),
}

/// How many passwords may be hashed.
pub(crate) struct PasswordHashing {
    running: Semaphore,
    admitted: Semaphore,
}

impl Default for PasswordHashing {
    fn default() -> Self {
        Self { running: Semaphore::new(RUNNING), admitted: Semaphore::new(ADMITTED) }
    }
}

impl PasswordHashing {
    /// Runs one hash when its turn comes.
    ///
    /// # Errors
    /// [`HashingError::Busy`] when too many wait already.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordHashError> + Send + 'static,
    ) -> Result<T, HashingError> {
        let _admitted = self.admitted.try_acquire().map_err(|_| HashingError::Busy)?;
        // The semaphore is never closed.
        let _running = self.running.acquire().await.map_err(|_| HashingError::Busy)?;
        let done = tokio::task::spawn_blocking(work).await;
        Ok(done.map_err(|_| PasswordHashError::Library)??)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn more_than_two_hashes_wait_and_more_than_twenty_two_are_refused() {
        let hashing = Arc::new(PasswordHashing::default());
        let (release, blocked) = std::sync::mpsc::sync_channel::<()>(0);
        let blocked = Arc::new(std::sync::Mutex::new(blocked));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..ADMITTED {
            let (hashing, blocked) = (Arc::clone(&hashing), Arc::clone(&blocked));
            tasks.spawn(async move {
                let wait = move || {
                    let _ = blocked.lock().unwrap().recv();
                    Ok(())
                };
                hashing.run(wait).await
            });
        }
        while hashing.admitted.available_permits() > 0 || hashing.running.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(matches!(hashing.run(|| Ok(())).await, Err(HashingError::Busy)));
        drop(release);
        while let Some(done) = tasks.join_next().await {
            done.unwrap().unwrap();
        }
        assert!(hashing.run(|| Ok(())).await.is_ok());
    }
}

//! The check of the storage behind `/readyz`. Every client may request it, and none may load the database that way: one check
//! runs at a time, and its result is reused for a while. The time is monotonic, so a step of the wall clock changes nothing.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// How long a result is reused.
const REUSED_FOR: Duration = Duration::from_secs(1);

/// Whether the storage responds, or why not, for the log.
type CheckResult = Result<(), String>;

/// The last result.
#[derive(Debug, Default)]
pub(crate) struct StorageCheck {
    last: Mutex<Option<(Instant, CheckResult)>>,
}

impl StorageCheck {
    /// The last result, or that of a new check. Requests that arrive during a check wait for it.
    pub(crate) async fn result(&self, check: impl AsyncFnOnce() -> CheckResult) -> CheckResult {
        let mut last = self.last.lock().await;
        if let Some((at, result)) = &*last
            && at.elapsed() < REUSED_FOR
        {
            return result.clone();
        }
        let result = check().await;
        *last = Some((Instant::now(), result.clone()));
        result
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn concurrent_requests_share_one_check_and_its_result_is_reused_for_a_second() {
        let (storage, checks) = (StorageCheck::default(), Cell::new(0));
        let slow = async || {
            checks.set(checks.get() + 1);
            tokio::task::yield_now().await;
            if checks.get() == 1 { Ok(()) } else { Err("the disk is full".to_owned()) }
        };
        let (one, two, three) =
            tokio::join!(storage.result(slow), storage.result(slow), storage.result(slow));
        assert_eq!((one, two, three, checks.get()), (Ok(()), Ok(()), Ok(()), 1));
        tokio::time::advance(Duration::from_millis(999)).await;
        assert!(storage.result(slow).await.is_ok() && checks.get() == 1);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!((storage.result(slow).await, checks.get()), (Err("the disk is full".to_owned()), 2));
    }
}

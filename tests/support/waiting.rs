//! Waits for something that another process does without announcing it, by polling. The time limit is reached only if it never
//! happens.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context as _, bail};

/// The time limit of one wait.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
/// The polling interval.
const PAUSE: Duration = Duration::from_millis(25);

/// Polls until there is a value. An error ends the wait.
pub(crate) async fn until<T, F>(what: &str, ask: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<Option<T>>>,
{
    until_within(PATIENCE, what, ask).await
}

/// Like [`until`], with a longer time limit.
pub(crate) async fn until_within<T, F>(
    limit: Duration,
    what: &str,
    mut ask: impl FnMut() -> F,
) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<Option<T>>>,
{
    let mut pace = tokio::time::interval(PAUSE);
    let asked = async {
        loop {
            pace.tick().await;
            if let Some(answer) = ask().await? {
                return anyhow::Ok(answer);
            }
        }
    };
    match tokio::time::timeout(limit, asked).await {
        Ok(answer) => answer.with_context(|| format!("while waiting until {what}")),
        Err(_) => bail!("it never came to be that {what}"),
    }
}

/// Waits for a future within the time limit.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> anyhow::Result<T> {
    tokio::time::timeout(PATIENCE, future).await.with_context(|| format!("{what} took too long"))
}

/// Waits between the steps of a schedule that is itself under test.
pub(crate) async fn pass(time: Duration) {
    // Nothing ever arrives, so only the timeout ends the wait.
    let _ = tokio::time::timeout(time, std::future::pending::<()>()).await;
}

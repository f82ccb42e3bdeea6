//! Waiting for something that another process does and does not announce. The condition is asked again and again until
//! it holds; only when it never does is the time limit felt.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context as _, bail};

/// How long anything may take before the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
/// How long between two questions.
const PAUSE: Duration = Duration::from_millis(25);

/// Asks until there is an answer. A question that fails ends the waiting.
pub(crate) async fn until<T, F>(what: &str, ask: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<Option<T>>>,
{
    until_within(PATIENCE, what, ask).await
}

/// The same for what may take longer.
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

/// An answer that must come, and come in time.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> anyhow::Result<T> {
    tokio::time::timeout(PATIENCE, future).await.with_context(|| format!("{what} took too long"))
}

/// Lets time pass in a schedule whose moments are what is being tested.
pub(crate) async fn pass(time: Duration) {
    // Nothing ever comes; only the time does.
    let _ = tokio::time::timeout(time, std::future::pending::<()>()).await;
}

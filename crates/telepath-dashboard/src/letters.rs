//! Letters that pages send through the mail server.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use telepath_core::mail::Letter;
use telepath_core::ports::{Mail, MailError};
use tokio::sync::Semaphore;

use crate::problem::Problem;
use crate::visit::Visit;

/// How long a page waits for the mail server.
const PAGE_WAITS: Duration = Duration::from_secs(20);
/// Letters that may be on their way at once.
const UNDER_WAY: usize = 8;

/// The bound of [`send_later`].
pub(crate) fn permits() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(UNDER_WAY))
}

/// Sends a letter while the page waits.
pub(crate) async fn send(mail: &dyn Mail, letter: &Letter) -> Result<(), MailError> {
    match tokio::time::timeout(PAGE_WAITS, mail.send(letter)).await {
        Ok(sent) => sent,
        Err(_) => Err(MailError("the mail server did not respond in time".to_owned())),
    }
}

/// Writes and sends a letter after the page was answered, so that the answer tells nothing about it. `write` gives no letter
/// if there is nobody to send it to.
pub(crate) fn send_later<F>(visit: &Visit, mail: Arc<dyn Mail>, write: F) -> Result<(), Problem>
where
    F: Future<Output = Result<Option<Letter>, Problem>> + Send + 'static,
{
    let busy = |_| Problem::Unavailable("too many letters are on their way".to_owned());
    let permit = Arc::clone(&visit.shared.letters).try_acquire_owned().map_err(busy)?;
    let id = visit.id;
    tokio::spawn(async move {
        let _permit = permit;
        let sent = match write.await {
            Ok(Some(letter)) => mail.send(&letter).await.map_err(|error| error.to_string()),
            Ok(None) => Ok(()),
            Err(problem) => Err(problem.cause().unwrap_or(problem.heading()).to_owned()),
        };
        if let Err(error) = sent {
            tracing::warn!(request_id = %id, error, "could not send a letter");
        }
    });
    Ok(())
}

//! The single writer of a SQLite database. Changes wait in a bounded queue and are committed in groups, because a
//! commit costs one disk flush regardless of its size. Each change has its own savepoint, so a failed change does not
//! affect the rest of its group. A caller gets its result after the commit that contains its change.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use crate::error::StoreError;
use crate::sql::{Connection, TransactionFuture};

/// Changes that may wait.
const QUEUE_CAPACITY: usize = 1024;
/// Changes per commit.
const MAX_GROUP: usize = 64;
/// How long a caller waits for space in the queue.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(5);

/// The handle of the writer task.
pub(super) struct Writer {
    queue: mpsc::Sender<Message>,
}

enum Message {
    TransactionFuture(Box<dyn Job>),
    Close(oneshot::Sender<()>),
}

/// A change with its types erased, so that all changes share one queue.
trait Job: Send {
    /// Runs the change; returns whether its writes are kept.
    fn run<'c>(&'c mut self, connection: &'c mut Connection) -> BoxFuture<'c, bool>;

    /// Sends the caller its result if the commit succeeded, otherwise the commit's error.
    fn reply(self: Box<Self>, committed: Result<(), StoreError>);
}

struct TypedJob<T, E, F> {
    change: Option<F>,
    result: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<T, E, F> Job for TypedJob<T, E, F>
where
    F: for<'c> FnOnce(&'c mut Connection) -> TransactionFuture<'c, T, E> + Send,
    T: Send,
    E: From<StoreError> + Send,
{
    fn run<'c>(&'c mut self, connection: &'c mut Connection) -> BoxFuture<'c, bool> {
        Box::pin(async move {
            let Some(change) = self.change.take() else { return false };
            let outcome = AssertUnwindSafe(async move { change(connection).await }).catch_unwind().await;
            let result = outcome.unwrap_or_else(|_: Box<dyn Any + Send>| Err(StoreError::Broken.into()));
            let keep = result.is_ok();
            self.result = Some(result);
            keep
        })
    }

    fn reply(self: Box<Self>, committed: Result<(), StoreError>) {
        let result = match (self.result, committed) {
            (Some(Err(error)), _) => Err(error),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (Some(Ok(_)) | None, Err(error)) => Err(error.into()),
            (None, Ok(())) => Err(StoreError::Broken.into()),
        };
        // Fails only if the caller is gone.
        drop(self.reply.send(result));
    }
}

impl Writer {
    pub(super) fn start(path: PathBuf, connection: Connection) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE_CAPACITY);
        tokio::spawn(run(path, connection, jobs));
        Self { queue }
    }

    pub(super) async fn write<T, E, F>(&self, change: F) -> Result<T, E>
    where
        F: for<'c> FnOnce(&'c mut Connection) -> TransactionFuture<'c, T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = TypedJob { change: Some(change), result: None, reply };
        match self.queue.send_timeout(Message::TransactionFuture(Box::new(job)), QUEUE_TIMEOUT).await {
            Ok(()) => answer.await.unwrap_or_else(|_| Err(StoreError::Closed.into())),
            Err(mpsc::error::SendTimeoutError::Timeout(_)) => Err(StoreError::Busy.into()),
            Err(mpsc::error::SendTimeoutError::Closed(_)) => Err(StoreError::Closed.into()),
        }
    }

    /// Waits until every queued change is committed and the file is closed.
    pub(super) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.queue.send(Message::Close(done)).await.is_ok() {
            // Fails only if the task has ended, and then the file is closed too.
            drop(closed.await);
        }
    }
}

async fn run(path: PathBuf, connection: Connection, mut jobs: mpsc::Receiver<Message>) {
    let mut connection = Some(connection);
    let mut closing = None;
    while closing.is_none() {
        let mut group = Vec::new();
        let Some(mut message) = jobs.recv().await else { break };
        loop {
            match message {
                Message::TransactionFuture(job) => group.push(job),
                Message::Close(done) => {
                    // Changes queued before this message are ahead of it; no more are accepted.
                    jobs.close();
                    closing = Some(done);
                    break;
                }
            }
            if group.len() == MAX_GROUP {
                break;
            }
            match jobs.try_recv() {
                Ok(next) => message = next,
                Err(_) => break,
            }
        }
        commit_group(&path, &mut connection, group).await;
    }
    if let Some(connection) = connection {
        super::finish(connection).await;
    }
    if let Some(done) = closing {
        let _ = done.send(());
    }
}

/// Runs one group. A connection that fails to roll back is dropped and reopened for the next group.
async fn commit_group(path: &Path, connection: &mut Option<Connection>, mut group: Vec<Box<dyn Job>>) {
    if group.is_empty() {
        return;
    }
    let committed = match usable(path, connection).await {
        Ok(open) => run_group(open, &mut group).await,
        Err(error) => Err(error),
    };
    if committed.is_err()
        && let Some(open) = connection
        && open.execute("ROLLBACK", vec![]).await.is_err()
    {
        *connection = None;
    }
    for job in group {
        job.reply(committed.clone());
    }
}

async fn usable<'c>(
    path: &Path,
    connection: &'c mut Option<Connection>,
) -> Result<&'c mut Connection, StoreError> {
    match connection {
        Some(open) => Ok(open),
        None => Ok(connection.insert(super::connect(path).await?)),
    }
}

async fn run_group(connection: &mut Connection, group: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
    connection.execute("BEGIN IMMEDIATE", vec![]).await?;
    for job in group.iter_mut() {
        connection.execute("SAVEPOINT change", vec![]).await?;
        if !job.run(connection).await {
            connection.execute("ROLLBACK TO change", vec![]).await?;
        }
        // Fails when SQLite has ended the transaction itself, as it does when the disk is full. Then the whole group
        // is lost, and each caller gets the error.
        connection.execute("RELEASE change", vec![]).await?;
    }
    connection.execute("COMMIT", vec![]).await.map(drop).map_err(|error| match error {
        StoreError::Unavailable(error) => StoreError::OutcomeUnknown(error),
        error => error,
    })
}

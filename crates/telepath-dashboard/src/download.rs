//! Files that are made while they are sent, such as exports. Their parts are read when the browser has taken what came before, so
//! a file of any length needs little memory. A download breaks off, in a way that the browser notices, when its session ends or
//! loses the right to it, when it takes too long, and when the server stops.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use telepath_core::export::ExportFormat;
use tokio::sync::mpsc;

use crate::live::Running;
use crate::problem::Problem;

/// The longest time that a download may take.
const WITHIN: Duration = Duration::from_mins(10);

/// What a file is made of.
pub(crate) trait Parts: Send + 'static {
    /// The next part, which may be empty; `None` after the last one.
    fn next(&mut self) -> impl Future<Output = Result<Option<Vec<u8>>, Problem>> + Send;
}

/// A part of a file on its way.
#[derive(Debug)]
pub enum Part {
    Bytes(Bytes),
    /// The file is complete. One that ends without it was broken off.
    End,
}

/// A file that is not made yet.
pub(crate) struct Download {
    /// The value of `Content-Disposition`.
    pub(crate) disposition: String,
    pub(crate) media_type: &'static str,
    pub(crate) run: Box<dyn FnOnce(mpsc::Sender<Part>) -> Running + Send>,
}

impl fmt::Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.disposition)
    }
}

impl Download {
    /// An export. `name` is a word of this program.
    pub(crate) fn export(name: &'static str, format: ExportFormat, parts: impl Parts) -> Self {
        Self {
            disposition: format!("attachment; filename=\"{name}.{}\"", format.name()),
            media_type: format.media_type(),
            run: Box::new(|sender| Box::pin(send(parts, sender))),
        }
    }
}

async fn send(mut parts: impl Parts, sender: mpsc::Sender<Part>) {
    let all = async {
        loop {
            match parts.next().await {
                Ok(Some(part)) if part.is_empty() => {}
                Ok(Some(part)) => {
                    if sender.send(Part::Bytes(part.into())).await.is_err() {
                        return;
                    }
                }
                Ok(None) => return drop(sender.send(Part::End).await),
                Err(problem) => {
                    tracing::warn!(
                        cause = problem.cause(),
                        "a download was broken off: it could not be read"
                    );
                    return;
                }
            }
        }
    };
    if tokio::time::timeout(WITHIN, all).await.is_err() {
        tracing::warn!("a download was broken off: the browser did not take it in {WITHIN:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counting(u8);

    impl Parts for Counting {
        async fn next(&mut self) -> Result<Option<Vec<u8>>, Problem> {
            self.0 += 1;
            Ok((self.0 < 200).then(|| vec![self.0]))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn parts_are_read_no_faster_than_they_are_taken_and_the_end_is_said() {
        let (sender, mut receiver) = mpsc::channel(2);
        let task = tokio::spawn(send(Counting(0), sender));
        while receiver.len() < 2 {
            tokio::task::yield_now().await;
        }
        tokio::task::yield_now().await;
        assert_eq!(receiver.len(), 2, "what waits is bounded");
        let mut bytes = 0;
        while let Some(Part::Bytes(part)) = receiver.recv().await {
            bytes += part.len();
        }
        assert_eq!(bytes, 199);
        task.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_download_that_nobody_takes_is_broken_off() {
        let (sender, mut receiver) = mpsc::channel(2);
        let task = tokio::spawn(send(Counting(0), sender));
        task.await.unwrap();
        let mut parts = 0;
        while let Some(part) = receiver.recv().await {
            assert!(matches!(part, Part::Bytes(_)));
            parts += 1;
        }
        assert_eq!(parts, 2);
    }
}

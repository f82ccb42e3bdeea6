//! Whether a connection is in use: a handler runs, or a response body makes progress.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// The largest part of a body that is sent at once. Progress is measured in such parts, so a slow client that still reads
/// must take one of them between two idle checks.
const MAX_PART: usize = 16 * 1024;

/// Counts what happens on one connection. It reads no clock, which would cost every request; the idle check compares the
/// counters at two points in time. `shared` is what the requests of the connection have in common: a request holds this
/// and not the server, whose reference count all processors would contend for.
pub(crate) struct ConnectionActivity<S> {
    pub(crate) shared: S,
    /// Requests whose handler was started.
    started: AtomicU64,
    /// Requests whose handler returned or was dropped.
    answered: AtomicU64,
    /// Parts of bodies that were sent, and bodies that ended.
    progress: AtomicU64,
}

impl<S> ConnectionActivity<S> {
    pub(crate) fn new(shared: S) -> Arc<Self> {
        Arc::new(Self {
            shared,
            started: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            progress: AtomicU64::new(0),
        })
    }

    /// Marks the start of a request.
    pub(crate) fn start(self: &Arc<Self>) -> InFlightGuard<S> {
        self.started.fetch_add(1, Ordering::AcqRel);
        InFlightGuard { activity: Arc::clone(self), answered: false }
    }

    /// Whether no handler runs and nothing was sent since the last check, which left its memory in `seen`.
    pub(crate) fn was_idle_since(&self, seen: &mut u64) -> bool {
        let progress = self.progress.load(Ordering::Acquire);
        let before = std::mem::replace(seen, progress);
        let answered = self.answered.load(Ordering::Acquire);
        progress == before && self.started.load(Ordering::Acquire) == answered
    }
}

/// A request from its arrival until its response body ends or is dropped.
pub(crate) struct InFlightGuard<S> {
    pub(crate) activity: Arc<ConnectionActivity<S>>,
    answered: bool,
}

impl<S> InFlightGuard<S> {
    /// Marks the end of the handler and moves the guard into the response body.
    pub(crate) fn into_body<B>(mut self, body: B) -> TrackedBody<B, S> {
        self.mark_answered();
        TrackedBody { body, rest: None, guard: self }
    }

    fn mark_answered(&mut self) {
        if !std::mem::replace(&mut self.answered, true) {
            self.activity.answered.fetch_add(1, Ordering::AcqRel);
        }
    }

    fn mark_progress(&self) {
        self.activity.progress.fetch_add(1, Ordering::AcqRel);
    }
}

impl<S> Drop for InFlightGuard<S> {
    fn drop(&mut self) {
        self.mark_progress();
        self.mark_answered();
    }
}

/// A response body that reports its progress. The HTTP library asks for the next part only when the client has room for
/// it, so a client that does not read makes no progress.
pub(crate) struct TrackedBody<B, S> {
    body: B,
    /// What is left of a part that was too large.
    rest: Option<Bytes>,
    guard: InFlightGuard<S>,
}

impl<B, S> TrackedBody<B, S> {
    fn split(&mut self, mut data: Bytes) -> Frame<Bytes> {
        if data.len() > MAX_PART {
            self.rest = Some(data.split_off(MAX_PART));
        }
        Frame::data(data)
    }
}

impl<B: Body<Data = Bytes> + Unpin, S> Body for TrackedBody<B, S> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        if let Some(rest) = this.rest.take() {
            this.guard.mark_progress();
            return Poll::Ready(Some(Ok(this.split(rest))));
        }
        let Some(frame) = ready!(Pin::new(&mut this.body).poll_frame(context)) else {
            return Poll::Ready(None);
        };
        this.guard.mark_progress();
        Poll::Ready(Some(frame.map(|frame| match frame.into_data() {
            Ok(data) => this.split(data),
            Err(trailers) => trailers,
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let inner = self.body.size_hint();
        let rest = self.rest.as_ref().map_or(0, |rest| u64::try_from(rest.len()).unwrap_or(u64::MAX));
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower().saturating_add(rest));
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Full};

    use super::*;

    #[test]
    fn a_connection_is_idle_if_nothing_happened_between_two_checks() {
        let activity = ConnectionActivity::new(());
        let mut seen = 0;
        let running = activity.start();
        assert!(!activity.was_idle_since(&mut seen), "a handler runs");
        drop(running);
        assert!(!activity.was_idle_since(&mut seen), "one ended since the last check");
        assert!(activity.was_idle_since(&mut seen));
        drop(activity.start());
        assert!(!activity.was_idle_since(&mut seen), "one started and ended");
        assert!(activity.was_idle_since(&mut seen));
    }

    #[tokio::test]
    async fn a_body_counts_as_activity_only_while_it_is_read() {
        let activity = ConnectionActivity::new(());
        let mut seen = 0;
        let length = 2 * MAX_PART + 1;
        let mut body = activity.start().into_body(Full::new(Bytes::from(vec![0; length])));
        assert_eq!(body.size_hint().exact(), Some(length as u64));
        let mut parts = 0;
        let mut received = 0;
        while let Some(frame) = body.frame().await {
            received += frame.unwrap().into_data().unwrap().len();
            parts += 1;
            assert_eq!(body.size_hint().exact(), Some((length - received) as u64));
            assert!(!activity.was_idle_since(&mut seen), "a part was read");
            assert!(activity.was_idle_since(&mut seen), "no part was read");
        }
        assert_eq!((parts, received), (3, length));
        assert!(body.is_end_stream());
        drop(body);
        assert!(!activity.was_idle_since(&mut seen), "the body ended");
    }
}

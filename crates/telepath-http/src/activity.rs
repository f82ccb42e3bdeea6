//! Whether a connection is in use: a handler runs, or a response body makes progress.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::connections::ConnectionState;
use crate::counters::ActivityCounters;
use crate::unread::UnreadBody;

/// The largest part of a body that is sent at once. Progress is measured in such parts, so a slow client that still reads
/// must take one of them between two idle checks.
const MAX_PART: usize = 16 * 1024;

/// The counters of a connection, with what its requests have in common: a request holds this and not the server, whose
/// reference count all processors would contend for.
pub(crate) struct ConnectionActivity<S> {
    pub(crate) shared: S,
    state: Arc<ConnectionState>,
}

impl<S> ConnectionActivity<S> {
    pub(crate) fn new(shared: S, state: Arc<ConnectionState>) -> Arc<Self> {
        Arc::new(Self { shared, state })
    }

    /// Marks the start of a request.
    pub(crate) fn start(self: &Arc<Self>) -> InFlightGuard<S> {
        self.counters().started.fetch_add(1, Ordering::AcqRel);
        InFlightGuard { activity: Arc::clone(self), answered: false }
    }

    pub(crate) fn counters(&self) -> &ActivityCounters {
        &self.state.counters
    }
}

/// A request from its arrival until its response body ends or is dropped.
pub(crate) struct InFlightGuard<S> {
    pub(crate) activity: Arc<ConnectionActivity<S>>,
    answered: bool,
}

impl<S> InFlightGuard<S> {
    /// Marks the end of the handler and moves the guard into the response body, which ends after `unread`.
    pub(crate) fn into_body<B, R>(mut self, body: B, unread: Option<UnreadBody<R>>) -> TrackedBody<B, R, S> {
        self.mark_answered();
        TrackedBody { body, rest: None, unread, guard: self }
    }

    fn mark_answered(&mut self) {
        if !std::mem::replace(&mut self.answered, true) {
            self.activity.counters().answered.fetch_add(1, Ordering::AcqRel);
        }
    }

    fn mark_progress(&self) {
        self.activity.counters().progress.fetch_add(1, Ordering::AcqRel);
    }
}

impl<S> Drop for InFlightGuard<S> {
    fn drop(&mut self) {
        self.mark_answered();
        self.activity.counters().ended.fetch_add(1, Ordering::AcqRel);
    }
}

/// A response body that reports its progress. The HTTP library asks for the next part only when the client has room for
/// it, so a client that does not read makes no progress.
pub(crate) struct TrackedBody<B, R, S> {
    body: B,
    /// What is left of a part that was too large.
    rest: Option<Bytes>,
    /// The request body, which is discarded before this one ends.
    unread: Option<UnreadBody<R>>,
    guard: InFlightGuard<S>,
}

impl<B, R, S> TrackedBody<B, R, S> {
    fn split(&mut self, mut data: Bytes) -> Frame<Bytes> {
        if data.len() > MAX_PART {
            self.rest = Some(data.split_off(MAX_PART));
        }
        Frame::data(data)
    }
}

impl<B, R, S> Body for TrackedBody<B, R, S>
where
    B: Body<Data = Bytes> + Unpin,
    R: Body<Data = Bytes> + Unpin,
{
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
            if let Some(unread) = &mut this.unread {
                ready!(unread.poll_discard(context));
                this.unread = None;
            }
            return Poll::Ready(None);
        };
        this.guard.mark_progress();
        Poll::Ready(Some(frame.map(|frame| match frame.into_data() {
            Ok(data) => this.split(data),
            Err(trailers) => trailers,
        })))
    }

    fn is_end_stream(&self) -> bool {
        let is_read = self.unread.as_ref().is_none_or(UnreadBody::has_ended);
        self.rest.is_none() && self.body.is_end_stream() && is_read
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
    use tokio_util::sync::CancellationToken;

    use super::*;

    const NOTHING_UNREAD: Option<UnreadBody<Full<Bytes>>> = None;

    fn activity() -> Arc<ConnectionActivity<()>> {
        ConnectionActivity::new((), ConnectionState::new(CancellationToken::new()))
    }

    #[test]
    fn a_connection_is_idle_if_nothing_happened_between_two_checks() {
        let activity = activity();
        let mut seen = 0;
        let running = activity.start();
        assert!(!activity.counters().was_idle_since(&mut seen), "a handler runs");
        drop(running);
        assert!(!activity.counters().was_idle_since(&mut seen), "one ended since the last check");
        assert!(activity.counters().was_idle_since(&mut seen));
        let sending = activity.start().into_body(Full::new(Bytes::new()), NOTHING_UNREAD);
        assert!(!activity.counters().is_idle(), "a response is being sent");
        drop(sending);
        assert!(activity.counters().is_idle());
        assert!(!activity.counters().was_idle_since(&mut seen), "one started and ended");
        assert!(activity.counters().was_idle_since(&mut seen));
    }

    #[tokio::test]
    async fn a_body_counts_as_activity_only_while_it_is_read() {
        let activity = activity();
        let mut seen = 0;
        let length = 2 * MAX_PART + 1;
        let mut body = activity.start().into_body(Full::new(Bytes::from(vec![0; length])), NOTHING_UNREAD);
        assert_eq!(body.size_hint().exact(), Some(length as u64));
        let mut parts = 0;
        let mut received = 0;
        while let Some(frame) = body.frame().await {
            received += frame.unwrap().into_data().unwrap().len();
            parts += 1;
            assert_eq!(body.size_hint().exact(), Some((length - received) as u64));
            assert!(!activity.counters().was_idle_since(&mut seen), "a part was read");
            assert!(activity.counters().was_idle_since(&mut seen), "no part was read");
        }
        assert_eq!((parts, received), (3, length));
        assert!(body.is_end_stream());
        drop(body);
        assert!(!activity.counters().was_idle_since(&mut seen), "the body ended");
    }
}

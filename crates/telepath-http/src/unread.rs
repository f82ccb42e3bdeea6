//! The part of a request body that its handler did not read.
//!
//! Over HTTP/2, a response that ends before the request body has arrived makes the server reset the stream. Some clients then
//! report the reset instead of the response (curl until 8.0 does). So the rest of the body is read and discarded before the
//! response ends. The same clients end a body of declared length early when they see the head of an error, which is a protocol
//! error (RFC 9113 section 8.1.1) that resets the stream too; so such a body is read before the response begins. Over HTTP/1.1,
//! the lingering close does this for the whole connection (`linger.rs`).

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, timeout_at};

/// The most bytes that are discarded. It is above the largest body that an application accepts, so that its refusal arrives.
const MAX_DISCARDED: usize = 1024 * 1024;
/// How long a response waits for the rest of the request.
const DISCARD_WITHIN: Duration = Duration::from_secs(10);
/// How long the head of a response waits for the next part of a request of declared length: a client that sends nothing may be
/// waiting for the response.
const PAUSE: Duration = Duration::from_secs(2);

/// A request body that a handler reads, and whose rest is discarded after the handler.
pub(crate) enum RequestBody<B> {
    /// Nothing is left to read, as for nearly every GET.
    Ended(B),
    Shared(Arc<Mutex<B>>),
}

/// The handle on the body that outlives the handler.
pub(crate) struct UnreadBody<B> {
    body: Arc<Mutex<B>>,
    left: usize,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<B: Body> RequestBody<B> {
    /// Splits a body into what the handler reads and what discards the rest.
    pub(crate) fn split(body: B) -> (Self, Option<UnreadBody<B>>) {
        if body.is_end_stream() {
            return (Self::Ended(body), None);
        }
        let body = Arc::new(Mutex::new(body));
        let unread = UnreadBody { body: Arc::clone(&body), left: MAX_DISCARDED, deadline: None };
        (Self::Shared(body), Some(unread))
    }
}

impl<B: Body + Unpin> Body for RequestBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        match self.get_mut() {
            Self::Ended(body) => Pin::new(body).poll_frame(context),
            Self::Shared(body) => poll_shared(body, context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Ended(body) => body.is_end_stream(),
            Self::Shared(body) => body.lock().unwrap_or_else(PoisonError::into_inner).is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Ended(body) => body.size_hint(),
            Self::Shared(body) => body.lock().unwrap_or_else(PoisonError::into_inner).size_hint(),
        }
    }
}

type PolledFrame<B> = Poll<Option<Result<Frame<<B as Body>::Data>, <B as Body>::Error>>>;

fn poll_shared<B: Body + Unpin>(body: &Mutex<B>, context: &mut Context<'_>) -> PolledFrame<B> {
    Pin::new(&mut *body.lock().unwrap_or_else(PoisonError::into_inner)).poll_frame(context)
}

impl<B: Body<Data = Bytes> + Unpin> UnreadBody<B> {
    /// Whether nothing is left to discard.
    pub(crate) fn has_ended(&self) -> bool {
        self.body.lock().unwrap_or_else(PoisonError::into_inner).is_end_stream()
    }

    /// Reads and discards a body of declared length, before the response begins. Ends early if the body is too large, or the
    /// client pauses.
    pub(crate) async fn discard_declared(&mut self) {
        let declared = self.body.lock().unwrap_or_else(PoisonError::into_inner).size_hint().exact();
        if declared.is_none_or(|length| length > self.left as u64) {
            return;
        }
        let end = Instant::now() + DISCARD_WITHIN;
        while !self.has_ended() && Arc::strong_count(&self.body) == 1 {
            let next = poll_fn(|context| poll_shared(&self.body, context));
            let Ok(Some(Ok(frame))) = timeout_at(end.min(Instant::now() + PAUSE), next).await else { return };
            self.left = self.left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
        }
    }

    /// Reads and discards the body until it ends, until there is too much of it, or until it takes too long.
    pub(crate) fn poll_discard(&mut self, context: &mut Context<'_>) -> Poll<()> {
        // A handler that still reads gets all of it.
        while self.left > 0 && Arc::strong_count(&self.body) == 1 {
            if let Poll::Ready(frame) = poll_shared(&self.body, context) {
                let Some(Ok(frame)) = frame else { break };
                self.left = self.left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
                continue;
            }
            let deadline = self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(DISCARD_WITHIN)));
            ready!(deadline.as_mut().poll(context));
            break;
        }
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::future::{Pending, pending};

    use tokio::time::{Timeout, timeout};

    use super::*;

    /// A body whose parts arrive after pauses, with a declared length.
    struct Arriving {
        parts: VecDeque<(Duration, usize)>,
        declared: Option<u64>,
        pause: Option<Pin<Box<Timeout<Pending<()>>>>>,
    }

    impl Body for Arriving {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            let this = self.get_mut();
            let Some((after, length)) = this.parts.front().copied() else { return Poll::Ready(None) };
            let pause = this.pause.get_or_insert_with(|| Box::pin(timeout(after, pending())));
            let _elapsed = ready!(pause.as_mut().poll(context));
            this.pause = None;
            this.parts.pop_front();
            Poll::Ready(Some(Ok(Frame::data(vec![0; length].into()))))
        }

        fn is_end_stream(&self) -> bool {
            self.parts.is_empty()
        }

        fn size_hint(&self) -> SizeHint {
            self.declared.map_or_else(SizeHint::new, SizeHint::with_exact)
        }
    }

    /// Milliseconds until the response begins, and whether the whole body was read.
    async fn held(parts: &[(u64, usize)], is_declared: bool) -> (u128, bool) {
        let total = parts.iter().map(|(_, length)| *length as u64).sum();
        let parts = parts.iter().map(|(after, length)| (Duration::from_millis(*after), *length)).collect();
        let body = Arriving { parts, declared: is_declared.then_some(total), pause: None };
        let (read, unread) = RequestBody::split(body);
        drop(read);
        let mut unread = unread.unwrap();
        let started = Instant::now();
        unread.discard_declared().await;
        (started.elapsed().as_millis(), unread.has_ended())
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_begins_after_a_body_of_declared_length_has_arrived() {
        assert_eq!(held(&[(10, 100_000), (1_500, 100_000), (700, 500_000)], true).await, (2_210, true));
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_waits_neither_for_a_client_that_pauses_nor_for_long() {
        assert_eq!(held(&[(10, 100), (60_000, 100)], true).await, (2_010, false));
        let slow = vec![(1_900, 100); 10];
        assert_eq!(held(&slow, true).await, (10_000, false));
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_does_not_wait_for_a_body_that_is_too_large_or_of_unknown_length() {
        assert_eq!(held(&[(10, MAX_DISCARDED + 1)], true).await, (0, false));
        assert_eq!(held(&[(10, 100)], false).await, (0, false));
    }
}

//! The part of a request body that its handler did not read.
//!
//! Over HTTP/2, a response that ends before the request body has arrived makes the server reset the stream. Some clients then
//! report the reset instead of the response (curl until 8.0 does). So the rest of the body is read and discarded before the
//! response ends. Over HTTP/1.1, the lingering close does the same for the whole connection (`linger.rs`).

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

/// The most bytes that are discarded. It is above the largest body that an application accepts, so that its refusal arrives.
const MAX_DISCARDED: usize = 1024 * 1024;
/// How long a response waits for the rest of the request.
const DISCARD_WITHIN: Duration = Duration::from_secs(10);

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

//! The body of a response: a whole page or file, or events as they come.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use tokio::sync::mpsc;

/// The body of a response.
#[derive(Debug)]
pub enum PageBody {
    /// A page or a file.
    Whole(Full<Bytes>),
    /// Server-sent events.
    Events(mpsc::Receiver<Bytes>),
}

impl Body for PageBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            PageBody::Whole(whole) => Pin::new(whole).poll_frame(context),
            PageBody::Events(batches) => {
                batches.poll_recv(context).map(|batch| batch.map(|batch| Ok(Frame::data(batch))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            PageBody::Whole(whole) => whole.is_end_stream(),
            PageBody::Events(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            PageBody::Whole(whole) => whole.size_hint(),
            PageBody::Events(_) => SizeHint::default(),
        }
    }
}

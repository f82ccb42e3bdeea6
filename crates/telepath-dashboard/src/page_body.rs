//! The body of a response: a whole page or file, or events and parts of a file as they come.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use tokio::sync::mpsc;

use crate::download::Part;

/// The body of a response.
#[derive(Debug)]
pub enum PageBody {
    /// A page or a file.
    Whole(Full<Bytes>),
    /// Server-sent events.
    Events(mpsc::Receiver<Bytes>),
    /// A file whose parts are made while it is sent.
    Parts(mpsc::Receiver<Part>),
}

impl Body for PageBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.get_mut() {
            PageBody::Whole(whole) => Pin::new(whole)
                .poll_frame(context)
                .map(|frame| frame.map(|frame| frame.map_err(|never| match never {}))),
            PageBody::Events(batches) => {
                batches.poll_recv(context).map(|batch| batch.map(|batch| Ok(Frame::data(batch))))
            }
            PageBody::Parts(parts) => parts.poll_recv(context).map(|part| match part {
                Some(Part::Bytes(bytes)) => Some(Ok(Frame::data(bytes))),
                Some(Part::End) => None,
                None => Some(Err(io::Error::other("the file was broken off"))),
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            PageBody::Whole(whole) => whole.is_end_stream(),
            PageBody::Events(_) | PageBody::Parts(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            PageBody::Whole(whole) => whole.size_hint(),
            PageBody::Events(_) | PageBody::Parts(_) => SizeHint::default(),
        }
    }
}

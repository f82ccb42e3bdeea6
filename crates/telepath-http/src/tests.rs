//! Servers over in-memory connections and Unix sockets, in paused time.

mod dispatch;
mod streams;

use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use tokio::time::{Instant, Interval};

use crate::app::{App, BoxError};
use crate::peer::Peer;
use crate::request_id::REQUEST_ID;
use crate::rewrite::Unreadable;

/// Sends a part of `part` bytes at each tick, `left` times.
struct Ticking {
    ticks: Interval,
    left: usize,
    part: usize,
}

impl Body for Ticking {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if this.left == 0 {
            return Poll::Ready(None);
        }
        this.ticks.poll_tick(context).map(|_| {
            this.left -= 1;
            Some(Ok(Frame::data(Bytes::from(vec![b'x'; this.part]))))
        })
    }
}

/// Answers every request with a body that sends `parts` parts, one every `every`.
struct StreamingApp {
    name: &'static str,
    every: Duration,
    parts: usize,
    part: usize,
}

impl StreamingApp {
    fn respond(&self) -> Response<Ticking> {
        let ticks = tokio::time::interval_at(Instant::now() + self.every, self.every);
        let mut response = Response::new(Ticking { ticks, left: self.parts, part: self.part });
        response.headers_mut().insert(REQUEST_ID, http::HeaderValue::from_static("req_test"));
        response.headers_mut().insert("x-app", http::HeaderValue::from_static(self.name));
        response
    }
}

impl App for StreamingApp {
    type Body = Ticking;

    async fn handle<B>(&self, _request: Request<B>, _peer: Peer) -> Response<Ticking>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        self.respond()
    }

    fn serves(&self, path: &str, headers: &HeaderMap) -> bool {
        path.trim_start_matches('/') == self.name
            || (self.name == "dashboard" && headers.get("accept").is_some_and(|kind| kind == "text/html"))
    }

    fn refuse_plain_http(&self, _head: &Parts, _client: IpAddr) -> Response<Ticking> {
        self.respond()
    }

    fn refuse_unreadable(&self, _problem: Unreadable, _peer: Peer) -> Response<Ticking> {
        self.respond()
    }
}

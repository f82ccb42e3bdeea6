//! Two applications on one port.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response};
use http_body::Body;
use http_body_util::Either;

use crate::app::{App, BoxError};
use crate::peer::Peer;
use crate::rewrite::Unreadable;

/// Sends a request to the first application that serves it, and to the first of all if none does. Requests of the Unix socket
/// and what is not a request always go to the first.
#[derive(Debug)]
pub struct Dispatcher<D, M = D> {
    first: Arc<D>,
    second: Option<Arc<M>>,
}

impl<D> Dispatcher<D> {
    /// Sends every request to one application.
    pub fn new(only: Arc<D>) -> Self {
        Self::with_second(only, None)
    }
}

impl<D, M> Dispatcher<D, M> {
    /// Sends to `second` what it serves and `first` does not, and everything else to `first`.
    pub fn with_second(first: Arc<D>, second: Option<Arc<M>>) -> Self {
        Self { first, second }
    }
}

impl<D: App, M: App> Dispatcher<D, M> {
    fn second_for(&self, path: &str, headers: &HeaderMap) -> Option<&M> {
        let second = self.second.as_deref().filter(|app| app.serves(path, headers))?;
        (!self.first.serves(path, headers)).then_some(second)
    }
}

impl<D: App, M: App> App for Dispatcher<D, M> {
    type Body = Either<D::Body, M::Body>;

    async fn handle<B>(&self, request: Request<B>, peer: Peer) -> Response<Self::Body>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let second = match peer {
            Peer::Remote(_) => self.second_for(request.uri().path(), request.headers()),
            Peer::Local { .. } => None,
        };
        match second {
            Some(app) => app.handle(request, peer).await.map(Either::Right),
            None => self.first.handle(request, peer).await.map(Either::Left),
        }
    }

    fn needs_no_credentials(&self, method: &Method, path: &str) -> bool {
        // Without its headers, a request counts for the application that owns the path.
        match self.second_for(path, &HeaderMap::new()) {
            Some(app) => app.needs_no_credentials(method, path),
            None => self.first.needs_no_credentials(method, path),
        }
    }

    fn refuse_plain_http(&self, head: &Parts, client: IpAddr) -> Response<Self::Body> {
        match self.second_for(head.uri.path(), &head.headers) {
            Some(app) => app.refuse_plain_http(head, client).map(Either::Right),
            None => self.first.refuse_plain_http(head, client).map(Either::Left),
        }
    }

    fn refuse_unreadable(&self, problem: Unreadable, peer: Peer) -> Response<Self::Body> {
        self.first.refuse_unreadable(problem, peer).map(Either::Left)
    }
}

//! Several applications on one port, told apart by the path.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response};
use http_body::Body;
use http_body_util::Either;

use crate::app::{App, BoxError};
use crate::peer::Peer;
use crate::rewrite::Unreadable;

/// Sends requests below the prefix of a mounted application to that application, and all others to the default one.
#[derive(Debug)]
pub struct Dispatcher<D, M = D> {
    default: Arc<D>,
    mounts: Vec<(&'static str, Arc<M>)>,
}

impl<D> Dispatcher<D> {
    /// Sends every request to `default`.
    pub fn new(default: Arc<D>) -> Self {
        Self::with_mounts(default, Vec::new())
    }
}

impl<D, M> Dispatcher<D, M> {
    /// Sends requests for a prefix and for the paths below it to the application mounted there, and all others to
    /// `default`. A prefix begins with a slash and does not end with one. Of two prefixes that match, the first is used.
    pub fn with_mounts(default: Arc<D>, mounts: Vec<(&'static str, Arc<M>)>) -> Self {
        Self { default, mounts }
    }

    fn mounted(&self, path: &str) -> Option<&M> {
        let below = |prefix: &str| {
            path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.mounts.iter().find(|(prefix, _)| below(prefix)).map(|(_, app)| app.as_ref())
    }
}

impl<D: App, M: App> App for Dispatcher<D, M> {
    type Body = Either<D::Body, M::Body>;

    async fn handle<B>(&self, request: Request<B>, peer: Peer) -> Response<Self::Body>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        match self.mounted(request.uri().path()) {
            Some(app) => app.handle(request, peer).await.map(Either::Right),
            None => self.default.handle(request, peer).await.map(Either::Left),
        }
    }

    fn needs_no_credentials(&self, method: &Method, path: &str) -> bool {
        match self.mounted(path) {
            Some(app) => app.needs_no_credentials(method, path),
            None => self.default.needs_no_credentials(method, path),
        }
    }

    fn refuse_plain_http(&self, head: &Parts, client: IpAddr) -> Response<Self::Body> {
        match self.mounted(head.uri.path()) {
            Some(app) => app.refuse_plain_http(head, client).map(Either::Right),
            None => self.default.refuse_plain_http(head, client).map(Either::Left),
        }
    }

    fn refuse_unreadable(&self, problem: Unreadable, peer: Peer) -> Response<Self::Body> {
        self.default.refuse_unreadable(problem, peer).map(Either::Left)
    }
}

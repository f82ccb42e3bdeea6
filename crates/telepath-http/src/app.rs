//! An application: what a server serves.

use std::error::Error;
use std::net::IpAddr;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response};
use http_body::Body;

use crate::peer::Peer;
use crate::rewrite::Unreadable;

/// Any error of a body.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Answers requests. Every response must carry the header [`crate::request_id::REQUEST_ID`]: a server recognizes by its
/// absence the responses that the HTTP library generates by itself, and replaces them with [`App::refuse_unreadable`].
pub trait App: Send + Sync + 'static {
    /// The body of a response. A body that sends nothing between two idle checks of its connection
    /// ([`crate::options::ConnectionLimits::idle`]) is cut off, so a stream of events needs a heartbeat.
    type Body: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static;

    /// Answers a request.
    fn handle<B>(&self, request: Request<B>, peer: Peer) -> impl Future<Output = Response<Self::Body>> + Send
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static;

    /// Whether the application answers this request without credentials. Such a request is answered although a trusted proxy
    /// received it over plain HTTP, if it carries no `Authorization` header.
    fn needs_no_credentials(&self, method: &Method, path: &str) -> bool {
        let _ = (method, path);
        false
    }

    /// Whether a request is for this application, when it shares a port with another. See [`Dispatcher`](crate::Dispatcher).
    fn serves(&self, path: &str, headers: &HeaderMap) -> bool {
        let _ = (path, headers);
        true
    }

    /// Answers a request that travelled over plain HTTP and must not be carried out.
    fn refuse_plain_http(&self, head: &Parts, client: IpAddr) -> Response<Self::Body>;

    /// Answers bytes that are not a request, or a request that HTTP does not allow. The response body must be in memory; the connection is closed after it.
    fn refuse_unreadable(&self, problem: Unreadable, peer: Peer) -> Response<Self::Body>;
}

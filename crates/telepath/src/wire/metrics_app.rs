//! `/metrics` on a listener of its own, for scrapers in a trusted network: no TLS and no keys.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Body;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use telepath_core::clock::Clock;
use telepath_http::{App, BoxError, ConnectionLimits, Peer, REQUEST_ID, RequestIds, Unreadable};
use telepath_metrics::Registry;

/// The most connections. A scraper needs one.
const MAX_CONNECTIONS: usize = 32;

/// The application.
pub(super) struct MetricsApp {
    pub(super) registry: Registry,
    pub(super) request_ids: RequestIds,
    pub(super) clock: Arc<dyn Clock>,
}

/// The limits of its listener.
pub(super) fn limits() -> ConnectionLimits {
    ConnectionLimits { total: MAX_CONNECTIONS, per_address: MAX_CONNECTIONS, ..ConnectionLimits::default() }
}

impl MetricsApp {
    fn respond(&self, status: StatusCode, text: String) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from(text)));
        *response.status_mut() = status;
        let id = self.request_ids.next(self.clock.now()).to_string();
        if let Ok(id) = HeaderValue::try_from(id) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        let kind = if status == StatusCode::OK { telepath_metrics::CONTENT_TYPE } else { "text/plain" };
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        response
    }

    fn answer(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        if path != "/metrics" {
            return self.respond(StatusCode::NOT_FOUND, "Only /metrics is served here.\n".to_owned());
        }
        if method != Method::GET && method != Method::HEAD {
            let mut refused = self.respond(StatusCode::METHOD_NOT_ALLOWED, String::new());
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        self.respond(StatusCode::OK, self.registry.render())
    }
}

impl App for MetricsApp {
    type Body = Full<Bytes>;

    async fn handle<B>(&self, request: Request<B>, _peer: Peer) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        self.answer(request.method(), request.uri().path())
    }

    fn refuse_plain_http(&self, _head: &Parts, _client: IpAddr) -> Response<Full<Bytes>> {
        self.respond(StatusCode::BAD_REQUEST, "HTTPS is required.\n".to_owned())
    }

    fn refuse_unreadable(&self, _problem: Unreadable, _peer: Peer) -> Response<Full<Bytes>> {
        self.respond(StatusCode::BAD_REQUEST, "The request is not well-formed HTTP.\n".to_owned())
    }
}

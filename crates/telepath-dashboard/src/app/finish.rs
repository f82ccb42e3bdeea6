//! Makes a response of what a handler answered.

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE,
    LOCATION, SET_COOKIE, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body::Body as _;
use http_body_util::Full;
use tokio::sync::mpsc;

use crate::compression::{accepts_gzip, gzip};
use crate::download::Part;
use crate::page_body::PageBody;
use crate::reply::{Content, Reply};
use crate::security_headers::{Referrer, restrict_file, restrict_page};

/// Tells htmx to load another page.
const HX_REDIRECT: HeaderName = HeaderName::from_static("hx-redirect");
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The response for a page or a redirect. A page with a secret is not compressed, because the length of a compressed page
/// reveals parts of it (BREACH).
pub(super) fn page(reply: Reply, request: &HeaderMap, nonce: &str) -> Response<PageBody> {
    let Reply { status, content, cookies, shows_secret } = reply;
    let content = match content {
        Content::Events(batches) => return events(batches, nonce),
        Content::Parts { disposition, media_type, parts } => return parts_of(disposition, media_type, parts),
        other => other,
    };
    let mut headers = HeaderMap::new();
    let body = match content {
        Content::Page(html) => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
            Bytes::from(html)
        }
        Content::Redirect(path) => {
            if let Ok(path) = HeaderValue::try_from(path) {
                headers.insert(LOCATION, path);
            }
            Bytes::new()
        }
        Content::Leave(path) => {
            if let Ok(path) = HeaderValue::try_from(path) {
                headers.insert(HX_REDIRECT, path);
            }
            Bytes::new()
        }
        Content::Plain(text) => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
            Bytes::from(text)
        }
        Content::File(file) => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(file.media_type));
            let name = HeaderValue::try_from(format!("attachment; filename=\"{}\"", file.name));
            headers.insert(CONTENT_DISPOSITION, name.unwrap_or(HeaderValue::from_static("attachment")));
            file.bytes
        }
        Content::Live(_)
        | Content::Events(_)
        | Content::Download(_)
        | Content::Parts { .. }
        | Content::Resume { .. } => Bytes::new(),
    };
    let changes_session = !cookies.is_empty();
    for cookie in cookies {
        headers.append(SET_COOKIE, cookie);
    }
    let stored =
        if shows_secret || changes_session || body.is_empty() { "no-store" } else { "private, no-cache" };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(stored));
    headers.insert(VARY, HeaderValue::from_static("cookie, accept-encoding, hx-request"));
    restrict_page(&mut headers, nonce, if shows_secret { Referrer::Nobody } else { Referrer::SameOrigin });
    let compress = !shows_secret && accepts_gzip(request.get_all(ACCEPT_ENCODING).iter());
    let compressed = if compress && !body.is_empty() { gzip(&body) } else { None };
    if compressed.is_some() {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    let mut response = whole(compressed.map_or(body, Bytes::from));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// The response for a stream of events.
fn events(batches: mpsc::Receiver<Bytes>, nonce: &str) -> Response<PageBody> {
    let mut response = Response::new(PageBody::Events(batches));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies that buffer responses would hold the stream back.
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    restrict_page(headers, nonce, Referrer::SameOrigin);
    response
}

/// The response for a file that is made while it is sent.
fn parts_of(
    disposition: String,
    media_type: &'static str,
    parts: mpsc::Receiver<Part>,
) -> Response<PageBody> {
    let mut response = Response::new(PageBody::Parts(parts));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    if let Ok(disposition) = HeaderValue::try_from(disposition) {
        headers.insert(CONTENT_DISPOSITION, disposition);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    restrict_file(headers);
    response
}

fn whole(body: Bytes) -> Response<PageBody> {
    Response::new(PageBody::Whole(Full::new(body)))
}

/// The response for an asset.
pub(super) fn file(response: Response<Full<Bytes>>) -> Response<PageBody> {
    let mut response = response.map(PageBody::Whole);
    restrict_file(response.headers_mut());
    response
}

/// The response to HEAD: it states the length of the body and has none (RFC 9110 section 9.3.2).
pub(super) fn without_body(response: Response<PageBody>) -> Response<PageBody> {
    let (mut parts, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact() {
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Response::from_parts(parts, PageBody::Whole(Full::default()))
}

/// A short text, for clients that get no page.
pub(super) fn text(status: StatusCode, text: String) -> Response<PageBody> {
    let mut response = whole(Bytes::from(text));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    restrict_file(response.headers_mut());
    response
}

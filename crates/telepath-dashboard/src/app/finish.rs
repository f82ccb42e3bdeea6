//! Makes a response of what a handler answered.

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, SET_COOKIE,
    VARY,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::Body as _;
use http_body_util::Full;

use crate::compression::{accepts_gzip, gzip};
use crate::reply::{Content, Reply};
use crate::security_headers::{Referrer, restrict_file, restrict_page};

/// The response for a page or a redirect. A page with a secret is not compressed, because the length of a compressed page
/// reveals parts of it (BREACH).
pub(super) fn page(reply: Reply, request: &HeaderMap, nonce: &str) -> Response<Full<Bytes>> {
    let Reply { status, content, cookies, shows_secret } = reply;
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
        Content::Plain(text) => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
            Bytes::from(text)
        }
        Content::Resume { .. } => Bytes::new(),
    };
    let changes_session = !cookies.is_empty();
    for cookie in cookies {
        headers.append(SET_COOKIE, cookie);
    }
    let stored =
        if shows_secret || changes_session || body.is_empty() { "no-store" } else { "private, no-cache" };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(stored));
    headers.insert(VARY, HeaderValue::from_static("cookie, accept-encoding"));
    restrict_page(&mut headers, nonce, if shows_secret { Referrer::Nobody } else { Referrer::SameOrigin });
    let compress = !shows_secret && accepts_gzip(request.get_all(ACCEPT_ENCODING).iter());
    let compressed = if compress && !body.is_empty() { gzip(&body) } else { None };
    if compressed.is_some() {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    let mut response = Response::new(Full::new(compressed.map_or(body, Bytes::from)));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// The response for an asset.
pub(super) fn file(mut response: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
    restrict_file(response.headers_mut());
    response
}

/// The response to HEAD: it states the length of the body and has none (RFC 9110 section 9.3.2).
pub(super) fn without_body(response: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
    let (mut parts, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact() {
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Response::from_parts(parts, Full::default())
}

/// A short text, for clients that get no page.
pub(super) fn text(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    restrict_file(response.headers_mut());
    response
}

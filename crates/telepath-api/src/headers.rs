//! The headers that every answer has, whatever its status: the request id, the rate window in the seed's form and in the
//! form of the IETF draft, and the ones that keep browsers and caches from guessing.

use axum::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use telepath_core::clock::Timestamp;
use telepath_core::id::RequestId;
use telepath_core::limit::{WINDOW_SECONDS, WindowState};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATE: HeaderName = HeaderName::from_static("ratelimit");

/// Sets them.
pub(crate) fn stamp(headers: &mut HeaderMap, id: RequestId, window: WindowState, now: Timestamp) {
    headers.reserve(8);
    set(headers, REQUEST_ID, id.to_string());
    headers.insert(LIMIT, HeaderValue::from(window.limit.get()));
    headers.insert(REMAINING, HeaderValue::from(window.remaining));
    headers.insert(RESET, HeaderValue::from(window.reset));
    set(headers, POLICY, format!("\"default\";q={};w={WINDOW_SECONDS}", window.limit.get()));
    set(headers, STATE, format!("\"default\";r={};t={}", window.remaining, window.seconds_until_reset(now)));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: String) {
    // Letters, digits and a few signs: always a legal value.
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

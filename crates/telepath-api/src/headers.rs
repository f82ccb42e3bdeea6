//! The headers of every response: the request id, the rate window (`X-RateLimit-*` and the IETF draft), and the headers
//! that keep browsers and caches from guessing.

use axum::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use telepath_core::clock::Timestamp;
use telepath_core::id::{Id as _, RequestId};
use telepath_core::limit::{Period, WINDOW_SECONDS, WindowState};
use telepath_http::REQUEST_ID;

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATE: HeaderName = HeaderName::from_static("ratelimit");

/// Room for the texts of all values: an id of 30 characters, five numbers and a few words.
const TEXT: usize = 192;

/// Sets the headers. The six values of a response share one allocation.
pub(crate) fn stamp(headers: &mut HeaderMap, id: RequestId, window: WindowState, now: Timestamp) {
    let limit = u64::from(window.limit.get());
    let remaining = u64::from(window.remaining);
    let mut text = Vec::with_capacity(TEXT);
    let mut ends = [0; 6];
    text.extend_from_slice(RequestId::KIND.as_bytes());
    text.push(b'_');
    text.extend_from_slice(&id.encoded());
    ends[0] = text.len();
    append(&mut text, limit);
    ends[1] = text.len();
    append(&mut text, remaining);
    ends[2] = text.len();
    append(&mut text, u64::try_from(window.reset_at(now)).unwrap_or(0));
    ends[3] = text.len();
    let (policy, length) = policy_of(window.period());
    text.extend_from_slice(policy);
    text.extend_from_slice(b";q=");
    append(&mut text, limit);
    text.extend_from_slice(length);
    ends[4] = text.len();
    text.extend_from_slice(policy);
    text.extend_from_slice(b";r=");
    append(&mut text, remaining);
    text.extend_from_slice(b";t=");
    append(&mut text, window.seconds_until_reset());
    ends[5] = text.len();
    set_all(headers, &Bytes::from(text), ends);
    // A published document may be stored and revalidated; nothing else may.
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

fn append(text: &mut Vec<u8>, number: u64) {
    text.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// The name of a policy, and its window. A month has no fixed length, so its policy states none.
const fn policy_of(period: Period) -> (&'static [u8], &'static [u8]) {
    match period {
        Period::Minute => (b"\"default\"", b";w=60"),
        Period::Day => (b"\"day\"", b";w=86400"),
        Period::Month => (b"\"month\"", b""),
    }
}

/// The policy's `w` is written as a text.
const _: () = assert!(WINDOW_SECONDS == 60);

/// Splits the text into the values of the headers.
fn set_all(headers: &mut HeaderMap, text: &Bytes, ends: [usize; 6]) {
    headers.reserve(ends.len() + 2);
    let mut from = 0;
    for (name, end) in [REQUEST_ID, LIMIT, REMAINING, RESET, POLICY, STATE].into_iter().zip(ends) {
        // Letters, digits and a few signs: always a legal value.
        if let Ok(value) = HeaderValue::from_maybe_shared(text.slice(from..end)) {
            headers.insert(name, value);
        }
        from = end;
    }
}

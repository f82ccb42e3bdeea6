//! The headers that every answer has, whatever its status: the request id, the rate window in the seed's form and in the
//! form of the IETF draft, and the ones that keep browsers and caches from guessing.

use std::fmt::Write as _;

use axum::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use bytes::BytesMut;
use telepath_core::clock::Timestamp;
use telepath_core::id::RequestId;
use telepath_core::limit::{WINDOW_SECONDS, WindowState};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATE: HeaderName = HeaderName::from_static("ratelimit");

/// Room for the texts of all values: an id of 30 characters, five numbers and a few words.
const TEXT: usize = 192;

/// Sets them. Their values share one piece of memory, because there are six of them in every answer.
pub(crate) fn stamp(headers: &mut HeaderMap, id: RequestId, window: WindowState, now: Timestamp) {
    headers.reserve(8);
    let mut text = BytesMut::with_capacity(TEXT);
    let limit = u64::from(window.limit.get());
    let remaining = u64::from(window.remaining);
    // Writing to memory that grows cannot fail.
    let _ = write!(text, "{id}");
    set(headers, REQUEST_ID, &mut text);
    append_number(&mut text, limit);
    set(headers, LIMIT, &mut text);
    append_number(&mut text, remaining);
    set(headers, REMAINING, &mut text);
    append_number(&mut text, u64::try_from(window.reset).unwrap_or(0));
    set(headers, RESET, &mut text);
    text.extend_from_slice(b"\"default\";q=");
    append_number(&mut text, limit);
    text.extend_from_slice(b";w=60");
    set(headers, POLICY, &mut text);
    text.extend_from_slice(b"\"default\";r=");
    append_number(&mut text, remaining);
    text.extend_from_slice(b";t=");
    append_number(&mut text, window.seconds_until_reset(now));
    set(headers, STATE, &mut text);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

/// The policy's `w` is written as a text.
const _: () = assert!(WINDOW_SECONDS == 60);

/// Takes what was written as the value of a header.
fn set(headers: &mut HeaderMap, name: HeaderName, text: &mut BytesMut) {
    // Letters, digits and a few signs: always a legal value.
    if let Ok(value) = HeaderValue::from_maybe_shared(text.split().freeze()) {
        headers.insert(name, value);
    }
}

/// In decimal digits, without the detour over the formatting of everything.
fn append_number(text: &mut BytesMut, mut number: u64) {
    let mut digits = [0; 20];
    let mut place = digits.len();
    loop {
        place -= 1;
        digits[place] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    text.extend_from_slice(&digits[place..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_full() {
        for number in [0, 1, 9, 10, 99, 1_800_000_060, u64::from(u32::MAX), u64::MAX] {
            let mut text = BytesMut::new();
            append_number(&mut text, number);
            assert_eq!(text, number.to_string().as_bytes());
        }
    }
}

//! The retry logic of a delivery: the outcome of an attempt, and the decision that follows. It is pure; time and
//! randomness are arguments, so tests run through days of retries instantly.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};

use crate::clock::Timestamp;
use crate::id::{DeliveryId, EventId, Id as _, WebhookId};
use crate::named::named_enum;

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

/// The delays after the first, second, … failed attempt. After the last one the delivery is exhausted.
pub const SCHEDULE: [Duration; 9] = [
    Duration::from_secs(5),
    minutes(5),
    minutes(30),
    minutes(2 * 60),
    minutes(5 * 60),
    minutes(10 * 60),
    minutes(14 * 60),
    minutes(20 * 60),
    minutes(24 * 60),
];
/// Delays vary by up to this many percent in both directions, so that deliveries that failed together are not retried
/// together.
const JITTER_PERCENT: u64 = 20;
/// The longest wait between two attempts: the last of [`SCHEDULE`] with the largest jitter.
pub const LONGEST_WAIT: Duration = minutes(24 * 60 * (100 + JITTER_PERCENT) / 100);
/// `Retry-After` is honored up to this delay, or up to the scheduled one if that is longer.
pub const MAX_RETRY_AFTER: Duration = minutes(60);
/// How long a finished delivery is kept and can be retried.
pub const KEPT: Duration = Duration::from_hours(30 * 24);
/// The bytes of a response body that are kept.
pub const MAX_STORED_RESPONSE: usize = 16 * 1024;
/// The attempts of a delivery that are kept; older ones are deleted.
pub const KEPT_ATTEMPTS: u32 = 20;

named_enum! {
    /// The state of a delivery.
    pub enum DeliveryStatus {
        /// It waits for an attempt, or an attempt is in progress.
        Pending = "pending",
        /// The endpoint accepted it.
        Delivered = "delivered",
        /// Every attempt failed.
        Exhausted = "exhausted",
        /// The endpoint is disabled.
        Held = "held",
        /// The endpoint unsubscribed from the event before it was delivered.
        Canceled = "canceled",
    }
}

named_enum! {
    /// Why an attempt failed.
    pub enum ErrorClass {
        /// The host is an address that is not allowed.
        AddressRefused = "address_refused",
        /// The host name does not resolve to an address that is allowed.
        Resolve = "resolve",
        /// The connection could not be established.
        Connect = "connect",
        /// The TLS handshake failed, or the certificate is not trusted.
        Tls = "tls",
        /// The response was not complete in time.
        TimedOut = "timed_out",
        /// The connection broke, or the response was not HTTP.
        Broken = "broken",
        /// The endpoint answered with a redirect, which is not followed.
        Redirect = "redirect",
        /// The endpoint answered 410.
        Gone = "gone",
        /// The endpoint answered 429.
        TooMany = "too_many_requests",
        /// The endpoint answered another status from 400 to 499.
        ClientError = "client_error",
        /// The endpoint answered a status from 500 on.
        ServerError = "server_error",
        /// The signing secret or the headers could not be used, so nothing was sent.
        Unsigned = "unsigned",
    }
}

impl ErrorClass {
    /// The class of a status; `None` for success.
    pub const fn of_status(status: u16) -> Option<Self> {
        match status {
            200..=299 => None,
            410 => Some(Self::Gone),
            429 => Some(Self::TooMany),
            400..=499 => Some(Self::ClientError),
            500.. => Some(Self::ServerError),
            _ => Some(Self::Redirect),
        }
    }

    /// Whether it signals that the endpoint is overloaded.
    pub const fn is_overload(self) -> bool {
        match self {
            Self::TimedOut | Self::TooMany | Self::ServerError => true,
            Self::AddressRefused
            | Self::Resolve
            | Self::Connect
            | Self::Tls
            | Self::Broken
            | Self::Redirect
            | Self::Gone
            | Self::ClientError
            | Self::Unsigned => false,
        }
    }
}

/// The outcome of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The status of the response, if there was one.
    pub status: Option<u16>,
    /// The error; `None` for success.
    pub error: Option<ErrorClass>,
    /// The delay that the endpoint requested with `Retry-After`.
    pub retry_after: Option<Duration>,
    pub duration: Duration,
    /// The beginning of the response body, at most [`MAX_STORED_RESPONSE`] bytes.
    pub response_body: Vec<u8>,
}

/// A fraction from 0 to 1, drawn at random, in 65535ths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jitter(pub u16);

/// What happens to a delivery after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryDecision {
    /// The delivery succeeded.
    Delivered,
    /// The next attempt is due at this time.
    RetryAt(Timestamp),
    /// The schedule has no further attempt.
    Exhausted,
}

/// Decides after an attempt that ended at `now` and was number `tries` of its round, counted from 1.
pub fn decide_retry(outcome: &Outcome, tries: u32, now: Timestamp, jitter: Jitter) -> RetryDecision {
    if outcome.error.is_none() {
        return RetryDecision::Delivered;
    }
    let planned = usize::try_from(tries.saturating_sub(1)).ok().and_then(|index| SCHEDULE.get(index));
    match planned {
        None => RetryDecision::Exhausted,
        Some(planned) => RetryDecision::RetryAt(now.plus(wait(*planned, outcome.retry_after, jitter))),
    }
}

/// The scheduled delay with jitter, or the requested one if it is longer. A request cannot shorten the scheduled delay,
/// and cannot extend it beyond [`MAX_RETRY_AFTER`].
fn wait(planned: Duration, requested: Option<Duration>, jitter: Jitter) -> Duration {
    let planned_ms = u64::try_from(planned.as_millis()).unwrap_or(u64::MAX);
    let widest = planned_ms / 100 * JITTER_PERCENT;
    let spread =
        Duration::from_millis(planned_ms - widest + widest * 2 * u64::from(jitter.0) / u64::from(u16::MAX));
    match requested {
        None => spread,
        Some(requested) => spread.max(requested.clamp(planned, planned.max(MAX_RETRY_AFTER))),
    }
}

/// The delay that a response requests: `Retry-After` in seconds or as a date (RFC 9110 section 10.2.3). A number too large
/// to represent is a long delay, not an invalid one.
pub fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::from(u32::MAX))));
    }
    Some(http_date(text)?.since(now))
}

/// A date in one of the three forms that a recipient must accept (RFC 9110 section 5.6.7): that of RFC 5322, that of
/// RFC 850, and that of `asctime`.
fn http_date(text: &str) -> Option<Timestamp> {
    let parsed = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok().or_else(|| {
        let forms = ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
        let parse = |form: &str| jiff::civil::DateTime::strptime(form, text).ok();
        jiff::tz::TimeZone::UTC.to_timestamp(forms.into_iter().find_map(parse)?).ok()
    })?;
    Some(Timestamp::from_unix_ms(parsed.as_millisecond()))
}

/// The id of the delivery of an event to an endpoint. It is derived from both ids, so the database rejects a second
/// insert, and it sorts by the time of the event.
pub fn id_of(event: EventId, webhook: WebhookId) -> DeliveryId {
    let mut input = [0; 32];
    input[..16].copy_from_slice(event.as_bytes());
    input[16..].copy_from_slice(webhook.as_bytes());
    let hash = digest(&SHA256, &input);
    let mut bytes = *event.as_bytes();
    bytes[6..].copy_from_slice(&hash.as_ref()[..10]);
    // Version and variant of RFC 9562 section 5.7, as in every other id.
    bytes[6] = bytes[6] & 0x0f | 0x70;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    DeliveryId::from_bytes(bytes)
}

#[cfg(test)]
mod tests;

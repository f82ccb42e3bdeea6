//! What becomes of one delivery: the outcome of an attempt, and what follows from it. Pure; the time and the dice are
//! arguments, so that days of trying again pass in a test in no time.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};

use crate::clock::Timestamp;
use crate::id::{DeliveryId, EventId, Id as _, WebhookId};
use crate::named::named_enum;

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

/// The waits after the first, second, … failed attempt. When they are used up the delivery is exhausted.
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
/// Waits are spread by at most this many hundredths to either side, so that what failed together does not come back
/// together.
const JITTER_PERCENT: u64 = 20;
/// How long a finished delivery can be seen and sent again.
pub const KEPT: Duration = Duration::from_hours(30 * 24);
/// Bytes of an answer that are kept.
pub const KEPT_ANSWER: usize = 16 * 1024;
/// Attempts of one delivery that are kept; of more, the oldest are forgotten.
pub const KEPT_ATTEMPTS: u32 = 20;

named_enum! {
    /// Where a delivery stands.
    pub enum DeliveryStatus {
        /// It will be tried, or is being tried.
        Pending = "pending",
        /// The endpoint took it.
        Delivered = "delivered",
        /// Every attempt failed.
        Exhausted = "exhausted",
        /// The endpoint is disabled.
        Held = "held",
    }
}

named_enum! {
    /// Why an attempt failed.
    pub enum ErrorClass {
        /// The host leads to an address that may not be reached.
        AddressRefused = "address_refused",
        /// The host name could not be resolved.
        Resolve = "resolve",
        /// No connection could be made.
        Connect = "connect",
        /// The TLS handshake failed, or the certificate is not trusted.
        Tls = "tls",
        /// The answer was not whole in time.
        TimedOut = "timed_out",
        /// The connection broke, or the answer was not HTTP.
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
        /// The signing secret could not be used, so nothing was sent.
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

    /// Whether it says that the endpoint cannot keep up.
    pub const fn asks_for_less(self) -> bool {
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

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The status, if there was an answer.
    pub status: Option<u16>,
    /// What went wrong; `None` for success.
    pub error: Option<ErrorClass>,
    /// After which time the endpoint wants to be asked again.
    pub retry_after: Option<Duration>,
    /// How long it took.
    pub duration: Duration,
    /// The beginning of the answer's body, at most [`KEPT_ANSWER`] bytes.
    pub answer: Vec<u8>,
}

/// A fraction from 0 to 1, drawn at random, in 65535ths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw(pub u16);

/// What a delivery does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing: it arrived.
    Delivered,
    /// It is tried again then.
    Again(Timestamp),
    /// Nothing: the schedule is used up.
    Exhausted,
}

/// What follows from an attempt that ended at `now` and was the `tries`-th of its round, counted from 1.
pub fn next(outcome: &Outcome, tries: u32, now: Timestamp, draw: Draw) -> Next {
    if outcome.error.is_none() {
        return Next::Delivered;
    }
    let planned = usize::try_from(tries.saturating_sub(1)).ok().and_then(|place| SCHEDULE.get(place));
    match planned {
        None => Next::Exhausted,
        Some(planned) => Next::Again(now.plus(wait(*planned, outcome.retry_after, draw))),
    }
}

/// The planned wait, spread by chance; what the endpoint asks for counts from once to twice the planned wait.
fn wait(planned: Duration, asked: Option<Duration>, draw: Draw) -> Duration {
    let planned_ms = u64::try_from(planned.as_millis()).unwrap_or(u64::MAX);
    let widest = planned_ms / 100 * JITTER_PERCENT;
    let spread =
        Duration::from_millis(planned_ms - widest + widest * 2 * u64::from(draw.0) / u64::from(u16::MAX));
    match asked {
        None => spread,
        Some(asked) => spread.max(asked.clamp(planned, planned * 2)),
    }
}

/// How long an answer asks to wait: `Retry-After` in seconds or as a date (RFC 9110 section 10.2.3).
pub fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok()?;
    Some(Timestamp::from_unix_ms(date.as_millisecond()).since(now))
}

/// The id of the delivery of an event to an endpoint. It follows from the two, so that writing it twice is noticed by
/// the database, and it sorts by the time of the event.
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

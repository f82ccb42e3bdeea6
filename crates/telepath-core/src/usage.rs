//! The usage of keys and of their secrets: buckets by minute, hour and day, client addresses, and programs.

mod durations;
mod totals;

use std::net::IpAddr;
use std::time::Duration;

pub use durations::{DURATION_BOUNDS_US, DURATION_BUCKETS, DurationHistogram};
pub use totals::{BucketKey, BucketSum, KeyTotals, PARTS, SecretTotals, Totals};

use crate::clock::Timestamp;
use crate::named::named_enum;

/// The route name of requests that match no route.
pub const UNMATCHED: &str = "unmatched";
/// The most addresses that are kept of a secret; the ones not seen for longest go.
pub const MAX_ADDRESSES: usize = 256;
/// The most programs that are kept of a secret; the ones not seen for longest go.
pub const MAX_PROGRAMS: usize = 64;

named_enum! {
    /// How long a bucket is.
    #[derive(PartialOrd, Ord)]
    pub enum UsageSpan {
        /// A minute.
        Minute = "minute",
        /// An hour.
        Hour = "hour",
        /// A day, in UTC.
        Day = "day",
    }
}

impl UsageSpan {
    /// The length of the bucket.
    pub const fn length(self) -> Duration {
        match self {
            UsageSpan::Minute => Duration::from_mins(1),
            UsageSpan::Hour => Duration::from_hours(1),
            UsageSpan::Day => Duration::from_hours(24),
        }
    }

    /// How long buckets of this length are kept.
    pub const fn kept_for(self) -> Duration {
        match self {
            UsageSpan::Minute => Duration::from_hours(48),
            UsageSpan::Hour => Duration::from_hours(90 * 24),
            UsageSpan::Day => Duration::from_hours(730 * 24),
        }
    }

    /// The beginning of the bucket that holds a moment.
    #[must_use]
    pub fn start_of(self, moment: Timestamp) -> Timestamp {
        let length = i64::try_from(self.length().as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_unix_ms(moment.unix_ms().div_euclid(length) * length)
    }
}

/// The requests of one bucket with one route and status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageRow {
    pub start: Timestamp,
    /// Method and path of the route, or [`UNMATCHED`].
    pub route: String,
    /// The status class of the responses.
    pub status: u16,
    pub sum: BucketSum,
}

/// An address from which a key was used, or a program that used it: what its requests had as `User-Agent`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen<T> {
    pub what: T,
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
    /// How many requests it sent.
    pub requests: u64,
}

/// An address from which a key was used.
pub type SeenAddress = Seen<IpAddr>;

/// A program that used a key.
pub type SeenProgram = Seen<String>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_begin_at_whole_minutes_hours_and_days_also_before_the_epoch() {
        let moment = Timestamp::parse_rfc3339("2026-01-31T12:34:56.789Z").unwrap();
        let starts = UsageSpan::ALL.iter().map(|span| span.start_of(moment).to_string());
        assert_eq!(
            starts.collect::<Vec<_>>(),
            ["2026-01-31T12:34:00.000Z", "2026-01-31T12:00:00.000Z", "2026-01-31T00:00:00.000Z"]
        );
        assert_eq!(UsageSpan::Minute.start_of(Timestamp::from_unix_ms(-1)), Timestamp::from_unix_ms(-60_000));
        for span in UsageSpan::ALL {
            assert_eq!(span.start_of(span.start_of(moment)), span.start_of(moment));
            assert_eq!(UsageSpan::from_name(span.name()), Some(*span));
        }
    }
}

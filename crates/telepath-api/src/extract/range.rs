//! A range of time in whole buckets.

use std::time::Duration;

use telepath_core::clock::Timestamp;
use telepath_core::usage::UsageSpan;

use crate::error::ApiError;

/// The time that is shown, in whole buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BucketRange {
    pub(crate) span: UsageSpan,
    /// The beginning of the first bucket.
    pub(crate) start: Timestamp,
    /// The last moment.
    pub(crate) end: Timestamp,
}

impl BucketRange {
    /// From the bucket with `start` to `end`, at most `most` buckets; by default up to `now`, and an hour of minutes, a
    /// day of hours or 30 days long.
    pub(crate) fn of(
        span: UsageSpan,
        start: Option<Timestamp>,
        end: Option<Timestamp>,
        now: Timestamp,
        most: u32,
    ) -> Result<Self, ApiError> {
        let end = end.unwrap_or(now);
        let start = start.unwrap_or_else(|| end.minus(usually_shown(span)));
        if start > end {
            return Err(ApiError::invalid("end_date", "must not be before start_date"));
        }
        let range = Self { span, start: span.start_of(start), end };
        if range.end.since(range.start) >= span.length() * most {
            let problem = format!("must be at most {most} intervals before end_date");
            return Err(ApiError::invalid("start_date", problem));
        }
        Ok(range)
    }

    /// The first moment that is not shown.
    pub(crate) fn after(self) -> Timestamp {
        self.end.plus(Duration::from_millis(1))
    }

    /// Each bucket's beginning with its rows. `rows` are in the order of the buckets that `start_of` names.
    pub(crate) fn split<T>(
        self,
        mut rows: &[T],
        start_of: impl Fn(&T) -> Timestamp,
    ) -> impl Iterator<Item = (Timestamp, &[T])> {
        self.starts().map(move |start| {
            let (of_bucket, rest) = rows.split_at(rows.partition_point(|row| start_of(row) <= start));
            rows = rest;
            (start, of_bucket)
        })
    }

    /// The beginnings of the buckets.
    pub(crate) fn starts(self) -> impl Iterator<Item = Timestamp> {
        let next = move |start: &Timestamp| Some(start.plus(self.span.length()));
        std::iter::successors(Some(self.start), next).take_while(move |start| *start <= self.end)
    }
}

fn usually_shown(span: UsageSpan) -> Duration {
    match span {
        UsageSpan::Minute => span.length() * 59,
        UsageSpan::Hour => span.length() * 23,
        UsageSpan::Day => span.length() * 29,
    }
}

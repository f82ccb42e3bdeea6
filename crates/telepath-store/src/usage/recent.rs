//! What keys were used for since a moment, as parts of statements over many keys. Each key costs a few rows: long buckets
//! from the first that begins within the time, and shorter ones before it.

use telepath_core::clock::Timestamp;
use telepath_core::usage::UsageSpan;

/// The time since a moment, and the buckets that cover it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecentUse {
    short: UsageSpan,
    long: UsageSpan,
    /// When the first short bucket begins.
    pub(crate) from: Timestamp,
    /// When the first long bucket begins.
    pub(crate) long_from: Timestamp,
}

/// Names in a statement that the parts refer to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Places<'a> {
    /// The id of the key.
    pub(crate) key: &'a str,
    /// [`RecentUse::from`].
    pub(crate) from: &'a str,
    /// [`RecentUse::long_from`].
    pub(crate) long_from: &'a str,
}

/// What is added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Figure {
    Requests,
    /// Requests with a status of 400 or above.
    Errors,
}

impl RecentUse {
    /// From the beginning of the bucket of this length that holds `start`.
    pub(crate) fn since(start: Timestamp, span: UsageSpan) -> Self {
        let (short, long) = match span {
            UsageSpan::Minute => (UsageSpan::Minute, UsageSpan::Hour),
            UsageSpan::Hour | UsageSpan::Day => (UsageSpan::Hour, UsageSpan::Day),
        };
        let from = span.start_of(start);
        let bucket = long.start_of(from);
        let long_from = if bucket == from { from } else { bucket.plus(long.length()) };
        Self { short, long, from, long_from }
    }

    /// An expression: the sum of a figure of one key.
    pub(crate) fn sum(self, figure: Figure, Places { key, from, long_from }: Places<'_>) -> String {
        let column = match figure {
            Figure::Requests => "requests",
            Figure::Errors => "errors",
        };
        let (table, short_column) = match (self.short, figure) {
            (UsageSpan::Minute, Figure::Errors) => {
                ("usage_buckets", "CASE WHEN status >= 400 THEN requests ELSE 0 END")
            }
            (UsageSpan::Minute, Figure::Requests) => ("usage_buckets", column),
            (UsageSpan::Hour | UsageSpan::Day, _) => ("key_usage", column),
        };
        let (short, long) = (self.short.name(), self.long.name());
        // Two sums, because one over both kinds of rows would put them together first.
        format!(
            "CAST((SELECT COALESCE(sum({short_column}), 0) FROM {table} \
               WHERE key_id = {key} AND span = '{short}' AND start >= {from} AND start < {long_from}) + \
             (SELECT COALESCE(sum({column}), 0) FROM key_usage \
               WHERE key_id = {key} AND span = '{long}' AND start >= {long_from}) AS BIGINT)"
        )
    }
}

/// The rows of `key_usage` of one key, as a table: hours until midnight, and days from there.
pub(crate) fn hours_and_days(Places { key, from, long_from }: Places<'_>) -> String {
    format!(
        "(SELECT limited, busiest_minute FROM key_usage \
           WHERE key_id = {key} AND span = 'hour' AND start >= {from} AND start < {long_from} \
         UNION ALL SELECT limited, busiest_minute FROM key_usage \
           WHERE key_id = {key} AND span = 'day' AND start >= {long_from})"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_buckets_begin_within_the_time_and_short_ones_cover_the_rest() {
        for (start, span, from, long_from) in [
            ("2026-01-31T17:34:56Z", UsageSpan::Minute, "2026-01-31T17:34:00Z", "2026-01-31T18:00:00Z"),
            ("2026-01-31T17:00:00Z", UsageSpan::Minute, "2026-01-31T17:00:00Z", "2026-01-31T17:00:00Z"),
            ("2026-01-31T17:34:56Z", UsageSpan::Hour, "2026-01-31T17:00:00Z", "2026-02-01T00:00:00Z"),
            ("2026-01-31T00:59:59Z", UsageSpan::Hour, "2026-01-31T00:00:00Z", "2026-01-31T00:00:00Z"),
            ("2026-01-31T17:34:56Z", UsageSpan::Day, "2026-01-31T00:00:00Z", "2026-01-31T00:00:00Z"),
        ] {
            let time = |text| Timestamp::parse_rfc3339(text).unwrap();
            let recent = RecentUse::since(time(start), span);
            assert_eq!((recent.from, recent.long_from), (time(from), time(long_from)), "{start} {span:?}");
        }
    }
}

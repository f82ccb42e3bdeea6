//! Statistics of calls that outlive the calls: counts and distributions that can be added, for each hour, trunk, provider,
//! model, carrier and reason.

mod codec;
mod comparison;
mod distribution;
mod figures;

pub use codec::InvalidFigures;
pub use comparison::{
    Comparison, Difference, MIN_COMPARED, Outcome, compare, difference_of_means, difference_of_rates,
};
pub use distribution::Distribution;
pub use figures::{CallFigures, Measure};

use std::time::Duration;

use crate::clock::Timestamp;
use crate::id::TrunkId;
use crate::named::named_enum;
use crate::usage::UsageSpan;

/// The most pairs of model and carrier of a trunk in one bucket; calls of further pairs are counted under [`OTHER`]. A
/// caller chooses the name of the carrier, so it must not choose how many rows there are.
pub const MAX_PAIRS: usize = 32;
/// The name of models, carriers and groups beyond a bound.
pub const OTHER: &str = "other";

named_enum! {
    /// What statistics of calls are grouped by.
    pub enum CallGrouping {
        /// The trunk, by its id.
        Trunk = "trunk",
        /// The provider of the trunk's agent.
        Provider = "provider",
        /// The model of the trunk's agent.
        Model = "model",
        /// The carrier, as its signalling names itself.
        Carrier = "carrier",
        /// Why calls ended.
        Reason = "reason",
    }
}

/// The length of the buckets that a range of time is read in: minutes up to three hours, hours up to eight days, and days; but
/// no shorter ones than are still kept.
pub fn span_of_range(start: Timestamp, end: Timestamp, now: Timestamp) -> UsageSpan {
    let (length, age) = (end.since(start), now.since(start));
    let fits = |span: UsageSpan, longest: Duration| length <= longest && age < span.kept_for();
    if fits(UsageSpan::Minute, Duration::from_hours(3)) {
        UsageSpan::Minute
    } else if fits(UsageSpan::Hour, Duration::from_hours(8 * 24)) {
        UsageSpan::Hour
    } else {
        UsageSpan::Day
    }
}

/// The calls that statistics are about. Calls belong to the bucket in which they started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRange {
    /// Only calls of these trunks; empty for all.
    pub trunks: Vec<TrunkId>,
    /// The length of the buckets that are read.
    pub span: UsageSpan,
    /// The beginning of the first bucket.
    pub start: Timestamp,
    /// Buckets that begin at this time or later are left out.
    pub end: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_in_the_shortest_buckets_that_are_kept_and_few_enough() {
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        let hours = |ago: u64, length: u64| {
            let start = now.minus(Duration::from_hours(ago));
            span_of_range(start, start.plus(Duration::from_hours(length)), now)
        };
        for (ago, length, span) in [
            (1, 1, UsageSpan::Minute),
            (3, 3, UsageSpan::Minute),
            (4, 4, UsageSpan::Hour),
            (47, 1, UsageSpan::Minute),
            (48, 1, UsageSpan::Hour),
            (24 * 8, 24 * 8, UsageSpan::Hour),
            (24 * 9, 24 * 9, UsageSpan::Day),
            (24 * 90, 1, UsageSpan::Day),
        ] {
            assert_eq!(hours(ago, length), span, "{length} hours from {ago} hours ago");
        }
    }
}

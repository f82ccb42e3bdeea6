//! Durations of requests as a histogram with fixed bounds, so that histograms of any keys, secrets, routes and times can be
//! added. The bounds are those of the latency metrics.

/// Upper bounds of the buckets in microseconds: 100 µs to a minute. Beyond the last one there is one more bucket.
pub const DURATION_BOUNDS_US: [u64; 18] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000,
];

/// The number of buckets.
pub const DURATION_BUCKETS: usize = DURATION_BOUNDS_US.len() + 1;

/// How many requests took how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DurationHistogram([u64; DURATION_BUCKETS]);

impl DurationHistogram {
    /// From the requests of each bucket alone.
    pub const fn from_counts(counts: [u64; DURATION_BUCKETS]) -> Self {
        Self(counts)
    }

    /// The requests of each bucket alone.
    pub const fn counts(&self) -> &[u64; DURATION_BUCKETS] {
        &self.0
    }

    /// Counts requests that each took this long, in microseconds.
    pub fn observe(&mut self, duration_us: u64, requests: u64) {
        let bucket = DURATION_BOUNDS_US.partition_point(|bound| *bound < duration_us);
        if let Some(count) = self.0.get_mut(bucket) {
            *count = count.saturating_add(requests);
        }
    }

    /// Adds the requests of another histogram.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count = count.saturating_add(more);
        }
    }

    /// All requests.
    pub fn requests(&self) -> u64 {
        self.0.iter().fold(0, |all, count| all.saturating_add(*count))
    }

    /// The duration in microseconds that `percent` of the requests do not exceed, interpolated within its bucket; `None`
    /// without requests. Beyond the last bound it is the last bound.
    pub fn percentile(&self, percent: u32) -> Option<u64> {
        let all = u128::from(self.requests());
        // The nearest rank, at least the first.
        let rank = (all * u128::from(percent.min(100))).div_ceil(100).max(1);
        let mut below = 0;
        for (bucket, count) in self.0.iter().enumerate() {
            let count = u128::from(*count);
            if count > 0 && below + count >= rank {
                let lower = bucket.checked_sub(1).and_then(|place| DURATION_BOUNDS_US.get(place)).copied();
                let lower = u128::from(lower.unwrap_or(0));
                let upper = DURATION_BOUNDS_US.get(bucket).map_or(lower, |bound| u128::from(*bound));
                let value = lower + (upper - lower) * (rank - below) / count;
                return Some(u64::try_from(value).unwrap_or(u64::MAX));
            }
            below += count;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(durations: &[u64]) -> DurationHistogram {
        let mut histogram = DurationHistogram::default();
        for duration in durations {
            histogram.observe(*duration, 1);
        }
        histogram
    }

    #[test]
    fn a_duration_on_a_bound_belongs_to_the_bucket_below_it() {
        for (duration, bucket) in
            [(0, 0), (100, 0), (101, 1), (250, 1), (60_000_000, 17), (60_000_001, 18), (u64::MAX, 18)]
        {
            assert_eq!(of(&[duration]).counts()[bucket], 1, "{duration}");
        }
    }

    #[test]
    fn merged_histograms_equal_the_histogram_of_all_requests() {
        let (one, other) = ([50, 3_000, 900_000], [120, 3_000, 70_000_000]);
        let mut merged = of(&one);
        merged.merge(&of(&other));
        assert_eq!(merged, of(&[one, other].concat()));
        assert_eq!(merged.requests(), 6);
    }

    #[test]
    fn percentiles_are_interpolated_within_their_bucket() {
        assert_eq!(DurationHistogram::default().percentile(50), None);
        // Four requests between 1 and 2.5 ms.
        let same = of(&[2_000; 4]);
        assert_eq!(same.percentile(50), Some(1_750));
        assert_eq!(same.percentile(100), Some(2_500));
        assert_eq!(same.percentile(0), Some(1_375), "the first request");
        let mut slow = of(&[50; 99]);
        slow.observe(40_000, 1);
        assert_eq!((slow.percentile(50), slow.percentile(99)), (Some(50), Some(100)));
        assert_eq!(slow.percentile(100), Some(50_000));
    }

    #[test]
    fn beyond_the_last_bound_a_percentile_is_the_last_bound() {
        assert_eq!(of(&[u64::MAX]).percentile(99), Some(60_000_000));
    }

    #[test]
    fn counts_do_not_overflow() {
        let mut histogram = of(&[5]);
        histogram.observe(5, u64::MAX);
        histogram.merge(&histogram.clone());
        assert_eq!(histogram.counts()[0], u64::MAX);
        assert_eq!(histogram.percentile(50), Some(50));
    }
}

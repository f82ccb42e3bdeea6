//! Values of calls as a histogram that can be added to others. A bucket is at most 1/32 of its values wide, so a percentile
//! is at most 3.2 % off; sum, squares, smallest and largest value are exact.

use std::collections::BTreeMap;

/// Buckets of one power of two, as a power of two.
const BITS: u32 = 5;
/// The first value that shares its bucket with others; smaller ones have their own.
const LINEAR: u64 = 1 << BITS;
/// The largest value; larger ones count as this one.
pub(super) const MAX_VALUE: u64 = u32::MAX as u64;
/// The number of buckets.
pub(super) const BUCKETS: u16 = bucket_of(MAX_VALUE) + 1;

/// How often each value occurred.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Distribution {
    pub(super) sum: u128,
    /// The sum of the squares.
    pub(super) squares: u128,
    pub(super) smallest: u64,
    pub(super) largest: u64,
    pub(super) buckets: BTreeMap<u16, u64>,
}

/// The bucket of a value.
pub(super) const fn bucket_of(value: u64) -> u16 {
    if value < LINEAR {
        #[expect(clippy::cast_possible_truncation, reason = "less than 32")]
        return value as u16;
    }
    let shift = value.ilog2() - BITS;
    // The bits below the leading one choose the bucket of its power of two.
    let bucket = LINEAR + (shift as u64) * LINEAR + ((value >> shift) - LINEAR);
    #[expect(clippy::cast_possible_truncation, reason = "less than 64 * 32")]
    return bucket as u16;
}

/// The smallest and the largest value of a bucket.
fn range_of(bucket: u16) -> (u64, u64) {
    let bucket = u64::from(bucket);
    if bucket < LINEAR {
        return (bucket, bucket);
    }
    let shift = ((bucket - LINEAR) / LINEAR).min(63 - u64::from(BITS));
    let lower = (LINEAR + (bucket - LINEAR) % LINEAR) << shift;
    (lower, lower + ((1 << shift) - 1))
}

impl Distribution {
    /// Counts one value.
    pub fn observe(&mut self, value: u64) {
        let value = value.min(MAX_VALUE);
        let is_first = self.buckets.is_empty();
        self.smallest = if is_first { value } else { self.smallest.min(value) };
        self.largest = self.largest.max(value);
        self.sum += u128::from(value);
        self.squares += u128::from(value) * u128::from(value);
        *self.buckets.entry(bucket_of(value)).or_default() += 1;
    }

    /// Adds the values of another distribution.
    pub fn merge(&mut self, other: &Self) {
        if other.buckets.is_empty() {
            return;
        }
        let is_first = self.buckets.is_empty();
        self.smallest = if is_first { other.smallest } else { self.smallest.min(other.smallest) };
        self.largest = self.largest.max(other.largest);
        self.sum = self.sum.saturating_add(other.sum);
        self.squares = self.squares.saturating_add(other.squares);
        for (bucket, count) in &other.buckets {
            let own = self.buckets.entry(*bucket).or_default();
            *own = own.saturating_add(*count);
        }
    }

    /// The number of values.
    pub fn count(&self) -> u64 {
        self.buckets.values().fold(0, |all, count| all.saturating_add(*count))
    }

    /// The smallest and the largest value; `None` without values.
    pub fn extremes(&self) -> Option<(u64, u64)> {
        (!self.buckets.is_empty()).then_some((self.smallest, self.largest))
    }

    /// The mean; `None` without values.
    #[expect(clippy::cast_precision_loss, reason = "a mean needs no more than 53 bits")]
    pub fn mean(&self) -> Option<f64> {
        let count = self.count();
        (count > 0).then(|| self.sum as f64 / count as f64)
    }

    /// The variance of the sample (n − 1); `None` with less than two values.
    #[expect(clippy::cast_precision_loss, reason = "the numerator is computed exactly")]
    pub fn variance(&self) -> Option<f64> {
        let count = u128::from(self.count());
        if count < 2 {
            return None;
        }
        // n Σx² − (Σx)², which rounding cannot make negative. Both are far below 2^128 for values below 2^32.
        let spread = count.saturating_mul(self.squares).saturating_sub(self.sum.saturating_mul(self.sum));
        Some(spread as f64 / (count * (count - 1)) as f64)
    }

    /// The value that `percent` of the values do not exceed, interpolated within its bucket; `None` without values.
    pub fn percentile(&self, percent: u32) -> Option<u64> {
        let all = u128::from(self.count());
        // The nearest rank, at least the first.
        let rank = (all * u128::from(percent.min(100))).div_ceil(100).max(1);
        let mut below = 0;
        for (bucket, count) in &self.buckets {
            let count = u128::from(*count);
            if below + count >= rank {
                let (lower, upper) = range_of(*bucket);
                let within = u128::from(upper - lower) * (rank - below) / count.max(1);
                let value = u128::from(lower) + within;
                let value = u64::try_from(value).unwrap_or(MAX_VALUE);
                return Some(value.clamp(self.smallest, self.largest));
            }
            below += count;
        }
        None
    }

    /// How many values are below `bound`, which must be the smallest value of a bucket to be exact.
    pub fn count_below(&self, bound: u64) -> u64 {
        let buckets = self.buckets.range(..bucket_of(bound.min(MAX_VALUE)));
        buckets.fold(0, |all, (_, count)| all.saturating_add(*count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: impl IntoIterator<Item = u64>) -> Distribution {
        let mut distribution = Distribution::default();
        for value in values {
            distribution.observe(value);
        }
        distribution
    }

    #[test]
    fn every_value_is_within_its_bucket_and_buckets_do_not_overlap() {
        let mut next = 0;
        for bucket in 0..BUCKETS {
            let (lower, upper) = range_of(bucket);
            assert_eq!(lower, next, "bucket {bucket}");
            assert_eq!((bucket_of(lower), bucket_of(upper)), (bucket, bucket));
            assert!((upper - lower) * 32 <= lower, "bucket {bucket} is too wide");
            next = upper + 1;
        }
        assert_eq!(next, MAX_VALUE + 1);
    }

    #[test]
    fn merged_distributions_equal_the_distribution_of_all_values() {
        let (one, other) = ([5, 900, 31], [1_200, 0, 5, u64::MAX]);
        let mut merged = of(one);
        merged.merge(&of(other));
        assert_eq!(merged, of(one.into_iter().chain(other)));
        merged.merge(&Distribution::default());
        assert_eq!(merged, of(one.into_iter().chain(other)));
        let mut empty = Distribution::default();
        empty.merge(&of(one));
        assert_eq!(empty, of(one));
        assert_eq!((merged.count(), merged.extremes()), (7, Some((0, MAX_VALUE))));
    }

    #[test]
    fn percentiles_are_within_3_2_percent_of_the_nearest_rank() {
        let values: Vec<u64> = (0..1000_u64).map(|place| 40 + place * place).collect();
        let distribution = of(values.iter().copied());
        for percent in [1, 25, 50, 75, 95, 99, 100] {
            let exact = values[(percent as usize * 10).max(1) - 1];
            let found = distribution.percentile(percent).unwrap();
            assert!(found.abs_diff(exact) * 1000 <= exact * 32, "p{percent}: {found} for {exact}");
        }
        assert_eq!(Distribution::default().percentile(50), None);
        assert_eq!(of([777]).percentile(50), Some(777), "one value is exact");
        assert_eq!(of([100, 100]).percentile(99), Some(100));
    }

    #[test]
    fn mean_and_variance_are_those_of_the_sample() {
        // NIST: the sample 2, 4, 4, 4, 5, 5, 7, 9 has mean 5 and sum of squared deviations 32.
        let sample = of([2, 4, 4, 4, 5, 5, 7, 9]);
        assert_eq!(sample.mean(), Some(5.0));
        assert!((sample.variance().unwrap() - 32.0 / 7.0).abs() < 1e-12);
        assert_eq!((of([3]).variance(), of([]).mean()), (None, None));
        let large = of([4_000_000_000, 4_000_000_001, 4_000_000_002]);
        assert!((large.variance().unwrap() - 1.0).abs() < 1e-12, "no precision is lost");
    }

    #[test]
    fn values_below_a_bound_are_counted() {
        let mos = of([100, 359, 360, 399, 400, 450]);
        assert_eq!((mos.count_below(360), mos.count_below(400), mos.count_below(0)), (2, 4, 0));
    }
}

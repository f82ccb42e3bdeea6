//! A fixed-size histogram of durations, so that a call of eight hours needs no more memory than one of a second.

use std::time::Duration;

const SUB_BITS: u32 = 3;
const SUB_BUCKETS: usize = 1 << SUB_BITS;
const BUCKETS: usize = SUB_BUCKETS * 24;

/// Durations in microseconds. No bucket is wider than 1/8 of its value; the last one holds everything above 67 s.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: [u32; BUCKETS],
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], total: 0 }
    }
}

impl Histogram {
    /// Adds a duration.
    pub fn record(&mut self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = Self::bucket(micros);
        self.counts[bucket] = self.counts[bucket].saturating_add(1);
        self.total += 1;
    }

    /// The number of recorded durations.
    pub fn count(&self) -> u64 {
        self.total
    }

    /// The smallest bucket value that at least `percent` of the durations do not exceed; `None` if nothing was
    /// recorded.
    pub fn percentile(&self, percent: u8) -> Option<Duration> {
        if self.total == 0 {
            return None;
        }
        let rank = (self.total * u64::from(percent.min(100))).div_ceil(100).max(1);
        let mut seen = 0;
        for (bucket, &count) in self.counts.iter().enumerate() {
            seen += u64::from(count);
            if seen >= rank {
                return Some(Duration::from_micros(Self::value(bucket)));
            }
        }
        None
    }

    /// The 50th percentile; `None` if nothing was recorded.
    pub fn median(&self) -> Option<Duration> {
        self.percentile(50)
    }

    fn bucket(micros: u64) -> usize {
        let Some(octave) = micros.max(1).ilog2().checked_sub(SUB_BITS) else {
            return usize::try_from(micros).unwrap_or(0);
        };
        let within = usize::try_from(micros >> octave).unwrap_or(0);
        (octave as usize * SUB_BUCKETS + within).min(BUCKETS - 1)
    }

    /// The midpoint of a bucket in microseconds.
    fn value(bucket: usize) -> u64 {
        let bucket = bucket as u64;
        let wide = SUB_BUCKETS as u64;
        let Some(octave) = (bucket / wide).checked_sub(1).filter(|&octave| octave > 0) else {
            return bucket;
        };
        let low = (wide + bucket % wide) << octave;
        low + (1 << octave) / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_accurate_within_one_eighth() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.median(), None);
        for micros in 1..=10_000 {
            histogram.record(Duration::from_micros(micros));
        }
        assert_eq!(histogram.count(), 10_000);
        for (percent, expected) in [(1, 100.0), (50, 5000.0), (99, 9900.0)] {
            let found = histogram.percentile(percent).unwrap().as_secs_f64() * 1e6;
            assert!((found - expected).abs() <= expected / 8.0, "p{percent}: {found}");
        }
    }

    #[test]
    fn durations_below_16_us_are_exact_and_very_long_ones_are_counted() {
        for micros in 0..16 {
            let mut histogram = Histogram::default();
            histogram.record(Duration::from_micros(micros));
            assert_eq!(histogram.median(), Some(Duration::from_micros(micros)));
        }
        let mut histogram = Histogram::default();
        histogram.record(Duration::from_secs(100_000));
        assert!(histogram.median().unwrap() > Duration::from_mins(1));
    }
}

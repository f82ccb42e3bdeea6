//! Latency histograms. All have the same bounds, so that they can be added and compared.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds in nanoseconds, and in seconds as they are written.
const BOUNDS: [(u64, &str); 18] = [
    (100_000, "0.0001"),
    (250_000, "0.00025"),
    (500_000, "0.0005"),
    (1_000_000, "0.001"),
    (2_500_000, "0.0025"),
    (5_000_000, "0.005"),
    (10_000_000, "0.01"),
    (25_000_000, "0.025"),
    (50_000_000, "0.05"),
    (100_000_000, "0.1"),
    (250_000_000, "0.25"),
    (500_000_000, "0.5"),
    (1_000_000_000, "1"),
    (2_500_000_000, "2.5"),
    (5_000_000_000, "5"),
    (10_000_000_000, "10"),
    (30_000_000_000, "30"),
    (60_000_000_000, "60"),
];

/// Counts durations by upper bound, from 100 µs to a minute. An observation is two atomic additions.
#[derive(Debug, Default)]
pub struct LatencyHistogram {
    /// Each without those below it; the last holds what is beyond all bounds.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    nanoseconds: AtomicU64,
}

impl LatencyHistogram {
    /// Counts a duration.
    pub fn observe(&self, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        // Nearly all requests end within the first bounds.
        let bucket = BOUNDS.iter().position(|(bound, _)| nanoseconds <= *bound).unwrap_or(BOUNDS.len());
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// The upper bounds of the buckets; beyond the last one there is one more bucket.
    pub fn upper_bounds() -> impl Iterator<Item = Duration> {
        BOUNDS.iter().map(|(nanoseconds, _)| Duration::from_nanos(*nanoseconds))
    }

    /// The upper bounds in seconds, as they are written.
    pub(crate) fn bounds() -> impl Iterator<Item = &'static str> {
        BOUNDS.iter().map(|(_, bound)| *bound).chain(["+Inf"])
    }

    /// The count of one bucket alone.
    pub(crate) fn bucket(&self, place: usize) -> u64 {
        self.buckets.get(place).map_or(0, |bucket| bucket.load(Ordering::Relaxed))
    }

    /// The sum of all durations.
    pub(crate) fn sum<'h>(parts: impl Iterator<Item = &'h Self>) -> Duration {
        Duration::from_nanos(parts.map(|part| part.nanoseconds.load(Ordering::Relaxed)).sum())
    }
}

impl metrics::HistogramFn for LatencyHistogram {
    /// Counts seconds. A value that is not a duration counts as beyond all bounds.
    fn record(&self, value: f64) {
        self.observe(Duration::try_from_secs_f64(value).unwrap_or(Duration::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_grow_and_are_written_as_they_are() {
        assert!(BOUNDS.is_sorted_by(|one, next| one.0 < next.0));
        for (nanoseconds, seconds) in BOUNDS {
            assert_eq!(Duration::from_nanos(nanoseconds).as_secs_f64().to_string(), seconds);
        }
    }
}

//! The duration of requests, as a Prometheus histogram per route. It is our own because every request updates it: two atomic
//! additions, and no samples that must be drained.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The name of the histogram.
pub(super) const METRIC: &str = "telepath_api_request_duration_seconds";

/// Upper bounds in nanoseconds, and in seconds as they are written.
const BOUNDS: [(u64, &str); 17] = [
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
];

/// The durations of one route.
#[derive(Default)]
pub(super) struct Durations {
    /// Counts per bucket, not cumulative; the last is beyond all bounds.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    nanoseconds: AtomicU64,
}

impl Durations {
    pub(super) fn record(&self, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        // Nearly all requests end within the first bounds.
        let bucket = BOUNDS.iter().position(|(bound, _)| nanoseconds <= *bound).unwrap_or(BOUNDS.len());
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }
}

/// Adds the lines of one route in the text exposition format, from what each thread has counted. The labels are ours, so
/// nothing in them needs an escape.
pub(super) fn write<'d>(
    parts: impl Iterator<Item = &'d Durations> + Clone,
    route: &str,
    method: &str,
    text: &mut String,
) {
    let labels = format!("route=\"{route}\",method=\"{method}\"");
    let bounds = BOUNDS.iter().map(|(_, bound)| *bound).chain(["+Inf"]);
    let mut count = 0;
    for (place, bound) in bounds.enumerate() {
        count += parts.clone().map(|part| part.buckets[place].load(Ordering::Relaxed)).sum::<u64>();
        // Writing to memory that grows cannot fail.
        let _ = writeln!(text, "{METRIC}_bucket{{{labels},le=\"{bound}\"}} {count}");
    }
    let nanoseconds = parts.map(|part| part.nanoseconds.load(Ordering::Relaxed)).sum();
    let sum = Duration::from_nanos(nanoseconds).as_secs_f64();
    let _ = writeln!(text, "{METRIC}_sum{{{labels}}} {sum}\n{METRIC}_count{{{labels}}} {count}");
}

/// Adds the header lines of the metric.
pub(super) fn describe(text: &mut String) {
    let _ = writeln!(text, "# HELP {METRIC} Time from request head to answer.\n# TYPE {METRIC} histogram");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(durations: &[Durations]) -> String {
        let mut text = String::new();
        write(durations.iter(), "/v1/x", "GET", &mut text);
        text
    }

    #[test]
    fn a_bucket_holds_all_that_is_not_longer_than_its_bound() {
        let durations = [Durations::default(), Durations::default()];
        for took in [Duration::from_micros(100), Duration::from_millis(3)] {
            durations[0].record(took);
        }
        durations[1].record(Duration::from_secs(31));
        let text = text_of(&durations);
        for (bound, count) in
            [("0.0001", 1), ("0.00025", 1), ("0.0025", 1), ("0.005", 2), ("30", 2), ("+Inf", 3)]
        {
            let line = format!("{METRIC}_bucket{{route=\"/v1/x\",method=\"GET\",le=\"{bound}\"}} {count}\n");
            assert!(text.contains(&line), "{line} is not in {text}");
        }
        assert!(text.contains("_sum{route=\"/v1/x\",method=\"GET\"} 31.0031\n"), "{text}");
        assert!(text.ends_with("_count{route=\"/v1/x\",method=\"GET\"} 3\n"), "{text}");
    }

    #[test]
    fn bounds_grow_and_are_written_as_they_are() {
        assert!(BOUNDS.is_sorted_by(|one, next| one.0 < next.0));
        for (nanoseconds, seconds) in BOUNDS {
            assert_eq!(Duration::from_nanos(nanoseconds).as_secs_f64().to_string(), seconds);
        }
    }
}

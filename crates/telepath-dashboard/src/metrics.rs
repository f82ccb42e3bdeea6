//! The metrics of the dashboard. Every series exists from the start, and is found by the pattern of its route, so no label can have
//! a value that a client chose.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use telepath_metrics::{Collect, Encoder, LatencyHistogram, MetricKind};

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
/// The routes of style sheets, scripts and images, and of everything that is not a page.
pub(crate) const ASSETS: (&str, &str) = ("assets", "GET");
const UNMATCHED: (&str, &str) = ("unmatched", "other");

#[derive(Debug, Default)]
struct Counts {
    /// In the order of [`CLASSES`].
    by_class: [AtomicU64; CLASSES.len()],
    durations: LatencyHistogram,
}

/// What was answered, by pattern of the route and method.
#[derive(Debug)]
pub(crate) struct PageMetrics {
    routes: BTreeMap<(&'static str, &'static str), Counts>,
    unmatched: Counts,
}

impl PageMetrics {
    pub(crate) fn new(routes: impl Iterator<Item = (&'static str, &'static str)>) -> Self {
        let routes = routes.chain([ASSETS]).map(|route| (route, Counts::default())).collect();
        Self { routes, unmatched: Counts::default() }
    }

    /// Counts one response.
    pub(crate) fn answered(&self, route: Option<(&'static str, &'static str)>, status: u16, took: Duration) {
        let counts = route.and_then(|route| self.routes.get(&route)).unwrap_or(&self.unmatched);
        let class = usize::from(status / 100).clamp(1, CLASSES.len()) - 1;
        counts.by_class[class].fetch_add(1, Ordering::Relaxed);
        counts.durations.observe(took);
    }

    fn all(&self) -> impl Iterator<Item = ((&'static str, &'static str), &Counts)> {
        self.routes.iter().map(|(route, counts)| (*route, counts)).chain([(UNMATCHED, &self.unmatched)])
    }
}

impl Collect for PageMetrics {
    fn collect(&self, encoder: &mut Encoder) {
        let mut requests = encoder.family(
            "telepath_dashboard_requests_total",
            MetricKind::Counter,
            "Answered requests to the dashboard, by route, method and class of status.",
        );
        for ((route, method), counts) in self.all() {
            for (class, count) in CLASSES.iter().zip(&counts.by_class) {
                let labels = [("route", route), ("method", method), ("status", *class)];
                requests.sample(&labels, count.load(Ordering::Relaxed));
            }
        }
        let mut durations = encoder.family(
            "telepath_dashboard_request_duration_seconds",
            MetricKind::Histogram,
            "Time from the arrival of the head of a request to the dashboard to the start of its response.",
        );
        for ((route, method), counts) in self.all() {
            durations.latency(&[("route", route), ("method", method)], [&counts.durations].into_iter());
        }
    }
}

//! The metrics of the API. Every counter exists from the start and is found by the place of its route in the route table, so
//! counting a request is a few atomic additions, and no label can have a value that a client chose.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use telepath_core::alert::AlertRule;
use telepath_metrics::{Collect, Encoder, LatencyHistogram, MetricKind};
use telepath_store::{PerThread, Store};

use crate::refusal::Refusal;
use crate::routes::{RouteMatch, RouteTable};

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The metrics of one route.
struct RouteMetrics {
    route: String,
    method: &'static str,
    counts: PerThread<Counts>,
}

/// What one thread has counted of one route.
#[derive(Default)]
struct Counts {
    /// In the order of [`CLASSES`].
    by_class: [AtomicU64; 5],
    durations: LatencyHistogram,
}

impl RouteMetrics {
    fn new(route: String, method: &'static str) -> Self {
        Self { route, method, counts: PerThread::default() }
    }

    fn count_of(&self, place: usize) -> u64 {
        self.counts.all().map(|counts| counts.by_class[place].load(Ordering::Relaxed)).sum()
    }
}

/// All metrics of the API.
pub(crate) struct Metrics {
    store: Arc<Store>,
    /// In the order of the route table.
    routes: Vec<RouteMetrics>,
    /// What matches no row.
    unmatched: RouteMetrics,
    /// In the order of [`Refusal::ALL`].
    refusals: [AtomicU64; Refusal::ALL.len()],
}

impl Metrics {
    pub(crate) fn new(store: Arc<Store>, routes: &RouteTable) -> Self {
        Self {
            store,
            routes: routes.rows().iter().map(|row| RouteMetrics::new(row.path.clone(), row.verb())).collect(),
            unmatched: RouteMetrics::new("unmatched".to_owned(), "other"),
            refusals: Default::default(),
        }
    }

    /// Counts one response.
    pub(crate) fn answered(&self, matched: RouteMatch<'_>, status: u16, took: Duration) {
        let route = matched.row.and_then(|(place, _)| self.routes.get(place)).unwrap_or(&self.unmatched);
        let class = usize::from(status / 100).clamp(1, CLASSES.len()) - 1;
        let counts = route.counts.own();
        counts.by_class[class].fetch_add(1, Ordering::Relaxed);
        counts.durations.observe(took);
    }

    /// Counts one refusal of the auth pipeline.
    pub(crate) fn refused(&self, refusal: Refusal) {
        self.refusals[refusal as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn collect_requests(&self, encoder: &mut Encoder) {
        let routes = || self.routes.iter().chain([&self.unmatched]);
        let mut requests = encoder.family(
            "telepath_api_requests_total",
            MetricKind::Counter,
            "Answered API requests, by route, method and class of status.",
        );
        for metrics in routes() {
            for (place, class) in CLASSES.iter().enumerate() {
                let labels =
                    [("route", metrics.route.as_str()), ("method", metrics.method), ("status", class)];
                requests.sample(&labels, metrics.count_of(place));
            }
        }
        let mut durations = encoder.family(
            "telepath_api_request_duration_seconds",
            MetricKind::Histogram,
            "Time from the arrival of a request's head to the start of its response.",
        );
        for metrics in routes() {
            let labels = [("route", metrics.route.as_str()), ("method", metrics.method)];
            durations.latency(&labels, metrics.counts.all().map(|counts| &counts.durations));
        }
        let mut refusals = encoder.family(
            "telepath_api_refusals_total",
            MetricKind::Counter,
            "Requests refused before their handler ran, by reason.",
        );
        for (refusal, count) in Refusal::ALL.iter().zip(&self.refusals) {
            refusals.sample(&[("reason", refusal.label())], count.load(Ordering::Relaxed));
        }
    }

    fn collect_store(&self, encoder: &mut Encoder) {
        let store = &self.store;
        let keys = u64::try_from(store.keys().len()).unwrap_or(u64::MAX);
        encoder.single("telepath_keys", MetricKind::Gauge, "API keys in the key table.", keys);
        let mut alerts = encoder.family(
            "telepath_alerts_raised_total",
            MetricKind::Counter,
            "Alerts raised by this process, by rule.",
        );
        for rule in AlertRule::ALL {
            alerts.sample(&[("rule", rule.name())], store.alerts_raised(*rule));
        }
        encoder.single(
            "telepath_security_signals_dropped_total",
            MetricKind::Counter,
            "Security signals about dead or exposed keys that were dropped because the queue was full.",
            store.security_signals_dropped(),
        );
        let stats = store.requests().stats();
        let mut lost = encoder.family(
            "telepath_request_log_lost_total",
            MetricKind::Counter,
            "Requests that are missing in the request log because the database could not take them.",
        );
        for (what, count) in [("counts", stats.counts_lost), ("details", stats.details_lost)] {
            lost.sample(&[("what", what)], count);
        }
    }

    /// The state of this server within the cluster, if there is one.
    fn collect_cluster(&self, encoder: &mut Encoder) {
        if let Some(figures) = self.store.cluster() {
            encoder.single(
                "telepath_cluster_lease_left_seconds",
                MetricKind::Gauge,
                "How long keys are still admitted without the database.",
                figures.lease_left.as_secs_f64(),
            );
            encoder.single(
                "telepath_cluster_nodes",
                MetricKind::Gauge,
                "Servers on the database, this one included.",
                u64::from(figures.nodes),
            );
            encoder.single(
                "telepath_cluster_confirmation_seconds",
                MetricKind::Gauge,
                "How long the last change of a key waited for the other servers.",
                figures.confirmation.as_secs_f64(),
            );
        }
        if let Some(latency) = self.store.window_latency() {
            encoder.single(
                "telepath_shared_window_seconds",
                MetricKind::Gauge,
                "How long the last request waited for its shared rate window.",
                latency.as_secs_f64(),
            );
        }
    }
}

impl Collect for Metrics {
    fn collect(&self, encoder: &mut Encoder) {
        self.collect_requests(encoder);
        self.collect_store(encoder);
        self.collect_cluster(encoder);
    }
}

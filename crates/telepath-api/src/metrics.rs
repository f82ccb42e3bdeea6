//! The metrics of the API. Every counter is registered once at start and found by the place of its route in the route
//! table, so counting a request is a few atomic additions, and no label can have a value that a client chose.

mod durations;

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::{Counter, Gauge, counter, gauge};
use telepath_core::alert::AlertRule;
use telepath_store::{PerThread, Store};

use crate::refusal::Refusal;
use crate::routes::{RouteMatch, RouteTable};
use durations::Durations;

/// The name of the response counter.
const REQUESTS: &str = "telepath_api_requests_total";
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
    durations: Durations,
}

impl RouteMetrics {
    fn new(route: String, method: &'static str) -> Self {
        Self { route, method, counts: PerThread::default() }
    }

    fn write_counts(&self, text: &mut String) {
        let Self { route, method, counts } = self;
        for (place, class) in CLASSES.iter().enumerate() {
            let count: u64 = counts.all().map(|counts| counts.by_class[place].load(Ordering::Relaxed)).sum();
            let labels = format_args!("route=\"{route}\",method=\"{method}\",status=\"{class}\"");
            // Writing to memory that grows cannot fail.
            let _ = writeln!(text, "{REQUESTS}{{{labels}}} {count}");
        }
    }
}

fn lost(what: &'static str) -> Counter {
    metrics::describe_counter!(
        "telepath_request_log_lost_total",
        "Requests that are missing in the request log because the database could not take them."
    );
    counter!("telepath_request_log_lost_total", "what" => what)
}

fn window_gauge() -> Gauge {
    metrics::describe_gauge!(
        "telepath_shared_window_seconds",
        metrics::Unit::Seconds,
        "How long the last request waited for its shared rate window."
    );
    gauge!("telepath_shared_window_seconds")
}

/// All metrics of the API.
pub(crate) struct Metrics {
    /// In the order of the route table.
    routes: Vec<RouteMetrics>,
    /// What matches no row.
    unmatched: RouteMetrics,
    refusals: [Counter; 9],
    /// Keys in the table.
    keys: Gauge,
    /// In the order of [`AlertRule::ALL`].
    alerts: Vec<Counter>,
    security_signals_dropped: Counter,
    /// What the database could not take.
    details_lost: Counter,
    counts_lost: Counter,
    cluster: Option<ClusterMetrics>,
    /// Where windows are counted elsewhere.
    window: Option<Gauge>,
}

/// The state of this server within the cluster.
struct ClusterMetrics {
    lease_left: Gauge,
    nodes: Gauge,
    confirmation: Gauge,
}

impl ClusterMetrics {
    fn register() -> Self {
        metrics::describe_gauge!(
            "telepath_cluster_lease_left_seconds",
            metrics::Unit::Seconds,
            "How long keys are still admitted without the database."
        );
        metrics::describe_gauge!("telepath_cluster_nodes", "Servers on the database, this one included.");
        metrics::describe_gauge!(
            "telepath_cluster_confirmation_seconds",
            metrics::Unit::Seconds,
            "How long the last change of a key waited for the other servers."
        );
        Self {
            lease_left: gauge!("telepath_cluster_lease_left_seconds"),
            nodes: gauge!("telepath_cluster_nodes"),
            confirmation: gauge!("telepath_cluster_confirmation_seconds"),
        }
    }
}

impl Metrics {
    /// Registers with the recorder that is in force.
    pub(crate) fn register(store: &Store, routes: &RouteTable) -> Self {
        metrics::describe_counter!("telepath_api_refusals_total", "Requests refused by the auth pipeline.");
        metrics::describe_gauge!("telepath_keys", "API keys in the key table.");
        metrics::describe_counter!("telepath_alerts_raised_total", "Alerts raised by this process.");
        metrics::describe_counter!(
            "telepath_security_signals_dropped_total",
            "Security signals about dead or exposed keys that were dropped because the queue was full."
        );
        Self {
            routes: routes.rows().iter().map(|row| RouteMetrics::new(row.path.clone(), row.verb())).collect(),
            unmatched: RouteMetrics::new("unmatched".to_owned(), "other"),
            refusals: Refusal::ALL
                .map(|refusal| counter!("telepath_api_refusals_total", "reason" => refusal.label())),
            keys: gauge!("telepath_keys"),
            alerts: AlertRule::ALL
                .iter()
                .map(|rule| counter!("telepath_alerts_raised_total", "rule" => rule.name()))
                .collect(),
            security_signals_dropped: counter!("telepath_security_signals_dropped_total"),
            details_lost: lost("details"),
            counts_lost: lost("counts"),
            cluster: store.cluster().map(|_| ClusterMetrics::register()),
            window: store.window_latency().map(|_| window_gauge()),
        }
    }

    /// Sets the gauges to what they are at this moment.
    pub(crate) fn look(&self, store: &Store) {
        self.take_over(store);
        let lost = store.requests().stats();
        self.details_lost.absolute(lost.details_lost);
        self.counts_lost.absolute(lost.counts_lost);
        self.keys.set(f64::from(u32::try_from(store.keys().len()).unwrap_or(u32::MAX)));
        if let Some((metrics, figures)) = self.cluster.as_ref().zip(store.cluster()) {
            metrics.lease_left.set(figures.lease_left.as_secs_f64());
            metrics.nodes.set(f64::from(figures.nodes));
            metrics.confirmation.set(figures.confirmation.as_secs_f64());
        }
        if let Some((gauge, latency)) = self.window.as_ref().zip(store.window_latency()) {
            gauge.set(latency.as_secs_f64());
        }
    }

    /// Takes over what the store counts itself.
    pub(crate) fn take_over(&self, store: &Store) {
        self.keys.set(f64::from(u32::try_from(store.keys().len()).unwrap_or(u32::MAX)));
        for (rule, counter) in AlertRule::ALL.iter().zip(&self.alerts) {
            counter.absolute(store.alerts_raised(*rule));
        }
        self.security_signals_dropped.absolute(store.security_signals_dropped());
    }

    /// Counts one response.
    pub(crate) fn answered(&self, matched: RouteMatch<'_>, status: u16, took: Duration) {
        let route = matched.row.and_then(|(place, _)| self.routes.get(place)).unwrap_or(&self.unmatched);
        let class = usize::from(status / 100).clamp(1, CLASSES.len()) - 1;
        let counts = route.counts.own();
        counts.by_class[class].fetch_add(1, Ordering::Relaxed);
        counts.durations.record(took);
    }

    /// Appends the metrics that every request updates, which are therefore counted here and not by the recorder.
    pub(crate) fn write_answers(&self, text: &mut String) {
        let routes = || self.routes.iter().chain([&self.unmatched]);
        let _ = writeln!(text, "# HELP {REQUESTS} Answered API requests.\n# TYPE {REQUESTS} counter");
        for metrics in routes() {
            metrics.write_counts(text);
        }
        durations::describe(text);
        for metrics in routes() {
            let all = metrics.counts.all().map(|counts| &counts.durations);
            durations::write(all, &metrics.route, metrics.method, text);
        }
    }

    /// Counts one refusal of the auth pipeline.
    pub(crate) fn refused(&self, refusal: Refusal) {
        self.refusals[refusal as usize].increment(1);
    }
}

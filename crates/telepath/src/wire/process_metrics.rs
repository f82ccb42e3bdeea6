//! The metrics of the whole process: what the parts of the program record, and figures about the process itself.

use std::sync::Arc;
use std::time::Duration;

use telepath_http::{App, ConnectionCounts, ConnectionLimit, HttpServer};
use telepath_metrics::{Collect, Encoder, MetricKind, ProcessMetrics, Registry};
use telepath_store::Store;
use tokio_util::sync::CancellationToken;

use crate::exit::Failure;
use crate::tls::Certificates;
use crate::{deliveries, mail, workers};

/// How often figures about the database are read. They change slowly, and a scrape must not wait for the database.
const STORAGE_INTERVAL: Duration = Duration::from_secs(15);

const DATABASE_SIZE: &str = "telepath_database_size_bytes";
const OLDEST_DELIVERY: &str = "telepath_webhook_oldest_due_seconds";

/// Records everything of this process from here on. Only the first registry of a process is in force.
pub(super) fn install() -> Result<Registry, Failure> {
    let registry = Registry::default();
    metrics::set_global_recorder(registry.clone())
        .map_err(|error| Failure::doing("metrics cannot be set up", &error))?;
    telepath_gateway::describe_metrics();
    deliveries::describe_metrics();
    mail::describe_metrics();
    metrics::describe_gauge!(DATABASE_SIZE, "The size of the database.");
    metrics::describe_gauge!(
        OLDEST_DELIVERY,
        "How long the oldest due webhook delivery has waited for its attempt; 0 if none is due."
    );
    for name in [DATABASE_SIZE, OLDEST_DELIVERY] {
        metrics::gauge!(name).set(0.0);
    }
    registry.add(Arc::new(ProcessMetrics::new()));
    registry.add(Arc::new(BuildInfo));
    Ok(registry)
}

/// The version of the program, as labels of a metric that is always 1.
struct BuildInfo;

impl Collect for BuildInfo {
    fn collect(&self, encoder: &mut Encoder) {
        let labels = [
            ("version", env!("CARGO_PKG_VERSION")),
            ("os", std::env::consts::OS),
            ("arch", std::env::consts::ARCH),
        ];
        encoder
            .family("telepath_build_info", MetricKind::Gauge, "The version of the program; always 1.")
            .sample(&labels, 1);
    }
}

/// What the HTTP server and its certificate report.
pub(super) struct ServerMetrics<A> {
    pub(super) server: Arc<HttpServer<A>>,
    pub(super) certificates: Arc<Certificates>,
}

impl<A: App> Collect for ServerMetrics<A> {
    fn collect(&self, encoder: &mut Encoder) {
        collect_connections(self.server.connection_counts(), encoder);
        if let Some(end) = self.certificates.expiry() {
            encoder.single(
                "telepath_certificate_expiry_timestamp_seconds",
                MetricKind::Gauge,
                "When the certificate of the API expires, in seconds since 1970.",
                u64::try_from(end.unix_seconds()).unwrap_or(0),
            );
        }
    }
}

fn collect_connections(counts: ConnectionCounts, encoder: &mut Encoder) {
    encoder.single(
        "telepath_http_connections",
        MetricKind::Gauge,
        "Open connections of the TCP listeners of the API.",
        u64::try_from(counts.open).unwrap_or(u64::MAX),
    );
    encoder.single(
        "telepath_http_connections_accepted_total",
        MetricKind::Counter,
        "Accepted connections of the TCP listeners of the API.",
        counts.accepted,
    );
    for (name, help, by_limit) in [
        (
            "telepath_http_connections_displaced_total",
            "Idle connections that were closed to make room for a new one, by the limit that was reached.",
            counts.displaced,
        ),
        (
            "telepath_http_connections_refused_total",
            "New connections that were refused because no other connection was idle, by the limit that was reached.",
            counts.refused,
        ),
    ] {
        let mut family = encoder.family(name, MetricKind::Counter, help);
        for (limit, count) in ConnectionLimit::ALL.iter().zip(by_limit) {
            family.sample(&[("limit", limit.name())], count);
        }
    }
}

/// Keeps the figures about the database up to date.
pub(super) async fn watch_storage(store: Arc<Store>, stop: CancellationToken) {
    workers::repeat("read the size of the database", STORAGE_INTERVAL, stop, || async {
        let stats = store.storage_stats().await?;
        metrics::gauge!(DATABASE_SIZE).set(precise(stats.database_bytes));
        metrics::gauge!(OLDEST_DELIVERY).set(stats.oldest_due_delivery.as_secs_f64());
        Ok(())
    })
    .await;
}

#[expect(clippy::cast_precision_loss, reason = "a database is smaller than 2^52 bytes")]
const fn precise(bytes: u64) -> f64 {
    bytes as f64
}

//! The only place that connects storage, API and gateway. A server starts in an order in which nothing is offered before it
//! works, and stops in the reverse order.

mod dashboard;
mod destinations;
#[cfg(test)]
mod exposition;
mod gateway;
mod listeners;
mod local;
mod metrics_app;
mod process_metrics;
mod report;
mod storage;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use telepath_api::{Api, ApiOptions, Readiness};
use telepath_core::id::AccountId;
use telepath_core::leak::SigningKeys;
use telepath_core::ports::{LiveCalls, Mail};
use telepath_dashboard::Dashboard;
use telepath_egress::Egress;
use telepath_gateway::{Gateway, SipTransport};
use telepath_http::{ConnectionLimits, Dispatcher, HttpServer, RequestIds, ServerOptions};
use telepath_metrics::Registry;
use telepath_store::{AlertPost, ProcessRole, Store};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use local::LocalServer;
pub use storage::{database, store_failure};
pub(crate) use storage::{discard_unused_key, vault};

use crate::config::{CertificateSource, Config};
use crate::data_dir::{DataDir, Lock};
use crate::descriptors::{self, DescriptorShares};
use crate::exit::{Exit, Failure};
use crate::mail::Mailer;
use crate::tls::Certificates;
use crate::{deliveries, signals, workers};
use dashboard::Parts;
use gateway::{sip_connections, start_gateway};
use listeners::Listeners;
use metrics_app::MetricsApp;
use process_metrics::ServerMetrics;
use report::Report;

/// How long a task may take to end after everything that it waits for has ended.
const TASKS_END_WITHIN: Duration = Duration::from_secs(5);

/// The addresses of a server, with the ports that the system chose.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// HTTPS.
    pub api: SocketAddr,
    /// SIP over UDP, the first socket.
    pub sip: SocketAddr,
    /// All SIP sockets and listeners.
    pub sip_listeners: Vec<(SipTransport, SocketAddr)>,
    /// Plain HTTP.
    pub insecure_http: Option<SocketAddr>,
    /// `/metrics` over plain HTTP.
    pub metrics: Option<SocketAddr>,
    /// The dashboard, as users open it.
    pub dashboard: Option<String>,
    /// Local administration.
    pub admin_socket: PathBuf,
    /// The CA certificate that clients trust; `None` if the certificate comes from files.
    pub ca: Option<PathBuf>,
}

/// A running server.
pub struct Server {
    addresses: Addresses,
    store: Arc<Store>,
    api: Arc<Api>,
    gateway: Gateway,
    readiness: Readiness,
    dashboard: Option<Arc<Dashboard>>,
    serving: CancellationToken,
    work: CancellationToken,
    tasks: TaskTracker,
    grace: Duration,
    _lock: Option<Lock>,
}

impl Server {
    /// Starts a server; when this returns, every listener accepts work. A server that cannot start leaves no new folder or
    /// master key behind.
    pub async fn start(config: &Config, data: DataDir) -> Result<Self, Failure> {
        let started = Self::start_in(config, &data).await;
        if started.is_err() {
            data.discard_if_new();
        }
        started
    }

    async fn start_in(config: &Config, data: &DataDir) -> Result<Self, Failure> {
        let mut lock = Some(data.lock()?);
        let started = Self::start_locked(config, data, &mut lock).await;
        if started.is_err() {
            // The lock is still held, so no other process owns the socket.
            let _ = data.admin_socket().map(std::fs::remove_file);
        }
        started
    }

    /// Takes the lock if it succeeds.
    async fn start_locked(config: &Config, data: &DataDir, lock: &mut Option<Lock>) -> Result<Self, Failure> {
        let listeners = Listeners::bind(&config.api, config.metrics, data).await?;
        let store = storage::open(config, ProcessRole::Server, data).await?;
        let started = Self::start_on(config, data, lock, listeners, Arc::clone(&store)).await;
        if started.is_err() {
            store.close().await;
        }
        started
    }

    async fn start_on(
        config: &Config,
        data: &DataDir,
        lock: &mut Option<Lock>,
        listeners: Listeners,
        store: Arc<Store>,
    ) -> Result<Self, Failure> {
        let account = storage::first_account(&store, &database(&config.storage.database, data)).await?;
        let certificates = Certificates::load(&config.tls.certificate, data, store.clock().now())?;
        let hangups = signals::hangups()?;
        let registry = process_metrics::install()?;
        let egress = Egress::new(config.egress.allow.clone());
        let shares = descriptors::divide(DescriptorShares {
            connections: config.limits.api_connections.into(),
            sip_connections: sip_connections(config),
            calls: config.limits.concurrent_calls.into(),
            deliveries: deliveries::MAX_IN_FLIGHT.into(),
        });
        let gateway = start_gateway(config, shares, &certificates, &store, egress.with_own_lookups()).await?;
        let addresses = Addresses {
            api: listeners.api_address,
            sip: gateway.sip_addr(),
            sip_listeners: gateway.sip_listeners().to_vec(),
            insecure_http: listeners.http_address,
            metrics: listeners.metrics_address,
            dashboard: dashboard::url(config, listeners.api_address),
            admin_socket: data.admin_socket()?,
            ca: local_ca(&config.tls.certificate, data),
        };
        let mailer = mailer(config)?;
        let alert_post =
            AlertPost { mail: mailer.clone().map(|mailer| mailer as Arc<dyn Mail>), pages: pages(config) };
        let options =
            ApiOptions { egress: egress.clone(), alert_post, ..api_options(config, &addresses, account)? };
        let api = new_api(options, &store, Arc::new(gateway.handle()), registry.clone())?;
        let readiness = api.readiness();
        let (serving, work, tasks) = (CancellationToken::new(), CancellationToken::new(), TaskTracker::new());
        let live = Arc::new(gateway.handle());
        let report = Report::new(config, &addresses, Arc::clone(&certificates), gateway.handle());
        let parts = Parts { mailer: mailer.clone(), egress: &egress, live, report };
        let pages = dashboard::new(config, &addresses, account, &store, parts)?;
        if let Some(pages) = &pages {
            registry.add(pages.metrics());
        }
        let apps = Dispatcher::with_second(Arc::clone(&api), pages.clone());
        let server = HttpServer::new(apps, server_options(config, shares));
        let (server_metrics, served) = (Arc::clone(&server), Arc::clone(&certificates));
        registry.add(Arc::new(ServerMetrics { server: server_metrics, certificates: served }));
        listeners.serve(
            &server,
            metrics_server(registry, &store)?,
            certificates.subscribe(),
            &serving,
            &tasks,
        );
        tasks.spawn(process_metrics::watch_storage(Arc::clone(&store), work.clone()));
        tasks.spawn(workers::write_request_log(Arc::clone(&store), work.clone()));
        tasks.spawn(workers::roll_up_usage(Arc::clone(&store), work.clone()));
        tasks.spawn(workers::expire_usage(Arc::clone(&store), config.retention, work.clone()));
        tasks.spawn(workers::maintain_keyring(Arc::clone(&store), work.clone()));
        tasks.spawn(workers::log_audit_heads(Arc::clone(&store), work.clone()));
        tasks.spawn(workers::expire_idempotency_keys(Arc::clone(&store), work.clone()));
        tasks.spawn(workers::correct_grace_periods(Arc::clone(&store), work.clone()));
        tasks.spawn(workers::revoke_exposed_keys(Arc::clone(&store), work.clone()));
        tasks.spawn(workers::evaluate_alert_rules(Arc::clone(&store), work.clone()));
        if let Some(mailer) = mailer {
            tasks.spawn(workers::send_alert_emails(Arc::clone(&store), mailer, work.clone()));
        }
        let live = Arc::new(gateway.handle());
        tasks.spawn(workers::hang_up_for_others(Arc::clone(&store), live, work.clone()));
        tasks.spawn(workers::expire_deliveries(Arc::clone(&store), work.clone()));
        tasks.spawn(workers::expire_sign_ins(Arc::clone(&store), work.clone()));
        let max_in_flight = usize::try_from(shares.deliveries).unwrap_or(usize::MAX);
        tasks.spawn(deliveries::send(
            Arc::clone(&store),
            egress.with_own_lookups(),
            max_in_flight,
            work.clone(),
        ));
        let clock = Arc::clone(store.clock());
        tasks.spawn(workers::renew_certificates(certificates, clock, hangups, work.clone()));
        tracing::info!(api = %addresses.api, sip = %addresses.sip, "ready");
        let grace = config.limits.stop_grace;
        let lock = lock.take();
        let dashboard = pages;
        Ok(Self {
            addresses,
            store,
            api,
            gateway,
            readiness,
            dashboard,
            serving,
            work,
            tasks,
            grace,
            _lock: lock,
        })
    }

    /// The addresses that it listens on.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The link that creates the first user; `None` once there is one, and without the dashboard.
    pub async fn setup_link(&self) -> Result<Option<String>, Failure> {
        let Some(url) = &self.addresses.dashboard else { return Ok(None) };
        let code = self.store.setup_code().await;
        let code = code.map_err(|error| Failure::doing("could not look for users", &error))?;
        Ok(code.map(|code| format!("{url}/setup?code={}", code.expose())))
    }

    /// Waits until a part that cannot be restarted has failed; the process should then exit.
    pub async fn until_broken(&self) -> Failure {
        self.gateway.handle().until_stopped().await;
        Failure::plain("SIP is no longer served, because its task failed; this is a bug in Telepath")
            .remedy("Start it again, and report the log line of the panic.")
    }

    /// Stops the server: `/readyz` reports it, calls and then requests may complete within the configured time each, what is
    /// only in memory is written, and the folder is released. The API keeps responding while calls end, so that health
    /// checks see the shutdown and live calls can still be listed and hung up.
    pub async fn stop(self) {
        self.readiness.set(false);
        if let Some(dashboard) = &self.dashboard {
            dashboard.end_streams();
        }
        let report = self.gateway.shutdown(self.grace).await;
        if report.tasks_left > 0 {
            tracing::warn!(tasks = report.tasks_left, "calls were cut off when the shutdown timed out");
        }
        self.serving.cancel();
        self.work.cancel();
        self.tasks.close();
        if tokio::time::timeout(self.grace + TASKS_END_WITHIN, self.tasks.wait()).await.is_err() {
            tracing::warn!(tasks = self.tasks.len(), "tasks were cut off when the shutdown timed out");
        }
        let exposures = async {
            self.api.store_exposures().await;
            self.store.revoke_exposed_keys().await
        };
        if !matches!(tokio::time::timeout(TASKS_END_WITHIN, exposures).await, Ok(Ok(_))) {
            tracing::error!(
                "leaked keys were reported that are not revoked yet; the next start revokes them"
            );
        }
        self.store.close().await;
        // Only this process can own the socket, because it still holds the lock.
        let _ = std::fs::remove_file(&self.addresses.admin_socket);
    }
}

/// The origin of the dashboard for links in emails, if one is configured.
fn pages(config: &Config) -> Option<String> {
    config.dashboard.public_url.as_ref().map(ToString::to_string)
}

/// The client of the mail server, if one is configured.
fn mailer(config: &Config) -> Result<Option<Arc<Mailer>>, Failure> {
    let mailer = config.smtp.as_ref().map(|smtp| Mailer::new(smtp, pages(config))).transpose();
    let mailer = mailer.map_err(|error| Failure::doing("could not set up emails", &error))?;
    Ok(mailer.map(Arc::new))
}

fn api_options(config: &Config, addresses: &Addresses, account: AccountId) -> Result<ApiOptions, Failure> {
    Ok(ApiOptions {
        signing_keys: config.api.signing_keys_file.as_deref().map(signing_keys).transpose()?,
        security_contact: config.api.security_contact.clone(),
        ..ApiOptions::new(sip_host(config.sip.public_host.as_deref(), addresses.sip), account)
    })
}

fn metrics_server(registry: Registry, store: &Store) -> Result<Arc<HttpServer<MetricsApp>>, Failure> {
    let request_ids = RequestIds::new(store.entropy().as_ref())
        .map_err(|error| Failure::doing("metrics cannot be set up", &error))?;
    let app = MetricsApp { registry, request_ids, clock: Arc::clone(store.clock()) };
    let options = ServerOptions { limits: metrics_app::limits(), ..ServerOptions::default() };
    Ok(HttpServer::new(app, options))
}

fn server_options(config: &Config, shares: DescriptorShares) -> ServerOptions {
    let limits = &config.limits;
    ServerOptions {
        limits: ConnectionLimits {
            total: usize::try_from(shares.connections).unwrap_or(usize::MAX),
            per_address: usize::try_from(limits.address_connections).unwrap_or(usize::MAX),
            drain: limits.stop_grace,
            ..ConnectionLimits::default()
        },
        trusted_proxies: config.api.trusted_proxies.clone(),
        forwarding_headers: config.api.forwarding_headers,
        proxy_protocol: config.api.proxy_protocol,
    }
}

fn signing_keys(path: &Path) -> Result<Arc<SigningKeys>, Failure> {
    let failed = |problem: &dyn std::fmt::Display| {
        Failure::new(Exit::Config, format!("leaks.signing_keys_file: {}: {problem}", path.display())).remedy(
            "Save the keys that the secret-scanning partner publishes in that file, or remove the setting.",
        )
    };
    let text = std::fs::read_to_string(path).map_err(|error| failed(&error))?;
    SigningKeys::parse(&text).map(Arc::new).map_err(|error| failed(&error))
}

/// The part of a `sip_endpoint` after the `@`, without the default port (RFC 3261 section 19.1.2).
fn sip_host(public: Option<&str>, listen: SocketAddr) -> String {
    let host = public.map_or_else(|| listen.ip().to_string(), str::to_owned);
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    if listen.port() == 5060 { host } else { format!("{host}:{}", listen.port()) }
}

fn new_api(
    options: ApiOptions,
    store: &Arc<Store>,
    live: Arc<dyn LiveCalls>,
    registry: Registry,
) -> Result<Arc<Api>, Failure> {
    Api::new(options, Arc::clone(store), live, registry)
        .map_err(|error| Failure::doing("could not set up the API", &error))
}

fn local_ca(source: &CertificateSource, data: &DataDir) -> Option<PathBuf> {
    match source {
        CertificateSource::Local { .. } => Some(data.ca_certificate()),
        CertificateSource::Files { .. } => None,
    }
}

#[cfg(test)]
mod tests;

//! The one place where storage, API and gateway meet: a server is put together here, started in an order in which
//! nothing is offered before it works, and stopped in the reverse.

mod listeners;
mod local;
mod storage;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use telepath_api::{Api, ApiOptions, Readiness};
use telepath_core::id::AccountId;
use telepath_core::leak::SigningKeys;
use telepath_core::ports::LiveCalls;
use telepath_egress::Egress;
use telepath_gateway::{Gateway, GatewayOptions, StartError};
use telepath_http::{ConnectionLimits, Dispatcher, HttpServer, ServerOptions};
use telepath_store::{ProcessRole, Store};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use local::LocalServer;
pub use storage::store_failure;

use crate::config::{CertificateSource, Config};
use crate::data_dir::{DataDir, Lock};
use crate::exit::{Exit, Failure};
use crate::mail::Mailer;
use crate::tls::Certificates;
use crate::{deliveries, signals, workers};
use listeners::Listeners;

/// The interval at which the metrics recorder is maintained.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);
/// What a task may take to end after everything that it waits for has ended.
const TASKS_END_WITHIN: Duration = Duration::from_secs(5);

/// Where a server can be reached, with the ports that the system chose.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// HTTPS.
    pub api: SocketAddr,
    /// SIP over UDP.
    pub sip: SocketAddr,
    /// Plain HTTP.
    pub insecure_http: Option<SocketAddr>,
    /// Local administration.
    pub admin_socket: PathBuf,
    /// What clients trust; `None` when the certificate comes from files.
    pub ca: Option<PathBuf>,
}

/// A running server.
pub struct Server {
    addresses: Addresses,
    store: Arc<Store>,
    api: Arc<Api>,
    gateway: Gateway,
    readiness: Readiness,
    serving: CancellationToken,
    work: CancellationToken,
    tasks: TaskTracker,
    grace: Duration,
    _lock: Lock,
}

impl Server {
    /// Starts everything; when it returns, every listener takes work.
    pub async fn start(config: &Config, data: DataDir) -> Result<Self, Failure> {
        let lock = data.lock()?;
        let listeners = Listeners::bind(&config.api, &data).await?;
        let store = storage::open(config, ProcessRole::Server, &data).await?;
        match Self::start_on(config, &data, lock, listeners, Arc::clone(&store)).await {
            Ok(server) => Ok(server),
            Err(failure) => {
                // What was opened is closed properly even when the rest could not be started.
                store.close().await;
                Err(failure)
            }
        }
    }

    async fn start_on(
        config: &Config,
        data: &DataDir,
        lock: Lock,
        listeners: Listeners,
        store: Arc<Store>,
    ) -> Result<Self, Failure> {
        let account = storage::first_account(&store).await?;
        let certificates = Certificates::load(&config.tls.certificate, data, store.clock().now())?;
        let hangups = signals::hangups()?;
        let prometheus = recorder()?;
        let egress = Egress::new(config.egress.allow.clone());
        let gateway = start_gateway(config, &store, egress.with_own_lookups()).await?;
        let addresses = Addresses {
            api: listeners.api_address,
            sip: gateway.sip_addr(),
            insecure_http: listeners.http_address,
            admin_socket: data.admin_socket()?,
            ca: local_ca(&config.tls.certificate, data),
        };
        let options = ApiOptions { egress: egress.clone(), ..api_options(config, &addresses, account)? };
        let api = new_api(options, &store, Arc::new(gateway.handle()), prometheus.clone())?;
        let readiness = api.readiness();
        let (serving, work, tasks) = (CancellationToken::new(), CancellationToken::new(), TaskTracker::new());
        // Every application is mounted here; the API answers all paths that belong to no other.
        let server = HttpServer::new(Dispatcher::new(Arc::clone(&api)), server_options(config));
        listeners.serve(&server, certificates.subscribe(), &serving, &tasks);
        tasks.spawn(run_upkeep(prometheus, work.clone()));
        tasks.spawn(workers::write_request_log(Arc::clone(&store), work.clone()));
        tasks.spawn(workers::roll_up_usage(Arc::clone(&store), work.clone()));
        tasks.spawn(workers::expire_usage(Arc::clone(&store), config.retention, work.clone()));
        tasks.spawn(workers::expire_idempotency_keys(Arc::clone(&store), work.clone()));
        tasks.spawn(workers::evaluate_alert_rules(Arc::clone(&store), work.clone()));
        if let Some(smtp) = &config.smtp {
            let mailer =
                Mailer::new(smtp).map_err(|error| Failure::doing("could not set up alert emails", &error))?;
            tasks.spawn(workers::send_alert_emails(Arc::clone(&store), mailer, work.clone()));
        }
        let live = Arc::new(gateway.handle());
        tasks.spawn(workers::hang_up_for_others(Arc::clone(&store), live, work.clone()));
        tasks.spawn(workers::expire_deliveries(Arc::clone(&store), work.clone()));
        tasks.spawn(workers::expire_sign_ins(Arc::clone(&store), work.clone()));
        tasks.spawn(deliveries::send(Arc::clone(&store), egress.with_own_lookups(), work.clone()));
        let clock = Arc::clone(store.clock());
        tasks.spawn(workers::renew_certificates(certificates, clock, hangups, work.clone()));
        tracing::info!(api = %addresses.api, sip = %addresses.sip, "ready");
        let grace = config.limits.stop_grace;
        Ok(Self { addresses, store, api, gateway, readiness, serving, work, tasks, grace, _lock: lock })
    }

    /// Where it can be reached.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Waits until a part that cannot be started again has ended by itself; the process should then end.
    pub async fn until_broken(&self) -> Failure {
        self.gateway.handle().until_stopped().await;
        Failure::plain("SIP is no longer served, because its task broke off; this is a fault of Telepath")
            .remedy("Start it again, and report the log line of the panic.")
    }

    /// Stops: says that no work is wanted, lets calls and then requests end within the configured time each, writes what
    /// is only in memory, and gives the folder back. While calls end the API goes on answering, so that whoever probes
    /// `/readyz` learns of it and live calls can still be seen and hung up.
    pub async fn stop(self) {
        self.readiness.set(false);
        let report = self.gateway.shutdown(self.grace).await;
        if report.tasks_left > 0 {
            tracing::warn!(tasks = report.tasks_left, "calls were cut off at the end of the drain");
        }
        self.serving.cancel();
        self.work.cancel();
        self.tasks.close();
        if tokio::time::timeout(self.grace + TASKS_END_WITHIN, self.tasks.wait()).await.is_err() {
            tracing::warn!(tasks = self.tasks.len(), "tasks were cut off at the end of the drain");
        }
        if tokio::time::timeout(TASKS_END_WITHIN, self.api.drain_leaks()).await.is_err() {
            tracing::error!("leaked keys were reported that are not revoked yet");
        }
        self.store.close().await;
        // Nobody can own the socket but this process, which still holds the lock.
        let _ = std::fs::remove_file(&self.addresses.admin_socket);
    }
}

/// Counts everything of this process from here on. Only the first recorder of a process is in force.
fn recorder() -> Result<PrometheusHandle, Failure> {
    let handle = PrometheusBuilder::new()
        .install_recorder()
        .map_err(|error| Failure::doing("metrics cannot be set up", &error))?;
    telepath_gateway::describe_metrics();
    deliveries::describe_metrics();
    Ok(handle)
}

async fn start_gateway(config: &Config, store: &Arc<Store>, egress: Egress) -> Result<Gateway, Failure> {
    let rtp = config.media.rtp_ports;
    let options = GatewayOptions {
        advertise: config.sip.public_host.clone(),
        digest_algorithms: config.sip.digest_algorithms,
        rtp_ports: rtp.first..=rtp.last,
        max_calls: usize::try_from(config.limits.concurrent_calls).unwrap_or(usize::MAX),
        max_call_duration: config.limits.call_length,
        egress,
        media_inactivity: config.media.timeout,
        media_networks: config.media.allow.clone(),
        ..GatewayOptions::new(config.sip.listen)
    };
    let control = Arc::clone(store);
    let secret = *store.vault().sip_nonce_secret();
    Gateway::start(options, control, Arc::clone(store.clock()), Arc::clone(store.entropy()), secret)
        .await
        .map_err(|error| gateway_failure(&error))
}

fn gateway_failure(error: &StartError) -> Failure {
    match error {
        StartError::PortTaken(address) => Failure::new(
            Exit::Busy,
            format!("UDP port {} on {} is in use by another program", address.port(), address.ip()),
        )
        .remedy("Stop that program, or choose another port with --sip-listen."),
        StartError::Socket { .. } => {
            Failure::plain(error.to_string()).remedy("Choose another address with --sip-listen.")
        }
        StartError::Unresolved { .. } => Failure::new(Exit::Config, error.to_string())
            .remedy("Correct sip.public_host, or set it to an IP address."),
        StartError::NoRtpPorts => Failure::new(Exit::Config, error.to_string()).remedy("Change --rtp-ports."),
        StartError::Entropy(_) => Failure::plain(error.to_string()),
    }
}

fn api_options(config: &Config, addresses: &Addresses, account: AccountId) -> Result<ApiOptions, Failure> {
    Ok(ApiOptions {
        signing_keys: config.api.signing_keys_file.as_deref().map(signing_keys).transpose()?,
        security_contact: config.api.security_contact.clone(),
        ..ApiOptions::new(sip_host(config.sip.public_host.as_deref(), addresses.sip), account)
    })
}

fn server_options(config: &Config) -> ServerOptions {
    ServerOptions {
        limits: ConnectionLimits { drain: config.limits.stop_grace, ..ConnectionLimits::default() },
        trusted_proxies: config.api.trusted_proxies.clone(),
    }
}

/// Moves the samples of the recorder's histograms into their buckets. Without it, samples would accumulate in memory until
/// the next request for `/metrics`.
async fn run_upkeep(prometheus: PrometheusHandle, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(UPKEEP_EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => prometheus.run_upkeep(),
        }
    }
}

fn signing_keys(path: &Path) -> Result<Arc<SigningKeys>, Failure> {
    let failed = |problem: &dyn std::fmt::Display| {
        Failure::new(Exit::Config, format!("leaks.signing_keys_file: {}: {problem}", path.display()))
            .remedy("Save there what the secret-scanning partner publishes, or leave the setting out.")
    };
    let text = std::fs::read_to_string(path).map_err(|error| failed(&error))?;
    SigningKeys::parse(&text).map(Arc::new).map_err(|error| failed(&error))
}

/// What stands after the `@` of a `sip_endpoint`: the port only when it is not SIP's own (RFC 3261 section 19.1.2).
fn sip_host(public: Option<&str>, listen: SocketAddr) -> String {
    let host = public.map_or_else(|| listen.ip().to_string(), str::to_owned);
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    if listen.port() == 5060 { host } else { format!("{host}:{}", listen.port()) }
}

fn new_api(
    options: ApiOptions,
    store: &Arc<Store>,
    live: Arc<dyn LiveCalls>,
    prometheus: PrometheusHandle,
) -> Result<Arc<Api>, Failure> {
    Api::new(options, Arc::clone(store), live, prometheus)
        .map_err(|error| Failure::doing("the API cannot be set up", &error))
}

fn local_ca(source: &CertificateSource, data: &DataDir) -> Option<PathBuf> {
    match source {
        CertificateSource::Local { .. } => Some(data.ca_certificate()),
        CertificateSource::Files { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn started(folder: &Path) -> Server {
        let flags = vec![
            ("storage.data_dir", folder.to_string_lossy().into_owned()),
            ("api.listen", "127.0.0.1:0".to_owned()),
            ("sip.listen", "127.0.0.1:0".to_owned()),
        ];
        let layers = crate::config::Layers::gather(&flags, &crate::config::Environment::new(), None).unwrap();
        let config = Config::check(&layers).unwrap();
        Server::start(&config, DataDir::open(folder).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn a_server_is_reached_by_its_socket_and_by_https_and_leaves_nothing_behind() {
        let folder = crate::temporary::TemporaryFolder::new();
        let server = started(folder.path()).await;
        let addresses = server.addresses().clone();
        let local = telepath_client::Client::unix(&addresses.admin_socket);
        let request = telepath_client::CreateKey::new("Test", "testing");
        let created = local.create_key(&request).await.unwrap();
        let trust = telepath_client::Trust::CaFile(addresses.ca.unwrap());
        let url = format!("https://{}", addresses.api);
        let remote = telepath_client::Client::https(&url, created.secret, trust).unwrap();
        assert_eq!(remote.whoami().await.unwrap().id, Some(created.key.id));
        let data = DataDir::open(folder.path()).unwrap();
        assert!(data.try_lock().unwrap().is_none(), "a running server holds its folder");
        server.stop().await;
        assert!(!addresses.admin_socket.exists());
        assert!(data.try_lock().unwrap().is_some());
        assert!(remote.whoami().await.is_err());
    }

    #[test]
    fn the_sip_host_names_the_port_only_when_it_is_not_the_usual_one() {
        let listen = |text: &str| text.parse::<SocketAddr>().unwrap();
        assert_eq!(sip_host(None, listen("127.0.0.1:5060")), "127.0.0.1");
        assert_eq!(sip_host(None, listen("[::1]:5062")), "[::1]:5062");
        assert_eq!(sip_host(Some("voice.example"), listen("0.0.0.0:5060")), "voice.example");
        assert_eq!(sip_host(Some("2001:db8::1"), listen("[::]:5070")), "[2001:db8::1]:5070");
    }
}

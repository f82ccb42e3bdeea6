//! The checked configuration: one struct per section, with parsed and validated values.

mod agents;
mod alerts;
mod api;
mod cluster;
mod dashboard;
mod egress;
mod oidc;
mod retention;
mod sip;
mod storage_limits;
mod tls;

use std::path::PathBuf;
use std::time::Duration;

use telepath_core::address::{InvalidNetwork, NetworkList};
use telepath_core::alert::AlertSettings;
use telepath_core::limit::RateLimit;
use telepath_core::secret::SecretText;
use telepath_core::server_status::SettingStatus;
use telepath_core::storage_limit::StorageLimits;
use telepath_core::trunk::ProviderUrls;
use telepath_gateway::DtmfRecords;
use telepath_store::Retention;

pub use alerts::{SmtpConfig, SmtpTls};
pub use api::{ApiConfig, MetricsConfig};
pub use cluster::ClusterConfig;
pub use dashboard::DashboardConfig;
pub use oidc::OidcConfig;
pub use sip::SipConfig;
pub use tls::{CertificateSource, TlsConfig};

use egress::EgressConfig;

use super::layers::{Layers, Value};
use super::show::statuses;
use super::table::Kind;
use super::values::{self, PortRange};
use super::{ConfigError, Problem, Source};

/// The whole configuration.
#[derive(Debug, Clone)]
pub struct Config {
    pub storage: StorageConfig,
    pub api: ApiConfig,
    pub metrics: MetricsConfig,
    pub dashboard: DashboardConfig,
    /// Where users sign in beside the password; `None` offers only the password.
    pub oidc: Option<OidcConfig>,
    pub tls: TlsConfig,
    pub sip: SipConfig,
    pub media: MediaConfig,
    pub egress: EgressConfig,
    /// Where the providers of agents are reached.
    pub agents: ProviderUrls,
    pub limits: LimitsConfig,
    /// How much each account can store.
    pub storage_limits: StorageLimits,
    pub cluster: ClusterConfig,
    /// Retention of the request log.
    pub retention: Retention,
    /// Alert thresholds. `by_mail` is true when `smtp` is set.
    pub alerts: AlertSettings,
    /// The mail server for alerts; `None` sends no email.
    pub smtp: Option<SmtpConfig>,
    pub log: LogConfig,
    /// Every setting as it can be shown.
    pub settings: Vec<SettingStatus>,
}

/// `[storage]`: data folder and database.
#[derive(Debug, Clone)]
pub struct StorageConfig {
    /// The data folder.
    pub data_dir: PathBuf,
    pub database: DatabaseConfig,
    /// The master keys in base64, one on each line; `None` uses those in the data folder.
    pub master_key: Option<SecretText>,
    /// The file that `master_key` was read from; `None` if it is a value of the configuration.
    pub master_key_file: Option<PathBuf>,
}

/// The database that the server uses.
#[derive(Debug, Clone)]
pub enum DatabaseConfig {
    /// `telepath.db` in the data folder.
    Embedded,
    /// PostgreSQL at this URL, which may contain a password.
    Postgres(SecretText),
}

/// `[media]`: RTP.
#[derive(Debug, Clone)]
pub struct MediaConfig {
    pub rtp_ports: PortRange,
    /// A call ends after this time without media from the caller.
    pub timeout: Duration,
    /// What call records say of DTMF digits.
    pub dtmf_in_records: DtmfRecords,
    /// Networks to which RTP may be sent although they are not public.
    pub allow: NetworkList,
}

/// `[limits]`.
#[derive(Debug, Clone)]
pub struct LimitsConfig {
    /// The maximum number of concurrent calls.
    pub concurrent_calls: u32,
    /// The maximum number of open connections to the API.
    pub api_connections: u32,
    /// The maximum number of open connections of one address.
    pub address_connections: u32,
    /// The maximum number of open SIP connections.
    pub sip_connections: u32,
    /// The maximum number of open SIP connections of one address.
    pub sip_address_connections: u32,
    /// The maximum length of a call on a trunk that sets no limit.
    pub call_length: Duration,
    /// The rate limit of an address without a valid key.
    pub address_requests: RateLimit,
    /// How long a shutdown waits for calls and requests.
    pub stop_grace: Duration,
}

/// `[log]`.
#[derive(Debug, Clone)]
pub struct LogConfig {
    pub format: LogFormat,
    /// The log filter, such as `info,telepath_gateway=debug`.
    pub level: String,
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Plain text.
    Text,
    /// One JSON object per line.
    Json,
}

impl Config {
    /// Parses and validates every value.
    ///
    /// # Errors
    /// Lists every problem.
    pub fn check(layers: &Layers) -> Result<Self, ConfigError> {
        let mut check = Check { layers, problems: Vec::new() };
        let config = check.config();
        match config {
            Some(config) if check.problems.is_empty() => Ok(config),
            _ => Err(ConfigError(check.problems)),
        }
    }

    /// Checks only the `[log]` section, for commands that need nothing else.
    pub fn check_log(layers: &Layers) -> Result<LogConfig, ConfigError> {
        let mut check = Check { layers, problems: Vec::new() };
        check.log().ok_or(ConfigError(check.problems))
    }

    /// Checks only the `[storage]` section, for commands that need nothing else.
    pub fn check_storage(layers: &Layers) -> Result<StorageConfig, ConfigError> {
        let mut check = Check { layers, problems: Vec::new() };
        match check.storage() {
            Some(storage) if check.problems.is_empty() => Ok(storage),
            _ => Err(ConfigError(check.problems)),
        }
    }
}

struct Check<'a> {
    layers: &'a Layers,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn config(&mut self) -> Option<Config> {
        // Check every section before returning early, so that all problems are reported together.
        let (storage, api, tls) = (self.storage(), self.api(), self.tls());
        let (sip, media, limits, log) = (self.sip(), self.media(), self.limits(), self.log());
        let (egress, metrics) = (self.egress(), self.metrics());
        let agents = self.agents(egress.as_ref().map(|egress| &egress.allow));
        let (cluster, dashboard, oidc) = (self.cluster(), self.dashboard(), self.oidc());
        let (retention, storage_limits) = (self.retention(), self.storage_limits());
        let (alerts, smtp) = (self.alerts(), self.smtp());
        Some(Config {
            storage: storage?,
            api: api?,
            metrics: metrics?,
            dashboard: dashboard?,
            oidc: oidc?,
            tls: tls?,
            sip: sip?,
            media: media?,
            egress: egress?,
            agents: agents?,
            limits: limits?,
            storage_limits: storage_limits?,
            cluster: cluster?,
            retention: retention?,
            alerts: AlertSettings { by_mail: smtp.as_ref().is_some_and(Option::is_some), ..alerts? },
            smtp: smtp?,
            log: log?,
            settings: statuses(self.layers),
        })
    }

    fn storage(&mut self) -> Option<StorageConfig> {
        let data_dir = self.required("storage.data_dir", values::path);
        let database = match self.secret("storage.database_url") {
            None => Some(DatabaseConfig::Embedded),
            Some(url) => self.postgres(url),
        };
        let master_key = self.secret("storage.master_key");
        let master_key_file = self.layers.get("storage.master_key").and_then(|given| given.file.clone());
        Some(StorageConfig { data_dir: data_dir?, database: database?, master_key, master_key_file })
    }

    fn postgres(&mut self, url: SecretText) -> Option<DatabaseConfig> {
        if ["postgres://", "postgresql://"].iter().any(|scheme| url.expose().starts_with(scheme)) {
            return Some(DatabaseConfig::Postgres(url));
        }
        self.refuse("storage.database_url", "must begin with postgres:// or postgresql://".to_owned());
        None
    }

    fn media(&mut self) -> Option<MediaConfig> {
        let rtp_ports = self.required("media.rtp_ports", values::port_range);
        let timeout = self.required("media.timeout", whole_seconds);
        let dtmf_in_records = self.required("media.dtmf_in_records", |text| match text {
            "masked" => Ok(DtmfRecords::Masked),
            "digits" => Ok(DtmfRecords::Digits),
            _ => Err("must be masked or digits".to_owned()),
        });
        let allow = self.optional("media.allow", networks);
        Some(MediaConfig {
            rtp_ports: rtp_ports?,
            timeout: timeout?,
            dtmf_in_records: dtmf_in_records?,
            allow: allow?.unwrap_or_default(),
        })
    }

    fn limits(&mut self) -> Option<LimitsConfig> {
        let concurrent_calls = self.count("limits.concurrent_calls");
        let api_connections = self.count("limits.api_connections");
        let address_connections = self.count("limits.address_connections");
        let sip_connections = self.count("limits.sip_connections");
        let sip_address_connections = self.count("limits.sip_address_connections");
        let call_length = self.required("limits.call_length", whole_seconds);
        let requests = self.count("limits.address_requests_per_minute");
        let stop_grace = self.required("limits.stop_grace", values::duration);
        Some(LimitsConfig {
            concurrent_calls: concurrent_calls?,
            api_connections: api_connections?,
            address_connections: address_connections?,
            sip_connections: sip_connections?,
            sip_address_connections: sip_address_connections?,
            call_length: call_length?,
            address_requests: RateLimit::per_minute(requests?)?,
            stop_grace: stop_grace?,
        })
    }

    fn log(&mut self) -> Option<LogConfig> {
        let format = self.required("log.format", |text| match text {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err("must be text or json".to_owned()),
        });
        let level =
            self.required("log.level", |text| crate::telemetry::check_filter(text).map(|()| text.to_owned()));
        Some(LogConfig { format: format?, level: level? })
    }

    fn count(&mut self, key: &'static str) -> Option<u32> {
        let (least, most) = match super::Setting::find(key)?.kind {
            Kind::Count(least, most) => (least, most),
            Kind::Address
            | Kind::Addresses
            | Kind::LoopbackAddress
            | Kind::AddressOrOff
            | Kind::Host
            | Kind::Hosts
            | Kind::Networks
            | Kind::Destinations
            | Kind::Path
            | Kind::PortRange
            | Kind::Duration
            | Kind::Choice(_)
            | Kind::Prefix
            | Kind::Filter
            | Kind::Contact
            | Kind::Origin
            | Kind::Text
            | Kind::Mailbox
            | Kind::Mailboxes
            | Kind::Url
            | Kind::AgentUrl
            | Kind::GroupRoles
            | Kind::Secret => (0, u32::MAX),
        };
        self.required(key, |text| values::count(text, least, most))
    }

    fn secret(&mut self, key: &'static str) -> Option<SecretText> {
        match &self.layers.get(key)?.value {
            Value::Text(secret) if secret.expose().trim().is_empty() => {
                self.refuse(key, "is empty; leave it out instead".to_owned());
                None
            }
            Value::Text(secret) => Some(secret.clone()),
            Value::List(_) => None,
        }
    }

    fn required<T>(&mut self, key: &'static str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let value = self.optional(key, parse)?;
        if value.is_none() {
            let flag = super::Setting::find(key).and_then(|setting| setting.flag).unwrap_or("the file");
            self.refuse(key, format!("is required; set it with {flag}"));
        }
        value
    }

    /// `None` if the value is invalid, `Some(None)` if it is not set.
    #[expect(clippy::option_option, reason = "outer: valid or not; inner: set or not")]
    fn optional<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Option<T>> {
        match self.layers.get(key).map(|given| &given.value) {
            None => Some(None),
            Some(Value::Text(text)) => self.keep(key, parse(text.expose())).map(Some),
            Some(Value::List(items)) => self.keep(key, parse(&items.join(","))).map(Some),
        }
    }

    fn keep<T>(&mut self, key: &'static str, checked: Result<T, String>) -> Option<T> {
        checked.map_err(|message| self.refuse(key, message)).ok()
    }

    fn missing<T>(&mut self, key: &'static str, message: &str) -> Option<T> {
        self.refuse(key, message.to_owned());
        None
    }

    fn refuse(&mut self, key: &'static str, message: String) {
        let source = self.layers.get(key).map_or(Source::Default, |given| given.source.clone());
        self.problems.push(Problem { key: key.to_owned(), source, message });
    }
}

fn networks(text: &str) -> Result<NetworkList, String> {
    text.parse().map_err(|error: InvalidNetwork| error.to_string())
}

fn whole_seconds(text: &str) -> Result<Duration, String> {
    let length = values::duration(text)?;
    if (1..=86_400).contains(&length.as_secs()) {
        Ok(length)
    } else {
        Err("must be from 1s to 24h".to_owned())
    }
}

//! Flags shared by several commands. They are the top layer of the configuration.

use std::path::PathBuf;

use clap::Args;
use telepath_client::AccountId;

use crate::config::{Environment, Flags, Layers, Source};
use crate::exit::Failure;

#[expect(clippy::doc_markdown, reason = "--help shows these texts, and backticks would be noise there")]
/// Data folder, configuration file and logging.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct CommonArgs {
    /// Data folder with database, master key and certificates [default: telepath-data]
    #[arg(long, value_name = "DIR", help_heading = "Data")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Configuration file in TOML; also TELEPATH_CONFIG
    #[arg(long, value_name = "FILE", help_heading = "Data")]
    pub(crate) config: Option<PathBuf>,
    /// PostgreSQL instead of SQLite; prefer TELEPATH_DATABASE_URL_FILE, because other users can see flags
    #[arg(long, value_name = "URL", help_heading = "Data", hide_short_help = true)]
    pub(crate) database_url: Option<String>,
    /// Log level on standard error: off, error, warn, info, debug or trace; also per module, such as info,telepath_gateway=debug
    #[arg(long, value_name = "FILTER", help_heading = "Log")]
    pub(crate) log_level: Option<String>,
    /// Log format: text or json
    #[arg(long, value_name = "FORMAT", help_heading = "Log")]
    pub(crate) log_format: Option<String>,
}

/// A data folder, and the account to work on through local administration.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct LocalArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    /// Account to work on, acct_…; the first account if omitted
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) account: Option<AccountId>,
}

/// Listeners and allowed destinations of a server.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ListenArgs {
    /// HTTPS API, IP:PORT; port 0 lets the system choose [default: 127.0.0.1:8443]
    #[arg(long, value_name = "IP:PORT", help_heading = "Listen")]
    pub(crate) api_listen: Option<String>,
    /// SIP over UDP, IP:PORT; port 0 lets the system choose [default: 127.0.0.1:5060]
    #[arg(long, value_name = "IP:PORT", help_heading = "Listen")]
    pub(crate) sip_listen: Option<String>,
    /// SIP over TCP, IP:PORT [default: not served]
    #[arg(long, value_name = "IP:PORT", help_heading = "Listen")]
    pub(crate) sip_tcp_listen: Option<String>,
    /// SIP over TLS, IP:PORT [default: not served]
    #[arg(long, value_name = "IP:PORT", help_heading = "Listen")]
    pub(crate) sip_tls_listen: Option<String>,
    /// Additional plain HTTP listener, on a loopback address only
    #[arg(long, value_name = "IP:PORT", help_heading = "Listen")]
    pub(crate) insecure_http_listen: Option<String>,
    /// The host that carriers call, a name or an IP address
    #[arg(long, value_name = "HOST", help_heading = "Listen")]
    pub(crate) sip_public_host: Option<String>,
    /// UDP ports for RTP audio, two per call [default: 20000-29999]
    #[arg(long, value_name = "FIRST-LAST", help_heading = "Listen")]
    pub(crate) rtp_ports: Option<String>,
    /// Allowed non-public destinations for webhooks and agents: private networks and loopback host:port, comma-separated
    #[arg(long, value_name = "LIST", help_heading = "Reach")]
    pub(crate) egress_allow: Option<String>,
}

impl CommonArgs {
    fn flags(&self) -> Flags {
        let folder = self.data_dir.as_ref().map(|folder| folder.to_string_lossy().into_owned());
        collect([
            ("storage.data_dir", &folder),
            ("storage.database_url", &self.database_url),
            ("log.level", &self.log_level),
            ("log.format", &self.log_format),
        ])
    }

    /// Merges flags, environment and file.
    pub(crate) fn layers(&self, listen: Option<&ListenArgs>) -> Result<Layers, Failure> {
        let env = environment();
        let file = self.config.clone().or_else(|| env.get("TELEPATH_CONFIG").map(PathBuf::from));
        let mut flags = self.flags();
        flags.extend(listen.map(ListenArgs::flags).unwrap_or_default());
        Ok(Layers::gather(&flags, &env, file.as_deref())?)
    }

    /// Like `layers`, for short commands: the log level is `warn` unless it is set.
    pub(crate) fn quiet_layers(&self, listen: Option<&ListenArgs>) -> Result<Layers, Failure> {
        let layers = self.layers(listen)?;
        let mut log = crate::config::Config::check_log(&layers)?;
        if layers.get("log.level").is_none_or(|given| given.source == Source::Default) {
            "warn".clone_into(&mut log.level);
        }
        crate::telemetry::start(&log);
        Ok(layers)
    }
}

impl ListenArgs {
    fn flags(&self) -> Flags {
        collect([
            ("api.listen", &self.api_listen),
            ("sip.listen", &self.sip_listen),
            ("sip.tcp_listen", &self.sip_tcp_listen),
            ("sip.tls_listen", &self.sip_tls_listen),
            ("api.insecure_http_listen", &self.insecure_http_listen),
            ("sip.public_host", &self.sip_public_host),
            ("media.rtp_ports", &self.rtp_ports),
            ("egress.allow", &self.egress_allow),
        ])
    }
}

fn collect<const N: usize>(pairs: [(&'static str, &Option<String>); N]) -> Flags {
    pairs.into_iter().filter_map(|(key, value)| value.clone().map(|value| (key, value))).collect()
}

/// The environment variables with our prefix. Values that are not UTF-8 are ignored.
fn environment() -> Environment {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("TELEPATH_"))
        .collect()
}

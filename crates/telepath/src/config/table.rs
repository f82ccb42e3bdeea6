//! The table of all settings: names in the file, in the environment and on the command line, kind, default and
//! description. The parser, `telepath config show`, the test of the example file and
//! `docs/reference/configuration.md` all read it.

/// A list of settings without flags: its name, then one row per setting: name, environment variable, kind, default, example,
/// description.
macro_rules! settings {
    ($list:ident; $($key:literal, $env:literal, $kind:expr, $default:expr, $example:literal, $about:literal;)+) => {
        pub(super) const $list: &[Setting] = &[$(Setting {
            key: $key,
            env: $env,
            flag: None,
            kind: $kind,
            default: $default,
            example: $example,
            about: $about,
        }),+];
    };
}

mod accounts;
mod agents;
mod alerts;
mod api;
mod dashboard;
mod leaks;
mod media;
mod oidc;
mod retention;
mod sip;
mod tls;

use accounts::ACCOUNTS;
use agents::AGENTS;
use alerts::ALERTS;
use api::API;
use dashboard::DASHBOARD;
use oidc::OIDC;
use retention::RETENTION;

/// The form of a setting's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `IP:PORT`; port 0 lets the system choose.
    Address,
    /// One or more `IP:PORT`.
    Addresses,
    /// `IP:PORT` on a loopback address.
    LoopbackAddress,
    /// `IP:PORT`, or `off`.
    AddressOrOff,
    /// A host name or an IP address without a port.
    Host,
    /// A list of host names or IP addresses.
    Hosts,
    /// A list of networks in CIDR form.
    Networks,
    /// A list of private networks in CIDR form and of `host:port` on this machine.
    Destinations,
    /// A path of a file or folder.
    Path,
    /// A whole number from the first to the second.
    Count(u32, u32),
    /// `FIRST-LAST`, both from 1024 to 65535.
    PortRange,
    /// A whole number with a unit, such as `500ms`, `10s`, `5m`, `24h`, `90d`.
    Duration,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A prefix for names in another system.
    Prefix,
    /// A log filter, such as `info` or `info,telepath_gateway=debug`.
    Filter,
    /// An `https:` URL without a path.
    Origin,
    /// A `mailto:`, `https:` or `tel:` URI.
    Contact,
    /// Text without line breaks.
    Text,
    /// An email address, optionally with a display name.
    Mailbox,
    /// A list of email addresses.
    Mailboxes,
    /// An `https:` URL without query and fragment.
    Url,
    /// A `wss:` URL without query and fragment, or a `ws:` URL on this machine.
    AgentUrl,
    /// A list of groups with a role each, such as `telepath-admins=admin`.
    GroupRoles,
    /// A secret; never shown.
    Secret,
}

impl Kind {
    /// The form in words, for error messages and the reference page.
    pub fn describe(self) -> String {
        match self {
            Kind::Address => "IP:PORT".to_owned(),
            Kind::Addresses => "IP:PORT, or a list of them".to_owned(),
            Kind::LoopbackAddress => "IP:PORT on a loopback address".to_owned(),
            Kind::AddressOrOff => "IP:PORT, or off".to_owned(),
            Kind::Host => "host name or IP address".to_owned(),
            Kind::Hosts => "list of host names or IP addresses".to_owned(),
            Kind::Networks => "list of networks in CIDR form".to_owned(),
            Kind::Destinations => {
                "list of private networks in CIDR form and of loopback host:port".to_owned()
            }
            Kind::Path => "path".to_owned(),
            Kind::Count(least, most) => format!("whole number, {least} to {most}"),
            Kind::PortRange => "FIRST-LAST within 1024 to 65535".to_owned(),
            Kind::Duration => "duration such as 500ms, 10s, 5m, 24h or 90d".to_owned(),
            Kind::Choice(words) => format!("one of {}", words.join(", ")),
            Kind::Prefix => "up to 64 visible ASCII characters without braces".to_owned(),
            Kind::Filter => "log filter such as info or info,telepath_gateway=debug".to_owned(),
            Kind::Origin => "https:// URL without a path".to_owned(),
            Kind::Contact => "mailto:, https:// or tel: URI".to_owned(),
            Kind::Text => "text".to_owned(),
            Kind::Mailbox => "email address such as ops@example.com or Telepath <ops@example.com>".to_owned(),
            Kind::Mailboxes => "list of email addresses".to_owned(),
            Kind::AgentUrl => "wss:// URL without query and fragment".to_owned(),
            Kind::Url => "https:// URL without query and fragment".to_owned(),
            Kind::GroupRoles => "list of group=role".to_owned(),
            Kind::Secret => "secret".to_owned(),
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// `section.name` in the file.
    pub key: &'static str,
    /// The environment variable.
    pub env: &'static str,
    /// The command-line flag, if there is one.
    pub flag: Option<&'static str>,
    pub kind: Kind,
    /// The value when none is set; `None` leaves the setting unset.
    pub default: Option<&'static str>,
    /// The value shown in the example file, as TOML.
    pub example: &'static str,
    /// What it does, in one or two sentences.
    pub about: &'static str,
}

impl Setting {
    /// Whether the value must never be printed.
    pub fn is_secret(&self) -> bool {
        self.kind == Kind::Secret
    }

    /// The setting of this name.
    pub fn find(key: &str) -> Option<&'static Setting> {
        SETTINGS.iter().find(|setting| setting.key == key)
    }
}

/// Every setting, in the order of the reference page.
pub static SETTINGS: &[Setting] = &joined();

const LISTS: [&[Setting]; 9] = [STORAGE, API, DASHBOARD, OIDC, AGENTS, GENERAL, RETENTION, ACCOUNTS, ALERTS];
const COUNT: usize = STORAGE.len()
    + API.len()
    + DASHBOARD.len()
    + OIDC.len()
    + AGENTS.len()
    + GENERAL.len()
    + RETENTION.len()
    + ACCOUNTS.len()
    + ALERTS.len();

const fn joined() -> [Setting; COUNT] {
    let mut all = [STORAGE[0]; COUNT];
    let (mut list, mut place, mut next) = (0, 0, 0);
    while list < LISTS.len() {
        if place == LISTS[list].len() {
            (list, place) = (list + 1, 0);
        } else {
            all[next] = LISTS[list][place];
            (place, next) = (place + 1, next + 1);
        }
    }
    all
}

const STORAGE: &[Setting] = &[
    Setting {
        key: "storage.data_dir",
        env: "TELEPATH_DATA_DIR",
        flag: Some("--data-dir"),
        kind: Kind::Path,
        default: Some("telepath-data"),
        example: "\"/var/lib/telepath\"",
        about: "The data folder: database, master key, local certificates, administration socket. `serve`, `quickstart` and `migrate` create it with mode 0711 if it does not exist; other users can reach `tls/ca.pem` in it and nothing else.",
    },
    Setting {
        key: "storage.database_url",
        env: "TELEPATH_DATABASE_URL",
        flag: Some("--database-url"),
        kind: Kind::Secret,
        default: None,
        example: "\"postgres://telepath@db.example/telepath\"",
        about: "A PostgreSQL 14+ database. Without it, an SQLite database in the data folder is used.",
    },
    Setting {
        key: "storage.master_key",
        env: "TELEPATH_MASTER_KEY",
        flag: None,
        kind: Kind::Secret,
        default: None,
        example: "\"<44 characters of base64>\"",
        about: "32 bytes in base64 from which the pepper and the encryption keys are derived; several, one on each line, while one replaces another (docs/how-to/rotate-the-master-key.md). Without it, `master.key` in the data folder is used, and created for a new database.",
    },
];

/// Every setting that is not about storage, the API, alerts or email.
const GENERAL: &[Setting] = &[
    leaks::SIGNING_KEYS_FILE,
    tls::CERTIFICATE_FILE,
    tls::KEY_FILE,
    tls::HOSTNAMES,
    sip::LISTEN,
    sip::TCP_LISTEN,
    sip::TLS_LISTEN,
    sip::CLIENT_CA_FILE,
    sip::PUBLIC_HOST,
    sip::DIGEST_ALGORITHMS,
    media::RTP_PORTS,
    media::TIMEOUT,
    media::DTMF_IN_RECORDS,
    media::ALLOW,
    Setting {
        key: "egress.allow",
        env: "TELEPATH_EGRESS_ALLOW",
        flag: Some("--egress-allow"),
        kind: Kind::Destinations,
        default: None,
        example: "[\"10.20.0.0/16\", \"127.0.0.1:9000\"]",
        about: "Allowed non-public destinations for webhooks and agents: private networks, and services on this machine by exact host and port. Link-local addresses, which include cloud metadata services, cannot be allowed.",
    },
    Setting {
        key: "limits.concurrent_calls",
        env: "TELEPATH_LIMITS_CONCURRENT_CALLS",
        flag: None,
        kind: Kind::Count(1, 100_000),
        default: Some("1000"),
        example: "1000",
        about: "The maximum number of concurrent calls on this server. Further calls are answered 486 or 503.",
    },
    Setting {
        key: "limits.call_length",
        env: "TELEPATH_LIMITS_CALL_LENGTH",
        flag: None,
        kind: Kind::Duration,
        default: Some("4h"),
        example: "\"4h\"",
        about: "The maximum length of a call on a trunk that sets no limit of its own.",
    },
    Setting {
        key: "limits.address_requests_per_minute",
        env: "TELEPATH_LIMITS_ADDRESS_REQUESTS_PER_MINUTE",
        flag: None,
        kind: Kind::Count(1, 1_000_000),
        default: Some("600"),
        example: "600",
        about: "The maximum number of requests per minute without a valid key from one address.",
    },
    Setting {
        key: "limits.api_connections",
        env: "TELEPATH_LIMITS_API_CONNECTIONS",
        flag: None,
        kind: Kind::Count(16, 1_000_000),
        default: Some("10000"),
        example: "10000",
        about: "The maximum number of open connections to the API. When it is reached, the oldest idle connection is closed; if none is idle, the new one is refused. Lower if the process has too few file descriptors.",
    },
    Setting {
        key: "limits.address_connections",
        env: "TELEPATH_LIMITS_ADDRESS_CONNECTIONS",
        flag: None,
        kind: Kind::Count(1, 1_000_000),
        default: Some("256"),
        example: "256",
        about: "The maximum number of open connections to the API from one address; an IPv6 address counts by its /64. When it is reached, the oldest idle connection of that address is closed; if none is idle, the new one is refused. Does not apply to `api.trusted_proxies`.",
    },
    Setting {
        key: "limits.sip_connections",
        env: "TELEPATH_LIMITS_SIP_CONNECTIONS",
        flag: None,
        kind: Kind::Count(16, 1_000_000),
        default: Some("2000"),
        example: "2000",
        about: "The maximum number of open SIP connections over TCP and TLS. When it is reached, the connection without a call that has been silent for the longest is closed; if each carries a call, the new one is refused. Lower if the process has too few file descriptors.",
    },
    Setting {
        key: "limits.sip_address_connections",
        env: "TELEPATH_LIMITS_SIP_ADDRESS_CONNECTIONS",
        flag: None,
        kind: Kind::Count(1, 1_000_000),
        default: Some("200"),
        example: "200",
        about: "The maximum number of open SIP connections from one address; an IPv6 address counts by its /64. Raise it for a carrier that opens a connection for each call.",
    },
    Setting {
        key: "limits.stop_grace",
        env: "TELEPATH_LIMITS_STOP_GRACE",
        flag: None,
        kind: Kind::Duration,
        default: Some("10s"),
        example: "\"10s\"",
        about: "How long a shutdown waits for live calls and running requests before it ends them.",
    },
    Setting {
        key: "cluster.redis_url",
        env: "TELEPATH_CLUSTER_REDIS_URL",
        flag: None,
        kind: Kind::Secret,
        default: None,
        example: "\"redis://redis.example:6379\"",
        about: "The Redis or Valkey server (`redis://`, or `rediss://` for TLS) in which several servers on one PostgreSQL database count rate limits together. Required for a second server, and the same for all of them.",
    },
    Setting {
        key: "cluster.redis_prefix",
        env: "TELEPATH_CLUSTER_REDIS_PREFIX",
        flag: None,
        kind: Kind::Prefix,
        default: Some("telepath:"),
        example: "\"telepath:\"",
        about: "The prefix of every key in Redis. Use the same prefix for all servers on one database, and a different one for each database.",
    },
    Setting {
        key: "cluster.redis_down",
        env: "TELEPATH_CLUSTER_REDIS_DOWN",
        flag: None,
        kind: Kind::Choice(&["refuse", "local"]),
        default: Some("refuse"),
        example: "\"refuse\"",
        about: "What to do while Redis is down. `refuse` answers requests with an API key with 503. `local` lets each server admit its share of the limit; together, the servers may then admit more than the limit.",
    },
    Setting {
        key: "cluster.node_name",
        env: "TELEPATH_CLUSTER_NODE_NAME",
        flag: None,
        kind: Kind::Host,
        default: None,
        example: "\"voice-1\"",
        about: "The name of this server in log messages. Without it, a random id chosen at each start.",
    },
    Setting {
        key: "log.format",
        env: "TELEPATH_LOG_FORMAT",
        flag: Some("--log-format"),
        kind: Kind::Choice(&["text", "json"]),
        default: Some("text"),
        example: "\"json\"",
        about: "The format of log lines on standard error.",
    },
    Setting {
        key: "log.level",
        env: "TELEPATH_LOG_LEVEL",
        flag: Some("--log-level"),
        kind: Kind::Filter,
        default: Some("info"),
        example: "\"info\"",
        about: "The log level: off, error, warn, info, debug or trace; globally, per module (`telepath_gateway=debug`), or both (`info,telepath_gateway=debug`).",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_environment_names_share_the_prefix() {
        let unique = |mut names: Vec<&str>| {
            let all = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), all);
        };
        unique(SETTINGS.iter().map(|setting| setting.key).collect());
        unique(SETTINGS.iter().map(|setting| setting.env).collect());
        unique(SETTINGS.iter().filter_map(|setting| setting.flag).collect());
        assert!(SETTINGS.iter().all(|setting| setting.env.starts_with("TELEPATH_")));
        assert!(SETTINGS.iter().all(|setting| setting.key.split('.').count() == 2));
    }
}

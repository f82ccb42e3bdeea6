//! What a running server reports about itself: its addresses, certificates and settings. Nothing here is a secret.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::clock::Timestamp;

/// What a running server reports about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerStatus {
    /// Version, commit and target of the program.
    pub version: String,
    /// How long the server has been running.
    pub uptime: Duration,
    /// The data folder.
    pub data_dir: String,
    pub listeners: Vec<ListenerStatus>,
    /// The certificate of the HTTPS listener first.
    pub certificates: Vec<CertificateFacts>,
    pub sip: SipReach,
    pub media: MediaUse,
    /// Destinations that are allowed although they are not public: networks, and services on this machine.
    pub egress: Vec<String>,
    /// Host and port of the mail server, if one is configured.
    pub mail_server: Option<String>,
    pub retention: RetentionStatus,
    /// Every setting, in the order of the reference page.
    pub settings: Vec<SettingStatus>,
}

/// An address that the server listens on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerStatus {
    /// What is served there.
    pub name: &'static str,
    /// An address, or the path of a socket.
    pub address: String,
    pub reach: ListenerReach,
}

/// Who can connect to a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListenerReach {
    /// The user that the server runs as.
    Owner,
    /// Programs on the same machine.
    Machine,
    /// Everybody whom the network lets through.
    Network,
}

impl ListenerReach {
    /// Who can connect to a socket with this address.
    pub fn of(address: SocketAddr) -> Self {
        if address.ip().is_loopback() { Self::Machine } else { Self::Network }
    }
}

/// A certificate in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    pub role: CertificateRole,
    /// The names in it, or its subject.
    pub names: Vec<String>,
    /// When it expires; `None` if the certificate cannot be parsed.
    pub expires_at: Option<Timestamp>,
}

/// What a certificate is for, and who renews it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateRole {
    /// The certificate of the HTTPS listener from files, which someone else renews.
    FromFiles,
    /// The certificate of the HTTPS listener from the local authority, which the server renews.
    FromLocalAuthority,
    /// The local authority, which clients trust.
    LocalAuthority,
}

/// How carriers reach the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SipReach {
    /// The address of the SIP socket.
    pub listen: SocketAddr,
    /// The addresses in SIP and SDP, in words.
    pub advertised: String,
    /// An advertised address that carriers on the Internet cannot reach.
    pub unreachable: Option<IpAddr>,
}

/// Calls and RTP ports in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaUse {
    pub calls: usize,
    pub max_calls: usize,
    /// The first and the last RTP port.
    pub ports: (u16, u16),
    /// Even ports of calls.
    pub ports_in_use: usize,
    /// Even ports of the range.
    pub ports_total: usize,
}

/// How long records are kept. `None` keeps them forever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionStatus {
    pub request_log: Duration,
    /// The largest size of the request log, in bytes.
    pub request_log_bytes: u64,
    pub calls: Option<Duration>,
    pub audit: Option<Duration>,
    pub analytics: Duration,
}

/// A setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingStatus {
    /// `section.name` in the file.
    pub key: &'static str,
    /// The environment variable.
    pub env: &'static str,
    pub value: SettingValue,
    pub source: SettingSource,
    /// Where exactly the value comes from, such as `flag --api-listen`.
    pub detail: String,
    /// What it does, as the reference page says it, in Markdown.
    pub about: &'static str,
}

/// The value of a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingValue {
    Unset,
    Shown(String),
    /// A secret is set.
    Secret,
}

/// The layer that a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingSource {
    Flag,
    Environment,
    File,
    Default,
    /// There is no value.
    None,
}

impl SettingSource {
    /// Whether somebody chose the value.
    pub const fn is_chosen(self) -> bool {
        match self {
            Self::Flag | Self::Environment | Self::File => true,
            Self::Default | Self::None => false,
        }
    }

    /// One word, as `telepath config show --json` has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Environment => "environment",
            Self::File => "file",
            Self::Default => "default",
            Self::None => "unset",
        }
    }
}

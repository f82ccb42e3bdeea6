//! What the server reports about itself, for the dashboard.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use telepath_core::ports::ServerReport;
use telepath_core::server_status::{ListenerReach, ListenerStatus, RetentionStatus, ServerStatus};
use telepath_gateway::GatewayHandle;

use super::Addresses;
use crate::build_info;
use crate::config::Config;
use crate::tls::Certificates;

/// The parts that know something about the server.
pub(super) struct Report {
    started: Instant,
    config: Config,
    data_dir: String,
    listeners: Vec<ListenerStatus>,
    sip: SocketAddr,
    certificates: Arc<Certificates>,
    gateway: GatewayHandle,
}

impl Report {
    pub(super) fn new(
        config: &Config,
        addresses: &Addresses,
        certificates: Arc<Certificates>,
        gateway: GatewayHandle,
    ) -> Self {
        let folder = addresses.admin_socket.parent().map(|folder| folder.display().to_string());
        Self {
            started: Instant::now(),
            config: config.clone(),
            data_dir: folder.unwrap_or_default(),
            listeners: listeners(config, addresses),
            sip: addresses.sip,
            certificates,
            gateway,
        }
    }
}

fn listeners(config: &Config, addresses: &Addresses) -> Vec<ListenerStatus> {
    let served = if config.dashboard.enabled { "API and dashboard" } else { "API" };
    let tcp = |name, scheme: &str, address: SocketAddr| ListenerStatus {
        name,
        address: format!("{scheme}://{address}"),
        reach: ListenerReach::of(address),
    };
    let sip = addresses.sip_listeners.iter().map(|(transport, address)| ListenerStatus {
        name: "SIP",
        address: format!("sip:{address} ({})", transport.name().to_uppercase()),
        reach: ListenerReach::of(*address),
    });
    let admin = ListenerStatus {
        name: "Local administration",
        address: addresses.admin_socket.display().to_string(),
        reach: ListenerReach::Owner,
    };
    std::iter::once(tcp(served, "https", addresses.api))
        .chain(addresses.insecure_http.map(|address| tcp("The same without TLS", "http", address)))
        .chain(sip)
        .chain(addresses.metrics.map(|address| tcp("Metrics", "http", address)))
        .chain(std::iter::once(admin))
        .collect()
}

impl ServerReport for Report {
    fn status(&self) -> ServerStatus {
        let keep = self.config.retention;
        let egress = self.config.egress.allow.to_string();
        let smtp = self.config.smtp.as_ref();
        ServerStatus {
            version: build_info::LONG.to_owned(),
            uptime: self.started.elapsed(),
            data_dir: self.data_dir.clone(),
            listeners: self.listeners.clone(),
            certificates: self.certificates.facts(),
            sip: self.gateway.sip_reach(self.sip),
            media: self.gateway.media_use(),
            egress: egress.split(',').filter(|entry| !entry.is_empty()).map(str::to_owned).collect(),
            mail_server: smtp.map(|smtp| format!("{}:{}", smtp.host, smtp.port)),
            retention: RetentionStatus {
                request_log: keep.age,
                request_log_bytes: keep.bytes,
                calls: keep.calls,
                audit: keep.audit,
                analytics: keep.analytics,
            },
            settings: self.config.settings.clone(),
        }
    }

    fn local_authority(&self) -> Option<String> {
        self.certificates.local_authority()
    }
}

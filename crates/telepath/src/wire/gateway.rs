//! Starts the gateway: its options from the configuration, and what to do about the errors of starting it.

use std::path::Path;
use std::sync::Arc;

use telepath_egress::Egress;
use telepath_gateway::{Gateway, GatewayOptions, SipConnectionLimits, SipTls, SipTransport, StartError};
use telepath_store::Store;

use crate::config::{Config, SipConfig};
use crate::descriptors::DescriptorShares;
use crate::exit::{Exit, Failure};
use crate::tls::Certificates;

/// Starts the gateway.
pub(super) async fn start_gateway(
    config: &Config,
    shares: DescriptorShares,
    certificates: &Certificates,
    store: &Arc<Store>,
    egress: Egress,
) -> Result<Gateway, Failure> {
    let rtp = config.media.rtp_ports;
    let total = usize::try_from(shares.sip_connections).unwrap_or(usize::MAX);
    let per_address = usize::try_from(config.limits.sip_address_connections).unwrap_or(usize::MAX);
    let options = GatewayOptions {
        sip_listen: config.sip.listen.clone(),
        sip_tcp_listen: config.sip.tcp_listen.clone(),
        sip_tls_listen: config.sip.tls_listen.clone(),
        sip_tls: Some(sip_tls(&config.sip, certificates)?),
        sip_connections: SipConnectionLimits { total, per_address },
        advertise: config.sip.public_host.clone(),
        digest_algorithms: config.sip.digest_algorithms,
        rtp_ports: rtp.first..=rtp.last,
        max_calls: usize::try_from(shares.calls).unwrap_or(usize::MAX),
        max_call_duration: config.limits.call_length,
        egress,
        providers: config.agents.clone(),
        media_inactivity: config.media.timeout,
        media_networks: config.media.allow.clone(),
        dtmf_records: config.media.dtmf_in_records,
        ..GatewayOptions::new(config.sip.first_listen())
    };
    let control = Arc::clone(store);
    let secret = *store.vault().sip_nonce_secret();
    Gateway::start(options, control, Arc::clone(store.clock()), Arc::clone(store.entropy()), secret)
        .await
        .map_err(|error| gateway_failure(&error))
}

fn gateway_failure(error: &StartError) -> Failure {
    match error {
        StartError::PortTaken { transport, address } => Failure::new(
            Exit::Busy,
            format!(
                "{} port {} on {} is in use by another program",
                transport.ip_protocol(),
                address.port(),
                address.ip()
            ),
        )
        .remedy(format!("Stop that program, or choose another port with {}.", listen_flag(*transport))),
        StartError::Socket { transport, .. } => Failure::plain(error.to_string())
            .remedy(format!("Choose another address with {}.", listen_flag(*transport))),
        StartError::NoUdp => Failure::new(Exit::Config, error.to_string()).remedy("Set sip.listen."),
        StartError::Unresolved { .. } => Failure::new(Exit::Config, error.to_string())
            .remedy("Correct sip.public_host, or set it to an IP address."),
        StartError::NoRtpPorts => Failure::new(Exit::Config, error.to_string()).remedy("Change --rtp-ports."),
        StartError::Entropy(_) => Failure::plain(error.to_string()),
    }
}

fn listen_flag(transport: SipTransport) -> &'static str {
    match transport {
        SipTransport::Udp => "--sip-listen",
        SipTransport::Tcp => "--sip-tcp-listen",
        SipTransport::Tls => "--sip-tls-listen",
    }
}

/// The SIP connections that the configuration allows.
pub(super) fn sip_connections(config: &Config) -> u64 {
    if config.sip.has_connections() { config.limits.sip_connections.into() } else { 0 }
}

fn sip_tls(config: &SipConfig, certificates: &Certificates) -> Result<SipTls, Failure> {
    let failed = |path: &Path, problem: &dyn std::fmt::Display| {
        Failure::new(Exit::Config, format!("sip.client_ca_file: {}: {problem}", path.display()))
            .remedy("Put the certificate authorities of the carriers there, or remove the setting.")
    };
    let path = config.client_ca_file.as_deref();
    let read = |path: &Path| std::fs::read_to_string(path).map_err(|error| failed(path, &error));
    let authorities = path.map(read).transpose()?;
    SipTls::new(certificates.subscribe(), authorities.as_deref())
        .map_err(|error| failed(path.unwrap_or(Path::new("")), &error))
}

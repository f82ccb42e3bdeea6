//! The dashboard: its options from the configuration, its address, and the link for the first user.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use telepath_core::id::AccountId;
use telepath_core::ports::{IdentityProvider, LiveCalls, Mail};
use telepath_dashboard::{Dashboard, DashboardOptions, Services};
use telepath_egress::{Authorities, Egress};
use telepath_gateway::SocketProbe;
use telepath_store::Store;

use super::destinations::EgressRules;
use super::report::Report;
use super::{Addresses, sip_host};
use crate::config::{CertificateSource, Config};
use crate::exit::Failure;
use crate::mail::Mailer;
use crate::oidc::Provider;

/// What the dashboard uses of the rest of the program.
pub(super) struct Parts<'a> {
    pub(super) mailer: Option<Arc<Mailer>>,
    pub(super) egress: &'a Egress,
    pub(super) live: Arc<dyn LiveCalls>,
    pub(super) report: Report,
}

/// The dashboard, if it is enabled.
pub(super) fn new(
    config: &Config,
    addresses: &Addresses,
    account: AccountId,
    store: &Arc<Store>,
    parts: Parts<'_>,
) -> Result<Option<Arc<Dashboard>>, Failure> {
    let listen = addresses.api;
    let Some(url) = url(config, listen) else { return Ok(None) };
    let Parts { mailer, egress, live, report } = parts;
    let options = DashboardOptions {
        public_url: config.dashboard.public_url.clone(),
        names: certificate_names(config).to_vec(),
        address: listen.ip(),
        account,
        url,
        sip_host: sip_host(config.sip.public_host.as_deref(), addresses.sip),
        calls_kept: config.retention.calls,
    };
    let services = Services {
        destinations: Arc::new(EgressRules(egress.clone())),
        agents: Arc::new(SocketProbe::new(egress.with_own_lookups(), config.agents.clone())),
        mail: mailer.map(|mailer| mailer as Arc<dyn Mail>),
        identity_provider: identity_provider(config, store, egress)?,
        server: Arc::new(report),
    };
    let dashboard = Dashboard::new(options, services, live, Arc::clone(store))
        .map_err(|error| Failure::doing("could not set up the dashboard", &error))?;
    Ok(Some(dashboard))
}

/// Where users may sign in beside the password.
fn identity_provider(
    config: &Config,
    store: &Arc<Store>,
    egress: &Egress,
) -> Result<Option<Arc<dyn IdentityProvider>>, Failure> {
    let Some(oidc) = &config.oidc else { return Ok(None) };
    let authorities = match &oidc.ca_file {
        None => None,
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| Failure::doing(&format!("could not read {}", path.display()), &error))?;
            let read = Authorities::parse(&text);
            Some(read.map_err(|error| Failure::doing(&format!("could not use {}", path.display()), &error))?)
        }
    };
    let provider =
        Provider::new(oidc.clone(), authorities, egress.with_own_lookups(), Arc::clone(store.clock()));
    Ok(Some(Arc::new(provider)))
}

fn certificate_names(config: &Config) -> &[String] {
    match &config.tls.certificate {
        CertificateSource::Local { hostnames } => hostnames,
        CertificateSource::Files { .. } => &[],
    }
}

/// The address of the dashboard; `None` if it is off.
pub(super) fn url(config: &Config, listen: SocketAddr) -> Option<String> {
    if !config.dashboard.enabled {
        return None;
    }
    if let Some(url) = &config.dashboard.public_url {
        return Some(url.to_string());
    }
    let host = match (listen.ip(), certificate_names(config).first()) {
        (address, Some(name)) if address.is_unspecified() => name.clone(),
        (address, None) if address.is_unspecified() => "localhost".to_owned(),
        (IpAddr::V4(address), _) => address.to_string(),
        (IpAddr::V6(address), _) => format!("[{address}]"),
    };
    Some(format!("https://{host}:{}", listen.port()))
}

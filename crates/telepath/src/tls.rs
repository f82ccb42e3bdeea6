//! Certificates of the HTTPS port: files that somebody else renews, or a certificate of a local authority that is made
//! on the first start. What is served can be exchanged while the server runs.

mod authority;
mod files;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use telepath_api::ALPN_PROTOCOLS;
use telepath_core::clock::Timestamp;
use tokio::sync::watch;

pub use authority::{RENEW_WITHIN, Standing};

use crate::config::CertificateSource;
use crate::data_dir::DataDir;
use crate::exit::Failure;

/// The certificate that is served now, and where the next one comes from.
pub struct Certificates {
    source: CertificateSource,
    data: DataDir,
    served: watch::Sender<Arc<ServerConfig>>,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("source", &self.source).finish_non_exhaustive()
    }
}

impl Certificates {
    /// Reads the files, or makes what is missing of the local authority.
    pub fn load(source: &CertificateSource, data: &DataDir, now: Timestamp) -> Result<Arc<Self>, Failure> {
        let first = server_config(obtain(source, data, now)?)?;
        Ok(Arc::new(Self { source: source.clone(), data: data.clone(), served: watch::Sender::new(first) }))
    }

    /// Reads the files again, or renews the local certificate if its time has come. On failure the old one stays.
    pub fn reload(&self, now: Timestamp) -> Result<(), Failure> {
        let next = server_config(obtain(&self.source, &self.data, now)?)?;
        self.served.send_replace(next);
        Ok(())
    }

    /// What new connections are to be served with, always the newest.
    pub fn subscribe(&self) -> watch::Receiver<Arc<ServerConfig>> {
        self.served.subscribe()
    }
}

fn server_config(certified: CertifiedKey) -> Result<Arc<ServerConfig>, Failure> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::doing("TLS cannot be set up", &error))?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = ALPN_PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(Arc::new(config))
}

fn obtain(source: &CertificateSource, data: &DataDir, now: Timestamp) -> Result<CertifiedKey, Failure> {
    match source {
        CertificateSource::Files { certificate, key } => files::load(certificate, key),
        CertificateSource::Local { hostnames } => {
            let names = local_names(hostnames);
            authority::ensure(&data.tls(), &names, now)?;
            files::load(
                &data.tls().join(authority::SERVER_CERTIFICATE),
                &data.tls().join(authority::SERVER_KEY),
            )
        }
    }
}

/// The names of this machine, then the configured ones, each once.
fn local_names(configured: &[String]) -> Vec<String> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    for name in configured {
        // One spelling for an address, so that a comparison with the certificate's own names holds.
        let name = name.parse::<IpAddr>().map_or_else(|_| name.clone(), |address| address.to_string());
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests;

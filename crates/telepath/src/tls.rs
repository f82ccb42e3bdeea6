//! Certificates of the HTTPS port: files that are renewed by someone else, or a certificate issued by a local certificate
//! authority that the first start creates. Certificates can be replaced while the server runs.

mod authority;
mod files;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use rustls::ServerConfig;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use telepath_core::clock::Timestamp;
use telepath_http::ALPN_PROTOCOLS;
use tokio::sync::watch;

pub use authority::{CertificateStatus, RENEW_WITHIN};

use crate::config::CertificateSource;
use crate::data_dir::DataDir;
use crate::exit::Failure;

/// The current certificate and its source.
pub struct Certificates {
    source: CertificateSource,
    data: DataDir,
    served: watch::Sender<Arc<ServerConfig>>,
    /// When the served certificate expires, in Unix seconds; 0 if it cannot be parsed.
    expires: AtomicI64,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("source", &self.source).finish_non_exhaustive()
    }
}

impl Certificates {
    /// Loads the certificate files, or creates what is missing of the local certificate authority.
    pub fn load(source: &CertificateSource, data: &DataDir, now: Timestamp) -> Result<Arc<Self>, Failure> {
        let certified = obtain(source, data, now)?;
        let expires = AtomicI64::new(expiry_of(&certified));
        let served = watch::Sender::new(server_config(certified)?);
        Ok(Arc::new(Self { source: source.clone(), data: data.clone(), served, expires }))
    }

    /// Reloads the files, or renews the local certificate if it is due. On failure, the old certificate stays in use.
    pub fn reload(&self, now: Timestamp) -> Result<(), Failure> {
        let certified = obtain(&self.source, &self.data, now)?;
        let expires = expiry_of(&certified);
        self.served.send_replace(server_config(certified)?);
        self.expires.store(expires, Ordering::Relaxed);
        Ok(())
    }

    /// When the served certificate expires, if it can be parsed.
    pub fn expiry(&self) -> Option<Timestamp> {
        let expires = self.expires.load(Ordering::Relaxed);
        (expires > 0).then(|| Timestamp::from_unix_seconds(expires))
    }

    /// The TLS configuration for new connections; always the newest.
    pub fn subscribe(&self) -> watch::Receiver<Arc<ServerConfig>> {
        self.served.subscribe()
    }
}

fn expiry_of(certified: &CertifiedKey) -> i64 {
    let leaf = certified.end_entity_cert().ok();
    leaf.and_then(|der| authority::expiry(der)).map_or(0, Timestamp::unix_seconds)
}

fn server_config(certified: CertifiedKey) -> Result<Arc<ServerConfig>, Failure> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::doing("could not set up TLS", &error))?
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

/// The names of this machine, then the configured ones, without duplicates.
fn local_names(configured: &[String]) -> Vec<String> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    for name in configured {
        // Normalize addresses so that they compare equal to the names in the certificate.
        let name = name.parse::<IpAddr>().map_or_else(|_| name.clone(), |address| address.to_string());
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests;

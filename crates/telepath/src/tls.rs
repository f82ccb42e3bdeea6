//! Certificates of the HTTPS port: files that are renewed by someone else, or a certificate issued by a local certificate
//! authority that the first start creates. Certificates can be replaced while the server runs.

mod authority;
mod files;

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::ServerConfig;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use telepath_core::clock::Timestamp;
use telepath_core::server_status::{CertificateFacts, CertificateRole};
use telepath_http::ALPN_PROTOCOLS;
use tokio::sync::watch;

pub use authority::{CertificateStatus, RENEW_WITHIN};
use authority::{ReadCertificate, Validity};

use crate::config::CertificateSource;
use crate::data_dir::DataDir;
use crate::exit::Failure;

/// The current certificate and its source.
pub struct Certificates {
    source: CertificateSource,
    data: DataDir,
    served: watch::Sender<Arc<ServerConfig>>,
    /// The names in the served certificate and when it is valid, if it can be parsed.
    read: Mutex<Option<ReadCertificate>>,
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
        let read = Mutex::new(read(&certified));
        let served = watch::Sender::new(server_config(certified)?);
        Ok(Arc::new(Self { source: source.clone(), data: data.clone(), served, read }))
    }

    /// Reloads the files, or renews the local certificate if it is due. On failure, the old certificate stays in use.
    pub fn reload(&self, now: Timestamp) -> Result<(), Failure> {
        let certified = obtain(&self.source, &self.data, now)?;
        let read = read(&certified);
        self.served.send_replace(server_config(certified)?);
        *self.read() = read;
        Ok(())
    }

    /// Whether the local certificate has to be replaced now: it expires soon, or it was issued by a clock that has been set
    /// since. Files are renewed by someone else.
    pub fn is_due(&self, now: Timestamp) -> bool {
        match self.source {
            CertificateSource::Files { .. } => false,
            CertificateSource::Local { .. } => {
                self.validity().is_none_or(|valid| now < valid.from || now >= valid.renew_at())
            }
        }
    }

    /// When the served certificate expires, if it can be parsed.
    pub fn expiry(&self) -> Option<Timestamp> {
        self.validity().map(|valid| valid.until)
    }

    /// The certificates in use, that of the server first.
    pub fn facts(&self) -> Vec<CertificateFacts> {
        let role = match self.source {
            CertificateSource::Files { .. } => CertificateRole::FromFiles,
            CertificateSource::Local { .. } => CertificateRole::FromLocalAuthority,
        };
        let served = self.read().clone();
        let authority = self.local_authority().map(|pem| {
            let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok();
            facts(CertificateRole::LocalAuthority, der.and_then(|der| ReadCertificate::read(&der)))
        });
        std::iter::once(facts(role, served)).chain(authority).collect()
    }

    /// The certificate of the local authority in PEM form.
    pub fn local_authority(&self) -> Option<String> {
        match self.source {
            CertificateSource::Files { .. } => None,
            CertificateSource::Local { .. } => std::fs::read_to_string(self.data.ca_certificate()).ok(),
        }
    }

    fn validity(&self) -> Option<Validity> {
        self.read().as_ref().map(|read| read.validity)
    }

    fn read(&self) -> MutexGuard<'_, Option<ReadCertificate>> {
        // Code under this lock does not panic, so the value is consistent even if the lock is poisoned.
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The TLS configuration for new connections; always the newest.
    pub fn subscribe(&self) -> watch::Receiver<Arc<ServerConfig>> {
        self.served.subscribe()
    }
}

fn read(certified: &CertifiedKey) -> Option<ReadCertificate> {
    certified.end_entity_cert().ok().and_then(|der| ReadCertificate::read(der))
}

fn facts(role: CertificateRole, read: Option<ReadCertificate>) -> CertificateFacts {
    let expires_at = read.as_ref().map(|read| read.validity.until);
    CertificateFacts { role, names: read.map(|read| read.names).unwrap_or_default(), expires_at }
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

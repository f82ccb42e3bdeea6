//! The trusted certificate authorities: those of the operating system, or of the file in `SSL_CERT_FILE`, loaded once, on
//! first use; or those that one destination names.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

/// Certificates per destination.
const MAX_AUTHORITIES: usize = 10;

#[derive(Debug, Default)]
pub(crate) struct Trust(OnceLock<Option<Arc<ClientConfig>>>);

impl Trust {
    /// Uses this configuration.
    pub(crate) fn given(config: Arc<ClientConfig>) -> Self {
        Self(OnceLock::from(Some(config)))
    }

    /// `None` if no certificate authority is installed.
    pub(crate) fn config(&self) -> Option<Arc<ClientConfig>> {
        self.0.get_or_init(load).clone()
    }
}

fn load() -> Option<Arc<ClientConfig>> {
    let loaded = rustls_native_certs::load_native_certs();
    for error in &loaded.errors {
        tracing::warn!(%error, "could not read a system certificate authority; skipping it");
    }
    let mut roots = RootCertStore::empty();
    let (usable, _) = roots.add_parsable_certificates(loaded.certs);
    if usable == 0 {
        return None;
    }
    trusting(roots)
}

fn trusting(roots: RootCertStore) -> Option<Arc<ClientConfig>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Some(Arc::new(versions.ok()?.with_root_certificates(roots).with_no_client_auth()))
}

/// The certificate authorities of one destination.
#[derive(Clone)]
pub struct Authorities(Arc<ClientConfig>);

/// A text does not hold usable certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must hold 1 to {MAX_AUTHORITIES} X.509 certificates in PEM form")]
pub struct InvalidAuthorities;

impl Authorities {
    /// Reads one or more certificates in PEM form (RFC 7468).
    pub fn parse(pem: &str) -> Result<Self, InvalidAuthorities> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate = certificate.map_err(|_| InvalidAuthorities)?;
            if roots.len() == MAX_AUTHORITIES {
                return Err(InvalidAuthorities);
            }
            roots.add(certificate).map_err(|_| InvalidAuthorities)?;
        }
        if roots.is_empty() {
            return Err(InvalidAuthorities);
        }
        trusting(roots).map(Self).ok_or(InvalidAuthorities)
    }

    /// A TLS configuration that trusts them, for a library that performs the handshake itself.
    pub fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.0)
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorities").finish_non_exhaustive()
    }
}

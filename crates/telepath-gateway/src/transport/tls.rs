//! TLS for SIP (RFC 3261 section 26.3.1): the certificate of the API, also for clients without ALPN, and client certificates if
//! a certificate authority for them is configured.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// The certificates of the TLS listeners.
#[derive(Clone)]
pub struct SipTls(Arc<Inner>);

struct Inner {
    certificates: watch::Receiver<Arc<ServerConfig>>,
    /// `None` asks clients for no certificate.
    clients: Option<Arc<dyn ClientCertVerifier>>,
    /// What was made of the certificates last.
    made: Mutex<Option<Made>>,
}

#[derive(Clone)]
struct Made {
    from: Arc<ServerConfig>,
    config: Arc<ServerConfig>,
}

/// The file contains no usable certificate.
#[derive(Debug, thiserror::Error)]
#[error("it must contain one certificate authority or more in PEM form")]
pub struct InvalidClientAuthorities;

impl fmt::Debug for SipTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SipTls")
            .field("client_certificates", &self.0.clients.is_some())
            .finish_non_exhaustive()
    }
}

impl SipTls {
    /// `certificates` is the TLS configuration of another listener; always the newest is used. With `client_authorities`, which
    /// are certificates in PEM form, every client must present a certificate that one of them has issued.
    ///
    /// # Errors
    /// [`InvalidClientAuthorities`].
    pub fn new(
        certificates: watch::Receiver<Arc<ServerConfig>>,
        client_authorities: Option<&str>,
    ) -> Result<Self, InvalidClientAuthorities> {
        let clients = client_authorities.map(verifier).transpose()?;
        Ok(Self(Arc::new(Inner { certificates, clients, made: Mutex::default() })))
    }

    /// Accepts a connection with the newest certificate.
    ///
    /// # Errors
    /// [`rustls::Error`] if no version of TLS can be used.
    pub(super) fn acceptor(&self) -> Result<TlsAcceptor, rustls::Error> {
        let newest = Arc::clone(&self.0.certificates.borrow());
        let mut made = self.0.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = made.as_ref().filter(|made| Arc::ptr_eq(&made.from, &newest)) {
            return Ok(Arc::clone(&made.config).into());
        }
        let config = self.make(&newest)?;
        *made = Some(Made { from: newest, config: Arc::clone(&config) });
        Ok(config.into())
    }

    /// SIP has no ALPN protocol that a server must choose.
    fn make(&self, newest: &ServerConfig) -> Result<Arc<ServerConfig>, rustls::Error> {
        let builder = ServerConfig::builder_with_provider(Arc::clone(newest.crypto_provider()))
            .with_safe_default_protocol_versions()?;
        let builder = match &self.0.clients {
            Some(clients) => builder.with_client_cert_verifier(Arc::clone(clients)),
            None => builder.with_no_client_auth(),
        };
        Ok(Arc::new(builder.with_cert_resolver(Arc::clone(&newest.cert_resolver))))
    }
}

fn verifier(pem: &str) -> Result<Arc<dyn ClientCertVerifier>, InvalidClientAuthorities> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|_| InvalidClientAuthorities)?;
        roots.add(certificate).map_err(|_| InvalidClientAuthorities)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    WebPkiClientVerifier::builder_with_provider(roots.into(), provider)
        .build()
        .map_err(|_| InvalidClientAuthorities)
}

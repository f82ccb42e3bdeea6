//! Certificate and key files in PEM form (RFC 7468), checked to belong together before they are served.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::exit::{Exit, Failure};

/// Reads a chain and its key.
pub(super) fn load(certificate: &Path, key: &Path) -> Result<CertifiedKey, Failure> {
    let wrong = |path: &Path, problem: &dyn std::fmt::Display| {
        Failure::new(Exit::Config, format!("TLS: {}: {problem}", path.display()))
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| wrong(certificate, &error))?;
    if chain.is_empty() {
        return Err(wrong(certificate, &"holds no certificate in PEM form"));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(key, &error))?;
    let signing =
        default_provider().key_provider.load_private_key(private).map_err(|error| wrong(key, &error))?;
    let certified = CertifiedKey { cert: chain, key: Arc::clone(&signing), ocsp: None };
    match certified.keys_match() {
        // `Unknown` means that the key type cannot tell; the first handshake would.
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Ok(certified),
        Err(error) => Err(wrong(key, &format_args!("does not belong to {}: {error}", certificate.display()))),
    }
}

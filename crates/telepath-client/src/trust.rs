//! Which certificate authorities the client trusts.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::error::Error;

/// Which certificate authorities vouch for the server.
#[derive(Debug, Clone)]
pub enum Trust {
    /// Those of the operating system.
    SystemRoots,
    /// Only those of a PEM file, such as `DATA/tls/ca.pem`.
    CaFile(PathBuf),
}

impl Trust {
    fn describe(&self) -> String {
        match self {
            Trust::SystemRoots => "system".to_owned(),
            Trust::CaFile(path) => path.display().to_string(),
        }
    }

    fn failed(&self, problem: &dyn std::fmt::Display) -> Error {
        Error::Trust { place: self.describe(), problem: problem.to_string() }
    }

    fn roots(&self) -> Result<RootCertStore, Error> {
        let mut roots = RootCertStore::empty();
        match self {
            Trust::SystemRoots => {
                // A few unusable certificates in a system's store are common; none at all is an error.
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
            Trust::CaFile(path) => {
                for certificate in CertificateDer::pem_file_iter(path).map_err(|e| self.failed(&e))? {
                    let certificate = certificate.map_err(|e| self.failed(&e))?;
                    roots.add(certificate).map_err(|e| self.failed(&e))?;
                }
            }
        }
        if roots.is_empty() { Err(self.failed(&"no certificate found")) } else { Ok(roots) }
    }

    /// A TLS configuration that trusts these authorities and no others.
    pub(crate) fn tls_config(&self) -> Result<ClientConfig, Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        Ok(ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| self.failed(&e))?
            .with_root_certificates(self.roots()?)
            .with_no_client_auth())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_file_without_certificates_is_an_error() {
        let trust = Trust::CaFile("/dev/null".into());
        assert!(matches!(trust.roots(), Err(Error::Trust { .. })));
    }
}

//! Where the server certificate comes from.

use std::path::PathBuf;

use super::Check;
use crate::config::layers::Value;
use crate::config::values;

/// Certificates.
#[derive(Debug, Clone)]
pub struct TlsConfig {
    /// Where the server certificate comes from.
    pub certificate: CertificateSource,
}

/// Where the server certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateSource {
    /// Files that somebody else renews.
    Files {
        /// The chain in PEM form.
        certificate: PathBuf,
        /// The private key in PEM form.
        key: PathBuf,
    },
    /// A local authority in the data folder.
    Local {
        /// Names beside those of this machine.
        hostnames: Vec<String>,
    },
}

impl Check<'_> {
    pub(super) fn tls(&mut self) -> Option<TlsConfig> {
        let certificate = self.optional("tls.certificate_file", values::path)?;
        let key = self.optional("tls.key_file", values::path)?;
        let hostnames = self.hostnames()?;
        let certificate = match (certificate, key) {
            (Some(certificate), Some(key)) => CertificateSource::Files { certificate, key },
            (None, None) => CertificateSource::Local { hostnames },
            (Some(_), None) => return self.missing("tls.key_file", "is required with tls.certificate_file"),
            (None, Some(_)) => return self.missing("tls.certificate_file", "is required with tls.key_file"),
        };
        Some(TlsConfig { certificate })
    }

    fn hostnames(&mut self) -> Option<Vec<String>> {
        let items = match self.layers.get("tls.hostnames").map(|given| &given.value) {
            None => Vec::new(),
            Some(Value::List(items)) => items.clone(),
            Some(Value::Text(text)) => text.expose().split(',').map(str::trim).map(str::to_owned).collect(),
        };
        let items = items.iter().filter(|item| !item.is_empty()).map(|item| values::host(item)).collect();
        self.keep("tls.hostnames", items)
    }
}

//! `[tls]`: the server certificate.

use std::path::PathBuf;

use super::Check;
use crate::config::layers::Value;
use crate::config::values;

/// The server certificate.
#[derive(Debug, Clone)]
pub struct TlsConfig {
    pub certificate: CertificateSource,
}

/// Where the server certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateSource {
    /// Files that are renewed by someone else.
    Files {
        /// The chain in PEM form.
        certificate: PathBuf,
        /// The private key in PEM form.
        key: PathBuf,
    },
    /// Issued by a local certificate authority in the data folder.
    Local {
        /// Names in addition to `localhost`, `127.0.0.1` and `::1`.
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

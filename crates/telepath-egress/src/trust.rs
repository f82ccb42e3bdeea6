//! The certificate authorities that vouch for others: those of the operating system, or of the file that `SSL_CERT_FILE`
//! names. Read when first needed and once only.

use std::sync::{Arc, OnceLock};

use rustls::{ClientConfig, RootCertStore};

#[derive(Debug, Default)]
pub(crate) struct Trust(OnceLock<Option<Arc<ClientConfig>>>);

impl Trust {
    /// Trusts as this configuration does.
    pub(crate) fn given(config: Arc<ClientConfig>) -> Self {
        Self(OnceLock::from(Some(config)))
    }

    /// `None` when no authority is installed, so that nobody can be trusted.
    pub(crate) fn config(&self) -> Option<Arc<ClientConfig>> {
        self.0.get_or_init(load).clone()
    }
}

fn load() -> Option<Arc<ClientConfig>> {
    let loaded = rustls_native_certs::load_native_certs();
    for error in &loaded.errors {
        tracing::warn!(%error, "a certificate authority of the system cannot be read");
    }
    let mut roots = RootCertStore::empty();
    let (usable, _) = roots.add_parsable_certificates(loaded.certs);
    if usable == 0 {
        return None;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Some(Arc::new(versions.ok()?.with_root_certificates(roots).with_no_client_auth()))
}

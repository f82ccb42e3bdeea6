//! The trusted certificate authorities: those of the operating system, or of the file in `SSL_CERT_FILE`. Loaded
//! once, on first use.

use std::sync::{Arc, OnceLock};

use rustls::{ClientConfig, RootCertStore};

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
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Some(Arc::new(versions.ok()?.with_root_certificates(roots).with_no_client_auth()))
}

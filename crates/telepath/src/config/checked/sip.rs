//! `[sip]`: signalling.

use std::net::SocketAddr;
use std::path::PathBuf;

use telepath_gateway::DigestAlgorithms;

use super::Check;
use crate::config::values;

/// `[sip]`: signalling.
#[derive(Debug, Clone)]
pub struct SipConfig {
    /// The UDP listeners; at least one.
    pub listen: Vec<SocketAddr>,
    /// The TCP listeners.
    pub tcp_listen: Vec<SocketAddr>,
    /// The TLS listeners.
    pub tls_listen: Vec<SocketAddr>,
    /// Issuers of the client certificates that TLS connections need; `None` needs none.
    pub client_ca_file: Option<PathBuf>,
    /// The host in `sip_endpoint`; its address is in SIP and SDP.
    pub public_host: Option<String>,
    /// The algorithms of digest challenges.
    pub digest_algorithms: DigestAlgorithms,
}

impl SipConfig {
    /// The first UDP listener.
    pub fn first_listen(&self) -> SocketAddr {
        self.listen.first().copied().unwrap_or(([127, 0, 0, 1], 5060).into())
    }

    /// Whether SIP is served over TCP or TLS.
    pub fn has_connections(&self) -> bool {
        !self.tcp_listen.is_empty() || !self.tls_listen.is_empty()
    }
}

impl Check<'_> {
    pub(super) fn sip(&mut self) -> Option<SipConfig> {
        let listen = self.required("sip.listen", values::addresses);
        let tcp_listen = self.optional("sip.tcp_listen", values::addresses);
        let tls_listen = self.optional("sip.tls_listen", values::addresses);
        let client_ca_file = self.optional("sip.client_ca_file", values::path);
        let public_host = self.optional("sip.public_host", values::host);
        let digest_algorithms = self.required("sip.digest_algorithms", |text| match text {
            "both" => Ok(DigestAlgorithms::Both),
            "md5" => Ok(DigestAlgorithms::Md5),
            "sha-256" => Ok(DigestAlgorithms::Sha256),
            _ => Err("must be both, md5 or sha-256".to_owned()),
        });
        let (tls_listen, client_ca_file) = (tls_listen?.unwrap_or_default(), client_ca_file?);
        if client_ca_file.is_some() && tls_listen.is_empty() {
            return self.missing("sip.tls_listen", "is required with sip.client_ca_file");
        }
        Some(SipConfig {
            listen: listen?,
            tcp_listen: tcp_listen?.unwrap_or_default(),
            tls_listen,
            client_ca_file,
            public_host: public_host?,
            digest_algorithms: digest_algorithms?,
        })
    }
}

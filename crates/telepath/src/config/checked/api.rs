//! The sections `[api]` and `[metrics]`.

use std::net::SocketAddr;
use std::path::PathBuf;

use telepath_core::address::NetworkList;
use telepath_http::ForwardingHeaders;

use super::super::{Source, values};
use super::{Check, networks};

/// `[api]`: listeners and proxies.
#[derive(Debug, Clone)]
pub struct ApiConfig {
    /// The HTTPS listener.
    pub listen: SocketAddr,
    /// The plain HTTP listener, on a loopback address.
    pub insecure_http_listen: Option<SocketAddr>,
    /// Peers whose forwarding headers are trusted.
    pub trusted_proxies: NetworkList,
    /// Which of their headers are used.
    pub forwarding_headers: ForwardingHeaders,
    /// Whether their connections begin with a PROXY protocol header of version 2.
    pub proxy_protocol: bool,
    /// The contact URI in `security.txt`.
    pub security_contact: Option<String>,
    /// The file with the public keys of a secret-scanning partner.
    pub signing_keys_file: Option<PathBuf>,
}

/// `[metrics]`: the listener of `/metrics`.
#[derive(Debug, Clone, Copy)]
pub struct MetricsConfig {
    /// `None` if it is off.
    pub listen: Option<SocketAddr>,
    /// Whether the address is the default. Several servers on one machine have the same, and only one can use it.
    pub is_default: bool,
}

impl Check<'_> {
    pub(super) fn api(&mut self) -> Option<ApiConfig> {
        let listen = self.required("api.listen", values::address);
        let insecure_http_listen = self.optional("api.insecure_http_listen", values::loopback_address);
        let trusted_proxies = self.optional("api.trusted_proxies", networks);
        let forwarding_headers = self.required("api.forwarding_headers", forwarding_headers);
        let proxy_protocol = self.required("api.proxy_protocol", |text| match text {
            "off" => Ok(false),
            "v2" => Ok(true),
            _ => Err("must be off or v2".to_owned()),
        });
        let security_contact = self.optional("api.security_contact", values::contact);
        let signing_keys_file = self.optional("leaks.signing_keys_file", values::path);
        Some(ApiConfig {
            listen: listen?,
            insecure_http_listen: insecure_http_listen?,
            trusted_proxies: trusted_proxies?.unwrap_or_default(),
            forwarding_headers: forwarding_headers?,
            proxy_protocol: proxy_protocol?,
            security_contact: security_contact?,
            signing_keys_file: signing_keys_file?,
        })
    }

    pub(super) fn metrics(&mut self) -> Option<MetricsConfig> {
        const KEY: &str = "metrics.listen";
        let is_default = self.layers.get(KEY).is_none_or(|given| given.source == Source::Default);
        let listen = self.required(KEY, values::address_or_off)?;
        Some(MetricsConfig { listen, is_default })
    }
}

fn forwarding_headers(text: &str) -> Result<ForwardingHeaders, String> {
    match text {
        "any" => Ok(ForwardingHeaders::Any),
        "x-forwarded" => Ok(ForwardingHeaders::XForwarded),
        "forwarded" => Ok(ForwardingHeaders::Forwarded),
        _ => Err("must be any, x-forwarded or forwarded".to_owned()),
    }
}

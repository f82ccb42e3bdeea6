//! Which values of `Host` are answered. A page of another site whose name resolves to this server (DNS rebinding) sends its
//! own name, and must not be served.

use std::net::IpAddr;

use http::Uri;
use http::header::HOST;
use http::request::Parts;

use crate::options::DashboardOptions;

/// The names and addresses of this server.
#[derive(Debug)]
pub(crate) struct AllowedHosts {
    names: Vec<String>,
    address: IpAddr,
}

impl AllowedHosts {
    pub(crate) fn new(options: &DashboardOptions) -> Self {
        let public = options.public_url.iter().map(|url| url.host().to_owned());
        let names = options.names.iter().map(|name| name.to_ascii_lowercase());
        let names = names.chain(public).chain(["localhost".to_owned()]).collect();
        Self { names, address: options.address }
    }

    /// Whether a host without its port is one of this server's. A browser that was sent an IP address asked for this
    /// machine itself, so all addresses are this server's if it listens on all of them.
    pub(crate) fn allows(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&host);
        match literal.parse::<IpAddr>() {
            Ok(address) => {
                address.is_loopback()
                    || address == self.address
                    || self.address.is_unspecified()
                    || self.names.iter().any(|name| name.trim_matches(['[', ']']) == literal)
            }
            Err(_) => self.names.contains(&host),
        }
    }
}

/// The authority that a request names: its target's in HTTP/2 and in absolute form, otherwise `Host`.
pub(crate) fn authority_of(head: &Parts) -> Option<String> {
    let target = head.uri.authority().map(http::uri::Authority::as_str);
    let field = || head.headers.get(HOST).and_then(|host| host.to_str().ok());
    target.or_else(field).map(str::to_ascii_lowercase)
}

/// An authority without its port.
pub(crate) fn without_port(authority: &str) -> String {
    let uri: Option<Uri> = authority.parse().ok();
    let host = uri.as_ref().and_then(Uri::host);
    host.unwrap_or_default().to_ascii_lowercase()
}

/// The origin of an authority, as browsers write it: without the default port.
pub(crate) fn origin_of(authority: &str, https: bool) -> String {
    let (scheme, port) = if https { ("https", ":443") } else { ("http", ":80") };
    format!("{scheme}://{}", authority.strip_suffix(port).unwrap_or(authority))
}

#[cfg(test)]
mod tests {
    use telepath_core::id::{AccountId, Id as _};

    use super::*;
    use crate::options::PublicUrl;

    fn hosts(address: &str) -> AllowedHosts {
        AllowedHosts::new(&DashboardOptions {
            public_url: Some(PublicUrl::parse("https://voice.example:8443").unwrap()),
            names: vec!["Gateway.example".to_owned(), "203.0.113.7".to_owned()],
            address: address.parse().unwrap(),
            account: AccountId::from_bytes([0; 16]),
            url: "https://voice.example".to_owned(),
            sip_host: "voice.example".to_owned(),
            calls_kept: None,
        })
    }

    #[test]
    fn only_names_and_addresses_of_this_server_are_answered() {
        let hosts = hosts("192.0.2.1");
        for good in [
            "voice.example",
            "VOICE.example",
            "gateway.example",
            "localhost",
            "127.0.0.1",
            "[::1]",
            "192.0.2.1",
            "203.0.113.7",
        ] {
            assert!(hosts.allows(good), "{good}");
        }
        for bad in [
            "",
            "evil.example",
            "voice.example.evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "192.0.2.2",
            "[2001:db8::1]",
            "0.0.0.0",
            "voice.example.",
            "2130706433",
        ] {
            assert!(!hosts.allows(bad), "{bad}");
        }
    }

    #[test]
    fn a_server_on_all_addresses_answers_every_address_but_not_every_name() {
        let hosts = hosts("::");
        assert!(hosts.allows("198.51.100.9") && hosts.allows("[2001:db8::1]"));
        assert!(!hosts.allows("evil.example"));
    }

    #[test]
    fn the_port_is_no_part_of_the_host() {
        for (authority, host) in [
            ("voice.example:8443", "voice.example"),
            ("voice.example", "voice.example"),
            ("[::1]:8443", "[::1]"),
            ("127.0.0.1:1", "127.0.0.1"),
            ("", ""),
        ] {
            assert_eq!(without_port(authority), host);
        }
    }
}

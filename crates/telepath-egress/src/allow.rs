//! What the configuration allows beyond the public Internet: private networks as CIDR, and services of this machine
//! by their exact `host:port`. No entry allows everything.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use telepath_core::address::{canonical, parse_network};

use crate::address::{Forbidden, check_public, embedded};

/// Entries per list.
const MAX_ENTRIES: usize = 64;
/// A network in the list must be part of one of these.
const OPENABLE: [&str; 5] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"];

/// An entry is not one that can be allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{entry}: {problem}")]
pub struct InvalidAllowance {
    pub entry: String,
    pub problem: &'static str,
}

/// A service of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Service {
    host: String,
    port: u16,
}

/// Allowed non-public destinations. Empty by default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AllowList {
    networks: Vec<IpNet>,
    services: Vec<Service>,
}

impl AllowList {
    /// The list with one more service of this machine, such as a program that was just started.
    #[must_use]
    pub fn and_service(mut self, host: &str, port: u16) -> Self {
        self.services.push(Service { host: host.to_ascii_lowercase(), port });
        self
    }

    /// Checks an address that a host name resolved to.
    pub(crate) fn check(&self, host: &str, port: u16, address: IpAddr) -> Result<(), Forbidden> {
        let real = match address {
            IpAddr::V6(v6) => embedded(v6).map_or(address, IpAddr::V4),
            IpAddr::V4(_) => address,
        };
        match check_public(address) {
            Err(Forbidden::Loopback)
                if canonical(address).is_loopback() && self.allows_service(host, port) =>
            {
                Ok(())
            }
            Err(Forbidden::Private) if self.networks.iter().any(|net| net.contains(&real)) => Ok(()),
            checked => checked,
        }
    }

    /// Whether the list contains this exact `host:port`.
    pub(crate) fn allows_service(&self, host: &str, port: u16) -> bool {
        self.services.iter().any(|service| service.host.eq_ignore_ascii_case(host) && service.port == port)
    }
}

/// Parses comma-separated entries, the form in the configuration.
impl FromStr for AllowList {
    type Err = InvalidAllowance;

    fn from_str(text: &str) -> Result<Self, InvalidAllowance> {
        let mut list = Self::default();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let refuse = |problem| InvalidAllowance { entry: entry.to_owned(), problem };
            if let Ok(network) = parse_network(entry) {
                if !openable(network) {
                    return Err(refuse("only private networks can be opened (loopback as host:port)"));
                }
                list.networks.push(network);
            } else {
                list.services.push(service(entry).map_err(refuse)?);
            }
            if list.networks.len() + list.services.len() > MAX_ENTRIES {
                return Err(refuse("the list holds more than 64 entries"));
            }
        }
        Ok(list)
    }
}

impl fmt::Display for AllowList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let networks = self.networks.iter().map(ToString::to_string);
        let services = self.services.iter().map(|Service { host, port }| {
            if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
        });
        f.write_str(&networks.chain(services).collect::<Vec<_>>().join(","))
    }
}

fn openable(network: IpNet) -> bool {
    OPENABLE.iter().filter_map(|text| text.parse::<IpNet>().ok()).any(|block| block.contains(&network))
}

fn service(entry: &str) -> Result<Service, &'static str> {
    const FORM: &str = "must be a network in CIDR form or a loopback host:port such as 127.0.0.1:9000";
    let (host, port) = entry.rsplit_once(':').ok_or(FORM)?;
    let port = port.parse().ok().filter(|port| *port > 0).ok_or(FORM)?;
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').ok_or(FORM)?,
        None if host.contains(':') => return Err(FORM),
        None => host,
    };
    let loopback = match host.parse::<IpAddr>() {
        Ok(address) => canonical(address).is_loopback(),
        // Any other name may resolve to another address tomorrow (RFC 6761 section 6.3).
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    };
    if loopback { Ok(Service { host: host.to_ascii_lowercase(), port }) } else { Err(FORM) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> AllowList {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn private_networks_and_named_services_can_be_opened_and_nothing_else() {
        for good in
            ["10.1.0.0/16", "192.168.1.7", "fd00:1::/32", "127.0.0.1:9000", "localhost:1", "[::1]:9000", ""]
        {
            assert_eq!(
                list(good).to_string().trim_end_matches("/32"),
                good.trim_end_matches("/32"),
                "{good}"
            );
        }
        for wrong in [
            "0.0.0.0/0",
            "::/0",
            "8.0.0.0/8",
            "10.0.0.0/7",
            "127.0.0.0/8",
            "127.0.0.1",
            "::1",
            "169.254.0.0/16",
            "169.254.169.254",
            "*",
            "localhost",
            "localhost:0",
            "localhost:*",
            "hooks.example:443",
            "10.0.0.1:80",
            "::1:9000",
        ] {
            assert!(wrong.parse::<AllowList>().is_err(), "{wrong}");
        }
        assert!(vec!["10.0.0.1"; 65].join(",").parse::<AllowList>().is_err());
    }

    #[test]
    fn an_opened_network_opens_its_addresses_in_every_form() {
        let list = list("10.0.0.0/8,fd00::/16");
        let check = |text: &str| list.check("host.example", 443, text.parse().unwrap());
        for good in
            ["10.9.8.7", "::ffff:10.9.8.7", "64:ff9b::10.9.8.7", "2002:a09:807::1", "fd00::1", "8.8.8.8"]
        {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for wrong in ["192.168.0.1", "127.0.0.1", "169.254.169.254", "fd01::1"] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_loopback_service_is_allowed_only_by_its_exact_host_and_port() {
        let list = list("127.0.0.1:9000,localhost:9001");
        let loopback: IpAddr = "127.0.0.1".parse().unwrap();
        assert_eq!(list.check("127.0.0.1", 9000, loopback), Ok(()));
        assert_eq!(list.check("LOCALHOST", 9001, "::1".parse().unwrap()), Ok(()));
        for (host, port) in
            [("127.0.0.1", 9001), ("localhost", 9000), ("rebound.example", 9000), ("127.0.0.2", 9000)]
        {
            assert_eq!(list.check(host, port, loopback), Err(Forbidden::Loopback), "{host}:{port}");
        }
        let elsewhere = list.check("localhost", 9001, "10.0.0.1".parse().unwrap());
        assert_eq!(
            elsewhere,
            Err(Forbidden::Private),
            "a name that is opened for loopback opens nothing else"
        );
        let hidden = list.check("127.0.0.1", 9000, "64:ff9b::127.0.0.1".parse().unwrap());
        assert_eq!(hidden, Err(Forbidden::Loopback), "a translator's loopback is not this machine's");
    }
}

//! What is known of a host before any lookup: an address, a name that is always an address, or a name.

use std::net::{IpAddr, Ipv4Addr};

/// A host of a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Host {
    /// An IP address, or a name that always means one: `localhost` and the names below it (RFC 6761 section 6.3).
    Address(IpAddr),
    /// A name that must be looked up.
    Name,
}

impl Host {
    /// `None` if the host ends in a number but is not an address. Resolvers and URL parsers disagree about such hosts: some
    /// read `0x7f.1` or `2130706433` as 127.0.0.1.
    pub(crate) fn parse(host: &str) -> Option<Self> {
        if let Ok(address) = host.parse() {
            return Some(Self::Address(address));
        }
        let name = host.strip_suffix('.').unwrap_or(host);
        let last = name.rsplit('.').next().unwrap_or_default();
        let hexadecimal = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
        let number = !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit())
            || hexadecimal.is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        if number || name.is_empty() || name.contains(':') {
            return None;
        }
        let local = last.eq_ignore_ascii_case("localhost");
        Some(if local { Self::Address(IpAddr::V4(Ipv4Addr::LOCALHOST)) } else { Self::Name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_localhost_need_no_lookup() {
        for (host, address) in [
            ("203.0.113.7", "203.0.113.7"),
            ("2001:db8::1", "2001:db8::1"),
            ("localhost", "127.0.0.1"),
            ("LOCALHOST.", "127.0.0.1"),
            ("api.localhost", "127.0.0.1"),
        ] {
            assert_eq!(Host::parse(host), Some(Host::Address(address.parse().unwrap())), "{host}");
        }
        for name in
            ["hooks.example", "localhost.example", "1.example", "0x7f.example", "db", "a.0xg", "example."]
        {
            assert_eq!(Host::parse(name), Some(Host::Name), "{name}");
        }
    }

    #[test]
    fn numbers_that_are_not_addresses_are_no_hosts() {
        for host in [
            "127.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0177.0.0.1",
            "1.2.3.4.",
            "a.1",
            "0x",
            "0",
            "",
            ".",
            "[::1]",
            "fe80::1%lo",
        ] {
            assert_eq!(Host::parse(host), None, "{host}");
        }
    }
}

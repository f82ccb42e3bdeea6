//! Client addresses: the CIDR lists that restrict a key or a trunk to networks, and the unit in which addresses are counted (for
//! IPv6 the /64, because one customer commonly has that many addresses).

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;

use crate::validation::Invalid;

/// The most networks that one list may hold.
pub const MAX_NETWORKS: usize = 64;

/// The shortest prefix of an IPv4 network whose addresses are trusted without credentials. A UDP source address can be forged,
/// so a wider network would trust strangers.
pub const MIN_TRUSTED_PREFIX_V4: u8 = 8;

/// The shortest prefix of an IPv6 network whose addresses are trusted without credentials.
pub const MIN_TRUSTED_PREFIX_V6: u8 = 16;

/// IPv4 addresses that arrive inside IPv6 (`::ffff:a.b.c.d`) are judged as IPv4.
pub const fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// The unit in which unauthenticated callers are counted: an IPv4 address or an IPv6 /64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AddressBlock(IpAddr);

impl AddressBlock {
    /// The block that holds an address.
    pub fn of(address: IpAddr) -> Self {
        match canonical(address) {
            v4 @ IpAddr::V4(_) => Self(v4),
            IpAddr::V6(v6) => Self(IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !0 << 64))),
        }
    }

    /// The first address of the block.
    pub const fn address(self) -> IpAddr {
        self.0
    }
}

/// A list of networks. Empty means that every address is allowed.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct NetworkList(Vec<IpNet>);

/// The text is not a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be an address or a network in CIDR form, such as 203.0.113.0/24 or 2001:db8::/32")]
pub struct InvalidNetwork;

/// The network holds too many addresses to be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "must not be larger than /{MIN_TRUSTED_PREFIX_V4} for IPv4 or /{MIN_TRUSTED_PREFIX_V6} for IPv6; name the networks of the \
     carrier"
)]
pub struct TooWide;

/// Whether the addresses of a network may be trusted without credentials.
fn may_be_trusted(net: &IpNet) -> bool {
    match net {
        IpNet::V4(net) => net.prefix_len() >= MIN_TRUSTED_PREFIX_V4,
        IpNet::V6(net) => net.prefix_len() >= MIN_TRUSTED_PREFIX_V6,
    }
}

/// Parses `203.0.113.7`, `203.0.113.0/24`, `2001:db8::/32`; host bits are cleared. An IPv4-mapped IPv6 network (RFC 4291 section
/// 2.5.5.2) becomes the IPv4 network, because addresses are compared in that form.
pub fn parse_network(text: &str) -> Result<IpNet, InvalidNetwork> {
    let net = text
        .parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| InvalidNetwork)?;
    unmapped(net).map(|net| net.trunc())
}

/// The bits that precede the IPv4 address in an IPv4-mapped IPv6 address.
const MAPPED_BITS: u8 = 96;

fn unmapped(net: IpNet) -> Result<IpNet, InvalidNetwork> {
    let IpNet::V6(v6) = net else { return Ok(net) };
    let Some(v4) = v6.addr().to_ipv4_mapped() else { return Ok(net) };
    // A shorter prefix covers more than the mapped addresses, and none of them would ever match it.
    let prefix = v6.prefix_len().checked_sub(MAPPED_BITS).ok_or(InvalidNetwork)?;
    IpNet::new(IpAddr::V4(v4), prefix).map_err(|_| InvalidNetwork)
}

impl NetworkList {
    /// These networks; `None` when there are more than [`MAX_NETWORKS`].
    pub fn new(networks: Vec<IpNet>) -> Option<Self> {
        (networks.len() <= MAX_NETWORKS).then_some(Self(networks))
    }

    /// Parses the networks that a caller gave as `field`, noting every problem.
    pub fn check(field: &str, texts: Vec<String>, problems: &mut Invalid) -> Option<Self> {
        let networks = texts
            .into_iter()
            .enumerate()
            .filter_map(|(place, text)| problems.keep(&format!("{field}[{place}]"), parse_network(&text)))
            .collect();
        let list = Self::new(networks);
        if list.is_none() {
            problems.wrong(field, format!("must hold at most {MAX_NETWORKS} networks"));
        }
        list
    }

    /// Parses the networks that a caller gave as `field` and that are trusted without credentials, noting every problem.
    pub fn check_trusted(field: &str, texts: Vec<String>, problems: &mut Invalid) -> Option<Self> {
        let list = Self::check(field, texts, problems)?;
        for (place, net) in list.0.iter().enumerate() {
            if !may_be_trusted(net) {
                problems.wrong(&format!("{field}[{place}]"), TooWide.to_string());
            }
        }
        Some(list)
    }

    /// The networks that may be trusted without credentials. Earlier versions stored wider ones.
    #[must_use]
    pub fn trusted(self) -> Self {
        Self(self.0.into_iter().filter(may_be_trusted).collect())
    }

    /// Whether no restriction was set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The networks in the order given.
    pub fn iter(&self) -> impl Iterator<Item = &IpNet> {
        self.0.iter()
    }

    /// Whether one of the networks holds the address. An empty list holds none: the caller decides what empty means.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = canonical(address);
        self.0.iter().any(|net| net.contains(&address))
    }

    /// Whether nothing that the other list admits is refused by this one. Each network must lie within one of these; two
    /// halves of it in two networks are not put together.
    pub fn encloses(&self, other: &Self) -> bool {
        let within = |inner: &IpNet| self.0.iter().any(|outer| encloses(outer, inner));
        self.0.is_empty() || (!other.0.is_empty() && other.0.iter().all(within))
    }

    /// Whether the address may pass: it is listed, or nothing is listed.
    pub fn admits(&self, address: IpAddr) -> bool {
        self.0.is_empty() || self.contains(address)
    }
}

/// Addresses are judged in their canonical form, so IPv4 is never inside IPv6.
fn encloses(outer: &IpNet, inner: &IpNet) -> bool {
    match (outer, inner) {
        (IpNet::V4(outer), IpNet::V4(inner)) => outer.contains(inner),
        (IpNet::V6(outer), IpNet::V6(inner)) => outer.contains(inner),
        (IpNet::V4(_), IpNet::V6(_)) | (IpNet::V6(_), IpNet::V4(_)) => false,
    }
}

impl fmt::Debug for NetworkList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(ToString::to_string)).finish()
    }
}

/// Comma-separated, the form of the database and of the command line.
impl fmt::Display for NetworkList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, net) in self.0.iter().enumerate() {
            write!(f, "{}{net}", if place > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

impl FromStr for NetworkList {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let networks = text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(parse_network)
            .collect::<Result<_, _>>()?;
        Self::new(networks).ok_or(InvalidNetwork)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v4_inside_v6_is_judged_as_v4() {
        let list: NetworkList = "203.0.113.0/24".parse().unwrap();
        assert!(list.admits("::ffff:203.0.113.9".parse().unwrap()));
        assert!(!list.admits("::ffff:203.0.114.9".parse().unwrap()));
    }

    #[test]
    fn ipv4_mapped_networks_are_stored_as_ipv4() {
        for (text, stored) in [
            ("::ffff:127.0.0.1", "127.0.0.1/32"),
            ("::ffff:7f00:1", "127.0.0.1/32"),
            ("::FFFF:203.0.113.9/120", "203.0.113.0/24"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
            ("0:0:0:0:0:ffff:c000:201/128", "192.0.2.1/32"),
            ("::127.0.0.1", "::7f00:1/128"),
            ("64:ff9b::192.0.2.1", "64:ff9b::c000:201/128"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(parse_network(text).unwrap().to_string(), stored, "{text}");
        }
        for text in ["::ffff:0:0/95", "::ffff:192.0.2.1/64", "::ffff:192.0.2.1/129", "::ffff:192.0.2.256"] {
            assert_eq!(parse_network(text), Err(InvalidNetwork), "{text}");
        }
        let list: NetworkList = "::ffff:203.0.113.0/120, 2001:db8::/32".parse().unwrap();
        assert!(
            list.admits("203.0.113.9".parse().unwrap()) && list.admits("::ffff:203.0.113.9".parse().unwrap())
        );
        assert!(!list.admits("203.0.114.9".parse().unwrap()));
    }

    #[test]
    fn trusted_networks_are_at_most_a_slash_8_of_ipv4_or_a_slash_16_of_ipv6() {
        let check = |texts: &[&str]| {
            let mut problems = Invalid::default();
            let texts = texts.iter().map(|text| (*text).to_owned()).collect();
            NetworkList::check_trusted("allowed_ips", texts, &mut problems);
            problems.into_details().into_iter().map(|problem| problem.field).collect::<Vec<_>>()
        };
        assert_eq!(check(&["10.0.0.0/8", "203.0.113.7", "2001::/16", "::ffff:10.0.0.0/104"]), [""; 0]);
        for wide in
            ["0.0.0.0/0", "128.0.0.0/1", "10.0.0.0/7", "::/0", "2000::/3", "2001::/15", "::ffff:0:0/96"]
        {
            assert_eq!(check(&["192.0.2.1", wide]), ["allowed_ips[1]"], "{wide}");
        }
        let stored: NetworkList = "0.0.0.0/0, 203.0.113.0/24, ::/0".parse().unwrap();
        assert_eq!(stored.trusted().to_string(), "203.0.113.0/24");
    }

    #[test]
    fn an_empty_list_admits_all_and_a_full_one_only_its_networks() {
        assert!(NetworkList::default().admits("198.51.100.1".parse().unwrap()));
        let list: NetworkList = "2001:db8::/32, 198.51.100.7".parse().unwrap();
        assert!(list.admits("2001:db8:1::5".parse().unwrap()));
        assert!(list.admits("198.51.100.7".parse().unwrap()));
        assert!(!list.admits("198.51.100.8".parse().unwrap()));
    }

    #[test]
    fn a_list_encloses_what_lies_within_its_networks() {
        let encloses = |outer: &str, inner: &str| {
            outer.parse::<NetworkList>().unwrap().encloses(&inner.parse().unwrap())
        };
        assert!(encloses("", "") && encloses("", "203.0.113.0/24"));
        assert!(!encloses("203.0.113.0/24", ""), "an empty list admits everybody");
        assert!(encloses("203.0.113.0/24,2001:db8::/32", "203.0.113.7,2001:db8::/64"));
        assert!(!encloses("203.0.113.0/25,203.0.113.128/25", "203.0.113.0/24"));
        assert!(!encloses("::/0", "203.0.113.0/24") && !encloses("0.0.0.0/0", "2001:db8::/32"));
    }

    #[test]
    fn v6_hosts_are_counted_by_their_64() {
        let block = |text: &str| AddressBlock::of(text.parse().unwrap());
        assert_eq!(block("2001:db8:0:1::1"), block("2001:db8:0:1:ffff::9"));
        assert_ne!(block("2001:db8:0:1::1"), block("2001:db8:0:2::1"));
        assert_eq!(block("::ffff:192.0.2.1"), block("192.0.2.1"));
    }

    #[test]
    fn bad_networks_are_refused() {
        for text in ["203.0.113.0/33", "host.example", "203.0.113", "::/129"] {
            assert_eq!(text.parse::<NetworkList>(), Err(InvalidNetwork), "{text}");
        }
    }
}

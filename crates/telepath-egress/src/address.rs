//! Which addresses are global unicast: the IANA special-purpose registries (RFC 6890 and its updates), and IPv4
//! addresses embedded in IPv6 addresses, which are checked as what they are.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address may not be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forbidden {
    /// The local host.
    Loopback,
    /// Private, shared or unique local addresses.
    Private,
    /// Link-local; cloud metadata services use such addresses.
    LinkLocal,
    /// Multicast.
    Multicast,
    /// Reserved, documentation, benchmarking or unassigned addresses.
    Special,
}

impl Forbidden {
    /// A description for messages.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Loopback => "a loopback address",
            Self::Private => "a private address",
            Self::LinkLocal => "a link-local address",
            Self::Multicast => "a multicast address",
            Self::Special => "an address that is not a public host's",
        }
    }
}

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.describe())
    }
}

/// Checks that an address is global unicast.
pub fn check_public(address: IpAddr) -> Result<(), Forbidden> {
    match address {
        IpAddr::V4(v4) => check_public_v4(v4),
        IpAddr::V6(v6) => check_public_v6(v6),
    }
}

/// The IPv4 address embedded in an IPv6 address; `None` if there is none.
pub fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match address.segments() {
        // `::` and `::1` are IPv6 addresses of their own.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        // IPv4-compatible (RFC 4291 section 2.5.5.1), IPv4-mapped (2.5.5.2), IPv4-translated (RFC 2765 section 2.1),
        // NAT64 (RFC 6052 section 2.1), 6to4 (RFC 3056 section 2), and ISATAP under any prefix (RFC 5214 section
        // 6.1).
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..]
        | [.., 0 | 0x200, 0x5efe, high, low] => Some(v4_of(high, low)),
        // Teredo (RFC 4380 section 4): the client's address is at the end, with every bit inverted.
        [0x2001, 0, .., high, low] => Some(v4_of(!high, !low)),
        _ => None,
    }
}

fn v4_of(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))
}

fn check_public_v4(address: Ipv4Addr) -> Result<(), Forbidden> {
    match address.octets() {
        [127, ..] => Err(Forbidden::Loopback),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Err(Forbidden::Private),
        [169, 254, ..] => Err(Forbidden::LinkLocal),
        [224..=239, ..] => Err(Forbidden::Multicast),
        // This network, IETF protocols, documentation, 6to4 relays, benchmarks, reserved and broadcast.
        [0 | 240..=255, ..]
        | [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [192, 31, 196, _]
        | [192, 52, 193, _]
        | [192, 175, 48, _]
        | [198, 18 | 19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _] => Err(Forbidden::Special),
        _ => Ok(()),
    }
}

fn check_public_v6(address: Ipv6Addr) -> Result<(), Forbidden> {
    let segments = address.segments();
    if address.is_loopback() {
        return Err(Forbidden::Loopback);
    }
    if let Some(v4) = embedded(address) {
        // In a Teredo address the server's address is checked too (RFC 4380 section 4).
        if let [0x2001, 0, high, low, ..] = segments {
            check_public_v4(v4_of(high, low))?;
        }
        return check_public_v4(v4);
    }
    match segments {
        [0xfe80..=0xfebf, ..] => Err(Forbidden::LinkLocal),
        [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => Err(Forbidden::Private),
        [0xff00..=0xffff, ..] => Err(Forbidden::Multicast),
        // Protocol assignments below 2001:200:: (RFC 2928), documentation (RFC 3849, RFC 9637).
        [0x2001, 0..0x200 | 0xdb8, ..] | [0x3fff, 0..0x1000, ..] => Err(Forbidden::Special),
        // Only 2000::/3 is assigned as global unicast (RFC 4291 section 2.5.4).
        [0x2000..=0x3fff, ..] => Ok(()),
        _ => Err(Forbidden::Special),
    }
}

#[cfg(test)]
mod tests {
    use super::Forbidden::{LinkLocal, Loopback, Multicast, Private, Special};
    use super::*;

    /// Each form with its class; `None` is allowed.
    const TABLE: &[(&str, Option<Forbidden>)] = &[
        ("8.8.8.8", None),
        ("1.1.1.1", None),
        ("100.63.255.255", None),
        ("100.128.0.0", None),
        ("172.15.255.255", None),
        ("172.32.0.0", None),
        ("192.0.1.1", None),
        ("198.17.255.255", None),
        ("198.20.0.0", None),
        ("223.255.255.255", None),
        ("0.0.0.0", Some(Special)),
        ("0.1.2.3", Some(Special)),
        ("10.0.0.0", Some(Private)),
        ("10.255.255.255", Some(Private)),
        ("100.64.0.0", Some(Private)),
        ("100.127.255.255", Some(Private)),
        ("127.0.0.1", Some(Loopback)),
        ("127.255.255.254", Some(Loopback)),
        ("169.254.0.1", Some(LinkLocal)),
        ("169.254.169.254", Some(LinkLocal)),
        ("172.16.0.0", Some(Private)),
        ("172.31.255.255", Some(Private)),
        ("192.0.0.1", Some(Special)),
        ("192.0.2.1", Some(Special)),
        ("192.88.99.1", Some(Special)),
        ("192.168.0.1", Some(Private)),
        ("198.18.0.0", Some(Special)),
        ("198.19.255.255", Some(Special)),
        ("198.51.100.1", Some(Special)),
        ("203.0.113.1", Some(Special)),
        ("224.0.0.1", Some(Multicast)),
        ("239.255.255.255", Some(Multicast)),
        ("240.0.0.1", Some(Special)),
        ("255.255.255.255", Some(Special)),
        ("2606:4700:4700::1111", None),
        ("2001:200::1", None),
        ("2a00:1450:4001::1", None),
        ("3fff:1000::1", None),
        ("::", Some(Special)),
        ("::1", Some(Loopback)),
        ("::2", Some(Special)),
        ("::ffff:8.8.8.8", None),
        ("::ffff:127.0.0.1", Some(Loopback)),
        ("::ffff:10.0.0.1", Some(Private)),
        ("::ffff:169.254.169.254", Some(LinkLocal)),
        ("::127.0.0.1", Some(Loopback)),
        ("::192.168.1.1", Some(Private)),
        ("::ffff:0:127.0.0.1", Some(Loopback)),
        ("64:ff9b::8.8.8.8", None),
        ("64:ff9b::127.0.0.1", Some(Loopback)),
        ("64:ff9b::169.254.169.254", Some(LinkLocal)),
        ("64:ff9b:1::8.8.8.8", Some(Special)),
        ("2002:808:808::1", None),
        ("2002:7f00:1::1", Some(Loopback)),
        ("2002:a00:1::1", Some(Private)),
        ("2002:a9fe:a9fe::1", Some(LinkLocal)),
        // Teredo with the server 8.8.8.8, and the clients 8.8.4.4, 127.0.0.1 and 10.0.0.1.
        ("2001:0:808:808:0:0:f7f7:fbfb", None),
        ("2001:0:808:808:0:0:80ff:fffe", Some(Loopback)),
        ("2001:0:808:808:0:0:f5ff:fffe", Some(Private)),
        ("2001:0:7f00:1:0:0:f7f7:fbfb", Some(Loopback)),
        ("2606:4700::5efe:127.0.0.1", Some(Loopback)),
        ("2606:4700::200:5efe:10.0.0.1", Some(Private)),
        ("100::1", Some(Special)),
        ("2001:2::1", Some(Special)),
        ("2001:20::1", Some(Special)),
        ("2001:db8::1", Some(Special)),
        ("3fff::1", Some(Special)),
        ("4000::1", Some(Special)),
        ("5f00::1", Some(Special)),
        ("fc00::1", Some(Private)),
        ("fd12:3456::1", Some(Private)),
        ("fe80::1", Some(LinkLocal)),
        ("febf::1", Some(LinkLocal)),
        ("fec0::1", Some(Private)),
        ("ff02::1", Some(Multicast)),
    ];

    #[test]
    fn only_global_unicast_is_allowed_in_every_textual_form() {
        for (text, expected) in TABLE {
            assert_eq!(check_public(text.parse().unwrap()).err(), *expected, "{text}");
        }
    }

    #[test]
    fn both_ends_of_every_forbidden_block_are_forbidden_in_every_disguise() {
        let hidden =
            TABLE.iter().filter_map(|(text, expected)| Some((text.parse::<Ipv4Addr>().ok()?, *expected)));
        for (v4, expected) in hidden {
            let [a, b, c, d] = v4.octets().map(u16::from);
            let (high, low) = (a << 8 | b, c << 8 | d);
            for v6 in [
                v4.to_ipv6_mapped(),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x2002, high, low, 1, 2, 3, 4, 5),
                Ipv6Addr::new(0x2001, 0, 0x0808, 0x0808, 0, 0, !high, !low),
                Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, high, low),
            ] {
                assert_eq!(check_public(v6.into()).err(), expected, "{v4} as {v6}");
            }
        }
    }
}

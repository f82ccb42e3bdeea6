//! The addresses that SIP and SDP name, under which peers reach this server: one, or one of each IP version if the SIP socket
//! serves both.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use telepath_sip::AdvertisedAddress;
use telepath_sip::message::Transport;

use crate::start_error::StartError;
use crate::transport::is_dual_stack;

/// The addresses of this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LocalAddresses {
    /// One address for all peers.
    One(IpAddr),
    /// One address for the peers of each IP version.
    Both(Ipv4Addr, Ipv6Addr),
}

impl LocalAddresses {
    /// The addresses of `host` or, without one, those of a SIP socket bound to `bound`. If the socket serves both IP versions
    /// and the host has an address of one only, the other one is that of the socket.
    ///
    /// # Errors
    /// [`StartError::Unresolved`]. Advertising another address instead would make calls without audio.
    pub(crate) async fn find(host: Option<&str>, bound: IpAddr) -> Result<Self, StartError> {
        let both = is_dual_stack(bound);
        let found: Vec<IpAddr> = match host {
            None => Vec::new(),
            Some(host) => match host.parse() {
                Ok(address) => vec![address],
                Err(_not_an_address) => resolve(host, (!both).then(|| bound.is_ipv4())).await?,
            },
        };
        if !both {
            return Ok(Self::One(found.first().copied().unwrap_or_else(|| reachable_address(bound))));
        }
        let v4 = found.iter().find_map(|address| match address {
            IpAddr::V4(v4) => Some(*v4),
            IpAddr::V6(_) => None,
        });
        let v6 = found.iter().find_map(|address| match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(v6) => Some(*v6),
        });
        Ok(Self::Both(v4.unwrap_or_else(routed_v4), v6.unwrap_or_else(routed_v6)))
    }

    /// The addresses for media of a peer whose SIP comes from `peer`, those of its IP version first. SDP may name the other IP
    /// version; a loopback address of it is of use only to a peer on this machine.
    pub(crate) fn for_media_of(self, peer: IpAddr) -> Vec<IpAddr> {
        match self {
            Self::One(address) => vec![address],
            Self::Both(v4, v6) => {
                let (v4, v6) = (IpAddr::from(v4), IpAddr::from(v6));
                let (first, second) = if peer.is_ipv4() { (v4, v6) } else { (v6, v4) };
                let useful = !second.is_loopback() || peer.is_loopback();
                [Some(first), Some(second).filter(|_| useful)].into_iter().flatten().collect()
            }
        }
    }

    /// An advertised address that carriers cannot reach although the socket is open to other machines. An IP version that
    /// this machine does not have is no problem while it has the other.
    pub(crate) fn unreachable(self, bound: IpAddr) -> Option<IpAddr> {
        let in_vain =
            |address: &IpAddr| !bound.is_loopback() && telepath_egress::check_public(*address).is_err();
        match self {
            Self::One(address) => Some(address).filter(in_vain),
            Self::Both(v4, v6) => {
                let addresses = [IpAddr::from(v4), v6.into()];
                let mut present = addresses.into_iter().filter(|address| !address.is_loopback()).peekable();
                if present.peek().is_none() { Some(v4.into()) } else { present.find(in_vain) }
            }
        }
    }

    /// The addresses under which peers reach a listener.
    pub(crate) fn of_listener(
        self,
        transport: Transport,
        listener: SocketAddr,
    ) -> impl Iterator<Item = AdvertisedAddress> {
        let (first, second) = match self {
            Self::One(address) => (address, None),
            Self::Both(v4, v6) => (v4.into(), Some(v6.into())),
        };
        [Some(first), second].into_iter().flatten().map(move |address| AdvertisedAddress {
            transport,
            listener,
            address: SocketAddr::new(address, listener.port()),
        })
    }
}

impl fmt::Display for LocalAddresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(address) => write!(f, "{address}"),
            Self::Both(v4, v6) => write!(f, "{v4} and {v6}"),
        }
    }
}

/// The addresses of a host name: of one IP version (`Some(true)` is IPv4), or of both.
async fn resolve(host: &str, v4: Option<bool>) -> Result<Vec<IpAddr>, StartError> {
    let unresolved = |cause: String| StartError::Unresolved {
        host: host.to_owned(),
        family: v4.map_or("IPv4 or IPv6", |v4| if v4 { "IPv4" } else { "IPv6" }),
        cause,
    };
    let found = tokio::net::lookup_host((host, 0)).await.map_err(|error| unresolved(error.to_string()))?;
    let found = found.map(|address| address.ip()).filter(|ip| v4.is_none_or(|v4| ip.is_ipv4() == v4));
    let found: Vec<IpAddr> = found.collect();
    if found.is_empty() { Err(unresolved("it has none".to_owned())) } else { Ok(found) }
}

/// The address under which peers reach a socket bound to `bound`, an address of one IP version.
fn reachable_address(bound: IpAddr) -> IpAddr {
    match bound {
        _ if !bound.is_unspecified() => bound,
        IpAddr::V4(_) => routed_v4().into(),
        IpAddr::V6(_) => routed_v6().into(),
    }
}

/// The address that the routing table selects for traffic to the Internet; loopback if there is no route. The destination is
/// a documentation address (RFC 5737): routed like any public address and assigned to nobody.
fn routed_v4() -> Ipv4Addr {
    match source_address((Ipv4Addr::UNSPECIFIED, 0).into(), (Ipv4Addr::new(192, 0, 2, 1), 9).into()) {
        Some(IpAddr::V4(address)) => address,
        Some(IpAddr::V6(_)) | None => Ipv4Addr::LOCALHOST,
    }
}

/// As [`routed_v4`], for IPv6 (RFC 3849).
fn routed_v6() -> Ipv6Addr {
    let remote = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    match source_address((Ipv6Addr::UNSPECIFIED, 0).into(), (remote, 9).into()) {
        Some(IpAddr::V6(address)) => address,
        Some(IpAddr::V4(_)) | None => Ipv6Addr::LOCALHOST,
    }
}

/// No packet is sent.
fn source_address(local: SocketAddr, remote: SocketAddr) -> Option<IpAddr> {
    let probed = UdpSocket::bind(local).and_then(|socket| socket.connect(remote).and(socket.local_addr()));
    probed.ok().map(|address| address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    async fn found(host: Option<&str>, bound: &str) -> Result<LocalAddresses, StartError> {
        LocalAddresses::find(host, ip(bound)).await
    }

    #[tokio::test]
    async fn a_host_name_is_resolved_to_the_family_of_the_socket() {
        let one = |text: &str| LocalAddresses::One(ip(text));
        assert_eq!(found(Some("localhost"), "0.0.0.0").await.unwrap(), one("127.0.0.1"));
        assert_eq!(found(Some("203.0.113.7"), "0.0.0.0").await.unwrap(), one("203.0.113.7"));
        assert_eq!(found(None, "127.0.0.1").await.unwrap(), one("127.0.0.1"));
        assert_eq!(found(None, "::1").await.unwrap(), one("::1"));
    }

    #[tokio::test]
    async fn a_dual_stack_socket_has_an_address_of_each_ip_version() {
        for host in [None, Some("203.0.113.7"), Some("2001:db8::7"), Some("localhost")] {
            let LocalAddresses::Both(v4, v6) = found(host, "::").await.unwrap() else { panic!("{host:?}") };
            match host {
                Some("203.0.113.7") => assert_eq!(v4, ip("203.0.113.7")),
                Some("2001:db8::7") => assert_eq!(v6, ip("2001:db8::7")),
                Some(_) => assert_eq!(v4, Ipv4Addr::LOCALHOST),
                None => {}
            }
            assert!(!v4.is_unspecified() && !v6.is_unspecified());
        }
    }

    #[tokio::test]
    async fn a_host_name_without_an_address_is_an_error_that_names_it() {
        for (bound, family) in [("0.0.0.0", "IPv4"), ("::1", "IPv6"), ("::", "IPv4 or IPv6")] {
            let error = found(Some("no-such-host.invalid"), bound).await.unwrap_err().to_string();
            assert!(error.contains("no-such-host.invalid") && error.contains(family), "{error}");
        }
    }

    #[test]
    fn media_addresses_begin_with_the_ip_version_of_the_peer() {
        let both = LocalAddresses::Both("198.51.100.1".parse().unwrap(), "2001:db8::1".parse().unwrap());
        assert_eq!(both.for_media_of(ip("192.0.2.1")), [ip("198.51.100.1"), ip("2001:db8::1")]);
        assert_eq!(both.for_media_of(ip("2001:db8::9")), [ip("2001:db8::1"), ip("198.51.100.1")]);
        let without_v6 = LocalAddresses::Both("198.51.100.1".parse().unwrap(), Ipv6Addr::LOCALHOST);
        assert_eq!(without_v6.for_media_of(ip("192.0.2.1")), [ip("198.51.100.1")], "no route to IPv6 peers");
        assert_eq!(without_v6.for_media_of(ip("127.0.0.1")).len(), 2);
    }

    #[test]
    fn a_private_address_is_advertised_in_vain_unless_the_socket_is_local() {
        let in_vain = |bound: &str, advertised: &str| {
            LocalAddresses::One(ip(advertised)).unreachable(ip(bound)).is_some()
        };
        for private in
            ["10.0.0.5", "192.168.1.2", "172.16.0.1", "100.64.0.1", "127.0.0.1", "169.254.1.1", "fd00::1"]
        {
            assert!(in_vain("0.0.0.0", private), "{private}");
        }
        assert!(!in_vain("0.0.0.0", "8.8.8.8") && !in_vain("10.0.0.5", "9.9.9.9"));
        assert!(!in_vain("127.0.0.1", "127.0.0.1"), "a local test");
        let both = |v4: &str, v6: &str| {
            LocalAddresses::Both(v4.parse().unwrap(), v6.parse().unwrap()).unreachable(ip("::"))
        };
        assert_eq!(both("8.8.8.8", "2606:4700::1"), None);
        assert_eq!(both("8.8.8.8", "::1"), None, "a machine without IPv6");
        assert_eq!(both("10.0.0.5", "2606:4700::1"), Some(ip("10.0.0.5")));
        assert_eq!(both("8.8.8.8", "fd00::1"), Some(ip("fd00::1")));
        assert_eq!(both("127.0.0.1", "::1"), Some(ip("127.0.0.1")));
    }
}

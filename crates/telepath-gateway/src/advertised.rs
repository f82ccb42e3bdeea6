//! The address that SIP and SDP name, under which peers reach this server.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use crate::options::StartError;

/// The address of `host` or, without one, of the SIP socket.
///
/// # Errors
/// [`StartError::Unresolved`]. Advertising another address instead would make calls without audio.
pub(crate) async fn advertised_address(host: Option<&str>, bound: SocketAddr) -> Result<IpAddr, StartError> {
    let Some(host) = host else { return Ok(reachable_address(bound.ip())) };
    if let Ok(address) = host.parse() {
        return Ok(address);
    }
    let unresolved = |cause: String| StartError::Unresolved {
        host: host.to_owned(),
        family: if bound.is_ipv4() { "IPv4" } else { "IPv6" },
        cause,
    };
    let found = tokio::net::lookup_host((host, 0)).await.map_err(|error| unresolved(error.to_string()))?;
    let mut same_family = found.filter(|address| address.is_ipv4() == bound.is_ipv4());
    let address = same_family.next().ok_or_else(|| unresolved("it has none".to_owned()))?;
    Ok(address.ip())
}

/// Whether carriers cannot reach the advertised address although the socket is open to other machines.
pub(crate) fn is_advertised_in_vain(bound: IpAddr, advertised: IpAddr) -> bool {
    !bound.is_loopback() && telepath_egress::check_public(advertised).is_err()
}

/// The address under which peers reach a socket bound to `bound`. For an unspecified address this is the one that the
/// routing table selects for traffic to the Internet; no packet is sent to find it. Falls back to loopback.
fn reachable_address(bound: IpAddr) -> IpAddr {
    if !bound.is_unspecified() {
        return bound;
    }
    // Documentation addresses (RFC 5737, RFC 3849): routed like any public address and assigned to nobody.
    let (local, remote): (SocketAddr, SocketAddr) = match bound {
        IpAddr::V4(_) => ((Ipv4Addr::UNSPECIFIED, 0).into(), (Ipv4Addr::new(192, 0, 2, 1), 9).into()),
        IpAddr::V6(_) => {
            ((Ipv6Addr::UNSPECIFIED, 0).into(), (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 9).into())
        }
    };
    let probed = UdpSocket::bind(local).and_then(|socket| socket.connect(remote).and(socket.local_addr()));
    probed.map_or_else(
        |_| match bound {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        },
        |address| address.ip(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn advertised(host: Option<&str>, bound: &str) -> Result<IpAddr, StartError> {
        advertised_address(host, bound.parse().unwrap()).await
    }

    #[tokio::test]
    async fn a_host_name_is_resolved_to_the_family_of_the_socket() {
        assert_eq!(advertised(Some("localhost"), "0.0.0.0:5060").await.unwrap(), Ipv4Addr::LOCALHOST);
        assert_eq!(
            advertised(Some("203.0.113.7"), "0.0.0.0:5060").await.unwrap(),
            Ipv4Addr::new(203, 0, 113, 7)
        );
        assert_eq!(advertised(None, "127.0.0.1:5060").await.unwrap(), Ipv4Addr::LOCALHOST);
    }

    #[tokio::test]
    async fn a_host_name_without_an_address_is_an_error_that_names_it() {
        let error = advertised(Some("no-such-host.invalid"), "0.0.0.0:5060").await.unwrap_err().to_string();
        assert!(error.contains("no-such-host.invalid") && error.contains("IPv4"), "{error}");
    }

    #[test]
    fn a_private_address_is_advertised_in_vain_unless_the_socket_is_local() {
        let in_vain = |bound: &str, advertised: &str| {
            is_advertised_in_vain(bound.parse().unwrap(), advertised.parse().unwrap())
        };
        for private in
            ["10.0.0.5", "192.168.1.2", "172.16.0.1", "100.64.0.1", "127.0.0.1", "169.254.1.1", "fd00::1"]
        {
            assert!(in_vain("0.0.0.0", private), "{private}");
        }
        assert!(!in_vain("0.0.0.0", "8.8.8.8") && !in_vain("10.0.0.5", "9.9.9.9"));
        assert!(!in_vain("127.0.0.1", "127.0.0.1"), "a local test");
    }
}

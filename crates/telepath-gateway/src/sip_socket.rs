//! Opens the SIP socket and finds the address under which peers reach it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket as StdUdpSocket};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

/// The kernel's receive buffer in bytes: enough for a burst of some thousand SIP messages.
const RECEIVE_BUFFER: usize = 4 * 1024 * 1024;

/// Binds a non-blocking UDP socket with a large receive buffer.
///
/// # Errors
/// Any error of the operating system, for example that the port is in use.
pub(crate) fn open_sip_socket(listen: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(listen), Type::DGRAM, Some(Protocol::UDP))?;
    if listen.is_ipv6() {
        // Otherwise an IPv4 peer would appear as an IPv4-mapped IPv6 address.
        socket.set_only_v6(true)?;
    }
    if let Err(error) = socket.set_recv_buffer_size(RECEIVE_BUFFER) {
        tracing::debug!(%error, "could not enlarge the receive buffer of the SIP socket; using the default");
    }
    socket.set_nonblocking(true)?;
    socket.bind(&listen.into())?;
    UdpSocket::from_std(socket.into())
}

/// The address under which peers reach a socket bound to `bound`. For an unspecified address this is the one that the
/// routing table selects for traffic to the Internet; no packet is sent to find it. Falls back to loopback.
pub(crate) fn reachable_address(bound: IpAddr) -> IpAddr {
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
    let probed = StdUdpSocket::bind(local).and_then(|socket| socket.connect(remote).and(socket.local_addr()));
    probed.map_or_else(
        |_| match bound {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        },
        |address| address.ip(),
    )
}

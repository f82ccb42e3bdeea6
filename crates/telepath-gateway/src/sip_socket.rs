//! Opens the SIP socket.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

/// The kernel's receive buffer in bytes: enough for a burst of some thousand SIP messages.
const RECEIVE_BUFFER: usize = 4 * 1024 * 1024;

/// DSCP CS3, the class of signalling (RFC 4594 section 4.2), in the six upper bits of the traffic class.
const TRAFFIC_CLASS: u32 = 24 << 2;

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
    let marked =
        if listen.is_ipv6() { socket.set_tclass_v6(TRAFFIC_CLASS) } else { socket.set_tos_v4(TRAFFIC_CLASS) };
    if let Err(error) = marked {
        tracing::debug!(%error, "could not set the DSCP of the SIP socket");
    }
    socket.set_nonblocking(true)?;
    socket.bind(&listen.into())?;
    UdpSocket::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use socket2::SockRef;

    use super::*;

    #[tokio::test]
    async fn sip_is_marked_with_dscp_cs3() {
        let v4 = open_sip_socket((std::net::Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        assert_eq!(SockRef::from(&v4).tos_v4().unwrap() >> 2, 24);
        // A machine without IPv6 has no socket to mark.
        if let Ok(v6) = open_sip_socket((std::net::Ipv6Addr::LOCALHOST, 0).into()) {
            assert_eq!(SockRef::from(&v6).tclass_v6().unwrap() >> 2, 24);
        }
    }
}

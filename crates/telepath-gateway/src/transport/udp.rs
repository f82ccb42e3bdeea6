//! A SIP socket for UDP. On the unspecified IPv6 address, `[::]`, it serves IPv4 peers too. The kernel shows them with IPv4-mapped
//! addresses (RFC 4291 section 2.5.5.2); everything above this file sees IPv4 addresses.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll, ready};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;

/// The kernel's receive buffer in bytes: enough for a burst of some thousand SIP messages.
const RECEIVE_BUFFER: usize = 4 * 1024 * 1024;

/// DSCP CS3, the class of signalling (RFC 4594 section 4.2), in the six upper bits of the traffic class.
const TRAFFIC_CLASS: u32 = 24 << 2;

/// A non-blocking UDP socket with a large receive buffer.
#[derive(Debug)]
pub(crate) struct SipSocket {
    socket: UdpSocket,
    local: SocketAddr,
}

impl SipSocket {
    /// Binds the socket.
    ///
    /// # Errors
    /// Any error of the operating system, for example that the port is in use.
    pub(crate) fn open(listen: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(listen), Type::DGRAM, Some(Protocol::UDP))?;
        if listen.is_ipv6() {
            // The default of the system differs.
            socket.set_only_v6(!is_dual_stack(listen.ip()))?;
        }
        if let Err(error) = socket.set_recv_buffer_size(RECEIVE_BUFFER) {
            tracing::debug!(%error, "could not enlarge the receive buffer of the SIP socket; using the default");
        }
        mark(&socket, listen.ip());
        socket.set_nonblocking(true)?;
        socket.bind(&listen.into())?;
        let socket = UdpSocket::from_std(socket.into())?;
        let local = socket.local_addr()?;
        Ok(Self { socket, local })
    }

    /// The address that the socket is bound to.
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Reads a datagram, or wakes the task when one arrives; returns its length and source.
    ///
    /// # Errors
    /// Any error of the operating system, for example the ICMP error of an earlier datagram.
    pub(super) fn poll_recv_from(
        &self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        let mut buffer = ReadBuf::new(buffer);
        let received = ready!(self.socket.poll_recv_from(context, &mut buffer));
        Poll::Ready(received.map(|from| canonical((buffer.filled().len(), from))))
    }

    /// Reads a datagram that has arrived.
    ///
    /// # Errors
    /// `WouldBlock` if there is none, or as [`Self::poll_recv_from`].
    pub(crate) fn try_recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.socket.try_recv_from(buffer).map(canonical)
    }

    /// Sends a datagram.
    ///
    /// # Errors
    /// Any error of the operating system.
    pub(crate) async fn send_to(&self, datagram: &[u8], to: SocketAddr) -> io::Result<usize> {
        let to = match to.ip() {
            IpAddr::V4(ip) if self.local.is_ipv6() => SocketAddr::new(ip.to_ipv6_mapped().into(), to.port()),
            IpAddr::V4(_) | IpAddr::V6(_) => to,
        };
        self.socket.send_to(datagram, to).await
    }
}

/// Whether a socket on this address serves both IP versions.
pub(crate) fn is_dual_stack(listen: IpAddr) -> bool {
    listen.is_ipv6() && listen.is_unspecified()
}

fn canonical((length, from): (usize, SocketAddr)) -> (usize, SocketAddr) {
    (length, SocketAddr::new(from.ip().to_canonical(), from.port()))
}

/// Sets the traffic class of sent packets. Networks may ignore it.
pub(super) fn mark(socket: &Socket, listen: IpAddr) {
    let mut marked = Ok(());
    if listen.is_ipv6() {
        marked = socket.set_tclass_v6(TRAFFIC_CLASS);
    }
    if listen.is_ipv4() || is_dual_stack(listen) {
        marked = marked.and(socket.set_tos_v4(TRAFFIC_CLASS));
    }
    if let Err(error) = marked {
        tracing::debug!(%error, "could not set the DSCP of a SIP socket");
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::net::{Ipv4Addr, Ipv6Addr};

    use socket2::SockRef;

    use super::*;

    #[tokio::test]
    async fn the_receive_buffer_holds_a_burst_or_as_much_as_the_system_allows() {
        let sip = SipSocket::open((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let allowed = std::fs::read_to_string("/proc/sys/net/core/rmem_max").unwrap();
        let expected = RECEIVE_BUFFER.min(allowed.trim().parse().unwrap());
        // Linux reports twice what was asked for, because it counts its own overhead (socket(7)).
        assert_eq!(SockRef::from(&sip.socket).recv_buffer_size().unwrap(), expected * 2);
    }

    #[tokio::test]
    async fn sip_is_marked_with_dscp_cs3() {
        let v4 = SipSocket::open((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        assert_eq!(SockRef::from(&v4.socket).tos_v4().unwrap() >> 2, 24);
        // A machine without IPv6 has no socket to mark.
        if let Ok(v6) = SipSocket::open((Ipv6Addr::LOCALHOST, 0).into()) {
            assert_eq!(SockRef::from(&v6.socket).tclass_v6().unwrap() >> 2, 24);
        }
        if let Ok(both) = SipSocket::open((Ipv6Addr::UNSPECIFIED, 0).into()) {
            assert_eq!(SockRef::from(&both.socket).tclass_v6().unwrap() >> 2, 24);
            assert_eq!(SockRef::from(&both.socket).tos_v4().unwrap() >> 2, 24);
        }
    }

    #[tokio::test]
    async fn a_socket_on_the_unspecified_ipv6_address_sees_ipv4_peers_with_ipv4_addresses() {
        let Ok(socket) = SipSocket::open((Ipv6Addr::UNSPECIFIED, 0).into()) else { return };
        let port = socket.local_addr().port();
        for address in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
            let peer = UdpSocket::bind((address, 0)).await.unwrap();
            peer.send_to(b"ping", (address, port)).await.unwrap();
            let mut buffer = [0; 16];
            let (length, from) =
                poll_fn(|context| socket.poll_recv_from(context, &mut buffer)).await.unwrap();
            assert_eq!((&buffer[..length], from), (&b"ping"[..], peer.local_addr().unwrap()));
            socket.send_to(b"pong", from).await.unwrap();
            let (length, from) = peer.recv_from(&mut buffer).await.unwrap();
            assert_eq!((&buffer[..length], from), (&b"pong"[..], (address, port).into()));
        }
    }
}

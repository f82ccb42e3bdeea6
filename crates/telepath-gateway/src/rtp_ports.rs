//! The pool of RTP ports. An even port is leased together with its bound socket, and with a socket on the next higher
//! port for RTCP (RFC 3550 section 11). After the call the ports drain for a while, so that late packets do not reach
//! another call, and then go to the end of the queue.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

/// Maximum number of ports in use by other programs that one lease skips.
const MAX_ATTEMPTS: usize = 64;

/// `SO_RCVBUF` in bytes: some seconds of audio, for a process that is not scheduled for a while.
const RECEIVE_BUFFER: usize = 256 * 1024;
/// The traffic class of audio: DSCP Expedited Forwarding (RFC 3246, RFC 4594 section 4.1) in the upper six bits.
const EXPEDITED_FORWARDING: u32 = 46 << 2;

/// Every port is leased, draining or in use by another program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("all RTP ports are in use")]
pub(crate) struct PortsExhausted;

#[derive(Debug)]
pub(crate) struct PortPool {
    ip: IpAddr,
    drain: Duration,
    total: usize,
    state: Mutex<PoolState>,
}

#[derive(Debug)]
struct PoolState {
    free: VecDeque<u16>,
    /// Draining ports in the order in which they become free.
    draining: VecDeque<(Instant, u16)>,
}

/// A port with its sockets. Dropping the lease closes the sockets and starts draining the port.
#[derive(Debug)]
pub(crate) struct RtpLease {
    socket: Option<UdpSocket>,
    rtcp_socket: Option<UdpSocket>,
    port: u16,
    pool: Arc<PortPool>,
}

impl PortPool {
    /// Uses the even ports of the range; `None` if there are none.
    pub(crate) fn new(ip: IpAddr, range: RangeInclusive<u16>, drain: Duration) -> Option<Arc<Self>> {
        let free: VecDeque<u16> = range.filter(|port| port % 2 == 0 && *port > 0).collect();
        let total = free.len();
        let state = Mutex::new(PoolState { free, draining: VecDeque::new() });
        (total > 0).then(|| Arc::new(Self { ip, drain, total, state }))
    }

    /// Leases the port that has been unused for the longest time.
    ///
    /// # Errors
    /// [`PortsExhausted`].
    pub(crate) fn lease(self: &Arc<Self>, now: Instant) -> Result<RtpLease, PortsExhausted> {
        for _ in 0..MAX_ATTEMPTS {
            let port = self.take(now).ok_or(PortsExhausted)?;
            match bind(SocketAddr::new(self.ip, port)) {
                Ok(socket) => {
                    let rtcp_socket = bind_rtcp(self.ip, port);
                    return Ok(RtpLease { socket: Some(socket), rtcp_socket, port, pool: self.clone() });
                }
                Err(error) => {
                    tracing::debug!(port, %error, "could not bind an RTP port; trying the next one");
                    self.state().free.push_back(port);
                }
            }
        }
        Err(PortsExhausted)
    }

    /// The number of leased ports.
    pub(crate) fn leased(&self) -> usize {
        let state = self.state();
        self.total - state.free.len() - state.draining.len()
    }

    /// The number of ports.
    pub(crate) const fn total(&self) -> usize {
        self.total
    }

    fn take(&self, now: Instant) -> Option<u16> {
        let mut state = self.state();
        while let Some(&(free_at, port)) = state.draining.front()
            && free_at <= now
        {
            state.draining.pop_front();
            state.free.push_back(port);
        }
        state.free.pop_front()
    }

    fn state(&self) -> MutexGuard<'_, PoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RtpLease {
    /// The port for our SDP.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The bound socket; `None` only while the lease is being dropped.
    pub(crate) fn socket(&self) -> Option<&UdpSocket> {
        self.socket.as_ref()
    }

    /// The socket for RTCP; `None` if another program uses its port.
    pub(crate) fn rtcp_socket(&self) -> Option<&UdpSocket> {
        self.rtcp_socket.as_ref()
    }

    /// Closes the socket for RTCP if RTP and RTCP share a port (RFC 5761), or opens it again.
    pub(crate) fn set_rtcp_muxed(&mut self, muxed: bool) {
        if muxed {
            self.rtcp_socket = None;
        } else if self.rtcp_socket.is_none() {
            self.rtcp_socket = bind_rtcp(self.pool.ip, self.port);
        }
    }

    /// Sends an RTP packet; `false` if it could not be sent.
    pub(crate) fn try_send(&self, datagram: &[u8], to: SocketAddr) -> bool {
        self.try_send_from(self.socket.as_ref(), datagram, to)
    }

    /// Sends an RTCP packet from its own port; `false` if it could not be sent.
    pub(crate) fn try_send_rtcp(&self, datagram: &[u8], to: SocketAddr) -> bool {
        self.try_send_from(self.rtcp_socket.as_ref(), datagram, to)
    }

    fn try_send_from(&self, socket: Option<&UdpSocket>, datagram: &[u8], to: SocketAddr) -> bool {
        let to = match (self.pool.ip, to.ip()) {
            // A dual-stack socket takes IPv4 addresses in their IPv6 form (RFC 4291 section 2.5.5.2).
            (IpAddr::V6(_), IpAddr::V4(ip)) => SocketAddr::new(ip.to_ipv6_mapped().into(), to.port()),
            _ => to,
        };
        socket.is_some_and(|socket| socket.try_send_to(datagram, to).is_ok())
    }
}

impl Drop for RtpLease {
    fn drop(&mut self) {
        // Close the sockets before the port can be leased again.
        drop(self.socket.take());
        drop(self.rtcp_socket.take());
        let free_at = Instant::now() + self.pool.drain;
        self.pool.state().draining.push_back((free_at, self.port));
    }
}

/// Binds the RTCP socket of an RTP port. Without it the call works, but without reports.
fn bind_rtcp(ip: IpAddr, port: u16) -> Option<UdpSocket> {
    bind(SocketAddr::new(ip, port + 1))
        .inspect_err(|error| tracing::debug!(port, %error, "could not bind an RTCP port"))
        .ok()
}

/// Binds a socket. On the unspecified IPv6 address it serves IPv4 too.
fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    prioritize(&socket, address);
    if let Err(error) = socket.set_recv_buffer_size(RECEIVE_BUFFER) {
        tracing::debug!(%error, "could not enlarge the receive buffer of an RTP socket; using the default");
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

/// Sets the traffic class of sent packets. Networks may ignore it.
fn prioritize(socket: &Socket, address: SocketAddr) {
    let mut result = Ok(());
    if address.is_ipv6() {
        result = socket.set_tclass_v6(EXPEDITED_FORWARDING);
    }
    // On a dual-stack socket for IPv4 packets.
    if address.is_ipv4() || address.ip().is_unspecified() {
        result = result.and(socket.set_tos_v4(EXPEDITED_FORWARDING));
    }
    if let Err(error) = result {
        tracing::debug!(%error, "could not set the traffic class of an RTP socket");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[tokio::test]
    async fn only_even_ports_are_leased_and_a_released_port_drains() {
        let drain = Duration::from_hours(1);
        let pool = PortPool::new(LOOPBACK, 19_000..=19_003, drain).unwrap();
        let now = Instant::now();
        let first = pool.lease(now).unwrap();
        let second = pool.lease(now).unwrap();
        assert_eq!((first.port(), second.port()), (19_000, 19_002));
        assert_eq!(pool.lease(now).unwrap_err(), PortsExhausted);
        drop(first);
        assert_eq!(pool.leased(), 1);
        assert_eq!(pool.lease(now).unwrap_err(), PortsExhausted, "the port is draining");
        assert_eq!(pool.lease(now + drain * 2).unwrap().port(), 19_000);
    }

    #[tokio::test]
    async fn a_port_in_use_by_another_program_is_skipped() {
        let other = std::net::UdpSocket::bind((LOOPBACK, 19_010)).unwrap();
        let pool = PortPool::new(LOOPBACK, 19_010..=19_013, Duration::ZERO).unwrap();
        assert_eq!(pool.lease(Instant::now()).unwrap().port(), 19_012);
        drop(other);
    }

    #[tokio::test]
    async fn rtcp_is_received_on_the_next_higher_port_and_both_ports_are_released() {
        let pool = PortPool::new(LOOPBACK, 19_020..=19_021, Duration::ZERO).unwrap();
        let lease = pool.lease(Instant::now()).unwrap();
        let report = [0x80, 201, 0, 1, 0, 0, 0, 9];
        let peer = UdpSocket::bind((LOOPBACK, 0)).await.unwrap();
        peer.send_to(&report, (LOOPBACK, 19_021)).await.unwrap();
        let mut buffer = [0; 64];
        let (length, _) = lease.rtcp_socket().unwrap().recv_from(&mut buffer).await.unwrap();
        assert_eq!(buffer[..length], report);
        drop(lease);
        drop(std::net::UdpSocket::bind((LOOPBACK, 19_021)).unwrap());
        let other = std::net::UdpSocket::bind((LOOPBACK, 19_021)).unwrap();
        let lease = pool.lease(Instant::now()).unwrap();
        assert!(lease.rtcp_socket().is_none(), "a call works without RTCP");
        drop(other);
    }

    #[tokio::test]
    async fn a_shared_port_needs_one_socket_and_rtcp_is_sent_from_its_own_port_otherwise() {
        let pool = PortPool::new(LOOPBACK, 19_060..=19_061, Duration::ZERO).unwrap();
        let mut lease = pool.lease(Instant::now()).unwrap();
        let peer = UdpSocket::bind((LOOPBACK, 0)).await.unwrap();
        lease.set_rtcp_muxed(true);
        drop(std::net::UdpSocket::bind((LOOPBACK, 19_061)).unwrap());
        assert!(!lease.try_send_rtcp(b"rtcp", peer.local_addr().unwrap()));
        lease.set_rtcp_muxed(false);
        lease.rtcp_socket().unwrap().writable().await.unwrap();
        assert!(lease.try_send_rtcp(b"rtcp", peer.local_addr().unwrap()));
        let (_, from) = peer.recv_from(&mut [0; 8]).await.unwrap();
        assert_eq!(from.port(), 19_061);
    }

    #[tokio::test]
    async fn the_receive_buffer_holds_seconds_of_audio_or_as_much_as_the_system_allows() {
        let pool = PortPool::new(LOOPBACK, 19_050..=19_051, Duration::ZERO).unwrap();
        let lease = pool.lease(Instant::now()).unwrap();
        let allowed = std::fs::read_to_string("/proc/sys/net/core/rmem_max").unwrap();
        let expected = RECEIVE_BUFFER.min(allowed.trim().parse().unwrap());
        // Linux reports twice what was asked for, because it counts its own overhead (socket(7)).
        let socket = socket2::SockRef::from(lease.socket.as_ref().unwrap());
        assert_eq!(socket.recv_buffer_size().unwrap(), expected * 2);
    }

    #[tokio::test]
    async fn rtp_is_sent_with_dscp_expedited_forwarding() {
        let pool = PortPool::new(LOOPBACK, 19_030..=19_031, Duration::ZERO).unwrap();
        let lease = pool.lease(Instant::now()).unwrap();
        let socket = socket2::SockRef::from(lease.socket().unwrap());
        assert_eq!(socket.tos_v4().unwrap(), 0xb8);
        let six = bind("[::1]:0".parse().unwrap());
        if let Ok(six) = six {
            assert_eq!(socket2::SockRef::from(&six).tclass_v6().unwrap(), 0xb8);
        }
    }

    #[tokio::test]
    async fn a_socket_on_the_unspecified_ipv6_address_exchanges_rtp_with_ipv4_peers() {
        let unspecified = IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED);
        let pool = PortPool::new(unspecified, 19_040..=19_041, Duration::ZERO).unwrap();
        let lease = pool.lease(Instant::now()).unwrap();
        let peer = UdpSocket::bind((LOOPBACK, 0)).await.unwrap();
        lease.socket().unwrap().writable().await.unwrap();
        assert!(lease.try_send(b"rtp", peer.local_addr().unwrap()));
        let mut buffer = [0; 64];
        let (length, from) = peer.recv_from(&mut buffer).await.unwrap();
        assert_eq!((&buffer[..length], from.port()), (&b"rtp"[..], 19_040));
    }

    #[test]
    fn a_range_without_an_even_port_is_rejected() {
        assert!(PortPool::new(LOOPBACK, 7..=7, Duration::ZERO).is_none());
    }
}

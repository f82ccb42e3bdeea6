//! The pool of RTP ports. A port is leased together with its bound socket. After the call the port drains for a while,
//! so that late packets do not reach another call, and then goes to the end of the queue.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;

/// Maximum number of ports in use by other programs that one lease skips.
const MAX_ATTEMPTS: usize = 64;

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

/// A port with its socket. Dropping the lease closes the socket and starts draining the port.
#[derive(Debug)]
pub(crate) struct RtpLease {
    socket: Option<UdpSocket>,
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
                Ok(socket) => return Ok(RtpLease { socket: Some(socket), port, pool: self.clone() }),
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
}

impl Drop for RtpLease {
    fn drop(&mut self) {
        // Close the socket before the port can be leased again.
        drop(self.socket.take());
        let free_at = Instant::now() + self.pool.drain;
        self.pool.state().draining.push_back((free_at, self.port));
    }
}

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = std::net::UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
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

    #[test]
    fn a_range_without_an_even_port_is_rejected() {
        assert!(PortPool::new(LOOPBACK, 7..=7, Duration::ZERO).is_none());
    }
}

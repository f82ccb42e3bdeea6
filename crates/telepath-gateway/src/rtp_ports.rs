//! The pool of media ports. A port is leased with its bound socket, rests for a while after the call so that late
//! packets hit nobody, and goes to the end of the queue, so that the same port is not used again soon.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;

/// Ports held by other programs that one lease steps over before it gives up.
const MAX_TRIES: usize = 64;

/// Every port is in use or resting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("all RTP ports are in use")]
pub(crate) struct PortsUsedUp;

#[derive(Debug)]
pub(crate) struct PortPool {
    ip: IpAddr,
    drain: Duration,
    total: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    free: VecDeque<u16>,
    /// Resting ports in the order in which they will have rested.
    resting: VecDeque<(Instant, u16)>,
}

/// A port with its socket. Dropping it closes the socket and lets the port rest.
#[derive(Debug)]
pub(crate) struct RtpLease {
    socket: Option<UdpSocket>,
    port: u16,
    pool: Arc<PortPool>,
}

impl PortPool {
    /// `None` when the range holds no even port.
    pub(crate) fn new(ip: IpAddr, range: RangeInclusive<u16>, drain: Duration) -> Option<Arc<Self>> {
        let free: VecDeque<u16> = range.filter(|port| port % 2 == 0 && *port > 0).collect();
        let total = free.len();
        let state = Mutex::new(State { free, resting: VecDeque::new() });
        (total > 0).then(|| Arc::new(Self { ip, drain, total, state }))
    }

    /// Binds the port that was unused for the longest time.
    pub(crate) fn lease(self: &Arc<Self>, now: Instant) -> Result<RtpLease, PortsUsedUp> {
        for _ in 0..MAX_TRIES {
            let port = self.take(now).ok_or(PortsUsedUp)?;
            match bind(SocketAddr::new(self.ip, port)) {
                Ok(socket) => return Ok(RtpLease { socket: Some(socket), port, pool: self.clone() }),
                Err(error) => {
                    tracing::debug!(port, %error, "an RTP port is held by another program");
                    self.state().free.push_back(port);
                }
            }
        }
        Err(PortsUsedUp)
    }

    /// Ports that calls hold now.
    pub(crate) fn leased(&self) -> usize {
        let state = self.state();
        self.total - state.free.len() - state.resting.len()
    }

    fn take(&self, now: Instant) -> Option<u16> {
        let mut state = self.state();
        while let Some(&(rested, port)) = state.resting.front()
            && rested <= now
        {
            state.resting.pop_front();
            state.free.push_back(port);
        }
        state.free.pop_front()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RtpLease {
    /// The port to put into SDP.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The bound socket. It is there until the lease is dropped.
    pub(crate) fn socket(&self) -> Option<&UdpSocket> {
        self.socket.as_ref()
    }
}

impl Drop for RtpLease {
    fn drop(&mut self) {
        // Closed before the port can be leased again.
        drop(self.socket.take());
        let rested = Instant::now() + self.pool.drain;
        self.pool.state().resting.push_back((rested, self.port));
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
    async fn only_even_ports_are_leased_and_a_used_one_rests() {
        let drain = Duration::from_hours(1);
        let pool = PortPool::new(LOOPBACK, 19_000..=19_003, drain).unwrap();
        let now = Instant::now();
        let first = pool.lease(now).unwrap();
        let second = pool.lease(now).unwrap();
        assert_eq!((first.port(), second.port()), (19_000, 19_002));
        assert_eq!(pool.lease(now).unwrap_err(), PortsUsedUp);
        drop(first);
        assert_eq!(pool.leased(), 1);
        assert_eq!(pool.lease(now).unwrap_err(), PortsUsedUp, "it rests");
        assert_eq!(pool.lease(now + drain * 2).unwrap().port(), 19_000);
    }

    #[tokio::test]
    async fn a_port_held_by_another_program_is_stepped_over() {
        let other = std::net::UdpSocket::bind((LOOPBACK, 19_010)).unwrap();
        let pool = PortPool::new(LOOPBACK, 19_010..=19_013, Duration::ZERO).unwrap();
        assert_eq!(pool.lease(Instant::now()).unwrap().port(), 19_012);
        drop(other);
    }

    #[test]
    fn a_range_without_an_even_port_is_refused() {
        assert!(PortPool::new(LOOPBACK, 7..=7, Duration::ZERO).is_none());
    }
}

//! Connects to the first of several addresses that accepts (Happy Eyeballs, RFC 8305). An address that drops packets delays
//! the connection by [`ATTEMPT_DELAY`], not by the whole time that a connection has.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::error::EgressError;

/// How long an attempt has before the next one starts beside it (RFC 8305 section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Connects to the first address that accepts. The other attempts end.
pub(crate) async fn race(addresses: Vec<SocketAddr>) -> Result<TcpStream, EgressError> {
    let mut waiting = interleave(addresses);
    let mut attempts = FuturesUnordered::new();
    let mut last = EgressError::Connect(io::ErrorKind::NotFound.into());
    loop {
        match waiting.pop_front() {
            Some(address) => attempts.push(connect(address)),
            None if attempts.is_empty() => return Err(last),
            None => {}
        }
        tokio::select! {
            biased;
            Some(done) = attempts.next() => match done {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            },
            () = sleep(ATTEMPT_DELAY), if !waiting.is_empty() => {}
        }
    }
}

/// The order of attempts: both families in turn, IPv6 first, each in the resolver's order (RFC 8305 section 4).
fn interleave(addresses: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let (mut v6, mut v4): (VecDeque<_>, VecDeque<_>) = addresses.into_iter().partition(SocketAddr::is_ipv6);
    let mut order = VecDeque::with_capacity(v6.len() + v4.len());
    while !v6.is_empty() || !v4.is_empty() {
        order.extend(v6.pop_front());
        order.extend(v4.pop_front());
    }
    order
}

/// Detects a kernel that redirects a checked connection to another address.
async fn connect(address: SocketAddr) -> Result<TcpStream, EgressError> {
    let stream = TcpStream::connect(address).await.map_err(EgressError::Connect)?;
    let peer = stream.peer_addr().map_err(EgressError::Connect)?;
    let same = peer.ip().to_canonical() == address.ip().to_canonical() && peer.port() == address.port();
    if same { Ok(stream) } else { Err(EgressError::OtherPeer) }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpSocket};
    use tokio::time::timeout;

    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn attempts_alternate_between_the_families_with_ipv6_first() {
        let [a4, b4, c4] = ["192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1"].map(address);
        let [a6, b6] = ["[2001:db8::1]:1", "[2001:db8::2]:1"].map(address);
        assert_eq!(interleave(vec![a4, b4, c4, a6, b6]), [a6, a4, b6, b4, c4]);
        assert_eq!(interleave(vec![a4, b4]), [a4, b4]);
        assert_eq!(interleave(vec![]), [] as [SocketAddr; 0]);
    }

    /// An address that drops SYN segments, as long as the returned sockets exist: its queue of connections is full.
    async fn black_hole() -> (SocketAddr, TcpListener, Vec<TcpStream>) {
        // Without IPv6 an IPv4 address stands for it.
        let v6 = TcpSocket::new_v6().and_then(|socket| socket.bind(address("[::1]:0")).map(|()| socket));
        let socket = v6.unwrap_or_else(|_| {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind(address("127.0.0.2:0")).unwrap();
            socket
        });
        let listener = socket.listen(1).unwrap();
        let target = listener.local_addr().unwrap();
        let mut filling = Vec::new();
        loop {
            match timeout(Duration::from_secs(2), TcpStream::connect(target)).await {
                Ok(stream) => filling.push(stream.unwrap()),
                Err(_elapsed) if filling.len() > 1 => return (target, listener, filling),
                Err(_elapsed) => {}
            }
        }
    }

    #[tokio::test]
    async fn an_ipv6_address_that_drops_packets_does_not_hold_up_ipv4() {
        let (hole, _listener, _filling) = black_hole().await;
        let good = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = race(vec![hole, good.local_addr().unwrap()]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good.local_addr().unwrap());
    }

    #[tokio::test]
    async fn refused_addresses_are_followed_by_the_next_and_the_last_error_is_reported() {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let refused = closed.local_addr().unwrap();
        drop(closed);
        let good = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = race(vec![refused, refused, good.local_addr().unwrap()]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good.local_addr().unwrap());
        let error = race(vec![refused]).await.unwrap_err();
        assert!(matches!(error, EgressError::Connect(_)), "{error:?}");
        assert!(matches!(race(vec![]).await, Err(EgressError::Connect(_))));
    }
}

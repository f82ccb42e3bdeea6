//! The doors: TLS, plain HTTP on a loopback address, and the socket of local administration. Each accepts no more
//! connections than it may hold, gives every peer a bounded time for each step, and lets running requests end when the
//! server stops.

mod connection;
mod whole;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::Api;
use connection::{serve_local, serve_loopback, serve_tls};

/// The protocols to offer in the TLS handshake (RFC 7301), the preferred one first.
pub const ALPN_PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// How often the histograms are folded into their buckets.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);
/// How long to wait when the system has no descriptors left, before trying to accept again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Plain HTTP was asked for where it is not allowed, or the address could not be used.
#[derive(Debug, thiserror::Error)]
pub enum LoopbackError {
    /// Keys would be readable on the way.
    #[error("plain HTTP is served only on a loopback address, and {0} is not one; use TLS there")]
    NotLoopback(SocketAddr),
    /// The system refused.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// On which address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// A listener that is known to be reachable from this machine only.
#[derive(Debug)]
pub struct LoopbackListener(TcpListener);

impl LoopbackListener {
    /// Listens on a loopback address; refuses every other.
    pub async fn bind(address: SocketAddr) -> Result<Self, LoopbackError> {
        if !address.ip().to_canonical().is_loopback() {
            return Err(LoopbackError::NotLoopback(address));
        }
        let listener = TcpListener::bind(address).await;
        listener.map(Self).map_err(|source| LoopbackError::Bind { address, source })
    }

    /// Where it listens; tells the port when 0 was asked for.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// A listener with what its connections need.
enum Door {
    Tls(TcpListener, watch::Receiver<Arc<ServerConfig>>),
    Loopback(TcpListener),
    Local(UnixListener),
}

/// Somebody at a door.
enum Guest {
    Tls(TcpStream, SocketAddr, Arc<ServerConfig>),
    Loopback(TcpStream, SocketAddr),
    Local(UnixStream),
}

impl Door {
    async fn accept(&self) -> io::Result<Guest> {
        match self {
            Door::Tls(listener, config) => {
                let (stream, peer) = listener.accept().await?;
                let config = Arc::clone(&config.borrow());
                Ok(Guest::Tls(stream, peer, config))
            }
            Door::Loopback(listener) => {
                listener.accept().await.map(|(stream, peer)| Guest::Loopback(stream, peer))
            }
            Door::Local(listener) => listener.accept().await.map(|(stream, _)| Guest::Local(stream)),
        }
    }
}

impl Api {
    /// Serves HTTPS until `shutdown`, then until the running requests have ended or their time is over. Each new
    /// connection uses the newest configuration, so certificates can be replaced; it should offer [`ALPN_PROTOCOLS`].
    pub async fn serve_tls(
        self: Arc<Self>,
        listener: TcpListener,
        tls: watch::Receiver<Arc<ServerConfig>>,
        shutdown: CancellationToken,
    ) {
        self.serve(Door::Tls(listener, tls), shutdown).await;
    }

    /// Serves plain HTTP on a loopback address, like [`Api::serve_tls`] otherwise.
    pub async fn serve_plain_loopback(
        self: Arc<Self>,
        listener: LoopbackListener,
        shutdown: CancellationToken,
    ) {
        self.serve(Door::Loopback(listener.0), shutdown).await;
    }

    /// Serves local administration: every request may do everything, so the socket's file mode is what guards it.
    pub async fn serve_admin_unix(self: Arc<Self>, listener: UnixListener, shutdown: CancellationToken) {
        self.serve(Door::Local(listener), shutdown).await;
    }

    async fn serve(self: Arc<Self>, door: Door, shutdown: CancellationToken) {
        let limits = self.shared.options.connections;
        let room = Arc::new(Semaphore::new(limits.at_once));
        let guests = TaskTracker::new();
        let mut upkeep = tokio::time::interval(UPKEEP_EVERY);
        loop {
            let accepted = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                _ = upkeep.tick() => {
                    self.run_upkeep();
                    continue;
                }
                accepted = accept_with_room(&door, &room) => accepted,
            };
            match accepted {
                Ok((guest, permit)) => {
                    // A token of its own: each wake-up of a connection looks at it, under the token's lock.
                    let (api, shutdown) = (Arc::clone(&self), shutdown.child_token());
                    guests.spawn(async move {
                        welcome(api, guest, shutdown).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(door);
        guests.close();
        // Each connection bounds its own drain; the extra second is for the tasks to end.
        if tokio::time::timeout(limits.drain + Duration::from_secs(1), guests.wait()).await.is_err() {
            tracing::warn!(left = guests.len(), "connections were cut off at the end of the drain");
        }
    }
}

/// Waits for room first, so that what is not accepted waits in the system's queue.
async fn accept_with_room(
    door: &Door,
    room: &Arc<Semaphore>,
) -> io::Result<(Guest, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.map_err(io::Error::other)?;
    Ok((door.accept().await?, permit))
}

async fn welcome(api: Arc<Api>, guest: Guest, shutdown: CancellationToken) {
    match guest {
        Guest::Tls(stream, peer, config) => serve_tls(api, stream, peer.ip(), config, shutdown).await,
        Guest::Loopback(stream, peer) => serve_loopback(api, stream, peer.ip(), shutdown).await,
        Guest::Local(stream) => serve_local(api, stream, shutdown).await,
    }
}

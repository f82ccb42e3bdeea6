//! The sockets that connections arrive on.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;

/// A plain HTTP listener could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum LoopbackError {
    /// API keys would be readable on the network.
    #[error("plain HTTP is served only on a loopback address, and {0} is not one; use TLS there")]
    NotLoopback(SocketAddr),
    /// The system refused the address.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address that was asked for.
        address: SocketAddr,
        /// The error of the system.
        source: io::Error,
    },
}

/// A plain HTTP listener that can be reached from this machine only.
#[derive(Debug)]
pub struct LoopbackListener(pub(crate) TcpListener);

impl LoopbackListener {
    /// Listens on a loopback address; refuses every other.
    pub async fn bind(address: SocketAddr) -> Result<Self, LoopbackError> {
        if !address.ip().to_canonical().is_loopback() {
            return Err(LoopbackError::NotLoopback(address));
        }
        let listener = TcpListener::bind(address).await;
        listener.map(Self).map_err(|source| LoopbackError::Bind { address, source })
    }

    /// The bound address, with the port that the system chose if 0 was asked for.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// A listening socket with what its connections need.
pub(crate) enum Listener {
    Tls(TcpListener, watch::Receiver<Arc<ServerConfig>>),
    Plain(TcpListener),
    Unix(UnixListener),
}

/// An accepted connection.
pub(crate) enum Accepted {
    Tls(TcpStream, SocketAddr, Arc<ServerConfig>),
    Plain(TcpStream, SocketAddr),
    Unix(UnixStream),
}

impl Accepted {
    /// The address of the other end, if the connection came over the network.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        match self {
            Accepted::Tls(_, peer, _) | Accepted::Plain(_, peer) => Some(*peer),
            Accepted::Unix(_) => None,
        }
    }
}

impl Listener {
    pub(crate) async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Listener::Tls(listener, config) => {
                let (stream, peer) = listener.accept().await?;
                let config = Arc::clone(&config.borrow());
                Ok(Accepted::Tls(stream, peer, config))
            }
            Listener::Plain(listener) => {
                listener.accept().await.map(|(stream, peer)| Accepted::Plain(stream, peer))
            }
            Listener::Unix(listener) => listener.accept().await.map(|(stream, _)| Accepted::Unix(stream)),
        }
    }
}

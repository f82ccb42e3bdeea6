//! The connections that the gateway opens: for a request or response of a call whose own connection has been closed.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls_pki_types::ServerName;
use telepath_egress::Egress;
use telepath_sip::message::{Host, Transport};
use telepath_sip::{Flow, NextHop};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::connection::{CloseReason, Connection, ConnectionEvent, ConnectionHandle, ConnectionState};
use super::listener::{Connections, prepare};

/// Opens a connection in a task of its own. Messages can be queued at once.
pub(super) fn open(
    flow: Flow,
    hop: NextHop,
    connections: &Arc<Connections>,
    egress: Egress,
) -> ConnectionHandle {
    let (handle, queued) = ConnectionHandle::new(Arc::default());
    let task = OpenedConnection {
        flow,
        hop,
        state: Arc::clone(&handle.state),
        queued,
        connections: Arc::clone(connections),
    };
    tokio::spawn(task.run(egress));
    handle
}

struct OpenedConnection {
    flow: Flow,
    hop: NextHop,
    state: Arc<ConnectionState>,
    queued: mpsc::Receiver<Arc<[u8]>>,
    connections: Arc<Connections>,
}

impl OpenedConnection {
    async fn run(self, egress: Egress) {
        let within = self.connections.timeouts.handshake;
        let connected = tokio::time::timeout(within, TcpStream::connect(self.hop.address)).await;
        let Ok(Ok(stream)) = connected else { return self.fail(CloseReason::Unreachable).await };
        prepare(&stream);
        match self.flow.transport {
            Transport::Udp | Transport::Tcp => self.exchange(stream).await,
            Transport::Tls => match tokio::time::timeout(within, handshake(stream, &self.hop, &egress)).await
            {
                Ok(Ok(stream)) => self.exchange(stream).await,
                Ok(Err(error)) => {
                    tracing::info!(peer = %self.hop.address, %error, "could not open a SIP connection over TLS");
                    self.fail(CloseReason::Handshake).await;
                }
                Err(_elapsed) => self.fail(CloseReason::Handshake).await,
            },
        }
    }

    async fn fail(self, reason: CloseReason) {
        // Fails only when the signalling task has stopped.
        let _ = self.connections.events.send(ConnectionEvent::Closed(self.flow, reason)).await;
    }

    async fn exchange(self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let Self { flow, state, queued, connections, .. } = self;
        let (events, timeouts, epoch) = (connections.events.clone(), connections.timeouts, connections.epoch);
        Connection { stream, flow, state, queued, events, timeouts, epoch }.run().await;
    }
}

/// The certificate of the peer must be valid for the host of the URI, or for its address (RFC 5922 section 7).
async fn handshake(stream: TcpStream, hop: &NextHop, egress: &Egress) -> io::Result<TlsStream<TcpStream>> {
    let name = match &hop.host {
        Some(Host::Name(name)) => ServerName::try_from(name.clone()).map_err(io::Error::other)?,
        Some(Host::Ip(ip)) => ServerName::from(*ip),
        None => ServerName::from(SocketAddr::ip(&hop.address)),
    };
    let config = egress.tls_config().map_err(io::Error::other)?;
    TlsConnector::from(config).connect(name, stream).await
}

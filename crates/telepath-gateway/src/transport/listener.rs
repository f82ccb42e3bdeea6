//! The TCP and TLS listeners for SIP. Each connection is admitted to the table of open connections before anything is read
//! from it, and has a task of its own.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use telepath_core::address::AddressBlock;
use telepath_sip::message::Transport;
use telepath_sip::{Flow, FlowId};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::connection::{
    CloseReason, Connection, ConnectionEvent, ConnectionHandle, ConnectionState, SipConnectionTimeouts,
};
use super::connection_table::{ConnectionLimit, ConnectionTable};
use super::tls::SipTls;
use super::udp::{is_dual_stack, mark};

/// Connections that the kernel holds until they are accepted.
const BACKLOG: i32 = 1_024;
/// The pause before the next attempt to accept a connection, when the system is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// After this time without traffic, the kernel asks whether the peer still exists (RFC 1122 section 4.2.3.6).
const KEEP_ALIVE: Duration = Duration::from_mins(2);

/// The limits of SIP connections.
#[derive(Debug, Clone, Copy)]
pub struct SipConnectionLimits {
    /// Open connections, without those that the gateway opens.
    pub total: usize,
    /// Open connections of one address block.
    pub per_address: usize,
}

impl Default for SipConnectionLimits {
    fn default() -> Self {
        Self { total: 2_000, per_address: 200 }
    }
}

/// What the connections of all listeners share.
pub(super) struct Connections {
    table: Mutex<ConnectionTable<Arc<ConnectionState>>>,
    last_id: AtomicU64,
    pub(super) events: mpsc::Sender<ConnectionEvent>,
    pub(super) timeouts: SipConnectionTimeouts,
    pub(super) epoch: Instant,
}

impl Connections {
    pub(super) fn new(
        limits: SipConnectionLimits,
        timeouts: SipConnectionTimeouts,
        events: mpsc::Sender<ConnectionEvent>,
    ) -> Arc<Self> {
        let table = Mutex::new(ConnectionTable::new(limits.total, limits.per_address));
        Arc::new(Self { table, last_id: AtomicU64::new(0), events, timeouts, epoch: Instant::now() })
    }

    fn table(&self) -> MutexGuard<'_, ConnectionTable<Arc<ConnectionState>>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Admits a connection, closing another one if necessary.
    fn admit(self: &Arc<Self>, peer: SocketAddr) -> Result<Slot, ConnectionLimit> {
        let state = Arc::new(ConnectionState::default());
        let (number, displaced) = self.table().admit(AddressBlock::of(peer.ip()), Arc::clone(&state))?;
        if let Some(displaced) = displaced {
            displaced.displaced.cancel();
        }
        Ok(Slot { connections: Arc::clone(self), number, state })
    }

    /// Closes a connection without a call, because the system has no descriptor for a new one.
    fn release_descriptor(&self) {
        if let Some(displaced) = self.table().displace(None) {
            displaced.displaced.cancel();
        }
    }
}

/// The place of an open connection; dropping it frees the place.
struct Slot {
    connections: Arc<Connections>,
    number: u64,
    state: Arc<ConnectionState>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.connections.table().remove(self.number);
    }
}

/// A listener whose task ends when it is dropped.
#[derive(Debug)]
pub(super) struct StreamListener {
    pub(super) transport: Transport,
    pub(super) local: SocketAddr,
    _task: DropGuard,
}

impl StreamListener {
    /// Listens for TCP, or for TLS with these certificates.
    pub(super) fn open(
        listen: SocketAddr,
        tls: Option<SipTls>,
        connections: &Arc<Connections>,
    ) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(listen), Type::STREAM, Some(Protocol::TCP))?;
        if listen.is_ipv6() {
            // The default of the system differs.
            socket.set_only_v6(!is_dual_stack(listen.ip()))?;
        }
        socket.set_reuse_address(true)?;
        mark(&socket, listen.ip());
        socket.set_nonblocking(true)?;
        socket.bind(&listen.into())?;
        socket.listen(BACKLOG)?;
        let listener = TcpListener::from_std(socket.into())?;
        let local = listener.local_addr()?;
        let transport = if tls.is_some() { Transport::Tls } else { Transport::Tcp };
        let stop = CancellationToken::new();
        tokio::spawn(stop.clone().run_until_cancelled_owned(accept(
            listener,
            local,
            tls,
            Arc::clone(connections),
        )));
        Ok(Self { transport, local, _task: stop.drop_guard() })
    }
}

async fn accept(
    listener: TcpListener,
    local: SocketAddr,
    tls: Option<SipTls>,
    connections: Arc<Connections>,
) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                match connections.admit(peer) {
                    Ok(slot) => drop(tokio::spawn(serve(stream, local, peer, tls.clone(), slot))),
                    Err(limit) => {
                        metrics::counter!("telepath_sip_connections_refused_total", "limit" => limit.name())
                            .increment(1);
                        tracing::debug!(%peer, limit = limit.name(), "refused a SIP connection, because the limit is reached");
                    }
                }
            }
            Err(error) => {
                connections.release_descriptor();
                tracing::warn!(%error, "could not accept a SIP connection; retrying in {ACCEPT_PAUSE:?}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves a connection until it ends.
async fn serve(stream: TcpStream, local: SocketAddr, peer: SocketAddr, tls: Option<SipTls>, slot: Slot) {
    prepare(&stream);
    let connections = Arc::clone(&slot.connections);
    let transport = if tls.is_some() { Transport::Tls } else { Transport::Tcp };
    let id = FlowId::Accepted(connections.last_id.fetch_add(1, Ordering::Relaxed));
    let flow = Flow { transport, local, remote: peer, id };
    let Some(tls) = tls else { return exchange(stream, flow, &slot).await };
    let handshake = async {
        let acceptor = tls.acceptor().map_err(io::Error::other)?;
        acceptor.accept(stream).await
    };
    let handshake = tokio::time::timeout(connections.timeouts.handshake, handshake);
    let handshake = slot.state.displaced.run_until_cancelled(handshake).await;
    match handshake {
        Some(Ok(Ok(stream))) => exchange(stream, flow, &slot).await,
        Some(Ok(Err(error))) => {
            tracing::debug!(%peer, %error, "the TLS handshake of a SIP connection failed");
            count_closed(CloseReason::Handshake);
        }
        Some(Err(_elapsed)) => count_closed(CloseReason::Handshake),
        None => count_closed(CloseReason::Displaced),
    }
}

async fn exchange<S>(stream: S, flow: Flow, slot: &Slot)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let connections = &slot.connections;
    let (handle, queued) = ConnectionHandle::new(Arc::clone(&slot.state));
    // Fails only when the signalling task has stopped.
    if connections.events.send(ConnectionEvent::Opened(flow, handle)).await.is_err() {
        return;
    }
    let connection = Connection {
        stream,
        flow,
        state: Arc::clone(&slot.state),
        queued,
        events: connections.events.clone(),
        timeouts: connections.timeouts,
        epoch: connections.epoch,
    };
    connection.run().await;
}

/// Counts the end of a connection that the signalling task does not know.
fn count_closed(reason: CloseReason) {
    metrics::counter!("telepath_sip_connections_closed_total", "reason" => reason.name()).increment(1);
}

/// Sets the options of a connection. It also works without them.
pub(super) fn prepare(stream: &TcpStream) {
    let keep_alive = TcpKeepalive::new().with_time(KEEP_ALIVE);
    let set = stream.set_nodelay(true).and(SockRef::from(stream).set_tcp_keepalive(&keep_alive));
    if let Err(error) = set {
        tracing::debug!(%error, "could not set the options of a SIP connection");
    }
}

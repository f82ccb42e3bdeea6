//! The transports of SIP (RFC 3261 section 18): UDP sockets, TCP and TLS listeners, and the connections that the gateway opens.
//! The signalling task receives from and sends to all of them here.

mod connection;
mod connection_table;
mod listener;
mod opened;
mod tls;
mod udp;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;

use telepath_egress::Egress;
use telepath_sip::message::Transport;
use telepath_sip::{Flow, FlowId, Transmit};
use tokio::sync::mpsc;

use crate::start_error::StartError;
pub use connection::SipConnectionTimeouts;
pub(crate) use connection::{CloseReason, ConnectionEvent, ConnectionHandle, ConnectionHold};
pub(crate) use connection_table::ConnectionLimit;
pub use listener::SipConnectionLimits;
use listener::{Connections, StreamListener};
pub use tls::{InvalidClientAuthorities, SipTls};
pub(crate) use udp::{SipSocket, is_dual_stack};

/// Messages of connections that wait for the signalling task. When it is full, nothing is read from connections.
const EVENT_QUEUE: usize = 256;
/// Connections that the gateway opens at the same time, for calls whose own connection has been closed.
const MAX_OPENED: usize = 256;

/// The options of all transports.
pub(crate) struct TransportOptions<'a> {
    pub(crate) udp: &'a [SocketAddr],
    pub(crate) tcp: &'a [SocketAddr],
    /// The certificates and the addresses.
    pub(crate) tls: Option<(&'a SipTls, &'a [SocketAddr])>,
    pub(crate) connections: SipConnectionLimits,
    pub(crate) timeouts: SipConnectionTimeouts,
    pub(crate) egress: &'a Egress,
}

/// All transports.
pub(crate) struct Transports {
    udp: Vec<SipSocket>,
    /// The socket that is looked at first, so that each has its turn.
    next: usize,
    streams: Vec<StreamListener>,
    connections: Arc<Connections>,
    open: HashMap<FlowId, ConnectionHandle>,
    opened: usize,
    events: mpsc::Receiver<ConnectionEvent>,
    egress: Egress,
}

/// What arrived.
#[derive(Debug)]
pub(crate) enum Received {
    /// A datagram in the buffer, its length and source, at the socket with this index.
    Datagram(usize, io::Result<(usize, SocketAddr)>),
    Connection(ConnectionEvent),
}

impl Transports {
    /// Opens all sockets and listeners.
    pub(crate) fn open(options: &TransportOptions<'_>) -> Result<Self, StartError> {
        let (events, receiver) = mpsc::channel(EVENT_QUEUE);
        let connections = Connections::new(options.connections, options.timeouts, events);
        let failed = |transport: Transport, address: SocketAddr| {
            move |source: io::Error| match source.kind() {
                io::ErrorKind::AddrInUse => StartError::PortTaken { transport, address },
                _ => StartError::Socket { transport, address, source },
            }
        };
        let udp = options.udp.iter();
        let udp = udp.map(|listen| SipSocket::open(*listen).map_err(failed(Transport::Udp, *listen)));
        let tcp = options.tcp.iter().map(|listen| (*listen, None));
        let tls = options.tls.into_iter().flat_map(|(certificates, listen)| {
            listen.iter().map(|listen| (*listen, Some(certificates.clone())))
        });
        let streams = tcp.chain(tls).map(|(listen, tls)| {
            let transport = if tls.is_some() { Transport::Tls } else { Transport::Tcp };
            StreamListener::open(listen, tls, &connections).map_err(failed(transport, listen))
        });
        Ok(Self {
            udp: udp.collect::<Result<_, _>>()?,
            next: 0,
            streams: streams.collect::<Result<_, _>>()?,
            connections,
            open: HashMap::new(),
            opened: 0,
            events: receiver,
            egress: options.egress.clone(),
        })
    }

    /// The addresses of all sockets and listeners, those of UDP first.
    pub(crate) fn listeners(&self) -> Vec<(Transport, SocketAddr)> {
        let udp = self.udp.iter().map(|socket| (Transport::Udp, socket.local_addr()));
        udp.chain(self.streams.iter().map(|listener| (listener.transport, listener.local))).collect()
    }

    /// Waits until something arrives; datagrams are written into the buffer.
    pub(crate) async fn receive(&mut self, buffer: &mut [u8]) -> Received {
        let Self { udp, next, events, .. } = self;
        std::future::poll_fn(|context| {
            for step in 0..udp.len() {
                let index = (*next + step) % udp.len();
                let Some(socket) = udp.get(index) else { continue };
                if let Poll::Ready(received) = socket.poll_recv_from(context, buffer) {
                    *next = index + 1;
                    return Poll::Ready(Received::Datagram(index, received));
                }
            }
            // The connections keep a sender, so the channel is never closed.
            events.poll_recv(context).map(|event| match event {
                Some(event) => Received::Connection(event),
                None => Received::Datagram(0, Err(io::ErrorKind::BrokenPipe.into())),
            })
        })
        .await
    }

    /// Reads a datagram that has arrived at a socket.
    pub(crate) fn try_receive_datagram(
        &self,
        index: usize,
        buffer: &mut [u8],
    ) -> io::Result<(usize, SocketAddr)> {
        self.udp
            .get(index)
            .map_or(Err(io::ErrorKind::WouldBlock.into()), |socket| socket.try_recv_from(buffer))
    }

    /// What a connection has reported.
    pub(crate) fn try_receive_event(&mut self) -> Option<ConnectionEvent> {
        self.events.try_recv().ok()
    }

    /// The flow of a datagram.
    pub(crate) fn datagram_flow(&self, index: usize, source: SocketAddr) -> Option<Flow> {
        self.udp.get(index).map(|socket| Flow::udp(socket.local_addr(), source))
    }

    /// Sends a message. `Err` if its connection cannot be used any more, and the endpoint does not know that yet.
    pub(crate) async fn send(&mut self, transmit: Transmit) -> Result<(), Flow> {
        let Transmit { flow, open, payload } = transmit;
        if flow.id == FlowId::Datagrams {
            let of_flow = self.udp.iter().find(|socket| socket.local_addr() == flow.local);
            let Some(socket) = of_flow.or(self.udp.first()) else { return Ok(()) };
            if socket.send_to(&payload, flow.remote).await.is_err() {
                metrics::counter!("telepath_sip_socket_errors_total").increment(1);
            }
            return Ok(());
        }
        if let Some(handle) = self.open.get(&flow.id) {
            if handle.send(payload) {
                return Ok(());
            }
            // The connection reports its end too, which then is no news.
            return Err(flow);
        }
        let Some(hop) = open.filter(|_| self.opened < MAX_OPENED) else {
            metrics::counter!("telepath_sip_unsent_total").increment(1);
            return Err(flow);
        };
        let handle = opened::open(flow, hop, &self.connections, self.egress.clone());
        handle.send(payload);
        self.add(flow, handle);
        Ok(())
    }

    /// Adds a connection to which messages can be sent.
    pub(crate) fn add(&mut self, flow: Flow, handle: ConnectionHandle) {
        self.opened += usize::from(matches!(flow.id, FlowId::Opened(_)));
        let transport = flow.transport.name();
        metrics::counter!("telepath_sip_connections_total", "transport" => transport).increment(1);
        metrics::gauge!("telepath_sip_connections_open", "transport" => transport).increment(1.0);
        self.open.insert(flow.id, handle);
    }

    /// Removes a connection, which then writes what is queued and ends.
    pub(crate) fn remove(&mut self, flow: &Flow, reason: CloseReason) {
        if self.open.remove(&flow.id).is_some() {
            self.opened -= usize::from(matches!(flow.id, FlowId::Opened(_)));
            let transport = flow.transport.name();
            metrics::gauge!("telepath_sip_connections_open", "transport" => transport).decrement(1.0);
            metrics::counter!("telepath_sip_connections_closed_total", "reason" => reason.name())
                .increment(1);
        }
    }

    /// Keeps the connection of a call open.
    pub(crate) fn hold(&self, flow: &Flow) -> Option<ConnectionHold> {
        self.open.get(&flow.id).map(ConnectionHandle::hold)
    }
}

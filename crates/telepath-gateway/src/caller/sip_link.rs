//! How the test caller sends and receives SIP: a UDP socket, or one connection over TCP or TLS.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use telepath_sip::message::{Host, MAX_MESSAGE_BYTES, StreamFramer, StreamItem, Transport};
use telepath_sip::{Flow, NextHop, Transmit};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpSocket, UdpSocket};
use tokio_rustls::TlsConnector;

/// A stream of either kind.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

pub(super) enum SipLink {
    Datagrams { socket: UdpSocket, buffer: Vec<u8> },
    Connection { stream: Box<dyn Stream>, state: ConnectionState },
}

/// What has been read from a connection.
pub(super) struct ConnectionState {
    local: SocketAddr,
    /// The flow that the endpoint has given the connection.
    flow: Option<Flow>,
    framer: StreamFramer,
    buffer: Vec<u8>,
    messages: VecDeque<Vec<u8>>,
    ended: bool,
}

impl SipLink {
    /// Opens a socket, or a connection to the next hop.
    pub(super) async fn open(
        local: IpAddr,
        hop: &NextHop,
        tls: Option<Arc<ClientConfig>>,
    ) -> io::Result<Self> {
        if hop.transport == Transport::Udp {
            let socket = UdpSocket::bind((local, 0)).await?;
            return Ok(Self::Datagrams { socket, buffer: vec![0; MAX_MESSAGE_BYTES + 1] });
        }
        let socket = if local.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.bind((local, 0).into())?;
        let stream = socket.connect(hop.address).await?;
        stream.set_nodelay(true)?;
        let state = ConnectionState {
            local: stream.local_addr()?,
            flow: None,
            framer: StreamFramer::default(),
            buffer: vec![0; 16 * 1024],
            messages: VecDeque::new(),
            ended: false,
        };
        if hop.transport == Transport::Tcp {
            return Ok(Self::Connection { stream: Box::new(stream), state });
        }
        let config = tls.ok_or_else(|| io::Error::other("no certificate authorities for TLS"))?;
        let name = match &hop.host {
            Some(Host::Name(name)) => ServerName::try_from(name.clone()).map_err(io::Error::other)?,
            Some(Host::Ip(ip)) => ServerName::from(*ip),
            None => ServerName::from(hop.address.ip()),
        };
        let stream = TlsConnector::from(config).connect(name, stream).await?;
        Ok(Self::Connection { stream: Box::new(stream), state })
    }

    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Datagrams { socket, .. } => socket.local_addr(),
            Self::Connection { state, .. } => Ok(state.local),
        }
    }

    pub(super) async fn send(&mut self, transmit: &Transmit) -> io::Result<()> {
        match self {
            Self::Datagrams { socket, .. } => {
                socket.send_to(&transmit.payload, transmit.flow.remote).await.map(drop)
            }
            Self::Connection { stream, state } => {
                state.flow = Some(transmit.flow);
                stream.write_all(&transmit.payload).await?;
                stream.flush().await
            }
        }
    }

    /// Waits for a message. An error is the end of the connection, after which nothing arrives. It can be cancelled without a
    /// loss.
    pub(super) async fn receive(&mut self) -> io::Result<(Flow, Vec<u8>)> {
        match self {
            Self::Datagrams { socket, buffer } => {
                let (length, from) = socket.recv_from(buffer).await?;
                let flow = Flow::udp(socket.local_addr()?, from);
                Ok((flow, buffer.get(..length).unwrap_or_default().to_vec()))
            }
            Self::Connection { state, .. } if state.ended => std::future::pending().await,
            Self::Connection { stream, state } => loop {
                if let (Some(flow), Some(message)) = (state.flow, state.messages.pop_front()) {
                    return Ok((flow, message));
                }
                let length = stream.read(&mut state.buffer).await.unwrap_or(0);
                if length == 0 {
                    state.ended = true;
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                state.framer.push(state.buffer.get(..length).unwrap_or_default());
                while let Some(item) = state.framer.poll().map_err(io::Error::other)? {
                    match item {
                        StreamItem::Message(message) => state.messages.push_back(message),
                        StreamItem::Ping => stream.write_all(b"\r\n").await?,
                    }
                }
            },
        }
    }

    /// The flow of the connection, if there is one.
    pub(super) fn flow(&self) -> Option<Flow> {
        match self {
            Self::Datagrams { .. } => None,
            Self::Connection { state, .. } => state.flow,
        }
    }
}

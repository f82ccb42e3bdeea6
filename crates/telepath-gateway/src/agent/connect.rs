//! Opens an agent's WebSocket: through the one way out of the server, TCP without Nagle's delay, TLS, handshake with the
//! trunk's headers. Every failure has a text for the call record, and none of the texts holds a URL or a header,
//! because both may be secrets.

use std::io;
use std::time::Duration;

use socket2::SockRef;
use telepath_core::id::CallId;
use telepath_egress::{Egress, EgressError, Security};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue, Uri};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, error::ProtocolError};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config};

use super::{AgentPlan, MAX_MESSAGE};

pub(crate) type AgentSocket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Bytes read from an agent at a time.
const READ_BUFFER: usize = 16 * 1024;
/// Bytes that the kernel may hold for an agent that does not read: a second or two of audio. Its default of megabytes
/// would turn a slow agent into minutes of delay that nobody counts.
const SEND_BUFFER: usize = 64 * 1024;
/// Bytes that may wait in the WebSocket's own buffer; the bridge's queue is the one that is meant to hold audio.
const MAX_WRITE_BUFFER: usize = 256 * 1024;

/// Why an agent could not be reached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("the agent's address cannot be used")]
    Address,
    #[error("the agent could not be reached: {0}")]
    Egress(#[from] EgressError),
    #[error("the agent's connection could not be set up: {0}")]
    Tcp(io::Error),
    #[error("TLS with the agent failed: {0}")]
    Tls(String),
    #[error("a header of the trunk cannot be sent")]
    Header,
    #[error("the agent answered the WebSocket handshake with HTTP {0}")]
    Http(u16),
    #[error("the agent does not speak the subprotocol {0}")]
    Subprotocol(&'static str),
    #[error("the WebSocket handshake with the agent failed: {0}")]
    Handshake(String),
    #[error("the agent did not answer within {} s", .0.as_secs_f32())]
    Timeout(Duration),
}

/// Opens the agent's socket within `patience`.
pub(crate) async fn connect(
    plan: &AgentPlan,
    call: CallId,
    subprotocol: &'static str,
    egress: &Egress,
    patience: Duration,
) -> Result<AgentSocket, ConnectError> {
    let opened = tokio::time::timeout(patience, open(plan, call, subprotocol, egress));
    opened.await.unwrap_or(Err(ConnectError::Timeout(patience)))
}

async fn open(
    plan: &AgentPlan,
    call: CallId,
    subprotocol: &'static str,
    egress: &Egress,
) -> Result<AgentSocket, ConnectError> {
    let request = request(plan, call, subprotocol)?;
    let secure = request.uri().scheme_str() == Some("wss");
    let connector = if secure { Connector::Rustls(egress.tls_config()?) } else { Connector::Plain };
    let stream = reach(request.uri(), secure, egress).await?;
    stream.set_nodelay(true).map_err(ConnectError::Tcp)?;
    SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER).map_err(ConnectError::Tcp)?;
    let opened = client_async_tls_with_config(request, stream, Some(socket_config()), Some(connector)).await;
    opened.map(|(socket, _)| socket).map_err(|error| told(error, subprotocol))
}

/// Bounds of a socket, the same for both ends that this crate has.
pub(crate) fn socket_config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        // Each frame is written at once: 20 ms of audio must not wait for the next 20 ms.
        .write_buffer_size(0)
        .max_write_buffer_size(MAX_WRITE_BUFFER)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE))
}

fn request(plan: &AgentPlan, call: CallId, subprotocol: &'static str) -> Result<Request, ConnectError> {
    let mut request = plan.url.as_str().into_client_request().map_err(|_| ConnectError::Address)?;
    let headers = request.headers_mut();
    for (name, value) in &plan.headers {
        let name = HeaderName::try_from(name.as_str()).map_err(|_| ConnectError::Header)?;
        let mut value = HeaderValue::try_from(value.expose()).map_err(|_| ConnectError::Header)?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    let call = HeaderValue::try_from(call.to_string()).map_err(|_| ConnectError::Header)?;
    headers.insert("x-telepath-call-id", call);
    headers.insert("sec-websocket-protocol", HeaderValue::from_static(subprotocol));
    Ok(request)
}

async fn reach(uri: &Uri, secure: bool, egress: &Egress) -> Result<TcpStream, ConnectError> {
    let host = uri.host().ok_or(ConnectError::Address)?.trim_matches(['[', ']']);
    let (usual, security) = if secure { (443, Security::Tls) } else { (80, Security::Plain) };
    Ok(egress.dial(host, uri.port_u16().unwrap_or(usual), security).await?)
}

fn told(error: Error, subprotocol: &'static str) -> ConnectError {
    match error {
        Error::Http(response) => ConnectError::Http(response.status().as_u16()),
        Error::Protocol(ProtocolError::SecWebSocketSubProtocolError(_)) => {
            ConnectError::Subprotocol(subprotocol)
        }
        Error::Tls(error) => ConnectError::Tls(error.to_string()),
        Error::Io(error) => ConnectError::Handshake(error.to_string()),
        Error::Url(_) => ConnectError::Address,
        other => ConnectError::Handshake(other.to_string()),
    }
}

//! Connects to an agent: TCP through `telepath-egress` without Nagle's algorithm, TLS, and the WebSocket handshake with
//! the trunk's headers.

use std::time::Duration;

use socket2::SockRef;
use telepath_core::id::CallId;
use telepath_core::secret::SecretText;
use telepath_egress::{Egress, Security};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue, Uri};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, error::ProtocolError};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config};

use super::connect_error::{ConnectError, Step};
use super::endpoint::AgentAddress;
use super::signed_url::signed_url;
use super::{AgentEndpoint, MAX_MESSAGE};

pub(crate) type AgentSocket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Size of the read buffer of a WebSocket, in bytes.
const READ_BUFFER: usize = 16 * 1024;
/// `SO_SNDBUF`, in bytes: one or two seconds of audio. The kernel's default of megabytes would delay the audio of a slow
/// agent by minutes, without it being counted.
const SEND_BUFFER: usize = 64 * 1024;
/// Maximum size of the WebSocket's write buffer, in bytes. Audio is meant to wait in the bridge's queue instead.
const MAX_WRITE_BUFFER: usize = 256 * 1024;

/// Connects to an agent.
///
/// # Errors
/// See [`ConnectError`].
pub(crate) async fn connect(
    agent: &AgentEndpoint,
    call: CallId,
    subprotocol: Option<&'static str>,
    egress: &Egress,
    timeout: Duration,
) -> Result<AgentSocket, ConnectError> {
    let socket = tokio::time::timeout(timeout, open(agent, call, subprotocol, egress));
    socket.await.unwrap_or(Err(ConnectError::Timeout(timeout)))
}

async fn open(
    agent: &AgentEndpoint,
    call: CallId,
    subprotocol: Option<&'static str>,
    egress: &Egress,
) -> Result<AgentSocket, ConnectError> {
    let request = match &agent.address {
        AgentAddress::Direct(url) => request(url, &agent.headers, call, subprotocol)?,
        AgentAddress::Signed(url) => {
            let url = signed_url(url, &agent.headers, egress).await?;
            request(&url, &[], call, subprotocol)?
        }
    };
    let secure = request.uri().scheme_str() == Some("wss");
    let connector = if secure { Connector::Rustls(egress.tls_config()?) } else { Connector::Plain };
    let stream = dial(request.uri(), secure, egress).await?;
    stream.set_nodelay(true).map_err(ConnectError::Tcp)?;
    SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER).map_err(ConnectError::Tcp)?;
    let opened = client_async_tls_with_config(request, stream, Some(socket_config()), Some(connector)).await;
    opened.map(|(socket, _)| socket).map_err(|error| connect_error(error, subprotocol))
}

/// Buffer sizes and limits of a WebSocket, for the gateway and for the echo agent.
pub(crate) fn socket_config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        // Write each frame at once; audio must not wait for the next frame.
        .write_buffer_size(0)
        .max_write_buffer_size(MAX_WRITE_BUFFER)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE))
}

fn request(
    url: &SecretText,
    given: &[(HeaderName, SecretText)],
    call: CallId,
    subprotocol: Option<&'static str>,
) -> Result<Request, ConnectError> {
    let mut request = url.expose().into_client_request().map_err(|_| ConnectError::Url)?;
    let headers = request.headers_mut();
    for (name, value) in given {
        let mut value = HeaderValue::try_from(value.expose()).map_err(|_| ConnectError::Header)?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    let call = HeaderValue::try_from(call.to_string()).map_err(|_| ConnectError::Header)?;
    headers.insert("x-telepath-call-id", call);
    if let Some(subprotocol) = subprotocol {
        headers.insert("sec-websocket-protocol", HeaderValue::from_static(subprotocol));
    }
    Ok(request)
}

async fn dial(uri: &Uri, secure: bool, egress: &Egress) -> Result<TcpStream, ConnectError> {
    let host = uri.host().ok_or(ConnectError::Url)?.trim_matches(['[', ']']);
    let (default_port, security) = if secure { (443, Security::Tls) } else { (80, Security::Plain) };
    Ok(egress.dial(host, uri.port_u16().unwrap_or(default_port), security).await?)
}

fn connect_error(error: Error, subprotocol: Option<&'static str>) -> ConnectError {
    match error {
        Error::Http(response) => {
            ConnectError::Http { step: Step::Handshake, status: response.status().as_u16() }
        }
        Error::Protocol(ProtocolError::SecWebSocketSubProtocolError(_)) => {
            // A server may select only what was requested, so this also happens if nothing was.
            ConnectError::Subprotocol(subprotocol.unwrap_or("none"))
        }
        Error::Tls(error) => ConnectError::Tls(error.to_string()),
        Error::Io(error) => ConnectError::Handshake(error.to_string()),
        Error::Url(_) => ConnectError::Url,
        other => ConnectError::Handshake(other.to_string()),
    }
}

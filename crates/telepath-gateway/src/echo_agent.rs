//! An agent that echoes audio over `telepath.v1`, for trying out a trunk, for tests and for benchmarks. Every audio frame
//! is returned unchanged; events are ignored.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use telepath_media::dialect::SUBPROTOCOL;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::agent::socket_config;

/// Maximum number of connections; further ones wait in the listener's backlog.
const MAX_CONNECTIONS: usize = 4_096;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Timeout of the closing handshake when the agent shuts down.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// Delay after `accept` failed, for example because the process has no free file descriptors.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);

/// The agent could not listen.
#[derive(Debug, thiserror::Error)]
#[error("the echo agent could not listen on tcp {address}: {source}")]
pub struct EchoAgentError {
    /// The address.
    pub address: SocketAddr,
    /// The error of the operating system.
    pub source: io::Error,
}

/// A running echo agent. Dropping it stops it without waiting for its connections.
#[derive(Debug)]
pub struct EchoAgent {
    addr: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl EchoAgent {
    /// Starts an agent on this address. Port 0 takes a free port.
    ///
    /// # Errors
    /// [`EchoAgentError`] if the address cannot be bound.
    pub async fn start(listen: SocketAddr) -> Result<Self, EchoAgentError> {
        let listen_error = |source| EchoAgentError { address: listen, source };
        let listener = TcpListener::bind(listen).await.map_err(listen_error)?;
        let addr = listener.local_addr().map_err(listen_error)?;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(serve(listener, stop.clone(), tasks.clone()));
        Ok(Self { addr, stop, tasks })
    }

    /// The address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The agent's URL for a trunk.
    pub fn url(&self) -> String {
        format!("ws://{}/", self.addr)
    }

    /// Stops the agent and closes its connections with a closing handshake.
    pub async fn shutdown(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for EchoAgent {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn serve(listener: TcpListener, stop: CancellationToken, tasks: TaskTracker) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = async {
                // Never `None`, because the semaphore is never closed.
                let permit = permits.clone().acquire_owned().await.ok();
                (permit, listener.accept().await)
            } => accepted,
        };
        match accepted {
            (permit, Ok((stream, peer))) => {
                let stop = stop.clone();
                tasks.spawn(async move {
                    if let Err(error) = serve_connection(stream, &stop).await {
                        tracing::debug!(%peer, %error, "a connection to the echo agent failed");
                    }
                    drop(permit);
                });
            }
            (_, Err(error)) => {
                let retry_ms = ACCEPT_RETRY_DELAY.as_millis();
                tracing::warn!(%error, "the echo agent could not accept a connection; retrying in {retry_ms} ms");
                tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
            }
        }
    }
}

async fn serve_connection(stream: TcpStream, stop: &CancellationToken) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    let handshake = accept_hdr_async_with_config(stream, accept_subprotocol, Some(socket_config()));
    let Ok(accepted) = tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await else { return Ok(()) };
    let mut socket = accepted?;
    loop {
        let message = tokio::select! {
            () = stop.cancelled() => return close(socket).await,
            message = socket.next() => message,
        };
        match message {
            Some(Ok(Message::Binary(audio))) => socket.send(Message::Binary(audio)).await?,
            // The echo agent ignores events; the library answers pings and close frames.
            Some(Ok(
                Message::Text(_)
                | Message::Ping(_)
                | Message::Pong(_)
                | Message::Close(_)
                | Message::Frame(_),
            )) => {}
            Some(Err(Error::ConnectionClosed)) | None => return Ok(()),
            Some(Err(error)) => return Err(error),
        }
    }
}

async fn close(mut socket: WebSocketStream<TcpStream>) -> Result<(), Error> {
    let closing = async {
        socket.close(None).await?;
        while let Some(Ok(_)) = socket.next().await {}
        Ok(())
    };
    tokio::time::timeout(CLOSE_TIMEOUT, closing).await.unwrap_or(Ok(()))
}

/// Accepts the subprotocol `telepath.v1`; responds with 400 to a client that does not request it.
#[expect(clippy::result_large_err, reason = "the WebSocket library defines the type")]
pub(crate) fn accept_subprotocol(
    request: &Request,
    mut response: Response,
) -> Result<Response, ErrorResponse> {
    let requested = request.headers().get_all("sec-websocket-protocol");
    let supported = requested
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|name| name.trim() == SUBPROTOCOL);
    if !supported {
        let text = format!("the WebSocket subprotocol must be {SUBPROTOCOL}\n");
        let mut error = ErrorResponse::new(Some(text));
        *error.status_mut() = StatusCode::BAD_REQUEST;
        return Err(error);
    }
    response.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
    Ok(response)
}

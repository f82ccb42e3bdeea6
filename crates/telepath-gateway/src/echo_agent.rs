//! An agent that says back what it hears, speaking `telepath.v1`: what a new trunk can be tried with before there is an
//! agent of one's own, and what tests and measurements talk to. Audio goes back frame by frame as it came; a `mark`
//! from the gateway only tells that audio was played, so it is not sent back.

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

/// Connections served at once; further ones wait in the listener's queue.
const MAX_CONNECTIONS: usize = 4_096;
/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long a connection may take to say goodbye when the agent stops.
const GOODBYE: Duration = Duration::from_secs(1);
/// The pause after the system refused a connection, such as when all file descriptors are in use.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The agent cannot listen.
#[derive(Debug, thiserror::Error)]
#[error("the echo agent cannot listen on tcp {address}: {source}")]
pub struct EchoAgentError {
    /// Where it was tried.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

/// A running echo agent. Dropping it stops it without waiting.
#[derive(Debug)]
pub struct EchoAgent {
    addr: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl EchoAgent {
    /// Listens and serves. Port 0 takes a free one.
    ///
    /// # Errors
    /// [`EchoAgentError`] when the address cannot be listened on.
    pub async fn start(listen: SocketAddr) -> Result<Self, EchoAgentError> {
        let told = |source| EchoAgentError { address: listen, source };
        let listener = TcpListener::bind(listen).await.map_err(told)?;
        let addr = listener.local_addr().map_err(told)?;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(serve(listener, stop.clone(), tasks.clone()));
        Ok(Self { addr, stop, tasks })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The URL to give a trunk on this machine.
    pub fn url(&self) -> String {
        format!("ws://{}/", self.addr)
    }

    /// Stops: connections are closed properly.
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
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = async {
                // The semaphore is never closed.
                let place = room.clone().acquire_owned().await.ok();
                (place, listener.accept().await)
            } => accepted,
        };
        match accepted {
            (place, Ok((stream, peer))) => {
                let stop = stop.clone();
                tasks.spawn(async move {
                    if let Err(error) = talk(stream, &stop).await {
                        tracing::debug!(%peer, %error, "a connection to the echo agent broke");
                    }
                    drop(place);
                });
            }
            (_, Err(error)) => {
                tracing::warn!(%error, "the echo agent could not take a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn talk(stream: TcpStream, stop: &CancellationToken) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    let accepting = accept_hdr_async_with_config(stream, agree, Some(socket_config()));
    let Ok(accepted) = tokio::time::timeout(HANDSHAKE, accepting).await else { return Ok(()) };
    let mut socket = accepted?;
    loop {
        let message = tokio::select! {
            () = stop.cancelled() => return say_goodbye(socket).await,
            message = socket.next() => message,
        };
        match message {
            Some(Ok(Message::Binary(audio))) => socket.send(Message::Binary(audio)).await?,
            // Events ask nothing of an echo; pings and closing are answered by the library.
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

async fn say_goodbye(mut socket: WebSocketStream<TcpStream>) -> Result<(), Error> {
    let closing = async {
        socket.close(None).await?;
        while let Some(Ok(_)) = socket.next().await {}
        Ok(())
    };
    tokio::time::timeout(GOODBYE, closing).await.unwrap_or(Ok(()))
}

/// Only those who speak the dialect are let in.
#[expect(clippy::result_large_err, reason = "the type of the answer is the WebSocket library's")]
pub(crate) fn agree(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    let asked = request.headers().get_all("sec-websocket-protocol");
    let speaks = asked
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|name| name.trim() == SUBPROTOCOL);
    if !speaks {
        let mut refusal = ErrorResponse::new(Some(format!("the subprotocol must be {SUBPROTOCOL}\n")));
        *refusal.status_mut() = StatusCode::BAD_REQUEST;
        return Err(refusal);
    }
    response.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
    Ok(response)
}

//! The server: accepts connections within its limits, hands requests to the application, and lets running requests complete
//! when it stops.

mod connection;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response};
use http_body::Body;
use rustls::ServerConfig;
use telepath_core::address::canonical;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::{App, BoxError};
use crate::listener::{Accepted, Listener, LoopbackListener};
use crate::options::ServerOptions;
use crate::peer::{ConnectionMode, Peer};
use crate::proxy::{ForwardedProto, client_of};
use connection::handle_connection;
#[cfg(test)]
pub(crate) use connection::{Version, serve_connection};

/// The protocols to offer in the TLS handshake (RFC 7301), the preferred one first.
pub const ALPN_PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The pause before the next attempt to accept a connection, when the system is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves an application.
#[derive(Debug)]
pub struct HttpServer<A> {
    app: A,
    options: ServerOptions,
}

impl<A: App> HttpServer<A> {
    /// A server for this application. It serves nothing until one of the `serve_*` functions runs.
    pub fn new(app: A, options: ServerOptions) -> Arc<Self> {
        Arc::new(Self { app, options })
    }

    /// Serves HTTPS until `shutdown`, and then until the running requests complete or their time is over. Each new
    /// connection uses the newest configuration, so certificates can be replaced. The configuration should offer
    /// [`ALPN_PROTOCOLS`].
    pub async fn serve_tls(
        self: Arc<Self>,
        listener: TcpListener,
        tls: watch::Receiver<Arc<ServerConfig>>,
        shutdown: CancellationToken,
    ) {
        self.serve(Listener::Tls(listener, tls), shutdown).await;
    }

    /// Serves plain HTTP on a loopback address; otherwise like [`HttpServer::serve_tls`].
    pub async fn serve_loopback(self: Arc<Self>, listener: LoopbackListener, shutdown: CancellationToken) {
        self.serve(Listener::Loopback(listener.0), shutdown).await;
    }

    /// Serves a Unix socket; otherwise like [`HttpServer::serve_tls`]. The file mode of the socket decides who may connect.
    pub async fn serve_unix(self: Arc<Self>, listener: UnixListener, shutdown: CancellationToken) {
        self.serve(Listener::Unix(listener), shutdown).await;
    }

    /// Answers a request of a connection: resolves the client's address, and applies the HTTPS-only rule.
    pub async fn respond<B>(&self, request: Request<B>, mode: ConnectionMode) -> Response<A::Body>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let address = match mode {
            ConnectionMode::Tls(address) | ConnectionMode::Loopback(address) => address,
            ConnectionMode::Unix { uid } => return self.app.handle(request, Peer::Local { uid }).await,
            ConnectionMode::PlainHttp(address) => {
                let (head, _) = request.into_parts();
                return closing(self.app.refuse_plain_http(&head, canonical(address)));
            }
        };
        match client_of(address, request.headers(), &self.options.trusted_proxies) {
            ForwardedProto::Https(client) => self.app.handle(request, Peer::Remote(client)).await,
            ForwardedProto::Http(client) => {
                let (head, _) = request.into_parts();
                self.app.refuse_plain_http(&head, client)
            }
        }
    }

    async fn serve(self: Arc<Self>, listener: Listener, shutdown: CancellationToken) {
        let limits = self.options.limits;
        let slots = Arc::new(Semaphore::new(limits.at_once));
        let connections = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                accepted = accept(&listener, &slots) => accepted,
            };
            match accepted {
                Ok((accepted, slot)) => {
                    // A token of its own: each wake-up of a connection takes the token's lock.
                    let (server, shutdown) = (Arc::clone(&self), shutdown.child_token());
                    connections.spawn(async move {
                        handle_connection(server, accepted, shutdown).await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "could not accept a connection; retrying in {ACCEPT_PAUSE:?}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        connections.close();
        // Each connection bounds its own drain; the extra second is for the tasks to end.
        if tokio::time::timeout(limits.drain + Duration::from_secs(1), connections.wait()).await.is_err() {
            tracing::warn!(
                connections = connections.len(),
                "connections were cut off at the end of the drain"
            );
        }
    }
}

/// Waits for a free slot first, so that further connections wait in the accept queue of the system.
async fn accept(listener: &Listener, slots: &Arc<Semaphore>) -> io::Result<(Accepted, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
    Ok((listener.accept().await?, slot))
}

fn closing<B>(mut response: Response<B>) -> Response<B> {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

//! The server: accepts connections within its limits, hands requests to the application, and lets running requests complete
//! when it stops.

mod connection;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONNECTION};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Body;
use rustls::ServerConfig;
use telepath_core::address::canonical;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::{App, BoxError};
use crate::connections::{ConnectionCounts, Connections, counted_block};
use crate::host;
use crate::listener::{Accepted, Listener, LoopbackListener};
use crate::options::ServerOptions;
use crate::peer::{ClientScheme, ConnectionMode, Peer};
use crate::proxy::{ConflictingHeaders, ForwardedClient, Scheme, client_of};
use crate::rewrite::Unreadable;
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
    /// The connections of the TCP listeners.
    network: Arc<Connections>,
    /// The connections of the Unix socket.
    local: Arc<Connections>,
}

impl<A: App> HttpServer<A> {
    /// A server for this application. It serves nothing until one of the `serve_*` functions runs.
    pub fn new(app: A, options: ServerOptions) -> Arc<Self> {
        let limits = options.limits;
        let network = Connections::new(limits.total, limits.per_address);
        let local = Connections::new(limits.local, limits.local);
        Arc::new(Self { app, options, network, local })
    }

    /// What was counted of the connections of the TCP listeners.
    pub fn connection_counts(&self) -> ConnectionCounts {
        self.network.counts()
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
        self.serve(Listener::Plain(listener.0), shutdown).await;
    }

    /// Serves plain HTTP on any address, to an application that takes no credentials; otherwise like
    /// [`HttpServer::serve_tls`].
    pub async fn serve_public(self: Arc<Self>, listener: TcpListener, shutdown: CancellationToken) {
        self.serve(Listener::Plain(listener), shutdown).await;
    }

    /// Serves a Unix socket; otherwise like [`HttpServer::serve_tls`]. The file mode of the socket decides who may connect.
    pub async fn serve_unix(self: Arc<Self>, listener: UnixListener, shutdown: CancellationToken) {
        self.serve(Listener::Unix(listener), shutdown).await;
    }

    /// Answers a request of a connection: resolves the client's address, and applies the HTTPS-only rule.
    pub async fn respond<B>(&self, mut request: Request<B>, mode: ConnectionMode) -> Response<A::Body>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let address = match mode {
            ConnectionMode::Tls(address) | ConnectionMode::Plain(address) => address,
            ConnectionMode::Unix { uid } => return self.app.handle(request, Peer::Local { uid }).await,
            ConnectionMode::PlainHttp(address) => {
                let (head, _) = request.into_parts();
                return closing(self.app.refuse_plain_http(&head, canonical(address)));
            }
        };
        let Ok(client) = self.client_of(address, request.headers()) else {
            let peer = Peer::Remote(canonical(address));
            return self.app.refuse_unreadable(Unreadable::ConflictingForwarding, peer);
        };
        if client.scheme == Some(Scheme::Http) && !self.may_travel_in_cleartext(&request) {
            let (head, _) = request.into_parts();
            return self.app.refuse_plain_http(&head, client.address);
        }
        let scheme = match mode {
            ConnectionMode::Plain(_) if client.scheme != Some(Scheme::Https) => ClientScheme::LoopbackHttp,
            ConnectionMode::Plain(_)
            | ConnectionMode::Tls(_)
            | ConnectionMode::PlainHttp(_)
            | ConnectionMode::Unix { .. } => ClientScheme::Https,
        };
        request.extensions_mut().insert(scheme);
        self.app.handle(request, Peer::Remote(client.address)).await
    }

    /// Whether no secret is lost when the request is read on its way.
    fn may_travel_in_cleartext<B>(&self, request: &Request<B>) -> bool {
        !request.headers().contains_key(AUTHORIZATION)
            && self.app.needs_no_credentials(request.method(), request.uri().path())
    }

    fn client_of(&self, address: IpAddr, headers: &HeaderMap) -> Result<ForwardedClient, ConflictingHeaders> {
        client_of(address, headers, &self.options.trusted_proxies, self.options.forwarding_headers)
    }

    /// Answers a request of a connection, unless its host fields are not as HTTP demands.
    pub(crate) async fn respond_to_valid<B>(
        &self,
        request: Request<B>,
        mode: ConnectionMode,
    ) -> Response<A::Body>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        if host::is_valid(&request) || matches!(mode, ConnectionMode::PlainHttp(_)) {
            return self.respond(request, mode).await;
        }
        let peer = match mode {
            ConnectionMode::Unix { uid } => Peer::Local { uid },
            ConnectionMode::Tls(address)
            | ConnectionMode::Plain(address)
            | ConnectionMode::PlainHttp(address) => {
                let client = self.client_of(address, request.headers());
                Peer::Remote(client.map_or(canonical(address), |client| client.address))
            }
        };
        self.app.refuse_unreadable(Unreadable::Malformed, peer)
    }

    async fn serve(self: Arc<Self>, listener: Listener, shutdown: CancellationToken) {
        let limits = self.options.limits;
        let connections = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok(accepted) => self.admit(accepted, &shutdown, &connections),
                Err(error) => {
                    if is_out_of_descriptors(&error) {
                        self.network.release_descriptor();
                    }
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

    /// Serves an accepted connection in a task of its own, or closes it if it exceeds a limit.
    fn admit(self: &Arc<Self>, accepted: Accepted, shutdown: &CancellationToken, connections: &TaskTracker) {
        let (table, block) = match accepted.peer() {
            Some(peer) => (&self.network, counted_block(peer.ip(), &self.options.trusted_proxies)),
            None => (&self.local, None),
        };
        match table.admit(block, shutdown.child_token()) {
            Ok(slot) => drop(connections.spawn(handle_connection(Arc::clone(self), accepted, slot))),
            Err(limit) => {
                tracing::debug!(
                    peer = ?accepted.peer(),
                    limit = limit.name(),
                    "refused a connection, because the limit is reached and no other connection is idle"
                );
            }
        }
    }
}

/// Whether the process or the system has no descriptor for another connection (`accept(2)`: EMFILE, ENFILE).
fn is_out_of_descriptors(error: &io::Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}

fn closing<B>(mut response: Response<B>) -> Response<B> {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

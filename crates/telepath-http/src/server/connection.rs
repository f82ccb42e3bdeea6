//! One connection, from its first byte to its end.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use telepath_core::address::canonical;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::{HttpServer, closing};
use crate::activity::ConnectionActivity;
use crate::app::App;
use crate::linger::LingeringStream;
use crate::listener::Accepted;
use crate::options::ConnectionLimits;
use crate::peer::{ConnectionMode, Peer};
use crate::rewrite::{RewrittenStream, Unreadable, to_bytes};

/// The content type of a TLS handshake record (RFC 8446 section 5.1): the first byte of every TLS connection.
const TLS_HANDSHAKE: u8 = 0x16;
/// The largest request head in bytes.
const MAX_HEAD_BYTES: usize = 32 * 1024;
/// The most concurrent requests on one HTTP/2 connection.
const MAX_STREAMS: u32 = 100;
/// The interval of HTTP/2 pings, and how long the peer may take to answer one.
const PING_EVERY: Duration = Duration::from_secs(30);
const PONG_WITHIN: Duration = Duration::from_secs(10);

/// The version of HTTP on a connection.
#[derive(Clone, Copy)]
pub(crate) enum Version {
    One,
    Two,
    /// Detected from the first bytes.
    Either,
}

/// Serves an accepted connection until it ends.
pub(super) async fn handle_connection<A: App>(
    server: Arc<HttpServer<A>>,
    accepted: Accepted,
    shutdown: CancellationToken,
) {
    match accepted {
        Accepted::Tls(stream, peer, config) => serve_tls(server, stream, peer.ip(), config, shutdown).await,
        Accepted::Loopback(stream, peer) => {
            let _ = stream.set_nodelay(true);
            let mode = ConnectionMode::Loopback(peer.ip());
            serve_connection(server, stream, Version::Either, mode, shutdown).await;
        }
        Accepted::Unix(stream) => {
            let uid = stream.peer_cred().ok().map(|process| process.uid());
            serve_connection(server, stream, Version::Either, ConnectionMode::Unix { uid }, shutdown).await;
        }
    }
}

async fn serve_tls<A: App>(
    server: Arc<HttpServer<A>>,
    stream: TcpStream,
    peer: IpAddr,
    config: Arc<ServerConfig>,
    shutdown: CancellationToken,
) {
    // Most responses fit one packet; waiting to fill it would only delay them.
    let _ = stream.set_nodelay(true);
    let deadline = Instant::now() + server.options.limits.handshake;
    let Ok(Some(first)) = tokio::time::timeout_at(deadline, first_byte(&stream)).await else { return };
    if first != TLS_HANDSHAKE {
        // Every HTTP method begins with a capital letter; nothing else gets a response.
        if first.is_ascii_uppercase() {
            let mode = ConnectionMode::PlainHttp(peer);
            serve_connection(server, stream, Version::One, mode, shutdown).await;
        }
        return;
    }
    match tokio::time::timeout_at(deadline, TlsAcceptor::from(config).accept(stream)).await {
        Ok(Ok(stream)) => {
            let version =
                if stream.get_ref().1.alpn_protocol() == Some(b"h2") { Version::Two } else { Version::One };
            serve_connection(server, stream, version, ConnectionMode::Tls(peer), shutdown).await;
        }
        Ok(Err(error)) => tracing::debug!(%peer, %error, "the TLS handshake failed"),
        Err(_elapsed) => tracing::debug!(%peer, "the TLS handshake timed out"),
    }
}

/// The first byte, without consuming it; `None` when the peer closed or broke the connection.
async fn first_byte(stream: &TcpStream) -> Option<u8> {
    let mut byte = [0; 1];
    match stream.peek(&mut byte).await {
        Ok(1..) => Some(byte[0]),
        Ok(0) | Err(_) => None,
    }
}

fn builder(limits: ConnectionLimits, version: Version, mode: ConnectionMode) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(MAX_HEAD_BYTES)
        .keep_alive(!matches!(mode, ConnectionMode::PlainHttp(_)));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(MAX_HEAD_BYTES).unwrap_or(u32::MAX))
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PONG_WITHIN);
    match version {
        Version::One => builder.http1_only(),
        Version::Two => builder.http2_only(),
        Version::Either => builder,
    }
}

/// Serves the requests of a connection until it ends, becomes idle or is asked to stop.
pub(crate) async fn serve_connection<A, I>(
    server: Arc<HttpServer<A>>,
    stream: I,
    version: Version,
    mode: ConnectionMode,
    shutdown: CancellationToken,
) where
    A: App,
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = server.options.limits;
    let builder = builder(limits, version, mode);
    let refusing = Arc::clone(&server);
    let stream = RewrittenStream::new(LingeringStream::new(stream), move |problem| {
        unreadable(&refusing, problem, mode)
    });
    let activity = ConnectionActivity::new(server);
    let service = service_fn(|request: Request<Incoming>| {
        let guard = activity.start();
        async move {
            let response = guard.activity.shared.respond(request, mode).await;
            Ok::<_, Infallible>(response.map(|body| guard.into_body(body)))
        }
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut idle_check = tokio::time::interval(limits.idle);
    idle_check.reset();
    let mut seen = 0;
    loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(error, "a connection broke");
                }
                return;
            }
            () = shutdown.cancelled() => break,
            _ = idle_check.tick() => if activity.was_idle_since(&mut seen) { break },
        }
    }
    connection.as_mut().graceful_shutdown();
    if tokio::time::timeout(limits.drain, connection).await.is_err() {
        tracing::debug!("a connection was cut off at the end of its drain");
    }
}

/// The response to bytes that are not a request.
fn unreadable<A: App>(server: &HttpServer<A>, problem: Unreadable, mode: ConnectionMode) -> Vec<u8> {
    let (problem, peer) = match mode {
        ConnectionMode::Tls(address) | ConnectionMode::Loopback(address) => {
            (problem, Peer::Remote(canonical(address)))
        }
        ConnectionMode::PlainHttp(address) => (Unreadable::PlainHttp, Peer::Remote(canonical(address))),
        ConnectionMode::Unix { uid } => (problem, Peer::Local { uid }),
    };
    to_bytes(closing(server.app.refuse_unreadable(problem, peer)))
}

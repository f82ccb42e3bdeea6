//! One connection, from its first byte to its end.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
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
use tokio_rustls::server::TlsStream;

use super::{HttpServer, closing};
use crate::activity::ConnectionActivity;
use crate::app::App;
use crate::connections::{ConnectionSlot, ConnectionState, counted_block};
use crate::linger::LingeringStream;
use crate::listener::Accepted;
use crate::options::ConnectionLimits;
use crate::peer::{ConnectionMode, Peer};
use crate::proxy_protocol::{ProxiedPeer, read_header};
use crate::rewrite::{RewrittenStream, Unreadable, to_bytes};
use crate::unread::RequestBody;

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
    slot: ConnectionSlot,
) {
    let state = Arc::clone(&slot.state);
    match accepted {
        Accepted::Tls(stream, peer, config) => serve_tls(server, stream, peer.ip(), config, &slot).await,
        Accepted::Plain(stream, peer) => {
            let _ = stream.set_nodelay(true);
            let mode = ConnectionMode::Plain(peer.ip());
            serve_connection(server, stream, Version::Either, mode, state).await;
        }
        Accepted::Unix(stream) => {
            let uid = stream.peer_cred().ok().map(|process| process.uid());
            serve_connection(server, stream, Version::Either, ConnectionMode::Unix { uid }, state).await;
        }
    }
}

/// What the first byte on the TLS port begins.
enum Opening {
    Tls(Box<TlsStream<TcpStream>>),
    PlainHttp(TcpStream),
}

async fn serve_tls<A: App>(
    server: Arc<HttpServer<A>>,
    stream: TcpStream,
    peer: IpAddr,
    config: Arc<ServerConfig>,
    slot: &ConnectionSlot,
) {
    let state = Arc::clone(&slot.state);
    // Most responses fit one packet; waiting to fill it would only delay them.
    let _ = stream.set_nodelay(true);
    let deadline = Instant::now() + server.options.limits.handshake;
    let opening = tokio::select! {
        biased;
        () = state.closing.cancelled() => return,
        opening = tokio::time::timeout_at(deadline, open(&server, stream, peer, slot, config)) => opening,
    };
    let (peer, opening) = match opening {
        Ok(Ok(opened)) => opened,
        Ok(Err(error)) => return tracing::debug!(%peer, %error, "the TLS handshake failed"),
        Err(_elapsed) => return tracing::debug!(%peer, "the TLS handshake timed out"),
    };
    match opening {
        Some(Opening::Tls(stream)) => {
            let version =
                if stream.get_ref().1.alpn_protocol() == Some(b"h2") { Version::Two } else { Version::One };
            serve_connection(server, stream, version, ConnectionMode::Tls(peer), state).await;
        }
        Some(Opening::PlainHttp(stream)) => {
            let mode = ConnectionMode::PlainHttp(peer);
            serve_connection(server, stream, Version::One, mode, state).await;
        }
        None => {}
    }
}

/// Reads what comes before the first request: the PROXY protocol header of a trusted proxy, if the settings demand it, and the
/// TLS handshake, unless the first byte is that of a plain HTTP request. Returns the client's address; the opening is `None` if
/// the first byte is neither, and such bytes get no response.
async fn open<A: App>(
    server: &HttpServer<A>,
    mut stream: TcpStream,
    peer: IpAddr,
    slot: &ConnectionSlot,
    config: Arc<ServerConfig>,
) -> io::Result<(IpAddr, Option<Opening>)> {
    let mut client = peer;
    let trusted = &server.options.trusted_proxies;
    if server.options.proxy_protocol
        && trusted.contains(peer)
        && let ProxiedPeer::Client(address) = read_header(&mut stream).await?
    {
        client = address;
        if let Some(block) = counted_block(client, trusted) {
            slot.attribute(block).map_err(|limit| io::Error::other(limit.name()))?;
        }
    }
    let opening = match first_byte(&stream).await {
        Some(TLS_HANDSHAKE) => Some(Opening::Tls(Box::new(TlsAcceptor::from(config).accept(stream).await?))),
        // Every HTTP method begins with a capital letter.
        Some(b'A'..=b'Z') => Some(Opening::PlainHttp(stream)),
        Some(_) | None => None,
    };
    Ok((client, opening))
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

/// Serves the requests of a connection until it ends, becomes idle, is asked to stop or is closed for another connection.
pub(crate) async fn serve_connection<A, I>(
    server: Arc<HttpServer<A>>,
    stream: I,
    version: Version,
    mode: ConnectionMode,
    state: Arc<ConnectionState>,
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
    let activity = ConnectionActivity::new(server, Arc::clone(&state));
    let service = service_fn(|request: Request<Incoming>| {
        let guard = activity.start();
        async move {
            let (head, body) = request.into_parts();
            let (body, mut unread) = RequestBody::split(body);
            let request = Request::from_parts(head, body);
            let version = request.version();
            let response = guard.activity.shared.respond_to_valid(request, mode).await;
            if version == http::Version::HTTP_2
                && let Some(unread) = &mut unread
            {
                unread.discard_declared().await;
            }
            Ok::<_, Infallible>(response.map(|body| guard.into_body(body, unread)))
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
            () = state.closing.cancelled() => break,
            _ = idle_check.tick() => if state.counters.was_idle_since(&mut seen) { break },
        }
    }
    connection.as_mut().graceful_shutdown();
    if state.can_be_dropped() {
        // One poll sends GOAWAY or close_notify. A client that does not read it must not keep its descriptor.
        let _ = connection.as_mut().now_or_never();
        return;
    }
    if tokio::time::timeout(limits.drain, connection).await.is_err() {
        tracing::debug!("a connection was cut off at the end of its drain");
    }
}

/// The response to bytes that are not a request.
fn unreadable<A: App>(server: &HttpServer<A>, problem: Unreadable, mode: ConnectionMode) -> Vec<u8> {
    let (problem, peer) = match mode {
        ConnectionMode::Tls(address) | ConnectionMode::Plain(address) => {
            (problem, Peer::Remote(canonical(address)))
        }
        ConnectionMode::PlainHttp(address) => (Unreadable::PlainHttp, Peer::Remote(canonical(address))),
        ConnectionMode::Unix { uid } => (problem, Peer::Local { uid }),
    };
    to_bytes(closing(server.app.refuse_unreadable(problem, peer)))
}

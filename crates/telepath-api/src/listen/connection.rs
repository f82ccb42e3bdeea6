//! One connection, from its first byte to its end.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::whole::Whole;
use crate::app::Api;
use crate::auth::peer::Peer;
use crate::options::ConnectionLimits;

/// The content type of a TLS handshake record (RFC 8446 section 5.1): the first byte of every TLS connection.
const TLS_HANDSHAKE: u8 = 0x16;
/// The largest request head in bytes.
const MAX_HEAD_BYTES: usize = 32 * 1024;
/// The most requests at once on one HTTP/2 connection.
const MAX_STREAMS: u32 = 100;
/// How often an HTTP/2 peer is asked whether it is still there, and how long it may take to say so.
const PING_EVERY: Duration = Duration::from_secs(30);
const PONG_WITHIN: Duration = Duration::from_secs(10);

/// Which HTTP a connection speaks.
#[derive(Clone, Copy)]
enum Version {
    One,
    Two,
    /// To be told from the first bytes.
    Either,
}

/// What is done with the requests of a connection.
#[derive(Clone, Copy)]
pub(super) enum Treatment {
    Serve(Peer),
    /// They came in clear to the TLS port.
    RefuseInClear(IpAddr),
}

pub(super) async fn serve_tls(
    api: Arc<Api>,
    stream: TcpStream,
    peer: IpAddr,
    config: Arc<ServerConfig>,
    shutdown: CancellationToken,
) {
    let limits = api.shared.options.connections;
    // Answers are small and whole; waiting to fill a packet only delays them.
    let _ = stream.set_nodelay(true);
    let deadline = Instant::now() + limits.handshake;
    let Ok(Some(first)) = tokio::time::timeout_at(deadline, first_byte(&stream)).await else { return };
    if first != TLS_HANDSHAKE {
        // Every HTTP method begins with a capital letter; anything else is not worth an answer.
        if first.is_ascii_uppercase() {
            converse(api, stream, Version::One, Treatment::RefuseInClear(peer), shutdown).await;
        }
        return;
    }
    match tokio::time::timeout_at(deadline, TlsAcceptor::from(config).accept(stream)).await {
        Ok(Ok(stream)) => {
            let version =
                if stream.get_ref().1.alpn_protocol() == Some(b"h2") { Version::Two } else { Version::One };
            converse(api, stream, version, Treatment::Serve(Peer::Tls(peer)), shutdown).await;
        }
        Ok(Err(error)) => tracing::debug!(%peer, %error, "the TLS handshake failed"),
        Err(_elapsed) => tracing::debug!(%peer, "the TLS handshake took too long"),
    }
}

pub(super) async fn serve_loopback(
    api: Arc<Api>,
    stream: TcpStream,
    peer: IpAddr,
    shutdown: CancellationToken,
) {
    let _ = stream.set_nodelay(true);
    converse(api, stream, Version::Either, Treatment::Serve(Peer::Loopback(peer)), shutdown).await;
}

pub(super) async fn serve_local(api: Arc<Api>, stream: UnixStream, shutdown: CancellationToken) {
    converse(api, stream, Version::Either, Treatment::Serve(Peer::Local), shutdown).await;
}

/// The first byte without taking it; `None` when the peer closed or broke the connection.
async fn first_byte(stream: &TcpStream) -> Option<u8> {
    let mut byte = [0; 1];
    match stream.peek(&mut byte).await {
        Ok(1..) => Some(byte[0]),
        Ok(0) | Err(_) => None,
    }
}

/// What the requests of a connection have in common, and how many have begun and ended. Each holds this and not the API
/// itself, whose count of holders would travel between processors with every request. It keeps no time, which is dear
/// where every request passes: whoever looks again and again sees what happened between two looks.
struct Conversation<A> {
    api: A,
    begun: AtomicU64,
    ended: AtomicU64,
}

impl<A> Conversation<A> {
    fn of(api: A) -> Arc<Self> {
        Arc::new(Self { api, begun: AtomicU64::new(0), ended: AtomicU64::new(0) })
    }

    fn begin(self: &Arc<Self>) -> Running<A> {
        self.begun.fetch_add(1, Ordering::AcqRel);
        Running(Arc::clone(self))
    }

    /// Whether nothing runs, and nothing ended since the last look, whose memory is `seen`.
    fn was_idle_since(&self, seen: &mut u64) -> bool {
        let ended = self.ended.load(Ordering::Acquire);
        let before = std::mem::replace(seen, ended);
        ended == before && self.begun.load(Ordering::Acquire) == ended
    }
}

/// A request that is being answered, or was given up by its caller.
struct Running<A>(Arc<Conversation<A>>);

impl<A> Drop for Running<A> {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::AcqRel);
    }
}

fn builder(limits: ConnectionLimits, version: Version, treatment: Treatment) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(MAX_HEAD_BYTES)
        .keep_alive(matches!(treatment, Treatment::Serve(_)));
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

async fn converse<I>(
    api: Arc<Api>,
    stream: I,
    version: Version,
    treatment: Treatment,
    shutdown: CancellationToken,
) where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = api.shared.options.connections;
    let conversation = Conversation::of(Arc::clone(&api));
    let service = service_fn(|request: Request<Incoming>| {
        let running = conversation.begin();
        async move {
            let api = &running.0.api;
            let response = match treatment {
                Treatment::Serve(peer) => api.handle(request.map(Body::new), peer).await,
                Treatment::RefuseInClear(peer) => {
                    api.refuse_in_clear(request.method(), request.uri().path(), request.headers(), peer)
                }
            };
            Ok::<_, Infallible>(response)
        }
    });
    let builder = builder(limits, version, treatment);
    let stream = Whole::new(stream, Arc::clone(&api), treatment);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut look = tokio::time::interval(limits.idle);
    look.reset();
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
            _ = look.tick() => if conversation.was_idle_since(&mut seen) { break },
        }
    }
    connection.as_mut().graceful_shutdown();
    if tokio::time::timeout(limits.drain, connection).await.is_err() {
        tracing::debug!("a connection was cut off at the end of its drain");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_idle_when_nothing_ran_between_two_looks() {
        let activity = Conversation::of(());
        let mut seen = 0;
        let long = activity.begin();
        assert!(!activity.was_idle_since(&mut seen), "one runs");
        drop(long);
        assert!(!activity.was_idle_since(&mut seen), "one ended since the last look");
        assert!(activity.was_idle_since(&mut seen));
        drop(activity.begin());
        assert!(!activity.was_idle_since(&mut seen), "one came and went");
        assert!(activity.was_idle_since(&mut seen));
    }
}

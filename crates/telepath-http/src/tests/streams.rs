//! Response bodies that take longer than the idle timeout.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::StreamingApp;
use crate::connections::ConnectionState;
use crate::options::{ConnectionLimits, ServerOptions};
use crate::peer::ConnectionMode;
use crate::server::{HttpServer, Version, serve_connection};

const IDLE: Duration = Duration::from_secs(1);
const DRAIN: Duration = Duration::from_secs(1);
/// Parts that are sent in more than three times the idle timeout and the drain together.
const PARTS: usize = 25;
const EVERY: Duration = Duration::from_millis(250);
const TLS: ConnectionMode = ConnectionMode::Tls(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

/// Serves an application that sends `PARTS` parts of this many bytes, one at each tick.
fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    version: Version,
    mode: ConnectionMode,
    (every, part): (Duration, usize),
) -> JoinHandle<()> {
    let limits = ConnectionLimits { idle: IDLE, drain: DRAIN, ..ConnectionLimits::default() };
    let options = ServerOptions { limits, ..ServerOptions::default() };
    let server = HttpServer::new(StreamingApp { name: "stream", every, parts: PARTS, part }, options);
    tokio::spawn(serve_connection(
        server,
        stream,
        version,
        mode,
        ConnectionState::new(CancellationToken::new()),
    ))
}

/// The response body of one request. The client keeps its connection open until `_sender` is dropped.
struct Reading {
    body: Incoming,
    _sender: Box<dyn std::any::Any + Send>,
}

fn request() -> Request<Empty<Bytes>> {
    Request::get("http://localhost/").header("host", "localhost").body(Empty::new()).unwrap()
}

async fn over_http1(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Reading {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let body = sender.send_request(request()).await.unwrap().into_body();
    Reading { body, _sender: Box::new(sender) }
}

async fn over_http2(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Reading {
    let io = TokioIo::new(stream);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let body = sender.send_request(request()).await.unwrap().into_body();
    Reading { body, _sender: Box::new(sender) }
}

fn in_memory() -> (DuplexStream, DuplexStream) {
    tokio::io::duplex(64 * 1024)
}

/// The number of bytes that arrive before the body ends as it should.
async fn read_whole(reading: Reading) -> usize {
    let Reading { body, _sender } = reading;
    body.collect().await.unwrap().to_bytes().len()
}

#[tokio::test(start_paused = true)]
async fn a_body_longer_than_the_idle_timeout_arrives_whole_over_http1() {
    let (client, server) = in_memory();
    serve(server, Version::One, TLS, (EVERY, 10));
    assert_eq!(read_whole(over_http1(client).await).await, PARTS * 10);
}

#[tokio::test(start_paused = true)]
async fn a_body_longer_than_the_idle_timeout_arrives_whole_over_http2() {
    let (client, server) = in_memory();
    serve(server, Version::Two, TLS, (EVERY, 10));
    assert_eq!(read_whole(over_http2(client).await).await, PARTS * 10);
}

#[tokio::test(start_paused = true)]
async fn a_body_longer_than_the_idle_timeout_arrives_whole_over_a_unix_socket() {
    let (client, server) = UnixStream::pair().unwrap();
    serve(server, Version::Either, ConnectionMode::Unix { uid: None }, (EVERY, 10));
    assert_eq!(read_whole(over_http1(client).await).await, PARTS * 10);
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_of_large_parts_gets_the_whole_body() {
    const PART: usize = 1024 * 1024;
    let (client, server) = in_memory();
    serve(server, Version::One, TLS, (Duration::from_millis(1), PART));
    let mut reading = over_http1(client).await;
    let mut received = 0;
    // Reads more between two idle checks than the buffers of the connection hold; the whole takes dozens of checks.
    let mut pauses = tokio::time::interval(IDLE / 32);
    while let Some(frame) = reading.body.frame().await {
        received += frame.unwrap().into_data().map_or(0, |data| data.len());
        pauses.tick().await;
    }
    assert_eq!(received, PARTS * PART);
}

/// The connection ends although its client keeps it open and has only stopped reading.
async fn ends(connection: JoinHandle<()>, reading: Reading) {
    let within = 2 * IDLE + DRAIN + Duration::from_secs(1);
    tokio::time::timeout(within, connection).await.expect("a stalled client is disconnected").unwrap();
    drop(reading);
}

#[tokio::test(start_paused = true)]
async fn a_stalled_http1_client_is_disconnected() {
    let (client, server) = in_memory();
    let connection = serve(server, Version::One, TLS, (Duration::from_millis(1), 1024 * 1024));
    let reading = over_http1(client).await;
    ends(connection, reading).await;
}

#[tokio::test(start_paused = true)]
async fn a_stalled_http2_client_is_disconnected() {
    let (client, server) = in_memory();
    let connection = serve(server, Version::Two, TLS, (Duration::from_millis(1), 1024 * 1024));
    let reading = over_http2(client).await;
    ends(connection, reading).await;
}

#[tokio::test(start_paused = true)]
async fn a_stalled_client_on_a_unix_socket_is_disconnected() {
    let (client, server) = UnixStream::pair().unwrap();
    let mode = ConnectionMode::Unix { uid: None };
    let connection = serve(server, Version::Either, mode, (Duration::from_millis(1), 1024 * 1024));
    let reading = over_http1(client).await;
    ends(connection, reading).await;
}

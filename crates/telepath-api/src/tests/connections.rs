//! Connections over loopback with real TLS: their limits, the PROXY protocol, the host fields, and bodies that no handler
//! reads.

use axum::body::Body;
use axum::http::{Request, Version};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::harness::{Harness, collect, request};
use super::listeners::{Open, open_tls, talk};

/// A keep-alive connection after its first request.
async fn keep_alive(open: &Open) -> (SendRequest<Body>, JoinHandle<hyper::Result<()>>) {
    let stream = open.tls.connect(open.address, b"http/1.1").await.unwrap();
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let mut sender: SendRequest<Body> = sender;
    let connection = tokio::spawn(connection);
    livez(&mut sender).await;
    (sender, connection)
}

async fn livez(sender: &mut SendRequest<Body>) {
    sender.ready().await.unwrap();
    let mut request = request("GET", "/livez", "");
    request.headers_mut().insert("host", "localhost".parse().unwrap());
    collect(sender.send_request(request).await.unwrap().map(Body::new)).await.expect(200);
}

#[tokio::test]
async fn at_the_connection_limit_of_an_address_its_oldest_idle_connection_is_closed() {
    let harness = Harness::with(600, |options| options.server.limits.per_address = 2).await;
    let open = open_tls(&harness).await;
    // A connection that sends nothing is idle too.
    let mut silent = TcpStream::connect(open.address).await.unwrap();
    let (mut second, second_ended) = keep_alive(&open).await;
    let (mut third, _third) = keep_alive(&open).await;
    assert!(silent.read_to_end(&mut Vec::new()).await.is_ok_and(|length| length == 0), "it was closed");
    livez(&mut second).await;
    let (mut fourth, _fourth) = keep_alive(&open).await;
    livez(&mut fourth).await;
    livez(&mut third).await;
    second_ended.await.unwrap().unwrap();
    let counts = harness.server.connection_counts();
    assert_eq!((counts.accepted, counts.displaced, counts.refused), (4, [2, 0, 0], [0; 3]));
}

#[tokio::test]
async fn a_connection_is_refused_only_if_no_other_is_idle() {
    let harness = Harness::with(600, |options| options.server.limits.total = 1).await;
    let key = harness.master().await;
    let open = open_tls(&harness).await;
    let mut busy = open.tls.connect(open.address, b"http/1.1").await.unwrap();
    let body = json!({"name": "Busy", "preset": "testing"}).to_string();
    let head = format!(
        "POST /v1/keys HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n\
         Connection: close\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    busy.write_all(head.as_bytes()).await.unwrap();
    let mut interim = [0; 25];
    busy.read_exact(&mut interim).await.unwrap();
    assert!(open.tls.connect(open.address, b"http/1.1").await.is_err(), "the only connection is in use");
    busy.write_all(body.as_bytes()).await.unwrap();
    let mut text = String::new();
    busy.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 201 Created\r\n"), "{text}");
    assert_eq!(harness.server.connection_counts().refused, [0, 1, 0]);
}

#[tokio::test]
async fn the_limit_of_an_address_does_not_apply_to_trusted_proxies() {
    let harness = Harness::with(600, |options| {
        options.server.limits.per_address = 1;
        options.server.trusted_proxies = "127.0.0.0/8".parse().unwrap();
    })
    .await;
    let open = open_tls(&harness).await;
    let (mut first, _first) = keep_alive(&open).await;
    let (mut second, _second) = keep_alive(&open).await;
    livez(&mut first).await;
    livez(&mut second).await;
    assert_eq!(harness.server.connection_counts().open, 2);
}

#[tokio::test]
async fn a_request_needs_exactly_one_valid_host_field() {
    let harness = Harness::new().await;
    let open = open_tls(&harness).await;
    for (version, fields, status) in [
        ("1.1", "Host: localhost\r\n", 200),
        ("1.1", "Host: localhost:8443\r\n", 200),
        ("1.1", "", 400),
        ("1.1", "Host: localhost\r\nHost: localhost\r\n", 400),
        ("1.1", "Host: a b\r\n", 400),
        ("1.1", "Host: user@localhost\r\n", 400),
        ("1.0", "", 200),
        ("1.0", "Host: a\r\nHost: b\r\n", 400),
    ] {
        let request = format!("GET /livez HTTP/{version}\r\nConnection: close\r\n{fields}\r\n");
        let text = talk(&open, request.as_bytes()).await;
        assert_eq!(text.split(' ').nth(1), Some(status.to_string().as_str()), "{version} {fields:?}: {text}");
        if status == 400 {
            assert!(
                text.contains("\"code\":\"MALFORMED_REQUEST\"") && text.contains("x-ratelimit-limit"),
                "{text}"
            );
        }
    }
}

#[tokio::test]
async fn an_http2_response_ends_after_the_rest_of_the_request_body_was_read() {
    let harness = Harness::new().await;
    let open = open_tls(&harness).await;
    let stream = open.tls.connect(open.address, b"h2").await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let (parts_sent, parts) = tokio::sync::mpsc::channel::<Bytes>(1);
    let parts = futures_util::stream::unfold(parts, async |mut parts| {
        parts.recv().await.map(|part| (Ok::<_, std::io::Error>(part), parts))
    });
    let mut refused = request("POST", "https://localhost/v1/keys", "");
    *refused.version_mut() = Version::HTTP_2;
    *refused.body_mut() = Body::from_stream(parts);
    let response = sender.send_request(refused).await.unwrap();
    assert_eq!(response.status(), 401);
    let mut body = response.into_body();
    let text = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(text.starts_with(b"{\"error\""), "the response is sent before the request ends");
    let mut end = Box::pin(body.frame());
    for _ in 0..40 {
        assert!(futures_util::poll!(&mut end).is_pending(), "the request is still being sent");
        parts_sent.send(Bytes::from(vec![b' '; 16 * 1024])).await.unwrap();
    }
    drop(parts_sent);
    // The last frame may be an empty one that carries only the end. A reset would be an error.
    let last = end.await.transpose().unwrap();
    assert!(last.is_none_or(|frame| frame.data_ref().is_some_and(Bytes::is_empty)));
}

/// A connection of a load balancer that sends these bytes first.
async fn proxied(open: &Open, header: &[u8]) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(open.address).await?;
    stream.write_all(header).await?;
    Ok(stream)
}

/// A PROXY protocol header of version 2 for a connection from 203.0.113.7 over IPv4.
fn proxy_header() -> Vec<u8> {
    let addresses = [203, 0, 113, 7, 127, 0, 0, 1, 0x12, 0x67, 0x20, 0xfb];
    [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[0x21, 0x11, 0, 12], &addresses].concat()
}

async fn proxy_harness(trusted: &str) -> Harness {
    Harness::with(600, |options| {
        options.server.proxy_protocol = true;
        options.server.trusted_proxies = trusted.parse().unwrap();
    })
    .await
}

#[tokio::test]
async fn the_proxy_protocol_header_of_a_trusted_proxy_names_the_client() {
    let harness = proxy_harness("127.0.0.0/8").await;
    let key = harness.key(json!({"preset": "testing", "allowed_ips": ["203.0.113.7"]})).await;
    let open = open_tls(&harness).await;
    let stream = proxied(&open, &proxy_header()).await.unwrap();
    let stream = open.tls.over(stream).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut whoami: Request<Body> = request("GET", "/v1/whoami", &key);
    whoami.headers_mut().insert("host", "localhost".parse().unwrap());
    // The client is no proxy, so what it says about others is ignored.
    whoami.headers_mut().insert("x-forwarded-for", "198.51.100.1".parse().unwrap());
    collect(sender.send_request(whoami).await.unwrap().map(Body::new)).await.expect(200);
}

#[tokio::test]
async fn the_proxy_protocol_header_is_required_from_trusted_proxies_and_refused_from_others() {
    let harness = proxy_harness("127.0.0.0/8").await;
    let open = open_tls(&harness).await;
    assert!(open.tls.connect(open.address, b"http/1.1").await.is_err(), "a trusted proxy must send it");
    let stream = proxied(&open, b"PROXY TCP4 203.0.113.7 127.0.0.1 4711 8443\r\n").await.unwrap();
    assert!(open.tls.over(stream).await.is_err(), "version 1 is not accepted");

    let harness = proxy_harness("192.0.2.0/24").await;
    let open = open_tls(&harness).await;
    assert!(open.tls.connect(open.address, b"http/1.1").await.is_ok(), "a client connects directly");
    let stream = proxied(&open, &proxy_header()).await.unwrap();
    assert!(open.tls.over(stream).await.is_err(), "a client cannot name another");
}

#[tokio::test]
async fn connections_through_a_proxy_count_against_the_client_that_its_header_names() {
    let harness = Harness::with(600, |options| {
        options.server.proxy_protocol = true;
        options.server.trusted_proxies = "127.0.0.0/8".parse().unwrap();
        options.server.limits.per_address = 1;
    })
    .await;
    let open = open_tls(&harness).await;
    let first = proxied(&open, &proxy_header()).await.unwrap();
    let mut first = open.tls.over(first).await.unwrap();
    let second = proxied(&open, &proxy_header()).await.unwrap();
    let _second = open.tls.over(second).await.unwrap();
    // The end may come with or without close_notify.
    let _ = first.read_to_end(&mut Vec::new()).await;
    assert_eq!(harness.server.connection_counts().displaced, [1, 0, 0]);
}

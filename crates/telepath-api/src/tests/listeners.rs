//! The listeners, over loopback and with real TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

use telepath_http::{ALPN_PROTOCOLS, LoopbackError, LoopbackListener};

use super::harness::{Answer, Harness, collect, request};

/// A certificate that the client trusts, and both sides' configurations.
pub(super) struct Tls {
    server: Arc<ServerConfig>,
    roots: Arc<RootCertStore>,
}

impl Tls {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let certificate = made.cert.der().clone();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let mut server =
            ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
        server.alpn_protocols = ALPN_PROTOCOLS.iter().map(|protocol| protocol.to_vec()).collect();
        Self { server: Arc::new(server), roots: Arc::new(roots) }
    }

    pub(super) async fn connect(
        &self,
        address: SocketAddr,
        alpn: &[u8],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        self.handshake(TcpStream::connect(address).await?, alpn).await
    }

    /// TLS over an open connection.
    pub(super) async fn over(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        self.handshake(stream, b"http/1.1").await
    }

    async fn handshake(&self, stream: TcpStream, alpn: &[u8]) -> std::io::Result<TlsStream<TcpStream>> {
        let mut config =
            ClientConfig::builder().with_root_certificates(Arc::clone(&self.roots)).with_no_client_auth();
        config.alpn_protocols = vec![alpn.to_vec()];
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }
}

pub(super) struct Open {
    pub(super) address: SocketAddr,
    pub(super) tls: Tls,
    change: watch::Sender<Arc<ServerConfig>>,
    shutdown: CancellationToken,
    server: JoinHandle<()>,
}

pub(super) async fn open_tls(harness: &Harness) -> Open {
    let tls = Tls::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (change, config) = watch::channel(Arc::clone(&tls.server));
    let shutdown = CancellationToken::new();
    let server = tokio::spawn(Arc::clone(&harness.server).serve_tls(listener, config, shutdown.clone()));
    Open { address, tls, change, shutdown, server }
}

async fn over_http1(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Body>,
) -> Answer {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut request = request;
    request.headers_mut().insert("host", "localhost".parse().unwrap());
    collect(sender.send_request(request).await.unwrap().map(Body::new)).await
}

#[tokio::test]
async fn both_versions_of_http_are_served_over_tls() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    let open = open_tls(&harness).await;
    let stream = open.tls.connect(open.address, b"http/1.1").await.unwrap();
    over_http1(stream, request("GET", "/v1/whoami", &key)).await.expect(200);

    let stream = open.tls.connect(open.address, b"h2").await.unwrap();
    let executor = TokioExecutor::new();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(executor, TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut two = request("GET", "https://localhost/v1/whoami", &key);
    *two.version_mut() = Version::HTTP_2;
    let response = sender.send_request(two).await.unwrap();
    assert_eq!(response.version(), Version::HTTP_2);
    let answer = collect(response.map(Body::new)).await.expect(200);
    assert_eq!(answer.header("x-ratelimit-remaining"), "5998");
}

/// Sends bytes over TLS and gives back all that is answered until the connection is closed.
pub(super) async fn talk(open: &Open, bytes: &[u8]) -> String {
    let mut stream = open.tls.connect(open.address, b"http/1.1").await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // The length in the head says what is whole; a connection given up needs no close_notify.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn malformed_http_gets_a_complete_error_response() {
    let harness = Harness::new().await;
    let open = open_tls(&harness).await;
    let many = format!("GET /livez HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(101));
    let long = format!("GET /livez HTTP/1.1\r\na: {}\r\n\r\n", "b".repeat(200 * 1024));
    for (sent, status, code) in [
        ("GET\r\n\r\n", "400 Bad Request", "MALFORMED_REQUEST"),
        ("GET / HTTP/1.1\r\nbroken header\r\n\r\n", "400 Bad Request", "MALFORMED_REQUEST"),
        ("GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", "400 Bad Request", "MALFORMED_REQUEST"),
        (&many, "431 Request Header Fields Too Large", "HEADERS_TOO_LARGE"),
        (&long, "431 Request Header Fields Too Large", "HEADERS_TOO_LARGE"),
    ] {
        let text = talk(&open, sent.as_bytes()).await;
        let parts = text.split_once("\r\n\r\n");
        let (head, body) = parts.unwrap_or_else(|| panic!("{sent:.40?}: {text:?}"));
        assert!(head.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{sent:.40}: {text}");
        for header in
            ["x-request-id: req_", "x-ratelimit-limit: 600", "ratelimit: \"default\";r=", "connection: close"]
        {
            assert!(head.contains(header), "{header} in {text}");
        }
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["error"]["code"], code, "{text}");
    }
}

#[tokio::test]
async fn an_early_response_arrives_although_the_body_is_still_being_sent() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    let open = open_tls(&harness).await;
    let body = vec![b' '; 900 * 1024];
    for (authorization, kind, status) in [
        (format!("Authorization: Bearer {key}\r\n"), "application/json", "413 Payload Too Large"),
        (format!("Authorization: Bearer {key}\r\n"), "text/plain", "415 Unsupported Media Type"),
        (String::new(), "application/json", "401 Unauthorized"),
    ] {
        let head = format!(
            "POST /v1/keys HTTP/1.1\r\nHost: localhost\r\n{authorization}Content-Type: {kind}\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        let text = talk(&open, &[head.as_bytes(), &body].concat()).await;
        assert!(text.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{kind}: {text}");
    }
}

#[tokio::test]
async fn plain_http_on_the_tls_port_is_refused_and_closed() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    let open = open_tls(&harness).await;
    let mut stream = TcpStream::connect(open.address).await.unwrap();
    let head = format!("GET /v1/whoami HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{text}");
    for part in [
        "connection: close\r\n",
        "x-request-id: req_",
        "x-ratelimit-limit: 600\r\n",
        "\"code\":\"HTTPS_REQUIRED\"",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("location:"), "never a redirect");
}

#[tokio::test]
async fn bytes_that_are_neither_tls_nor_http_get_no_response() {
    let harness = Harness::new().await;
    let open = open_tls(&harness).await;
    let mut stream = TcpStream::connect(open.address).await.unwrap();
    stream.write_all(b"\0\x01\x02\x03").await.unwrap();
    let mut rest = Vec::new();
    // The peer may close or reset; both say nothing.
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
}

#[tokio::test]
async fn a_new_certificate_is_used_by_the_next_connection() {
    let harness = Harness::new().await;
    let open = open_tls(&harness).await;
    let other = Tls::new();
    assert!(other.connect(open.address, b"http/1.1").await.is_err());
    open.change.send_replace(Arc::clone(&other.server));
    let stream = other.connect(open.address, b"http/1.1").await.unwrap();
    over_http1(stream, request("GET", "/livez", "")).await.expect(200);
}

#[tokio::test]
async fn plain_http_is_served_on_loopback_addresses_only() {
    let refused = LoopbackListener::bind("0.0.0.0:0".parse().unwrap()).await;
    assert!(matches!(refused, Err(LoopbackError::NotLoopback(_))));
    let harness = Harness::new().await;
    let key = harness.master().await;
    let listener = LoopbackListener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(Arc::clone(&harness.server).serve_loopback(listener, CancellationToken::new()));
    let stream = TcpStream::connect(address).await.unwrap();
    over_http1(stream, request("GET", "/v1/whoami", &key)).await.expect(200);
    let stream = TcpStream::connect(address).await.unwrap();
    over_http1(stream, request("GET", "/v1/whoami", "")).await.expect(401);
}

#[tokio::test]
async fn the_local_socket_needs_no_key() {
    let harness = Harness::new().await;
    let path = harness.folder.0.join("admin.sock");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(Arc::clone(&harness.server).serve_unix(listener, CancellationToken::new()));
    let mut make = request("POST", "/v1/keys", "");
    make.headers_mut().insert("content-type", "application/json".parse().unwrap());
    *make.body_mut() = Body::from(json!({"name": "First", "preset": "production"}).to_string());
    let made = over_http1(UnixStream::connect(&path).await.unwrap(), make).await.expect(201);
    assert!(made.json()["created_by"].as_str().unwrap().starts_with("local:"), "{}", made.json());
    harness.get("/v1/whoami", made.json()["secret"].as_str().unwrap()).await.expect(200);
}

#[tokio::test]
async fn shutdown_completes_the_running_request_and_closes_the_listener() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    let open = open_tls(&harness).await;
    let mut stream = open.tls.connect(open.address, b"http/1.1").await.unwrap();
    let body = json!({"name": "Late", "preset": "testing"}).to_string();
    let head = format!(
        "POST /v1/keys HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n\
         Expect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // The interim answer proves that the handler is waiting for the body.
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).await.unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    open.shutdown.cancel();
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 201 Created\r\n"), "{text}");
    open.server.await.unwrap();
    assert!(TcpStream::connect(open.address).await.is_err());
}

#[tokio::test]
async fn slow_handshakes_and_heads_time_out() {
    let harness = Harness::with(600, |options| {
        options.server.limits.handshake = Duration::from_millis(50);
        options.server.limits.head = Duration::from_millis(50);
    })
    .await;
    let open = open_tls(&harness).await;
    // Each of these would wait for ever if the server did not close.
    let mut rest = Vec::new();
    let mut silent = TcpStream::connect(open.address).await.unwrap();
    let _ = silent.read_to_end(&mut rest).await;
    assert!(rest.is_empty(), "silence gets no answer");

    let mut half = TcpStream::connect(open.address).await.unwrap();
    half.write_all(b"GET /livez HTTP/1.1\r\nHost: local").await.unwrap();
    let _ = half.read_to_end(&mut rest).await;
    assert!(!rest.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn an_idle_http2_connection_is_closed() {
    let harness = Harness::with(600, |options| options.server.limits.idle = Duration::from_millis(50)).await;
    let open = open_tls(&harness).await;
    let stream = open.tls.connect(open.address, b"h2").await.unwrap();
    let executor = TokioExecutor::new();
    let (sender, connection) =
        hyper::client::conn::http2::handshake::<_, _, Body>(executor, TokioIo::new(stream)).await.unwrap();
    // The client would keep it open for ever.
    let _ = connection.await;
    assert!(sender.is_closed());
}

//! A small HTTPS client that trusts the server's CA. Secrets in responses are added to the list of secrets.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;

use super::output::{note_keys_in, note_secret};
use super::waiting::soon;

/// Opens connections to one server.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    connector: TlsConnector,
}

impl Client {
    /// Trusts only the CA in this file.
    pub(crate) fn new(address: SocketAddr, authority: &Path) -> anyhow::Result<Self> {
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(authority)? {
            roots.add(certificate?)?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { address, connector: TlsConnector::from(Arc::new(config)) })
    }

    /// A raw TLS stream.
    pub(crate) async fn tls(&self) -> anyhow::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        self.tls_from(Ipv4Addr::LOCALHOST).await
    }

    /// A raw TLS stream from a chosen loopback address.
    pub(crate) async fn tls_from(
        &self,
        source: Ipv4Addr,
    ) -> anyhow::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((source, 0).into())?;
        let tcp = socket.connect(self.address).await?;
        tcp.set_nodelay(true)?;
        Ok(self.connector.connect(ServerName::try_from("localhost")?, tcp).await?)
    }

    /// A keep-alive connection.
    pub(crate) async fn connect(&self) -> anyhow::Result<Connection> {
        Connection::over(self.tls().await?).await
    }

    /// Sends one request on a new connection.
    pub(crate) async fn send(&self, request: Call<'_>) -> anyhow::Result<Answer> {
        self.connect().await?.send(request).await
    }

    /// Announces a JSON body of this length without sending it, so that a failed write cannot hide the response.
    pub(crate) async fn announce_body(&self, path: &str, key: &str, length: usize) -> anyhow::Result<Answer> {
        let mut stream = self.tls().await?;
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await?;
        let mut bytes = Vec::new();
        // A server that closes without close_notify has still responded.
        let _ = soon(path, stream.read_to_end(&mut bytes)).await?;
        Answer::from_text(&String::from_utf8(bytes)?)
    }

    pub(crate) async fn get(&self, path: &str, key: &str) -> anyhow::Result<Answer> {
        self.send(Call::get(path).key(key)).await
    }

    pub(crate) async fn post(&self, path: &str, key: &str, body: &Value) -> anyhow::Result<Answer> {
        self.send(Call::new(Method::POST, path).key(key).json(body)).await
    }

    pub(crate) async fn delete(&self, path: &str, key: &str) -> anyhow::Result<Answer> {
        self.send(Call::new(Method::DELETE, path).key(key)).await
    }
}

/// A request to send.
pub(crate) struct Call<'a> {
    method: Method,
    path: &'a str,
    headers: HeaderMap,
    body: Bytes,
}

impl<'a> Call<'a> {
    pub(crate) fn new(method: Method, path: &'a str) -> Self {
        Self { method, path, headers: HeaderMap::new(), body: Bytes::new() }
    }

    pub(crate) fn get(path: &'a str) -> Self {
        Self::new(Method::GET, path)
    }

    pub(crate) fn key(self, key: &str) -> Self {
        self.header(AUTHORIZATION, &format!("Bearer {key}"))
    }

    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.insert(name, HeaderValue::from_str(value).expect("a header value"));
        self
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.header(CONTENT_TYPE, "application/json").body(body.to_string())
    }

    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }
}

/// One HTTP/1.1 connection.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    pub(crate) async fn over<S>(stream: S) -> anyhow::Result<Self>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // It ends with the connection; the sender sees its errors.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Self { sender })
    }

    pub(crate) async fn send(&mut self, call: Call<'_>) -> anyhow::Result<Answer> {
        soon(call.path, self.exchange(&call)).await?
    }

    async fn exchange(&mut self, call: &Call<'_>) -> anyhow::Result<Answer> {
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(call.path)
            .header(HOST, "localhost")
            .body(Full::new(call.body.clone()))?;
        request.headers_mut().extend(call.headers.clone());
        self.sender.ready().await?;
        let (parts, body) = self.sender.send_request(request).await?.into_parts();
        let answer = Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: body.collect().await?.to_bytes(),
        };
        answer.note_secrets();
        Ok(answer)
    }
}

/// The rate limit headers of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) limit: u64,
    pub(crate) remaining: u64,
    pub(crate) reset: u64,
}

/// A complete response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// Parses a response whose body ends with the connection.
    fn from_text(text: &str) -> anyhow::Result<Self> {
        let (head, body) = text.split_once("\r\n\r\n").context("a head and a body")?;
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).context("a status")?.parse()?;
        let mut headers = HeaderMap::new();
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            headers.append(HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_str(value.trim())?);
        }
        Ok(Self { status, headers, body: Bytes::from(body.to_owned()) })
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("status {} with a body that is not JSON: {}", self.status, self.text()))
    }

    /// Checks the status and returns the body.
    pub(crate) fn expect(self, status: u16) -> anyhow::Result<Value> {
        ensure!(self.status == status, "status {} instead of {status}: {}", self.status, self.text());
        if self.body.is_empty() { Ok(Value::Null) } else { self.json() }
    }

    /// Checks the status and returns the error code.
    pub(crate) fn error(&self, status: u16) -> anyhow::Result<String> {
        ensure!(self.status == status, "status {} instead of {status}: {}", self.status, self.text());
        let code = self.json()?["error"]["code"].as_str().map(str::to_owned);
        code.with_context(|| format!("no error code in {}", self.text()))
    }

    pub(crate) fn rate(&self) -> anyhow::Result<Rate> {
        let number = |name: &str| {
            self.header(name)
                .and_then(|text| text.parse().ok())
                .with_context(|| format!("status {}: no whole number in {name}", self.status))
        };
        Ok(Rate {
            limit: number("x-ratelimit-limit")?,
            remaining: number("x-ratelimit-remaining")?,
            reset: number("x-ratelimit-reset")?,
        })
    }

    fn note_secrets(&self) {
        let text = String::from_utf8_lossy(&self.body);
        note_keys_in(&text);
        if text.contains("\"sip_password\"")
            && let Ok(body) = self.json()
            && let Some(password) = body["sip_password"].as_str()
        {
            note_secret(password);
        }
    }
}

//! An HTTPS endpoint for tests. It records requests and sends the responses that a test chooses.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use telepath_egress::{Resolve, ResolveFuture};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

/// A received request.
#[derive(Debug, Clone)]
pub(super) struct Got {
    pub(super) line: String,
    headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Got {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }
}

/// How to respond to a request.
pub(super) enum Reply {
    /// The connection stays open.
    Bytes(Vec<u8>),
    /// The connection is closed without a TLS `close_notify`.
    Cut(Vec<u8>),
    Never,
}

impl Reply {
    pub(super) fn status(status: u16) -> Self {
        Self::with(status, "Content-Length: 0\r\n", b"")
    }

    /// A response with these header lines. The connection stays open.
    pub(super) fn with(status: u16, headers: &str, body: &[u8]) -> Self {
        Self::Bytes([format!("HTTP/1.1 {status} x\r\n{headers}\r\n").as_bytes(), body].concat())
    }
}

/// Resolves addresses only, no names.
pub(super) struct Numbers;

impl Resolve for Numbers {
    fn resolve<'a>(&'a self, host: &'a str) -> ResolveFuture<'a> {
        let address = host.parse::<IpAddr>().map_err(|_| std::io::Error::from(std::io::ErrorKind::NotFound));
        Box::pin(async move { Ok(vec![address?]) })
    }
}

/// A self-signed certificate for 127.0.0.1 and its key.
pub(super) fn certificate() -> (rcgen::Certificate, rcgen::KeyPair) {
    let key = rcgen::KeyPair::generate().unwrap();
    let parameters = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    (parameters.self_signed(&key).unwrap(), key)
}

/// Trusts only this certificate.
pub(super) fn trust(certificate: &rcgen::Certificate) -> Arc<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions =
        rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(versions.with_root_certificates(roots).with_no_client_auth())
}

pub(super) struct Sink {
    pub(super) port: u16,
    certificate: rcgen::Certificate,
    arrived: mpsc::Receiver<Got>,
    count: Arc<AtomicUsize>,
}

impl Sink {
    pub(super) async fn start(reply: impl Fn(&Got) -> Reply + Send + Sync + 'static) -> Self {
        let (certificate, key) = certificate();
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tell, arrived) = mpsc::channel(1024);
        let (count, reply) = (Arc::new(AtomicUsize::new(0)), Arc::new(reply));
        let counted = Arc::clone(&count);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, tell) = (acceptor.clone(), tell.clone());
                let (reply, count) = (Arc::clone(&reply), Arc::clone(&counted));
                tokio::spawn(async move { serve(stream, acceptor, tell, &*reply, &count).await });
            }
        });
        Self { port, certificate, arrived, count }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}{path}", self.port)
    }

    /// Trusts only this sink.
    pub(super) fn trust(&self) -> Arc<rustls::ClientConfig> {
        trust(&self.certificate)
    }

    /// The authority of its certificate, in PEM.
    pub(super) fn ca_pem(&self) -> String {
        self.certificate.pem()
    }

    /// Waits for the next request.
    pub(super) async fn next(&mut self) -> Got {
        super::within(self.arrived.recv()).await.unwrap()
    }

    /// The number of requests received so far.
    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

async fn serve(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    tell: mpsc::Sender<Got>,
    reply: &(dyn Fn(&Got) -> Reply + Send + Sync),
    count: &AtomicUsize,
) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let mut stream = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_owned());
    }
    let headers: Vec<(String, String)> = lines[1..]
        .iter()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let mut got = Got { line: lines[0].clone(), headers, body: String::new() };
    let mut body = vec![0; got.header("content-length").parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    got.body = String::from_utf8(body).unwrap();
    count.fetch_add(1, Ordering::Relaxed);
    let reply = reply(&got);
    // A test that does not read the requests uses the count.
    let _ = tell.try_send(got);
    match reply {
        Reply::Bytes(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.flush().await;
        }
        Reply::Cut(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.flush().await;
            return;
        }
        Reply::Never => {}
    }
    // Keep the connection open until the client closes it.
    let _ = stream.read_u8().await;
}

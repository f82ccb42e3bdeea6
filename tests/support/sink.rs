//! A webhook endpoint for tests: an HTTPS server that records every request.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A received request.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Arrival {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

pub(crate) struct Sink {
    pub(crate) port: u16,
    /// The certificate that the server must trust.
    pub(crate) authority: PathBuf,
    ledger: Arc<Mutex<Vec<Arrival>>>,
    status: Arc<AtomicU16>,
}

impl Sink {
    /// Starts listening and writes its certificate to a folder.
    pub(crate) async fn start(folder: &Path) -> anyhow::Result<Self> {
        let key = rcgen::KeyPair::generate()?;
        let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        let certificate = rcgen::CertificateParams::new(names)?.self_signed(&key)?;
        let authority = folder.join("sink.pem");
        std::fs::write(&authority, certificate.pem())?;
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let (ledger, status) = (Arc::new(Mutex::default()), Arc::new(AtomicU16::new(200)));
        let (kept, answered) = (Arc::clone(&ledger), Arc::clone(&status));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, ledger, status) = (acceptor.clone(), Arc::clone(&kept), Arc::clone(&answered));
                // A broken connection delivered nothing.
                tokio::spawn(async move { drop(serve(stream, acceptor, &ledger, &status).await) });
            }
        });
        Ok(Self { port, authority, ledger, status })
    }

    pub(crate) fn url(&self) -> String {
        format!("https://127.0.0.1:{}/hook", self.port)
    }

    /// Sets the status of further responses.
    pub(crate) fn answer(&self, status: u16) {
        self.status.store(status, Ordering::Relaxed);
    }

    /// All requests so far.
    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.ledger.lock().expect("no task panics with the ledger").clone()
    }

    /// Waits for `count` requests.
    pub(crate) async fn until(&self, count: usize) -> anyhow::Result<Vec<Arrival>> {
        super::waiting::until(&format!("{count} deliveries have arrived"), || async {
            let arrivals = self.arrivals();
            Ok((arrivals.len() >= count).then_some(arrivals))
        })
        .await
    }
}

async fn serve(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    ledger: &Mutex<Vec<Arrival>>,
    status: &AtomicU16,
) -> anyhow::Result<()> {
    let mut stream = BufReader::new(acceptor.accept(stream).await?);
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.trim().split_once(": ") {
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
    }
    let mut arrival = Arrival { headers, body: String::new() };
    let length = arrival.header("content-length").parse().context("the length of the body")?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    arrival.body = String::from_utf8(body)?;
    // Record it before responding, so that every delivery that the server counts as successful is recorded.
    ledger.lock().expect("no task panics with the ledger").push(arrival);
    let status = status.load(Ordering::Relaxed);
    let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    Ok(())
}

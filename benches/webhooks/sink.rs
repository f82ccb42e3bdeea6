//! The receiving endpoint. It responds at once, never (`/mute`), or one byte at a time forever (`/drip`).

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Pause between two bytes of a slow response.
const DRIP: Duration = Duration::from_millis(100);

struct Receipt {
    path: String,
    event: String,
    at: Instant,
}

pub(super) struct Sink {
    port: u16,
    pub(super) authority: PathBuf,
    receipts: Arc<Mutex<Vec<Receipt>>>,
}

impl Sink {
    pub(super) async fn start(folder: &Path) -> anyhow::Result<Self> {
        let key = rcgen::KeyPair::generate()?;
        let certificate = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()])?.self_signed(&key)?;
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let authority = folder.join(format!("sink-{port}.pem"));
        std::fs::write(&authority, certificate.pem())?;
        let receipts: Arc<Mutex<Vec<Receipt>>> = Arc::default();
        let kept = Arc::clone(&receipts);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, receipts) = (acceptor.clone(), Arc::clone(&kept));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = service_fn(move |request| answer(request, Arc::clone(&receipts)));
                    let http = hyper::server::conn::http1::Builder::new();
                    // The server closes the connection when it has read enough.
                    let _ = http.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Ok(Self { port, authority, receipts })
    }

    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address())
    }

    /// The time of the first arrival of each event.
    pub(super) fn receipts(&self) -> Vec<(String, Instant)> {
        let receipts =
            self.receipts.lock().map(|list| list.iter().map(|r| (r.event.clone(), r.at)).collect());
        receipts.unwrap_or_default()
    }

    /// Waits until this many events have arrived.
    pub(super) async fn until(&self, count: usize, patience: Duration) -> anyhow::Result<()> {
        self.until_of("nothing is passed over", count, patience).await
    }

    /// Like the above, without the events of one path.
    pub(super) async fn until_of(
        &self,
        without: &str,
        count: usize,
        patience: Duration,
    ) -> anyhow::Result<()> {
        let enough = || {
            let list = self.receipts.lock();
            list.is_ok_and(|list| list.iter().filter(|receipt| receipt.path != without).count() >= count)
        };
        let all = async {
            while !enough() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(patience, all).await.context("the deliveries did not arrive")
    }
}

async fn answer(
    request: Request<Incoming>,
    receipts: Arc<Mutex<Vec<Receipt>>>,
) -> Result<Response<Body>, Infallible> {
    let header = request.headers().get("webhook-id").and_then(|value| value.to_str().ok());
    let event = header.unwrap_or_default().to_owned();
    let path = request.uri().path().to_owned();
    if let Ok(mut list) = receipts.lock() {
        list.push(Receipt { path: path.clone(), event, at: Instant::now() });
    }
    match path.as_str() {
        "/mute" => std::future::pending().await,
        "/drip" => {
            let drops = stream::unfold((), |()| async {
                tokio::time::sleep(DRIP).await;
                Some((Ok::<_, Infallible>(Bytes::from_static(b".")), ()))
            });
            Ok(Response::new(Body::from_stream(drops)))
        }
        _ => Ok(Response::new(Body::empty())),
    }
}

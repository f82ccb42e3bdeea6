//! The baseline: an axum server on the same library stack, whose only handler returns the same bytes as our
//! `GET /v1/whoami` and does nothing else.

use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response};
use axum::routing::get;
use bytes::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::table::say;

/// Reads `{headers, body, certificate, key}`, prints `{plain, tls}`, the addresses that it listens on, and serves until
/// it is killed.
pub(crate) async fn main() -> anyhow::Result<()> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let order: Value = serde_json::from_str(&text)?;
    let router = router(&order)?;
    let acceptor = acceptor(&order)?;
    let plain = TcpListener::bind("127.0.0.1:0").await?;
    let tls = TcpListener::bind("127.0.0.1:0").await?;
    say(&json!({"plain": plain.local_addr()?.to_string(), "tls": tls.local_addr()?.to_string()}).to_string());
    tokio::try_join!(serve(plain, None, router.clone()), serve(tls, Some(acceptor), router))?;
    Ok(())
}

fn router(order: &Value) -> anyhow::Result<Router> {
    let mut headers = HeaderMap::new();
    for (name, value) in order["headers"].as_object().context("headers")? {
        let value = value.as_str().context("a header's value")?;
        headers.insert(HeaderName::try_from(name.as_str())?, HeaderValue::from_str(value)?);
    }
    let body = Bytes::from(order["body"].as_str().context("body")?.to_owned());
    let handler = move || {
        let mut response = Response::new(Body::from(body.clone()));
        *response.headers_mut() = headers.clone();
        async move { response }
    };
    Ok(Router::new().route("/v1/whoami", get(handler)))
}

fn acceptor(order: &Value) -> anyhow::Result<TlsAcceptor> {
    let path =
        |member: &str| Ok::<_, anyhow::Error>(PathBuf::from(order[member].as_str().context("a path")?));
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_file_iter(path("certificate")?)?.collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_file(path("key")?)?;
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn serve(listener: TcpListener, acceptor: Option<TlsAcceptor>, router: Router) -> anyhow::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (router, acceptor) = (router.clone(), acceptor.clone());
        tokio::spawn(async move {
            match acceptor {
                None => converse(stream, router).await,
                Some(acceptor) => {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        converse(stream, router).await;
                    }
                }
            }
        });
    }
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, router: Router) {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    // A broken connection does not matter here.
    let _ = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)).await;
}

//! The load generator: keep-alive connections that send prepared requests one after another. It is a separate process,
//! configured over standard input, so that its CPU time is not counted as the server's.

use std::io::Read as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::table::say;

/// Concurrent connections.
pub(crate) const CONNECTIONS: usize = 16;
/// Larger than any response.
pub(crate) const MAX_ANSWER: usize = 16 * 1024;

/// Reads `{address, authority, path, requests, keys}` and prints `{seconds}`.
pub(crate) async fn main() -> anyhow::Result<()> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let order: Value = serde_json::from_str(&text)?;
    let address: SocketAddr = order["address"].as_str().context("address")?.parse()?;
    let authority = order["authority"].as_str().map(PathBuf::from);
    let path = order["path"].as_str().context("path")?;
    let requests = usize::try_from(order["requests"].as_u64().context("requests")?)?;
    let keys = order["keys"].as_array().context("keys")?;
    let prepared: Vec<Vec<u8>> = keys
        .iter()
        .filter_map(Value::as_str)
        .map(|key| {
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\r\n")
                .into_bytes()
        })
        .collect();
    ensure!(!prepared.is_empty(), "no keys were given");
    let prepared = Arc::new(prepared);
    let connector = authority.map(|path| connector(&path)).transpose()?;

    let started = Instant::now();
    let workers: Vec<_> = (0..CONNECTIONS)
        .map(|number| {
            let (prepared, connector) = (Arc::clone(&prepared), connector.clone());
            tokio::spawn(async move {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                let share = requests / CONNECTIONS;
                // Each connection starts at a different key, so that all keys are in use.
                let turn = (0..share).map(|at| (number * share + at) % prepared.len());
                match connector {
                    None => exchange(stream, &prepared, turn).await,
                    Some(tls) => {
                        let stream = tls.connect(ServerName::try_from("localhost")?, stream).await?;
                        exchange(stream, &prepared, turn).await
                    }
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await??;
    }
    say(&json!({"seconds": started.elapsed().as_secs_f64()}).to_string());
    Ok(())
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    prepared: &[Vec<u8>],
    turn: impl Iterator<Item = usize>,
) -> anyhow::Result<()> {
    let mut buffer = vec![0; MAX_ANSWER];
    for place in turn {
        stream.write_all(&prepared[place]).await?;
        stream.flush().await?;
        read_answer(&mut stream, &mut buffer).await?;
    }
    Ok(())
}

/// Reads one complete response, which must be a 200.
pub(crate) async fn read_answer<S: AsyncRead + Unpin>(
    stream: &mut S,
    buffer: &mut [u8],
) -> anyhow::Result<()> {
    read_any_answer(stream, buffer).await?;
    let status = buffer.split(|byte| *byte == b'\r').next().unwrap_or_default();
    ensure!(status.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(status));
    Ok(())
}

/// Reads one complete response.
pub(crate) async fn read_any_answer<S: AsyncRead + Unpin>(
    stream: &mut S,
    buffer: &mut [u8],
) -> anyhow::Result<()> {
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        ensure!(read > 0, "the server closed the connection");
        filled += read;
        if let Some(length) = whole_length(&buffer[..filled])? {
            if filled >= length {
                return Ok(());
            }
            ensure!(length <= buffer.len(), "the answer is larger than {MAX_ANSWER} bytes");
        }
    }
}

/// Length of head and body, once the head is complete.
fn whole_length(bytes: &[u8]) -> anyhow::Result<Option<usize>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&bytes[..end])?;
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse::<usize>().ok())
        .context("Content-Length")?;
    Ok(Some(end + 4 + length))
}

fn connector(authority: &std::path::Path) -> anyhow::Result<TlsConnector> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(authority)? {
        roots.add(certificate?)?;
    }
    let config =
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

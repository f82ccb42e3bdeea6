//! The CPU time of one authenticated request, compared with a bare handler that returns the same bytes.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, ensure};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::Effort;
use crate::peers::{Bare, load};
use crate::process::cpu_time;
use crate::server::Server;
use crate::table::{Table, progress};
use telepath_benches::keys;

const KEYS: usize = 10_000;
/// Pairs of measurements; the median counts.
const ROUNDS: usize = 5;

pub(crate) async fn measure(table: &mut Table, effort: Effort, scratch: &Path) -> anyhow::Result<()> {
    let requests = match effort {
        Effort::Quick => 40_000,
        Effort::Full => 200_000,
    };
    let data = scratch.join("requests");
    let secrets = folder_with_keys(&data).await?;

    let server = Server::start(&data).await?;
    let order = whoami(server.plain, secrets.first().context("a key")?, &data).await?;
    let bare = Bare::start(&order, None).await?;
    let authority = server.data.join("tls/ca.pem");
    for (name, ours, theirs, authority) in [
        ("without TLS", server.plain, bare.plain, None),
        ("with TLS", server.tls, bare.tls, Some(authority.as_path())),
    ] {
        let mut own = Vec::new();
        let mut other = Vec::new();
        let mut rate = Vec::new();
        for _ in 0..ROUNDS {
            let (cost, per_second) = cost(server.process()?, ours, authority, requests, &secrets).await?;
            own.push(cost);
            rate.push(per_second);
            other.push(self::cost(bare.process()?, theirs, authority, requests, &secrets).await?.0);
        }
        let (own, other) = (median(&mut own), median(&mut other));
        table.row(format!("GET /v1/whoami, 10,000 keys, {name}: CPU per request"), format!("{own:.2} µs"));
        table.row(format!("bare axum, same bytes, {name}: CPU per request"), format!("{other:.2} µs"));
        table.row_with_goal(format!("difference, {name}"), format!("{:.2} µs", own - other), "≤ 3 µs");
        table.row(
            format!("GET /v1/whoami, {name}: requests per second, load generator on the same cores"),
            format!("{:.0}", median(&mut rate)),
        );
    }
    server.stop().await
}

/// Creates a data folder with [`KEYS`] keys; returns their secrets.
pub(crate) async fn folder_with_keys(data: &Path) -> anyhow::Result<Vec<String>> {
    // The first start creates the folder and its master key.
    Server::start(data).await?.stop().await?;
    progress("making 10,000 keys");
    let store = keys::open(data).await?;
    let secrets = keys::fill(&store, KEYS).await?.iter().map(|key| key.expose().to_owned()).collect();
    store.close().await;
    Ok(secrets)
}

/// Microseconds of CPU time per request, and requests per second.
async fn cost(
    process: u32,
    address: SocketAddr,
    authority: Option<&Path>,
    requests: usize,
    keys: &[String],
) -> anyhow::Result<(f64, f64)> {
    let before = cpu_time(process)?;
    let seconds = load(address, authority, requests, keys).await?;
    let used = cpu_time(process)?.since(before).whole();
    let requests = f64::from(u32::try_from(requests)?);
    Ok((used.as_secs_f64() * 1e6 / requests, requests / seconds))
}

fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Headers that the library adds; it adds them for the baseline server, too.
const WRITTEN_BY_HYPER: [&str; 3] = ["date", "content-length", "connection"];

/// One response of ours, as input for the baseline server.
pub(crate) async fn whoami(address: SocketAddr, key: &str, data: &Path) -> anyhow::Result<Value> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!(
        "GET /v1/whoami HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").context("a head and a body")?;
    ensure!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let headers: Map<String, Value> = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(": "))
        .filter(|(name, _)| !WRITTEN_BY_HYPER.contains(&name.to_ascii_lowercase().as_str()))
        .map(|(name, value)| (name.to_ascii_lowercase(), json!(value)))
        .collect();
    Ok(json!({
        "headers": headers, "body": body,
        "certificate": data.join("tls/server.pem"), "key": data.join("tls/server.key")
    }))
}

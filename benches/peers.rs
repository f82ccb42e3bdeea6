//! Starts this program again as the load generator or as the baseline server.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};

/// How long the longest load may take.
const PATIENCE: Duration = Duration::from_mins(10);

async fn spawn(role: &str, order: &Value, core: Option<usize>) -> anyhow::Result<Child> {
    let mut child = on_core(&std::env::current_exe()?, core)
        .arg(role)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut stdin = child.stdin.take().context("standard input")?;
    stdin.write_all(order.to_string().as_bytes()).await?;
    Ok(child)
}

/// A program, pinned to one core or not.
pub(crate) fn on_core(program: &Path, core: Option<usize>) -> Command {
    match core {
        None => Command::new(program),
        Some(core) => {
            let mut command = Command::new("taskset");
            command.args(["-c", &core.to_string()]).arg(program);
            command
        }
    }
}

/// The baseline server and its addresses.
pub(crate) struct Bare {
    child: Child,
    pub(crate) plain: SocketAddr,
    pub(crate) tls: SocketAddr,
}

impl Bare {
    /// Starts it with the given response, pinned to one core or not.
    pub(crate) async fn start(order: &Value, core: Option<usize>) -> anyhow::Result<Self> {
        let mut child = spawn("bare", order, core).await?;
        let stdout = child.stdout.take().context("standard output")?;
        let line = BufReader::new(stdout).lines().next_line().await?.context("the bare server ended")?;
        let said: Value = serde_json::from_str(&line)?;
        let address =
            |member: &str| Ok::<_, anyhow::Error>(said[member].as_str().context("an address")?.parse()?);
        Ok(Self { plain: address("plain")?, tls: address("tls")?, child })
    }

    pub(crate) fn process(&self) -> anyhow::Result<u32> {
        self.child.id().context("the bare server is running")
    }
}

/// Sends `requests` to an address, over TLS if an authority is given; returns the seconds it took.
pub(crate) async fn load(
    address: SocketAddr,
    authority: Option<&Path>,
    requests: usize,
    keys: &[String],
) -> anyhow::Result<f64> {
    run_load(None, address, authority, requests, keys).await
}

/// Like `load`, without TLS and from one core.
pub(crate) async fn load_on(
    core: usize,
    address: SocketAddr,
    requests: usize,
    keys: &[String],
) -> anyhow::Result<f64> {
    run_load(Some(core), address, None, requests, keys).await
}

async fn run_load(
    core: Option<usize>,
    address: SocketAddr,
    authority: Option<&Path>,
    requests: usize,
    keys: &[String],
) -> anyhow::Result<f64> {
    let order = json!({
        "address": address.to_string(), "authority": authority, "path": "/v1/whoami", "requests": requests, "keys": keys
    });
    let child = spawn("load", &order, core).await?;
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await??;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "the load generator failed: {text}");
    let said: Value = serde_json::from_str(&text)?;
    said["seconds"].as_f64().context("seconds")
}

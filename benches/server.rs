//! Starts the release build of telepath and waits until it is ready.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::peers::on_core;

/// The longest start, with a million keys on a slow disk.
const PATIENCE: Duration = Duration::from_mins(5);

/// Environment variables.
pub(crate) type Settings = Vec<(&'static str, String)>;

pub(crate) struct Server {
    child: Child,
    pub(crate) tls: SocketAddr,
    pub(crate) plain: SocketAddr,
    /// From the start of the process to its `ready` line.
    pub(crate) start_time: Duration,
    pub(crate) data: PathBuf,
}

/// The `telepath` binary in the same folder as this program.
pub(crate) fn program() -> anyhow::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("telepath");
    ensure!(path.exists(), "{} is not there; scripts/bench builds it", path.display());
    Ok(path)
}

impl Server {
    pub(crate) async fn start(data: &Path) -> anyhow::Result<Self> {
        Self::launch(data, None, &Settings::new()).await
    }

    /// Starts it pinned to one core.
    pub(crate) async fn start_on_core(data: &Path, core: usize) -> anyhow::Result<Self> {
        Self::launch(data, Some(core), &Settings::new()).await
    }

    /// Starts it with settings in its environment.
    pub(crate) async fn start_with(data: &Path, settings: &Settings) -> anyhow::Result<Self> {
        Self::launch(data, None, settings).await
    }

    /// Starts it with these local services in `egress.allow`.
    pub(crate) async fn start_reaching(data: &Path, allow: &str) -> anyhow::Result<Self> {
        Self::launch(data, None, &vec![("TELEPATH_EGRESS_ALLOW", allow.to_owned())]).await
    }

    /// Starts it with these local services, the certificate authority that signs for them, and more settings.
    pub(crate) async fn start_for(
        data: &Path,
        allow: &str,
        authority: &Path,
        more: &Settings,
    ) -> anyhow::Result<Self> {
        let authority = authority.to_string_lossy().into_owned();
        let mut settings = vec![("TELEPATH_EGRESS_ALLOW", allow.to_owned()), ("SSL_CERT_FILE", authority)];
        settings.extend_from_slice(more);
        Self::launch(data, None, &settings).await
    }

    async fn launch(data: &Path, core: Option<usize>, settings: &Settings) -> anyhow::Result<Self> {
        let started = Instant::now();
        let mut child = on_core(&program()?, core)
            .args(["serve", "--json", "--log-level", "warn", "--data-dir"])
            .arg(data)
            .args(["--api-listen", "127.0.0.1:0", "--sip-listen", "127.0.0.1:0"])
            .args(["--insecure-http-listen", "127.0.0.1:0"])
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("standard output")?).lines();
        let ready = tokio::time::timeout(PATIENCE, async {
            while let Some(line) = lines.next_line().await? {
                let event: Value = serde_json::from_str(&line).unwrap_or_default();
                if event["event"] == "ready" {
                    return Ok(event);
                }
            }
            bail!("the server ended before it was ready")
        });
        let event = ready.await.context("the server did not become ready")??;
        let start_time = started.elapsed();
        let address = |member: &str| -> anyhow::Result<SocketAddr> {
            let text = event[member].as_str().with_context(|| format!("no {member}"))?;
            Ok(text.rsplit('/').next().unwrap_or(text).trim_start_matches("sip:").parse()?)
        };
        Ok(Self {
            tls: address("api")?,
            plain: address("insecure_http")?,
            child,
            start_time,
            data: data.to_path_buf(),
        })
    }

    pub(crate) fn process(&self) -> anyhow::Result<u32> {
        self.child.id().context("the server is running")
    }

    /// Stops it cleanly.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let kill = format!("kill -TERM {}", self.process()?);
        Command::new("sh").args(["-c", &kill]).status().await?;
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await??;
        ensure!(status.success(), "the server ended with {status}");
        Ok(())
    }
}

//! A server process: `telepath serve` on free ports in its own folder, with its output in a log. Dropping the value kills it by
//! its process id.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;

use super::cli::{self, CreatedKey, Finished};
use super::database::Database;
use super::http::{Answer, Call, Client, Connection};
use super::output::{Folder, log_file};
use super::waiting::{soon, until};

/// The addresses of a server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) api: SocketAddr,
    pub(crate) sip: SocketAddr,
    pub(crate) sip_tcp: Option<SocketAddr>,
    pub(crate) sip_tls: Option<SocketAddr>,
    pub(crate) insecure_http: Option<SocketAddr>,
    pub(crate) metrics: SocketAddr,
}

pub(crate) struct Server {
    child: Child,
    reader: JoinHandle<()>,
    pub(crate) addresses: Addresses,
    pub(crate) log: PathBuf,
    /// The link that creates the first user, if there is none.
    pub(crate) setup: Option<String>,
    /// Further arguments, kept for a restart.
    extra: Vec<String>,
    // Dropped after the process.
    home: Home,
}

/// What survives a restart: the data folder and the database.
pub(crate) struct Home {
    database: Database,
    folder: Folder,
    /// Settings for every command.
    settings: Vec<(&'static str, String)>,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self::on(Database::of_this_run(), Vec::new())
    }

    /// A new folder on a given database.
    pub(crate) fn on(database: Database, settings: Vec<(&'static str, String)>) -> Self {
        Self { database, folder: Folder::new(), settings }
    }

    /// Adds a setting for every command.
    pub(crate) fn with_env(mut self, name: &'static str, value: &str) -> Self {
        self.settings.push((name, value.to_owned()));
        self
    }

    /// Another server on the same database with the same master key; `None` on SQLite. The first server must be started before
    /// and dropped after it.
    pub(crate) fn second_node(&self) -> Option<Self> {
        let url = self.database.url()?;
        let node = Self::on(Database::Elsewhere { url }, self.settings.clone());
        Some(node.with_env("TELEPATH_MASTER_KEY_FILE", &self.data().join("master.key").to_string_lossy()))
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Whether the database is SQLite.
    pub(crate) fn is_embedded(&self) -> bool {
        self.database.url().is_none()
    }

    /// Runs an SQL script on the `PostgreSQL` database.
    pub(crate) fn load(&self, script: &str) -> anyhow::Result<()> {
        self.database.load(script)
    }

    /// Replaces a text in the stopped server's database by another of the same length.
    pub(crate) fn forge(&self, from: &str, to: &str) -> anyhow::Result<()> {
        ensure!(from.len() == to.len(), "a file is changed in place");
        if !self.is_embedded() {
            return self.database.forge(from, to);
        }
        for path in files_below(&self.data()) {
            let mut bytes = std::fs::read(&path)?;
            let is_there = |window: &[u8]| window == from.as_bytes();
            let places: Vec<usize> = (0..bytes.len().saturating_sub(from.len()))
                .filter(|at| is_there(&bytes[*at..*at + from.len()]))
                .collect();
            for at in &places {
                bytes[*at..*at + to.len()].copy_from_slice(to.as_bytes());
            }
            if !places.is_empty() {
                std::fs::write(&path, bytes)?;
            }
        }
        Ok(())
    }

    /// A folder beside the data folder, for files of the test.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command on this folder and database.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = cli::command();
        command.args(words).arg("--data-dir").arg(self.data());
        if let Some(url) = self.database.url() {
            command.env("TELEPATH_DATABASE_URL", url);
        }
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command
    }

    pub(crate) async fn run(&self, words: &[&str]) -> anyhow::Result<Finished> {
        cli::finish(self.command(words), words.first().unwrap_or(&"command")).await
    }

    /// Runs `telepath keys create …`, with or without a running server.
    pub(crate) async fn create_key(&self, options: &[&str]) -> anyhow::Result<CreatedKey> {
        self.prepare().await?;
        let words = [&["keys", "create", "--json"], options].concat();
        CreatedKey::from_json(&self.run(&words).await?.expect_success()?.json()?)
    }

    /// Runs `telepath migrate`, which `PostgreSQL` requires, and which creates the data folder.
    pub(crate) async fn prepare(&self) -> anyhow::Result<()> {
        if self.database.url().is_some() || !self.data().exists() {
            self.run(&["migrate"]).await?.expect_success()?;
        }
        Ok(())
    }

    pub(crate) async fn start(self) -> anyhow::Result<Server> {
        self.start_with(&[]).await
    }

    pub(crate) async fn start_with(self, extra: &[&str]) -> anyhow::Result<Server> {
        self.prepare().await?;
        let (log, mut file) = log_file("serve");
        let mut command = self.command(&["serve", "--json"]);
        for option in ["--api-listen", "--sip-listen", "--insecure-http-listen"] {
            if !extra.contains(&option) {
                command.args([option, "127.0.0.1:0"]);
            }
        }
        command.env("TELEPATH_METRICS_LISTEN", "127.0.0.1:0");
        command.args(extra).stdout(Stdio::piped()).stderr(file.try_clone()?);
        let mut child = command.spawn().context("telepath serve does not start")?;
        let stdout = child.stdout.take().context("the server's output is read")?;
        let mut lines = BufReader::new(stdout).lines();
        let (addresses, setup) = soon("the start of the server", ready(&mut lines, &mut file))
            .await?
            .with_context(|| format!("see {}", log.display()))?;
        let reader = tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                // A log that cannot be written does not fail the test.
                let _ = writeln!(file, "{line}");
            }
        });
        let extra = extra.iter().map(ToString::to_string).collect();
        Ok(Server { child, reader, addresses, log, setup, extra, home: self })
    }
}

/// Reads the server's ready line: its addresses, and the link that creates the first user.
async fn ready(
    lines: &mut Lines<BufReader<ChildStdout>>,
    log: &mut std::fs::File,
) -> anyhow::Result<(Addresses, Option<String>)> {
    while let Some(line) = lines.next_line().await? {
        writeln!(log, "{line}")?;
        let Ok(event) = serde_json::from_str::<Value>(&line) else { continue };
        if event["event"] == "ready" {
            let address = |member: &str| -> anyhow::Result<SocketAddr> {
                let text = event[member].as_str().with_context(|| format!("no {member} in {line}"))?;
                let text = text.trim_start_matches("http://").trim_start_matches("https://");
                let text = text.split('/').next().unwrap_or(text).trim_start_matches("sip:");
                text.parse().with_context(|| format!("{member} in {line}"))
            };
            let insecure_http =
                if event["insecure_http"].is_null() { None } else { Some(address("insecure_http")?) };
            let metrics = address("metrics")?;
            // `sip:IP:PORT;transport=…`
            let first = |member: &str| -> anyhow::Result<Option<SocketAddr>> {
                let Some(text) = event[member][0].as_str() else { return Ok(None) };
                let text = text.trim_start_matches("sip:").split(';').next().unwrap_or_default();
                Ok(Some(text.parse().with_context(|| format!("{member} in {line}"))?))
            };
            let setup = event["setup"].as_str().map(str::to_owned);
            let addresses = Addresses {
                api: address("api")?,
                sip: address("sip")?,
                sip_tcp: first("sip_tcp")?,
                sip_tls: first("sip_tls")?,
                insecure_http,
                metrics,
            };
            return Ok((addresses, setup));
        }
    }
    anyhow::bail!("the server ended before it was ready")
}

impl Server {
    /// A new server in a new folder.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        Home::new().start().await
    }

    pub(crate) fn home(&self) -> &Home {
        &self.home
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.home.data()
    }

    pub(crate) fn authority(&self) -> PathBuf {
        self.data().join("tls/ca.pem")
    }

    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        Client::new(self.addresses.api, &self.authority())
    }

    pub(crate) async fn create_key(&self, options: &[&str]) -> anyhow::Result<CreatedKey> {
        self.home.create_key(options).await
    }

    /// A key with every scope.
    pub(crate) async fn admin_key(&self) -> anyhow::Result<CreatedKey> {
        let scopes =
            "trunks:write,calls:write,keys:write,analytics:read,usage:read,audit:read,webhooks:write";
        self.create_key(&[
            "--name",
            "admin",
            "--preset",
            "custom",
            "--scopes",
            scopes,
            "--rate-limit",
            "60000",
        ])
        .await
    }

    pub(crate) fn process(&self) -> anyhow::Result<u32> {
        self.child.id().context("the server is running")
    }

    /// Whether the process is running.
    pub(crate) fn is_alive(&mut self) -> anyhow::Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Sends a signal by name.
    pub(crate) async fn signal(&self, name: &str) -> anyhow::Result<()> {
        let kill = format!("kill -{name} {}", self.process()?);
        let done = Command::new("sh").arg("-c").arg(kill).status().await?;
        ensure!(done.success(), "the signal was not sent");
        Ok(())
    }

    /// Waits for the process to end.
    pub(crate) async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        let status = soon("the end of the server", self.child.wait()).await??;
        soon("the end of its output", &mut self.reader).await??;
        Ok(status)
    }

    /// Stops the server with SIGTERM and returns its exit status.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<ExitStatus> {
        self.signal("TERM").await?;
        self.ended().await
    }

    /// Kills the server with SIGKILL and restarts it on the same folder and database.
    pub(crate) async fn kill_and_restart(self) -> anyhow::Result<Self> {
        let (home, extra) = self.kill().await?;
        home.start_with(&extra.iter().map(String::as_str).collect::<Vec<_>>()).await
    }

    /// Kills the server with SIGKILL and returns its folder and database.
    pub(crate) async fn kill(mut self) -> anyhow::Result<(Home, Vec<String>)> {
        self.child.kill().await?;
        Ok((self.home, self.extra))
    }

    pub(crate) fn log_text(&self) -> anyhow::Result<String> {
        Ok(String::from_utf8_lossy(&std::fs::read(&self.log)?).into_owned())
    }

    /// The number of open file descriptors of the process.
    pub(crate) fn open_files(&self) -> anyhow::Result<usize> {
        Ok(std::fs::read_dir(format!("/proc/{}/fd", self.process()?))?.count())
    }

    /// The sum of a metric over all its labels; `None` if it does not exist.
    pub(crate) async fn metric(&self, name: &str) -> anyhow::Result<Option<f64>> {
        let text = self.metrics().await?.text();
        let values: Vec<f64> = text
            .lines()
            .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])))
            .filter_map(|line| line.rsplit(' ').next()?.parse().ok())
            .collect();
        Ok(if values.is_empty() { None } else { Some(values.iter().sum()) })
    }

    async fn metrics(&self) -> anyhow::Result<Answer> {
        let stream = TcpStream::connect(self.addresses.metrics).await?;
        Connection::over(stream).await?.send(Call::get("/metrics")).await
    }

    /// Waits until a metric has a value.
    pub(crate) async fn until_metric(&self, name: &str, wanted: f64) -> anyhow::Result<()> {
        until(&format!("{name} is {wanted}"), || async {
            let now = self.metric(name).await?.with_context(|| format!("there is no metric {name}"))?;
            Ok(((now - wanted).abs() < f64::EPSILON).then_some(()))
        })
        .await
    }
}

/// All files in a folder, recursively.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(next) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&next) else { continue };
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found
}

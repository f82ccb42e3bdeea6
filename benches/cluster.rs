//! The cost of several servers: the round trip for a window in Redis, and the time a revocation waits for the other
//! servers. Needs a PostgreSQL that allows `CREATE DATABASE` and a Redis, from the same variables as the tests.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::task::JoinSet;

use crate::Effort;
use crate::database::TemporaryDatabase;
use crate::load::{MAX_ANSWER, read_answer, read_any_answer};
use crate::server::{Server, Settings, program};
use crate::table::{Table, progress};

const SERVERS: usize = 3;
/// Enough to keep the cores of a small machine busy.
const FLOODING_CONNECTIONS: usize = 48;

pub(crate) async fn measure(table: &mut Table, effort: Effort, scratch: &Path) -> anyhow::Result<()> {
    let (Ok(postgres), Ok(redis)) =
        (std::env::var("TELEPATH_TEST_POSTGRES_URL"), std::env::var("TELEPATH_TEST_REDIS_URL"))
    else {
        progress(
            "several servers are left out: TELEPATH_TEST_POSTGRES_URL or TELEPATH_TEST_REDIS_URL is not set",
        );
        return Ok(());
    };
    let (requests, revocations) = match effort {
        Effort::Quick => (2_000, 50),
        Effort::Full => (20_000, 200),
    };
    let database = TemporaryDatabase::make(&postgres).await?;
    let bench = Bench::new(&database.url()?, &redis, scratch);
    windows(table, &bench, requests).await?;
    revoking(table, &bench, revocations).await?;
    revoking_under_load(table, &bench, revocations).await
}

struct Bench {
    alone: Settings,
    together: Settings,
    folder: PathBuf,
}

impl Bench {
    fn new(database: &str, redis: &str, scratch: &Path) -> Self {
        let folder = scratch.join("cluster");
        let key = folder.join("0/master.key").to_string_lossy().into_owned();
        let alone = vec![("TELEPATH_DATABASE_URL", database.to_owned())];
        let shared = [
            ("TELEPATH_CLUSTER_REDIS_URL", redis.to_owned()),
            ("TELEPATH_CLUSTER_REDIS_PREFIX", format!("telepath-bench-{}:", std::process::id())),
            ("TELEPATH_MASTER_KEY_FILE", key),
        ];
        let together = [alone.clone(), shared.to_vec()].concat();
        Self { alone, together, folder }
    }

    fn data(&self, server: usize) -> PathBuf {
        self.folder.join(server.to_string())
    }

    /// Runs a command on the first server's data folder; returns its JSON output.
    async fn run(&self, words: &[&str]) -> anyhow::Result<Value> {
        let done = Command::new(program()?)
            .args(words)
            .arg("--data-dir")
            .arg(self.data(0))
            .envs(self.alone.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .await?;
        ensure!(done.status.success(), "telepath {} failed", words.join(" "));
        Ok(serde_json::from_slice(&done.stdout).unwrap_or_default())
    }

    async fn key(&self, name: &str, scopes: &str) -> anyhow::Result<(String, String)> {
        let words = ["keys", "create", "--json", "--name", name, "--preset", "custom", "--scopes", scopes];
        let made = self.run(&[&words[..], &["--rate-limit", "60000"]].concat()).await?;
        let text = |member: &str| made[member].as_str().map(str::to_owned).context("an id and a secret");
        Ok((text("id")?, text("secret")?))
    }
}

/// Times sequential requests, with the window in memory and in Redis.
async fn windows(table: &mut Table, bench: &Bench, requests: usize) -> anyhow::Result<()> {
    bench.run(&["migrate"]).await?;
    let mut medians = Vec::new();
    for (name, settings) in [("in memory", &bench.alone), ("in Redis", &bench.together)] {
        // A new key each time, so that no window fills up.
        let mut keys = Vec::new();
        for number in 0..=requests / 50_000 {
            keys.push(bench.key(&format!("window {number}"), "trunks:read").await?.1);
        }
        let server = Server::start_with(&bench.data(0), settings).await?;
        let mut stream = connect(server.plain).await?;
        let mut times = Vec::with_capacity(requests);
        for number in 0..requests {
            let key = &keys[number % keys.len()];
            times.push(timed(&mut stream, "GET", "/v1/whoami", key).await?);
        }
        let (middle, worst) = percentiles(&mut times);
        table.row(format!("GET /v1/whoami on PostgreSQL, window {name}: p50"), micros(middle));
        table.row(format!("GET /v1/whoami on PostgreSQL, window {name}: p99"), micros(worst));
        medians.push((middle, worst));
        server.stop().await?;
    }
    if let [memory, redis] = medians.as_slice() {
        table.row("added by the shared window: p50", micros(redis.0.saturating_sub(memory.0)));
        table.row("added by the shared window: p99", micros(redis.1.saturating_sub(memory.1)));
    }
    Ok(())
}

/// Three servers, each with a connection of this program.
struct Servers {
    servers: Vec<Server>,
    streams: Vec<TcpStream>,
}

impl Servers {
    async fn start(bench: &Bench) -> anyhow::Result<Self> {
        let (mut servers, mut streams) = (Vec::new(), Vec::new());
        for number in 0..SERVERS {
            let server = Server::start_with(&bench.data(number), &bench.together).await?;
            streams.push(connect(server.plain).await?);
            servers.push(server);
        }
        Ok(Self { servers, streams })
    }

    /// Revokes a key at one of the servers, in turn; returns how long the answer took.
    async fn revoke(&mut self, number: usize, id: &str, admin: &str) -> anyhow::Result<Duration> {
        let path = format!("/v1/keys/{id}/revoke");
        timed(&mut self.streams[number % SERVERS], "POST", &path, admin).await
    }

    async fn stop(self) -> anyhow::Result<()> {
        for server in self.servers {
            server.stop().await?;
        }
        Ok(())
    }
}

async fn connect(server: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Times revocations at each of three servers in turn.
async fn revoking(table: &mut Table, bench: &Bench, revocations: usize) -> anyhow::Result<()> {
    let mut servers = Servers::start(bench).await?;
    let (_, admin) = bench.key("admin", "keys:write,trunks:read").await?;
    let mut times = Vec::with_capacity(revocations);
    for number in 0..revocations {
        let (id, _) = bench.key(&format!("revoked {number}"), "trunks:read").await?;
        times.push(servers.revoke(number, &id, &admin).await?);
    }
    report(table, "revocation with three servers, answered", &mut times);
    servers.stop().await
}

/// Times revocations while requests without a valid key keep every core busy.
async fn revoking_under_load(table: &mut Table, bench: &Bench, revocations: usize) -> anyhow::Result<()> {
    let mut servers = Servers::start(bench).await?;
    let (_, admin) = bench.key("admin under load", "keys:write,trunks:read").await?;
    let mut ids = Vec::new();
    for number in 0..revocations {
        ids.push(bench.key(&format!("revoked under load {number}"), "trunks:read").await?.0);
    }
    let mut load = JoinSet::new();
    for number in 0..FLOODING_CONNECTIONS {
        load.spawn(flood(servers.servers[number % SERVERS].plain));
    }
    let mut times = Vec::with_capacity(revocations);
    let started = Instant::now();
    for (number, id) in ids.iter().enumerate() {
        times.push(servers.revoke(number, id, &admin).await?);
    }
    let took = started.elapsed();
    load.abort_all();
    while let Some(ended) = load.join_next().await {
        // The load must have lasted to the end.
        if let Ok(outcome) = ended {
            outcome.context("a connection of the flood")?;
        }
    }
    report(table, "revocation with three servers under a flood of requests, answered", &mut times);
    progress(&format!("{revocations} revocations under load took {:.1} s", took.as_secs_f64()));
    servers.stop().await
}

fn report(table: &mut Table, name: &str, times: &mut [Duration]) {
    let (middle, worst) = percentiles(times);
    table.row_with_goal(format!("{name}: p50"), millis(middle), "≤ 1 s");
    table.row_with_goal(format!("{name}: p99"), millis(worst), "≤ 1 s");
}

/// Sends requests with an unknown key, one after the other, until it is stopped.
async fn flood(server: SocketAddr) -> anyhow::Result<()> {
    let mut stream = connect(server).await?;
    let request =
        "GET /v1/whoami HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer sk_live_unknown\r\n\r\n";
    let mut buffer = vec![0; MAX_ANSWER];
    loop {
        stream.write_all(request.as_bytes()).await?;
        read_any_answer(&mut stream, &mut buffer).await?;
    }
}

/// Sends one request that must return 200; returns its duration.
async fn timed(stream: &mut TcpStream, verb: &str, path: &str, key: &str) -> anyhow::Result<Duration> {
    let body =
        if verb == "POST" { "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}" } else { "\r\n" };
    let request =
        format!("{verb} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n{body}");
    let mut buffer = vec![0; MAX_ANSWER];
    let started = Instant::now();
    stream.write_all(request.as_bytes()).await?;
    read_answer(stream, &mut buffer).await?;
    Ok(started.elapsed())
}

/// The median and the 99th percentile.
fn percentiles(times: &mut [Duration]) -> (Duration, Duration) {
    times.sort_unstable();
    let at = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or_default();
    (at(50), at(99))
}

fn micros(time: Duration) -> String {
    format!("{} µs", time.as_micros())
}

fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

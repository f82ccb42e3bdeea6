//! One authenticated and limited request, compared with the proxies that people put in front of an API for the same
//! purpose: `HAProxy` with a map and a stick table, nginx with a map and `limit_req`; and with the bare handler, which shows
//! the library's share. Same keys, responses of the same size, one core for each server and another for the load, in one
//! run. A proxy that is not installed is skipped with a message.

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::Effort;
use crate::peers::{Bare, load_on};
use crate::process::cpu_time;
use crate::requests::{folder_with_keys, whoami};
use crate::server::Server;
use crate::table::{Table, progress};

/// Rounds; each measures every server once, and the median per server counts.
const ROUNDS: usize = 9;
/// The core of the server, and that of the load generator.
const SERVING: usize = 0;
const ASKING: usize = 1;
/// How long a proxy may take to read its keys and listen.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn measure(table: &mut Table, effort: Effort, scratch: &Path) -> anyhow::Result<()> {
    let requests = match effort {
        Effort::Quick => 40_000,
        Effort::Full => 200_000,
    };
    let data = scratch.join("proxies");
    let secrets = folder_with_keys(&data).await?;

    let server = Server::start_on_core(&data, SERVING).await?;
    let first = secrets.first().context("a key")?;
    let answer = ask(server.plain, first).await?;
    let bare = Bare::start(&whoami(server.plain, first, &data).await?, Some(SERVING)).await?;
    let mut contestants = vec![
        ("telepath".to_owned(), server.process()?, server.plain),
        ("bare axum, which checks nothing".to_owned(), bare.process()?, bare.plain),
    ];
    let mut proxies = Vec::new();
    for (kind, log) in [
        (Kind::HaProxy, Log::Off),
        (Kind::Nginx, Log::Off),
        (Kind::HaProxy, Log::File),
        (Kind::Nginx, Log::File),
    ] {
        let folder = scratch.join(format!("{}-{log:?}", kind.name()));
        match Proxy::start(kind, log, &folder, &secrets, &answer).await? {
            Some(proxy) => {
                let size = ask(proxy.address, first).await?.size();
                progress(&format!("{} answers {size} bytes, we answer {}", kind.name(), answer.size()));
                let name = format!("{}{}", proxy.version, log.suffix());
                contestants.push((name, proxy.process()?, proxy.address));
                proxies.push(proxy);
            }
            None => table.row(format!("{}, the same request", kind.name()), "not installed"),
        }
    }
    let mut costs = vec![Vec::new(); contestants.len()];
    for _ in 0..ROUNDS {
        for ((_, process, address), costs) in contestants.iter().zip(&mut costs) {
            let before = cpu_time(*process)?;
            load_on(ASKING, *address, requests, &secrets).await?;
            let used = cpu_time(*process)?.since(before);
            let per_request = 1e6 / f64::from(u32::try_from(requests)?);
            costs.push((used.whole().as_secs_f64() * per_request, used.user.as_secs_f64() * per_request));
        }
    }
    for ((name, ..), costs) in contestants.iter().zip(&mut costs) {
        costs.sort_by(|one, other| one.0.total_cmp(&other.0));
        let (cost, user) = costs.get(costs.len() / 2).copied().unwrap_or((f64::NAN, f64::NAN));
        let goal = if name == "telepath" { "≤ HAProxy" } else { "" };
        table.row_with_goal(
            format!("one core, 10,000 keys, limited: CPU per request of {name}"),
            format!("{cost:.2} µs, {user:.1} outside of the kernel"),
            goal,
        );
    }
    drop(proxies);
    server.stop().await
}

/// A response to be imitated.
struct Answer {
    head: String,
    body: String,
}

impl Answer {
    const fn size(&self) -> usize {
        self.head.len() + self.body.len()
    }

    /// Headers that the proxy is configured to send; it adds the others itself.
    fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        const OWN: [&str; 5] = ["date", "content-length", "content-type", "connection", "server"];
        self.head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "))
            .filter(|(name, _)| !OWN.contains(&name.to_ascii_lowercase().as_str()))
    }
}

async fn ask(address: SocketAddr, key: &str) -> anyhow::Result<Answer> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!(
        "GET /v1/whoami HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    let (head, body) = text.split_once("\r\n\r\n").context("a head and a body")?;
    ensure!(head.starts_with("HTTP/1.1 200 "), "{head}");
    Ok(Answer { head: head.to_owned(), body: body.to_owned() })
}

/// Whether the proxy writes an access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Log {
    Off,
    File,
}

impl Log {
    const fn suffix(self) -> &'static str {
        match self {
            Log::Off => "",
            Log::File => ", with its access log",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    HaProxy,
    Nginx,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Kind::HaProxy => "haproxy",
            Kind::Nginx => "nginx",
        }
    }

    fn program(self) -> Option<PathBuf> {
        ["/usr/sbin", "/usr/bin", "/usr/local/sbin"]
            .iter()
            .map(|folder| Path::new(folder).join(self.name()))
            .find(|path| path.exists())
    }

    /// The version line of `-v`; nginx writes it to standard error.
    async fn version(self, program: &Path) -> anyhow::Result<String> {
        let output = Command::new(program).arg("-v").output().await?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        let number = text.split([' ', '/', '-']).find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
        Ok(format!("{} {}", self.name(), number.unwrap_or("of unknown version").trim()))
    }

    /// Writes its configuration; returns the arguments to start it with.
    fn configure(
        self,
        log: Log,
        folder: &Path,
        address: SocketAddr,
        keys: &[String],
        answer: &Answer,
    ) -> anyhow::Result<Vec<String>> {
        let (keys, text, arguments) = match self {
            Kind::HaProxy => {
                (haproxy_keys(keys)?, haproxy_config(log, folder, address, answer)?, ["-db", "-f"].as_slice())
            }
            Kind::Nginx => (
                nginx_keys(keys)?,
                nginx_config(log, folder, address, answer)?,
                ["-e", "stderr", "-c"].as_slice(),
            ),
        };
        std::fs::write(folder.join("keys.map"), keys)?;
        std::fs::create_dir_all(folder.join("www/v1"))?;
        std::fs::write(folder.join("www/v1/whoami"), &answer.body)?;
        let config = folder.join("proxy.conf");
        std::fs::write(&config, text)?;
        let words = arguments.iter().map(ToString::to_string);
        Ok(words.chain([config.to_string_lossy().into_owned()]).collect())
    }
}

fn haproxy_keys(keys: &[String]) -> anyhow::Result<String> {
    let mut text = String::new();
    for (number, key) in keys.iter().enumerate() {
        writeln!(text, "{key} key_{number}")?;
    }
    Ok(text)
}

fn haproxy_config(log: Log, folder: &Path, address: SocketAddr, answer: &Answer) -> anyhow::Result<String> {
    let folder = folder.display();
    let (to, line) = match log {
        Log::Off => ("", ""),
        Log::File => ("  log stdout format raw local0\n", "  log global\n  option httplog\n"),
    };
    let mut text = format!(
        "global\n{to}  nbthread 1\n  maxconn 1000\ndefaults\n{line}  mode http\n  timeout client 60s\n  timeout connect 5s\n  \
         timeout server 60s\n  timeout http-keep-alive 60s\nfrontend api\n  bind {address}\n  \
         stick-table type string len 32 size 200k expire 2m store http_req_rate(60s)\n  \
         http-request set-var(txn.key) http_auth_bearer,map_str({folder}/keys.map)\n  \
         http-request deny deny_status 401 unless {{ var(txn.key) -m found }}\n  \
         http-request track-sc0 var(txn.key)\n  \
         http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt 60000 }}\n  \
         http-request return status 200 content-type application/json file {folder}/www/v1/whoami"
    );
    for (name, value) in answer.headers() {
        // The remaining requests come from the table, as in our own response.
        let value = if name.eq_ignore_ascii_case("x-ratelimit-remaining") {
            "%[sc_http_req_rate(0)]".to_owned()
        } else {
            value.replace('"', "\\\"").replace(' ', "\\ ")
        };
        write!(text, " hdr {name} \"{value}\"")?;
    }
    // Ours has one; with it the responses have the same size.
    text.push_str(" hdr date \"Thu,\\ 01\\ Jan\\ 1970\\ 00:00:00\\ GMT\"\n");
    Ok(text)
}

fn nginx_keys(keys: &[String]) -> anyhow::Result<String> {
    let mut text = String::new();
    for (number, key) in keys.iter().enumerate() {
        writeln!(text, "\"Bearer {key}\" key_{number};")?;
    }
    Ok(text)
}

/// The response is a file, because responses of the rewrite module are never limited.
fn nginx_config(log: Log, folder: &Path, address: SocketAddr, answer: &Answer) -> anyhow::Result<String> {
    let folder = folder.display();
    let log = match log {
        Log::Off => "off".to_owned(),
        Log::File => format!("'{folder}/access.log' combined buffer=64k flush=1s"),
    };
    // We do not send the modification time of a file.
    let mut headers = "      add_header Last-Modified '';\n".to_owned();
    for (name, value) in answer.headers() {
        writeln!(headers, "      add_header {name} '{value}' always;")?;
    }
    Ok(format!(
        "daemon off;\nmaster_process off;\nworker_processes 1;\npid {folder}/nginx.pid;\n\
         events {{ worker_connections 1024; }}\nhttp {{\n  access_log {log};\n  default_type application/json;\n  \
         map_hash_max_size 65536;\n  map_hash_bucket_size 256;\n  open_file_cache max=16;\n  etag off;\n  max_ranges 0;\n  server_tokens off;\n  \
         keepalive_requests 100000000;\n  client_body_temp_path {folder}/body;\n  proxy_temp_path {folder}/proxy;\n  \
         fastcgi_temp_path {folder}/fastcgi;\n  uwsgi_temp_path {folder}/uwsgi;\n  scgi_temp_path {folder}/scgi;\n  \
         map $http_authorization $key {{ default ''; include {folder}/keys.map; }}\n  \
         limit_req_zone $key zone=keys:32m rate=60000r/m;\n  server {{\n    listen {address};\n    root {folder}/www;\n    \
         location / {{\n      if ($key = '') {{ return 401; }}\n      limit_req zone=keys burst=60000 nodelay;\n{headers}    }}\n  }}\n}}\n"
    ))
}

/// A running proxy; killed when the value is dropped.
struct Proxy {
    child: Child,
    address: SocketAddr,
    version: String,
}

impl Proxy {
    /// `None` when it is not installed.
    async fn start(
        kind: Kind,
        log: Log,
        folder: &Path,
        keys: &[String],
        answer: &Answer,
    ) -> anyhow::Result<Option<Self>> {
        let Some(program) = kind.program() else { return Ok(None) };
        std::fs::create_dir_all(folder)?;
        let address = free_address()?;
        let arguments = kind.configure(log, folder, address, keys, answer)?;
        let version = kind.version(&program).await?;
        let child = Command::new("taskset")
            .args(["-c", &SERVING.to_string()])
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(folder.join("stdout.log"))?)
            .kill_on_drop(true)
            .spawn()?;
        let mut proxy = Self { child, address, version };
        tokio::time::timeout(PATIENCE, proxy.until_it_listens())
            .await
            .context("the proxy does not listen")??;
        Ok(Some(proxy))
    }

    async fn until_it_listens(&mut self) -> anyhow::Result<()> {
        while TcpStream::connect(self.address).await.is_err() {
            if let Some(status) = self.child.try_wait()? {
                anyhow::bail!("{} ended with {status}", self.version);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    fn process(&self) -> anyhow::Result<u32> {
        self.child.id().context("the proxy is running")
    }
}

/// An address that was free a moment ago; proxies cannot choose a port and report it.
fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

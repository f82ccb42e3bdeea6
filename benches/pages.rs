//! The time of pages of the dashboard with many keys and a long request log, one page after the other.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use telepath_core::audit::Origin;
use telepath_core::clock::{Clock as _, SystemClock, Timestamp};
use telepath_core::id::{Id as _, RequestId};
use telepath_core::request::{Answered, RequestFacts};
use telepath_core::secret::{HashedKey, KeyMode, PlainKey, SecretText};
use telepath_core::user::{Role, UserName};
use telepath_store::{KeyHandle, NewSession, NewUser, Store};
use tokio::net::TcpStream;

use crate::Effort;
use crate::server::Server;
use crate::table::{Table, progress};
use telepath_benches::keys;
use telepath_benches::log::answered;

const KEYS: usize = 1_000;
const LINES: u64 = 1_000_000;
/// Lines between two writes of the log.
const WRITTEN: u64 = 50_000;
/// The log reaches back this far.
const AGE: Duration = Duration::from_hours(24);
const GOAL: &str = "≤ 5 ms";

pub(crate) async fn measure(table: &mut Table, effort: Effort, scratch: &Path) -> anyhow::Result<()> {
    let data = scratch.join("pages");
    Server::start(&data).await?.stop().await?;
    progress("making 1,000 keys and 1,000,000 lines of the request log");
    let store = keys::open(&data).await?;
    let secrets = keys::fill(&store, KEYS).await?;
    let key = log(&store, &secrets).await?;
    let session = sign_in(&store).await?;
    // A server does this all the time; at once, a million lines take minutes.
    progress("adding the requests to the counters of the keys");
    store.roll_up_usage().await?;
    store.close().await;
    drop(store);
    let server = Server::start(&data).await?;
    let key = format!("/settings/api-keys/{key}");
    let pages = [
        "/",
        "/settings/api-keys",
        &key,
        "/settings/api-keys/safety",
        "/requests",
        "/requests?status=404",
        "/requests?view=grouped",
        "/calls",
        "/connections",
        "/alerts",
        "/audit",
        "/analytics",
        "/settings/webhooks",
        "/settings/system",
    ];
    let rounds = if effort == Effort::Quick { 30 } else { 300 };
    let mut browser = Browser::connect(server.plain, &session).await?;
    for page in pages {
        // The first one fills what is cached.
        browser.get(page).await?;
        let mut times = Vec::with_capacity(rounds);
        for _ in 0..rounds {
            let started = Instant::now();
            browser.get(page).await?;
            times.push(started.elapsed());
        }
        times.sort_unstable();
        let at = |percent: usize| times[times.len() * percent / 100].as_secs_f64() * 1000.0;
        let name = if page == key { "/settings/api-keys/{id}" } else { page };
        table.row_with_goal(format!("page {name}: p50"), format!("{:.2} ms", at(50)), GOAL);
        table.row(format!("page {name}: p95"), format!("{:.2} ms", at(95)));
    }
    server.stop().await
}

/// Writes the log, with requests of every key; returns the id of one of them.
async fn log(store: &Store, secrets: &[SecretText]) -> anyhow::Result<String> {
    let found = secrets.iter().map(|secret| {
        let hash = store.vault().hash_key(&PlainKey::parse(secret.expose().as_bytes())?);
        let handle = store.keys().find(&hash).context("every key is found")?;
        Ok((hash, handle))
    });
    let found: Vec<(HashedKey, KeyHandle)> = found.collect::<anyhow::Result<_>>()?;
    let (_, first) = found.first().context("a key")?;
    let start = SystemClock.now().minus(AGE);
    let step = u64::try_from(AGE.as_millis())? / LINES;
    for number in 0..LINES {
        let place = usize::try_from(number)? % found.len();
        let at = start.plus(Duration::from_millis(number * step));
        store.requests().record(&line(&found[place], number, at));
        if number.is_multiple_of(WRITTEN) {
            store.flush_usage().await?;
        }
    }
    store.flush_usage().await?;
    Ok(first.key_id().to_string())
}

/// One request of fifty was not found.
fn line((hash, handle): &(HashedKey, KeyHandle), number: u64, at: Timestamp) -> Answered<'static> {
    let mut id = [0; 16];
    id[..6].copy_from_slice(&at.unix_ms().to_be_bytes()[2..]);
    id[8..].copy_from_slice(&number.to_be_bytes());
    let ordinary = answered(hash, handle, at);
    let status = if number.is_multiple_of(50) { 404 } else { 200 };
    let facts = RequestFacts { status, ..ordinary.facts };
    Answered { id: RequestId::from_bytes(id), facts, ..ordinary }
}

/// An owner of the account with the keys, which is the one that the server made; returns the token of their session.
async fn sign_in(store: &Store) -> anyhow::Result<String> {
    let origin = Origin::local(SystemClock.now());
    let account = store.ensure_account("Bench", KeyMode::Live, origin).await?.id;
    let name = UserName::check("Bench").map_err(anyhow::Error::msg)?;
    let new = NewUser { email: "bench@example.com".parse()?, name, role: Role::Owner };
    let made = store.create_user(account, new, origin).await?;
    let password = SecretText::new("seven grey herons measure".to_owned());
    let user = store.use_password_link(&made.link, password, origin).await?;
    let started = store.create_session(account, user.id, NewSession::default(), origin).await?;
    Ok(started.token.expose().to_owned())
}

/// A connection that sends what a browser sends.
struct Browser {
    sender: SendRequest<Empty<Bytes>>,
    host: String,
    cookie: String,
}

impl Browser {
    async fn connect(address: SocketAddr, session: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        // Over plain HTTP on a loopback address, the cookie has no prefix.
        Ok(Self { sender, host: address.to_string(), cookie: format!("telepath={session}") })
    }

    async fn get(&mut self, path: &str) -> anyhow::Result<()> {
        let request = Request::get(path)
            .header("host", &self.host)
            .header("cookie", &self.cookie)
            .header("accept", "text/html")
            .header("accept-encoding", "gzip")
            .header("sec-fetch-site", "none")
            .body(Empty::new())?;
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        ensure!(response.status() == 200, "{path}: {} {:?}", response.status(), response.headers());
        response.into_body().collect().await?;
        Ok(())
    }
}

//! Repeated kill -9 under load: the audit trail contains every acknowledged change, and at most one second of usage counts is
//! lost.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use hyper::Method;
use serde_json::json;

use crate::support::http::{Call, Connection};
use crate::support::waiting::until;
use crate::support::{Client, CreatedKey, Outcome, Server};

const ROUNDS: usize = 20;
/// The minimum number of responses per round; 10,000 in all.
const ANSWERS: usize = 500;
const CONNECTIONS: usize = 8;
/// One in this many requests is a change.
const CHANGE_EVERY: usize = 25;
/// The usage that a kill may lose.
const LOST: Duration = Duration::from_secs(1);
/// The minimum time from the first counted response to the kill, so that there is usage that must not be lost.
const ROUND: Duration = Duration::from_millis(1300);

/// The responses of one connection.
#[derive(Default)]
struct Ledger {
    /// When each request with the counted key was answered.
    answered: Vec<Instant>,
    /// Names that the changed key was given.
    names: Vec<String>,
}

/// What all connections of a round have received so far.
#[derive(Default)]
struct Progress {
    answers: AtomicUsize,
    /// When the first request with the counted key was answered.
    first: OnceLock<Instant>,
}

impl Progress {
    fn is_enough(&self) -> bool {
        let usage = self.first.get().is_some_and(|first| first.elapsed() >= ROUND);
        usage && self.answers.load(Ordering::Relaxed) >= ANSWERS
    }
}

/// The secrets of the two keys of a round, and the key that is changed.
#[derive(Clone)]
struct Keys {
    counted: Arc<CreatedKey>,
    admin: Arc<CreatedKey>,
    changed: Arc<CreatedKey>,
}

/// Sends requests until the server is killed.
async fn ask(
    client: Client,
    keys: Keys,
    tag: String,
    progress: Arc<Progress>,
    stop: Arc<AtomicBool>,
) -> anyhow::Result<Ledger> {
    let mut ledger = Ledger::default();
    let mut connection = client.connect().await?;
    for number in 0.. {
        if stop.load(Ordering::Acquire) {
            break;
        }
        let sent = if number % CHANGE_EVERY == 0 {
            rename(&mut connection, &keys, format!("{tag} {number}"), &mut ledger).await
        } else {
            let whoami = connection.send(Call::get("/v1/whoami").key(&keys.counted.secret)).await;
            whoami.map(|_| {
                let now = Instant::now();
                progress.first.get_or_init(|| now);
                ledger.answered.push(now);
            })
        };
        // A response that did not arrive does not count.
        if sent.is_err() {
            break;
        }
        progress.answers.fetch_add(1, Ordering::Relaxed);
    }
    Ok(ledger)
}

async fn rename(
    connection: &mut Connection,
    keys: &Keys,
    name: String,
    ledger: &mut Ledger,
) -> anyhow::Result<()> {
    let path = format!("/v1/keys/{}", keys.changed.id);
    let call = Call::new(Method::PATCH, &path).key(&keys.admin.secret).json(&json!({"name": name}));
    connection.send(call).await?.expect(200)?;
    ledger.names.push(name);
    Ok(())
}

/// One round of load, kill and restart. Returns the responses and the time of the kill.
async fn round(server: Server, keys: &Keys, number: usize) -> anyhow::Result<(Server, Ledger, Instant)> {
    let (progress, stop) = (Arc::new(Progress::default()), Arc::new(AtomicBool::new(false)));
    let tasks: Vec<_> = (0..CONNECTIONS)
        .map(|connection| {
            let tag = format!("{number} {connection}");
            let work = ask(server.client()?, keys.clone(), tag, Arc::clone(&progress), Arc::clone(&stop));
            anyhow::Ok(tokio::spawn(work))
        })
        .collect::<Result<_, _>>()?;
    until("the round is over", || async {
        anyhow::ensure!(
            tasks.iter().any(|task| !task.is_finished()),
            "all connections broke before the kill"
        );
        Ok(progress.is_enough().then_some(()))
    })
    .await?;
    let killed = Instant::now();
    let (home, extra) = server.kill().await?;
    stop.store(true, Ordering::Release);
    let mut all = Ledger::default();
    for task in tasks {
        let ledger = task.await??;
        all.answered.extend(ledger.answered);
        all.names.extend(ledger.names);
    }
    let server = home.start_with(&extra.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    Ok((server, all, killed))
}

async fn counted(server: &Server, keys: &Keys) -> anyhow::Result<usize> {
    let key = server.client()?.get(&format!("/v1/keys/{}", keys.counted.id), &keys.admin.secret).await?;
    let count = key.expect(200)?["request_count"].as_u64().context("request_count")?;
    Ok(usize::try_from(count)?)
}

/// The names in the audit trail.
async fn names_in_trail(server: &Server, keys: &Keys) -> anyhow::Result<HashSet<String>> {
    let mut connection = server.client()?.connect().await?;
    let (mut names, mut cursor) = (HashSet::new(), String::new());
    loop {
        let path = format!("/v1/audit-events?action=key.updated&limit=100{cursor}");
        let page = connection.send(Call::get(&path).key(&keys.admin.secret)).await?.expect(200)?;
        let events = page["audit_events"].as_array().context("audit_events")?;
        names.extend(events.iter().filter_map(|event| event["after"]["name"].as_str()).map(str::to_owned));
        match page["pagination"]["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(names),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_lose_no_audit_event_and_at_most_one_second_of_usage() -> Outcome {
    let mut server = Server::start().await?;
    let options =
        ["--name", "counted", "--preset", "custom", "--scopes", "calls:read", "--rate-limit", "60000"];
    let keys = Keys {
        admin: Arc::new(server.admin_key().await?),
        counted: Arc::new(server.create_key(&options).await?),
        changed: Arc::new(server.create_key(&["--name", "changed", "--preset", "testing"]).await?),
    };
    let (mut before, mut answered, mut names) = (0, 0, Vec::new());
    for number in 0..ROUNDS {
        let (restarted, ledger, killed) = round(server, &keys, number).await?;
        server = restarted;
        let now = counted(&server, &keys).await?;
        let old = |at: &&Instant| killed.saturating_duration_since(**at) >= LOST;
        let least = ledger.answered.iter().filter(old).count();
        // One request per connection may have been counted although its response was lost.
        let most = ledger.answered.len() + CONNECTIONS;
        let new = now.checked_sub(before).context("counters went backward")?;
        assert!((least..=most).contains(&new), "round {number}: {new} counted, {least} to {most} expected");
        assert!(least > 0, "a round ends when there is usage that must not be lost");
        before = now;
        answered += ledger.answered.len() + ledger.names.len();
        names.extend(ledger.names);
    }
    assert!(answered >= ROUNDS * ANSWERS, "only {answered} requests were answered");
    let trail = names_in_trail(&server, &keys).await?;
    let missing: Vec<_> = names.iter().filter(|name| !trail.contains(*name)).collect();
    assert!(
        missing.is_empty(),
        "{} of {} answered changes are lost: {missing:?}",
        missing.len(),
        names.len()
    );
    let verdict = server.client()?.get("/v1/audit-events/verify", &keys.admin.secret).await?.expect(200)?;
    assert_eq!(verdict["intact"], true);
    Ok(())
}

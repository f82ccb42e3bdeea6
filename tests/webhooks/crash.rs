//! Kill -9 at random moments while events are caused and delivered. The test keeps its own record: each event whose cause was
//! acknowledged must arrive, however often the server is killed, and all its arrivals have the same id.
//!
//! CI runs a short form; `scripts/webhook-crash` runs many rounds over many events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::ensure;
use serde_json::json;
use telepath_core::entropy::{SystemEntropy, random_bytes};
use tokio::task::JoinHandle;

use super::Post;
use crate::support::http::Call;
use crate::support::sink::Sink;
use crate::support::waiting::{PATIENCE, until_within};
use crate::support::{Client, Outcome};

/// Rounds and events of the short form.
const ROUNDS: usize = 4;
const EVENTS: usize = 300;
const CONNECTIONS: usize = 8;

fn wanted(variable: &str, usual: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// How long `events` events may take on a slow machine with a server that is killed repeatedly.
fn patience(events: usize) -> Duration {
    PATIENCE + Duration::from_millis(50) * u32::try_from(events).unwrap_or(u32::MAX)
}

/// Causes events until enough were acknowledged or the server is killed. Returns the ids of the created keys.
async fn cause(client: Client, key: String, events: usize, answered: Arc<AtomicUsize>) -> Vec<String> {
    let mut keys = Vec::new();
    // A server that is being killed accepts no connections either.
    let Ok(mut connection) = client.connect().await else { return keys };
    while answered.load(Ordering::Relaxed) < events {
        let draft = json!({"name": "An event", "preset": "testing"});
        let call = Call::new(hyper::Method::POST, "/v1/keys").key(&key).json(&draft);
        let Ok(answer) = connection.send(call).await else { break };
        let Some(id) = answer.expect(201).ok().and_then(|made| made["id"].as_str().map(str::to_owned)) else {
            break;
        };
        keys.push(id);
        answered.fetch_add(1, Ordering::Relaxed);
    }
    keys
}

/// Causes events over several connections.
fn cause_at_once(post: &Post, events: usize, answered: &Arc<AtomicUsize>) -> Vec<JoinHandle<Vec<String>>> {
    let cause = |_| tokio::spawn(cause(post.client.clone(), post.key.clone(), events, Arc::clone(answered)));
    (0..CONNECTIONS).map(cause).collect()
}

/// The event ids that arrived, by key.
fn arrived(sink: &Sink) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for arrival in sink.arrivals() {
        let body = arrival.json();
        if let (Some(key), Some(event)) = (body["key_id"].as_str(), body["id"].as_str()) {
            found.entry(key.to_owned()).or_default().insert(event.to_owned());
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_event_is_lost_when_the_server_is_killed_at_random_moments() -> Outcome {
    let (rounds, events) = (wanted("TELEPATH_CRASH_ROUNDS", ROUNDS), wanted("TELEPATH_CRASH_EVENTS", EVENTS));
    let mut post = Post::start().await?;
    post.webhook(json!({"events": ["key.created"], "max_in_flight": 20})).await?;
    let mut keys: Vec<String> = Vec::new();
    for round in 0..rounds {
        let target = events * (round + 1) / rounds - keys.len();
        let moment = random_moment(target)?;
        println!("round {round}: kill after {moment} of {target} answers");
        let answered = Arc::new(AtomicUsize::new(0));
        let tasks = cause_at_once(&post, target, &answered);
        until_within(patience(events), "it is the moment to kill", || async {
            Ok((answered.load(Ordering::Relaxed) >= moment).then_some(()))
        })
        .await?;
        post.server = post.server.kill_and_restart().await?;
        post.client = post.server.client()?;
        for task in tasks {
            keys.extend(task.await?);
        }
    }
    // Cause the remaining events, however early the kills were.
    for task in cause_at_once(&post, events.saturating_sub(keys.len()), &Arc::default()) {
        keys.extend(task.await?);
    }
    ensure!(keys.len() >= events, "only {} events were caused", keys.len());
    until_within(patience(events), "every event has arrived", || async {
        let arrived = arrived(&post.sink);
        Ok(keys.iter().all(|key| arrived.contains_key(key)).then_some(()))
    })
    .await?;
    let arrived = arrived(&post.sink);
    for key in &keys {
        assert_eq!(arrived[key].len(), 1, "all arrivals of an event have one id");
    }
    let doubles = post.sink.arrivals().len() - arrived.len();
    println!("{} events caused, {} arrived, {doubles} arrived once more", keys.len(), arrived.len());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_server_delivers_what_a_killed_one_had_claimed() -> Outcome {
    let post = Post::start().await?;
    let Some(second) = post.server.home().second_node() else { return Ok(()) };
    post.webhook(json!({"events": ["key.created"], "max_in_flight": 20})).await?;
    let second = second.start_with(&["--egress-allow", &format!("127.0.0.1:{}", post.sink.port)]).await?;
    let events = wanted("TELEPATH_CRASH_EVENTS", EVENTS);
    let answered = Arc::new(AtomicUsize::new(0));
    let nodes = [post.server.client()?, second.client()?];
    let tasks: Vec<_> = (0..CONNECTIONS)
        .map(|number| {
            let client = nodes[number % nodes.len()].clone();
            tokio::spawn(cause(client, post.key.clone(), events, Arc::clone(&answered)))
        })
        .collect();
    let moment = random_moment(events)?;
    println!("kill one of two nodes after {moment} of {events} answers");
    until_within(patience(events), "it is the moment to kill", || async {
        Ok((answered.load(Ordering::Relaxed) >= moment).then_some(()))
    })
    .await?;
    let Post { server, sink, .. } = post;
    let (home, _) = server.kill().await?;
    let mut keys = Vec::new();
    for task in tasks {
        keys.extend(task.await?);
    }
    until_within(patience(events), "every event has arrived", || async {
        let arrived = arrived(&sink);
        Ok(keys.iter().all(|key| arrived.contains_key(key)).then_some(()))
    })
    .await?;
    let arrived = arrived(&sink);
    assert!(keys.iter().all(|key| arrived[key].len() == 1), "all arrivals of an event have one id");
    println!(
        "{} events caused, {} arrived, in {} requests",
        keys.len(),
        arrived.len(),
        sink.arrivals().len()
    );
    second.kill().await?;
    drop(home);
    Ok(())
}

fn random_moment(most: usize) -> anyhow::Result<usize> {
    let drawn = u32::from_be_bytes(random_bytes(&SystemEntropy::default())?);
    Ok(usize::try_from(drawn)? % most.max(1) + 1)
}

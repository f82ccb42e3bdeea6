//! Durability: what was acknowledged before kill -9 is there after the restart.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tokio::sync::Notify;

use crate::support::http::Call;
use crate::support::{Client, CreatedKey, Outcome, Server};

const CREATIONS: usize = 1000;
const CONNECTIONS: usize = 20;
/// The server is killed after this many responses.
const IN_THE_MIDDLE: usize = 400;

/// Creates keys until the server is killed. Returns those whose creation was acknowledged.
async fn create(
    client: Client,
    admin: String,
    answered: Arc<AtomicUsize>,
    half_way: Arc<Notify>,
) -> anyhow::Result<Vec<CreatedKey>> {
    let mut keys = Vec::new();
    let mut connection = client.connect().await?;
    for number in 0..CREATIONS / CONNECTIONS {
        let draft = json!({"name": format!("crash {number}"), "preset": "testing"});
        let call = Call::new(hyper::Method::POST, "/v1/keys").key(&admin).json(&draft);
        // A response that did not arrive does not count.
        let Ok(answer) = connection.send(call).await else { break };
        keys.push(CreatedKey::from_json(&answer.expect(201)?)?);
        if answered.fetch_add(1, Ordering::Relaxed) + 1 == IN_THE_MIDDLE {
            half_way.notify_one();
        }
    }
    Ok(keys)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_key_creations_survive_kill_9() -> Outcome {
    let server = Server::start().await?;
    let admin = server.admin_key().await?.secret;
    let answered = Arc::new(AtomicUsize::new(0));
    let half_way = Arc::new(Notify::new());
    let tasks: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let create =
                create(server.client()?, admin.clone(), Arc::clone(&answered), Arc::clone(&half_way));
            anyhow::Ok(tokio::spawn(create))
        })
        .collect::<Result<_, _>>()?;
    half_way.notified().await;
    let server = server.kill_and_restart().await?;
    let mut keys = Vec::new();
    for task in tasks {
        keys.extend(task.await??);
    }
    assert!(keys.len() >= IN_THE_MIDDLE, "only {} were answered", keys.len());
    assert!(keys.len() < CREATIONS, "the server was killed too late to prove anything");

    let mut connection = server.client()?.connect().await?;
    for key in &keys {
        let me = connection.send(Call::get("/v1/whoami").key(&key.secret)).await?.expect(200)?;
        assert_eq!(me["id"], key.id.as_str());
    }
    let list = connection.send(Call::get("/v1/keys?limit=1").key(&admin)).await?.expect(200)?;
    let total = list["pagination"]["total"].as_u64().unwrap_or(0);
    // Plus the key that creates them, and up to one creation per connection whose response was lost.
    let most = keys.len() + 1 + CONNECTIONS;
    assert!((keys.len() as u64 + 1..=most as u64).contains(&total), "{total} keys, {} answered", keys.len());
    Ok(())
}

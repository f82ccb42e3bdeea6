//! The revocation guarantee: no request that starts after the response to a revocation is admitted, on any connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::Context as _;
use hyper::Method;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::support::http::Call;
use crate::support::{Client, Outcome, Server};

const CONNECTIONS: usize = 24;

/// Sends requests until one that started after the change was answered. Returns how many were admitted before.
async fn hammer(
    client: Client,
    secret: String,
    changed: watch::Receiver<Option<Instant>>,
    warm: Arc<AtomicUsize>,
) -> anyhow::Result<usize> {
    let mut connection = client.connect().await?;
    let mut admitted = 0;
    loop {
        let started = Instant::now();
        // Read the time before sending, so that the request certainly starts later.
        let is_after = changed.borrow().is_some_and(|moment| moment < started);
        let answer = connection.send(Call::get("/v1/trunks").key(&secret)).await?;
        if is_after {
            assert_ne!(answer.status, 200, "admitted by a state that was already revoked");
            return Ok(admitted);
        }
        if answer.status == 200 {
            admitted += 1;
            if admitted == 1 {
                warm.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Applies `change` while all connections are busy.
async fn race(method: Method, suffix: &str, change: Value) -> Outcome {
    let server = Server::start().await?;
    let admin = server.admin_key().await?.secret;
    let key =
        server.create_key(&["--name", "hot", "--preset", "production", "--rate-limit", "60000"]).await?;
    let (tell, changed) = watch::channel(None);
    let warm = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let hammer = hammer(server.client()?, key.secret.clone(), changed.clone(), Arc::clone(&warm));
            anyhow::Ok(tokio::spawn(hammer))
        })
        .collect::<Result<_, _>>()?;
    let mut control = server.client()?.connect().await?;
    while warm.load(Ordering::Relaxed) < CONNECTIONS {
        // Polling too often would slow the others down.
        control.send(Call::get("/livez")).await?;
    }
    let path = format!("/v1/keys/{}{suffix}", key.id);
    let answer = control.send(Call::new(method, &path).key(&admin).json(&change)).await?;
    anyhow::ensure!(answer.status == 200, "{}", answer.text());
    tell.send(Some(Instant::now())).context("the connections are listening")?;
    for task in tasks {
        assert!(task.await?? > 0);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_admitted_after_a_revocation_was_answered() -> Outcome {
    race(Method::POST, "/revoke", json!({"reason": "test"})).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_admitted_with_a_secret_rotated_without_grace() -> Outcome {
    race(Method::POST, "/rotate", json!({"grace_seconds": 0})).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_admitted_with_removed_scopes() -> Outcome {
    race(Method::PATCH, "", json!({"scopes": ["calls:read"]})).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_admitted_from_a_removed_address() -> Outcome {
    race(Method::PATCH, "", json!({"allowed_ips": ["192.0.2.1/32"]})).await
}

//! `Idempotency-Key`: a retried request takes effect once, even if the server is killed in between.

use hyper::Method;
use hyper::header::HeaderName;
use serde_json::{Value, json};

use crate::support::http::Call;
use crate::support::{Client, Outcome, Server};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The number of keys requested while the server is killed.
const ASKED: usize = 120;

fn make(admin: &str, name: &str) -> Call<'static> {
    let draft = json!({"name": name, "preset": "testing"});
    Call::new(Method::POST, "/v1/keys").key(admin).header(IDEMPOTENCY_KEY, name).json(&draft)
}

#[tokio::test]
async fn a_replayed_response_omits_the_secret() -> Outcome {
    let server = Server::start().await?;
    let client = server.client()?;
    let admin = server.admin_key().await?.secret;
    let first = client.send(make(&admin, "once")).await?.expect(201)?;
    let again = client.send(make(&admin, "once")).await?;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    let again = again.expect(201)?;
    assert_eq!((&again["id"], &again["secret_withheld"]), (&first["id"], &json!(true)));
    assert_eq!(again.get("secret"), None);
    let other = make(&admin, "once").json(&json!({"name": "other", "preset": "testing"}));
    assert_eq!(client.send(other).await?.error(422)?, "IDEMPOTENCY_KEY_REUSED");
    Ok(())
}

/// Creates keys until the server is killed.
async fn ask_until_gone(client: Client, admin: String, first_answers: tokio::sync::oneshot::Sender<()>) {
    let mut first_answers = Some(first_answers);
    for number in 0..ASKED {
        if client.send(make(&admin, &format!("k{number}"))).await.is_err() {
            return;
        }
        if number == ASKED / 8
            && let Some(tell) = first_answers.take()
        {
            let _ = tell.send(());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_retried_after_kill_9_takes_effect_once() -> Outcome {
    let server = Server::start().await?;
    let admin = server.admin_key().await?.secret;
    let (tell, some_are_made) = tokio::sync::oneshot::channel();
    let asking = tokio::spawn(ask_until_gone(server.client()?, admin.clone(), tell));
    some_are_made.await?;
    let embedded = server.home().is_embedded();
    let server = server.kill_and_restart().await?;
    asking.await?;
    let mut connection = server.client()?.connect().await?;
    let mut unsure = 0;
    for number in 0..ASKED {
        let answer = connection.send(make(&admin, &format!("k{number}"))).await?;
        match answer.status {
            201 => {}
            409 => unsure += 1,
            _ => anyhow::bail!("{}", answer.text()),
        }
    }
    assert!(unsure <= 1, "only the request that was under way can have lost its answer");
    let mut names: Vec<Value> = Vec::new();
    for offset in [0, 100] {
        let path = format!("/v1/keys?limit=100&offset={offset}");
        let page = connection.send(Call::get(&path).key(&admin)).await?.expect(200)?;
        let keys = page["keys"].as_array().cloned().unwrap_or_default();
        names.extend(keys.into_iter().map(|key| key["name"].clone()));
    }
    for number in 0..ASKED {
        let made = names.iter().filter(|name| **name == format!("k{number}")).count();
        // Several servers may share a PostgreSQL database, so an attempt there is abandoned only after a minute.
        let is_waited_for = !embedded && unsure == 1 && made == 0;
        assert!(made == 1 || is_waited_for, "k{number} was made {made} times");
    }
    Ok(())
}

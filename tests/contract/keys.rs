//! Keys: create, list, update and revoke.

use anyhow::Context as _;
use hyper::Method;
use serde_json::json;

use crate::support::http::Call;
use crate::support::{CreatedKey, Outcome, Server};

#[tokio::test]
async fn a_key_is_created_shown_once_used_updated_and_revoked() -> Outcome {
    let server = Server::start().await?;
    let client = server.client()?;
    let admin = server.admin_key().await?.secret;

    let draft = json!({"name": "Dashboards", "preset": "monitoring", "expires_at": "2099-01-01T00:00:00Z"});
    let answer = client.post("/v1/keys", &admin, &draft).await?.expect(201)?;
    let key = CreatedKey::from_json(&answer)?;
    assert!(key.secret.starts_with("sk_live_") && key.secret.len() == 57, "the form of keys is published");
    assert_eq!(answer["rate_limit_per_minute"], 1200);

    let path = format!("/v1/keys/{}", key.id);
    let shown = client.get(&path, &admin).await?;
    assert!(!shown.text().contains(&key.secret), "a secret is shown once");
    let shown = shown.expect(200)?;
    assert_eq!((&shown["name"], &shown["status"]), (&json!("Dashboards"), &json!("active")));
    let listed = client.get("/v1/keys?limit=100", &admin).await?;
    assert!(!listed.text().contains(&key.secret));
    let listed = listed.expect(200)?;
    assert_eq!(listed["pagination"]["total"], 2, "{listed}");

    let me = client.get("/v1/whoami", &key.secret).await?.expect(200)?;
    assert_eq!(me["id"], key.id.as_str(), "{me}");
    assert_eq!(client.get("/v1/calls", &key.secret).await?.status, 200);

    let patch = json!({"scopes": ["trunks:read"], "rate_limit_per_minute": 7});
    client.send(Call::new(Method::PATCH, &path).key(&admin).json(&patch)).await?.expect(200)?;
    assert_eq!(client.get("/v1/calls", &key.secret).await?.error(403)?, "INSUFFICIENT_SCOPE");
    assert_eq!(client.get("/v1/trunks", &key.secret).await?.rate()?.limit, 7);

    let revoke = format!("{path}/revoke");
    let gone = client.post(&revoke, &admin, &json!({"reason": "laptop lost"})).await?.expect(200)?;
    assert_eq!((&gone["status"], &gone["revoke_reason"]), (&json!("revoked"), &json!("laptop lost")));
    assert_eq!(client.get("/v1/whoami", &key.secret).await?.error(401)?, "INVALID_API_KEY");
    Ok(())
}

#[tokio::test]
async fn keys_and_revocations_survive_a_restart() -> Outcome {
    let mut server = Server::start().await?;
    let kept = server.create_key(&["--name", "kept", "--preset", "testing"]).await?;
    let gone = server.create_key(&["--name", "gone", "--preset", "testing"]).await?;
    server.home().run(&["keys", "revoke", &gone.id]).await?.expect_success()?;
    assert!(server.stop().await?.success());
    let server = server.kill_and_restart().await?;
    let client = server.client()?;
    assert_eq!(client.get("/v1/whoami", &kept.secret).await?.status, 200);
    assert_eq!(client.get("/v1/whoami", &gone.secret).await?.error(401)?, "INVALID_API_KEY");
    Ok(())
}

#[tokio::test]
async fn usage_is_counted_promptly_and_kept_by_a_clean_stop() -> Outcome {
    let mut server = Server::start().await?;
    let admin = server.admin_key().await?.secret;
    let key = server.create_key(&["--name", "used", "--preset", "monitoring"]).await?;
    let mut connection = server.client()?.connect().await?;
    for _ in 0..7 {
        connection.send(Call::get("/v1/calls").key(&key.secret)).await?.expect(200)?;
    }
    for _ in 0..3 {
        connection.send(Call::get("/v1/keys").key(&key.secret)).await?.error(403)?;
    }
    drop(connection);
    assert!(server.stop().await?.success());
    let server = server.kill_and_restart().await?;
    let shown = server.client()?.get(&format!("/v1/keys/{}", key.id), &admin).await?.expect(200)?;
    assert_eq!((&shown["request_count"], &shown["error_count"]), (&json!(10), &json!(3)), "{shown}");
    assert!(shown["last_used_at"].as_str().context("last_used_at")?.ends_with('Z'));
    assert_eq!(shown["last_used_ip"], "127.0.0.1");
    Ok(())
}

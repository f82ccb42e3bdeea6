//! Rotation and presets.

use anyhow::Context as _;
use hyper::Method;
use serde_json::json;

use crate::support::http::Call;
use crate::support::{CreatedKey, Outcome, Server};

#[tokio::test]
async fn a_rotated_key_keeps_its_id_and_shows_who_still_uses_the_old_secret() -> Outcome {
    let mut server = Server::start().await?;
    let client = server.client()?;
    let admin = server.admin_key().await?.secret;
    let old = server.create_key(&["--name", "turned", "--preset", "testing"]).await?;
    let path = format!("/v1/keys/{}", old.id);
    let rotate = format!("{path}/rotate");
    let answer = client.post(&rotate, &admin, &json!({"grace_seconds": 3600})).await?.expect(200)?;
    let new = CreatedKey::from_json(&answer)?;
    assert_eq!(new.id, old.id);
    for secret in [&old.secret, &new.secret] {
        assert_eq!(client.get("/v1/whoami", secret).await?.expect(200)?["id"], old.id.as_str());
    }
    let shown = client.get(&path, &admin).await?.expect(200)?;
    let secrets = shown["secrets"].as_array().context("secrets")?;
    let states: Vec<_> = secrets.iter().map(|secret| secret["status"].as_str()).collect();
    assert_eq!(states, [Some("current"), Some("grace")]);
    assert!(secrets.iter().all(|secret| secret["last_used_ip"] == "127.0.0.1"), "{shown}");
    let end = format!("{path}/secrets/{}/revoke", secrets[1]["id"].as_str().context("id")?);
    client.post(&end, &admin, &json!({})).await?.expect(200)?;
    assert_eq!(client.get("/v1/whoami", &old.secret).await?.error(401)?, "INVALID_API_KEY");
    assert!(server.stop().await?.success());
    let server = server.kill_and_restart().await?;
    let client = server.client()?;
    assert_eq!(client.get("/v1/whoami", &old.secret).await?.error(401)?, "INVALID_API_KEY");
    assert_eq!(client.get("/v1/whoami", &new.secret).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn rotate_all_replaces_every_secret() -> Outcome {
    let server = Server::start().await?;
    let client = server.client()?;
    let admin = server.admin_key().await?;
    let other = server.create_key(&["--name", "other", "--preset", "testing"]).await?;
    let all = client.post("/v1/keys/rotate-all", &admin.secret, &json!({"grace_seconds": 0})).await?;
    let all = all.expect(200)?;
    for old in [&admin, &other] {
        assert_eq!(client.get("/v1/whoami", &old.secret).await?.error(401)?, "INVALID_API_KEY");
    }
    let keys = all["keys"].as_array().context("keys")?;
    assert_eq!(keys.len(), 2);
    for key in keys {
        let new = CreatedKey::from_json(key)?;
        assert_eq!(client.get("/v1/whoami", &new.secret).await?.expect(200)?["id"], new.id.as_str());
    }
    Ok(())
}

#[tokio::test]
async fn presets_belong_to_the_account() -> Outcome {
    let server = Server::start().await?;
    let client = server.client()?;
    let admin = server.admin_key().await?.secret;
    let edit = json!({"scopes": ["calls:read"], "rate_limit_per_minute": 5});
    let patch = Call::new(Method::PATCH, "/v1/key-presets/monitoring").key(&admin).json(&edit);
    assert_eq!(client.send(patch).await?.expect(200)?["modified"], true);
    let draft = json!({"name": "m", "preset": "monitoring"});
    let made = client.post("/v1/keys", &admin, &draft).await?.expect(201)?;
    assert_eq!((&made["scopes"], &made["rate_limit_per_minute"]), (&json!(["calls:read"]), &json!(5)));
    assert_eq!(client.delete("/v1/key-presets/monitoring", &admin).await?.status, 204);
    let made = client.post("/v1/keys", &admin, &draft).await?.expect(201)?;
    assert_eq!(made["rate_limit_per_minute"], 1200);
    Ok(())
}

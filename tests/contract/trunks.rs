//! Trunks: create, list, update and delete.

use anyhow::Context as _;
use hyper::Method;
use serde_json::json;

use crate::support::http::Call;
use crate::support::output::note_secret;
use crate::support::{Outcome, Server};

#[tokio::test]
async fn a_trunk_is_created_updated_and_deleted_and_never_shows_credentials() -> Outcome {
    let server = Server::start().await?;
    let client = server.client()?;
    let key = server.admin_key().await?.secret;
    let provider_key = "sk-provider-0123456789abcdefghijkl";
    note_secret(provider_key);
    let draft = json!({
        "name": "Support", "ai_provider": "openai", "sip_username": "Support-01", "openai_api_key": provider_key,
        "system_prompt": "Be kind.", "metadata": {"team": "support"}
    });
    let made = client.post("/v1/trunks", &key, &draft).await?;
    assert!(!made.text().contains(provider_key));
    let made = made.expect(201)?;
    let password = made["sip_password"].as_str().context("a made password is shown once")?;
    assert_eq!(password.chars().count(), 24);
    assert_eq!(made["openai_api_key"]["set"], true, "{made}");
    assert_eq!(made["openai_api_key"]["last4"], "ijkl", "{made}");
    assert!(
        made["sip_endpoint"].as_str().is_some_and(|uri| uri.starts_with("sip:") && uri.contains('@')),
        "{made}"
    );
    assert_eq!(made["metrics"]["avg_latency_ms"], json!(null), "no figure is invented");

    let path = format!("/v1/trunks/{}", made["id"].as_str().context("id")?);
    let shown = client.get(&path, &key).await?;
    assert!(!shown.text().contains(password) && !shown.text().contains(provider_key));
    assert_eq!(shown.expect(200)?["name"], "Support");

    let same_name = json!({"name": "B", "ai_provider": "custom", "sip_username": "support-01", "custom_endpoint": "wss://agent.example/"});
    assert_eq!(client.post("/v1/trunks", &key, &same_name).await?.error(409)?, "SIP_USERNAME_TAKEN");

    let patch = Call::new(Method::PATCH, &path).key(&key).json(&json!({"status": "inactive"}));
    let changed = client.send(patch).await?.expect(200)?;
    assert_eq!((&changed["status"], &changed["name"]), (&json!("inactive"), &json!("Support")));

    let rotate = format!("{path}/rotate-sip-password");
    let rotated = client.send(Call::new(Method::POST, &rotate).key(&key)).await?.expect(200)?;
    assert_ne!(rotated["sip_password"].as_str().context("a new password")?, password);
    assert!(rotated["rotated_at"].is_string(), "{rotated}");

    assert_eq!(client.delete(&path, &key).await?.status, 204);
    assert_eq!(client.get(&path, &key).await?.error(404)?, "TRUNK_NOT_FOUND");
    Ok(())
}

#[tokio::test]
async fn lists_are_paged_and_sorted_newest_first() -> Outcome {
    let server = Server::start().await?;
    let client = server.client()?;
    let key = server.admin_key().await?.secret;
    for number in 0..5 {
        let draft = json!({
            "name": format!("Trunk {number}"), "ai_provider": "custom", "sip_username": format!("trunk-{number}"),
            "custom_endpoint": "wss://agent.example/"
        });
        client.post("/v1/trunks", &key, &draft).await?.expect(201)?;
    }
    let names = |body: &serde_json::Value| -> Vec<String> {
        let trunks = body["trunks"].as_array().cloned().unwrap_or_default();
        trunks.iter().filter_map(|trunk| trunk["name"].as_str().map(str::to_owned)).collect()
    };
    let page = client.get("/v1/trunks?limit=2&offset=1", &key).await?.expect(200)?;
    assert_eq!(names(&page), ["Trunk 3", "Trunk 2"]);
    let next = page["pagination"]["next_cursor"].as_str().context("a cursor for the next page")?;
    assert_eq!(page["pagination"], json!({"limit": 2, "offset": 1, "total": 5, "next_cursor": next}));
    let rest = client.get(&format!("/v1/trunks?cursor={next}"), &key).await?.expect(200)?;
    assert_eq!(names(&rest), ["Trunk 1", "Trunk 0"]);
    assert!(rest["pagination"].get("total").is_none_or(serde_json::Value::is_null), "{rest}");
    let oldest = client.get("/v1/trunks?sort=created_at&limit=1", &key).await?.expect(200)?;
    assert_eq!(names(&oldest), ["Trunk 0"]);
    Ok(())
}

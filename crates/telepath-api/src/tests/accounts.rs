//! What an account decides for its keys, through the API.

use serde_json::json;

use super::harness::Harness;

#[tokio::test]
async fn an_updated_preset_applies_to_new_keys_only() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    let make = async || {
        let body = json!({"name": "n", "preset": "monitoring"});
        harness.post("/v1/keys", &master, body).await.expect(201).json()
    };
    let listed = harness.get("/v1/key-presets", &master).await.expect(200).json();
    let names: Vec<_> =
        listed["presets"].as_array().unwrap().iter().map(|preset| preset["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["production", "development", "testing", "monitoring", "custom"]);
    assert!(listed["presets"].as_array().unwrap().iter().all(|preset| preset["modified"] == false));
    let old = make().await;
    let path = "/v1/key-presets/monitoring";
    let patch = json!({"scopes": ["calls:read"], "rate_limit_per_minute": 30});
    let edited = harness.ask("PATCH", path, &master, Some(patch)).await.expect(200).json();
    let expected = json!({"name": "monitoring", "scopes": ["calls:read"], "rate_limit_per_minute": 30,
        "modified": true});
    assert_eq!(edited, expected);
    let new = make().await;
    assert_eq!((&new["scopes"], &new["rate_limit_per_minute"]), (&json!(["calls:read"]), &json!(30)));
    let shown =
        harness.get(&format!("/v1/keys/{}", old["id"].as_str().unwrap()), &master).await.expect(200).json();
    assert_eq!((&shown["scopes"], &shown["rate_limit_per_minute"]), (&old["scopes"], &json!(1200)));
    harness.ask("DELETE", path, &master, None).await.expect(204);
    assert_eq!(make().await["scopes"], old["scopes"]);
}

#[tokio::test]
async fn a_preset_beyond_the_callers_rights_is_refused() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    let patch = async |name: &str, key: &str, body| {
        harness.ask("PATCH", &format!("/v1/key-presets/{name}"), key, Some(body)).await
    };
    for (name, body, status, code) in [
        ("custom", json!({"rate_limit_per_minute": 5}), 400, "INVALID_PARAMS"),
        ("nothing", json!({}), 404, "PRESET_NOT_FOUND"),
        ("testing", json!({"scopes": []}), 400, "INVALID_PARAMS"),
        ("testing", json!({"scopes": ["trunks:erase"]}), 400, "INVALID_PARAMS"),
        ("testing", json!({"rate_limit_per_minute": 60_001}), 400, "INVALID_PARAMS"),
        ("testing", json!({"limit": 1}), 400, "INVALID_PARAMS"),
    ] {
        assert_eq!(patch(name, &master, body).await.expect(status).code(), code, "{name}");
    }
    let clerk = harness.key(json!({"preset": "custom", "scopes": ["keys:write", "calls:read"]})).await;
    let narrow = json!({"scopes": ["calls:read"]});
    assert_eq!(patch("monitoring", &clerk, narrow.clone()).await.expect(403).code(), "INSUFFICIENT_SCOPE");
    patch("monitoring", &master, narrow).await.expect(200);
    let beyond = patch("monitoring", &clerk, json!({"scopes": ["calls:write"]})).await.expect(400).json();
    assert_eq!(beyond["error"]["details"][0]["field"], "scopes");
    harness.ask("DELETE", "/v1/key-presets/monitoring", &clerk, None).await.expect(403);
    harness.ask("DELETE", "/v1/key-presets/nothing", &master, None).await.expect(404);
}

#[tokio::test]
async fn an_account_is_read_and_updated() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    let shown = harness.get("/v1/account", &master).await.expect(200).json();
    assert_eq!(
        shown,
        json!({"id": harness.account.id, "name": "Default", "mode": "live",
        "max_rate_limit_per_minute": 60_000, "revoke_keys_seen_in_clear": false,
        "max_key_lifetime_days": null, "keys_must_expire": false,
        "created_at": "2027-01-15T08:00:00.000Z"})
    );
    assert_eq!(harness.get("/v1/whoami", &master).await.json()["account"]["name"], "Default");
    let patch = json!({"name": "Example", "revoke_keys_seen_in_clear": true});
    let changed = harness.ask("PATCH", "/v1/account", &master, Some(patch)).await.expect(200).json();
    assert_eq!((&changed["name"], &changed["revoke_keys_seen_in_clear"]), (&json!("Example"), &json!(true)));
    assert_eq!(harness.get("/v1/account", &master).await.json(), changed);
    assert_eq!(harness.get("/v1/whoami", &master).await.json()["account"]["name"], "Example");
    for bad in [json!({"name": ""}), json!({"mode": "test"}), json!({"max_rate_limit_per_minute": 1})] {
        harness.ask("PATCH", "/v1/account", &master, Some(bad)).await.expect(400);
    }
}

#[tokio::test]
async fn policies_for_keys_are_enforced_and_need_their_own_scope() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    let patch = json!({"max_key_lifetime_days": 90, "keys_must_expire": true});
    let clerk = harness.key(json!({"preset": "custom", "scopes": ["keys:write"]})).await;
    let refused = harness.ask("PATCH", "/v1/account", &clerk, Some(patch.clone())).await.expect(403);
    assert_eq!(refused.json()["error"]["required_scope"], "account:write");
    harness.ask("PATCH", "/v1/account", &master, Some(patch)).await.expect(200);
    let draft = json!({"name": "n", "preset": "testing"});
    let refused = harness.post("/v1/keys", &master, draft).await.expect(400).json();
    assert_eq!(refused["error"]["details"][0]["field"], "expires_at");
    let draft = json!({"name": "n", "preset": "testing", "expires_at": "2027-02-01T00:00:00Z"});
    harness.post("/v1/keys", &master, draft).await.expect(201);
    let off = json!({"max_key_lifetime_days": null, "keys_must_expire": false});
    let shown = harness.ask("PATCH", "/v1/account", &master, Some(off)).await.expect(200).json();
    assert_eq!((&shown["max_key_lifetime_days"], &shown["keys_must_expire"]), (&json!(null), &json!(false)));
}

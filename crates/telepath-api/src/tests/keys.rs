//! The life of a key through the API.

use serde_json::{Value, json};

use super::harness::{Harness, request};
use telepath_http::ConnectionMode;

async fn id_of(harness: &Harness, key: &str) -> String {
    harness.get("/v1/whoami", key).await.expect(200).json()["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_new_key_shows_its_secret_once_and_works() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    let made = harness
        .post("/v1/keys", &master, json!({"name": "CI", "preset": "custom", "scopes": ["calls:read"],
            "rate_limit_per_minute": 50, "allowed_ips": ["203.0.113.0/24"], "expires_at": "2027-01-20T00:00:00Z"}))
        .await
        .expect(201);
    let body = made.json();
    let secret = body["secret"].as_str().unwrap();
    assert_eq!(made.header("location"), format!("/v1/keys/{}", body["id"].as_str().unwrap()));
    let whoami = harness.get("/v1/whoami", secret).await.expect(200).json();
    assert_eq!(whoami["id"], body["id"]);
    assert_eq!(whoami["scopes"], json!(["calls:read"]));
    assert_eq!(whoami["rate_limit_per_minute"], 50);
    let shown = harness.get(&format!("/v1/keys/{}", body["id"].as_str().unwrap()), &master).await.expect(200);
    assert!(!String::from_utf8_lossy(&shown.body).contains(secret));
    let shown = shown.json();
    let members: Vec<_> = shown.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        members,
        [
            "id",
            "name",
            "description",
            "metadata",
            "paused_at",
            "trunk_ids",
            "quotas",
            "preset",
            "scopes",
            "rate_limit_per_minute",
            "allowed_ips",
            "expires_at",
            "not_before",
            "created_at",
            "created_by",
            "last_used_at",
            "last_used_ip",
            "request_count",
            "error_count",
            "status",
            "revoked_at",
            "revoked_by",
            "revoke_reason",
            "secrets"
        ]
        .iter()
        .copied()
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect::<Vec<_>>()
    );
    assert_eq!(shown["status"], "expiring");
    assert_eq!(shown["created_by"], id_of(&harness, &master).await);
    assert!(shown["secrets"][0]["masked"].as_str().unwrap().starts_with(&secret[..11]));
}

#[tokio::test]
async fn a_key_cannot_grant_scopes_that_it_lacks() {
    let harness = Harness::new().await;
    let clerk = harness.key(json!({"preset": "custom", "scopes": ["keys:write", "calls:read"]})).await;
    let strong = harness.master().await;
    let (clerk_id, strong_id) = (id_of(&harness, &clerk).await, id_of(&harness, &strong).await);
    let beyond = json!({"name": "n", "preset": "custom", "scopes": ["calls:write"]});
    assert_eq!(harness.post("/v1/keys", &clerk, beyond).await.expect(400).code(), "INVALID_PARAMS");
    let lift = json!({"scopes": ["keys:write", "trunks:write"]});
    harness.ask("PATCH", &format!("/v1/keys/{clerk_id}"), &clerk, Some(lift)).await.expect(400);
    let rename = Some(json!({"name": "Mine now"}));
    let refused = harness.ask("PATCH", &format!("/v1/keys/{strong_id}"), &clerk, rename).await.expect(403);
    assert_eq!(refused.code(), "INSUFFICIENT_SCOPE");
    harness.ask("POST", &format!("/v1/keys/{strong_id}/revoke"), &clerk, None).await.expect(403);
    harness.ask("DELETE", &format!("/v1/keys/{strong_id}"), &clerk, None).await.expect(403);
    harness.get("/v1/whoami", &strong).await.expect(200);
    let narrow = Some(json!({"scopes": ["keys:write"]}));
    harness.ask("PATCH", &format!("/v1/keys/{clerk_id}"), &clerk, narrow).await.expect(200);
    harness.get("/v1/calls", &clerk).await.expect(403);
}

#[tokio::test]
async fn a_key_cannot_grant_beyond_its_limit_networks_and_expiry() {
    let harness = Harness::new().await;
    let clerk = harness
        .key(json!({"preset": "custom", "scopes": ["keys:write"], "rate_limit_per_minute": 50,
            "allowed_ips": ["203.0.113.0/24"], "expires_at": "2027-01-16T00:00:00Z"}))
        .await;
    let within = json!({"name": "n", "preset": "custom", "scopes": ["keys:read"],
        "allowed_ips": ["203.0.113.7"], "expires_at": "2027-01-15T12:00:00Z"});
    let made = harness.post("/v1/keys", &clerk, within.clone()).await.expect(201).json();
    assert_eq!(
        made["rate_limit_per_minute"], 50,
        "a limit that is left out is never more than that of the calling key"
    );
    let path = format!("/v1/keys/{}", made["id"].as_str().unwrap());
    for (member, value) in [
        ("rate_limit_per_minute", json!(51)),
        ("allowed_ips", json!(["203.0.113.0/24", "198.51.100.0/24"])),
        ("allowed_ips", json!([])),
        ("expires_at", json!("2027-01-16T00:00:01Z")),
        ("expires_at", json!(null)),
    ] {
        let mut beyond = within.clone();
        beyond[member] = value.clone();
        let made = harness.post("/v1/keys", &clerk, beyond).await.expect(400).json();
        assert_eq!(made["error"]["details"][0]["field"], member, "{made}");
        let patched =
            harness.ask("PATCH", &path, &clerk, Some(json!({member: value}))).await.expect(400).json();
        assert_eq!(patched["error"]["details"][0]["field"], member, "{patched}");
    }
}

#[tokio::test]
async fn not_before_can_be_set_and_cleared() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    let key = harness.key(json!({"preset": "testing", "expires_at": "2027-01-16T00:00:00Z"})).await;
    let path = format!("/v1/keys/{}", id_of(&harness, &key).await);
    let patch = async |body: Value| harness.ask("PATCH", &path, &master, Some(body)).await;
    patch(json!({"not_before": "2027-01-15T08:00:30Z"})).await.expect(200);
    harness.get("/v1/calls", &key).await.expect(401);
    let refused = patch(json!({"not_before": "2027-01-16T00:00:00Z"})).await.expect(400);
    assert_eq!(refused.message(), "not_before must be before expires_at");
    harness.pass(30);
    harness.get("/v1/calls", &key).await.expect(200);
    assert_eq!(patch(json!({"not_before": null})).await.expect(200).json()["not_before"], json!(null));
}

#[tokio::test]
async fn a_change_takes_effect_before_its_response() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    let key = harness.key(json!({"preset": "testing"})).await;
    let path = format!("/v1/keys/{}", id_of(&harness, &key).await);
    let patch = async |body: Value| harness.ask("PATCH", &path, &master, Some(body)).await;
    let whoami = async || harness.get("/v1/whoami", &key).await.expect(200).json();
    assert_ne!(whoami().await["scopes"], json!(["calls:read"]));
    patch(json!({"scopes": ["calls:read"], "name": "Renamed"})).await.expect(200);
    assert_eq!(whoami().await["scopes"], json!(["calls:read"]));
    assert_eq!(whoami().await["name"], "Renamed");
    harness.get("/v1/trunks", &key).await.expect(403);
    patch(json!({"allowed_ips": ["198.51.100.1"]})).await.expect(200);
    harness.get("/v1/calls", &key).await.expect(403);
    patch(json!({"allowed_ips": []})).await.expect(200);
    patch(json!({"rate_limit_per_minute": 1})).await.expect(200);
    harness.get("/v1/calls", &key).await.expect(429);
    patch(json!({"rate_limit_per_minute": 600, "expires_at": "2027-01-15T08:00:30Z"})).await.expect(200);
    harness.get("/v1/calls", &key).await.expect(200);
    harness.pass(30);
    harness.get("/v1/calls", &key).await.expect(401);
    assert_eq!(patch(json!({"expires_at": null})).await.expect(200).json()["expires_at"], json!(null));
    harness.get("/v1/calls", &key).await.expect(200);
}

#[tokio::test]
async fn revocation_is_immediate_permanent_and_idempotent() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    let key = harness.key(json!({"preset": "testing"})).await;
    let path = format!("/v1/keys/{}", id_of(&harness, &key).await);
    let reason = json!({"reason": "left in a public repository"});
    let revoked = harness.post(&format!("{path}/revoke"), &master, reason).await.expect(200).json();
    assert_eq!(
        (&revoked["status"], &revoked["revoke_reason"]),
        (&json!("revoked"), &json!("left in a public repository"))
    );
    assert_eq!(revoked["revoked_by"], id_of(&harness, &master).await);
    harness.get("/v1/whoami", &key).await.expect(401);
    let again = harness.ask("POST", &format!("{path}/revoke"), &master, None).await.expect(200).json();
    assert_eq!(again["revoke_reason"], "left in a public repository");
    harness.ask("DELETE", &path, &master, None).await.expect(204);
    let patched = harness.ask("PATCH", &path, &master, Some(json!({"name": "n"}))).await.expect(400);
    assert_eq!(patched.code(), "INVALID_PARAMS");
    harness.get(&path, &master).await.expect(200);
}

#[tokio::test]
async fn deleting_revokes() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    let key = harness.key(json!({"preset": "testing"})).await;
    let path = format!("/v1/keys/{}", id_of(&harness, &key).await);
    let deleted = harness.ask("DELETE", &path, &master, None).await.expect(204);
    assert!(deleted.body.is_empty());
    harness.get("/v1/whoami", &key).await.expect(401);
    assert_eq!(harness.get(&path, &master).await.expect(200).json()["status"], "revoked");
}

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    for place in 0..3 {
        harness.key(json!({"preset": "monitoring", "name": format!("Monitor {place}")})).await;
    }
    harness.key(json!({"preset": "testing", "expires_at": "2027-02-15T08:00:00Z"})).await;
    let list =
        async |query: &str| harness.get(&format!("/v1/keys?{query}"), &master).await.expect(200).json();
    let all = list("").await;
    assert_eq!(all["pagination"], json!({"limit": 20, "offset": 0, "total": 5, "next_cursor": null}));
    let monitors = list("preset=monitoring&limit=2&offset=2").await;
    assert_eq!(monitors["pagination"], json!({"limit": 2, "offset": 2, "total": 3, "next_cursor": null}));
    assert_eq!(monitors["keys"].as_array().unwrap().len(), 1);
    assert_eq!(list("expires_before=2027-03-01T00:00:00Z").await["pagination"]["total"], 1);
    assert_eq!(list("status=revoked").await["pagination"]["total"], 0);
    harness.pass(86_400 * 3);
    harness.get("/v1/whoami", &master).await.expect(200);
    harness.pass(1);
    assert_eq!(list("idle_days=2").await["pagination"]["total"], 4, "the one that asks was just used");
}

#[tokio::test]
async fn local_administration_may_create_any_key() {
    let harness = Harness::new().await;
    let mut ask = request("POST", "/v1/keys", "");
    ask.headers_mut().insert("content-type", "application/json".parse().unwrap());
    *ask.body_mut() =
        json!({"name": "First", "preset": "custom", "scopes": ["keys:write"]}).to_string().into();
    let made = harness.send_from(ask, ConnectionMode::Unix { uid: Some(501) }).await.expect(201).json();
    assert_eq!(made["created_by"], "local:501");
    harness.get("/v1/keys", made["secret"].as_str().unwrap()).await.expect(200);
}

#[tokio::test]
async fn unknown_and_malformed_ids_are_not_found() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    for id in ["key_x", "key_00000000000000000000000000", "conn_00000000000000000000000000", "%FF", "a%2Fb"] {
        let answer = harness.get(&format!("/v1/keys/{id}"), &master).await.expect(404);
        assert_eq!(answer.code(), "KEY_NOT_FOUND", "{id}");
    }
    assert_eq!(harness.get("/v1/keys/key_x", &master).await.message(), "Key 'key_x' not found");
    let patch = Some(json!({"name": "n"}));
    let missing = "/v1/keys/key_00000000000000000000000000";
    assert_eq!(harness.ask("PATCH", missing, &master, patch).await.expect(404).code(), "KEY_NOT_FOUND");
    assert_eq!(harness.ask("DELETE", missing, &master, None).await.expect(404).code(), "KEY_NOT_FOUND");
}

#[tokio::test]
async fn revoking_every_key_shown_while_paging_by_cursor_leaves_none_alive() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    for place in 0..30 {
        harness.key(json!({"preset": "monitoring", "name": format!("Monitor {place}")})).await;
    }
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/keys?preset=monitoring&status=active&limit=10{cursor}");
        let page = harness.get(&path, &master).await.expect(200).json();
        assert_eq!(
            page["pagination"].get("total").is_some(),
            cursor.is_empty(),
            "only the first page counts"
        );
        for key in page["keys"].as_array().unwrap() {
            let path = format!("/v1/keys/{}/revoke", key["id"].as_str().unwrap());
            harness.ask("POST", &path, &master, None).await.expect(200);
        }
        match page["pagination"]["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let alive = harness.get("/v1/keys?preset=monitoring&status=active", &master).await.expect(200).json();
    assert_eq!(alive["pagination"]["total"], 0);
    let foreign = harness.get("/v1/keys?cursor=key_x", &master).await.expect(400);
    assert_eq!(foreign.message(), "cursor must be the next_cursor of an earlier page");
}

#[tokio::test]
async fn a_key_is_scheduled_until_its_not_before() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    let key = harness.key(json!({"preset": "testing", "not_before": "2027-01-15T08:01:00Z"})).await;
    let scheduled = async || {
        let list = harness.get("/v1/keys?status=scheduled", &master).await.expect(200).json();
        list["keys"].as_array().unwrap().len()
    };
    harness.get("/v1/whoami", &key).await.expect(401);
    assert_eq!(scheduled().await, 1);
    harness.pass(60);
    harness.get("/v1/whoami", &key).await.expect(200);
    assert_eq!(scheduled().await, 0);
}

#[tokio::test]
async fn bounds_of_a_key_are_refused_with_their_reason() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    for (member, value, message) in [
        (
            "expires_at",
            json!("9999-12-31T23:59:59Z"),
            "must be between -9999-01-02T01:59:59Z and 9999-12-30T22:00:00Z",
        ),
        (
            "rate_limit_per_minute",
            json!(60_001),
            "must be 1 to 60000 requests per minute, the maximum of the account",
        ),
        ("rate_limit_per_minute", json!(5_000_000_000_u64), "must be a whole number from 0 to 4294967295"),
        ("rate_limit_per_minute", json!(600.5), "must be a whole number that is not negative"),
        ("name", json!(" \u{3000}"), "must not be blank"),
        (
            "name",
            json!("nimda\u{202e}"),
            "must not hold invisible characters or characters that change the direction of text",
        ),
    ] {
        let mut body = json!({"name": "n", "preset": "testing"});
        body[member] = value;
        let refused = harness.post("/v1/keys", &master, body).await.expect(400).json();
        assert_eq!(refused["error"]["details"], json!([{"field": member, "message": message}]));
    }
    let body = json!({"name": "n", "preset": "testing", "rate_limit_per_minute": 60.0,
        "allowed_ips": ["::ffff:203.0.113.7"]});
    let made = harness.post("/v1/keys", &master, body).await.expect(201).json();
    assert_eq!(
        (&made["rate_limit_per_minute"], &made["allowed_ips"]),
        (&json!(60), &json!(["203.0.113.7/32"]))
    );
    harness.get("/v1/whoami", made["secret"].as_str().unwrap()).await.expect(200);
}

#[tokio::test]
async fn account_policies_are_changed_by_account_write_and_never_by_keys_write() {
    let harness = Harness::new().await;
    let scoped = async |scope: &str| harness.key(json!({"preset": "custom", "scopes": [scope]})).await;
    let body = json!({"revoke_keys_seen_in_clear": true});
    for scope in ["keys:write", "account:read"] {
        let key = scoped(scope).await;
        let refused = harness.ask("PATCH", "/v1/account", &key, Some(body.clone())).await.expect(403);
        assert_eq!(refused.json()["error"]["required_scope"], "account:write");
    }
    let key = scoped("account:write").await;
    let changed = harness.ask("PATCH", "/v1/account", &key, Some(body)).await.expect(200).json();
    assert_eq!(changed["revoke_keys_seen_in_clear"], true);
    for member in ["mode", "max_rate_limit_per_minute"] {
        let body = json!({ member: if member == "mode" { json!("test") } else { json!(1) } });
        harness.ask("PATCH", "/v1/account", &key, Some(body)).await.expect(400);
    }
}

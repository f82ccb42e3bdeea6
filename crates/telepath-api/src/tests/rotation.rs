//! Rotation through the API: new secrets, grace, and what is refused.

use serde_json::{Value, json};

use super::harness::Harness;

const MISSING: &str = "sec_00000000000000000000000000";

async fn path_of(harness: &Harness, key: &str) -> String {
    let me = harness.get("/v1/whoami", key).await.expect(200).json();
    format!("/v1/keys/{}", me["id"].as_str().unwrap())
}

fn statuses(key: &Value) -> Vec<&str> {
    key["secrets"].as_array().unwrap().iter().map(|secret| secret["status"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn both_secrets_of_a_rotated_key_work_until_the_grace_ends() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    let old = harness.key(json!({"preset": "testing"})).await;
    let path = path_of(&harness, &old).await;
    let made =
        harness.post(&format!("{path}/rotate"), &master, json!({"grace_seconds": 60})).await.expect(200);
    let body = made.json();
    let new = body["secret"].as_str().unwrap().to_owned();
    assert_eq!(statuses(&body), ["current", "grace"]);
    assert_eq!(body["secrets"][1]["expires_at"], "2027-01-15T08:01:00.000Z");
    let (one, other) = (harness.get("/v1/whoami", &old).await, harness.get("/v1/whoami", &new).await);
    assert_eq!(one.json()["id"], other.json()["id"]);
    let remaining = |header: &str| header.parse::<u32>().unwrap();
    assert_eq!(
        remaining(one.header("x-ratelimit-remaining")),
        remaining(other.header("x-ratelimit-remaining")) + 1,
        "both share one window"
    );
    harness.pass(59);
    harness.get("/v1/whoami", &old).await.expect(200);
    let shown = harness.get(&path, &master).await.expect(200);
    assert!(!String::from_utf8_lossy(&shown.body).contains(&new), "a secret is shown once");
    assert_eq!(shown.json()["secrets"][1]["last_used_at"], "2027-01-15T08:00:59.000Z");
    harness.pass(1);
    harness.get("/v1/whoami", &old).await.expect(401);
    harness.get("/v1/whoami", &new).await.expect(200);
}

#[tokio::test]
async fn grace_seconds_defaults_to_a_day_and_is_validated() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    let path = path_of(&harness, &harness.key(json!({"preset": "testing"})).await).await;
    let rotate = format!("{path}/rotate");
    let made = harness.ask("POST", &rotate, &master, None).await.expect(200).json();
    assert_eq!(made["secrets"][1]["expires_at"], "2027-01-16T08:00:00.000Z");
    for bad in [json!({"grace_seconds": 604_801}), json!({"grace_seconds": -1}), json!({"grace": 1})] {
        let refused = harness.post(&rotate, &master, bad).await.expect(400);
        assert_eq!(refused.code(), "INVALID_PARAMS");
    }
    let bad =
        harness.post("/v1/keys/rotate-all", &master, json!({"grace_seconds": 604_801})).await.expect(400);
    assert_eq!(bad.message(), "grace_seconds must be from 0 to 604800");
    let missing = "/v1/keys/key_00000000000000000000000000/rotate";
    assert_eq!(harness.ask("POST", missing, &master, None).await.expect(404).code(), "KEY_NOT_FOUND");
}

#[tokio::test]
async fn an_old_secret_can_be_revoked_and_the_newest_cannot() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    let old = harness.key(json!({"preset": "testing"})).await;
    let path = path_of(&harness, &old).await;
    let made = harness.ask("POST", &format!("{path}/rotate"), &master, None).await.expect(200).json();
    let end = |secret: &Value| format!("{path}/secrets/{}/revoke", secret["id"].as_str().unwrap());
    let refused = harness.ask("POST", &end(&made["secrets"][0]), &master, None).await.expect(409);
    assert_eq!(refused.code(), "SECRET_IS_CURRENT");
    assert!(refused.message().contains("rotate the key") && refused.message().contains("revoke the key"));
    for _ in 0..2 {
        let ended = harness.ask("POST", &end(&made["secrets"][1]), &master, None).await.expect(200).json();
        assert_eq!(statuses(&ended), ["current", "ended"]);
    }
    harness.get("/v1/whoami", &old).await.expect(401);
    harness.get("/v1/whoami", made["secret"].as_str().unwrap()).await.expect(200);
    for id in [MISSING, "sec_x"] {
        let missing = harness.ask("POST", &format!("{path}/secrets/{id}/revoke"), &master, None).await;
        assert_eq!(missing.expect(404).code(), "SECRET_NOT_FOUND");
    }
    let missing =
        harness.ask("POST", &format!("/v1/keys/key_x/secrets/{MISSING}/revoke"), &master, None).await;
    assert_eq!(missing.expect(404).code(), "KEY_NOT_FOUND");
}

#[tokio::test]
async fn a_key_has_at_most_five_valid_secrets() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    let rotate =
        format!("{}/rotate", path_of(&harness, &harness.key(json!({"preset": "testing"})).await).await);
    for _ in 0..4 {
        harness.ask("POST", &rotate, &master, None).await.expect(200);
    }
    assert_eq!(harness.ask("POST", &rotate, &master, None).await.expect(409).code(), "TOO_MANY_SECRETS");
    let all = harness.ask("POST", "/v1/keys/rotate-all", &master, None).await.expect(409);
    assert_eq!(all.code(), "TOO_MANY_SECRETS");
    let id = rotate.split('/').nth(3).unwrap();
    assert!(all.message().contains(id), "{}", all.message());
    harness.post(&rotate, &master, json!({"grace_seconds": 0})).await.expect(200);
}

#[tokio::test]
async fn revoked_and_expired_keys_are_not_rotated() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    let gone = path_of(&harness, &harness.key(json!({"preset": "testing"})).await).await;
    let over = harness.key(json!({"preset": "testing", "expires_at": "2027-01-15T08:00:05Z"})).await;
    let over = path_of(&harness, &over).await;
    harness.ask("DELETE", &gone, &master, None).await.expect(204);
    harness.pass(5);
    for (path, word) in [(gone, "revoked"), (over, "expired")] {
        let refused = harness.ask("POST", &format!("{path}/rotate"), &master, None).await.expect(400);
        assert!(refused.message().contains(word), "{}", refused.message());
    }
}

#[tokio::test]
async fn rotate_all_includes_the_callers_key() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    let other = harness.key(json!({"preset": "testing"})).await;
    let body = json!({"grace_seconds": 0});
    let all = harness.post("/v1/keys/rotate-all", &master, body.clone()).await.expect(200).json();
    assert_eq!((&all["grace_seconds"], &all["rotated_at"]), (&json!(0), &json!("2027-01-15T08:00:00.000Z")));
    let keys = all["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 2);
    for dead in [&master, &other] {
        harness.get("/v1/whoami", dead).await.expect(401);
    }
    for key in keys {
        let me = harness.get("/v1/whoami", key["secret"].as_str().unwrap()).await.expect(200).json();
        assert_eq!(me["id"], key["id"]);
    }
    let clerk = harness.key(json!({"preset": "custom", "scopes": ["keys:write"]})).await;
    let refused = harness.post("/v1/keys/rotate-all", &clerk, body).await.expect(403);
    assert_eq!(refused.code(), "INSUFFICIENT_SCOPE");
    for key in keys {
        assert!(refused.message().contains(key["id"].as_str().unwrap()), "{}", refused.message());
        harness.get("/v1/whoami", key["secret"].as_str().unwrap()).await.expect(200);
    }
}

#[tokio::test]
async fn rotate_all_leaves_out_keys_whose_secret_is_newer_than_asked() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    harness.pass(5);
    let fresh = harness.key(json!({"preset": "testing"})).await;
    let body = json!({"grace_seconds": 0, "secrets_before": "2027-01-15T08:00:03Z"});
    let all = harness.post("/v1/keys/rotate-all", &master, body).await.expect(200).json();
    let [key] = all["keys"].as_array().unwrap().as_slice() else { panic!("{all}") };
    harness.get("/v1/whoami", &master).await.expect(401);
    harness.get("/v1/whoami", &fresh).await.expect(200);
    let secret = key["secret"].as_str().unwrap();
    let none = json!({"secrets_before": "2027-01-15T08:00:00Z"});
    let all = harness.post("/v1/keys/rotate-all", secret, none).await.expect(200).json();
    assert_eq!(all["keys"], json!([]));
    let wrong = json!({"secrets_before": "yesterday"});
    let refused = harness.post("/v1/keys/rotate-all", secret, wrong).await.expect(400);
    assert!(refused.message().starts_with("secrets_before"), "{}", refused.message());
}

#[tokio::test]
async fn rotate_all_is_refused_if_a_key_has_more_rights_than_the_caller() {
    let harness = Harness::new().await;
    let clerk = harness.key(json!({"preset": "custom", "scopes": ["keys:write", "calls:read"]})).await;
    let strong = path_of(&harness, &harness.master().await).await;
    let refused = harness.ask("POST", &format!("{strong}/rotate"), &clerk, None).await.expect(403);
    assert_eq!(refused.code(), "INSUFFICIENT_SCOPE");
    let own = path_of(&harness, &clerk).await;
    harness.ask("POST", &format!("{own}/rotate"), &clerk, None).await.expect(200);
}

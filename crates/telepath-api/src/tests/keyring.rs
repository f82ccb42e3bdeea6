//! The routes of the master keys. What a rotation does is tested in the store.

use serde_json::json;

use super::harness::Harness;
use super::isolation::administer;

#[tokio::test]
async fn the_master_keys_are_shown_without_secrets() {
    let harness = Harness::new().await;
    harness.trunk(&harness.master().await, "support-01").await;
    let shown = administer(&harness, "GET", "/local/keyring", "", None).await.expect(200).json();
    let id = harness.store.vault().sealing_key_id().to_string();
    let kinds =
        ["agent_credentials", "sip_passwords", "webhook_secrets", "webhook_headers", "authenticators"];
    assert_eq!(shown["left"], json!(kinds.map(|kind| json!({"kind": kind, "secrets": 0}))));
    assert_eq!((&shown["keys"][0]["id"], &shown["keys"][0]["active"]), (&json!(id), &json!(true)));
    assert!(shown["keys"][0]["sealed"].as_u64() > Some(0), "{shown}");
    assert_eq!((&shown["resealing"], &shown["servers"]), (&json!(false), &json!([])));
}

#[tokio::test]
async fn a_change_of_the_master_keys_that_is_not_possible_is_refused_with_its_reason() {
    let harness = Harness::new().await;
    for (path, body, reason) in [
        ("keys", None, "come from TELEPATH_MASTER_KEY"),
        ("rotate", None, "come from TELEPATH_MASTER_KEY"),
        ("rotate", Some(json!({"key": "0123456789abcdef"})), "not loaded the master key 0123456789abcdef"),
        ("prune", None, "come from TELEPATH_MASTER_KEY"),
    ] {
        let path = format!("/local/keyring/{path}");
        let refused = administer(&harness, "POST", &path, "", body).await.expect(409);
        assert_eq!(refused.code(), "KEYRING_CONFLICT", "{path}");
        assert!(refused.message().contains(reason), "{path}: {}", refused.message());
    }
    let active = json!({"key": harness.store.vault().sealing_key_id().to_string()});
    let unchanged = administer(&harness, "POST", "/local/keyring/rotate", "", Some(active)).await;
    assert_eq!(unchanged.expect(200).json()["keyring"]["resealing"], false);
    for wrong in ["", "0123", "g123456789abcdef"] {
        let body = Some(json!({"key": wrong}));
        let refused = administer(&harness, "POST", "/local/keyring/rotate", "", body).await.expect(400);
        assert_eq!(refused.code(), "INVALID_PARAMS", "{wrong}");
    }
}

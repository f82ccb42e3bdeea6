//! The life of a trunk through the API.

use serde_json::json;
use telepath_core::call::DisconnectReason;

use super::harness::{Harness, custom_trunk};

#[tokio::test]
async fn a_generated_password_is_returned_once_and_a_chosen_one_never() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    let made = harness.post("/v1/trunks", &key, custom_trunk("support-01")).await.expect(201);
    let body = made.json();
    let path = format!("/v1/trunks/{}", body["id"].as_str().unwrap());
    assert_eq!(made.header("location"), path);
    assert_eq!(body["sip_endpoint"], "sip:support-01@sip.example.com");
    assert_eq!(body["status"], "active");
    assert_eq!(body["sip_password"].as_str().unwrap().len(), 24);
    assert_eq!(body["metrics"], json!({"calls_today": 0, "success_rate": null, "avg_latency_ms": null}));
    let shown = harness.get(&path, &key).await.expect(200).json();
    assert_eq!(shown.get("sip_password"), None);
    assert_eq!(shown["custom_endpoint"], "wss://agent.example/voice");
    let mut chosen = custom_trunk("support-02");
    chosen["sip_password"] = json!("correct horse");
    let made = harness.post("/v1/trunks", &key, chosen).await.expect(201).json();
    assert_eq!(made.get("sip_password"), None);
}

#[tokio::test]
async fn credentials_are_never_returned() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    let openai = json!({"name": "n", "ai_provider": "openai", "sip_username": "abc",
        "openai_api_key": "sk-provider-secret-9876"});
    let made = harness.post("/v1/trunks", &key, openai).await.expect(201);
    assert!(!String::from_utf8_lossy(&made.body).contains("provider-secret"));
    let credential = &made.json()["openai_api_key"];
    assert_eq!((&credential["set"], &credential["last4"]), (&json!(true), &json!("9876")));
    assert_eq!(credential["updated_at"], "2027-01-15T08:00:00.000Z");
    assert_eq!(made.json()["custom_headers"], json!(null));
}

#[tokio::test]
async fn missing_members_are_named_in_the_message() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    let answer = harness
        .post("/v1/trunks", &key, json!({"name": "n", "ai_provider": "openai", "sip_username": "abc"}))
        .await
        .expect(400);
    assert_eq!(answer.code(), "MISSING_REQUIRED");
    assert_eq!(answer.message(), "Missing required field: openai_api_key");
    assert_eq!(answer.json()["error"]["details"][0]["field"], "openai_api_key");
}

#[tokio::test]
async fn an_update_changes_only_present_members() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    let mut draft = custom_trunk("support-01");
    draft["greeting"] = json!("Hello.");
    draft["model"] = json!("small");
    let made = harness.post("/v1/trunks", &key, draft).await.expect(201).json();
    let path = format!("/v1/trunks/{}", made["id"].as_str().unwrap());
    harness.pass(5);
    let patch = json!({"greeting": null, "max_concurrent_calls": 3, "custom_headers": {"X-Token": "abcdefghijklmnop"}});
    let changed = harness.ask("PATCH", &path, &key, Some(patch)).await.expect(200).json();
    assert_eq!((&changed["greeting"], &changed["model"]), (&json!(null), &json!("small")));
    assert_eq!(changed["max_concurrent_calls"], 3);
    assert_eq!(changed["custom_headers"]["set"], true);
    assert_eq!(changed["updated_at"], "2027-01-15T08:00:05.000Z");
    assert_eq!(changed["created_at"], made["created_at"]);
    harness.ask("PATCH", &path, &key, Some(json!({"openai_api_key": "sk-12345678"}))).await.expect(400);
    harness.ask("PATCH", &path, &key, Some(json!({"status": "error"}))).await.expect(400);
}

#[tokio::test]
async fn deactivating_keeps_live_calls_and_deleting_ends_them() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    let trunk = harness.trunk(&key, "support-01").await;
    let call = harness.call(trunk, "+15550100123").await;
    let path = format!("/v1/trunks/{trunk}");
    let off = harness.ask("PATCH", &path, &key, Some(json!({"status": "inactive"}))).await.expect(200).json();
    assert_eq!(off["status"], "inactive");
    assert!(harness.media.asked.lock().unwrap().is_empty());
    harness.ask("DELETE", &path, &key, None).await.expect(204);
    assert_eq!(*harness.media.asked.lock().unwrap(), [(trunk.to_string(), DisconnectReason::TrunkDeleted)]);
    assert_eq!(harness.get(&path, &key).await.expect(404).message(), format!("Trunk '{trunk}' not found"));
    harness.ask("DELETE", &path, &key, None).await.expect(404);
    assert_eq!(harness.media.asked.lock().unwrap().len(), 1, "what was not deleted ends no calls");
    harness.get(&format!("/v1/calls/{call}"), &key).await.expect(200);
}

#[tokio::test]
async fn a_password_is_rotated_by_both_paths() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    let trunk = harness.trunk(&key, "support-01").await;
    let mut seen = Vec::new();
    for name in ["rotate-sip-password", "rotate-password"] {
        let path = format!("/v1/trunks/{trunk}/{name}");
        let body = harness.ask("POST", &path, &key, None).await.expect(200).json();
        let members: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(members, ["id", "rotated_at", "sip_password", "sip_username"]);
        assert_eq!((&body["id"], &body["sip_username"]), (&json!(trunk), &json!("support-01")));
        seen.push(body["sip_password"].clone());
    }
    assert_ne!(seen[0], seen[1]);
    let path = format!("/v1/trunks/{trunk}/rotate-sip-password");
    harness.post(&path, &key, json!({"sip_password": "mine, please"})).await.expect(400);
    harness.post(&path, &key, json!({})).await.expect(200);
}

#[tokio::test]
async fn lists_are_filtered_sorted_and_paged() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    for name in ["aaa", "bbb", "ccc"] {
        harness.trunk(&key, name).await;
        harness.pass(1);
    }
    let names = async |query: &str| {
        let body = harness.get(&format!("/v1/trunks?{query}"), &key).await.expect(200).json();
        let trunks = body["trunks"].as_array().unwrap();
        trunks.iter().map(|trunk| trunk["sip_username"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("").await, ["ccc", "bbb", "aaa"]);
    assert_eq!(names("sort=created_at&limit=2").await, ["aaa", "bbb"]);
    assert_eq!(names("sort=-created_at&limit=1&offset=1").await, ["bbb"]);
    assert!(names("status=inactive").await.is_empty());
}

#[tokio::test]
async fn an_agent_url_of_a_non_public_address_is_refused_when_it_is_saved() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    let made = harness.post("/v1/trunks", &key, custom_trunk("support-01")).await.expect(201).json();
    let path = format!("/v1/trunks/{}", made["id"].as_str().unwrap());
    for url in [
        "wss://169.254.169.254/",
        "wss://10.0.0.1/voice",
        "wss://[::1]/",
        "wss://[::ffff:127.0.0.1]:8443/",
        "wss://localhost/",
        "wss://2130706433/",
        "wss://0x7f.1/",
        "ws://127.0.0.1:9000/",
        "ws://localhost:9000/",
    ] {
        let mut new = custom_trunk("support-02");
        new["custom_endpoint"] = json!(url);
        let refused = harness.post("/v1/trunks", &key, new).await.expect(400);
        assert_eq!(refused.json()["error"]["details"][0]["field"], "custom_endpoint", "{url}");
        let refused =
            harness.ask("PATCH", &path, &key, Some(json!({"custom_endpoint": url}))).await.expect(400);
        assert_eq!(refused.json()["error"]["details"][0]["field"], "custom_endpoint", "{url}");
    }
    let opened = Harness::with(600, |options| {
        options.api.egress = telepath_egress::Egress::new("10.0.0.0/8,127.0.0.1:9000".parse().unwrap());
    })
    .await;
    let key = opened.master().await;
    for (number, url) in
        ["wss://10.0.0.1/voice", "ws://127.0.0.1:9000/", "wss://127.0.0.1:9000/"].iter().enumerate()
    {
        let mut new = custom_trunk(&format!("support-{number}"));
        new["custom_endpoint"] = json!(url);
        opened.post("/v1/trunks", &key, new).await.expect(201);
    }
}

#[tokio::test]
async fn an_agent_at_another_origin_needs_the_custom_headers_again() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    let mut new = custom_trunk("support-01");
    new["custom_headers"] = json!({"Authorization": "Bearer secret"});
    let made = harness.post("/v1/trunks", &key, new).await.expect(201).json();
    let path = format!("/v1/trunks/{}", made["id"].as_str().unwrap());
    let patch = async |body| harness.ask("PATCH", &path, &key, Some(body)).await;
    let refused = patch(json!({"custom_endpoint": "wss://attacker.example/voice"})).await.expect(400);
    assert_eq!(refused.json()["error"]["details"][0]["field"], "custom_headers");
    let shown = harness.get(&path, &key).await.expect(200).json();
    assert_eq!(shown["custom_endpoint"], "wss://agent.example/voice");
    patch(json!({"custom_endpoint": "wss://agent.example/v2"})).await.expect(200);
    let headers = json!({"Authorization": "Bearer other"});
    let moved = json!({"custom_endpoint": "wss://other.example/", "custom_headers": headers});
    patch(moved).await.expect(200);
    patch(json!({"custom_endpoint": "wss://third.example/", "custom_headers": null})).await.expect(200);
    patch(json!({"custom_endpoint": "wss://fourth.example/"})).await.expect(200);
}

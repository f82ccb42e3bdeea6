//! What a key may subscribe an endpoint to, and what it may see of the deliveries.

use serde_json::{Value, json};

use super::harness::{Answer, Harness};

const URL: &str = "https://hooks.example/";

async fn create(harness: &Harness, key: &str, events: &[&str]) -> Answer {
    harness.post("/v1/webhooks", key, json!({"url": URL, "events": events})).await
}

async fn key_with(harness: &Harness, scopes: &[&str]) -> String {
    harness.key(json!({"preset": "custom", "scopes": scopes})).await
}

fn assert_missing(refused: &Answer, scope: &str) {
    assert_eq!(refused.code(), "INSUFFICIENT_SCOPE");
    assert_eq!(refused.json()["error"]["required_scope"], scope);
}

fn path(webhook: &Value) -> String {
    format!("/v1/webhooks/{}", webhook["id"].as_str().unwrap())
}

#[tokio::test]
async fn subscribing_needs_the_read_scope_of_each_event_family() {
    let harness = Harness::new().await;
    let calls = key_with(&harness, &["webhooks:write", "calls:read"]).await;
    for events in [&["call.ended"][..], &["call.*", "agent.*"], &["webhook.disabled"]] {
        create(&harness, &calls, events).await.expect(201);
    }
    for events in [&["key.created"][..], &["key.*"], &["call.*", "key.alert"], &["*"]] {
        assert_missing(&create(&harness, &calls, events).await.expect(403), "keys:read");
    }
    let all = harness.post("/v1/webhooks", &calls, json!({"url": URL})).await.expect(403);
    assert_missing(&all, "keys:read");
    let only = key_with(&harness, &["webhooks:write"]).await;
    assert_missing(&create(&harness, &only, &["agent.connected"]).await.expect(403), "calls:read");
    create(&harness, &harness.master().await, &["*"]).await.expect(201);
}

#[tokio::test]
async fn an_endpoint_cannot_be_redirected_without_the_read_scopes_of_its_events() {
    let harness = Harness::new().await;
    let hook = create(&harness, &harness.master().await, &["key.*"]).await.expect(201).json();
    let only = key_with(&harness, &["webhooks:write", "calls:read"]).await;
    let patch = async |body| harness.ask("PATCH", &path(&hook), &only, Some(body)).await;
    for body in [
        json!({"url": "https://attacker.example/"}),
        json!({"events": ["key.created"]}),
        json!({"events": ["*"]}),
        json!({"trunk_ids": []}),
        json!({"url": URL}),
    ] {
        assert_missing(&patch(body).await.expect(403), "keys:read");
    }
    patch(json!({"description": "mine", "max_in_flight": 3})).await.expect(200);
    patch(json!({"url": "https://other.example/", "events": ["call.*"]})).await.expect(200);
}

#[tokio::test]
async fn an_event_in_a_delivery_needs_its_read_scope() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    let hook = create(&harness, &master, &["key.created"]).await.expect(201).json();
    let reader = key_with(&harness, &["webhooks:read"]).await;
    let list = harness.get(&format!("{}/deliveries", path(&hook)), &reader).await.expect(200).json();
    let delivery = format!("/v1/deliveries/{}", list["deliveries"][0]["id"].as_str().unwrap());
    assert_missing(&harness.get(&delivery, &reader).await.expect(403), "keys:read");
    harness.get(&delivery, &master).await.expect(200);
}

#[tokio::test]
async fn event_patterns_are_shown_as_they_were_given() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    let hook = create(&harness, &key, &["call.*", "key.revoked"]).await.expect(201).json();
    assert_eq!(hook["events"], json!(["call.*", "key.revoked"]));
    for wrong in ["call*", "*.ended", "calls.*", ".*", "call.", "CALL.*"] {
        let refused = create(&harness, &key, &[wrong]).await.expect(400);
        assert_eq!(refused.json()["error"]["details"][0]["field"], "events[0]", "{wrong}");
    }
    create(&harness, &key, &["*", "call.*"]).await.expect(400);
}

#[tokio::test]
async fn header_values_are_never_returned_and_do_not_move_to_another_origin() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    let draft = json!({"url": URL, "headers": {"Authorization": "Bearer hush-hush"}});
    let made = harness.post("/v1/webhooks", &key, draft).await.expect(201);
    let hook = made.json();
    assert_eq!((&hook["headers"]["set"], &hook["headers"]["last4"]), (&json!(true), &Value::Null));
    let audit = harness.get("/v1/audit-events", &key).await.expect(200);
    for answer in [&made, &harness.get(&path(&hook), &key).await.expect(200), &audit] {
        assert!(!String::from_utf8_lossy(&answer.body).contains("hush"));
    }
    let patch = async |body| harness.ask("PATCH", &path(&hook), &key, Some(body)).await;
    for url in ["https://attacker.example/", "https://hooks.example:8443/"] {
        let refused = patch(json!({"url": url})).await.expect(400);
        assert_eq!(refused.json()["error"]["details"][0]["field"], "headers", "{url}");
    }
    patch(json!({"url": "https://HOOKS.example:443/v2"})).await.expect(200);
    patch(json!({"url": "https://b.example/", "headers": {"x-b": "1"}})).await.expect(200);
    let none = patch(json!({"url": "https://c.example/", "headers": null})).await.expect(200).json();
    assert_eq!(none["headers"], Value::Null);
    patch(json!({"url": "https://d.example/"})).await.expect(200);
    let refused = patch(json!({"headers": {"webhook-id": "evt_1"}})).await.expect(400);
    assert_eq!(refused.json()["error"]["details"][0]["field"], "headers.webhook-id");
}

#[tokio::test]
async fn certificate_authorities_are_checked_when_they_are_saved() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    let own = rcgen::generate_simple_self_signed(vec!["hooks.example".to_owned()]).unwrap();
    let pem = own.cert.pem();
    let draft = json!({"url": URL, "ca_pem": pem});
    let hook = harness.post("/v1/webhooks", &key, draft).await.expect(201).json();
    assert_eq!(hook["ca_pem"], pem.as_str());
    let key_pem = own.signing_key.serialize_pem();
    let broken = pem.replace("MII", "AAA");
    for wrong in ["", "no certificate", &broken, &key_pem, &format!("{pem}{key_pem}"), &pem.repeat(11)] {
        let body = Some(json!({"ca_pem": wrong}));
        let refused = harness.ask("PATCH", &path(&hook), &key, body).await.expect(400);
        assert_eq!(refused.json()["error"]["details"][0]["field"], "ca_pem", "{wrong}");
    }
    let system = harness.ask("PATCH", &path(&hook), &key, Some(json!({"ca_pem": null}))).await.expect(200);
    assert_eq!(system.json()["ca_pem"], Value::Null);
}

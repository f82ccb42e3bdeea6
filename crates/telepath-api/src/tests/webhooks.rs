//! The life of a webhook endpoint and its deliveries through the API.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use telepath_core::webhook::delivery::{ErrorClass, Jitter, Outcome};
use telepath_egress::{Egress, Resolve, ResolveFuture};
use telepath_store::{DeliveryQuota, Lease};

use super::harness::{Harness, custom_trunk};

/// Knows a few names, some of which lead where they should not.
struct Names;

impl Resolve for Names {
    fn resolve<'a>(&'a self, host: &'a str) -> ResolveFuture<'a> {
        Box::pin(async move {
            let address = match host {
                "hooks.example" => "93.184.215.14",
                "inside.example" => "10.1.2.3",
                "rebound.example" => "127.0.0.1",
                other => other,
            };
            address.parse::<IpAddr>().map(|found| vec![found]).map_err(|_| io::ErrorKind::NotFound.into())
        })
    }
}

pub(super) async fn harness() -> Harness {
    house_reaching("").await
}

async fn house_reaching(allow: &str) -> Harness {
    Harness::with(600, |options| {
        options.api.egress = Egress::with_resolver(allow.parse().unwrap(), Arc::new(Names));
    })
    .await
}

pub(super) async fn make(harness: &Harness, key: &str, draft: Value) -> Value {
    harness.post("/v1/webhooks", key, draft).await.expect(201).json()
}

fn path(webhook: &Value) -> String {
    format!("/v1/webhooks/{}", webhook["id"].as_str().unwrap())
}

/// Sends what is due to an endpoint, as the sender would, with this result.
pub(super) async fn send(harness: &Harness, webhook: &Value, error: Option<ErrorClass>) -> usize {
    let webhook = webhook["id"].as_str().unwrap().parse().unwrap();
    let quota = DeliveryQuota { webhook, deliveries: 100, running: vec![] };
    let ends = harness.now().plus(Duration::from_mins(1));
    let claimed = harness.store.claim_deliveries(vec![quota], &Lease::new("test", 1), ends).await.unwrap();
    for delivery in &claimed {
        let status = Some(if error.is_none() { 200 } else { 500 });
        let response_body = b"said <b>no</b>\xff".to_vec();
        let outcome =
            Outcome { status, error, retry_after: None, duration: Duration::from_millis(7), response_body };
        harness.store.finish_attempt(delivery, outcome, Jitter(0)).await.unwrap();
    }
    claimed.len()
}

#[tokio::test]
async fn a_webhook_secret_is_returned_only_at_creation_and_rotation() {
    let harness = harness().await;
    let key = harness.master().await;
    let draft = json!({"url": "https://hooks.example/a", "events": ["call.ended"], "description": "Billing"});
    let answer = harness.post("/v1/webhooks", &key, draft).await.expect(201);
    let made = answer.json();
    let secret = made["secret"].as_str().unwrap();
    assert!(secret.starts_with("whsec_"));
    assert_eq!(answer.header("location"), path(&made));
    for shown in [
        harness.get(&path(&made), &key).await.expect(200),
        harness.get("/v1/webhooks", &key).await.expect(200),
    ] {
        assert!(!String::from_utf8_lossy(&shown.body).contains(secret));
    }
    let shown = harness.get(&path(&made), &key).await.expect(200).json();
    assert_eq!(
        (&shown["url"], &shown["events"]),
        (&json!("https://hooks.example/a"), &json!(["call.ended"]))
    );
    assert_eq!(
        (&shown["status"], &shown["max_in_flight"], &shown["failures"]),
        (&json!("active"), &json!(10), &json!(0))
    );
    let rotate = format!("{}/rotate-secret", path(&made));
    let rotated = harness.post(&rotate, &key, json!({"grace_seconds": 0})).await.expect(200).json();
    assert!(rotated["secret"].as_str().is_some_and(|new| new.starts_with("whsec_") && new != secret));
    harness.ask("POST", &rotate, &key, None).await.expect(200);
    let refused = harness.post(&rotate, &key, json!({"grace_seconds": 604_801})).await.expect(400);
    assert_eq!(refused.json()["error"]["details"][0]["field"], "grace_seconds");
}

#[tokio::test]
async fn a_sixth_active_webhook_secret_is_refused_with_409() {
    let harness = harness().await;
    let key = harness.master().await;
    let made = make(&harness, &key, json!({"url": "https://hooks.example/"})).await;
    let rotate = format!("{}/rotate-secret", path(&made));
    let week = json!({"grace_seconds": 604_800});
    for _ in 0..4 {
        harness.post(&rotate, &key, week.clone()).await.expect(200);
    }
    let refused = harness.post(&rotate, &key, week).await.expect(409);
    assert_eq!(refused.code(), "TOO_MANY_SECRETS");
    harness.ask("POST", &rotate, &key, None).await.expect(409);
    harness.post(&rotate, &key, json!({"grace_seconds": 0})).await.expect(200);
}

#[tokio::test]
async fn with_ed25519_only_public_keys_are_returned() {
    let harness = harness().await;
    let key = harness.master().await;
    let made = make(&harness, &key, json!({"url": "https://hooks.example/", "signature": "v1a"})).await;
    assert_eq!(made.get("secret"), None);
    assert!(made["public_keys"][0].as_str().unwrap().starts_with("whpk_"));
    harness.pass(1);
    let rotated =
        harness.ask("POST", &format!("{}/rotate-secret", path(&made)), &key, None).await.expect(200).json();
    assert_eq!(rotated["public_keys"].as_array().unwrap().len(), 2);
    assert_eq!(rotated["public_keys"][1], made["public_keys"][0]);
}

#[tokio::test]
async fn a_url_of_a_non_public_address_is_refused_when_it_is_saved() {
    let harness = harness().await;
    let key = harness.master().await;
    let good = make(&harness, &key, json!({"url": "https://hooks.example/"})).await;
    for url in [
        "http://hooks.example/",
        "https://user:pw@hooks.example/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://169.254.169.254/latest/meta-data/",
        "https://2130706433/",
        "https://127.1/",
        "https://localhost/",
        "https://api.localhost./",
    ] {
        for (method, path) in [("POST", "/v1/webhooks".to_owned()), ("PATCH", path(&good))] {
            let refused = harness.ask(method, &path, &key, Some(json!({"url": url}))).await.expect(400);
            assert_eq!(refused.json()["error"]["details"][0]["field"], "url", "{method} {url}");
        }
    }
    assert_eq!(harness.get("/v1/webhooks", &key).await.expect(200).json()["pagination"]["total"], 1);
    let opened = house_reaching("10.0.0.0/8,127.0.0.1:8443").await;
    let key = opened.master().await;
    make(&opened, &key, json!({"url": "https://10.1.2.3/"})).await;
    make(&opened, &key, json!({"url": "https://127.0.0.1:8443/"})).await;
    opened.post("/v1/webhooks", &key, json!({"url": "https://127.0.0.1:8444/"})).await.expect(400);
}

/// Names of an internal network cannot be found out by saving URLs.
#[tokio::test]
async fn saving_a_url_does_not_tell_internal_names_from_unknown_ones() {
    let harness = harness().await;
    let key = harness.master().await;
    let shape = |mut answer: Value| {
        for member in ["id", "url", "secret", "created_at", "updated_at"] {
            answer.as_object_mut().unwrap().remove(member);
        }
        answer
    };
    let public = shape(make(&harness, &key, json!({"url": "https://hooks.example/"})).await);
    for host in ["inside.example", "rebound.example", "not-known.example", "not-known-yet.example"] {
        let made = make(&harness, &key, json!({"url": format!("https://{host}/")})).await;
        assert_eq!(shape(made), public, "{host}");
    }
}

#[tokio::test]
async fn a_delivery_is_listed_read_and_redelivered() {
    let harness = harness().await;
    let key = harness.master().await;
    let hook =
        make(&harness, &key, json!({"url": "https://hooks.example/", "events": ["key.created"]})).await;
    let tested = harness.ask("POST", &format!("{}/test", path(&hook)), &key, None).await.expect(202).json();
    assert_eq!((&tested["event"], &tested["status"]), (&json!("webhook.test"), &json!("pending")));
    assert_eq!(send(&harness, &hook, Some(ErrorClass::ServerError)).await, 1);
    let list = harness.get(&format!("{}/deliveries", path(&hook)), &key).await.expect(200).json();
    let delivery = &list["deliveries"][0];
    assert_eq!(delivery["id"], tested["id"]);
    assert_eq!(delivery["next_attempt_at"], "2027-01-15T08:00:04.000Z", "five seconds, less a fifth");
    assert_eq!(
        delivery["attempts"],
        json!([{"number": 1, "at": "2027-01-15T08:00:00.000Z", "duration_ms": 7,
        "status": 500, "error": "server_error"}])
    );
    let one = format!("/v1/deliveries/{}", tested["id"].as_str().unwrap());
    let shown = harness.get(&one, &key).await.expect(200).json();
    assert_eq!(shown["payload"]["event"], "webhook.test");
    assert_eq!(shown["payload"]["id"], shown["event_id"]);
    assert_eq!(shown["attempts"][0]["response"], "said <b>no</b>\u{fffd}");
    // The server error paused the endpoint for 250 ms.
    harness.pass(1);
    harness.ask("POST", &format!("{one}/redeliver"), &key, None).await.expect(202);
    assert_eq!(send(&harness, &hook, None).await, 1, "without waiting for its time");
    assert_eq!(harness.get(&one, &key).await.expect(200).json()["status"], "delivered");
    let none =
        harness.get(&format!("{}/deliveries?status=pending", path(&hook)), &key).await.expect(200).json();
    assert_eq!(none["pagination"]["total"], 0);
    harness.get(&format!("{}/deliveries?status=lost", path(&hook)), &key).await.expect(400);
}

#[tokio::test]
async fn a_disabled_endpoint_holds_events_until_they_are_recovered() {
    let harness = harness().await;
    let key = harness.master().await;
    let hook = make(&harness, &key, json!({"url": "https://hooks.example/", "status": "disabled"})).await;
    assert_eq!(hook["disabled_reason"], "requested");
    harness.key(json!({"preset": "testing"})).await;
    let recover = format!("{}/recover", path(&hook));
    let since = json!({"since": "2027-01-01T00:00:00Z"});
    let refused = harness.post(&recover, &key, since.clone()).await.expect(409);
    assert_eq!(refused.code(), "WEBHOOK_DISABLED");
    harness.ask("POST", &format!("{}/test", path(&hook)), &key, None).await.expect(409);
    harness.ask("PATCH", &path(&hook), &key, Some(json!({"status": "active"}))).await.expect(200);
    assert_eq!(send(&harness, &hook, None).await, 0);
    assert_eq!(harness.post(&recover, &key, json!({})).await.expect(400).code(), "MISSING_REQUIRED");
    harness.post(&recover, &key, json!({"since": "yesterday"})).await.expect(400);
    let recovered = harness.post(&recover, &key, since).await.expect(200).json();
    assert_eq!(recovered, json!({"deliveries": 1, "more": false}));
    assert_eq!(send(&harness, &hook, None).await, 1);
}

#[tokio::test]
async fn unknown_webhooks_and_deliveries_are_named() {
    let harness = harness().await;
    let key = harness.master().await;
    let hook = make(&harness, &key, json!({"url": "https://hooks.example/"})).await;
    harness.ask("DELETE", &path(&hook), &key, None).await.expect(204);
    let gone = harness.get(&path(&hook), &key).await.expect(404);
    assert_eq!(gone.message(), format!("Webhook '{}' not found", hook["id"].as_str().unwrap()));
    harness.get(&format!("{}/deliveries", path(&hook)), &key).await.expect(404);
    assert_eq!(harness.get("/v1/deliveries/dlv_x", &key).await.expect(404).code(), "DELIVERY_NOT_FOUND");
    harness.post("/v1/trunks", &key, custom_trunk("abc")).await.expect(201);
    let draft = json!({"url": "https://hooks.example/", "trunk_ids": ["conn_01k9v1n2xrf6t8g3m5q7w9y0za"]});
    let refused = harness.post("/v1/webhooks", &key, draft).await.expect(400);
    assert_eq!(refused.json()["error"]["details"][0]["field"], "trunk_ids[0]");
}

#[tokio::test]
async fn the_deliveries_of_a_call_need_the_scope_to_read_calls() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    let trunk = harness.trunk(&master, "support-01").await;
    for path in ["a", "b"] {
        let hook = json!({"url": format!("https://93.184.215.14/{path}"), "events": ["call.*"]});
        harness.post("/v1/webhooks", &master, hook).await.expect(201);
    }
    let call = harness.call(trunk, "+15550100123").await;
    harness.call(trunk, "+15550100124").await;
    let of_call = format!("/v1/deliveries?call_id={call}");
    let list = harness.get(&of_call, &master).await.expect(200).json();
    assert_eq!(list["pagination"]["total"], 2);
    assert!(
        list["deliveries"].as_array().unwrap().iter().all(|delivery| delivery["event"] == "call.started")
    );
    let all =
        harness.get("/v1/deliveries?event=call.started&status=pending", &master).await.expect(200).json();
    assert_eq!(all["pagination"]["total"], 4);
    let reader = harness.key(json!({"preset": "custom", "scopes": ["webhooks:read"]})).await;
    harness.get("/v1/deliveries", &reader).await.expect(200);
    let refused = harness.get(&of_call, &reader).await.expect(403);
    assert_eq!(refused.json()["error"]["required_scope"], "calls:read");
    let of_key = "/v1/deliveries?key_id=key_00000000000000000000000000";
    assert_eq!(harness.get(of_key, &reader).await.expect(403).json()["error"]["required_scope"], "keys:read");
    assert_eq!(harness.get(of_key, &master).await.expect(200).json()["pagination"]["total"], 0);
    for wrong in ["call_id=x", "key_id=x", "webhook_id=x", "status=lost"] {
        harness.get(&format!("/v1/deliveries?{wrong}"), &master).await.expect(400);
    }
}

//! What exceeds a limit is answered with 409 `LIMIT_REACHED`, whose message names the limit.

use serde_json::{Value, json};
use telepath_core::storage_limit::StorageLimits;

use super::harness::{Harness, custom_trunk, request};

/// Limits of one of everything; the key of the test is one already.
async fn harness() -> (Harness, String) {
    let storage_limits =
        StorageLimits { keys: 2, trunks: 1, webhooks: 1, stored_responses: 1, ..StorageLimits::default() };
    let harness = Harness::with_storage_limits(600, storage_limits, |_| {}).await;
    let master = harness.master().await;
    (harness, master)
}

#[tokio::test]
async fn creating_beyond_a_limit_is_answered_409_and_names_the_limit() {
    let (harness, master) = harness().await;
    let webhook = json!({"url": "https://hooks.example/path"});
    let key = json!({"name": "n", "preset": "testing"});
    for (path, first, second, message) in [
        ("/v1/keys", key.clone(), key, "Limit of 2 API keys per account reached"),
        ("/v1/trunks", custom_trunk("one"), custom_trunk("two"), "Limit of 1 trunks per account reached"),
        ("/v1/webhooks", webhook.clone(), webhook, "Limit of 1 webhook endpoints per account reached"),
    ] {
        harness.post(path, &master, first).await.expect(201);
        let refused = harness.post(path, &master, second).await.expect(409);
        assert_eq!((refused.code(), refused.message()), ("LIMIT_REACHED".to_owned(), message.to_owned()));
    }
}

#[tokio::test]
async fn an_idempotency_key_without_room_for_its_response_is_refused_before_anything_is_done() {
    let (harness, master) = harness().await;
    let post = async |once: &str, body: Value| {
        let mut request = request("POST", "/v1/trunks", &master);
        request.headers_mut().insert("idempotency-key", once.parse().unwrap());
        request.headers_mut().insert("content-type", "application/json".parse().unwrap());
        *request.body_mut() = body.to_string().into();
        harness.send(request).await
    };
    // A refused request stores nothing.
    post("a", json!({})).await.expect(400);
    let first = post("b", custom_trunk("one")).await.expect(201);
    let id = first.json()["id"].as_str().unwrap().to_owned();
    harness.ask("DELETE", &format!("/v1/trunks/{id}"), &master, None).await.expect(204);
    let refused = post("c", custom_trunk("two")).await.expect(409);
    assert_eq!(refused.code(), "LIMIT_REACHED");
    assert_eq!(refused.message(), "Limit of 1 stored responses per account reached");
    let trunks = harness.get("/v1/trunks", &master).await.expect(200).json();
    assert_eq!(trunks["trunks"], json!([]));
    let replayed = post("b", custom_trunk("one")).await.expect(201);
    assert_eq!(replayed.header("idempotent-replayed"), "true");
    harness.post("/v1/trunks", &master, custom_trunk("two")).await.expect(201);
}

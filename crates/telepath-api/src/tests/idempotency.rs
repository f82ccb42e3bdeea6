//! `Idempotency-Key`: a request is carried out once, and its answer given again without what is shown once.

use axum::body::Body;
use serde_json::{Value, json};
use telepath_core::account::Actor;
use telepath_core::idempotency::{IdempotencyKey, RequestHash};
use telepath_core::key::{Authority, KeyDraft, Presets};
use telepath_store::{IdempotencyClaim, IdempotentRequest};

use telepath_http::ConnectionMode;

use super::harness::{Answer, Harness, custom_trunk, request};

async fn post(harness: &Harness, path: &str, key: &str, once: &str, body: Value) -> Answer {
    let mut request = request("POST", path, key);
    request.headers_mut().insert("idempotency-key", once.parse().unwrap());
    request.headers_mut().insert("content-type", "application/json".parse().unwrap());
    *request.body_mut() = Body::from(body.to_string());
    harness.send(request).await
}

async fn keys(harness: &Harness, master: &str) -> u64 {
    harness.get("/v1/keys", master).await.expect(200).json()["pagination"]["total"].as_u64().unwrap()
}

#[tokio::test]
async fn a_repeated_request_is_carried_out_once_and_replayed_without_its_secret() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    let draft = json!({"name": "n", "preset": "testing"});
    let first = post(&harness, "/v1/keys", &master, "a", draft.clone()).await.expect(201);
    assert_eq!(first.header("idempotent-replayed"), "");
    let mut expected = first.json();
    let secret = expected["secret"].take().as_str().unwrap().to_owned();
    expected.as_object_mut().unwrap().remove("secret");
    expected["secret_withheld"] = json!(true);
    for _ in 0..2 {
        let again = post(&harness, "/v1/keys", &master, "a", draft.clone()).await.expect(201);
        assert_eq!(again.header("idempotent-replayed"), "true");
        assert_eq!(again.header("location"), first.header("location"));
        assert_eq!(again.header("content-type"), "application/json");
        assert_ne!(again.header("x-request-id"), first.header("x-request-id"));
        assert!(!String::from_utf8_lossy(&again.body).contains(&secret));
        assert_eq!(again.json(), expected);
    }
    assert_eq!(keys(&harness, &master).await, 2);
    post(&harness, "/v1/keys", &master, "b", draft.clone()).await.expect(201);
    harness.post("/v1/keys", &master, draft).await.expect(201);
    assert_eq!(keys(&harness, &master).await, 4);
}

#[tokio::test]
async fn an_idempotency_key_used_for_another_request_is_refused() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    let draft = json!({"name": "n", "preset": "testing"});
    post(&harness, "/v1/keys", &master, "a", draft.clone()).await.expect(201);
    let other = json!({"name": "m", "preset": "testing"});
    let reused = post(&harness, "/v1/keys", &master, "a", other).await.expect(422);
    assert_eq!(reused.code(), "IDEMPOTENCY_KEY_REUSED");
    post(&harness, "/v1/trunks", &master, "a", draft.clone()).await.expect(422);
    let other_caller = harness.master().await;
    post(&harness, "/v1/keys", &other_caller, "a", draft.clone()).await.expect(201);
    harness.pass(86_400);
    let later = post(&harness, "/v1/keys", &master, "a", draft).await.expect(201);
    assert_eq!(later.header("idempotent-replayed"), "", "a day is over");
}

#[tokio::test]
async fn every_post_accepts_an_idempotency_key() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    let made =
        post(&harness, "/v1/trunks", &master, "t", custom_trunk("support-01")).await.expect(201).json();
    let again = post(&harness, "/v1/trunks", &master, "t", custom_trunk("support-01")).await.expect(201);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert!(made["sip_password"].is_string() && again.json().get("sip_password").is_none());
    assert_eq!(again.json()["secret_withheld"], true);
    let trunk = made["id"].as_str().unwrap();
    let rotate = format!("/v1/trunks/{trunk}/rotate-sip-password");
    post(&harness, &rotate, &master, "r", json!({})).await.expect(200);
    let again = post(&harness, &rotate, &master, "r", json!({})).await.expect(200).json();
    assert_eq!((again.get("sip_password"), &again["secret_withheld"]), (None, &json!(true)));
    let call = harness.call(trunk.parse().unwrap(), "+15550100123").await;
    for _ in 0..2 {
        post(&harness, &format!("/v1/calls/{call}/hangup"), &master, "h", json!({})).await.expect(202);
    }
    assert_eq!(harness.media.asked.lock().unwrap().len(), 1, "hung up once");
    for replayed in ["", "true"] {
        let all = post(&harness, "/v1/keys/rotate-all", &master, "all", json!({})).await.expect(200);
        assert_eq!(all.header("idempotent-replayed"), replayed);
        assert_eq!(all.json()["keys"][0].get("secret").is_some(), replayed.is_empty());
    }
}

#[tokio::test]
async fn refused_requests_are_not_stored() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    post(&harness, "/v1/keys", &master, "a", json!({"name": "n"})).await.expect(400);
    post(&harness, "/v1/keys", &master, "a", json!({"name": "n", "preset": "testing"})).await.expect(201);
    let holder = harness.trunk(&master, "support-01").await;
    post(&harness, "/v1/trunks", &master, "t", custom_trunk("support-01")).await.expect(409);
    harness.ask("DELETE", &format!("/v1/trunks/{holder}"), &master, None).await.expect(204);
    post(&harness, "/v1/trunks", &master, "t", custom_trunk("support-01")).await.expect(201);
    let reader = harness.key(json!({"preset": "testing"})).await;
    for _ in 0..2 {
        let refused = post(&harness, "/v1/keys", &reader, "a", json!({})).await.expect(403);
        assert_eq!(refused.code(), "INSUFFICIENT_SCOPE");
    }
}

#[tokio::test]
async fn a_running_or_lost_first_request_is_reported() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    let id = harness.get("/v1/whoami", &master).await.json()["id"].as_str().unwrap().to_owned();
    let draft = json!({"name": "n", "preset": "testing"});
    let once = IdempotentRequest {
        account: harness.account.id,
        caller: Actor::Key(id.parse().unwrap()),
        key: IdempotencyKey::parse(b"a").unwrap(),
        request: RequestHash::of("POST", "/v1/keys", draft.to_string().as_bytes()),
    };
    let IdempotencyClaim::Fresh(claim) =
        harness.store.begin_idempotent_request(once, harness.now()).await.unwrap()
    else {
        panic!("it is the first");
    };
    let running = post(&harness, "/v1/keys", &master, "a", draft.clone()).await.expect(409);
    assert_eq!(running.code(), "IDEMPOTENCY_KEY_IN_USE");
    let new = serde_json::from_value::<telepath_api_types::keys::CreateKey>(draft.clone()).unwrap();
    let new = KeyDraft::from(new);
    let new = new.check(&harness.account, &Presets::default(), &Authority::Unbounded, harness.now()).unwrap();
    let mut origin = super::harness::local(harness.now());
    origin.idempotency = Some(claim);
    let made = harness.store.create_key(harness.account.id, new, origin).await.unwrap();
    harness.pass(60);
    let lost = post(&harness, "/v1/keys", &master, "a", draft).await.expect(409);
    assert_eq!(lost.code(), "IDEMPOTENCY_RESPONSE_LOST");
    assert!(lost.message().contains(&made.record.id.to_string()), "{}", lost.message());
    assert_eq!(keys(&harness, &master).await, 2);
}

#[tokio::test]
async fn malformed_idempotency_keys_and_large_bodies_are_refused() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    let draft = json!({"name": "n", "preset": "testing"});
    for bad in ["", "two words", &"x".repeat(256)] {
        let refused = post(&harness, "/v1/keys", &master, bad, draft.clone()).await.expect(400);
        assert_eq!(refused.code(), "INVALID_PARAMS");
        assert_eq!(refused.json()["error"]["details"][0]["field"], "Idempotency-Key");
    }
    post(&harness, "/v1/keys", &master, &"x".repeat(255), draft.clone()).await.expect(201);
    let mut twice = request("POST", "/v1/keys", &master);
    twice.headers_mut().append("idempotency-key", "a".parse().unwrap());
    twice.headers_mut().append("idempotency-key", "a".parse().unwrap());
    harness.send(twice).await.expect(400);
    let large = json!({"name": "x".repeat(70_000), "preset": "testing"});
    assert_eq!(post(&harness, "/v1/keys", &master, "l", large).await.expect(413).code(), "BODY_TOO_LARGE");
    let unknown = post(&harness, "/v1/keys/key_x/nothing", &master, "n", draft).await.expect(404);
    assert_eq!(unknown.code(), "NOT_FOUND");
}

#[tokio::test]
async fn a_client_that_disconnects_gets_the_response_on_retry() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    let draft = json!({"name": "n", "preset": "testing"});
    {
        let asking = post(&harness, "/v1/keys", &master, "a", draft.clone());
        let answered = tokio::select! {
            biased;
            _ = asking => true,
            () = async { while harness.store.keys().len() < 2 { tokio::task::yield_now().await } } => false,
        };
        assert!(!answered || keys(&harness, &master).await == 2);
    }
    let found = async {
        loop {
            let answer = post(&harness, "/v1/keys", &master, "a", draft.clone()).await;
            if answer.status == 201 {
                return answer;
            }
            assert_eq!(answer.expect(409).code(), "IDEMPOTENCY_KEY_IN_USE");
            tokio::task::yield_now().await;
        }
    };
    let answer = tokio::time::timeout(std::time::Duration::from_secs(20), found).await.expect("it ends");
    assert_eq!(answer.header("idempotent-replayed"), "true");
    assert_eq!(keys(&harness, &master).await, 2);
}

#[tokio::test]
async fn local_administration_is_idempotent_and_a_replay_contains_no_password_code() {
    let harness = Harness::new().await;
    let post = async |path: &str, once: &str, body: &Value| {
        let mut request = request("POST", path, "");
        request.headers_mut().insert("idempotency-key", once.parse().unwrap());
        request.headers_mut().insert("content-type", "application/json".parse().unwrap());
        *request.body_mut() = Body::from(body.to_string());
        harness.send_from(request, ConnectionMode::Unix { uid: Some(1000) }).await
    };
    let user = json!({"email": "ada@example.com", "role": "owner"});
    let mut first = post("/local/users", "a", &user).await.expect(201).json();
    let again = post("/local/users", "a", &user).await.expect(201);
    assert_eq!(again.header("idempotent-replayed"), "true");
    let code = first["password_code"].take().as_str().unwrap().to_owned();
    assert!(!String::from_utf8_lossy(&again.body).contains(&code));
    let mut again = again.json();
    assert_eq!(again.as_object_mut().unwrap().remove("secret_withheld"), Some(json!(true)));
    first.as_object_mut().unwrap().remove("password_code");
    assert_eq!(again, first);
    let account = json!({"name": "Acme"});
    let created = post("/local/accounts", "b", &account).await.expect(201).json();
    assert_eq!(post("/local/accounts", "b", &account).await.expect(201).json(), created);
    let other = json!({"name": "Other"});
    assert_eq!(post("/local/accounts", "b", &other).await.expect(422).code(), "IDEMPOTENCY_KEY_REUSED");
}

#[tokio::test]
async fn a_repeated_rotation_of_many_keys_replays_all_of_them_without_secrets() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    let pairs: serde_json::Map<_, _> =
        (0..16).map(|n| (format!("pair-{n}"), json!("v".repeat(100)))).collect();
    for _ in 0..60 {
        harness.key(json!({"preset": "testing", "metadata": pairs})).await;
    }
    let body = json!({"grace_seconds": 3600});
    let first = post(&harness, "/v1/keys/rotate-all", &master, "a", body.clone()).await.expect(200);
    assert!(first.body.len() > 128 * 1024, "{}", first.body.len());
    let again = post(&harness, "/v1/keys/rotate-all", &master, "a", body).await.expect(200);
    assert_eq!(again.header("idempotent-replayed"), "true");
    let [first, again] = [first.json(), again.json()].map(|body| body["keys"].as_array().unwrap().clone());
    assert_eq!((first.len(), again.len()), (61, 61));
    for (key, replayed) in first.iter().zip(&again) {
        assert_eq!((&key["id"], &key["metadata"]), (&replayed["id"], &replayed["metadata"]));
        assert!(key["secret"].is_string() && replayed.get("secret").is_none());
        assert_eq!(replayed["secret_withheld"], true);
    }
}

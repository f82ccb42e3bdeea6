//! Who is let in, who is not, and whose window pays for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::harness::{CALLER, Harness, address, request};
use telepath_http::ConnectionMode;

#[tokio::test]
async fn missing_and_invalid_keys_get_the_original_messages() {
    let harness = Harness::new().await;
    let missing = harness.get("/v1/trunks", "").await.expect(401);
    assert_eq!(missing.code(), "MISSING_API_KEY");
    assert_eq!(missing.message(), "Authorization header is missing");
    assert_eq!(missing.header("www-authenticate"), "Bearer realm=\"telepath\"");
    let stranger = Harness::new().await.master().await;
    for bad in ["sk_live_abc123def456...", &stranger] {
        let invalid = harness.get("/v1/trunks", bad).await.expect(401);
        assert_eq!(invalid.code(), "INVALID_API_KEY");
        assert_eq!(invalid.message(), "The API key provided is invalid or has been revoked");
        assert_eq!(invalid.header("www-authenticate"), "Bearer realm=\"telepath\", error=\"invalid_token\"");
    }
}

#[tokio::test]
async fn revoked_expired_and_not_yet_valid_keys_are_all_invalid_api_key() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    let revoked = harness.key(json!({"preset": "testing", "name": "Revoked"})).await;
    let expired = harness.key(json!({"preset": "testing", "expires_at": "2027-01-15T08:00:01Z"})).await;
    let future = harness.key(json!({"preset": "testing", "not_before": "2027-01-15T09:00:00Z"})).await;
    harness.get("/v1/whoami", &revoked).await.expect(200);
    harness.get("/v1/whoami", &expired).await.expect(200);
    let id = harness.get("/v1/whoami", &revoked).await.json()["id"].as_str().unwrap().to_owned();
    harness.ask("POST", &format!("/v1/keys/{id}/revoke"), &master, None).await.expect(200);
    harness.pass(1);
    let answers = [
        harness.get("/v1/whoami", &revoked).await.expect(401).json()["error"]["message"].clone(),
        harness.get("/v1/whoami", &expired).await.expect(401).json()["error"]["message"].clone(),
        harness.get("/v1/whoami", &future).await.expect(401).json()["error"]["message"].clone(),
    ];
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    harness.pass(3600);
    harness.get("/v1/whoami", &future).await.expect(200);
}

#[tokio::test]
async fn authentication_comes_before_routing() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    for path in ["/v1", "/v1/", "/v1/nothing", "/v1/keys/x/y/z"] {
        assert_eq!(harness.get(path, "").await.expect(401).code(), "MISSING_API_KEY", "{path}");
        let before: u32 =
            harness.get("/v1/whoami", &key).await.header("x-ratelimit-remaining").parse().unwrap();
        let answer = harness.get(path, &key).await.expect(404);
        assert_eq!(answer.code(), "NOT_FOUND", "{path}");
        assert_eq!(answer.header("x-ratelimit-remaining"), (before - 1).to_string(), "counted on the key");
    }
    assert_eq!(harness.ask("PUT", "/v1/keys", "", None).await.expect(401).code(), "MISSING_API_KEY");
    assert_eq!(harness.get("/v10/keys", "").await.expect(404).code(), "NOT_FOUND");
    assert_eq!(harness.get("/%76%31/keys", "").await.expect(404).code(), "NOT_FOUND");
}

#[tokio::test]
async fn keys_in_queries_and_bodies_are_ignored() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    for name in ["api_key", "access_token", "key", "authorization"] {
        let answer = harness.get(&format!("/v1/whoami?{name}={key}"), "").await.expect(401);
        assert_eq!(answer.code(), "MISSING_API_KEY");
    }
    let answer = harness.post("/v1/trunks", "", json!({"access_token": key})).await.expect(401);
    assert_eq!(answer.code(), "MISSING_API_KEY");
}

#[tokio::test]
async fn every_refusal_without_a_key_counts_against_the_address() {
    let harness = Harness::with(4, |_| {}).await;
    let key = harness.master().await;
    let bound = harness.key(json!({"preset": "testing", "allowed_ips": ["198.51.100.0/24"]})).await;
    let remaining = |answer: &super::harness::Answer| answer.header("x-ratelimit-remaining").to_owned();
    assert_eq!(remaining(&harness.get("/v1/whoami", "").await.expect(401)), "3");
    assert_eq!(remaining(&harness.get("/v1/whoami", "nonsense").await.expect(401)), "2");
    let wrong_address = harness.get("/v1/whoami", &bound).await.expect(403);
    assert_eq!((wrong_address.code().as_str(), remaining(&wrong_address).as_str()), ("IP_NOT_ALLOWED", "1"));
    assert_eq!(remaining(&harness.get("/livez", "").await.expect(200)), "1", "probes cost nothing");
    assert_eq!(remaining(&harness.get("/outside", "").await.expect(404)), "0");
    for (path, key) in
        [("/v1/whoami", ""), ("/v1/whoami", "nonsense"), ("/outside", ""), ("/v1/whoami", &*bound)]
    {
        let full = harness.get(path, key).await.expect(429);
        assert_eq!(full.message(), "Rate limit of 4 requests per minute exceeded");
    }
    harness.get("/v1/whoami", &key).await.expect(200);
    harness.get("/livez", "").await.expect(200);
    harness
        .send_from(request("GET", "/v1/whoami", ""), ConnectionMode::Tls(address("192.0.2.9")))
        .await
        .expect(401);
    harness.pass(60);
    harness.get("/v1/whoami", "").await.expect(401);
}

#[tokio::test]
async fn a_key_with_allowed_ips_is_refused_from_other_addresses() {
    let harness = Harness::new().await;
    let bound = harness.key(json!({"preset": "testing", "allowed_ips": ["203.0.113.0/24"]})).await;
    harness.get("/v1/whoami", &bound).await.expect(200);
    let mapped = ConnectionMode::Tls(address("::ffff:203.0.113.200"));
    harness.send_from(request("GET", "/v1/whoami", &bound), mapped).await.expect(200);
    let elsewhere = ConnectionMode::Tls(address("198.51.100.1"));
    harness.send_from(request("GET", "/v1/whoami", &bound), elsewhere).await.expect(403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_connections_admit_exactly_the_limit() {
    let harness = Arc::new(Harness::new().await);
    let key = harness.key(json!({"preset": "testing", "rate_limit_per_minute": 100})).await;
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let (harness, key) = (Arc::clone(&harness), key.clone());
            tokio::spawn(async move {
                let mut admitted = 0;
                for _ in 0..2000 {
                    match harness.get("/v1/whoami", &key).await.status.as_u16() {
                        200 => admitted += 1,
                        // A real connection waits for its next request here.
                        429 => tokio::task::yield_now().await,
                        other => panic!("status {other}"),
                    }
                }
                admitted
            })
        })
        .collect();
    let mut admitted = 0;
    for task in tasks {
        admitted += task.await.unwrap();
    }
    assert_eq!(admitted, 100);
    harness.pass(60);
    let answer = harness.get("/v1/whoami", &key).await.expect(200);
    assert_eq!(answer.header("x-ratelimit-remaining"), "99");
}

#[tokio::test]
async fn behind_a_trusted_proxy_the_forwarded_address_is_used_and_https_is_required() {
    let harness =
        Harness::with(600, |options| options.server.trusted_proxies = "10.0.0.0/8".parse().unwrap()).await;
    let bound = harness.key(json!({"preset": "testing", "allowed_ips": [CALLER]})).await;
    let send = async |peer: &str, proto: &str| {
        let mut request = request("GET", "/v1/whoami", &bound);
        request.headers_mut().insert("x-forwarded-for", format!("192.0.2.66, {CALLER}").parse().unwrap());
        request.headers_mut().insert("x-forwarded-proto", proto.parse().unwrap());
        harness.send_from(request, ConnectionMode::Tls(address(peer))).await
    };
    send("10.1.2.3", "https").await.expect(200);
    assert_eq!(send("10.1.2.3", "http").await.expect(400).code(), "HTTPS_REQUIRED");
    assert_eq!(send("198.51.100.1", "https").await.expect(403).code(), "IP_NOT_ALLOWED");
}

#[tokio::test]
async fn local_administration_needs_no_key_and_has_its_own_rate_limit() {
    let harness = Harness::with(600, |options| {
        options.api.local_limit = telepath_core::limit::RateLimit::per_minute(2).unwrap();
    })
    .await;
    let whoami = harness
        .send_from(request("GET", "/v1/whoami", ""), ConnectionMode::Unix { uid: Some(501) })
        .await
        .expect(200);
    assert_eq!(whoami.header("x-ratelimit-limit"), "2");
    assert_eq!(whoami.json()["id"], json!(null));
    assert_eq!(whoami.json()["account"]["id"], harness.account.id.to_string());
    harness
        .send_from(request("GET", "/v1/keys", ""), ConnectionMode::Unix { uid: Some(501) })
        .await
        .expect(200);
    harness
        .send_from(request("GET", "/v1/keys", ""), ConnectionMode::Unix { uid: Some(501) })
        .await
        .expect(429);
}

#[tokio::test]
async fn the_last_use_of_a_key_is_recorded() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    let key = harness.key(json!({"preset": "testing", "name": "Used"})).await;
    let id = harness.get("/v1/whoami", &key).await.json()["id"].as_str().unwrap().to_owned();
    harness.get("/v1/nothing", &key).await.expect(404);
    harness.pass(1);
    let record = harness.get(&format!("/v1/keys/{id}"), &master).await.expect(200).json();
    assert_eq!((&record["request_count"], &record["error_count"]), (&json!(2), &json!(1)));
    assert_eq!(record["last_used_ip"], CALLER);
    assert_eq!(record["last_used_at"], "2027-01-15T08:00:00.000Z");
    assert_eq!(record["secrets"][0]["last_used_ip"], CALLER);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_request_is_admitted_after_the_response_to_a_revocation() {
    let harness = Arc::new(Harness::with(600_000, |_| {}).await);
    let master = harness.master().await;
    for _ in 0..5 {
        let key = harness.key(json!({"preset": "testing", "rate_limit_per_minute": 60_000})).await;
        let id = harness.get("/v1/whoami", &key).await.expect(200).json()["id"].as_str().unwrap().to_owned();
        let is_answered = Arc::new(AtomicBool::new(false));
        let askers: Vec<_> = (0..8)
            .map(|_| {
                let (harness, key, is_answered) =
                    (Arc::clone(&harness), key.clone(), Arc::clone(&is_answered));
                tokio::spawn(async move {
                    let mut refused = 0;
                    while refused < 20 {
                        let was_answered = is_answered.load(Ordering::SeqCst);
                        match harness.get("/v1/whoami", &key).await.status.as_u16() {
                            200 => assert!(!was_answered, "admitted after the revoke was answered"),
                            401 => refused += 1,
                            other => panic!("status {other}"),
                        }
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        harness.ask("POST", &format!("/v1/keys/{id}/revoke"), &master, None).await.expect(200);
        is_answered.store(true, Ordering::SeqCst);
        for asker in askers {
            asker.await.unwrap();
        }
    }
}

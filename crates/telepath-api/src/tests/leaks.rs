//! Leaked keys are dead once they are reported, and the answer tells nothing.

use std::sync::Arc;

use axum::body::Body;
use rcgen::{KeyPair, SigningKey as _};
use serde_json::{Value, json};
use telepath_core::account::AccountPatch;
use telepath_core::leak::SigningKeys;

use super::harness::{Answer, Harness, address, local, request};
use telepath_http::ConnectionMode;

async fn report(harness: &Harness, body: Value) -> Answer {
    let answer = harness.ask("POST", "/v1/keys/report-leak", "", Some(body)).await;
    harness.work_off_exposures().await;
    answer
}

async fn shown(harness: &Harness, master: &str, name: &str) -> Value {
    let keys = harness.get("/v1/keys?limit=100", master).await.expect(200).json();
    let found = keys["keys"].as_array().unwrap().iter().find(|key| key["name"] == name);
    found.cloned().unwrap_or_default()
}

#[tokio::test]
async fn anyone_who_reports_a_key_revokes_it_and_learns_nothing() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    let leaked = harness.key(json!({"preset": "testing", "name": "leaked"})).await;
    let kept = harness.key(json!({"preset": "testing"})).await;
    let wrong = format!("{}x", &leaked[..56]);
    let hit = report(&harness, json!({"secrets": [leaked, "nonsense", ""]})).await.expect(202);
    let miss = report(&harness, json!({"secrets": [wrong, leaked]})).await.expect(202);
    let none = report(&harness, json!({"secrets": []})).await.expect(202);
    for answer in [&hit, &miss, &none] {
        assert_eq!((answer.json(), answer.header("x-ratelimit-limit")), (json!({}), "10"));
    }
    harness.get("/v1/whoami", &leaked).await.expect(401);
    harness.get("/v1/whoami", &kept).await.expect(200);
    let key = shown(&harness, &master, "leaked").await;
    assert_eq!((&key["status"], &key["revoked_by"]), (&json!("revoked"), &json!("system")));
    assert_eq!(key["revoke_reason"], "Reported as leaked by somebody who holds it");
}

#[tokio::test]
async fn a_key_is_found_in_whatever_text_surrounds_it() {
    let harness = Harness::with(600, |_| {}).await;
    for (place, around) in [
        |key: &str| format!("{key}\n"),
        |key: &str| format!(" \r\n\t{key} "),
        |key: &str| format!("\"{key}\","),
        |key: &str| format!("{{\"headers\":{{\"authorization\":\"Bearer {key}\"}}}}"),
        |key: &str| format!("https://api.example/v1/whoami?api_key={key}&page=1#x"),
        |key: &str| format!("TELEPATH_API_KEY={key}; echo"),
        |key: &str| format!("mysk_live_{key}0123"),
    ]
    .into_iter()
    .enumerate()
    {
        let leaked = harness.key(json!({"preset": "testing", "name": format!("leaked {place}")})).await;
        report(&harness, json!({"secrets": ["x", around(&leaked)]})).await.expect(202);
        harness.get("/v1/whoami", &leaked).await.expect(401);
    }
    let both =
        [harness.key(json!({"preset": "testing"})).await, harness.key(json!({"preset": "testing"})).await];
    report(&harness, json!({"secrets": [both.join("")]})).await.expect(202);
    for leaked in &both {
        harness.get("/v1/whoami", leaked).await.expect(401);
    }
}

#[tokio::test]
async fn a_report_is_stored_before_it_is_answered() {
    let harness = Harness::new().await;
    let leaked = harness.key(json!({"preset": "testing"})).await;
    let body = json!({"secrets": [leaked]});
    harness.ask("POST", "/v1/keys/report-leak", "", Some(body.clone())).await.expect(202);
    harness.get("/v1/whoami", &leaked).await.expect(200);
    assert_eq!(harness.store.revoke_exposed_keys().await.unwrap(), 1, "the report was waiting");
    harness.get("/v1/whoami", &leaked).await.expect(401);
    harness.store.close().await;
    let refused = harness.ask("POST", "/v1/keys/report-leak", "", Some(body)).await.expect(503);
    assert_eq!(refused.code(), "UNAVAILABLE");
}

#[tokio::test]
async fn partners_have_a_window_of_their_own() {
    let pair = KeyPair::generate().unwrap();
    let file = json!({"public_keys": [
        {"key_identifier": "one", "key": pair.public_key_pem(), "is_current": true}]});
    let keys = SigningKeys::parse(&file.to_string()).unwrap();
    let harness = Harness::with(600, |options| options.api.signing_keys = Some(Arc::new(keys))).await;
    for _ in 0..10 {
        report(&harness, json!({"secrets": []})).await.expect(202);
    }
    report(&harness, json!({"secrets": []})).await.expect(429);
    let signature = base64(&pair.sign(b"[]").unwrap());
    for _ in 0..20 {
        let taken = partner(&harness, "one", &signature, "[]".to_owned()).await.expect(202);
        assert_eq!(taken.header("x-ratelimit-limit"), "600");
    }
}

#[tokio::test]
async fn a_reported_secret_in_its_grace_period_revokes_the_key() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    for (name, grace, status) in [("grace", 60, "revoked"), ("ended", 0, "active")] {
        let old = harness.key(json!({"preset": "testing", "name": name})).await;
        let id = shown(&harness, &master, name).await["id"].as_str().unwrap().to_owned();
        let rotate = format!("/v1/keys/{id}/rotate");
        harness.post(&rotate, &master, json!({"grace_seconds": grace})).await.expect(200);
        report(&harness, json!({"secrets": [old]})).await.expect(202);
        assert_eq!(shown(&harness, &master, name).await["status"], status);
    }
}

#[tokio::test]
async fn reports_are_validated_and_rate_limited() {
    let harness = Harness::new().await;
    let many = vec!["x"; 101];
    for (body, code) in [
        (json!({}), "MISSING_REQUIRED"),
        (json!({"secrets": many}), "INVALID_PARAMS"),
        (json!({"secrets": [1]}), "INVALID_PARAMS"),
        (json!({"secrets": [], "more": 1}), "INVALID_PARAMS"),
    ] {
        assert_eq!(report(&harness, body).await.expect(400).code(), code);
    }
    report(&harness, json!({"secrets": vec!["x"; 100]})).await.expect(202);
    for _ in 0..5 {
        report(&harness, json!({"secrets": []})).await.expect(202);
    }
    let refused = report(&harness, json!({"secrets": []})).await.expect(429);
    assert_eq!(
        (refused.code().as_str(), refused.header("x-ratelimit-remaining")),
        ("RATE_LIMIT_EXCEEDED", "0")
    );
    let mut other = request("POST", "/v1/keys/report-leak", "");
    other.headers_mut().insert("content-type", "application/json".parse().unwrap());
    *other.body_mut() = json!({"secrets": []}).to_string().into();
    harness.send_from(other, ConnectionMode::Tls(address("198.51.100.9"))).await.expect(202);
    harness.get("/v1/whoami", "").await.expect(401);
    harness.pass(60);
    report(&harness, json!({"secrets": []})).await.expect(202);
}

/// RFC 4648 section 4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word =
            chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let symbol = ALPHABET[(word >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= chunk.len() { char::from(symbol) } else { '=' });
        }
    }
    text
}

async fn partner(harness: &Harness, name: &str, signature: &str, body: String) -> Answer {
    let mut request = request("POST", "/v1/keys/secret-scanning", "");
    request.headers_mut().insert("github-public-key-identifier", name.parse().unwrap());
    request.headers_mut().insert("github-public-key-signature", signature.parse().unwrap());
    *request.body_mut() = Body::from(body);
    let answer = harness.send(request).await;
    harness.work_off_exposures().await;
    answer
}

#[tokio::test]
async fn a_signed_list_revokes_its_keys_and_an_unsigned_one_is_refused() {
    let pair = KeyPair::generate().unwrap();
    let file = json!({"public_keys": [
        {"key_identifier": "one", "key": pair.public_key_pem(), "is_current": true}]});
    let keys = SigningKeys::parse(&file.to_string()).unwrap();
    let harness = Harness::with(600, |options| options.api.signing_keys = Some(Arc::new(keys))).await;
    let master = harness.master().await;
    let leaked = harness.key(json!({"preset": "testing", "name": "leaked"})).await;
    let list = json!([{"token": leaked, "type": "telepath_key", "url": "https://example.com/r/1",
        "source": "commit", "newer": true}, {"token": "nonsense"}])
    .to_string();
    let sign = |text: &str| base64(&pair.sign(text.as_bytes()).unwrap());
    for (name, signature, body) in [
        ("two", sign(&list), list.clone()),
        ("one", sign("[]"), list.clone()),
        ("one", "AAAA".to_owned(), list.clone()),
        ("one", sign(&list), format!("{list} ")),
    ] {
        assert_eq!(partner(&harness, name, &signature, body).await.expect(401).code(), "INVALID_SIGNATURE");
    }
    harness.get("/v1/whoami", &leaked).await.expect(200);
    assert_eq!(partner(&harness, "one", &sign("{}"), "{}".into()).await.expect(400).code(), "INVALID_JSON");
    let taken = partner(&harness, "one", &sign(&list), list).await.expect(202);
    assert_eq!(taken.json(), json!({}));
    harness.get("/v1/whoami", &leaked).await.expect(401);
    let reason = shown(&harness, &master, "leaked").await["revoke_reason"].clone();
    assert_eq!(reason, "Found by secret scanning in commit at https://example.com/r/1");
    let unsigned = harness.ask("POST", "/v1/keys/secret-scanning", "", None).await.expect(401);
    assert_eq!(unsigned.code(), "INVALID_SIGNATURE");
}

#[tokio::test]
async fn a_key_received_over_plain_http_is_revoked_by_account_policy() {
    let harness =
        Harness::with(600, |options| options.server.trusted_proxies = "10.0.0.0/8".parse().unwrap()).await;
    let key = harness.key(json!({"preset": "testing"})).await;
    let in_clear = async || {
        let mut request = request("GET", "/v1/whoami", &key);
        request.headers_mut().insert("x-forwarded-for", "203.0.113.9".parse().unwrap());
        request.headers_mut().insert("x-forwarded-proto", "http".parse().unwrap());
        let answer = harness.send_from(request, ConnectionMode::Tls(address("10.0.0.1"))).await.expect(400);
        assert_eq!(answer.code(), "HTTPS_REQUIRED");
        harness.work_off_exposures().await;
    };
    in_clear().await;
    harness.get("/v1/whoami", &key).await.expect(200);
    let patch = AccountPatch { revoke_keys_seen_in_clear: Some(true), ..AccountPatch::default() };
    harness.store.update_account(harness.account.id, patch, local(harness.now())).await.unwrap();
    in_clear().await;
    assert_eq!(harness.store.raise_security_alerts().await.unwrap(), 1, "one alert for both times");
    harness.get("/v1/whoami", &key).await.expect(401);
    assert_eq!(harness.store.raise_security_alerts().await.unwrap(), 1, "and one for the use of a dead key");
}

#[tokio::test]
async fn the_key_pattern_and_security_txt_are_published() {
    let contact = "mailto:security@example.com";
    let harness = Harness::with(600, |options| options.api.security_contact = Some(contact.to_owned())).await;
    let pattern = harness.get("/.well-known/telepath-key-pattern.json", "").await.expect(200).json();
    assert_eq!(pattern["pattern"], "sk_(live|test)_[0-9A-Za-z]{49}");
    assert_eq!(pattern["report_url"], "/v1/keys/report-leak");
    assert_eq!(pattern["checksum"]["alphabet"].as_str().unwrap().len(), 62);
    let text = harness.get("/.well-known/security.txt", "").await.expect(200);
    assert_eq!(text.header("content-type"), "text/plain; charset=utf-8");
    let body = String::from_utf8_lossy(&text.body).into_owned();
    assert_eq!(body, format!("Contact: {contact}\r\nExpires: 2027-07-14T08:00:00.000Z\r\n"));
    Harness::new().await.get("/.well-known/security.txt", "").await.expect(404);
}

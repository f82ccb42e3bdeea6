//! Requests through trusted proxies, as load balancers and reverse proxies send them.

use axum::http::HeaderName;
use serde_json::json;
use telepath_core::account::AccountPatch;
use telepath_http::ConnectionMode;

use super::harness::{Answer, CALLER, Harness, address, local, request};

async fn harness() -> Harness {
    Harness::with(600, |options| options.server.trusted_proxies = "10.0.0.0/8".parse().unwrap()).await
}

/// A GET through a trusted proxy that adds these headers, each as `name: value`.
async fn through_proxy(harness: &Harness, path: &str, key: &str, lines: &[&str]) -> Answer {
    let mut request = request("GET", path, key);
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        request.headers_mut().append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    harness.send_from(request, ConnectionMode::Tls(address("10.0.0.1"))).await
}

#[tokio::test]
async fn without_x_forwarded_proto_the_servers_own_hop_decides() {
    let harness = harness().await;
    let key = harness.key(json!({"preset": "testing"})).await;
    for lines in [&[][..], &["x-forwarded-for: 203.0.113.9"], &["forwarded: for=203.0.113.9"]] {
        through_proxy(&harness, "/v1/whoami", &key, lines).await.expect(200);
        for path in ["/livez", "/readyz", "/openapi.json"] {
            through_proxy(&harness, path, "", lines).await.expect(200);
        }
    }
}

#[tokio::test]
async fn a_missing_x_forwarded_proto_raises_no_alert_and_revokes_no_key() {
    let harness = harness().await;
    let key = harness.key(json!({"preset": "testing"})).await;
    let patch = AccountPatch { revoke_keys_seen_in_clear: Some(true), ..AccountPatch::default() };
    harness.store.update_account(harness.account.id, patch, local(harness.now())).await.unwrap();
    for lines in [
        &["x-forwarded-for: 203.0.113.9"][..],
        &["x-forwarded-for: 203.0.113.9", "x-forwarded-proto: gopher"],
        &["x-forwarded-for: 203.0.113.9", "x-forwarded-proto: https,http"],
        &["forwarded: for=203.0.113.9;proto=https, for=10.0.0.2;proto=http"],
    ] {
        through_proxy(&harness, "/v1/whoami", &key, lines).await.expect(200);
    }
    harness.api.store_exposures().await;
    assert_eq!(harness.store.raise_security_alerts().await.unwrap(), 0);
    through_proxy(&harness, "/v1/whoami", &key, &[]).await.expect(200);
}

#[tokio::test]
async fn a_reported_plain_http_hop_is_refused_by_either_header() {
    let harness = harness().await;
    let key = harness.key(json!({"preset": "testing"})).await;
    for lines in [
        &["x-forwarded-for: 203.0.113.9", "x-forwarded-proto: http"][..],
        &["x-forwarded-proto: http"],
        &["x-forwarded-proto: http, https"],
        &["forwarded: for=203.0.113.9;proto=http"],
        &["forwarded: for=203.0.113.9;proto=http, for=10.0.0.2;proto=https"],
    ] {
        let refused = through_proxy(&harness, "/v1/whoami", &key, lines).await.expect(400);
        assert_eq!(refused.code(), "HTTPS_REQUIRED", "{lines:?}");
    }
    assert_eq!(harness.store.raise_security_alerts().await.unwrap(), 1);
}

#[tokio::test]
async fn routes_without_a_key_need_no_https_unless_a_key_is_sent() {
    let harness = harness().await;
    let key = harness.key(json!({"preset": "testing"})).await;
    let plain = ["x-forwarded-for: 203.0.113.9", "x-forwarded-proto: http"];
    for path in ["/livez", "/readyz", "/openapi.json", "/.well-known/telepath-key-pattern.json"] {
        through_proxy(&harness, path, "", &plain).await.expect(200);
        let refused = through_proxy(&harness, path, &key, &plain).await.expect(400);
        assert_eq!(refused.code(), "HTTPS_REQUIRED", "the key was read on its way to {path}");
    }
    for path in ["/v1/whoami", "/metrics", "/nothing"] {
        assert_eq!(through_proxy(&harness, path, "", &plain).await.expect(400).code(), "HTTPS_REQUIRED");
    }
}

#[tokio::test]
async fn the_client_behind_forwarded_is_the_last_sender_that_is_no_proxy() {
    let harness = harness().await;
    let bound = harness.key(json!({"preset": "testing", "allowed_ips": [CALLER, "2001:db8::7"]})).await;
    for (field, status) in [
        ("for=192.0.2.66, for=203.0.113.7", 200),
        ("for=203.0.113.7;proto=https, for=10.0.0.9", 200),
        ("for=\"[2001:db8::7]:4711\"", 200),
        ("for=203.0.113.7, for=192.0.2.66", 403),
        ("for=203.0.113.7, for=unknown", 403),
    ] {
        let answer = through_proxy(&harness, "/v1/whoami", &bound, &[&format!("forwarded: {field}")]).await;
        assert_eq!(answer.status.as_u16(), status, "{field}");
    }
}

#[tokio::test]
async fn contradictory_or_malformed_forwarding_headers_are_refused() {
    let harness = harness().await;
    let key = harness.key(json!({"preset": "testing"})).await;
    for lines in [
        &["x-forwarded-for: 203.0.113.9", "forwarded: for=198.51.100.1"][..],
        &["x-forwarded-proto: https", "forwarded: proto=http"],
        &["forwarded: for=\"203.0.113.9"],
    ] {
        let refused = through_proxy(&harness, "/v1/whoami", &key, lines).await.expect(400);
        assert_eq!(refused.code(), "MALFORMED_REQUEST", "{lines:?}");
        assert!(refused.message().contains("forwarding headers"), "{}", refused.message());
    }
    assert_eq!(harness.store.raise_security_alerts().await.unwrap(), 0);
}

//! Routes without a key: the published document, health probes, and CORS preflights.

use axum::body::Body;
use axum::http::{HeaderName, Request};

use super::harness::{Answer, Harness, request};

async fn send(harness: &Harness, method: &str, path: &str, lines: &[&str]) -> Answer {
    let mut request: Request<Body> = request(method, path, "");
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        request.headers_mut().append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    harness.send(request).await
}

#[tokio::test]
async fn the_document_is_compressed_and_revalidated() {
    let harness = Harness::new().await;
    let whole = harness.get("/openapi.json", "").await.expect(200);
    assert_eq!(
        (whole.header("cache-control"), whole.header("content-type")),
        ("no-cache", "application/json")
    );
    assert_eq!(whole.json()["openapi"].as_str().map(|version| &version[..3]), Some("3.1"));
    let gzip = send(&harness, "GET", "/openapi.json", &["accept-encoding: gzip, br"]).await.expect(200);
    assert!(gzip.header("content-encoding") == "gzip" && gzip.body.len() < whole.body.len() / 5);
    let known = format!("if-none-match: {}", whole.header("etag"));
    let current = send(&harness, "GET", "/openapi.json", &[&known]).await.expect(304);
    assert!(current.body.is_empty() && current.header("x-request-id").starts_with("req_"));
    assert_eq!(current.header("etag"), whole.header("etag"));
}

#[tokio::test]
async fn documents_count_against_the_address_and_health_probes_do_not() {
    let harness = Harness::with(3, |_| {}).await;
    for left in ["2", "1", "0"] {
        let answer = harness.get("/openapi.json", "").await.expect(200);
        assert_eq!(answer.header("x-ratelimit-remaining"), left);
        harness.get("/livez", "").await.expect(200);
        harness.get("/readyz", "").await.expect(200);
    }
    for path in ["/openapi.json", "/.well-known/telepath-key-pattern.json"] {
        assert_eq!(harness.get(path, "").await.expect(429).code(), "RATE_LIMIT_EXCEEDED");
    }
    harness.get("/livez", "").await.expect(200);
    harness.get("/readyz", "").await.expect(200);
}

#[tokio::test]
async fn a_cors_preflight_is_refused_and_not_counted() {
    let harness = Harness::with(2, |_| {}).await;
    let browser = ["origin: https://shop.example", "access-control-request-method: GET"];
    for path in ["/v1/whoami", "/v1/trunks", "/openapi.json", "/nothing"] {
        let refused = send(&harness, "OPTIONS", path, &browser).await.expect(403);
        assert_eq!(refused.code(), "CORS_NOT_SUPPORTED");
        assert_eq!(refused.header("x-ratelimit-remaining"), "2", "{path}");
        assert!(!refused.headers.keys().any(|name| name.as_str().starts_with("access-control-")));
    }
    let counted = send(&harness, "OPTIONS", "/v1/whoami", &browser[..1]).await.expect(401);
    assert_eq!(counted.header("x-ratelimit-remaining"), "1", "this is no preflight");
}

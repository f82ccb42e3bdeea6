//! Every answer of every status is complete: request id, rate window, envelope.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use serde_json::json;
use telepath_core::id::RequestId;

use telepath_http::Peer;

use super::harness::{Answer, CALLER, Harness, START, address, collect, custom_trunk, request};

/// What must hold of every answer; `limit` is that of the window it must report.
fn check(case: &str, answer: &Answer, status: u16, limit: u32) {
    assert_eq!(answer.status.as_u16(), status, "{case}: {}", String::from_utf8_lossy(&answer.body));
    let id: RequestId = answer.header("x-request-id").parse().expect(case);
    let number = |name: &str| answer.header(name).parse::<i64>().unwrap_or_else(|_| panic!("{case}: {name}"));
    let (remaining, reset) = (number("x-ratelimit-remaining"), number("x-ratelimit-reset"));
    assert_eq!(number("x-ratelimit-limit"), i64::from(limit), "{case}");
    assert!((0..=i64::from(limit)).contains(&remaining), "{case}");
    assert!((START + 1..=START + 60).contains(&reset), "{case}: {reset}");
    assert_eq!(answer.header("ratelimit-policy"), format!("\"default\";q={limit};w=60"), "{case}");
    assert_eq!(
        answer.header("ratelimit"),
        format!("\"default\";r={remaining};t={}", reset - START),
        "{case}"
    );
    let caching = if case == "/openapi.json" { "no-cache" } else { "no-store" };
    assert_eq!(answer.header("cache-control"), caching, "{case}");
    assert_eq!(answer.header("x-content-type-options"), "nosniff", "{case}");
    if status >= 400 {
        assert_eq!(answer.header("content-type"), "application/json", "{case}");
        let error = &answer.json()["error"];
        assert_eq!(error["status"], status, "{case}");
        assert_eq!(error["request_id"], id.to_string(), "{case}");
        assert!(error["code"].as_str().is_some_and(|code| !code.is_empty()), "{case}");
        assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{case}");
    }
    if status == 429 {
        assert_eq!(number("retry-after"), reset - START, "{case}: a retry before the reset would be refused");
        assert_eq!(remaining, 0, "{case}");
    }
    if status == 503 {
        assert!(number("retry-after") > 0, "{case}");
    }
}

const OF_KEY: u32 = 6000;
const OF_ADDRESS: u32 = 600;

#[tokio::test]
async fn successful_responses_have_all_headers() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    check("whoami", &harness.get("/v1/whoami", &key).await, 200, OF_KEY);
    let made = harness.post("/v1/trunks", &key, custom_trunk("support-01")).await;
    check("create", &made, 201, OF_KEY);
    let trunk = made.json()["id"].as_str().unwrap().parse().unwrap();
    let call = harness.call(trunk, "+15550100123").await;
    let hangup = harness.ask("POST", &format!("/v1/calls/{call}/hangup"), &key, None).await;
    check("hangup", &hangup, 202, OF_KEY);
    check("delete", &harness.ask("DELETE", &format!("/v1/trunks/{trunk}"), &key, None).await, 204, OF_KEY);
    check("head", &harness.ask("HEAD", "/v1/whoami", &key, None).await, 200, OF_KEY);
    for open in ["/livez", "/readyz", "/openapi.json"] {
        check(open, &harness.get(open, "").await, 200, OF_ADDRESS);
    }
}

#[tokio::test]
async fn refusals_have_all_headers() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    let reader = harness.key(json!({"preset": "testing"})).await;
    check("bad JSON", &harness.post("/v1/trunks", &key, json!([1])).await, 400, OF_KEY);
    check("no key", &harness.get("/v1/whoami", "").await, 401, OF_ADDRESS);
    check("unknown key", &harness.get("/v1/whoami", "sk_live_nonsense").await, 401, OF_ADDRESS);
    check("scope", &harness.post("/v1/trunks", &reader, custom_trunk("abc")).await, 403, 600);
    check("no route", &harness.get("/v1/nothing", &key).await, 404, OF_KEY);
    check("no route outside", &harness.get("/nothing", &key).await, 404, OF_ADDRESS);
    check("no trunk", &harness.get("/v1/trunks/conn_x", &key).await, 404, OF_KEY);
    let method = harness.ask("PUT", "/v1/trunks", &key, None).await;
    check("method", &method, 405, OF_KEY);
    let mut allowed: Vec<_> = method.header("allow").split(',').collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["GET", "HEAD", "POST"]);
    check("method of an open route", &harness.ask("POST", "/livez", "", None).await, 405, OF_ADDRESS);
    harness.trunk(&key, "support-01").await;
    check("taken", &harness.post("/v1/trunks", &key, custom_trunk("SUPPORT-01")).await, 409, OF_KEY);
    let large = harness.post("/v1/trunks", &key, json!({"name": "x".repeat(70_000)})).await;
    check("large", &large, 413, OF_KEY);
    let mut form = request("POST", "/v1/trunks", &key);
    form.headers_mut().insert("content-type", "text/plain".parse().unwrap());
    check("form", &harness.send(form).await, 415, OF_KEY);
}

#[tokio::test]
async fn a_429_response_has_all_headers() {
    let harness = Harness::new().await;
    let key = harness.key(json!({"preset": "testing", "rate_limit_per_minute": 1})).await;
    check("first", &harness.get("/v1/whoami", &key).await, 200, 1);
    let refused = harness.get("/v1/whoami", &key).await;
    check("second", &refused, 429, 1);
    assert_eq!(refused.message(), "Rate limit of 1 requests per minute exceeded");
    harness.pass(60);
    harness.get("/v1/whoami", &key).await.expect(200);
}

#[tokio::test]
async fn a_408_response_has_all_headers() {
    let harness =
        Harness::with(OF_ADDRESS, |options| options.api.body_timeout = Duration::from_millis(1)).await;
    let key = harness.master().await;
    let mut slow = request("POST", "/v1/trunks", &key);
    slow.headers_mut().insert("content-type", "application/json".parse().unwrap());
    *slow.body_mut() =
        Body::from_stream(futures_util::stream::pending::<Result<bytes::Bytes, std::io::Error>>());
    check("slow", &harness.send(slow).await, 408, OF_KEY);
}

#[tokio::test]
async fn a_handler_that_exceeds_its_time_limit_is_answered_with_503() {
    let harness =
        Harness::with(OF_ADDRESS, |options| options.api.request_timeout = Duration::from_millis(1)).await;
    let key = harness.master().await;
    let mut slow: Request<Body> = request("POST", "/v1/trunks", &key);
    slow.headers_mut().insert("content-type", "application/json".parse().unwrap());
    *slow.body_mut() =
        Body::from_stream(futures_util::stream::pending::<Result<bytes::Bytes, std::io::Error>>());
    check("slow", &harness.send(slow).await, 503, OF_KEY);
}

#[tokio::test]
async fn a_panic_in_a_handler_is_answered_with_500_and_all_headers() {
    async fn broken() -> &'static str {
        panic!("the media plane is broken")
    }
    let mut harness = Harness::new().await;
    drop(harness.server);
    Arc::get_mut(&mut harness.api).unwrap().router = Router::new().fallback(broken);
    let peer = Peer::Remote(address(CALLER));
    let answer = collect(harness.api.handle(request("GET", "/livez", ""), peer).await).await;
    check("panic", &answer, 500, OF_ADDRESS);
    assert_eq!(answer.code(), "INTERNAL");
    assert!(!answer.message().contains("media"), "the reason is not the caller's to know");
}

#[tokio::test]
async fn without_storage_a_request_that_needs_it_is_answered_with_503() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    harness.get("/v1/whoami", &key).await.expect(200);
    harness.store.close().await;
    for path in ["/v1/keys", "/v1/trunks", "/v1/calls"] {
        let answer = harness.get(path, &key).await;
        check(path, &answer, 503, OF_KEY);
        assert_eq!(answer.code(), "UNAVAILABLE");
    }
    // The key and its account are in memory, which is current as long as this is the only server or has a lease.
    check("whoami", &harness.get("/v1/whoami", &key).await, 200, OF_KEY);
    check("readyz", &harness.get("/readyz", "").await, 503, OF_ADDRESS);
    harness.get("/livez", "").await.expect(200);
}

#[tokio::test]
async fn readyz_reuses_a_storage_check_for_a_second_of_monotonic_time() {
    let harness = Harness::new().await;
    harness.get("/readyz", "").await.expect(200);
    harness.store.close().await;
    harness.get("/readyz", "").await.expect(200);
    // A step of the wall clock in either direction changes nothing.
    harness.pass(3600);
    harness.get("/readyz", "").await.expect(200);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(1)).await;
    harness.get("/readyz", "").await.expect(503);
}

#[tokio::test]
async fn a_draining_server_is_not_ready_but_live_and_serving() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    let readiness = harness.api.readiness();
    assert!(readiness.is_ready());
    readiness.set(false);
    check("readyz", &harness.get("/readyz", "").await, 503, OF_ADDRESS);
    harness.get("/livez", "").await.expect(200);
    harness.get("/v1/whoami", &key).await.expect(200);
    readiness.set(true);
    harness.get("/readyz", "").await.expect(200);
}

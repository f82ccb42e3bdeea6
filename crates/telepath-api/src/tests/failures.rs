//! A request that the server fails is logged once, at error level, with its cause.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use serde_json::json;
use telepath_http::Peer;

use super::harness::{Answer, Harness, address, collect, request};
use super::log::Log;
use crate::app::Api;

/// Asserts that exactly one line is an error, that it names request, route and cause, and that it holds no secret.
fn assert_one_error(log: &Log, answer: &Answer, route: &str, cause: &str, secret: &str) {
    let errors = log.errors();
    assert_eq!(errors.len(), 1, "{errors:#?}");
    let line = &errors[0];
    let status = format!("status={}", answer.status.as_u16());
    let route = format!("route=\"{route}\"");
    for part in [answer.header("x-request-id"), &route, &status, &answer.code(), cause] {
        assert!(!part.is_empty() && line.contains(part), "{part} in {line}");
    }
    assert!(!line.contains(secret), "a secret is in the log");
}

#[tokio::test]
async fn a_5xx_because_of_the_storage_is_logged_once_as_an_error_with_its_cause() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    harness.store.close().await;
    let log = Log::default();
    let guard = log.capture();
    let answer = harness.get("/v1/keys", &master).await.expect(503);
    drop(guard);
    assert_one_error(&log, &answer, "/v1/keys", "the database is unavailable: ", &master);

    let log = Log::default();
    let guard = log.capture();
    let answer = harness.get("/readyz", "").await.expect(503);
    drop(guard);
    let cause = "the storage does not respond: the database is unavailable: ";
    assert_one_error(&log, &answer, "/readyz", cause, &master);
}

#[tokio::test]
async fn a_panic_behind_a_handler_is_logged_once_as_an_error_with_its_text() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    let trunk = harness.trunk(&master, "support-01").await;
    let call = harness.call(trunk, "+15550100001").await;
    let media = Arc::clone(&harness.media);
    let poison = AssertUnwindSafe(|| {
        let _asked = media.asked.lock().unwrap();
        panic!("poison the list of the media plane");
    });
    assert!(std::panic::catch_unwind(poison).is_err());
    let log = Log::default();
    let guard = log.capture();
    let answer = harness.post(&format!("/v1/calls/{call}/hangup"), &master, json!({})).await.expect(500);
    drop(guard);
    assert_one_error(&log, &answer, "/v1/calls/{id}/hangup", "PoisonError", &master);
}

#[tokio::test]
async fn a_handler_that_panics_or_takes_too_long_is_logged_once_as_an_error() {
    let limit = Duration::from_millis(20);
    let harness = Harness::with(600, |options| options.api.request_timeout = limit).await;
    let broken = async || -> &'static str { panic!("index out of bounds") };
    let slow = async || std::future::pending::<&'static str>().await;
    let router = Router::new().route("/livez", get(broken)).route("/readyz", get(slow));
    let api = Api { shared: Arc::clone(&harness.api.shared), router };
    for (path, cause) in [
        ("/livez", "the handler panicked: index out of bounds"),
        ("/readyz", "the handler took longer than 20ms"),
    ] {
        let log = Log::default();
        let guard = log.capture();
        let response = api.handle(request("GET", path, ""), Peer::Remote(address("203.0.113.7"))).await;
        drop(guard);
        assert_one_error(&log, &collect(response).await, path, cause, "sk_live_");
    }
}

#[tokio::test]
async fn a_request_that_the_client_got_wrong_is_no_error_of_the_server() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    let log = Log::default();
    let guard = log.capture();
    harness.get("/v1/keys", &master).await.expect(200);
    harness.get("/v1/keys?limit=x", &master).await.expect(400);
    harness.get("/v1/keys", "").await.expect(401);
    harness.get("/v1/nothing", &master).await.expect(404);
    drop(guard);
    assert_eq!(log.errors(), Vec::<String>::new());
    assert!(log.text().contains("request_id=req_"), "the log was captured");
}

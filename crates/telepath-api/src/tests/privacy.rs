//! What is logged and counted says enough for those who run the server and nothing that they must not know.

use serde_json::json;
use telepath_http::ConnectionMode;

use super::harness::{Harness, address, request};
use super::log::Log;

#[tokio::test]
async fn no_secret_reaches_the_log_or_an_error_answer() {
    let log = Log::default();
    let guard = log.capture();
    let harness = Harness::new().await;
    let master = harness.master().await;
    let stranger = Harness::new().await.master().await;
    let mut secrets = vec![master.clone(), stranger.clone(), "hunter2-hunter2".to_owned()];
    let mut errors = Vec::new();

    let made =
        harness.post("/v1/keys", &master, json!({"name": "n", "preset": "testing"})).await.expect(201).json();
    secrets.push(made["secret"].as_str().unwrap().to_owned());
    let mut trunk = super::harness::custom_trunk("support-01");
    trunk["custom_headers"] = json!({"Authorization": "hunter2-hunter2"});
    let made = harness.post("/v1/trunks", &master, trunk).await.expect(201).json();
    secrets.push(made["sip_password"].as_str().unwrap().to_owned());
    let path = format!("/v1/trunks/{}", made["id"].as_str().unwrap());
    let rotated =
        harness.ask("POST", &format!("{path}/rotate-password"), &master, None).await.expect(200).json();
    secrets.push(rotated["sip_password"].as_str().unwrap().to_owned());

    errors.push(harness.get("/v1/whoami", &stranger).await);
    errors.push(harness.get(&format!("/v1/whoami?api_key={master}"), "").await);
    errors.push(harness.get(&format!("/v1/trunks?{master}=1"), &master).await);
    errors.push(harness.get(&format!("/v1/trunks/{master}"), &master).await);
    errors.push(harness.get(&format!("/{master}"), "").await);
    for body in [
        json!({"sip_password": ["hunter2-hunter2"]}),
        json!({"max_call_seconds": "hunter2-hunter2"}),
        json!({"custom_headers": "hunter2-hunter2"}),
        json!({"sip_password": "hunter2-hunter2", "openai_api_key": "hunter2-hunter2", "ai_provider": "openai"}),
        json!({"custom_headers": {"Host": "hunter2-hunter2"}, "ai_provider": "custom"}),
    ] {
        errors.push(harness.post("/v1/trunks", &master, body.clone()).await);
        errors.push(harness.ask("PATCH", &path, &master, Some(body)).await);
    }
    harness.store.close().await;
    errors.push(harness.get("/v1/keys", &master).await.expect(503));
    drop(guard);

    let text = log.text();
    assert!(text.contains("request_id=req_"), "the log was captured");
    for secret in &secrets {
        assert!(!text.contains(secret.as_str()), "a secret is in the log");
        for error in &errors {
            assert!(error.status.as_u16() >= 400);
            assert!(
                !String::from_utf8_lossy(&error.body).contains(secret.as_str()),
                "a secret is in an answer"
            );
        }
    }
}

#[tokio::test]
async fn a_request_is_logged_by_route_and_ids() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    let whoami = harness.get("/v1/whoami", &master).await.json();
    let log = Log::default();
    let guard = log.capture();
    let answer = harness.get("/v1/trunks/conn_private", &master).await.expect(404);
    drop(guard);
    let text = log.text();
    for part in [
        "DEBUG",
        "route=\"/v1/trunks/{id}\"",
        "method=\"GET\"",
        "status=404",
        "TRUNK_NOT_FOUND",
        answer.header("x-request-id"),
        whoami["id"].as_str().unwrap(),
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("conn_private"));
}

#[tokio::test]
async fn a_key_received_over_plain_http_is_logged_by_its_id() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    let id = harness.get("/v1/whoami", &master).await.json()["id"].as_str().unwrap().to_owned();
    let refuse = async |from: &str| {
        let log = Log::default();
        let guard = log.capture();
        let mode = ConnectionMode::PlainHttp(address(from));
        let answer = harness.send_from(request("GET", "/v1/whoami", &master), mode).await;
        drop(guard);
        (answer.expect(400), log.text())
    };
    let (answer, text) = refuse("203.0.113.7").await;
    assert_eq!(answer.code(), "HTTPS_REQUIRED");
    assert_eq!(answer.header("connection"), "close");
    assert!(
        text.contains("WARN") && text.contains("received over plain HTTP") && text.contains(&id),
        "{text}"
    );
    assert!(!text.contains(&master));
    let (_, text) = refuse("127.0.0.1").await;
    assert!(!text.contains("WARN"), "on this machine nobody listens in");
}

#[tokio::test]
async fn metrics_count_requests_and_refusals_with_bounded_labels() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    let trunk = harness.trunk(&master, "support-01").await;
    harness.call(trunk, "+15550100123").await;
    harness.get("/v1/trunks/conn_private", &master).await.expect(404);
    harness.get("/v1/private", &master).await.expect(404);
    harness.get("/v1/whoami", "").await.expect(401);
    let reader = harness
        .key(json!({"preset": "custom", "rate_limit_per_minute": 60, "scopes": ["metrics:read"]}))
        .await;
    let answer = harness.get("/metrics", &reader).await.expect(200);
    assert!(answer.header("content-type").starts_with("text/plain; version=0.0.4"));
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    for line in [
        "telepath_api_requests_total{route=\"/v1/trunks\",method=\"POST\",status=\"2xx\"} 1",
        "telepath_api_requests_total{route=\"/v1/trunks/{id}\",method=\"GET\",status=\"4xx\"} 1",
        "telepath_api_requests_total{route=\"unmatched\",method=\"other\",status=\"4xx\"} 1",
        "telepath_api_refusals_total{reason=\"missing_key\"} 1",
        "telepath_keys 2",
        "telepath_api_request_duration_seconds_bucket{route=\"/v1/trunks\",method=\"POST\",le=\"+Inf\"} 1",
    ] {
        assert!(text.lines().any(|known| known == line), "{line} in\n{text}");
    }
    assert!(!text.contains("private"));
}

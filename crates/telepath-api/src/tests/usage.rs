//! The usage of keys and of their secrets as its readers see it.

use std::time::Duration;

use serde_json::json;
use telepath_core::usage::DURATION_BOUNDS_US;
use telepath_metrics::LatencyHistogram;

use super::harness::{CALLER, Harness, request};

#[tokio::test]
async fn usage_is_shown_by_bucket_route_and_status() {
    let harness = Harness::new().await;
    let reader = harness.master().await;
    let key = harness.key(json!({"preset": "testing", "name": "Used"})).await;
    let id = harness.get("/v1/whoami", &key).await.json()["id"].as_str().unwrap().to_owned();
    harness.get("/v1/trunks/conn_x", &key).await.expect(404);
    harness.get("/v1/nothing", &key).await.expect(404);
    harness.pass(3600);
    harness.get("/v1/whoami", &key).await.expect(200);
    harness.pass(1);
    let usage = harness.get(&format!("/v1/keys/{id}/usage?interval=hour"), &reader).await.expect(200).json();
    assert_eq!((&usage["request_count"], &usage["error_count"]), (&json!(4), &json!(2)));
    let buckets = usage["buckets"].as_array().unwrap();
    assert_eq!(buckets.len(), 24);
    assert_eq!(buckets[22]["start"], "2027-01-15T08:00:00.000Z");
    assert_eq!(buckets[22]["statuses"], json!({"2xx": 1, "4xx": 2}));
    let routes: Vec<_> = buckets[22]["routes"].as_array().unwrap().iter().map(|r| &r["route"]).collect();
    assert_eq!(routes, ["GET /v1/trunks/{id}", "GET /v1/whoami", "unmatched"]);
    assert_eq!(buckets[23]["requests"], 1);
    assert_eq!(usage["addresses"][0]["address"], CALLER);
    assert_eq!(usage["addresses"][0]["requests"], 4);
    for wrong in [
        "interval=week",
        "start_date=2027-01-16&end_date=2027-01-15",
        "interval=minute&start_date=2027-01-01",
    ] {
        harness.get(&format!("/v1/keys/{id}/usage?{wrong}"), &reader).await.expect(400);
    }
    let day = "interval=day&start_date=2027-01-15&end_date=2027-01-15";
    let usage = harness.get(&format!("/v1/keys/{id}/usage?{day}"), &reader).await.expect(200).json();
    assert_eq!(usage["buckets"].as_array().unwrap().len(), 1);
    assert_eq!(usage["buckets"][0]["requests"], 4);
    let missing = "/v1/keys/key_00000000000000000000000000/usage";
    assert_eq!(harness.get(missing, &reader).await.expect(404).code(), "KEY_NOT_FOUND");
}

#[tokio::test]
async fn a_429_is_counted_separately_from_other_4xx() {
    let harness = Harness::new().await;
    let reader = harness.master().await;
    let key = harness.key(json!({"preset": "testing", "rate_limit_per_minute": 2})).await;
    let id = harness.get("/v1/whoami", &key).await.json()["id"].as_str().unwrap().to_owned();
    harness.get("/v1/trunks/conn_x", &key).await.expect(404);
    for _ in 0..3 {
        harness.get("/v1/whoami", &key).await.expect(429);
    }
    harness.pass(1);
    let usage = harness.get(&format!("/v1/keys/{id}/usage"), &reader).await.expect(200).json();
    let last = usage["buckets"].as_array().unwrap().last().unwrap();
    assert_eq!(last["statuses"], json!({"2xx": 1, "4xx": 1, "429": 3}));
    assert_eq!((&last["requests"], &last["errors"]), (&json!(5), &json!(4)));
}

#[tokio::test]
async fn usage_has_a_histogram_of_durations_with_its_percentiles() {
    let harness = Harness::new().await;
    let reader = harness.master().await;
    let key = harness.key(json!({"preset": "testing"})).await;
    let id = harness.get("/v1/whoami", &key).await.json()["id"].as_str().unwrap().to_owned();
    harness.get("/v1/trunks", &key).await.expect(200);
    harness.pass(1);
    let usage = harness.get(&format!("/v1/keys/{id}/usage"), &reader).await.expect(200).json();
    assert_eq!(usage["duration_bounds_us"], json!(DURATION_BOUNDS_US));
    let buckets = usage["buckets"].as_array().unwrap();
    let (empty, last) = (&buckets[0]["durations"], buckets.last().unwrap());
    assert_eq!((&empty["p50_us"], &empty["p99_us"]), (&json!(null), &json!(null)));
    for durations in [&usage["durations"], &last["durations"]] {
        let counts = durations["counts"].as_array().unwrap();
        assert_eq!(counts.len(), DURATION_BOUNDS_US.len() + 1);
        assert_eq!(counts.iter().map(|count| count.as_u64().unwrap()).sum::<u64>(), 2);
        let percentile = |name: &str| durations[name].as_u64().unwrap();
        assert!(percentile("p50_us") <= percentile("p95_us") && percentile("p95_us") <= percentile("p99_us"));
    }
    for route in last["routes"].as_array().unwrap() {
        assert!(route["durations"]["p99_us"].is_u64(), "{route}");
    }
}

#[test]
fn durations_have_the_bounds_of_the_latency_metrics() {
    let metrics: Vec<_> = LatencyHistogram::upper_bounds().collect();
    assert_eq!(metrics, DURATION_BOUNDS_US.map(Duration::from_micros));
}

#[tokio::test]
async fn usage_and_requests_of_the_old_secret_show_who_still_uses_it() {
    let harness = Harness::new().await;
    let reader = harness.master().await;
    let old = harness.key(json!({"preset": "testing"})).await;
    let id = harness.get("/v1/whoami", &old).await.json()["id"].as_str().unwrap().to_owned();
    let rotated = harness.post(&format!("/v1/keys/{id}/rotate"), &reader, json!({})).await.expect(200).json();
    let new = rotated["secret"].as_str().unwrap().to_owned();
    for (secret, program) in [(&old, "forgotten-job/1"), (&new, "app/2")] {
        let mut ask = request("GET", "/v1/trunks", secret);
        ask.headers_mut().insert("user-agent", program.parse().unwrap());
        harness.send(ask).await.expect(200);
    }
    harness.store.flush_usage().await.unwrap();
    harness.pass(1);
    let key = harness.get(&format!("/v1/keys/{id}"), &reader).await.expect(200).json();
    let secrets = key["secrets"].as_array().unwrap();
    let of = |status: &str| {
        let secret = secrets.iter().find(|secret| secret["status"] == status);
        secret.unwrap_or_else(|| panic!("{key}"))["id"].as_str().unwrap().to_owned()
    };
    let (current, grace) = (of("current"), of("grace"));
    let usage = async |query: &str| {
        harness.get(&format!("/v1/keys/{id}/usage{query}"), &reader).await.expect(200).json()
    };
    let still = usage(&format!("?secret_id={grace}")).await;
    assert_eq!((&still["secret_id"], &still["request_count"]), (&json!(grace), &json!(2)));
    assert_eq!(still["programs"][0]["user_agent"], "forgotten-job/1");
    assert_eq!(still["addresses"][0]["address"], CALLER);
    let now = usage(&format!("?secret_id={current}")).await;
    assert_eq!((&now["programs"][0]["user_agent"], &now["request_count"]), (&json!("app/2"), &json!(1)));
    assert_eq!(usage("").await["programs"].as_array().unwrap().len(), 2);
    let log = harness.get(&format!("/v1/requests?secret_id={grace}&route=/v1/trunks"), &reader).await;
    let log = log.expect(200).json();
    assert_eq!(log["requests"].as_array().unwrap().len(), 1);
    assert_eq!(log["requests"][0]["user_agent"], "forgotten-job/1");
    assert_eq!(log["requests"][0]["secret_id"], json!(grace));
    let missing = format!("/v1/keys/{id}/usage?secret_id=sec_00000000000000000000000000");
    assert_eq!(harness.get(&missing, &reader).await.expect(404).code(), "SECRET_NOT_FOUND");
    harness.get(&format!("/v1/keys/{id}/usage?secret_id=x"), &reader).await.expect(400);
}

#[tokio::test]
async fn usage_of_several_keys_is_one_response() {
    let harness = Harness::new().await;
    let reader = harness.master().await;
    let mut ids = Vec::new();
    for requests in [0, 1, 2] {
        let key = harness.key(json!({"preset": "testing", "rate_limit_per_minute": 2})).await;
        let id = harness.get("/v1/whoami", &key).await.json()["id"].as_str().unwrap().to_owned();
        for _ in 0..requests {
            harness.get("/v1/whoami", &key).await;
        }
        ids.push(id);
    }
    harness.pass(1);
    let path = format!("/v1/usage?key_id={}&key_id={}&key_id={}", ids[2], ids[0], ids[1]);
    let list = harness.get(&path, &reader).await.expect(200).json();
    assert_eq!(
        (&list["interval"], &list["start_date"]),
        (&json!("hour"), &json!("2027-01-14T09:00:00.000Z"))
    );
    let usage = list["usage"].as_array().unwrap();
    let of = |place: usize, member: &str| usage[place][member].clone();
    assert_eq!(
        [of(0, "key_id"), of(1, "key_id"), of(2, "key_id")],
        [&ids[2], &ids[0], &ids[1]].map(|id| json!(id))
    );
    assert_eq!([0, 1, 2].map(|place| of(place, "request_count")), [3, 1, 2].map(|count| json!(count)));
    assert_eq!([0, 1, 2].map(|place| of(place, "error_count")), [1, 0, 0].map(|count| json!(count)));
    let buckets = usage[0]["buckets"].as_array().unwrap();
    assert_eq!(buckets.len(), 24);
    assert_eq!((&buckets[0]["requests"], &buckets[0]["statuses"]), (&json!(0), &json!({})));
    assert_eq!(buckets[23]["statuses"], json!({"2xx": 2, "429": 1}));
}

#[tokio::test]
async fn usage_of_several_keys_refuses_what_it_cannot_answer() {
    let harness = Harness::new().await;
    let reader = harness.master().await;
    let own = harness.get("/v1/whoami", &reader).await.json()["id"].as_str().unwrap().to_owned();
    let missing = harness.get("/v1/usage", &reader).await.expect(400);
    assert_eq!(
        (missing.code(), missing.message()),
        ("MISSING_REQUIRED".into(), "Missing required field: key_id".into())
    );
    let unknown = "key_00000000000000000000000000";
    let answer = harness.get(&format!("/v1/usage?key_id={own}&key_id={unknown}"), &reader).await.expect(404);
    assert_eq!(
        (answer.code(), answer.message()),
        ("KEY_NOT_FOUND".into(), format!("Key '{unknown}' not found"))
    );
    let ids = |count: usize| {
        let ids = (0..count).map(|number| format!("key_{number:026}"));
        ids.map(|id| format!("key_id={id}")).collect::<Vec<_>>().join("&")
    };
    assert_eq!(
        harness.get(&format!("/v1/usage?{}", ids(100)), &reader).await.expect(404).code(),
        "KEY_NOT_FOUND"
    );
    harness.get(&format!("/v1/usage?{}", ids(101)), &reader).await.expect(400);
    for wrong in ["interval=week", "interval=minute&start_date=2027-01-14", "secret_id=x", "key_id=x"] {
        harness.get(&format!("/v1/usage?key_id={own}&{wrong}"), &reader).await.expect(400);
    }
}

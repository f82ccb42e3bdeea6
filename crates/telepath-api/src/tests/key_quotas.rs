//! Quotas in answers: the error, its headers, and how keys get quotas.

use serde_json::json;

use super::harness::Harness;

/// The clock of the harness starts at 08:00 UTC on 15 January 2027.
const MIDNIGHT: &str = "1800057600";

#[tokio::test]
async fn over_quota_the_answer_is_429_and_its_headers_describe_the_quota() {
    let harness = Harness::new().await;
    let key = harness.key(json!({"preset": "testing", "quotas": {"per_day": 2, "per_month": 3}})).await;
    for remaining in ["599", "598"] {
        let answer = harness.get("/v1/whoami", &key).await.expect(200);
        assert_eq!(
            (answer.header("x-ratelimit-limit"), answer.header("x-ratelimit-remaining")),
            ("600", remaining)
        );
    }
    let refused = harness.get("/v1/whoami", &key).await.expect(429);
    assert_eq!(refused.code(), "QUOTA_EXCEEDED");
    assert_eq!(refused.message(), "Quota of 2 requests per day exceeded");
    for (name, value) in [
        ("x-ratelimit-limit", "2"),
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset", MIDNIGHT),
        ("ratelimit-policy", "\"day\";q=2;w=86400"),
        ("ratelimit", "\"day\";r=0;t=57600"),
        ("retry-after", "57600"),
    ] {
        assert_eq!(refused.header(name), value, "{name}");
    }
    harness.pass(57_600);
    harness.get("/v1/whoami", &key).await.expect(200);
    let refused = harness.get("/v1/whoami", &key).await.expect(429);
    assert_eq!(refused.message(), "Quota of 3 requests per month exceeded");
    assert_eq!(refused.header("x-ratelimit-reset"), "1801440000", "1 February 2027, 00:00 UTC");
    assert_eq!(refused.header("ratelimit-policy"), "\"month\";q=3");
}

#[tokio::test]
async fn keys_are_created_and_updated_with_quotas() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    let draft = json!({"name": "n", "preset": "testing", "quotas": {"per_day": 5}});
    let made = harness.post("/v1/keys", &master, draft).await.expect(201).json();
    assert_eq!(made["quotas"], json!({"per_day": 5, "per_month": null}));
    let path = format!("/v1/keys/{}", made["id"].as_str().unwrap());
    let update = async |body| harness.ask("PATCH", &path, &master, Some(body)).await;
    let quotas = async |body| update(body).await.expect(200).json()["quotas"].clone();
    assert_eq!(quotas(json!({"quotas": {"per_month": 50}})).await, json!({"per_day": 5, "per_month": 50}));
    assert_eq!(quotas(json!({"name": "m"})).await, json!({"per_day": 5, "per_month": 50}));
    assert_eq!(quotas(json!({"quotas": {"per_day": null}})).await, json!({"per_day": null, "per_month": 50}));
    assert_eq!(quotas(json!({"quotas": null})).await, json!({"per_day": null, "per_month": null}));
    for bad in [
        json!({"quotas": {"per_day": 0}}),
        json!({"quotas": {"per_day": -1}}),
        json!({"quotas": {"per_week": 1}}),
        json!({"quotas": 5}),
    ] {
        update(bad).await.expect(400);
    }
}

#[tokio::test]
async fn a_key_with_quotas_grants_no_higher_ones() {
    let harness = Harness::new().await;
    let key =
        harness.key(json!({"preset": "custom", "scopes": ["keys:write"], "quotas": {"per_day": 10}})).await;
    let create = async |quotas: serde_json::Value| {
        let mut draft = json!({"name": "n", "preset": "custom", "scopes": ["keys:read"]});
        if !quotas.is_null() {
            draft["quotas"] = quotas;
        }
        harness.post("/v1/keys", &key, draft).await
    };
    let same = create(json!(null)).await.expect(201).json();
    assert_eq!(same["quotas"], json!({"per_day": 10, "per_month": null}), "the default is the caller's own");
    create(json!({"per_day": 9, "per_month": 5})).await.expect(201);
    for beyond in [json!({"per_day": 11}), json!({"per_day": null}), json!({"per_month": 5})] {
        let refused = create(beyond.clone()).await.expect(400).json();
        assert_eq!(refused["error"]["details"][0]["field"], "quotas.per_day", "{beyond}");
    }
}

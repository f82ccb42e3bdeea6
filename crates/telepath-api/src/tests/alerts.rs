//! Alerts through the API.

use serde_json::{Value, json};

use super::harness::{Harness, address, request};
use telepath_http::ConnectionMode;

/// Uses a revoked key, from which an alert follows.
async fn dead_key(harness: &Harness, master: &str, name: &str) -> String {
    let key = harness.key(json!({ "name": name, "preset": "testing" })).await;
    let id = harness.get("/v1/whoami", &key).await.expect(200).json()["id"].as_str().unwrap().to_owned();
    harness.post(&format!("/v1/keys/{id}/revoke"), master, json!({})).await.expect(200);
    harness.get("/v1/whoami", &key).await.expect(401);
    harness.get("/v1/whoami", &key).await.expect(401);
    harness.store.raise_security_alerts().await.unwrap();
    id
}

async fn list(harness: &Harness, key: &str, query: &str) -> Value {
    harness.get(&format!("/v1/alerts{query}"), key).await.expect(200).json()
}

#[tokio::test]
async fn the_use_of_a_revoked_key_raises_an_alert_that_is_acknowledged_once() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    let id = dead_key(&harness, &master, "Old").await;
    let body = list(&harness, &master, "").await;
    let alert = &body["alerts"][0];
    for (member, value) in [
        ("rule", json!("dead_key_used")),
        ("severity", json!("warning")),
        ("key_id", json!(id)),
        ("key_name", json!("Old")),
        ("figures", json!({"address": "203.0.113.7", "seen": 2, "state": "revoked"})),
        ("raised_at", json!("2027-01-15T08:00:00.000Z")),
        ("acknowledged_at", json!(null)),
        ("acknowledged_by", json!(null)),
        ("acknowledged_note", json!(null)),
    ] {
        assert_eq!(alert[member], value, "{member}");
    }
    assert_eq!(body["pagination"], json!({"limit": 20, "offset": 0, "total": 1, "next_cursor": null}));
    harness.pass(60);
    let path = format!("/v1/alerts/{}/acknowledge", alert["id"].as_str().unwrap());
    let first = harness.ask("POST", &path, &master, None).await.expect(200).json();
    assert_eq!(first["acknowledged_at"], "2027-01-15T08:01:00.000Z");
    let me = harness.get("/v1/whoami", &master).await.json();
    assert_eq!(first["acknowledged_by"], me["id"]);
    harness.pass(60);
    let other = harness.master().await;
    let again = harness.ask("POST", &path, &other, None).await.expect(200).json();
    assert_eq!(again, first);
    assert_eq!(list(&harness, &master, "?status=open").await["alerts"], json!([]));
    assert_eq!(list(&harness, &master, "?status=acknowledged").await["alerts"], json!([first]));
    let metrics = harness.metrics();
    assert!(metrics.contains("telepath_alerts_raised_total{rule=\"dead_key_used\"} 1"), "{metrics}");
}

#[tokio::test]
async fn alerts_are_filtered_and_paged_by_cursor() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    let mut ids = Vec::new();
    for name in ["one", "two", "three"] {
        ids.push(dead_key(&harness, &master, name).await);
        harness.pass(1);
    }
    let names = |body: &Value| -> Vec<String> {
        let alerts = body["alerts"].as_array().unwrap().iter();
        alerts.map(|alert| alert["key_name"].as_str().unwrap().to_owned()).collect()
    };
    let first = list(&harness, &master, "?limit=2").await;
    assert_eq!(names(&first), ["three", "two"]);
    let cursor = first["pagination"]["next_cursor"].as_str().unwrap();
    dead_key(&harness, &master, "four").await;
    let second = list(&harness, &master, &format!("?limit=2&cursor={cursor}")).await;
    assert_eq!(
        (names(&second), &second["pagination"]["next_cursor"]),
        (vec!["one".to_owned()], &json!(null))
    );
    assert_eq!(names(&list(&harness, &master, &format!("?key_id={}", ids[1])).await), ["two"]);
    assert_eq!(names(&list(&harness, &master, "?rule=unused").await), [""; 0]);
    for wrong in
        ["?rule=nonsense", "?status=new", "?cursor=7", &format!("?cursor={cursor}&offset=1"), "?key=x"]
    {
        harness.get(&format!("/v1/alerts{wrong}"), &master).await.expect(400);
    }
}

#[tokio::test]
async fn alerts_need_their_scopes_and_an_existing_id() {
    let harness = Harness::new().await;
    let reader =
        harness.key(json!({"preset": "custom", "scopes": ["usage:read"], "rate_limit_per_minute": 60})).await;
    let other =
        harness.key(json!({"preset": "custom", "scopes": ["keys:read"], "rate_limit_per_minute": 60})).await;
    list(&harness, &reader, "").await;
    harness.get("/v1/alerts", &other).await.expect(403);
    harness.ask("POST", "/v1/alerts/alr_x/acknowledge", &reader, None).await.expect(403);
    let master = harness.master().await;
    for id in ["alr_x", "alr_00000000000000000000000000"] {
        let missing =
            harness.ask("POST", &format!("/v1/alerts/{id}/acknowledge"), &master, None).await.expect(404);
        assert_eq!(
            (missing.code(), missing.message()),
            ("ALERT_NOT_FOUND".into(), format!("Alert '{id}' not found"))
        );
    }
}

#[tokio::test]
async fn a_key_received_over_plain_http_raises_a_critical_alert() {
    let harness = Harness::with(600, |options| {
        options.server.trusted_proxies = "192.0.2.0/24".parse().unwrap();
    })
    .await;
    let master = harness.master().await;
    let mut clear = request("GET", "/v1/whoami", &master);
    clear.headers_mut().insert("x-forwarded-for", "198.51.100.9".parse().unwrap());
    clear.headers_mut().insert("x-forwarded-proto", "http".parse().unwrap());
    harness.send_from(clear, ConnectionMode::Tls(address("192.0.2.1"))).await.expect(400);
    harness.store.raise_security_alerts().await.unwrap();
    let alert = &list(&harness, &master, "").await["alerts"][0];
    assert_eq!((&alert["rule"], &alert["severity"]), (&json!("seen_in_clear"), &json!("critical")));
    assert_eq!(alert["figures"], json!({"address": "198.51.100.9", "seen": 1}));
}

#[tokio::test]
async fn a_note_is_kept_with_the_first_acknowledgement_and_audited() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    dead_key(&harness, &master, "Old").await;
    let alert = list(&harness, &master, "").await["alerts"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/alerts/{alert}/acknowledge");
    for wrong in [
        json!({"note": ""}),
        json!({"note": "x".repeat(1001)}),
        json!({"note": "\u{1b}[2J"}),
        json!({"note": 5}),
        json!({"text": "unknown"}),
        json!({"note": format!("the key is {master}")}),
    ] {
        let refused = harness.post(&path, &master, wrong).await.expect(400);
        assert!(!String::from_utf8_lossy(&refused.body).contains(&master));
    }
    assert_eq!(list(&harness, &master, "?status=open").await["pagination"]["total"], 1, "nothing was kept");
    let note = "The new office in Lyon;\nexpected.";
    let first = harness.post(&path, &master, json!({"note": note})).await.expect(200).json();
    assert_eq!(first["acknowledged_note"], note);
    let again = harness.post(&path, &master, json!({"note": "Another."})).await.expect(200).json();
    assert_eq!(again, first);
    let trail = harness.get("/v1/audit-events?action=alert.acknowledged", &master).await.expect(200).json();
    assert_eq!(trail["pagination"]["total"], 1);
    assert_eq!(trail["audit_events"][0]["after"]["note"], note);
}

#[tokio::test]
async fn a_test_without_a_mail_server_says_what_is_missing() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    for body in [json!({}), json!({ "kind": "mail" })] {
        let tested = harness.post("/v1/alerts/test", &master, body).await.expect(200).json();
        assert_eq!(tested["sent"], false);
        assert!(tested["error"].as_str().unwrap().contains("smtp.host"), "{tested}");
    }
    harness.post("/v1/alerts/test", &master, json!({ "kind": "sms" })).await.expect(400);
}

//! The request log, usage and the audit trail as their readers see them.

use axum::body::Body;
use serde_json::{Value, json};

use super::harness::{Answer, CALLER, Harness, custom_trunk, request};

/// Lets pass what a reader waits for at most, and writes what was answered.
async fn settle(harness: &Harness) {
    harness.store.flush_usage().await.unwrap();
    harness.pass(1);
}

async fn requests(harness: &Harness, key: &str, query: &str) -> Vec<Value> {
    let answer = harness.get(&format!("/v1/requests?{query}"), key).await.expect(200);
    answer.json()["requests"].as_array().unwrap().clone()
}

fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body.to_vec()).unwrap()
}

#[tokio::test]
async fn a_logged_request_has_all_its_members() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    let id = harness.get("/v1/whoami", &key).await.json()["id"].clone();
    let shown = harness.get(&format!("/v1/keys/{}", id.as_str().unwrap()), &key).await.expect(200).json();
    let secret = shown["secrets"][0]["id"].clone();
    let mut ask = request("GET", "/v1/trunks/conn_x?secret=sk_live_abc", &key);
    ask.headers_mut().insert("user-agent", "curl/8.5".parse().unwrap());
    let answered = harness.send(ask).await.expect(404);
    settle(&harness).await;
    let shown = requests(&harness, &key, "status=4xx").await.remove(0);
    let duration = shown["duration_us"].as_u64().unwrap();
    assert_eq!(
        shown,
        json!({
            "id": answered.header("x-request-id"), "time": "2027-01-15T08:00:00.000Z", "key_id": id,
            "secret_id": secret, "user_id": null,
            "method": "GET", "route": "/v1/trunks/{id}", "path": "/v1/trunks/conn_x", "status": 404,
            "error_code": "TRUNK_NOT_FOUND", "address": CALLER, "user_agent": "curl/8.5",
            "duration_us": duration
        })
    );
}

#[tokio::test]
async fn refused_requests_are_logged_for_known_keys_only() {
    let harness = Harness::new().await;
    let reader = harness.master().await;
    let bound = harness.key(json!({"preset": "testing", "allowed_ips": ["192.0.2.0/24"]})).await;
    let limited = harness.key(json!({"preset": "testing", "rate_limit_per_minute": 1})).await;
    let dead = harness.key(json!({"preset": "testing", "expires_at": "2027-01-15T08:00:01Z"})).await;
    harness.get("/v1/whoami", &bound).await.expect(403);
    harness.get("/v1/whoami", &limited).await.expect(200);
    harness.get("/v1/whoami", &limited).await.expect(429);
    harness.get("/v1/whoami", "").await.expect(401);
    harness.get("/v1/whoami", "sk_live_nonsense").await.expect(401);
    harness.pass(2);
    harness.get("/v1/whoami", &dead).await.expect(401);
    settle(&harness).await;
    let mut codes: Vec<_> = requests(&harness, &reader, "route=/v1/whoami")
        .await
        .iter()
        .map(|request| request["error_code"].as_str().unwrap_or("none").to_owned())
        .collect();
    codes.sort();
    assert_eq!(codes, ["INVALID_API_KEY", "IP_NOT_ALLOWED", "RATE_LIMIT_EXCEEDED", "none"]);
    let keys = harness.get("/v1/keys?limit=100", &reader).await.json();
    let used = keys["keys"].as_array().unwrap().iter().filter(|key| !key["last_used_at"].is_null());
    assert_eq!(used.count(), 2, "a key that was refused at the door was not used");
}

#[tokio::test]
async fn the_request_log_is_paged_by_cursor_in_both_orders() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    for _ in 0..7 {
        harness.get("/v1/trunks", &key).await.expect(200);
        settle(&harness).await;
    }
    for sort in ["time", "-time"] {
        let (mut cursor, mut ids) = (String::new(), Vec::new());
        loop {
            let query = format!("/v1/requests?route=/v1/trunks&limit=2&sort={sort}{cursor}");
            let page = harness.get(&query, &key).await.expect(200).json();
            assert_eq!(page["pagination"]["limit"], 2);
            let found = page["requests"].as_array().unwrap();
            ids.extend(found.iter().map(|request| request["id"].as_str().unwrap().to_owned()));
            match page["pagination"]["next_cursor"].as_str() {
                Some(next) if !found.is_empty() => cursor = format!("&cursor={next}"),
                Some(_) => {
                    assert_eq!(sort, "time", "only one who reads forward goes on for ever");
                    break;
                }
                None => break,
            }
        }
        assert_eq!(ids.len(), 7);
        assert!(if sort == "time" { ids.is_sorted() } else { ids.iter().rev().is_sorted() });
    }
    for wrong in
        ["cursor=x", "sort=status", "status=9xx", "format=xml", "limit=0", "error_code=NONE", "address=x"]
    {
        let answer = harness.get(&format!("/v1/requests?{wrong}"), &key).await.expect(400);
        assert_eq!(answer.code(), "INVALID_PARAMS", "{wrong}");
    }
}

#[tokio::test]
async fn exports_contain_all_lines_and_no_formulas() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    for number in 0..30 {
        let mut ask = request("GET", "/v1/trunks", &key);
        ask.headers_mut().insert("user-agent", format!("=agent \"{number}\"").parse().unwrap());
        harness.send(ask).await.expect(200);
    }
    settle(&harness).await;
    let lines = harness.get("/v1/requests?format=ndjson&sort=time", &key).await.expect(200);
    assert_eq!(lines.header("content-type"), "application/x-ndjson");
    let lines = text(&lines);
    let parsed: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(parsed.len(), 30);
    assert_eq!(parsed[3]["user_agent"], "=agent \"3\"");
    let list = harness.get("/v1/requests?sort=time&limit=30", &key).await.expect(200).json();
    assert_eq!(list["requests"], json!(parsed), "an export has the members of the list");
    let mut ask = request("GET", "/v1/requests?route=/v1/trunks&sort=time", &key);
    ask.headers_mut().insert("accept", "text/csv".parse().unwrap());
    let table = harness.send(ask).await.expect(200);
    assert_eq!(table.header("content-type"), "text/csv; charset=utf-8");
    assert_eq!(table.header("content-disposition"), "attachment; filename=\"requests.csv\"");
    let table = text(&table);
    assert_eq!(table.lines().count(), 31);
    assert!(table.starts_with("id,time,key_id,method,route,path,status,"));
    assert!(table.lines().nth(4).unwrap().contains(r#","'=agent ""3""","#));
    harness.get("/v1/requests?format=csv&limit=5", &key).await.expect(400);
}

#[tokio::test]
async fn concurrent_exports_are_limited_and_release_their_slots() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let ask = request("GET", "/v1/requests?format=ndjson", &key);
        let peer = telepath_http::Peer::Remote(CALLER.parse().unwrap());
        open.push(harness.api.handle(ask, peer).await);
    }
    harness.get("/v1/requests?format=ndjson", &key).await.expect(503);
    for answer in open {
        super::harness::collect(answer).await.expect(200);
    }
    // The task gives its place back a moment after its last line.
    while harness.get("/v1/requests?format=ndjson", &key).await.status != 200 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_audit_trail_is_listed_filtered_and_verified() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    let actor = harness.get("/v1/whoami", &key).await.json()["id"].as_str().unwrap().to_owned();
    for number in 0..5 {
        harness.trunk(&key, &format!("support-{number}")).await;
    }
    let mut ask = request("POST", "/v1/trunks", &key);
    ask.headers_mut().insert("content-type", "application/json".parse().unwrap());
    *ask.body_mut() = Body::from(custom_trunk("support-0").to_string());
    harness.send(ask).await.expect(409);
    let list =
        async |query: &str| harness.get(&format!("/v1/audit-events?{query}"), &key).await.expect(200).json();
    let all = list("").await;
    let events = all["audit_events"].as_array().unwrap();
    assert_eq!((events.len(), &all["pagination"]["total"]), (7, &json!(7)));
    assert_eq!((&events[0]["position"], &events[0]["actor"]), (&json!(7), &json!(actor)));
    assert_eq!((&events[0]["action"], &events[0]["address"]), (&json!("trunk.created"), &json!(CALLER)));
    assert_eq!(events[0]["after"]["sip_username"], "support-4");
    assert_eq!(events[0]["hash"].as_str().unwrap().len(), 64);
    assert!(!all.to_string().contains("sip_password\":\""));
    let first = list(&format!("actor={actor}&action=trunk.created&limit=3")).await;
    assert_eq!(first["pagination"]["total"], 5);
    let next = first["pagination"]["next_cursor"].as_str().unwrap();
    let rest = list(&format!("actor={actor}&action=trunk.created&limit=3&cursor={next}")).await;
    assert_eq!(rest["audit_events"].as_array().unwrap().len(), 2);
    assert_eq!(rest["pagination"]["next_cursor"], json!(null));
    let target = events[0]["target"].as_str().unwrap();
    assert_eq!(list(&format!("target={target}")).await["pagination"]["total"], 1);
    assert_eq!(list("end_date=2027-01-14").await["pagination"]["total"], 0);
    for wrong in
        ["actor=nobody", "action=nothing", "cursor=aud_x", "cursor=aud_00000000000000000000000000", "limit=0"]
    {
        harness.get(&format!("/v1/audit-events?{wrong}"), &key).await.expect(400);
    }
    let verdict = harness.get("/v1/audit-events/verify", &key).await.expect(200).json();
    let head = verdict["head"].as_str().unwrap();
    let whole = json!({"intact": true, "entries": 7, "broken_at": null, "head": head, "expired_up_to": 0,
        "unkeyed_up_to": 0, "expected_head": null});
    assert_eq!(verdict, whole);
    for (expected, result) in
        [(head, "found"), (&head.replace("7:", "6:"), "different"), (&head.replace("7:", "8:"), "missing")]
    {
        let path = format!("/v1/audit-events/verify?expect_head={expected}");
        assert_eq!(harness.get(&path, &key).await.expect(200).json()["expected_head"], result);
    }
    harness.get("/v1/audit-events/verify?expect_head=7", &key).await.expect(400);
}

#[tokio::test]
async fn lost_log_entries_are_counted_in_the_metrics() {
    let harness = Harness::new().await;
    let figures = harness.metrics();
    for what in ["details", "counts"] {
        assert!(figures.contains(&format!("telepath_request_log_lost_total{{what=\"{what}\"}} 0")), "{what}");
    }
}

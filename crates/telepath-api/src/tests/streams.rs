//! Streams of activity: what they show, how they continue and when they end.

use axum::body::Body;
use axum::response::Response;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use telepath_core::alert::SecuritySignal;
use telepath_core::webhook::delivery::ErrorClass;
use telepath_http::ConnectionMode;

use super::harness::{CALLER, Harness, address, collect, request};
use super::webhooks;

/// A stream that is read event by event.
struct Reader {
    body: Body,
    text: String,
    last_id: String,
}

impl Reader {
    async fn open(harness: &Harness, key: &str, query: &str, last_id: &str) -> Self {
        let response = open(harness, key, query, last_id).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        let mut reader = Self { body: response.into_body(), text: String::new(), last_id: String::new() };
        while reader.last_id.is_empty() {
            reader.fill().await;
            assert_eq!(reader.take(), None, "only what comes later is sent");
        }
        reader
    }

    /// Reads more; panics at the end of the stream.
    async fn fill(&mut self) {
        let frame = self.body.frame().await.unwrap().unwrap().into_data().unwrap();
        self.text.push_str(std::str::from_utf8(&frame).unwrap());
    }

    /// The next event that was read, as name and data.
    fn take(&mut self) -> Option<(String, Value)> {
        while let Some((event, rest)) = self.text.split_once("\n\n") {
            let (event, rest) = (event.to_owned(), rest.to_owned());
            self.text = rest;
            let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
            if let Some(id) = field("id: ") {
                id.clone_into(&mut self.last_id);
            }
            if let Some(data) = field("data: ") {
                return Some((field("event: ").unwrap().to_owned(), serde_json::from_str(data).unwrap()));
            }
        }
        None
    }

    async fn next(&mut self) -> (String, Value) {
        loop {
            if let Some(event) = self.take() {
                return event;
            }
            self.fill().await;
        }
    }

    /// The id after everything that was sent.
    async fn position(&mut self, after: &str) -> String {
        loop {
            assert_eq!(self.take(), None);
            if self.last_id != after {
                break;
            }
            self.fill().await;
        }
        self.last_id.clone()
    }
}

async fn open(harness: &Harness, key: &str, query: &str, last_id: &str) -> Response {
    let mut ask = request("GET", &format!("/v1/stream{query}"), key);
    if !last_id.is_empty() {
        ask.headers_mut().insert("last-event-id", last_id.parse().unwrap());
    }
    let mode = ConnectionMode::Tls(CALLER.parse().unwrap());
    harness.server.respond(ask, mode).await.map(Body::new)
}

#[tokio::test]
async fn a_stream_shows_requests_calls_and_alerts() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    let trunk = harness.trunk(&key, "support-01").await;
    let id = harness.get("/v1/whoami", &key).await.json()["id"].as_str().unwrap().to_owned();
    harness.pass(60);
    let mut reader = Reader::open(&harness, &key, "", "").await;
    harness.pass(1);
    let call = harness.call(trunk, "+15550100123").await;
    let signal = SecuritySignal::SeenInClear { key: id.parse().unwrap(), address: address(CALLER) };
    harness.store.record_security_signal(signal);
    harness.store.raise_security_alerts().await.unwrap();
    harness.get("/v1/trunks", &key).await.expect(200);
    harness.store.flush_usage().await.unwrap();
    harness.pass(3);
    let mut seen = std::collections::BTreeMap::new();
    while seen.len() < 3 {
        let (name, data) = reader.next().await;
        if name != "request" || data["path"] == "/v1/trunks" {
            seen.insert(name, data);
        }
    }
    assert_eq!(seen["call.started"]["call_id"], json!(call));
    assert_eq!(seen["alert"]["rule"], "seen_in_clear");
    assert_eq!((&seen["request"]["status"], &seen["request"]["key_id"]), (&json!(200), &json!(id)));
}

#[tokio::test]
async fn a_stream_shows_a_delivery_after_each_attempt() {
    let harness = webhooks::harness().await;
    let key = harness.key(json!({"preset": "custom", "scopes": ["keys:read", "webhooks:write"]})).await;
    let draft = json!({"url": "https://hooks.example/", "events": ["key.created"]});
    let endpoint = webhooks::make(&harness, &key, draft).await;
    harness.key(json!({"preset": "monitoring"})).await;
    let mut reader = Reader::open(&harness, &key, "?kind=deliveries", "").await;
    harness.pass(1);
    assert_eq!(webhooks::send(&harness, &endpoint, Some(ErrorClass::ServerError)).await, 1);
    harness.pass(3);
    let (name, failed) = reader.next().await;
    assert_eq!((name.as_str(), &failed["event"]), ("delivery", &json!("key.created")));
    assert_eq!((&failed["status"], &failed["attempt_count"]), (&json!("pending"), &json!(1)));
    assert_eq!((&failed["attempts"][0]["status"], &failed["webhook_id"]), (&json!(500), &endpoint["id"]));
    assert_eq!(failed["attempts"][0].get("response"), None, "responses are read one by one");
    harness.pass(10);
    assert_eq!(webhooks::send(&harness, &endpoint, None).await, 1);
    harness.pass(3);
    let (_, delivered) = reader.next().await;
    assert_eq!((&delivered["status"], &delivered["id"]), (&json!("delivered"), &failed["id"]));
    assert_eq!(delivered["attempts"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_stream_continues_after_the_last_event_id() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    let trunk = harness.trunk(&key, "support-01").await;
    let mut reader = Reader::open(&harness, &key, "?kind=calls", "").await;
    let began = reader.last_id.clone();
    harness.pass(1);
    let first = harness.call(trunk, "+15550100001").await;
    harness.pass(3);
    assert_eq!(reader.next().await.1["call_id"], json!(first));
    let position = reader.position(&began).await;
    drop(reader);
    let second = harness.call(trunk, "+15550100002").await;
    harness.pass(3);
    let response = open(&harness, &key, "?kind=calls", &position).await;
    let mut reader = Reader { body: response.into_body(), text: String::new(), last_id: String::new() };
    assert_eq!(reader.next().await.1["call_id"], json!(second), "nothing is missing or repeated");
    let wrong = collect(open(&harness, &key, "", "nonsense").await).await.expect(400);
    assert_eq!(wrong.json()["error"]["details"][0]["field"], "Last-Event-ID");
}

#[tokio::test]
async fn a_reader_that_is_far_behind_is_told_what_it_missed() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    let trunk = harness.trunk(&key, "support-01").await;
    let position = Reader::open(&harness, &key, "?kind=calls", "").await.last_id;
    harness.call(trunk, "+15550100001").await;
    harness.pass(3600);
    let response = open(&harness, &key, "?kind=calls", &position).await;
    let mut reader = Reader { body: response.into_body(), text: String::new(), last_id: String::new() };
    let (name, gap) = reader.next().await;
    assert_eq!((name.as_str(), &gap["kinds"]), ("gap", &json!(["calls"])));
    assert_eq!(gap["since"], "2027-01-15T08:00:00.000Z");
    assert_eq!(gap["until"], "2027-01-15T09:00:00.000Z");
    harness.pass(1);
    let later = harness.call(trunk, "+15550100002").await;
    harness.pass(3);
    assert_eq!(reader.next().await.1["call_id"], json!(later));
}

#[tokio::test]
async fn each_kind_needs_its_scope() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    let trunk = harness.trunk(&master, "support-01").await;
    let status = async |key: &str, query: &str| open(&harness, key, query, "").await.status().as_u16();
    let calls = harness.key(json!({"preset": "custom", "scopes": ["calls:read"]})).await;
    assert_eq!(status(&calls, "").await, 200);
    assert_eq!(status(&calls, "?kind=calls").await, 200);
    for (query, scope) in [
        ("?kind=requests", "audit:read"),
        ("?kind=calls&kind=alerts", "usage:read"),
        ("?kind=deliveries", "webhooks:read"),
    ] {
        let refused = collect(open(&harness, &calls, query, "").await).await.expect(403);
        assert_eq!(refused.json()["error"]["required_scope"], scope);
    }
    let none = harness.key(json!({"preset": "custom", "scopes": ["trunks:read"]})).await;
    assert_eq!(status(&none, "").await, 403);
    assert_eq!(status(&master, "?kind=everything").await, 400);
    let scopes = ["calls:read", "audit:read", "usage:read"];
    let limited = harness.key(json!({"preset": "custom", "scopes": scopes, "trunk_ids": [trunk]})).await;
    assert_eq!(status(&limited, "").await, 200, "of calls on its trunk");
    assert_eq!(status(&limited, "?kind=requests").await, 403);
}

#[tokio::test]
async fn a_stream_ends_when_its_key_loses_a_right_that_it_needs() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    for change in [json!({"scopes": ["calls:read"]}), json!({"allowed_ips": ["192.0.2.0/24"]}), json!(null)] {
        let scopes = ["calls:read", "audit:read"];
        let key = harness.key(json!({"preset": "custom", "scopes": scopes})).await;
        let id = harness.get("/v1/whoami", &key).await.json()["id"].as_str().unwrap().to_owned();
        let mut reader = Reader::open(&harness, &key, "", "").await;
        let path = format!("/v1/keys/{id}");
        if change.is_null() {
            harness.post(&format!("{path}/revoke"), &master, json!({})).await.expect(200);
        } else {
            harness.ask("PATCH", &path, &master, Some(change)).await.expect(200);
        }
        let ended = loop {
            match reader.body.frame().await {
                Some(Ok(_)) => {}
                ended => break ended,
            }
        };
        assert!(ended.unwrap().is_err(), "it does not look whole");
    }
}

#[tokio::test]
async fn a_stream_ends_when_the_server_stops() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    let mut reader = Reader::open(&harness, &key, "", "").await;
    harness.api.readiness().set(false);
    while let Some(frame) = reader.body.frame().await {
        frame.unwrap();
    }
}

#[tokio::test]
async fn a_key_has_at_most_four_open_streams() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    let mut open_ones = Vec::new();
    for _ in 0..4 {
        open_ones.push(Reader::open(&harness, &key, "", "").await);
    }
    let fifth = collect(open(&harness, &key, "", "").await).await.expect(409);
    assert_eq!(
        (fifth.code(), fifth.message()),
        ("LIMIT_REACHED".into(), "Limit of 4 open streams reached".into())
    );
    let other = harness.master().await;
    Reader::open(&harness, &other, "", "").await;
}

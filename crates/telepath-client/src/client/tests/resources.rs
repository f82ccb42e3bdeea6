//! The bodies that the resources send and read, over TCP.

use serde_json::{Value, json};
use telepath_core::id::Id as _;

use super::server::{Server, Step, header_of};
use super::*;
use crate::{
    AlertsQuery, AuditQuery, ExportFormat, KeyId, Patch, RequestsQuery, SecretId, UpdateKey, UpdateKeyPreset,
    UsageQuery,
};

fn key_id() -> KeyId {
    KeyId::from_bytes([1; 16])
}

fn key() -> Value {
    json!({"id": key_id(), "name": "n", "preset": "custom", "scopes": ["calls:read"], "rate_limit_per_minute": 60,
        "allowed_ips": [], "status": "active", "expires_at": null, "created_at": "2026-01-31T12:00:00.000Z",
        "created_by": "local", "last_used_at": null, "request_count": 1, "error_count": 0, "revoked_at": null, "revoke_reason": null,
        "secrets": [{"id": SecretId::from_bytes([2; 16]), "masked": "sk_live_AbC…wxyz", "status": "grace",
            "created_at": "2026-01-31T12:00:00.000Z", "expires_at": "2026-02-01T12:00:00.000Z",
            "last_used_at": "2026-01-31T13:00:00.000Z", "last_used_ip": "192.0.2.1", "newer": []}], "newer": {"x": 1}})
}

fn with_secret() -> Value {
    let mut key = key();
    key["secret"] = json!(KEY);
    key
}

fn json_step(value: &Value) -> Step {
    Step::Respond(response("200 OK", "", &value.to_string()))
}

/// The request line and the body of the request that a call sends.
fn sent(server: &Server) -> (String, String) {
    let request = server.requests().pop().unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let line = head.lines().next().unwrap().trim_end_matches(" HTTP/1.1");
    (line.to_owned(), body.to_owned())
}

#[tokio::test]
async fn a_rotation_sends_its_grace_period_and_returns_the_secret() {
    let (server, client) = Server::tcp([json_step(&with_secret()), json_step(&with_secret())]).await;
    let rotated = client.rotate_key(key_id(), Some(Duration::from_hours(1))).await.unwrap();
    assert_eq!(rotated.secret.expose(), KEY);
    assert_eq!(rotated.key.secrets[0].status, "grace");
    let path = format!("POST /v1/keys/{}/rotate", key_id());
    assert_eq!(sent(&server), (path.clone(), r#"{"grace_seconds":3600}"#.to_owned()));
    client.rotate_key(key_id(), None).await.unwrap();
    assert_eq!(sent(&server), (path, "{}".to_owned()));
}

#[tokio::test]
async fn a_withheld_secret_is_an_error_that_names_the_key() {
    let mut withheld = key();
    withheld["secret_withheld"] = json!(true);
    let all =
        json!({"rotated_at": "2026-01-31T12:00:00Z", "grace_seconds": 0, "keys": [with_secret(), withheld]});
    let (_server, client) = Server::tcp([Step::Close, json_step(&withheld), json_step(&all)]).await;
    let error = client.rotate_key(key_id(), None).await.unwrap_err();
    assert!(matches!(&error, Error::SecretLost { id } if *id == key_id().to_string()), "{error}");
    assert!(!error.may_retry());
    assert!(matches!(client.rotate_all_keys(None, None).await, Err(Error::SecretLost { .. })));
}

#[tokio::test]
async fn a_leak_is_reported_without_the_clients_own_key() {
    let (server, client) = Server::tcp([Step::Close, json_step(&json!({}))]).await;
    client.report_leak(&[SecretText::new("sk_live_found".to_owned())]).await.unwrap();
    let request = server.requests().pop().unwrap();
    assert_eq!(header_of(&request, "authorization"), None);
    assert_eq!(sent(&server).1, r#"{"secrets":["sk_live_found"]}"#);
}

#[tokio::test]
async fn an_update_contains_only_changed_members_and_null_clears() {
    let (server, client) = Server::tcp([json_step(&key()), json_step(&key())]).await;
    let change = UpdateKey { expires_at: Patch::Clear, name: Some("m".to_owned()), ..UpdateKey::default() };
    client.update_key(key_id(), &change).await.unwrap();
    assert_eq!(sent(&server).1, r#"{"name":"m","expires_at":null}"#);
    client.update_key(key_id(), &UpdateKey::default()).await.unwrap();
    assert_eq!(sent(&server), (format!("PATCH /v1/keys/{}", key_id()), "{}".to_owned()));
}

#[tokio::test]
async fn presets_are_listed_changed_and_reset() {
    let preset =
        json!({"name": "testing", "scopes": ["calls:read"], "rate_limit_per_minute": 5, "modified": true});
    let steps = [json_step(&json!({"presets": [preset]})), json_step(&preset)];
    let gone = Step::Respond(response("204 No Content", "", ""));
    let (server, client) = Server::tcp(steps.into_iter().chain([gone])).await;
    assert!(client.list_key_presets().await.unwrap()[0].modified);
    let change = UpdateKeyPreset { rate_limit_per_minute: Some(5), ..UpdateKeyPreset::default() };
    client.update_key_preset("testing", &change).await.unwrap();
    client.reset_key_preset("a/b").await.unwrap();
    assert_eq!(sent(&server).0, "DELETE /v1/key-presets/a%2Fb");
}

#[tokio::test]
async fn unknown_members_of_a_response_are_ignored() {
    let bucket = json!({"start": "2026-01-31T12:00:00Z", "requests": 3, "errors": 1, "statuses": {"2xx": 2, "4xx": 1},
        "routes": [{"route": "GET /v1/calls", "requests": 3, "errors": 1, "mean_duration_us": 812, "newer": 1}]});
    let usage = json!({"key_id": key_id(), "interval": "hour", "start_date": "2026-01-31T00:00:00Z",
        "end_date": "2026-02-01T00:00:00Z", "request_count": 3, "error_count": 1, "buckets": [bucket],
        "addresses": [{"address": "2001:db8::1", "first_seen": "2026-01-31T12:00:00Z",
            "last_seen": "2026-01-31T12:00:00Z", "requests": 3}]});
    let (server, client) = Server::tcp([json_step(&usage)]).await;
    let query = UsageQuery { interval: Some("hour".to_owned()), ..UsageQuery::default() };
    let read = client.key_usage(key_id(), &query).await.unwrap();
    assert_eq!((read.buckets[0].statuses["4xx"], read.addresses[0].requests), (1, 3));
    assert_eq!(sent(&server).0, format!("GET /v1/keys/{}/usage?interval=hour", key_id()));
}

#[tokio::test]
async fn optional_members_of_a_logged_request_may_be_missing() {
    let request = json!({"id": crate::RequestId::from_bytes([3; 16]), "time": "2026-01-31T12:00:00Z", "method": "GET",
        "path": "/v1/calls", "status": 200, "duration_us": 90});
    let page = json!({"requests": [request], "pagination": {"limit": 20, "next_cursor": "abc"}});
    let (server, client) = Server::tcp([json_step(&page)]).await;
    let query =
        RequestsQuery { status: Some("4xx".to_owned()), sort: Some("time".to_owned()), ..Default::default() };
    let read = client.list_requests(&query).await.unwrap();
    assert_eq!((read.items.len(), read.next_cursor.as_deref()), (1, Some("abc")));
    assert_eq!(sent(&server).0, "GET /v1/requests?status=4xx&sort=time");
}

#[tokio::test]
async fn an_interrupted_export_is_an_error() {
    let chunked = |tail: &str| {
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        Step::Respond(format!("{head}4\r\na,b\n\r\n4\r\n1,2\n\r\n{tail}"))
    };
    let interrupted = Step::RespondAndClose("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\na,b".to_owned());
    let unavailable = Step::status("503 Service Unavailable", "");
    let (server, client) = Server::tcp([unavailable, chunked("0\r\n\r\n"), interrupted]).await;
    let mut export = client.export_requests(&RequestsQuery::default(), ExportFormat::Csv).await.unwrap();
    let mut read = Vec::new();
    while let Some(piece) = export.next().await.unwrap() {
        read.extend_from_slice(&piece);
    }
    assert_eq!(read, b"a,b\n1,2\n");
    let request = server.requests().pop().unwrap();
    assert_eq!(header_of(&request, "accept").as_deref(), Some("text/csv"));
    assert_eq!(sent(&server).0, "GET /v1/requests?format=csv");
    let mut export = client.export_requests(&RequestsQuery::default(), ExportFormat::Ndjson).await.unwrap();
    let end = loop {
        match export.next().await {
            Ok(Some(_)) => {}
            end => break end,
        }
    };
    assert!(matches!(end, Err(Error::Http { .. })), "{end:?}");
}

#[tokio::test]
async fn audit_and_alerts_are_read() {
    let entry = json!({"id": crate::AuditId::from_bytes([4; 16]), "position": 7, "time": "2026-01-31T12:00:00Z",
        "actor": "local", "address": null, "action": "key.revoked", "target": key_id(), "before": {"a": 1},
        "after": null, "hash": "ab"});
    let pagination = json!({"limit": 20, "offset": 0, "total": 1, "next_cursor": null});
    let alert = json!({"id": crate::AlertId::from_bytes([5; 16]), "rule": "new_address", "severity": "warning",
        "subject": {"kind": "key", "id": key_id(), "name": "n"}, "key_id": key_id(), "key_name": "n", "message": "m", "figures": {"address": "192.0.2.1"},
        "raised_at": "2026-01-31T12:00:00Z", "acknowledged_at": null, "acknowledged_by": null});
    let (server, client) = Server::tcp([
        json_step(&json!({"audit_events": [entry], "pagination": pagination})),
        json_step(&json!({"intact": false, "entries": 7, "broken_at": 3, "head": "7:ab", "expired_up_to": 0,
            "unkeyed_up_to": 0, "expected_head": "missing"})),
        json_step(&json!({"alerts": [alert], "pagination": pagination})),
        json_step(&alert),
    ])
    .await;
    let query = AuditQuery { actor: Some("local".to_owned()), ..AuditQuery::default() };
    assert_eq!(client.list_audit_events(&query).await.unwrap().items[0].position, 7);
    assert_eq!(client.verify_audit(Some("9:ab")).await.unwrap().broken_at, Some(3));
    let open = AlertsQuery { status: Some("open".to_owned()), ..AlertsQuery::default() };
    let alerts = client.list_alerts(&open).await.unwrap().items;
    client.acknowledge_alert(alerts[0].id, Some("expected")).await.unwrap();
    assert_eq!(sent(&server).0, format!("POST /v1/alerts/{}/acknowledge", alerts[0].id));
}

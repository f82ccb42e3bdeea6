//! A response that is sent for longer ends when its authorization does.

use axum::body::Body;
use axum::response::Response;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use telepath_core::id::{Id as _, RequestId};
use telepath_core::request::{Answered, RequestCaller, RequestFacts, RequestMethod, SecretMark};
use telepath_http::{ConnectionMode, Peer};

use super::harness::{CALLER, Harness, collect, request};

/// An API with a log that fills several chunks of an export, a key that manages keys, and the id of a key that exports.
struct Exporting {
    harness: Harness,
    master: String,
    key: String,
    id: String,
}

impl Exporting {
    async fn new(expires_at: Value) -> Self {
        let harness = Harness::new().await;
        let master = harness.master().await;
        let scopes = json!(["audit:read", "trunks:read"]);
        let key = harness
            .key(json!({"preset": "custom", "rate_limit_per_minute": 100, "scopes": scopes, "expires_at": expires_at}))
            .await;
        let whoami = harness.get("/v1/whoami", &key).await.expect(200).json();
        let id = whoami["id"].as_str().unwrap().to_owned();
        for number in 0..5000_u32 {
            let caller = RequestCaller::Key { key: id.parse().unwrap(), secret: SecretMark([0; 8]) };
            harness.store.requests().record(&Answered {
                account: harness.account.id,
                id: RequestId::from_bytes(u128::from(number).to_be_bytes()),
                facts: RequestFacts {
                    at: harness.now(),
                    caller,
                    method: RequestMethod::Get,
                    status: 200,
                    address: CALLER.parse().unwrap(),
                    duration_us: 100,
                    admitted: true,
                },
                route: None,
                error: None,
                user_agent: b"test",
                path: Some("/v1/trunks"),
            });
        }
        harness.store.flush_usage().await.unwrap();
        Self { harness, master, key, id }
    }

    /// Starts an export and reads the beginning of it.
    async fn export(&self) -> Response {
        let ask = request("GET", "/v1/requests?format=ndjson", &self.key);
        let mode = ConnectionMode::Tls(CALLER.parse().unwrap());
        let mut response = self.harness.server.respond(ask, mode).await.map(Body::new);
        assert_eq!(response.status(), 200);
        response.body_mut().frame().await.unwrap().unwrap();
        response
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let path = format!("/v1/keys/{}{path}", self.id);
        self.harness.post(&path, &self.master, body).await.expect(200).json()
    }

    async fn patch(&self, body: Value) {
        let path = format!("/v1/keys/{}", self.id);
        self.harness.ask("PATCH", &path, &self.master, Some(body)).await.expect(200);
    }
}

async fn ends_at_once(mut response: Response) {
    assert!(response.body_mut().frame().await.unwrap().is_err(), "nothing more is sent");
    assert!(response.body_mut().frame().await.is_none());
}

#[tokio::test]
async fn an_export_goes_on_when_its_key_changes_but_keeps_the_authorization() {
    let exporting = Exporting::new(json!(null)).await;
    let response = exporting.export().await;
    exporting.patch(json!({"name": "Other", "scopes": ["audit:read"], "allowed_ips": [CALLER]})).await;
    exporting.post("/rotate", json!({"grace_seconds": 60})).await;
    let rest = collect(response).await;
    assert!(rest.body.ends_with(b"\n"), "the export is whole");
}

#[tokio::test]
async fn an_export_ends_when_its_key_is_revoked() {
    let exporting = Exporting::new(json!(null)).await;
    let response = exporting.export().await;
    exporting.post("/revoke", json!({})).await;
    ends_at_once(response).await;
}

#[tokio::test]
async fn an_export_ends_when_its_key_is_paused() {
    let exporting = Exporting::new(json!(null)).await;
    let response = exporting.export().await;
    exporting.post("/pause", json!({})).await;
    ends_at_once(response).await;
}

#[tokio::test]
async fn an_export_of_the_whole_account_ends_when_its_key_is_limited_to_a_trunk() {
    let exporting = Exporting::new(json!(null)).await;
    let trunk = exporting.harness.trunk(&exporting.master, "support-01").await;
    let response = exporting.export().await;
    exporting.patch(json!({"trunk_ids": [trunk.to_string()]})).await;
    ends_at_once(response).await;
}

#[tokio::test]
async fn an_export_ends_when_its_key_expires() {
    let exporting = Exporting::new(json!("2027-01-15T08:01:00Z")).await;
    let response = exporting.export().await;
    exporting.harness.pass(60);
    ends_at_once(response).await;
}

#[tokio::test]
async fn an_export_ends_when_its_key_loses_the_scope() {
    let exporting = Exporting::new(json!(null)).await;
    let response = exporting.export().await;
    exporting.patch(json!({"scopes": ["trunks:read"]})).await;
    ends_at_once(response).await;
}

#[tokio::test]
async fn an_export_ends_when_its_key_is_restricted_to_other_addresses() {
    let exporting = Exporting::new(json!(null)).await;
    let response = exporting.export().await;
    exporting.patch(json!({"allowed_ips": ["192.0.2.0/24"]})).await;
    ends_at_once(response).await;
}

#[tokio::test]
async fn an_export_ends_when_its_secret_is_rotated_without_grace() {
    let exporting = Exporting::new(json!(null)).await;
    let response = exporting.export().await;
    exporting.post("/rotate", json!({"grace_seconds": 0})).await;
    ends_at_once(response).await;
}

#[tokio::test]
async fn an_export_ends_when_the_grace_of_its_secret_ends() {
    let exporting = Exporting::new(json!(null)).await;
    let response = exporting.export().await;
    exporting.post("/rotate", json!({"grace_seconds": 60})).await;
    exporting.harness.pass(60);
    ends_at_once(response).await;
}

#[tokio::test]
async fn an_export_ends_when_its_secret_is_revoked() {
    let exporting = Exporting::new(json!(null)).await;
    let response = exporting.export().await;
    let rotated = exporting.post("/rotate", json!({"grace_seconds": 60})).await;
    let secrets = rotated["secrets"].as_array().unwrap();
    let old = secrets.iter().find(|secret| secret["status"] == "grace").unwrap();
    exporting.post(&format!("/secrets/{}/revoke", old["id"].as_str().unwrap()), json!({})).await;
    ends_at_once(response).await;
}

#[tokio::test]
async fn an_export_that_nobody_reads_releases_its_slot_when_its_authorization_ends() {
    let exporting = Exporting::new(json!(null)).await;
    let mut unread = Vec::new();
    for _ in 0..2 {
        unread.push(exporting.export().await);
    }
    let harness = &exporting.harness;
    harness.get("/v1/requests?format=ndjson", &exporting.master).await.expect(503);
    exporting.post("/revoke", json!({})).await;
    while harness.get("/v1/requests?format=ndjson", &exporting.master).await.status != 200 {
        tokio::task::yield_now().await;
    }
    for response in unread {
        ends_at_once(response).await;
    }
}

#[tokio::test]
async fn an_export_of_local_administration_is_not_bound_to_a_key() {
    let exporting = Exporting::new(json!(null)).await;
    let ask = request("GET", "/v1/requests?format=ndjson", "");
    let mut response = exporting.harness.api.handle(ask, Peer::Local { uid: Some(0) }).await;
    response.body_mut().frame().await.unwrap().unwrap();
    exporting.post("/revoke", json!({})).await;
    assert!(collect(response).await.body.ends_with(b"\n"));
}

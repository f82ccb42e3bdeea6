//! The client against the API's own document: every operation is asked for as it is described there, or named here as one
//! that the client leaves out, and every answer that the document allows is understood.

use serde_json::{Map, Value, json};
use telepath_core::id::Id as _;

use super::server::{Server, Step};
use super::*;
use crate::{
    AccountChange, AlertId, AlertsQuery, AuditQuery, CallId, CallsQuery, DeliveriesQuery, DeliveryId,
    KeyChange, KeyId, KeyPresetChange, KeyRequest, Patch, RequestId, RequestsQuery, SecretId, TrunkId,
    TrunkRequest, TrunksQuery, UsageQuery, WebhookChange, WebhookId, WebhookRequest,
};

const DOCUMENT: &str = include_str!("../../../../telepath-api/openapi.json");

/// What the client does not speak: other programs ask for it, or it is another way to the same.
const LEFT_OUT: [&str; 9] = [
    "GET /.well-known/security.txt",
    "GET /.well-known/telepath-key-pattern.json",
    "GET /livez",
    "GET /metrics",
    "GET /openapi.json",
    "GET /readyz",
    "DELETE /v1/keys/{id}",
    "POST /v1/keys/secret-scanning",
    "POST /v1/trunks/{id}/rotate-password",
];

/// How much of what the document allows an answer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Measure {
    /// Every member.
    Whole,
    /// The required members, with null and empty lists wherever they may be.
    Least,
}

struct Document(Value);

impl Document {
    fn read() -> Self {
        Self(serde_json::from_str(DOCUMENT).unwrap())
    }

    /// `METHOD /path` with the description of each operation.
    fn operations(&self) -> Vec<(String, &Value)> {
        let paths = self.0["paths"].as_object().unwrap();
        let operations = paths.iter().flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().iter().filter(|(name, _)| *name != "parameters");
            methods.map(move |(method, operation)| (format!("{} {path}", method.to_uppercase()), operation))
        });
        operations.collect()
    }

    fn resolved<'a>(&'a self, schema: &'a Value) -> &'a Value {
        schema["$ref"].as_str().map_or(schema, |place| self.0.pointer(place.trim_start_matches('#')).unwrap())
    }

    /// All members that an object may have.
    fn members(&self, schema: &Value) -> Vec<String> {
        let schema = self.resolved(schema);
        let own = schema["properties"].as_object().into_iter().flat_map(Map::keys).cloned();
        let parts = ["allOf", "oneOf"].into_iter().filter_map(|name| schema[name].as_array()).flatten();
        own.chain(parts.flat_map(|part| self.members(part))).collect()
    }

    /// An answer that fits a schema.
    fn sample(&self, name: &str, schema: &Value, measure: Measure) -> Value {
        let schema = self.resolved(schema);
        let types: Vec<&str> = schema["type"]
            .as_array()
            .map_or_else(|| vec![&schema["type"]], |all| all.iter().collect())
            .into_iter()
            .filter_map(Value::as_str)
            .collect();
        if let Some(parts) = schema["allOf"].as_array() {
            let parts = parts.iter().map(|part| self.sample(name, part, measure));
            return parts.fold(json!({}), |mut whole, part| {
                whole.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
                whole
            });
        }
        if let Some(choices) = schema["oneOf"].as_array() {
            let is_null = |choice: &&Value| choice["type"] == "null";
            let null = choices.iter().find(is_null).filter(|_| measure == Measure::Least);
            let other = choices.iter().find(|choice| !is_null(choice)).unwrap();
            return null.map_or_else(|| self.sample(name, other, measure), |_| Value::Null);
        }
        if types.contains(&"null") && measure == Measure::Least {
            return Value::Null;
        }
        match types.iter().find(|name| **name != "null").copied() {
            Some("object") => self.object(schema, measure),
            Some("array") if measure == Measure::Least => json!([]),
            Some("array") => json!([self.sample(name, &schema["items"], measure)]),
            Some("boolean") => json!(name != "secret_withheld"),
            Some("integer" | "number") => {
                schema.get("example").or(schema.get("minimum")).cloned().unwrap_or(json!(1))
            }
            Some("string") => text(name, schema),
            _ => json!({}),
        }
    }

    fn object(&self, schema: &Value, measure: Measure) -> Value {
        let required =
            |name: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
        let properties = schema["properties"].as_object().into_iter().flatten();
        let mut object: Map<String, Value> = properties
            .filter(|(name, _)| measure == Measure::Whole || required(name))
            .map(|(name, schema)| (name.clone(), self.sample(name, schema, measure)))
            .collect();
        if measure == Measure::Whole && schema["additionalProperties"].is_object() {
            object.insert("2xx".to_owned(), self.sample("", &schema["additionalProperties"], measure));
        }
        Value::Object(object)
    }
}

fn text(name: &str, schema: &Value) -> Value {
    if let Some(choice) = schema["enum"].get(0).or(schema.get("example")) {
        return choice.clone();
    }
    match (schema["format"].as_str(), name) {
        (Some("date-time"), _) => json!("2026-01-31T12:00:00.000Z"),
        (_, "address" | "last_used_ip") => json!("192.0.2.1"),
        (_, "trunk_ids") => json!(TrunkId::from_bytes([2; 16])),
        _ => json!("text"),
    }
}

#[expect(clippy::too_many_lines, reason = "one arm for each operation, to be read like a table")]
/// Asks for one operation, with everything that can be said in it.
async fn ask(client: &Client, operation: &str) -> Result<(), Error> {
    let (words, word) = (Some(vec!["calls:read".to_owned()]), || Some("a".to_owned()));
    let (now, count) = (Timestamp::from_unix_seconds(1_800_000_000), Some(1));
    let (key, trunk) = (KeyId::from_bytes([1; 16]), TrunkId::from_bytes([2; 16]));
    let (webhook, delivery) = (WebhookId::from_bytes([3; 16]), DeliveryId::from_bytes([4; 16]));
    let secret = || SecretText::new("a".to_owned());
    let trunk_request = TrunkRequest {
        name: word(),
        status: word(),
        ai_provider: word(),
        sip_username: word(),
        sip_password: Some(secret()),
        openai_api_key: Some(secret()),
        elevenlabs_api_key: Some(secret()),
        elevenlabs_agent_id: word(),
        custom_endpoint: word(),
        system_prompt: word(),
        metadata: [("a".to_owned(), "b".to_owned())].into(),
    };
    let since = Some(now);
    match operation {
        "GET /v1/whoami" => client.whoami().await.map(drop),
        "GET /v1/account" => client.account().await.map(drop),
        "PATCH /v1/account" => {
            let change = AccountChange { name: word(), revoke_keys_seen_in_clear: Some(true) };
            client.update_account(&change).await.map(drop)
        }
        "GET /v1/keys" => {
            let query = KeysQuery {
                status: word(),
                preset: word(),
                idle_days: count,
                expires_before: since,
                limit: count,
                offset: count,
            };
            client.list_keys(&query).await.map(drop)
        }
        "POST /v1/keys" => {
            let request = KeyRequest {
                name: "a".to_owned(),
                preset: "a".to_owned(),
                scopes: words,
                rate_limit_per_minute: count,
                allowed_ips: vec!["192.0.2.0/24".to_owned()],
                expires_at: since,
            };
            client.create_key(&request).await.map(drop)
        }
        "GET /v1/keys/{id}" => client.get_key(key).await.map(drop),
        "PATCH /v1/keys/{id}" => {
            let change = KeyChange {
                name: word(),
                scopes: words.clone(),
                rate_limit_per_minute: count,
                allowed_ips: words,
                expires_at: Patch::Clear,
            };
            client.update_key(key, &change).await.map(drop)
        }
        "POST /v1/keys/{id}/revoke" => client.revoke_key(key, Some("a")).await.map(drop),
        "POST /v1/keys/{id}/rotate" => client.rotate_key(key, Some(Duration::from_secs(1))).await.map(drop),
        "POST /v1/keys/rotate-all" => client.rotate_all_keys(Some(Duration::from_secs(1))).await.map(drop),
        "POST /v1/keys/{id}/secrets/{secret_id}/revoke" => {
            client.end_secret(key, SecretId::from_bytes([5; 16])).await.map(drop)
        }
        "POST /v1/keys/report-leak" => client.report_leak(&[secret()]).await,
        "GET /v1/keys/{id}/usage" => {
            let query = UsageQuery { interval: word(), start_date: since, end_date: since };
            client.key_usage(key, &query).await.map(drop)
        }
        "GET /v1/key-presets" => client.list_key_presets().await.map(drop),
        "PATCH /v1/key-presets/{name}" => {
            let change = KeyPresetChange { scopes: words, rate_limit_per_minute: count };
            client.update_key_preset("a", &change).await.map(drop)
        }
        "DELETE /v1/key-presets/{name}" => client.reset_key_preset("a").await,
        "GET /v1/requests" => {
            let query = RequestsQuery {
                key_id: Some(key),
                method: word(),
                route: word(),
                path: word(),
                status: word(),
                error_code: word(),
                address: word(),
                user_agent: word(),
                request_id: Some(RequestId::from_bytes([6; 16])),
                min_duration_ms: Some(1),
                start_date: since,
                end_date: since,
                sort: word(),
                limit: count,
                cursor: word(),
            };
            client.list_requests(&query).await.map(drop)
        }
        "GET /v1/audit-events" => {
            let query = AuditQuery {
                actor: word(),
                action: word(),
                target: word(),
                start_date: since,
                end_date: since,
                limit: count,
                offset: count,
                cursor: word(),
            };
            client.list_audit_events(&query).await.map(drop)
        }
        "GET /v1/audit-events/verify" => client.verify_audit().await.map(drop),
        "GET /v1/alerts" => {
            let query = AlertsQuery {
                key_id: Some(key),
                webhook_id: Some(webhook),
                subject_kind: word(),
                subject_id: word(),
                rule: word(),
                status: word(),
                limit: count,
                offset: count,
                cursor: word(),
            };
            client.list_alerts(&query).await.map(drop)
        }
        "POST /v1/alerts/{id}/acknowledge" => {
            client.acknowledge_alert(AlertId::from_bytes([7; 16])).await.map(drop)
        }
        "GET /v1/calls" => {
            let query = CallsQuery {
                trunk_id: Some(trunk),
                status: word(),
                limit: count,
                offset: count,
                cursor: word(),
            };
            client.list_calls(&query).await.map(drop)
        }
        "GET /v1/calls/{id}" => client.get_call(CallId::from_bytes([8; 16])).await.map(drop),
        "POST /v1/calls/{id}/hangup" => client.hang_up(CallId::from_bytes([8; 16])).await,
        "GET /v1/trunks" => {
            let query = TrunksQuery { status: word(), sort: word(), limit: count, offset: count };
            client.list_trunks(&query).await.map(drop)
        }
        "POST /v1/trunks" => {
            let request = TrunkRequest { status: None, ..trunk_request };
            client.create_trunk(&request).await.map(drop)
        }
        "GET /v1/trunks/{id}" => client.get_trunk(trunk).await.map(drop),
        "PATCH /v1/trunks/{id}" => {
            let change =
                TrunkRequest { ai_provider: None, sip_username: None, sip_password: None, ..trunk_request };
            client.update_trunk(trunk, &change).await.map(drop)
        }
        "DELETE /v1/trunks/{id}" => client.delete_trunk(trunk).await,
        "POST /v1/trunks/{id}/rotate-sip-password" => client.rotate_sip_password(trunk).await.map(drop),
        "GET /v1/webhooks" => client.list_webhooks(1, 1).await.map(drop),
        "POST /v1/webhooks" => {
            let request = WebhookRequest {
                url: "https://a.example".to_owned(),
                description: word(),
                events: words,
                trunk_ids: vec![trunk.to_string()],
                signature: word(),
                max_in_flight: count,
                status: word(),
            };
            client.create_webhook(&request).await.map(drop)
        }
        "GET /v1/webhooks/{id}" => client.get_webhook(webhook).await.map(drop),
        "PATCH /v1/webhooks/{id}" => {
            let change = WebhookChange {
                url: word(),
                description: Patch::Set("w".to_owned()),
                events: Some(vec!["*".to_owned()]),
                trunk_ids: Some(vec![trunk]),
                max_in_flight: count,
                status: word(),
            };
            client.update_webhook(webhook, &change).await.map(drop)
        }
        "DELETE /v1/webhooks/{id}" => client.delete_webhook(webhook).await,
        "POST /v1/webhooks/{id}/rotate-secret" => {
            client.rotate_webhook_secret(webhook, count).await.map(drop)
        }
        "POST /v1/webhooks/{id}/test" => client.test_webhook(webhook).await.map(drop),
        "POST /v1/webhooks/{id}/recover" => client.recover_webhook(webhook, now).await.map(drop),
        "GET /v1/webhooks/{id}/deliveries" => {
            let query = DeliveriesQuery { status: word(), sort: word(), limit: count, cursor: word() };
            client.list_deliveries(webhook, &query).await.map(drop)
        }
        "GET /v1/deliveries/{id}" => client.get_delivery(delivery).await.map(drop),
        "POST /v1/deliveries/{id}/redeliver" => client.redeliver(delivery).await.map(drop),
        other => panic!("{other} is new: the client speaks it, or LEFT_OUT names it"),
    }
}

/// The answer to an operation when all goes well.
fn success(document: &Document, operation: &Value, measure: Measure) -> Step {
    let responses = operation["responses"].as_object().unwrap();
    let (status, response) = responses.iter().find(|(status, _)| status.starts_with('2')).unwrap();
    let schema = &response["content"]["application/json"]["schema"];
    let body =
        if schema.is_null() { String::new() } else { document.sample("", schema, measure).to_string() };
    Step::Answer(answer(&format!("{status} X"), "", &body))
}

/// What was sent must be described: method, path, parameters and members.
fn assert_described(document: &Document, name: &str, operation: &Value, sent: &str) {
    let (head, body) = sent.split_once("\r\n\r\n").unwrap();
    let target = head.split(' ').nth(1).unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (method, template) = name.split_once(' ').unwrap();
    assert!(head.starts_with(&format!("{method} ")), "{name}: {head}");
    let (wanted, found): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
    let fits =
        |(wanted, found): (&&str, &&str)| wanted == found || wanted.starts_with('{') && !found.is_empty();
    assert!(wanted.len() == found.len() && wanted.iter().zip(&found).all(fits), "{name}: {path}");
    let parameters: Vec<&str> = operation["parameters"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|parameter| document.resolved(parameter))
        .filter(|parameter| parameter["in"] == "query")
        .filter_map(|parameter| parameter["name"].as_str())
        .collect();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let parameter = pair.split('=').next().unwrap_or_default();
        assert!(parameters.contains(&parameter), "{name}: {parameter} is none of {parameters:?}");
    }
    let members = document.members(&operation["requestBody"]["content"]["application/json"]["schema"]);
    let body: Value = serde_json::from_str(if body.is_empty() { "{}" } else { body }).unwrap();
    for member in body.as_object().unwrap().keys() {
        assert!(members.contains(member), "{name}: {member} is none of {members:?}");
    }
}

#[tokio::test]
async fn every_operation_is_asked_for_as_described_and_every_answer_understood() {
    let document = Document::read();
    let mut not_understood = Vec::new();
    for (name, operation) in document.operations() {
        if LEFT_OUT.contains(&name.as_str()) {
            continue;
        }
        for measure in [Measure::Whole, Measure::Least] {
            let (server, client) = Server::tcp([success(&document, operation, measure)]).await;
            let understood = ask(&client.with_retry(RetryPolicy::NEVER), &name).await;
            // What is shown once may be missing only from an answer that is given again.
            let is_repeated =
                matches!(&understood, Err(Error::SecretLost { .. })) && measure == Measure::Least;
            if !is_repeated && let Err(error) = understood {
                not_understood.push(format!("{name} {measure:?}: {error}"));
            }
            assert_described(&document, &name, operation, &server.requests().pop().unwrap());
        }
    }
    assert!(not_understood.is_empty(), "{not_understood:#?}");
}

#[test]
fn what_is_left_out_is_there() {
    let document = Document::read();
    let there: Vec<String> = document.operations().into_iter().map(|(name, _)| name).collect();
    for name in LEFT_OUT {
        assert!(there.iter().any(|known| known == name), "{name} is no operation any more");
    }
}

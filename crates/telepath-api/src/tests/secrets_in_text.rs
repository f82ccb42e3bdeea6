//! No API key is ever stored in a text: a text that contains one is refused, wherever it stands.

use serde_json::{Value, json};
use telepath_core::secret::{KeyMode, PlainKey};
use telepath_http::ConnectionMode;

use super::harness::{Answer, Harness, request};
use crate::router::routes;

/// A well-formed key that was never created.
fn unknown_key(mode: KeyMode, harness: &Harness) -> String {
    PlainKey::generate(mode, harness.store.entropy().as_ref()).unwrap().reveal().expose().to_owned()
}

/// Every place of a schema that takes a text, as the field that an error names and a body that sets only it.
fn texts(document: &Value, schema: &Value, text: &str, field: &str) -> Vec<(String, Value)> {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.strip_prefix("#/components/schemas/").unwrap();
        return texts(document, &document["components"]["schemas"][name], text, field);
    }
    for choice in ["oneOf", "anyOf", "allOf"] {
        if let Some(schemas) = schema[choice].as_array() {
            return schemas.iter().flat_map(|schema| texts(document, schema, text, field)).collect();
        }
    }
    let mut found = Vec::new();
    let types = match &schema["type"] {
        Value::Array(types) => types.clone(),
        one => vec![one.clone()],
    };
    for kind in types.iter().filter_map(Value::as_str) {
        match kind {
            "string" => found.push((field.to_owned(), json!(text))),
            "array" => {
                for (field, body) in texts(document, &schema["items"], text, &format!("{field}[0]")) {
                    found.push((field, json!([body])));
                }
            }
            "object" => {
                let of =
                    |name: &str| if field.is_empty() { name.to_owned() } else { format!("{field}.{name}") };
                for (name, member) in schema["properties"].as_object().into_iter().flatten() {
                    for (field, body) in texts(document, member, text, &of(name)) {
                        found.push((field, json!({ name: body })));
                    }
                }
                if schema["additionalProperties"].is_object() {
                    found.push((of("note"), json!({ "note": text })));
                    found.push((field.to_owned(), json!({ text: "note" })));
                }
            }
            _ => {}
        }
    }
    found
}

/// The path with well-formed ids of objects that do not exist.
fn concrete(path: &str) -> String {
    const KINDS: [(&str, &str); 7] = [
        ("/v1/keys/", "key"),
        ("/v1/trunks/", "conn"),
        ("/v1/calls/", "call"),
        ("/v1/webhooks/", "whk"),
        ("/v1/deliveries/", "dlv"),
        ("/v1/alerts/", "alr"),
        ("/v1/accounts/", "acct"),
    ];
    let kind = KINDS.iter().find(|(prefix, _)| path.starts_with(prefix)).map_or("none", |(_, kind)| kind);
    let id = |kind: &str| format!("{kind}_{}", "0".repeat(26));
    path.replace("{id}", &id(kind)).replace("{secret_id}", &id("sec")).replace("{name}", "production")
}

async fn ask(harness: &Harness, method: &str, path: &str, body: &Value) -> Answer {
    let mut request = request(method, path, "");
    request.headers_mut().insert("content-type", "application/json".parse().unwrap());
    *request.body_mut() = body.to_string().into();
    harness.send_from(request, ConnectionMode::Unix { uid: Some(501) }).await
}

fn refused_fields(answer: &Answer) -> Vec<Value> {
    let details = answer.json()["error"]["details"].clone();
    let details = details.as_array().cloned().unwrap_or_default();
    assert!(details.iter().all(|detail| detail["message"] == "must not contain an API key"), "{details:?}");
    details.into_iter().map(|detail| detail["field"].clone()).collect()
}

#[tokio::test]
async fn an_api_key_in_any_text_of_any_request_body_is_refused() {
    let harness = Harness::new().await;
    let key = unknown_key(KeyMode::Live, &harness);
    let text = format!("see {key}\n");
    let document: Value = serde_json::from_str(&routes().unwrap().document).unwrap();
    let mut checked = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            let reports_keys = path == "/v1/keys/report-leak" || path == "/v1/keys/secret-scanning";
            if schema.is_null() || reports_keys {
                continue;
            }
            for (field, body) in texts(&document, schema, &text, "") {
                let answer = ask(&harness, &method.to_uppercase(), &concrete(path), &body).await;
                let case = format!("{method} {path} {field}");
                assert_eq!(answer.status, 400, "{case}: {}", String::from_utf8_lossy(&answer.body));
                assert_eq!(refused_fields(&answer), [json!(field)], "{case}");
                assert!(!String::from_utf8_lossy(&answer.body).contains(&key), "{case}");
                checked += 1;
            }
        }
    }
    assert!(checked > 60, "only {checked} texts were found in the document");
}

#[tokio::test]
async fn every_text_that_contains_a_key_is_named() {
    let harness = Harness::new().await;
    let [live, test] = [KeyMode::Live, KeyMode::Test].map(|mode| unknown_key(mode, &harness));
    let body = json!({"name": live, "nonsense": [{"deep": format!("<{test}>")}], "preset": "testing"});
    let answer = ask(&harness, "POST", "/v1/keys", &body).await.expect(400);
    assert_eq!(refused_fields(&answer), [json!("name"), json!("nonsense[0].deep")]);
    let broken = format!("{}x", &live[..56]);
    for harmless in [broken.as_str(), "sk_live_abc123def456...", "sk_live_AbC…wxyz"] {
        let body = json!({"name": harmless, "preset": "testing"});
        ask(&harness, "POST", "/v1/keys", &body).await.expect(201);
    }
}

#[tokio::test]
async fn an_api_key_in_a_query_parameter_or_idempotency_key_is_refused() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    let key = unknown_key(KeyMode::Live, &harness);
    for (query, field) in [
        (format!("target={key}"), "target"),
        (format!("{key}=1"), "…"),
        (format!("cursor=x.{key}"), "cursor"),
    ] {
        let answer = harness.get(&format!("/v1/audit-events?{query}"), &master).await.expect(400);
        assert_eq!(refused_fields(&answer), [json!(field)]);
    }
    let mut post = request("POST", "/v1/keys", &master);
    post.headers_mut().insert("idempotency-key", format!("retry-{key}").parse().unwrap());
    post.headers_mut().insert("content-type", "application/json".parse().unwrap());
    *post.body_mut() = json!({"name": "n", "preset": "testing"}).to_string().into();
    let answer = harness.send(post).await.expect(400);
    assert_eq!(refused_fields(&answer), [json!("Idempotency-Key")]);
}

//! The `webhooks` section of the document: what arrives at an endpoint, from the one table of events.

use serde_json::{Map, Value, json};
use telepath_core::event::EventKind;

/// One entry per kind of event.
pub(super) fn section() -> Value {
    Value::Object(EventKind::ALL.iter().map(|kind| (kind.name().to_owned(), entry(*kind))).collect())
}

fn entry(kind: EventKind) -> Value {
    json!({"post": {
        "summary": kind.name(),
        "description": kind.describe(),
        "tags": ["Webhooks"],
        "operationId": format!("on_{}", kind.name().replace('.', "_")),
        "parameters": headers(),
        "requestBody": {"required": true, "content": {"application/json": {"schema": schema(kind)}}},
        "responses": {
            "2XX": {"description": "Taken. Anything else, or nothing within 30 seconds, is tried again."},
            "410": {"description": "Send nothing more: the endpoint is disabled."}
        }
    }})
}

fn headers() -> Value {
    let header = |name: &str, description: &str| json!({"name": name, "in": "header", "required": true, "description": description, "schema": {"type": "string"}});
    json!([
        header("webhook-id", "The event's id, the same at every attempt."),
        header("webhook-timestamp", "When the attempt was made, in Unix seconds."),
        header(
            "webhook-signature",
            "Signatures of `id.timestamp.body`, with spaces between them (Standard Webhooks 1.0)."
        ),
        header("x-telepath-attempt", "1 for the first attempt.")
    ])
}

fn schema(kind: EventKind) -> Value {
    let mut members = Map::from_iter([
        ("event".to_owned(), json!({"type": "string", "const": kind.name()})),
        ("id".to_owned(), json!({"type": "string", "example": "evt_01k9v1n2xrf6t8g3m5q7w9y0za"})),
        (
            "sequence".to_owned(),
            json!({"type": "integer", "minimum": 1,
            "description": "Counts the events of the same call, key or endpoint without gaps."}),
        ),
        ("timestamp".to_owned(), json!({"type": "string", "format": "date-time"})),
    ]);
    members.extend(kind.fields().iter().map(|field| ((*field).to_owned(), member(field))));
    let required: Vec<_> = ["event", "id", "sequence", "timestamp"].iter().chain(kind.fields()).collect();
    json!({"type": "object", "required": required, "properties": members})
}

/// The form of a member; it is the same in every event that has it.
fn member(name: &str) -> Value {
    let milliseconds = json!({"type": ["integer", "null"], "description": "Milliseconds."});
    match name {
        "duration_seconds" => json!({"type": "integer", "minimum": 0}),
        "severity" => json!({"type": "string", "enum": ["critical", "warning", "info"]}),
        "metrics" => json!({"type": "object", "properties": {
            "carrier_lag_ms": milliseconds, "ai_latency_ms": milliseconds, "gateway_processing_ms": milliseconds
        }}),
        "carrier" | "agent_id" | "error_message" => json!({"type": ["string", "null"]}),
        _ => json!({"type": "string"}),
    }
}

//! The `webhooks` section of the document: the requests that an endpoint receives, from the table of events.

use serde_json::{Map, Value, json};
use telepath_core::event::schema::{JsonShape, Member};
use telepath_core::event::{ENVELOPE, EventKind};

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
        // The receiver checks the signature; there is no other credential.
        "security": [],
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
    members.extend(properties(kind.members()));
    let names = kind.members().iter().map(|member| member.name);
    let required: Vec<_> = ENVELOPE.into_iter().chain(names).collect();
    json!({"type": "object", "required": required, "properties": members})
}

fn properties(members: &[Member]) -> impl Iterator<Item = (String, Value)> {
    members.iter().map(|member| {
        let mut schema = json_schema(member.shape);
        schema["description"] = member.description.into();
        (member.name.to_owned(), schema)
    })
}

/// The JSON Schema (draft 2020-12, the dialect of OpenAPI 3.1) of a form.
fn json_schema(shape: JsonShape) -> Value {
    match shape {
        JsonShape::Text => json!({"type": "string"}),
        JsonShape::Count => json!({"type": "integer", "minimum": 0}),
        JsonShape::OneOf(names) => json!({"type": "string", "enum": names()}),
        JsonShape::Object => json!({"type": "object"}),
        JsonShape::Record(members) => {
            let required: Vec<_> = members.iter().map(|member| member.name).collect();
            let properties = properties(members).collect::<Map<_, _>>();
            json!({"type": "object", "required": required, "properties": properties})
        }
        JsonShape::Nullable(inner) => {
            let mut schema = json_schema(*inner);
            let kind = schema["type"].take();
            schema["type"] = json!([kind, "null"]);
            if let Some(Value::Array(names)) = schema.get_mut("enum") {
                names.push(Value::Null);
            }
            schema
        }
    }
}

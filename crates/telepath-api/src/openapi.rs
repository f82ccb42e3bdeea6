//! The OpenAPI 3.1 document. The handlers describe themselves; what all routes have in common (rate headers, error
//! responses, the security scheme) is added here, from the route table and the table of error codes.

mod events;
mod examples;
#[cfg(test)]
mod tests;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Map, Value, json};
use telepath_core::error::ErrorCode;
use telepath_core::secret::KEY_PATTERN;
use utoipa::OpenApi;

use crate::endpoint::{Endpoints, endpoints};
use crate::routes::{Access, RouteRow};
use crate::state::AppState;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Telepath API",
        description = "Self-hosted real-time voice-AI gateway: API keys, trunks, calls and webhooks.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    servers((url = "/", description = "This server.")),
    tags(
        (name = "Account", description = "The account and its policies for keys."),
        (name = "Keys", description = "API keys: their scopes, rate limits and networks."),
        (name = "Trunks", description = "SIP usernames that carriers call, and the agents that answer the calls."),
        (name = "Calls", description = "Call records."),
        (name = "Analytics", description = "Statistics of calls, which outlive the calls."),
        (name = "Audit", description = "The request log and the audit trail."),
        (name = "Alerts", description = "Unusual use of keys, and what needs attention soon."),
        (name = "Webhooks", description = "Endpoints that receive events, and the deliveries to them."),
        (name = "Operation", description = "For operators.")
    )
)]
struct Document;

/// The part of the published document that belongs to no route.
pub(crate) fn header() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Telepath local administration",
        description = "The routes that exist only on the Unix socket in the data folder. They need no key, and no key can call them.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    tags(
        (name = "Account", description = "The accounts of the installation."),
        (name = "Calls", description = "Who calls the SIP port."),
        (name = "Users", description = "The users of an account.")
    )
)]
struct LocalDocument;

/// The part of the document for local administration that belongs to no route.
pub(crate) fn local_header() -> utoipa::openapi::OpenApi {
    LocalDocument::openapi()
}

/// The route of the document.
pub(crate) fn endpoints() -> Endpoints {
    endpoints![openapi]
}

/// Get this document
#[utoipa::path(get, path = "/openapi.json", tag = "Operation", operation_id = "openapi",
    responses((status = 200, description = "OpenAPI 3.1, compressed if the client accepts gzip.", body = Object),
        (status = 304, description = "The copy that `If-None-Match` names is current.")))]
async fn openapi(State(state): State<AppState>, headers: HeaderMap) -> Response {
    state.document.respond(&headers)
}

/// The generator calls an unsigned number of 32 bits an `int32`, whose largest value is half of ours.
fn correct_unsigned(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if members.get("format").is_some_and(|format| format == "int32")
                && members.get("minimum").is_some_and(|least| least.as_i64().is_some_and(|least| least >= 0))
            {
                members.remove("format");
                members.entry("maximum").or_insert_with(|| u32::MAX.into());
            }
            members.values_mut().for_each(correct_unsigned);
        }
        Value::Array(items) => items.iter_mut().for_each(correct_unsigned),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The text of the published document.
pub(crate) fn published(mut document: Value, rows: &[RouteRow]) -> String {
    document["webhooks"] = events::section();
    document["components"]["securitySchemes"] = json!({
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": KEY_PATTERN,
            "description": "An API key: `Authorization: Bearer sk_live_…`. It is never read from a query string or a body."
        }
    });
    complete(document, rows)
}

/// Adds what all routes have in common, from the rows of the route table and the table of error codes. Returns the text.
pub(crate) fn complete(mut document: Value, rows: &[RouteRow]) -> String {
    correct_unsigned(&mut document);
    document["components"]["schemas"]["Error"] = error_schema();
    document["components"]["headers"] = common_headers();
    document["components"]["responses"] = common_responses();
    document["components"]["parameters"] = common_parameters();
    withhold_secrets(&mut document["components"]["schemas"]);
    let schemas = document["components"]["schemas"].clone();
    for row in rows {
        let operation = &mut document["paths"][row.path.as_str()][row.verb().to_ascii_lowercase()];
        if operation.is_object() {
            complete_operation(row, operation);
            examples::add_to_operation(operation, &schemas);
        }
    }
    format!("{document:#}\n")
}

fn complete_operation(row: &RouteRow, operation: &mut Value) {
    match row.access {
        Access::Probe | Access::Open | Access::Reporter | Access::Partner | Access::Local => {
            operation["security"] = json!([]);
        }
        Access::AnyKey => operation["security"] = json!([{"bearer": []}]),
        Access::Scope(scope) => {
            operation["security"] = json!([{"bearer": [scope.name()]}]);
            let said =
                operation["description"].as_str().map(|text| format!("{text}\n\n")).unwrap_or_default();
            operation["description"] = json!(format!("{said}Needs the scope `{scope}`."));
        }
    }
    if row.access.takes_idempotency_key(&row.method) {
        add_idempotency_key(operation);
    }
    for code in row.codes.iter().copied() {
        if is_common(code) {
            let reference = format!("#/components/responses/{}", code.status());
            operation["responses"][code.status().to_string()] = json!({"$ref": reference});
        } else {
            add_error(&mut operation["responses"], code);
        }
    }
    if let Some(responses) = operation["responses"].as_object_mut() {
        for (status, response) in responses.iter_mut().filter(|(_, response)| response.get("$ref").is_none())
        {
            finish_response(status, response);
            if row.access.takes_idempotency_key(&row.method) && status.starts_with('2') {
                let header = json!({"$ref": "#/components/headers/Idempotent-Replayed"});
                response["headers"]["Idempotent-Replayed"] = header;
            }
        }
    }
}

/// Every `POST` of a known caller can be repeated without being carried out twice.
fn add_idempotency_key(operation: &mut Value) {
    let parameter = json!({"$ref": "#/components/parameters/IdempotencyKey"});
    match operation["parameters"].as_array_mut() {
        Some(parameters) => parameters.push(parameter),
        None => operation["parameters"] = json!([parameter]),
    }
}

fn common_parameters() -> Value {
    json!({"IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "required": false,
        "description": "Chosen by the client, a new one for each new request. Within 24 hours, a request with the same key is carried out only once; a repetition returns the first response with `Idempotent-Replayed: true`, and with `secret_withheld` instead of secrets that are shown once. Only successful responses are stored, so a refused request can be retried.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}
    }})
}

/// Adds the member that marks replayed responses, which contain no secrets.
fn withhold_secrets(schemas: &mut Value) {
    let Some(schemas) = schemas.as_object_mut() else { return };
    for name in
        ["CreatedKey", "CreatedTrunk", "RotatedSipPassword", "WebhookWithSecret", "UserWithPasswordCode"]
    {
        let Some(schema) = schemas.get_mut(name) else { continue };
        // Indexing a missing member would create it.
        let parts: Vec<&mut Value> = if schema.get("allOf").is_some() {
            schema["allOf"].as_array_mut().into_iter().flatten().collect()
        } else {
            vec![schema]
        };
        for part in parts {
            let shown_once = |member: &str| ["secret", "sip_password", "password_code"].contains(&member);
            let Some(properties) = part.get_mut("properties").and_then(Value::as_object_mut) else {
                continue;
            };
            if properties.keys().any(|member| shown_once(member)) {
                let schema = json!({"type": "boolean", "description": "True in a replayed response, which contains no secret."});
                properties.insert("secret_withheld".to_owned(), schema);
                if let Some(required) = part.get_mut("required").and_then(Value::as_array_mut) {
                    required.retain(|member| !member.as_str().is_some_and(shown_once));
                }
            }
        }
    }
}

/// Whether every route that can answer with the code's status answers it with the same codes.
const fn is_common(code: ErrorCode) -> bool {
    matches!(code.status(), 401 | 408 | 413 | 415 | 429 | 500 | 503)
}

/// The responses that routes refer to, by status.
fn common_responses() -> Value {
    let mut responses = json!({});
    for code in ErrorCode::ALL.iter().filter(|code| is_common(**code)) {
        add_error(&mut responses, *code);
    }
    if let Some(responses) = responses.as_object_mut() {
        for (status, response) in responses {
            finish_response(status, response);
        }
    }
    responses
}

/// Adds a code to the response of its status.
fn add_error(responses: &mut Value, code: ErrorCode) {
    let response = &mut responses[code.status().to_string()];
    let line = format!("`{code}`: {}", code.cause());
    let text = match response["description"].as_str() {
        Some(text) => format!("{text}\n\n{line}"),
        None => line,
    };
    response["description"] = json!(text);
}

/// Adds the headers, and to errors the envelope.
fn finish_response(status: &str, response: &mut Value) {
    let mut names = vec![
        "X-Request-Id",
        "X-RateLimit-Limit",
        "X-RateLimit-Remaining",
        "X-RateLimit-Reset",
        "RateLimit-Policy",
        "RateLimit",
    ];
    match status {
        "201" => names.push("Location"),
        "401" | "403" => names.push("WWW-Authenticate"),
        "405" => names.push("Allow"),
        "429" | "503" => names.push("Retry-After"),
        _ => {}
    }
    let headers: Map<String, Value> = names
        .into_iter()
        .map(|name| (name.to_owned(), json!({"$ref": format!("#/components/headers/{name}")})))
        .collect();
    response["headers"] = Value::Object(headers);
    if status.starts_with(['4', '5']) {
        response["content"] = json!({"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}});
    }
}

fn common_headers() -> Value {
    let text = |description: &str, example: &str| json!({"description": description, "schema": {"type": "string"}, "example": example});
    let number = |description: &str, example: u32| json!({"description": description, "schema": {"type": "integer"}, "example": example});
    json!({
        "X-Request-Id": text("Identifies the request in the server's log.", "req_01k9v1n2xrf6t8g3m5q7w9y0za"),
        "X-RateLimit-Limit": number("Requests per minute.", 6000),
        "X-RateLimit-Remaining": number("Requests left in the window.", 5999),
        "X-RateLimit-Reset": number("When the next window starts, in Unix seconds.", 1_614_556_800),
        "RateLimit-Policy": text("The limit and its window (IETF draft).", "\"default\";q=6000;w=60"),
        "RateLimit": text("Requests left, and the seconds until the next window (IETF draft).", "\"default\";r=5999;t=42"),
        "Retry-After": number("Seconds after which to try again.", 42),
        "WWW-Authenticate": text("The challenge of RFC 6750.", "Bearer realm=\"telepath\", error=\"invalid_token\""),
        "Idempotent-Replayed": text("`true` if this is the stored response to an earlier request with the same Idempotency-Key.", "true"),
        "Location": text("The path of the new resource.", "/v1/trunks/conn_01k9v1n2xrf6t8g3m5q7w9y0za"),
    })
}

fn error_schema() -> Value {
    let codes: Vec<_> = ErrorCode::ALL.iter().map(|code| code.name()).collect();
    json!({
        "type": "object",
        "description": "The body of every error response.",
        "required": ["error"],
        "properties": {"error": {
            "type": "object",
            "required": ["code", "message", "status", "request_id"],
            "properties": {
                "code": {"type": "string", "description": "The error, for programs.", "enum": codes},
                "message": {"type": "string", "description": "The error, for people."},
                "status": {"type": "integer", "description": "The HTTP status."},
                "request_id": {"type": "string", "description": "The same as in the header `X-Request-Id`."},
                "details": {
                    "type": "array",
                    "description": "The invalid parameters or members; only for validation errors.",
                    "items": {
                        "type": "object",
                        "required": ["field", "message"],
                        "properties": {"field": {"type": "string"}, "message": {"type": "string"}}
                    }
                },
                "required_scope": {"type": "string", "description": "The missing scope; only for `INSUFFICIENT_SCOPE`."}
            }
        }},
        "example": {"error": {
            "code": "INVALID_PARAMS",
            "message": "limit must be between 1 and 100",
            "status": 400,
            "request_id": "req_01k9v1n2xrf6t8g3m5q7w9y0za",
            "details": [{"field": "limit", "message": "must be between 1 and 100"}]
        }}
    })
}

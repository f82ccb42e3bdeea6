//! What is not understood is refused, and the refusal names it.

use axum::body::Body;
use serde_json::{Value, json};

use crate::router::routes;

use super::harness::{Answer, Harness, request};

async fn post_raw(harness: &Harness, key: &str, content_type: &str, body: impl Into<Body>) -> Answer {
    let mut raw = request("POST", "/v1/trunks", key);
    if !content_type.is_empty() {
        raw.headers_mut().insert("content-type", content_type.parse().unwrap());
    }
    *raw.body_mut() = body.into();
    harness.send(raw).await
}

#[tokio::test]
async fn bodies_that_are_not_one_json_object_are_refused() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    for (body, code, message) in [
        ("", "INVALID_JSON", "The body is empty; a JSON object is required"),
        ("{\"name\": ", "INVALID_JSON", "The body is not well-formed JSON (line 1, column 9)"),
        (r#"{"name":"a","name":"b"}"#, "INVALID_JSON", "The member 'name' appears more than once"),
        (r#"{"metadata":{"k":"a","k":"b"}}"#, "INVALID_JSON", "The member 'k' appears more than once"),
        ("[]", "INVALID_PARAMS", "body must be an object"),
        ("null", "INVALID_PARAMS", "body must be an object"),
        (r#"{"colour":"red"}"#, "INVALID_PARAMS", "colour is not a known member"),
        (r#"{"name":7}"#, "INVALID_PARAMS", "name must be a string"),
        (r#"{"codecs":["PCMU",null]}"#, "INVALID_PARAMS", "codecs[1] must be a string"),
    ] {
        let answer = post_raw(&harness, &key, "application/json", body).await.expect(400);
        assert_eq!((answer.code().as_str(), answer.message().as_str()), (code, message), "{body}");
    }
}

#[tokio::test]
async fn details_name_the_member() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    let answer =
        post_raw(&harness, &key, "application/json", r#"{"max_call_seconds":"soon"}"#).await.expect(400);
    assert_eq!(
        answer.json()["error"]["details"],
        json!([{"field": "max_call_seconds", "message": "must be a whole number that is not negative"}])
    );
}

#[tokio::test]
async fn a_body_needs_content_type_application_json() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    for good in ["application/json", "Application/JSON", "application/json; charset=utf-8"] {
        post_raw(&harness, &key, good, "{}").await.expect(400);
    }
    for bad in
        ["", "text/json", "application/x-www-form-urlencoded", "application/jsonp", "application/ld+json"]
    {
        let answer = post_raw(&harness, &key, bad, "{}").await.expect(415);
        assert_eq!(answer.code(), "UNSUPPORTED_MEDIA_TYPE", "{bad}");
    }
}

#[tokio::test]
async fn bodies_are_limited_with_and_without_content_length() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    let of_size = |size: usize| format!("{{\"x\":\"{}\"}}", "x".repeat(size - 8));
    post_raw(&harness, &key, "application/json", of_size(65_536)).await.expect(400);
    assert_eq!(
        post_raw(&harness, &key, "application/json", of_size(65_537)).await.expect(413).code(),
        "BODY_TOO_LARGE"
    );
    let pieces = (0..70).map(|_| Ok::<_, std::io::Error>(bytes::Bytes::from(vec![b' '; 1024])));
    let stream = Body::from_stream(futures_util::stream::iter(pieces));
    post_raw(&harness, &key, "application/json", stream).await.expect(413);
    let mut announced = request("POST", "/v1/trunks", &key);
    announced.headers_mut().insert("content-type", "application/json".parse().unwrap());
    announced.headers_mut().insert("content-length", "9999999999".parse().unwrap());
    harness.send(announced).await.expect(413);
}

#[tokio::test]
async fn the_scope_is_checked_before_the_body_is_read() {
    let harness = Harness::new().await;
    let reader = harness.key(json!({"preset": "testing"})).await;
    post_raw(&harness, &reader, "text/plain", "no JSON").await.expect(403);
}

#[tokio::test]
async fn unknown_query_parameters_are_refused() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    for (path, message) in [
        ("/v1/trunks?limit=0", "limit must be between 1 and 100"),
        ("/v1/trunks?limit=101", "limit must be between 1 and 100"),
        ("/v1/trunks?limit=many", "limit must be between 1 and 100"),
        ("/v1/calls?offset=-1", "offset must be a whole number from 0"),
        ("/v1/trunks?page=2", "page is not a known parameter"),
        ("/v1/trunks?limit=5&limit=5", "limit must be given only once"),
        ("/v1/trunks?status=live", "status must be one of active, inactive, error"),
        ("/v1/trunks?sort=name", "sort must be one of created_at, -created_at"),
        (
            "/v1/keys?preset=root",
            "preset must be one of production, development, testing, monitoring, custom",
        ),
        ("/v1/calls?trunk_id=conn_x", "trunk_id not a valid conn id"),
    ] {
        let answer = harness.get(path, &key).await.expect(400);
        assert_eq!(
            (answer.code().as_str(), answer.message().as_str()),
            ("INVALID_PARAMS", message),
            "{path}"
        );
    }
    let two = harness.get("/v1/trunks?limit=0&colour=red", &key).await.expect(400).json();
    assert_eq!(two["error"]["details"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn an_error_envelope_has_its_own_content_length() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    let refused = post_raw(&harness, &key, "application/json", "{}").await;
    for answer in [refused, harness.get("/v1/keys/key_x", &key).await, harness.get("/v1/nowhere", &key).await]
    {
        let told = answer.headers.get("content-length").and_then(|length| length.to_str().ok()?.parse().ok());
        assert!(told.is_none_or(|length: usize| length > 2), "{told:?} in an answer of {}", answer.status);
    }
}

#[tokio::test]
async fn every_documented_value_of_a_query_parameter_is_accepted_and_others_are_not() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    let own = harness.get("/v1/whoami", &key).await.json()["id"].as_str().unwrap().to_owned();
    let webhook =
        harness.post("/v1/webhooks", &key, json!({"url": "https://203.0.114.7/hook"})).await.expect(201);
    let webhook = webhook.json()["id"].as_str().unwrap().to_owned();
    let document: Value = serde_json::from_str(&routes().unwrap().document).unwrap();
    let mut checked = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        let parameters = operations["get"]["parameters"].as_array().into_iter().flatten();
        let parameters = parameters.filter(|parameter| parameter["in"] == "query");
        let path = path.replace("{id}", if path.starts_with("/v1/keys/") { &own } else { &webhook });
        let required = parameters.clone().filter(|parameter| parameter["required"] == true);
        let required = required.map(|parameter| match parameter["name"].as_str().unwrap() {
            name @ "key_id" => format!("{name}={own}&"),
            name => format!("{name}=conn_{name:0>26}&"),
        });
        let path = format!("{path}?{}", required.collect::<String>());
        for parameter in parameters {
            let Some(values) = parameter["schema"]["enum"].as_array() else { continue };
            let name = parameter["name"].as_str().unwrap();
            for value in values.iter().filter_map(Value::as_str) {
                let answer = harness.get(&format!("{path}{name}={value}"), &key).await;
                assert_ne!(answer.status.as_u16(), 400, "{path}{name}={value}");
                checked += 1;
            }
            let answer = harness.get(&format!("{path}{name}=nonsense"), &key).await;
            assert_eq!(answer.status.as_u16(), 400, "{path}{name}=nonsense");
        }
    }
    assert!(checked > 100, "{checked}");
}

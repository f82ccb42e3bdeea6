//! Error responses: the documented authentication errors word for word, and the envelope of all others.

use anyhow::Context as _;
use hyper::Method;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use serde_json::{Value, json};

use crate::support::http::{Answer, Call};
use crate::support::{Outcome, Server};

/// Checks the envelope that every error response has.
fn envelope(answer: &Answer, status: u16, code: &str) -> anyhow::Result<Value> {
    let body = answer.json()?;
    let error = &body["error"];
    assert_eq!(answer.status, status, "{body}");
    assert_eq!(error["code"], code, "{body}");
    assert_eq!(error["status"], status, "{body}");
    assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{body}");
    assert_eq!(error["request_id"].as_str(), answer.header("x-request-id"), "{body}");
    assert!(answer.header("x-request-id").is_some_and(|id| id.starts_with("req_")), "{body}");
    Ok(error.clone())
}

#[tokio::test]
async fn authentication_error_messages_match_the_documentation() -> Outcome {
    let server = Server::start().await?;
    let client = server.client()?;

    let missing = client.send(Call::get("/v1/trunks")).await?;
    let error = envelope(&missing, 401, "MISSING_API_KEY")?;
    assert_eq!(error["message"], "Authorization header is missing");
    assert_eq!(missing.header("www-authenticate"), Some("Bearer realm=\"telepath\""));

    let revoked = server.create_key(&["--name", "gone", "--preset", "testing"]).await?;
    server.home().run(&["keys", "revoke", &revoked.id]).await?.expect_success()?;
    let well_formed_but_unknown = {
        let other = Server::start().await?;
        other.create_key(&["--name", "elsewhere", "--preset", "testing"]).await?.secret
    };
    for wrong in ["sk_live_abc123def456...", "", "x", &revoked.secret, &well_formed_but_unknown] {
        let answer = client.send(Call::get("/v1/trunks").key(wrong)).await?;
        let error = envelope(&answer, 401, "INVALID_API_KEY")?;
        assert_eq!(error["message"], "The API key provided is invalid or has been revoked");
        let challenge = answer.header("www-authenticate").context("a challenge")?;
        assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
    }

    let key = server.create_key(&["--name", "slow", "--preset", "testing", "--rate-limit", "2"]).await?;
    let mut connection = client.connect().await?;
    let limited = loop {
        let answer = connection.send(Call::get("/v1/whoami").key(&key.secret)).await?;
        if answer.status != 200 {
            break answer;
        }
    };
    let error = envelope(&limited, 429, "RATE_LIMIT_EXCEEDED")?;
    assert_eq!(error["message"], "Rate limit of 2 requests per minute exceeded");
    Ok(())
}

#[tokio::test]
async fn a_key_is_read_from_the_authorization_header_only() -> Outcome {
    let server = Server::start().await?;
    let client = server.client()?;
    let key = server.create_key(&["--name", "one", "--preset", "testing"]).await?;
    let in_query = format!("/v1/whoami?api_key={0}&access_token={0}", key.secret);
    assert_eq!(client.send(Call::get(&in_query)).await?.error(401)?, "MISSING_API_KEY");
    for scheme in ["bearer", "BEARER", "Bearer"] {
        let call = Call::get("/v1/whoami").header(AUTHORIZATION, &format!("{scheme} {}", key.secret));
        assert_eq!(client.send(call).await?.status, 200, "{scheme}");
    }
    let basic = Call::get("/v1/whoami").header(AUTHORIZATION, &format!("Basic {}", key.secret));
    assert_eq!(client.send(basic).await?.error(401)?, "INVALID_API_KEY");
    Ok(())
}

#[tokio::test]
async fn bodies_are_parsed_strictly_and_problems_name_the_field() -> Outcome {
    let server = Server::start().await?;
    let client = server.client()?;
    let key = server.admin_key().await?.secret;
    let post = |body: &str| {
        Call::new(Method::POST, "/v1/keys")
            .key(&key)
            .header(CONTENT_TYPE, "application/json")
            .body(body.to_owned())
    };

    let broken = client.send(post("{\"name\": ")).await?;
    envelope(&broken, 400, "INVALID_JSON")?;
    let twice = client.send(post(r#"{"name": "a", "name": "b", "preset": "testing"}"#)).await?;
    let error = envelope(&twice, 400, "INVALID_JSON")?;
    assert!(error["message"].as_str().is_some_and(|message| message.contains("name")), "{error}");
    let unknown = client.send(post(r#"{"name": "a", "preset": "testing", "colour": "red"}"#)).await?;
    let error = envelope(&unknown, 400, "INVALID_PARAMS")?;
    assert!(error.to_string().contains("colour"), "{error}");
    let mistyped = client.send(post(r#"{"name": 5, "preset": "testing"}"#)).await?;
    let error = envelope(&mistyped, 400, "INVALID_PARAMS")?;
    assert_eq!(error["details"][0]["field"], "name", "{error}");
    let missing = client.send(post(r#"{"preset": "testing"}"#)).await?;
    let error = envelope(&missing, 400, "MISSING_REQUIRED")?;
    assert_eq!(error["message"], "Missing required field: name");
    let openai = json!({"name": "Support", "ai_provider": "openai", "sip_username": "support-01"});
    let error = envelope(&client.post("/v1/trunks", &key, &openai).await?, 400, "MISSING_REQUIRED")?;
    assert_eq!(error["message"], "Missing required field: openai_api_key");

    let text = Call::new(Method::POST, "/v1/keys").key(&key).header(CONTENT_TYPE, "text/plain").body("{}");
    envelope(&client.send(text).await?, 415, "UNSUPPORTED_MEDIA_TYPE")?;
    envelope(&client.announce_body("/v1/keys", &key, 65 * 1024).await?, 413, "BODY_TOO_LARGE")?;
    Ok(())
}

#[tokio::test]
async fn unknown_paths_methods_and_parameters_have_distinct_codes() -> Outcome {
    let server = Server::start().await?;
    let client = server.client()?;
    let key = server.admin_key().await?.secret;

    envelope(&client.get("/v1/nothing", &key).await?, 404, "NOT_FOUND")?;
    envelope(&client.get("/", &key).await?, 404, "NOT_FOUND")?;
    for (path, code, word) in [
        ("/v1/trunks/conn_x", "TRUNK_NOT_FOUND", "Trunk"),
        ("/v1/calls/call_x", "CALL_NOT_FOUND", "Call"),
        ("/v1/keys/key_x", "KEY_NOT_FOUND", "Key"),
    ] {
        let error = envelope(&client.get(path, &key).await?, 404, code)?;
        let id = path.rsplit('/').next().unwrap_or_default();
        let message = error["message"].as_str().context("message")?;
        assert!(
            message.contains(&format!("{word} '{id}' not found"))
                || message.contains(&format!("'{id}' not found")),
            "{message}"
        );
    }
    let put = client.send(Call::new(Method::PUT, "/v1/keys").key(&key).json(&json!({}))).await?;
    envelope(&put, 405, "METHOD_NOT_ALLOWED")?;
    let allow = put.header("allow").context("Allow")?;
    assert!(allow.contains("GET") && allow.contains("POST"), "{allow}");

    for query in ["limit=0", "limit=101", "limit=x", "offset=-1", "nonsense=1", "limit=5&limit=6"] {
        let error = envelope(&client.get(&format!("/v1/keys?{query}"), &key).await?, 400, "INVALID_PARAMS")?;
        let name = query.split('=').next().unwrap_or_default();
        assert!(error.to_string().contains(name), "{query}: {error}");
    }
    Ok(())
}

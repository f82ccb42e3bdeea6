//! Headers on every response, whatever its status: rate limit, request id, no caching.

use anyhow::{Context as _, ensure};
use hyper::Method;
use hyper::header::CONTENT_TYPE;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::http::{Answer, Call};
use crate::support::waiting::soon;
use crate::support::{Outcome, Server};

/// Checks that the window in a response matches the limit that applies.
fn check(answer: &Answer, status: u16, limit: u64) -> anyhow::Result<()> {
    ensure!(answer.status == status, "status {} instead of {status}: {}", answer.status, answer.text());
    let rate = answer.rate()?;
    ensure!(rate.limit == limit, "status {status}: {rate:?}, the limit is {limit}");
    ensure!(rate.remaining <= limit, "status {status}: {rate:?}");
    let now = std::time::UNIX_EPOCH.elapsed()?.as_secs();
    ensure!((now..=now + 61).contains(&rate.reset), "status {status}: {rate:?} at {now}");
    for name in ["ratelimit", "ratelimit-policy", "x-request-id"] {
        ensure!(answer.header(name).is_some_and(|value| !value.is_empty()), "status {status}: no {name}");
    }
    ensure!(answer.header("cache-control") == Some("no-store"), "status {status}: {:?}", answer.headers);
    Ok(())
}

/// Requests per minute without a valid key.
const ADDRESS_LIMIT: u64 = 600;

#[tokio::test]
async fn every_response_has_rate_limit_and_request_id_headers() -> Outcome {
    let server = Server::start().await?;
    let client = server.client()?;
    let key = server
        .create_key(&["--name", "h", "--preset", "custom", "--scopes", "keys:write", "--rate-limit", "777"])
        .await?;
    let key = key.secret.as_str();
    let post = |path| Call::new(Method::POST, path).key(key);

    check(&client.get("/v1/whoami", key).await?, 200, 777)?;
    let made = client
        .post("/v1/keys", key, &json!({"name": "c", "preset": "custom", "scopes": ["keys:read"]}))
        .await?;
    check(&made, 201, 777)?;
    check(&client.send(post("/v1/keys").json(&json!({"no": 1}))).await?, 400, 777)?;
    check(&client.send(Call::get("/v1/whoami")).await?, 401, ADDRESS_LIMIT)?;
    check(&client.get("/v1/whoami", "sk_live_wrong").await?, 401, ADDRESS_LIMIT)?;
    check(&client.get("/v1/calls", key).await?, 403, 777)?;
    check(&client.get("/v1/nothing", key).await?, 404, 777)?;
    check(&client.get("/v1/keys/key_x", key).await?, 404, 777)?;
    check(&client.send(Call::new(Method::PUT, "/v1/keys").key(key)).await?, 405, 777)?;
    check(&client.announce_body("/v1/keys", key, 70 * 1024).await?, 413, 777)?;
    let text = post("/v1/keys").header(CONTENT_TYPE, "text/plain").body("{}");
    check(&client.send(text).await?, 415, 777)?;

    let one = server.create_key(&["--name", "one", "--preset", "testing", "--rate-limit", "1"]).await?;
    let limited = loop {
        let answer = client.get("/v1/whoami", &one.secret).await?;
        check(&answer, answer.status, 1)?;
        if answer.status != 200 {
            break answer;
        }
    };
    check(&limited, 429, 1)?;
    assert_eq!(limited.rate()?.remaining, 0);
    let wait: u64 = limited.header("retry-after").context("Retry-After")?.parse()?;
    let now = std::time::UNIX_EPOCH.elapsed()?.as_secs();
    assert!(now + wait + 1 >= limited.rate()?.reset, "{wait} is earlier than the reset");

    let elsewhere =
        server.create_key(&["--name", "far", "--preset", "testing", "--allow-ip", "192.0.2.0/24"]).await?;
    let answer = client.get("/v1/whoami", &elsewhere.secret).await?;
    assert_eq!(answer.error(403)?, "IP_NOT_ALLOWED");
    answer.rate()?;
    Ok(())
}

#[tokio::test]
async fn admitted_and_scope_refused_requests_consume_the_limit() -> Outcome {
    let server = Server::start().await?;
    let client = server.client()?;
    let key = server.create_key(&["--name", "n", "--preset", "custom", "--scopes", "calls:read"]).await?;
    let mut connection = client.connect().await?;
    let mut before = connection.send(Call::get("/v1/whoami").key(&key.secret)).await?.rate()?;
    for path in ["/v1/whoami", "/v1/trunks", "/v1/calls?limit=x", "/v1/calls"] {
        let after = connection.send(Call::get(path).key(&key.secret)).await?.rate()?;
        // A new window starts with its first request.
        let left = if after.reset == before.reset { before.remaining } else { after.limit };
        assert_eq!(after.remaining, left - 1, "{path}");
        before = after;
    }
    Ok(())
}

#[tokio::test]
async fn plain_http_on_the_tls_port_is_answered_https_required_and_closed() -> Outcome {
    let server = Server::start().await?;
    let key = server.create_key(&["--name", "clear", "--preset", "testing"]).await?;
    let mut stream = TcpStream::connect(server.addresses.api).await?;
    let request =
        format!("GET /v1/whoami HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n", key.secret);
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    soon("the end of the answer", stream.read_to_end(&mut answer)).await??;
    let answer = String::from_utf8(answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("a head and a body")?;
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    assert!(!head.to_ascii_lowercase().contains("location:"), "{head}");
    for name in ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "x-request-id"] {
        assert!(head.to_ascii_lowercase().contains(&format!("\r\n{name}: ")), "no {name}: {head}");
    }
    let body: serde_json::Value = serde_json::from_str(body)?;
    assert_eq!(body["error"]["code"], "HTTPS_REQUIRED");
    Ok(())
}

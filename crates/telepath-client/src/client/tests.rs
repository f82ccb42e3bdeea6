//! Errors of a response, and secrets that are never shown. `retries` tests what is sent again, `deadlines` how long the
//! client waits, `resources` the bodies; all use the scripted server in `server`.

mod deadlines;
mod operations;
mod resources;
mod retries;
mod server;

use std::path::PathBuf;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;

use super::*;
use crate::{KeysQuery, Timestamp};

const LIMITED: &str = "retry-after: 7\r\nx-ratelimit-reset: 1800000007\r\n";
const KEY: &str = "sk_live_0000000000000000000000000000000000000000000abcdef";

struct Socket(PathBuf);

impl Socket {
    fn named(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("telepath-client-{}-{name}.sock", std::process::id())))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn response(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len())
}

/// Accepts one connection, sends fixed bytes and returns the request.
async fn respond_once(listener: UnixListener, response: &str) -> String {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = Vec::new();
    while !request.windows(4).any(|w| w == b"\r\n\r\n") {
        let mut buffer = [0; 1024];
        let read = stream.read(&mut buffer).await.unwrap();
        request.extend_from_slice(&buffer[..read]);
    }
    stream.write_all(response.as_bytes()).await.unwrap();
    String::from_utf8(request).unwrap()
}

async fn exchange(name: &str, response: &str) -> (String, Result<Vec<String>, Error>) {
    let socket = Socket::named(name);
    let listener = UnixListener::bind(&socket.0).unwrap();
    let client = Client::unix(&socket.0).with_retry(RetryPolicy::NEVER);
    let query = KeysQuery { status: Some("active&x=ä".to_owned()), ..KeysQuery::default() };
    let (request, result) = tokio::join!(respond_once(listener, response), client.list_keys(&query));
    (request, result.map(|page| page.items.into_iter().map(|key| key.name).collect()))
}

#[tokio::test]
async fn an_error_envelope_becomes_a_typed_error() {
    let body =
        r#"{"error":{"code":"RATE_LIMIT_EXCEEDED","message":"Slow down","status":429,"request_id":"req_1"}}"#;
    let (request, result) = exchange("envelope", &response("429 Too Many Requests", LIMITED, body)).await;
    assert!(request.starts_with("GET /v1/keys?status=active%26x%3D%C3%A4 HTTP/1.1\r\n"), "{request}");
    let error = result.unwrap_err();
    assert_eq!(error.code(), Some("RATE_LIMIT_EXCEEDED"));
    assert!(error.may_retry());
    let Error::Api(api) = error else { panic!("{error:?}") };
    assert_eq!((api.body.status, api.body.request_id.as_deref()), (429, Some("req_1")));
    assert_eq!(api.retry_after, Some(Duration::from_secs(7)));
    assert_eq!(api.rate_limit_reset, Some(Timestamp::from_unix_seconds(1_800_000_007)));
    assert!(api.to_string().ends_with("; the next window starts at 2027-01-15T08:00:07.000Z"), "{api}");
}

#[tokio::test]
async fn the_error_for_an_invalid_response_does_not_contain_the_body() {
    let (_, result) = exchange("content", &response("200 OK", "", r#"{"secret":"sk_live_0"}"#)).await;
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Unexpected { status: 200, .. }));
    assert!(!format!("{error} {error:?}").contains("sk_live"));
}

#[tokio::test]
async fn a_connection_closed_before_the_response_is_an_error() {
    let (_, result) = exchange("hangup", "").await;
    assert!(result.is_err());
}

#[tokio::test]
async fn a_socket_that_is_missing_or_not_listening_means_that_no_server_runs() {
    let socket = Socket::named("absent");
    assert!(matches!(Client::unix(&socket.0).reach().await, Err(Error::NoServer { .. })));
    drop(UnixListener::bind(&socket.0).unwrap());
    assert!(matches!(Client::unix(&socket.0).reach().await, Err(Error::NoServer { .. })));
}

#[test]
fn the_key_is_in_no_debug_output() {
    let client = Client::loopback_http("http://127.0.0.1:1", SecretText::new(KEY.to_owned())).unwrap();
    let request =
        ApiRequest::new(Method::GET, "/v1/keys").to_http("http://a", client.authorization.as_ref(), None);
    assert!(!format!("{client:?} {request:?}").contains("sk_live_"));
    let bad = Client::loopback_http("http://127.0.0.1:1", SecretText::new("sk_live_\n\0".to_owned()));
    assert!(!format!("{:?}", bad.unwrap_err()).contains("sk_live"));
}

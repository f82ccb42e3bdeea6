//! Answers as they come from a socket, and what is never shown. What is sent again is in `again`, waiting under a paused
//! clock in `waiting`; both speak to the server in `server`.

mod again;
mod operations;
mod server;
mod shapes;
mod waiting;

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

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len())
}

/// Answers one connection with fixed bytes and gives back what was asked.
async fn answer_once(listener: UnixListener, answer: &str) -> String {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut asked = Vec::new();
    while !asked.windows(4).any(|w| w == b"\r\n\r\n") {
        let mut buffer = [0; 1024];
        let read = stream.read(&mut buffer).await.unwrap();
        asked.extend_from_slice(&buffer[..read]);
    }
    stream.write_all(answer.as_bytes()).await.unwrap();
    String::from_utf8(asked).unwrap()
}

async fn exchange(name: &str, answer: &str) -> (String, Result<Vec<String>, Error>) {
    let socket = Socket::named(name);
    let listener = UnixListener::bind(&socket.0).unwrap();
    let client = Client::unix(&socket.0).with_retry(RetryPolicy::NEVER);
    let query = KeysQuery { status: Some("active&x=ä".to_owned()), ..KeysQuery::default() };
    let (asked, answered) = tokio::join!(answer_once(listener, answer), client.list_keys(&query));
    (asked, answered.map(|page| page.items.into_iter().map(|key| key.name).collect()))
}

#[tokio::test]
async fn an_error_envelope_becomes_a_typed_error() {
    let body =
        r#"{"error":{"code":"RATE_LIMIT_EXCEEDED","message":"Slow down","status":429,"request_id":"req_1"}}"#;
    let (asked, answered) = exchange("envelope", &answer("429 Too Many Requests", LIMITED, body)).await;
    assert!(asked.starts_with("GET /v1/keys?status=active%26x%3D%C3%A4 HTTP/1.1\r\n"), "{asked}");
    let error = answered.unwrap_err();
    assert_eq!(error.code(), Some("RATE_LIMIT_EXCEEDED"));
    assert!(error.may_retry());
    let Error::Api(api) = error else { panic!("{error:?}") };
    assert_eq!((api.status, api.request_id.as_deref()), (429, Some("req_1")));
    assert_eq!(api.retry_after, Some(Duration::from_secs(7)));
    assert_eq!(api.rate_limit_reset, Some(Timestamp::from_unix_seconds(1_800_000_007)));
    assert!(api.to_string().ends_with("; the next window starts at 2027-01-15T08:00:07.000Z"), "{api}");
}

#[tokio::test]
async fn an_answer_that_is_not_understood_never_shows_its_content() {
    let (_, answered) = exchange("content", &answer("200 OK", "", r#"{"secret":"sk_live_0"}"#)).await;
    let error = answered.unwrap_err();
    assert!(matches!(error, Error::Unexpected { status: 200, .. }));
    assert!(!format!("{error} {error:?}").contains("sk_live"));
}

#[tokio::test]
async fn a_server_that_hangs_up_is_an_error_and_not_a_wait() {
    let (_, answered) = exchange("hangup", "").await;
    assert!(answered.is_err());
}

#[tokio::test]
async fn a_missing_and_a_deserted_socket_mean_that_no_server_runs() {
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

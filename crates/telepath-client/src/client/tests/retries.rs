//! Which requests are sent again, over TCP.

use serde_json::{Value, json};

use super::server::{Server, Step, header_of};
use super::*;

const UNAVAILABLE: &str = "503 Service Unavailable";

async fn get(client: &Client) -> Result<Value, Error> {
    client.get("/v1/things?secret=in+query").await
}

async fn post(client: &Client) -> Result<Value, Error> {
    client.post("/v1/things", &json!({"a": 1})).await
}

#[tokio::test]
async fn transient_failures_are_retried_until_an_attempt_succeeds() {
    let bad_gateway = Step::Respond(response("502 Bad Gateway", "", "<html>a proxy's own page</html>"));
    let steps = [Step::status(UNAVAILABLE, ""), Step::Close, bad_gateway, Step::ok()];
    let (server, client) = Server::tcp(steps).await;
    assert_eq!(get(&client).await.unwrap()["newer"]["member"], 1);
    assert_eq!(server.requests().len(), 4);
}

#[tokio::test]
async fn the_error_of_the_last_attempt_is_returned() {
    let (server, client) = Server::tcp(std::iter::repeat_n(Step::status(UNAVAILABLE, ""), 4)).await;
    let Err(Error::Api(error)) = get(&client).await else { panic!("a response") };
    assert_eq!((error.body.status, server.requests().len()), (503, 4));
}

#[tokio::test]
async fn all_attempts_of_a_post_have_the_same_idempotency_key() {
    let (server, client) =
        Server::tcp([Step::status(UNAVAILABLE, ""), Step::Close, Step::ok(), Step::ok()]).await;
    post(&client).await.unwrap();
    post(&client).await.unwrap();
    let requests = server.requests();
    let keys: Vec<_> =
        requests.iter().map(|request| header_of(request, "idempotency-key").unwrap()).collect();
    assert!(keys[0] == keys[1] && keys[1] == keys[2] && keys[2] != keys[3], "{keys:?}");
    assert!(requests.iter().all(|request| request.ends_with("{\"a\":1}")), "{requests:?}");
}

#[tokio::test]
async fn a_post_without_an_idempotency_key_and_a_patch_are_not_retried() {
    let unavailable = || Step::status(UNAVAILABLE, "");
    let (server, client) = Server::tcp([unavailable(), Step::Close, unavailable(), Step::Close]).await;
    let client = client.without_idempotency_keys();
    for _ in 0..2 {
        assert!(post(&client).await.is_err());
    }
    for _ in 0..2 {
        assert!(client.patch::<Value>("/v1/things/1", &json!({"a": 1})).await.is_err());
    }
    let requests = server.requests();
    assert_eq!(requests.len(), 4);
    assert!(requests.iter().all(|request| header_of(request, "idempotency-key").is_none()));
}

#[tokio::test]
async fn client_errors_are_not_retried() {
    for status in ["400 Bad Request", "401 Unauthorized", "404 Not Found", "409 Conflict"] {
        let (server, client) = Server::tcp([Step::status(status, "")]).await;
        assert!(get(&client).await.is_err(), "{status}");
        assert_eq!(server.requests().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn idempotency_key_in_use_is_retried() {
    let body = r#"{"error":{"code":"IDEMPOTENCY_KEY_IN_USE","message":"still running"}}"#;
    let running = Step::Respond(response("409 Conflict", "", body));
    let (server, client) = Server::tcp([Step::Close, running, Step::ok()]).await;
    post(&client).await.unwrap();
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn connections_are_reused_until_the_server_closes_them() {
    let close = Step::Respond(response("200 OK", "connection: close\r\n", "{}"));
    let (server, client) = Server::tcp([Step::ok(), close, Step::ok(), Step::ok()]).await;
    for _ in 0..4 {
        get(&client).await.unwrap();
    }
    assert_eq!((server.requests().len(), server.connections()), (4, 2));
}

#[tokio::test]
async fn a_request_that_must_not_be_repeated_gets_a_new_connection() {
    let (server, client) = Server::tcp([Step::ok(), Step::ok()]).await;
    get(&client).await.unwrap();
    client.patch::<Value>("/v1/things/1", &json!({})).await.unwrap();
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn log_lines_contain_no_key_query_or_body() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(lines.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let limited = Step::status("429 Too Many Requests", "retry-after: 0\r\nx-request-id: req_first\r\n");
    let found =
        Step::Respond(response("200 OK", "x-request-id: req_second\r\n", r#"{"secret":"in response"}"#));
    let (_server, client) = Server::tcp([limited, found, Step::Close, Step::Close]).await;
    get(&client).await.unwrap();
    let secret = json!({"password": "in body"});
    client.patch::<Value>("/v1/things/1", &secret).await.unwrap_err();
    client.clone().without_idempotency_keys().post::<Value>("/v1/things", &secret).await.unwrap_err();
    let text = lines.text();
    for part in ["method=GET", "path=\"/v1/things\"", "status=200", "attempt=2", "req_first", "req_second"] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
    for part in ["sk_live_", "Bearer", "in+query", "in body", "in response"] {
        assert!(!text.contains(part), "{part} is logged:\n{text}");
    }
}

#[tokio::test]
async fn a_refused_connection_is_an_error_that_may_be_retried() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let client = Client::loopback_http(&url, SecretText::new(KEY.to_owned())).unwrap();
    let error = get(&client.with_retry(RetryPolicy::NEVER)).await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }) && error.may_retry(), "{error}");
}

/// Log lines in memory.
#[derive(Clone, Default)]
struct Lines(Arc<std::sync::Mutex<Vec<u8>>>);

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> tracing_subscriber::fmt::MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

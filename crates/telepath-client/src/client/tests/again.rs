//! Which requests are sent again, over real TCP.

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
async fn trouble_that_passes_is_not_seen_by_the_caller() {
    let broken = Step::Answer(answer("502 Bad Gateway", "", "<html>a proxy's own page</html>"));
    let steps = [Step::status(UNAVAILABLE, ""), Step::HangUp, broken, Step::ok()];
    let (server, client) = Server::tcp(steps).await;
    assert_eq!(get(&client).await.unwrap()["newer"]["member"], 1);
    assert_eq!(server.requests().len(), 4);
}

#[tokio::test]
async fn trouble_that_stays_is_told_after_the_last_attempt() {
    let (server, client) = Server::tcp(std::iter::repeat_n(Step::status(UNAVAILABLE, ""), 4)).await;
    let Err(Error::Api(error)) = get(&client).await else { panic!("an answer") };
    assert_eq!((error.status, server.requests().len()), (503, 4));
}

#[tokio::test]
async fn a_post_has_one_idempotency_key_for_all_its_attempts_and_the_next_another() {
    let (server, client) =
        Server::tcp([Step::status(UNAVAILABLE, ""), Step::HangUp, Step::ok(), Step::ok()]).await;
    post(&client).await.unwrap();
    post(&client).await.unwrap();
    let requests = server.requests();
    let keys: Vec<_> =
        requests.iter().map(|request| header_of(request, "idempotency-key").unwrap()).collect();
    assert!(keys[0] == keys[1] && keys[1] == keys[2] && keys[2] != keys[3], "{keys:?}");
    assert!(requests.iter().all(|request| request.ends_with("{\"a\":1}")), "{requests:?}");
}

#[tokio::test]
async fn a_post_without_a_key_and_a_patch_are_sent_once() {
    let trouble = || Step::status(UNAVAILABLE, "");
    let (server, client) = Server::tcp([trouble(), Step::HangUp, trouble(), Step::HangUp]).await;
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
async fn a_refusal_is_final() {
    for status in ["400 Bad Request", "401 Unauthorized", "404 Not Found", "409 Conflict"] {
        let (server, client) = Server::tcp([Step::status(status, "")]).await;
        assert!(get(&client).await.is_err(), "{status}");
        assert_eq!(server.requests().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn an_attempt_that_still_runs_is_waited_for() {
    let body = r#"{"error":{"code":"IDEMPOTENCY_KEY_IN_USE","message":"still running"}}"#;
    let running = Step::Answer(answer("409 Conflict", "", body));
    let (server, client) = Server::tcp([Step::HangUp, running, Step::ok()]).await;
    post(&client).await.unwrap();
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn connections_are_used_again_and_replaced_when_they_are_closed() {
    let close = Step::Answer(answer("200 OK", "connection: close\r\n", "{}"));
    let (server, client) = Server::tcp([Step::ok(), close, Step::ok(), Step::ok()]).await;
    for _ in 0..4 {
        get(&client).await.unwrap();
    }
    assert_eq!((server.requests().len(), server.connections()), (4, 2));
}

#[tokio::test]
async fn what_may_not_be_repeated_gets_a_fresh_connection() {
    let (server, client) = Server::tcp([Step::ok(), Step::ok()]).await;
    get(&client).await.unwrap();
    client.patch::<Value>("/v1/things/1", &json!({})).await.unwrap();
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn no_key_query_or_body_stands_in_a_log_line() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(lines.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let limited = Step::status("429 Too Many Requests", "retry-after: 0\r\nx-request-id: req_first\r\n");
    let found = Step::Answer(answer("200 OK", "x-request-id: req_second\r\n", r#"{"secret":"in answer"}"#));
    let (_server, client) = Server::tcp([limited, found, Step::HangUp, Step::HangUp]).await;
    get(&client).await.unwrap();
    let secret = json!({"password": "in body"});
    client.patch::<Value>("/v1/things/1", &secret).await.unwrap_err();
    client.clone().without_idempotency_keys().post::<Value>("/v1/things", &secret).await.unwrap_err();
    let text = lines.text();
    for part in ["method=GET", "path=\"/v1/things\"", "status=200", "attempt=2", "req_first", "req_second"] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
    for part in ["sk_live_", "Bearer", "in+query", "in body", "in answer"] {
        assert!(!text.contains(part), "{part} is there:\n{text}");
    }
}

#[tokio::test]
async fn nothing_is_sent_to_a_port_where_nobody_listens_and_the_error_says_so() {
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

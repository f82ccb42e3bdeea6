//! What counts as a response: a complete head, however the connection ends after it.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use telepath_core::webhook::{SignatureScheme, WebhookUrl};

use super::sink::{Numbers, Reply, Sink, certificate, trust};
use super::*;

/// Sends one message to an endpoint on a port of this machine.
async fn post_to(port: u16, trust: Arc<rustls::ClientConfig>, timeouts: Timeouts) -> Outcome {
    let allow: AllowList = format!("127.0.0.1:{port}").parse().unwrap();
    let egress = Egress::with_resolver_and_trust(allow, Arc::new(Numbers), trust);
    let url = WebhookUrl::try_from(format!("https://127.0.0.1:{port}/")).unwrap();
    let secrets = [SigningSecret::generate(SignatureScheme::V1, &SystemEntropy::default()).unwrap()];
    let message = post::Message { id: "evt_1".to_owned(), attempt: 1, body: "{}".to_owned(), at: NOON };
    let destination = Destination::from(&url);
    let posted = post::post(&egress, &destination, message, &secrets, timeouts);
    within(Box::pin(posted)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_complete_2xx_head_is_success_however_the_connection_ends() {
    for (response, kept) in [
        ("HTTP/1.1 200 OK\r\n\r\n", ""),
        ("HTTP/1.0 200 OK\r\nServer: BaseHTTP/0.6\r\n\r\nok", "ok"),
        ("HTTP/1.1 202 Accepted\r\nConnection: close\r\n\r\nqueued", "queued"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nnot a hundred", "not a hundred"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", "ok"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n", "ok"),
        ("HTTP/1.1 204 No Content\r\n\r\n", ""),
        ("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", ""),
        ("HTTP/1.1 200\r\n\r\n", ""),
        ("HTTP/1.1 200 OK\r\nX Bad: header\r\nX-Space : a\r\n\r\n", ""),
    ] {
        let sink = Sink::start(|_| Reply::Cut(response.as_bytes().to_vec())).await;
        let outcome = post_to(sink.port, sink.trust(), TIMEOUTS).await;
        assert_eq!(outcome.error, None, "{response:?}");
        assert_eq!(String::from_utf8_lossy(&outcome.response_body), kept, "{response:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incomplete_head_is_no_response() {
    for response in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", "SSH-2.0-x\r\n"] {
        let sink = Sink::start(|_| Reply::Cut(response.as_bytes().to_vec())).await;
        let outcome = post_to(sink.port, sink.trust(), TIMEOUTS).await;
        assert_eq!((outcome.error, outcome.status), (Some(ErrorClass::Broken), None), "{response:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_status_is_a_failure_however_the_connection_ends() {
    for (response, error) in [
        ("HTTP/1.1 503 x\r\nRetry-After: 60\r\nContent-Length: 9\r\n\r\n", ErrorClass::ServerError),
        ("HTTP/1.0 429 x\r\nRetry-After: 60\r\n\r\n", ErrorClass::TooMany),
    ] {
        let sink = Sink::start(|_| Reply::Cut(response.as_bytes().to_vec())).await;
        let outcome = post_to(sink.port, sink.trust(), TIMEOUTS).await;
        assert_eq!(outcome.error, Some(error), "{response:?}");
        assert_eq!(outcome.retry_after, Some(Duration::from_mins(1)));
    }
}

const PYTHON_SERVER: &str = r#"
import http.server, ssl, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"received")
    def log_message(self, *arguments):
        pass
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1])
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
"#;

/// A running Python program, which ends with the test.
struct Python(Child);

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The server sends no `Content-Length` and closes the connection without `close_notify`.
#[tokio::test(flavor = "multi_thread")]
async fn a_response_of_python_http_server_behind_ssl_is_success() {
    let folder = TemporaryFolder::new();
    let (certificate, key) = certificate();
    let pem = folder.path().join("server.pem");
    std::fs::write(&pem, key.serialize_pem() + &certificate.pem()).unwrap();
    let mut command = Command::new("python3");
    command.args(["-c", PYTHON_SERVER]).arg(&pem).stdin(Stdio::null()).stdout(Stdio::piped());
    let Ok(child) = command.spawn() else {
        eprintln!("left out: python3 is not here");
        return;
    };
    let mut server = Python(child);
    let stdout = server.0.stdout.take().unwrap();
    let line = task::spawn_blocking(|| BufReader::new(stdout).lines().next().unwrap().unwrap());
    let port = within(line).await.unwrap().parse().unwrap();
    let outcome = post_to(port, trust(&certificate), TIMEOUTS).await;
    assert_eq!((outcome.error, outcome.status), (None, Some(200)));
    assert_eq!(outcome.response_body, b"received");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_body_that_misses_the_deadline_is_a_failure() {
    let sink = Sink::start(|_| Reply::with(200, "Content-Length: 100\r\n", b"a beginning")).await;
    let timeouts = Timeouts { total: Duration::from_secs(1), ..Timeouts::default() };
    let outcome = post_to(sink.port, sink.trust(), timeouts).await;
    assert_eq!((outcome.error, outcome.status), (Some(ErrorClass::TimedOut), Some(200)));
    assert_eq!(outcome.response_body, b"a beginning");
    assert_eq!(sink.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_without_a_signing_secret_is_not_sent() {
    let sink = Sink::start(|_| Reply::status(200)).await;
    let allow: AllowList = format!("127.0.0.1:{}", sink.port).parse().unwrap();
    let egress = Egress::with_resolver_and_trust(allow, Arc::new(Numbers), sink.trust());
    let url = WebhookUrl::try_from(sink.url("/")).unwrap();
    let message = post::Message { id: "evt_1".to_owned(), attempt: 1, body: "{}".to_owned(), at: NOON };
    let outcome = post::post(&egress, &Destination::from(&url), message, &[], Timeouts::default()).await;
    assert_eq!(outcome.error, Some(ErrorClass::Unsigned));
    assert_eq!(sink.count(), 0);
}

//! One attempt over HTTP/1.1: a connection of its own through the egress, the signed request, and the answer within its
//! bounds. Redirects are an answer like any other: nothing is followed.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderMap, RETRY_AFTER, USER_AGENT};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use telepath_core::clock::Timestamp;
use telepath_core::webhook::WebhookUrl;
use telepath_core::webhook::delivery::{ErrorClass, KEPT_ANSWER, Outcome, retry_after};
use telepath_core::webhook::signature::{self, SigningSecret};
use telepath_egress::{Egress, EgressError, Security};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout, timeout_at};

/// How long an attempt may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// From the look-up of the name to the end of the TLS handshake.
    pub(crate) connect: Duration,
    /// From the beginning to the last byte of the answer.
    pub(crate) whole: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), whole: Duration::from_secs(30) }
    }
}

/// Bytes of an answer's body that are read; the rest is not waited for.
const READ_AT_MOST: usize = 64 * 1024;
/// Bytes of an answer's head, and of what is read at a time.
const BUFFER: usize = 16 * 1024;

/// Where a message goes.
#[derive(Debug, Clone)]
pub(crate) struct Destination {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) authority: String,
    pub(crate) path_and_query: String,
    pub(crate) security: Security,
}

impl From<&WebhookUrl> for Destination {
    fn from(url: &WebhookUrl) -> Self {
        Self {
            host: url.host().to_owned(),
            port: url.port(),
            authority: url.authority().to_owned(),
            path_and_query: url.path_and_query(),
            security: Security::Tls,
        }
    }
}

/// What is sent.
#[derive(Debug)]
pub(crate) struct Message {
    /// The event's id, the same at every attempt.
    pub(crate) id: String,
    /// 1 for the first.
    pub(crate) attempt: u32,
    pub(crate) body: String,
    /// When it is sent, which is signed.
    pub(crate) at: Timestamp,
}

/// What one exchange is held to.
#[derive(Debug, Clone, Copy)]
struct Limits {
    connect_within: Duration,
    until: Instant,
    now: Timestamp,
}

/// What was answered.
struct Answer {
    status: u16,
    /// What went wrong with the body behind the status.
    broke: Option<ErrorClass>,
    retry_after: Option<Duration>,
    body: Vec<u8>,
}

/// Makes one attempt.
pub(crate) async fn post(
    egress: &Egress,
    to: &Destination,
    message: Message,
    secrets: &[SigningSecret],
    patience: Patience,
) -> Outcome {
    let (begun, at) = (Instant::now(), message.at);
    let limits = Limits { connect_within: patience.connect, until: begun + patience.whole, now: at };
    let done = match request(to, message, secrets) {
        None => Err(ErrorClass::Unsigned),
        Some(request) => match timeout_at(limits.until, exchange(egress, to, request, limits)).await {
            Ok(done) => done,
            Err(_elapsed) => Err(ErrorClass::TimedOut),
        },
    };
    let duration = begun.elapsed();
    match done {
        Ok(answer) => Outcome {
            status: Some(answer.status),
            // A refusal stands whatever becomes of its body; a success must be whole.
            error: ErrorClass::of_status(answer.status).or(answer.broke),
            retry_after: answer.retry_after,
            duration,
            answer: answer.body,
        },
        Err(error) => {
            Outcome { status: None, error: Some(error), retry_after: None, duration, answer: Vec::new() }
        }
    }
}

fn request(to: &Destination, message: Message, secrets: &[SigningSecret]) -> Option<Request<Full<Bytes>>> {
    let seconds = message.at.unix_seconds();
    let signature = signature::header(secrets, &message.id, seconds, message.body.as_bytes())?;
    Request::post(to.path_and_query.as_str())
        .header(HOST, to.authority.as_str())
        .header(USER_AGENT, concat!("Telepath/", env!("CARGO_PKG_VERSION")))
        .header(CONTENT_TYPE, "application/json")
        .header(CONNECTION, "close")
        .header("webhook-id", message.id)
        .header("webhook-timestamp", seconds)
        .header("webhook-signature", signature)
        .header("x-telepath-attempt", message.attempt)
        .body(Full::new(Bytes::from(message.body)))
        .ok()
}

async fn exchange(
    egress: &Egress,
    to: &Destination,
    request: Request<Full<Bytes>>,
    limits: Limits,
) -> Result<Answer, ErrorClass> {
    match to.security {
        Security::Tls => {
            let stream = timeout(limits.connect_within, egress.dial_tls(&to.host, to.port)).await;
            converse(connected(stream)?, request, limits).await
        }
        Security::Plain => {
            let stream =
                timeout(limits.connect_within, egress.dial(&to.host, to.port, Security::Plain)).await;
            converse(connected(stream)?, request, limits).await
        }
    }
}

fn connected<T, E>(stream: Result<Result<T, EgressError>, E>) -> Result<T, ErrorClass> {
    match stream {
        Err(_elapsed) => Err(ErrorClass::TimedOut),
        Ok(stream) => stream.map_err(|error| class_of(&error)),
    }
}

fn class_of(error: &EgressError) -> ErrorClass {
    match error {
        EgressError::Refused(_) | EgressError::Plain | EgressError::OtherPeer => ErrorClass::AddressRefused,
        EgressError::Name | EgressError::Resolve(_) => ErrorClass::Resolve,
        EgressError::Connect(_) => ErrorClass::Connect,
        EgressError::NoRoots | EgressError::Tls(_) => ErrorClass::Tls,
    }
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Full<Bytes>>,
    limits: Limits,
) -> Result<Answer, ErrorClass> {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(BUFFER);
    let handshake = builder.handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|_| ErrorClass::Broken)?;
    let answer = async move {
        let response = sender.send_request(request).await.map_err(|_| ErrorClass::Broken)?;
        Ok(read(response, limits).await)
    };
    tokio::pin!(connection, answer);
    tokio::select! {
        biased;
        answer = &mut answer => return answer,
        // An endpoint that closes after its answer ends this first; the answer then waits in the channel.
        _ = &mut connection => {}
    }
    answer.await
}

async fn read(response: Response<Incoming>, limits: Limits) -> Answer {
    let (head, mut body) = response.into_parts();
    let (mut kept, mut read, mut broke) = (Vec::new(), 0, None);
    while read < READ_AT_MOST {
        let data = match timeout_at(limits.until, body.frame()).await {
            Ok(None) => break,
            Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            Ok(Some(Err(_))) => {
                broke = Some(ErrorClass::Broken);
                break;
            }
            Err(_elapsed) => {
                broke = Some(ErrorClass::TimedOut);
                break;
            }
        };
        read += data.len();
        let room = KEPT_ANSWER - kept.len();
        kept.extend_from_slice(&data[..data.len().min(room)]);
    }
    let retry_after = asked_wait(&head.headers, limits.now);
    Answer { status: head.status.as_u16(), broke, retry_after, body: kept }
}

fn asked_wait(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    retry_after(headers.get(RETRY_AFTER)?.to_str().ok()?, now)
}

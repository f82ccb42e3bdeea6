//! One webhook attempt over HTTP/1.1: a new connection through telepath-egress, the signed request, and a response that is
//! limited in size and time. Redirects are not followed.
//!
//! A complete response head is the response. Receivers often end a response by closing the connection, and many do so
//! without a TLS `close_notify` (RFC 8446 section 6.1) or before they have sent the announced length. The body is kept for
//! people to read and has no influence on the result, except that it must not take longer than the attempt may.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use telepath_core::clock::Timestamp;
use telepath_core::webhook::delivery::{ErrorClass, MAX_STORED_RESPONSE, Outcome, retry_after};
use telepath_core::webhook::signature::{self, SigningSecret};
use telepath_core::webhook::{WebhookHeaders, WebhookUrl};
use telepath_egress::{Authorities, Egress, EgressError, Security};
use telepath_store::DeliveryTarget;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout, timeout_at};

/// The timeouts of one attempt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    /// From name resolution to the end of the TLS handshake.
    pub(crate) connect: Duration,
    /// From the start to the last byte of the response.
    pub(crate) total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), total: Duration::from_secs(30) }
    }
}

/// How many bytes of a response body are read.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// The maximum size of a response head in bytes, and the size of a read.
const BUFFER: usize = 16 * 1024;

/// The endpoint of a message.
#[derive(Debug, Clone)]
pub(crate) struct Destination {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) authority: String,
    pub(crate) path_and_query: String,
    pub(crate) security: Security,
    /// Headers to add.
    pub(crate) headers: Option<WebhookHeaders>,
    /// The authorities that the certificate is verified against, in PEM; `None` for those of the system.
    pub(crate) ca_pem: Option<String>,
}

impl From<&WebhookUrl> for Destination {
    fn from(url: &WebhookUrl) -> Self {
        Self {
            host: url.host().to_owned(),
            port: url.port(),
            authority: url.authority().to_owned(),
            path_and_query: url.path_and_query(),
            security: Security::Tls,
            headers: None,
            ca_pem: None,
        }
    }
}

impl From<&DeliveryTarget> for Destination {
    fn from(target: &DeliveryTarget) -> Self {
        let (headers, ca_pem) = (target.headers.clone(), target.ca_pem.clone());
        Self { headers, ca_pem, ..Self::from(&target.url) }
    }
}

/// The message of one attempt.
#[derive(Debug)]
pub(crate) struct Message {
    /// The event's id, the same for every attempt.
    pub(crate) id: String,
    /// Counted from 1.
    pub(crate) attempt: u32,
    pub(crate) body: String,
    /// The time of sending, which is part of the signature.
    pub(crate) at: Timestamp,
}

/// The deadlines of one exchange.
#[derive(Debug, Clone, Copy)]
struct Deadlines {
    connect: Duration,
    total: Instant,
    begun: Instant,
    /// The time at `begun`.
    begun_at: Timestamp,
}

impl Deadlines {
    fn now(&self) -> Timestamp {
        self.begun_at.plus(self.begun.elapsed())
    }
}

/// The response of an endpoint.
struct EndpointResponse {
    status: u16,
    /// The body was not complete when the time was up.
    timed_out: bool,
    retry_after: Option<Duration>,
    body: Vec<u8>,
}

/// Makes one attempt.
pub(crate) async fn post(
    egress: &Egress,
    to: &Destination,
    message: Message,
    secrets: &[SigningSecret],
    timeouts: Timeouts,
) -> Outcome {
    let (begun, at) = (Instant::now(), message.at);
    let deadlines =
        Deadlines { connect: timeouts.connect, total: begun + timeouts.total, begun, begun_at: at };
    let done = match request(to, message, secrets) {
        None => Err(ErrorClass::Unsigned),
        Some(request) => match timeout_at(deadlines.total, exchange(egress, to, request, deadlines)).await {
            Ok(done) => done,
            Err(_elapsed) => Err(ErrorClass::TimedOut),
        },
    };
    let duration = begun.elapsed();
    match done {
        Ok(response) => Outcome {
            status: Some(response.status),
            error: ErrorClass::of_status(response.status)
                .or(response.timed_out.then_some(ErrorClass::TimedOut)),
            retry_after: response.retry_after,
            duration,
            response_body: response.body,
        },
        Err(error) => Outcome {
            status: None,
            error: Some(error),
            retry_after: None,
            duration,
            response_body: Vec::new(),
        },
    }
}

fn request(to: &Destination, message: Message, secrets: &[SigningSecret]) -> Option<Request<Full<Bytes>>> {
    let seconds = message.at.unix_seconds();
    let signature = signature::header(secrets, &message.id, seconds, message.body.as_bytes())?;
    let mut request = Request::post(to.path_and_query.as_str())
        .header(HOST, to.authority.as_str())
        .header(USER_AGENT, concat!("Telepath/", env!("CARGO_PKG_VERSION")))
        .header(CONTENT_TYPE, "application/json")
        .header(CONNECTION, "close")
        .header("webhook-id", message.id)
        .header("webhook-timestamp", seconds)
        .header("webhook-signature", signature)
        .header("x-telepath-attempt", message.attempt);
    for (name, value) in to.headers.iter().flat_map(WebhookHeaders::iter) {
        let mut value = HeaderValue::try_from(value.expose()).ok()?;
        value.set_sensitive(true);
        request = request.header(name, value);
    }
    request.body(Full::new(Bytes::from(message.body))).ok()
}

async fn exchange(
    egress: &Egress,
    to: &Destination,
    request: Request<Full<Bytes>>,
    deadlines: Deadlines,
) -> Result<EndpointResponse, ErrorClass> {
    match to.security {
        Security::Tls => {
            let authorities = to.ca_pem.as_deref().map(Authorities::parse).transpose();
            let authorities = authorities.map_err(|_| ErrorClass::Tls)?;
            let dial = egress.dial_tls(&to.host, to.port, authorities.as_ref());
            let stream = timeout(deadlines.connect, dial).await;
            send_request(connected(stream)?, request, deadlines).await
        }
        Security::Plain => {
            let stream = timeout(deadlines.connect, egress.dial(&to.host, to.port, Security::Plain)).await;
            send_request(connected(stream)?, request, deadlines).await
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
        EgressError::Name | EgressError::Resolve => ErrorClass::Resolve,
        EgressError::Connect(_) => ErrorClass::Connect,
        EgressError::NoRoots | EgressError::Tls(_) => ErrorClass::Tls,
    }
}

async fn send_request(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Full<Bytes>>,
    deadlines: Deadlines,
) -> Result<EndpointResponse, ErrorClass> {
    let mut builder = http1::Builder::new();
    // Malformed headers of a receiver do not change its status.
    builder
        .max_buf_size(BUFFER)
        .ignore_invalid_headers_in_responses(true)
        .allow_spaces_after_header_name_in_responses(true)
        .allow_obsolete_multiline_headers_in_responses(true);
    let handshake = builder.handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|_| ErrorClass::Broken)?;
    let response = async move {
        let response = sender.send_request(request).await.map_err(|_| ErrorClass::Broken)?;
        Ok(read(response, deadlines).await)
    };
    tokio::pin!(connection, response);
    tokio::select! {
        biased;
        response = &mut response => return response,
        // The connection ends first when the endpoint closes it after responding; the response is then in the channel.
        _ = &mut connection => {}
    }
    response.await
}

async fn read(response: Response<Incoming>, deadlines: Deadlines) -> EndpointResponse {
    let (head, mut body) = response.into_parts();
    let retry_after = requested_delay(&head.headers, deadlines.now());
    let (mut kept, mut read, mut timed_out) = (Vec::new(), 0, false);
    while read < MAX_BODY_BYTES {
        let data = match timeout_at(deadlines.total, body.frame()).await {
            // However the body ends, the head was complete.
            Ok(None | Some(Err(_))) => break,
            Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            Err(_elapsed) => {
                timed_out = true;
                break;
            }
        };
        read += data.len();
        let free = MAX_STORED_RESPONSE - kept.len();
        kept.extend_from_slice(&data[..data.len().min(free)]);
    }
    EndpointResponse { status: head.status.as_u16(), timed_out, retry_after, body: kept }
}

fn requested_delay(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    retry_after(headers.get(RETRY_AFTER)?.to_str().ok()?, now)
}

//! The client itself: it adds the key to a request, holds the time limit, and turns an answer into a value or an error.

use std::fmt::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use telepath_core::secret::SecretText;

use crate::transport::{Transport, Trust};
use crate::{ApiError, Error};

/// The longest that a request may take, from connecting to the last byte of the answer.
pub const TIME_LIMIT: Duration = Duration::from_secs(30);
/// The largest answer taken, in bytes: a page of calls is far below it.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// A client of one server. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    transport: Transport,
    authorization: Option<HeaderValue>,
}

/// Shows where it connects to, never the key.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("peer", &self.transport.peer()).finish_non_exhaustive()
    }
}

impl Client {
    /// A client that speaks HTTPS, such as `https://voice.example:8443`.
    ///
    /// # Errors
    /// [`Error::BadUrl`], [`Error::BadKey`] or [`Error::Trust`]; nothing is sent.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the key is taken over, so that the caller keeps no copy by habit"
    )]
    pub fn https(url: &str, key: SecretText, trust: Trust) -> Result<Self, Error> {
        Ok(Self { authorization: Some(bearer(&key)?), transport: Transport::https(url, &trust)? })
    }

    /// A client that speaks plain HTTP to this machine, such as `http://127.0.0.1:8080`.
    ///
    /// # Errors
    /// [`Error::BadUrl`] when the host is another machine, [`Error::BadKey`]; nothing is sent.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the key is taken over, so that the caller keeps no copy by habit"
    )]
    pub fn loopback_http(url: &str, key: SecretText) -> Result<Self, Error> {
        Ok(Self { authorization: Some(bearer(&key)?), transport: Transport::loopback_http(url)? })
    }

    /// A client of the administration socket of a data folder. Whoever can open the socket is the administrator, so no
    /// key is sent.
    pub fn unix(socket: &Path) -> Self {
        Self { authorization: None, transport: Transport::Unix { path: socket.to_owned() } }
    }

    /// Whether something accepts connections at the other end; sends nothing.
    pub async fn reach(&self) -> Result<(), Error> {
        self.within_limit(self.transport.connect()).await.map(drop)
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        decode(self.send(Method::GET, path, None).await?)
    }

    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Error> {
        decode(self.send(Method::POST, path, Some(encode(body)?)).await?)
    }

    pub(crate) async fn post_empty<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        decode(self.send(Method::POST, path, None).await?)
    }

    pub(crate) async fn post_ignoring_answer(&self, path: &str) -> Result<(), Error> {
        self.send(Method::POST, path, None).await.map(drop)
    }

    pub(crate) async fn patch<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Error> {
        decode(self.send(Method::PATCH, path, Some(encode(body)?)).await?)
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<(), Error> {
        self.send(Method::DELETE, path, None).await.map(drop)
    }

    /// Sends one request; an answer that is no success becomes an error.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<(StatusCode, Bytes), Error> {
        tracing::debug!(%method, path, peer = %self.transport.peer(), "request");
        let answer = self.within_limit(self.exchange(method, path, body)).await?;
        let status = answer.status();
        if status.is_success() {
            return Ok((status, answer.into_body()));
        }
        Err(api_error(&answer))
    }

    async fn within_limit<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        match tokio::time::timeout(TIME_LIMIT, work).await {
            Ok(done) => done,
            Err(_) => Err(Error::TimedOut { peer: self.transport.peer() }),
        }
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<Response<Bytes>, Error> {
        let broke = |source| Error::Http { peer: self.transport.peer(), source };
        let request = self.request(method, path, body)?;
        let stream = TokioIo::new(self.transport.connect().await?);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.map_err(broke)?;
        let answer = async move {
            let (head, body) = sender.send_request(request).await.map_err(broke)?.into_parts();
            let body =
                Limited::new(body, MAX_ANSWER).collect().await.map_err(|error| self.body_error(error))?;
            Ok(Response::from_parts(head, body.to_bytes()))
        };
        tokio::pin!(connection, answer);
        tokio::select! {
            biased;
            answer = &mut answer => return answer,
            // A server that closes after its answer ends this first; the answer then waits in the channel.
            _ = &mut connection => {}
        }
        answer.await
    }

    fn body_error(&self, error: Box<dyn std::error::Error + Send + Sync>) -> Error {
        if error.is::<LengthLimitError>() {
            return Error::TooLarge { limit: MAX_ANSWER };
        }
        match error.downcast::<hyper::Error>() {
            Ok(source) => Error::Http { peer: self.transport.peer(), source: *source },
            Err(other) => Error::Unexpected { status: 0, problem: other.to_string() },
        }
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<Request<Full<Bytes>>, Error> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.transport.authority())
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, concat!("telepath-client/", env!("CARGO_PKG_VERSION")));
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let problem = "makes no valid request";
        request
            .body(Full::new(body.unwrap_or_default()))
            .map_err(|_| Error::BadUrl { url: path.to_owned(), problem })
    }
}

fn bearer(key: &SecretText) -> Result<HeaderValue, Error> {
    let mut value =
        HeaderValue::try_from(format!("Bearer {}", key.expose().trim())).map_err(|_| Error::BadKey)?;
    value.set_sensitive(true);
    Ok(value)
}

fn encode(body: &impl Serialize) -> Result<Bytes, Error> {
    serde_json::to_vec(body)
        .map(Bytes::from)
        .map_err(|error| Error::Unexpected { status: 0, problem: error.to_string() })
}

fn decode<T: DeserializeOwned>((status, body): (StatusCode, Bytes)) -> Result<T, Error> {
    serde_json::from_slice(&body).map_err(|error| {
        // The position and the member are told, never the content: it may hold a secret that was just made.
        let problem =
            format!("{:?} error at line {} column {}", error.classify(), error.line(), error.column());
        Error::Unexpected { status: status.as_u16(), problem }
    })
}

fn api_error(answer: &Response<Bytes>) -> Error {
    #[derive(serde::Deserialize)]
    struct Envelope {
        error: ApiError,
    }
    let status = answer.status().as_u16();
    match serde_json::from_slice::<Envelope>(answer.body()) {
        Ok(Envelope { mut error }) => {
            error.status = status;
            error.retry_after = answer
                .headers()
                .get(RETRY_AFTER)
                .and_then(|value| value.to_str().ok()?.parse().ok())
                .map(Duration::from_secs);
            Error::Api(error)
        }
        Err(_) => Error::Unexpected { status, problem: "the body is no error envelope".to_owned() },
    }
}

/// Builds a path with query parameters, percent-encoded (RFC 3986 section 2.1).
pub(crate) struct Query(String);

impl Query {
    pub(crate) fn new(path: &str) -> Self {
        Self(path.to_owned())
    }

    pub(crate) fn add(mut self, name: &str, value: Option<impl fmt::Display>) -> Self {
        if let Some(value) = value {
            self.0.push(if self.0.contains('?') { '&' } else { '?' });
            self.0.push_str(name);
            self.0.push('=');
            for byte in value.to_string().bytes() {
                if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                    self.0.push(char::from(byte));
                } else {
                    // Writing to a String cannot fail.
                    let _ = write!(self.0, "%{byte:02X}");
                }
            }
        }
        self
    }

    pub(crate) fn finish(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests;

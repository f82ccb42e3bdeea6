//! The client itself: it adds the key to a request, holds the time limits, sends again what may be sent again, and turns
//! an answer into a value or an error.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::{Method, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use telepath_core::clock::{Clock, SystemClock};
use telepath_core::entropy::{Entropy, SystemEntropy, random_bytes};
use telepath_core::secret::SecretText;
use tokio::time::Instant;

use crate::Error;
use crate::answer::{api_error, decode, request_id};
use crate::connection::{Connection, Connections};
use crate::request::{Ask, bearer};
use crate::retry::{Attempt, Decision, RetryPolicy, decide};
use crate::settings::Settings;
use crate::transport::{Transport, Trust};

/// The longest that one attempt of a request may take, from connecting to the last byte of the answer.
pub const TIME_LIMIT: Duration = Duration::from_secs(30);
/// The largest answer taken, in bytes: a page of calls is far below it.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// A client of one server. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Client {
    connections: Arc<Connections>,
    authorization: Option<HeaderValue>,
    policy: RetryPolicy,
    time_limit: Duration,
    makes_keys: bool,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

/// Shows where it connects to, never the key.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("peer", &self.peer()).finish_non_exhaustive()
    }
}

impl Client {
    fn over(transport: Transport, authorization: Option<HeaderValue>) -> Self {
        Self {
            connections: Arc::new(Connections::new(transport)),
            authorization,
            policy: RetryPolicy::STANDARD,
            time_limit: TIME_LIMIT,
            makes_keys: true,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy::default()),
        }
    }

    /// A client as the environment says: `TELEPATH_API_KEY`, `TELEPATH_API_URL` and, if set, `TELEPATH_CA_FILE`.
    /// HTTPS only; for more, see [`Settings`].
    ///
    /// # Errors
    /// [`Error::Setting`], [`Error::BadUrl`], [`Error::BadKey`] or [`Error::Trust`]; nothing is sent.
    pub fn from_env() -> Result<Self, Error> {
        Settings::from_env()?.client()
    }

    /// A client that speaks HTTPS, such as `https://voice.example:8443`.
    ///
    /// # Errors
    /// [`Error::BadUrl`], [`Error::BadKey`] or [`Error::Trust`]; nothing is sent.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the key is taken over, so that the caller keeps no copy by habit"
    )]
    pub fn https(url: &str, key: SecretText, trust: Trust) -> Result<Self, Error> {
        Ok(Self::over(Transport::https(url, &trust)?, Some(bearer(&key)?)))
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
        Ok(Self::over(Transport::loopback_http(url)?, Some(bearer(&key)?)))
    }

    /// A client of the administration socket of a data folder. Whoever can open the socket is the administrator, so no
    /// key is sent.
    pub fn unix(socket: &Path) -> Self {
        Self::over(Transport::Unix { path: socket.to_owned() }, None)
    }

    /// The same server with another key, such as the one that a rotation has just made.
    ///
    /// # Errors
    /// [`Error::BadKey`].
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the key is taken over, so that the caller keeps no copy by habit"
    )]
    pub fn with_key(&self, key: SecretText) -> Result<Self, Error> {
        Ok(Self { authorization: Some(bearer(&key)?), ..self.clone() })
    }

    /// How often and how long it tries; without this, [`RetryPolicy::STANDARD`].
    #[must_use]
    pub fn with_retry(mut self, policy: RetryPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// The longest that one attempt may take; without this, [`TIME_LIMIT`].
    #[must_use]
    pub fn with_time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// Sends `POST` without an `Idempotency-Key`. Such a request is sent again only when it was certainly not carried out.
    #[must_use]
    pub fn without_idempotency_keys(mut self) -> Self {
        self.makes_keys = false;
        self
    }

    /// Where it connects to, for messages.
    pub fn peer(&self) -> String {
        self.connections.transport().peer()
    }

    /// Whether something accepts connections at the other end; sends nothing and tries once.
    pub async fn reach(&self) -> Result<(), Error> {
        within(self.time_limit, &self.peer(), self.connections.transport().connect()).await.map(drop)
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        decode(&self.send(&Ask::new(Method::GET, path)).await?)
    }

    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Error> {
        decode(&self.send(&self.posting(path)?.body(body)?).await?)
    }

    pub(crate) async fn post_empty<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        decode(&self.send(&self.posting(path)?).await?)
    }

    pub(crate) async fn post_ignoring_answer(&self, path: &str) -> Result<(), Error> {
        self.send(&self.posting(path)?).await.map(drop)
    }

    pub(crate) async fn patch<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Error> {
        decode(&self.send(&Ask::new(Method::PATCH, path).body(body)?).await?)
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<(), Error> {
        self.send(&Ask::new(Method::DELETE, path)).await.map(drop)
    }

    fn posting(&self, path: &str) -> Result<Ask, Error> {
        let ask = Ask::new(Method::POST, path);
        if self.makes_keys { ask.keyed(self.entropy.as_ref()) } else { Ok(ask) }
    }

    /// Sends a request until there is an answer; one that is no success becomes an error.
    pub(crate) async fn send(&self, ask: &Ask) -> Result<Response<Bytes>, Error> {
        self.until_answered(ask, async |limit| within(limit, &self.peer(), self.exchange(ask)).await).await
    }

    /// The same for an answer whose body is read piece by piece; only its head is waited for here.
    pub(crate) async fn open(&self, ask: &Ask) -> Result<(Response<Incoming>, Connection), Error> {
        self.until_answered(ask, async |limit| within(limit, &self.peer(), self.head(ask)).await).await
    }

    pub(crate) fn time_limit(&self) -> Duration {
        self.time_limit
    }

    async fn until_answered<T: Answered>(
        &self,
        ask: &Ask,
        attempt: impl AsyncFn(Duration) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let begun = Instant::now();
        let mut number = 1;
        loop {
            let left = self.policy.whole.saturating_sub(begun.elapsed());
            let started = Instant::now();
            let result = attempt(self.time_limit.min(left)).await;
            log(ask, number, started.elapsed(), &result);
            let Err(error) = result else { return result };
            let over = Attempt { number, elapsed: begun.elapsed(), now: self.clock.now() };
            let Decision::Wait(pause) =
                decide(&self.policy, ask.repeat, over, error.outcome(), self.jitter())
            else {
                return Err(error);
            };
            tracing::warn!(
                method = %ask.method,
                path = ask.plain_path(),
                attempt = number,
                pause_ms = milliseconds(pause),
                reason = %error,
                "the request is sent again"
            );
            tokio::time::sleep(pause).await;
            number += 1;
        }
    }

    /// Without random bytes the pause is the longest: waiting too long does no harm, coming too early might.
    fn jitter(&self) -> f64 {
        random_bytes::<4>(self.entropy.as_ref())
            .map_or(1.0, |bytes| f64::from(u32::from_be_bytes(bytes)) / f64::from(u32::MAX))
    }

    async fn head(&self, ask: &Ask) -> Result<(Response<Incoming>, Connection), Error> {
        let authority = self.connections.transport().authority();
        let request = ask.request(&authority, self.authorization.as_ref())?;
        let (answer, connection) = self.connections.send(request, ask.repeat).await?;
        if answer.status().is_success() {
            return Ok((answer, connection));
        }
        let (head, body) = answer.into_parts();
        let body = self.collect(body).await?;
        self.connections.give_back(connection);
        Err(api_error(&Response::from_parts(head, body)))
    }

    async fn exchange(&self, ask: &Ask) -> Result<Response<Bytes>, Error> {
        let (answer, connection) = self.head(ask).await?;
        let (head, body) = answer.into_parts();
        let body = self.collect(body).await?;
        self.connections.give_back(connection);
        Ok(Response::from_parts(head, body))
    }

    async fn collect(&self, body: Incoming) -> Result<Bytes, Error> {
        match Limited::new(body, MAX_ANSWER).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(Error::TooLarge { limit: MAX_ANSWER }),
            Err(error) => Err(match error.downcast::<hyper::Error>() {
                Ok(source) => self.connections.broke(*source),
                Err(other) => Error::Unexpected { status: 0, problem: other.to_string() },
            }),
        }
    }

    pub(crate) fn broke(&self, source: hyper::Error) -> Error {
        self.connections.broke(source)
    }
}

/// Work that fails when it takes too long.
pub(crate) async fn within<T>(
    limit: Duration,
    peer: &str,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => done,
        Err(_) => Err(Error::TimedOut { peer: peer.to_owned(), limit }),
    }
}

/// What a log line tells of an answer.
trait Answered {
    fn status(&self) -> StatusCode;
    fn request_id(&self) -> &str;
}

impl Answered for Response<Bytes> {
    fn status(&self) -> StatusCode {
        self.status()
    }

    fn request_id(&self) -> &str {
        request_id(self.headers())
    }
}

impl Answered for (Response<Incoming>, Connection) {
    fn status(&self) -> StatusCode {
        self.0.status()
    }

    fn request_id(&self) -> &str {
        request_id(self.0.headers())
    }
}

/// One line for each attempt. Neither the query nor a header nor a body ever stands in it.
fn log<T: Answered>(ask: &Ask, attempt: u32, took: Duration, result: &Result<T, Error>) {
    let (method, path, duration_ms) = (&ask.method, ask.plain_path(), milliseconds(took));
    match result {
        Ok(answer) => {
            let (status, request_id) = (answer.status().as_u16(), answer.request_id());
            tracing::info!(%method, path, status, request_id, attempt, duration_ms, "answered");
        }
        Err(Error::Api(api)) => {
            let (status, code, id) = (api.status, &api.code, api.request_id.as_deref().unwrap_or("-"));
            tracing::info!(%method, path, status, code, request_id = id, attempt, duration_ms, "answered with an error");
        }
        Err(error) => tracing::info!(%method, path, %error, attempt, duration_ms, "no answer"),
    }
}

fn milliseconds(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;

//! The client: adds the key to a request, enforces the time limits, retries, and turns a response into a value or an
//! error.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::{Method, Response};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::Serialize;
use serde::de::DeserializeOwned;
use telepath_core::clock::{Clock, SystemClock};
use telepath_core::entropy::{Entropy, SystemEntropy, random_bytes};
use telepath_core::id::AccountId;
use telepath_core::secret::SecretText;
use tokio::time::Instant;

use crate::error::{BoxError, Error};
use crate::request::{ApiRequest, bearer};
use crate::response::{api_error, decode, request_id};
use crate::retry::{FailedAttempt, Idempotence, RetryDecision, RetryPolicy, decide};
use crate::transport::{Connector, Transport};
use crate::trust::Trust;

/// The time limit of one attempt, from connecting to the last byte of the response.
pub const TIME_LIMIT: Duration = Duration::from_secs(30);
/// The largest response body in bytes; a page of calls is far below it.
const MAX_RESPONSE: usize = 16 * 1024 * 1024;
/// Idle connections kept for one client.
const MAX_IDLE: usize = 4;
/// How long a connection is kept idle. Servers and proxies close idle connections by themselves, and it is unknown whether
/// a request that runs into that moment was carried out, so this is shorter than their usual timeout.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// A pool of HTTP/1.1 connections.
type Pool = legacy::Client<Connector, Full<Bytes>>;

/// A client of one server. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Client {
    transport: Transport,
    pool: Pool,
    /// Opens a connection for each request.
    unpooled: Pool,
    authorization: Option<HeaderValue>,
    /// Chosen by local administration.
    account: Option<AccountId>,
    policy: RetryPolicy,
    time_limit: Duration,
    sends_idempotency_keys: bool,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

/// Shows the server, never the key.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("peer", &self.peer()).finish_non_exhaustive()
    }
}

impl Client {
    fn over(transport: Transport, authorization: Option<HeaderValue>) -> Self {
        let pool = |idle| {
            legacy::Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(IDLE_TIMEOUT)
                .pool_max_idle_per_host(idle)
                .build(transport.connector())
        };
        Self {
            pool: pool(MAX_IDLE),
            unpooled: pool(0),
            transport,
            authorization,
            account: None,
            policy: RetryPolicy::STANDARD,
            time_limit: TIME_LIMIT,
            sends_idempotency_keys: true,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy::default()),
        }
    }

    /// A client that speaks HTTPS, such as `https://voice.example:8443`.
    ///
    /// # Errors
    /// [`Error::BadUrl`], [`Error::BadKey`] or [`Error::Trust`]; nothing is sent.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the key is taken by value, so that the caller keeps no copy by habit"
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
        reason = "the key is taken by value, so that the caller keeps no copy by habit"
    )]
    pub fn loopback_http(url: &str, key: SecretText) -> Result<Self, Error> {
        Ok(Self::over(Transport::loopback_http(url)?, Some(bearer(&key)?)))
    }

    /// A client of the administration socket of a data folder. Access to the socket makes the administrator, so no key is
    /// sent.
    pub fn unix(socket: &Path) -> Self {
        Self::over(Transport::unix(socket.to_owned()), None)
    }

    /// The same server with another key, such as the new secret of a rotation.
    ///
    /// # Errors
    /// [`Error::BadKey`].
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the key is taken by value, so that the caller keeps no copy by habit"
    )]
    pub fn with_key(&self, key: SecretText) -> Result<Self, Error> {
        Ok(Self { authorization: Some(bearer(&key)?), ..self.clone() })
    }

    /// The same server, but another account. Only local administration can choose one.
    #[must_use]
    pub fn with_account(mut self, account: AccountId) -> Self {
        self.account = Some(account);
        self
    }

    /// Sets how often and how long the client retries; the default is [`RetryPolicy::STANDARD`].
    #[must_use]
    pub fn with_retry(mut self, policy: RetryPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets the time limit of one attempt; the default is [`TIME_LIMIT`].
    #[must_use]
    pub fn with_time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// Sends `POST` without an `Idempotency-Key`. Such a request is retried only when it was certainly not carried out.
    #[must_use]
    pub fn without_idempotency_keys(mut self) -> Self {
        self.sends_idempotency_keys = false;
        self
    }

    /// The server, for messages.
    pub fn peer(&self) -> String {
        self.transport.peer().to_owned()
    }

    /// Whether the server accepts connections. Sends nothing and tries once.
    pub async fn reach(&self) -> Result<(), Error> {
        within(self.time_limit, self.transport.peer(), self.transport.probe()).await
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        decode(&self.send(&ApiRequest::new(Method::GET, path)).await?)
    }

    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Error> {
        decode(&self.send(&self.post_request(path)?.body(body)?).await?)
    }

    pub(crate) async fn post_empty<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        decode(&self.send(&self.post_request(path)?).await?)
    }

    /// For a route whose response has no body worth reading.
    pub(crate) async fn post_without_result(&self, path: &str) -> Result<(), Error> {
        self.send(&self.post_request(path)?).await.map(drop)
    }

    pub(crate) async fn patch<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Error> {
        decode(&self.send(&ApiRequest::new(Method::PATCH, path).body(body)?).await?)
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<(), Error> {
        self.send(&ApiRequest::new(Method::DELETE, path)).await.map(drop)
    }

    fn post_request(&self, path: &str) -> Result<ApiRequest, Error> {
        let request = ApiRequest::new(Method::POST, path);
        if self.sends_idempotency_keys {
            request.with_idempotency_key(self.entropy.as_ref())
        } else {
            Ok(request)
        }
    }

    /// Sends a request, with retries, and reads the whole response. A status other than 2xx becomes an error.
    pub(crate) async fn send(&self, request: &ApiRequest) -> Result<Response<Bytes>, Error> {
        self.with_retries(request, async |limit| {
            within(limit, self.transport.peer(), self.whole(request)).await
        })
        .await
    }

    /// Like [`Client::send`], but returns as soon as the head of the response is there.
    pub(crate) async fn send_streaming(&self, request: &ApiRequest) -> Result<Response<Incoming>, Error> {
        self.with_retries(request, async |limit| {
            within(limit, self.transport.peer(), self.head(request)).await
        })
        .await
    }

    pub(crate) fn time_limit(&self) -> Duration {
        self.time_limit
    }

    async fn with_retries<B>(
        &self,
        request: &ApiRequest,
        attempt: impl AsyncFn(Duration) -> Result<Response<B>, Error>,
    ) -> Result<Response<B>, Error> {
        let begun = Instant::now();
        let mut number = 1;
        loop {
            let left = self.policy.whole.saturating_sub(begun.elapsed());
            let started = Instant::now();
            let result = attempt(self.time_limit.min(left)).await;
            log(request, number, started.elapsed(), &result);
            let Err(error) = result else { return result };
            let failed = FailedAttempt { number, elapsed: begun.elapsed(), now: self.clock.now() };
            let RetryDecision::RetryAfter(pause) =
                decide(&self.policy, request.idempotence, failed, error.failure(), self.jitter())
            else {
                return Err(error);
            };
            tracing::warn!(
                method = %request.method,
                path = request.path_without_query(),
                attempt = number,
                pause_ms = milliseconds(pause),
                reason = %error,
                "request failed; retrying"
            );
            tokio::time::sleep(pause).await;
            number += 1;
        }
    }

    /// Without random bytes the pause is the longest: a late retry does no harm, an early one might.
    fn jitter(&self) -> f64 {
        random_bytes::<4>(self.entropy.as_ref())
            .map_or(1.0, |bytes| f64::from(u32::from_be_bytes(bytes)) / f64::from(u32::MAX))
    }

    async fn head(&self, request: &ApiRequest) -> Result<Response<Incoming>, Error> {
        // An idle connection may close while a request is on its way. A request that must not be repeated does not take
        // that risk.
        let pool = match request.idempotence {
            Idempotence::Idempotent => &self.pool,
            Idempotence::NotIdempotent => &self.unpooled,
        };
        let http = request.to_http(self.transport.origin(), self.authorization.as_ref(), self.account)?;
        let response = pool.request(http).await.map_err(|error| {
            if error.is_connect() {
                self.transport.connect_error(error.into())
            } else {
                self.broke(error.into())
            }
        })?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(api_error(&self.collect(response).await?))
    }

    async fn whole(&self, request: &ApiRequest) -> Result<Response<Bytes>, Error> {
        let response = self.head(request).await?;
        self.collect(response).await
    }

    async fn collect(&self, response: Response<Incoming>) -> Result<Response<Bytes>, Error> {
        let (head, body) = response.into_parts();
        match Limited::new(body, MAX_RESPONSE).collect().await {
            Ok(body) => Ok(Response::from_parts(head, body.to_bytes())),
            Err(error) if error.is::<LengthLimitError>() => Err(Error::TooLarge { limit: MAX_RESPONSE }),
            Err(error) => Err(self.broke(error)),
        }
    }

    pub(crate) fn broke(&self, source: BoxError) -> Error {
        Error::Http { peer: self.peer(), source }
    }
}

/// Work that fails when it exceeds its time limit.
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

/// Logs one line for each attempt, without query, headers and body.
fn log<B>(request: &ApiRequest, attempt: u32, took: Duration, result: &Result<Response<B>, Error>) {
    let (method, path) = (&request.method, request.path_without_query());
    let duration_ms = milliseconds(took);
    match result {
        Ok(response) => {
            let (status, request_id) = (response.status().as_u16(), request_id(response.headers()));
            tracing::info!(%method, path, status, request_id, attempt, duration_ms, "request succeeded");
        }
        Err(Error::Api(api)) => {
            let (status, code) = (api.body.status, &api.body.code);
            let id = api.body.request_id.as_deref().unwrap_or("-");
            tracing::info!(%method, path, status, code, request_id = id, attempt, duration_ms, "request was refused");
        }
        Err(error) => tracing::info!(%method, path, %error, attempt, duration_ms, "no response"),
    }
}

fn milliseconds(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;

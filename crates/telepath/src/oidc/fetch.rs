//! Requests to the provider: HTTPS over telepath-egress, one connection each, no redirects, bounded answers.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, USER_AGENT};
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use oauth2::AsyncHttpClient;
use telepath_egress::{Authorities, Egress};
use tokio::time::timeout;

/// How long a request may take in all.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answer, in bytes.
const MAX_ANSWER: usize = 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{host}: {why}")]
pub(super) struct FetchError {
    host: String,
    why: String,
}

/// The requests of the OAuth library go the same way.
impl<'c> AsyncHttpClient<'c> for Fetch {
    type Error = FetchError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Vec<u8>>, FetchError>> + Send + 'c>>;

    fn call(&'c self, request: Request<Vec<u8>>) -> Self::Future {
        Box::pin(self.send(request))
    }
}

/// Sends requests.
#[derive(Debug, Clone)]
pub(super) struct Fetch {
    egress: Egress,
    authorities: Option<Authorities>,
}

impl Fetch {
    pub(super) const fn new(egress: Egress, authorities: Option<Authorities>) -> Self {
        Self { egress, authorities }
    }

    /// Reads a document.
    pub(super) async fn get(&self, url: &str) -> Result<Vec<u8>, FetchError> {
        let failed = |why: &str| FetchError { host: url.to_owned(), why: why.to_owned() };
        let request = Request::get(url).body(Vec::new()).map_err(|_| failed("is not a URL"))?;
        let response = self.send(request).await?;
        if response.status().is_success() {
            Ok(response.into_body())
        } else {
            Err(failed(&format!("answers {}", response.status().as_u16())))
        }
    }

    /// Sends a request and reads the whole answer.
    pub(super) async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, FetchError> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        let failed = |why: String| FetchError { host: host.clone(), why };
        match timeout(TIMEOUT, self.exchange(request)).await {
            Ok(done) => done.map_err(failed),
            Err(_elapsed) => Err(failed(format!("no answer within {} s", TIMEOUT.as_secs()))),
        }
    }

    async fn exchange(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, String> {
        let (mut head, body) = request.into_parts();
        if head.uri.scheme_str() != Some("https") {
            return Err("is not reached over https".to_owned());
        }
        let authority = head.uri.authority().cloned().ok_or("has no host")?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let dial = self.egress.dial_tls(host, authority.port_u16().unwrap_or(443), self.authorities.as_ref());
        let stream = dial.await.map_err(|error| error.to_string())?;
        let named = HeaderValue::try_from(authority.as_str()).map_err(|_| "has no host")?;
        head.headers.insert(HOST, named);
        head.headers.insert(CONNECTION, HeaderValue::from_static("close"));
        let agent = concat!("Telepath/", env!("CARGO_PKG_VERSION"));
        head.headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        let target = head.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        head.uri = target.parse::<Uri>().map_err(|_| "has no path")?;
        let request = Request::from_parts(head, Full::new(Bytes::from(body)));
        let handshake = http1::Builder::new().handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
        let answer = async move {
            let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
            let (head, body) = response.into_parts();
            let read = Limited::new(body, MAX_ANSWER).collect().await;
            let body = read.map_err(|_| "its answer is broken or too large")?.to_bytes();
            Ok(Response::from_parts(head, body.to_vec()))
        };
        tokio::pin!(connection, answer);
        tokio::select! {
            biased;
            answer = &mut answer => return answer,
            // A provider that closes the connection after its answer ends this first; the answer is then complete.
            _ = &mut connection => {}
        }
        answer.await
    }
}

//! A request, which may be sent several times, and the encoding of its path and query.

use std::fmt;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use telepath_core::account::ACCOUNT_HEADER;
use telepath_core::entropy::{Entropy, random_bytes};
use telepath_core::id::AccountId;
use telepath_core::secret::SecretText;

use crate::error::Error;
use crate::retry::Idempotence;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// All but the unreserved characters of RFC 3986 section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// An API request without what belongs to the connection, so that it can be sent several times.
#[derive(Debug, Clone)]
pub(crate) struct ApiRequest {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: Option<Bytes>,
    pub(crate) accept: &'static str,
    pub(crate) idempotence: Idempotence,
    sends_key: bool,
    idempotency_key: Option<HeaderValue>,
    last_event_id: Option<HeaderValue>,
}

impl ApiRequest {
    /// A request whose method says whether it is idempotent (RFC 9110 section 9.2.2).
    pub(crate) fn new(method: Method, path: &str) -> Self {
        let idempotence =
            if method.is_idempotent() { Idempotence::Idempotent } else { Idempotence::NotIdempotent };
        Self {
            method,
            path: path.to_owned(),
            body: None,
            accept: "application/json",
            idempotence,
            sends_key: true,
            idempotency_key: None,
            last_event_id: None,
        }
    }

    /// Continues a stream after the event with this id.
    pub(crate) fn continuing_after(mut self, id: Option<&str>) -> Self {
        self.last_event_id = id.and_then(|id| HeaderValue::try_from(id).ok());
        self
    }

    pub(crate) fn body(mut self, body: &impl Serialize) -> Result<Self, Error> {
        let text = serde_json::to_vec(body)
            .map_err(|error| Error::Unexpected { status: 0, problem: error.to_string() })?;
        self.body = Some(Bytes::from(text));
        Ok(self)
    }

    /// Makes the request idempotent: the server carries out one of several with the same key.
    pub(crate) fn with_idempotency_key(mut self, entropy: &dyn Entropy) -> Result<Self, Error> {
        let key = format!("{:032x}", u128::from_be_bytes(random_bytes(entropy)?));
        self.idempotency_key = HeaderValue::try_from(key).ok();
        self.idempotence = Idempotence::Idempotent;
        Ok(self)
    }

    /// For a public route that is idempotent by what it does.
    pub(crate) fn public_and_idempotent(mut self) -> Self {
        self.idempotence = Idempotence::Idempotent;
        self.sends_key = false;
        self
    }

    pub(crate) fn accept(mut self, media_type: &'static str) -> Self {
        self.accept = media_type;
        self
    }

    /// The path without its query, which may hold values that do not belong in a log.
    pub(crate) fn path_without_query(&self) -> &str {
        self.path.split('?').next().unwrap_or_default()
    }

    /// The HTTP request of one attempt. `origin` is scheme and authority.
    pub(crate) fn to_http(
        &self,
        origin: &str,
        authorization: Option<&HeaderValue>,
        account: Option<AccountId>,
    ) -> Result<Request<Full<Bytes>>, Error> {
        let mut request = Request::builder()
            .method(&self.method)
            .uri(format!("{origin}{}", self.path))
            .header(ACCEPT, self.accept)
            .header(USER_AGENT, concat!("telepath-client/", env!("CARGO_PKG_VERSION")));
        if self.body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(key) = &self.idempotency_key {
            request = request.header(IDEMPOTENCY_KEY, key);
        }
        if let Some(id) = &self.last_event_id {
            request = request.header(LAST_EVENT_ID, id);
        }
        if let Some(authorization) = authorization.filter(|_| self.sends_key) {
            request = request.header(AUTHORIZATION, authorization);
        }
        if let Some(account) = account {
            request = request.header(ACCOUNT_HEADER, account.to_string());
        }
        let problem = "does not form a valid request";
        request
            .body(Full::new(self.body.clone().unwrap_or_default()))
            .map_err(|_| Error::BadUrl { url: self.path_without_query().to_owned(), problem })
    }
}

/// The value of the `Authorization` header, marked so that no log shows it.
pub(crate) fn bearer(key: &SecretText) -> Result<HeaderValue, Error> {
    let mut value =
        HeaderValue::try_from(format!("Bearer {}", key.expose().trim())).map_err(|_| Error::BadKey)?;
    value.set_sensitive(true);
    Ok(value)
}

/// A path with query parameters.
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
            self.0.push_str(&percent_encoded(&value.to_string()));
        }
        self
    }

    pub(crate) fn finish(self) -> String {
        self.0
    }
}

/// A text as one path segment or one query value.
pub(crate) fn percent_encoded(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

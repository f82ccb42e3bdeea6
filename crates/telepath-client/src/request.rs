//! A request as it is sent, once or several times, and the query part of its path.

use std::fmt::{self, Write as _};

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request};
use serde::Serialize;
use telepath_core::entropy::{Entropy, random_bytes};
use telepath_core::secret::SecretText;

use crate::Error;
use crate::retry::Repeat;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What is asked, without what belongs to the connection.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: Option<Bytes>,
    pub(crate) accept: &'static str,
    pub(crate) repeat: Repeat,
    pub(crate) shows_key: bool,
    idempotency_key: Option<HeaderValue>,
}

impl Ask {
    /// A request by a method whose repetition is judged by RFC 9110 section 9.2.2.
    pub(crate) fn new(method: Method, path: &str) -> Self {
        let repeat = if method.is_idempotent() { Repeat::Harmless } else { Repeat::Harmful };
        let path = path.to_owned();
        Self {
            method,
            path,
            body: None,
            accept: "application/json",
            repeat,
            shows_key: true,
            idempotency_key: None,
        }
    }

    pub(crate) fn body(mut self, body: &impl Serialize) -> Result<Self, Error> {
        let text = serde_json::to_vec(body)
            .map_err(|error| Error::Unexpected { status: 0, problem: error.to_string() })?;
        self.body = Some(Bytes::from(text));
        Ok(self)
    }

    /// Makes it harmless to send this request again: the server carries out one of several with the same key.
    pub(crate) fn keyed(mut self, entropy: &dyn Entropy) -> Result<Self, Error> {
        let key = format!("{:032x}", u128::from_be_bytes(random_bytes(entropy)?));
        self.idempotency_key = HeaderValue::try_from(key).ok();
        self.repeat = Repeat::Harmless;
        Ok(self)
    }

    /// For a route that is open to everybody, where carrying out a request twice is the same as once.
    pub(crate) fn open_and_repeatable(mut self) -> Self {
        self.repeat = Repeat::Harmless;
        self.shows_key = false;
        self
    }

    pub(crate) fn accept(mut self, media_type: &'static str) -> Self {
        self.accept = media_type;
        self
    }

    /// The path without its query, which may hold what a log should not.
    pub(crate) fn plain_path(&self) -> &str {
        self.path.split('?').next().unwrap_or_default()
    }

    /// The request for one attempt.
    pub(crate) fn request(
        &self,
        authority: &str,
        authorization: Option<&HeaderValue>,
    ) -> Result<Request<Full<Bytes>>, Error> {
        let mut request = Request::builder()
            .method(&self.method)
            .uri(&self.path)
            .header(HOST, authority)
            .header(ACCEPT, self.accept)
            .header(USER_AGENT, concat!("telepath-client/", env!("CARGO_PKG_VERSION")));
        if self.body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(key) = &self.idempotency_key {
            request = request.header(IDEMPOTENCY_KEY, key);
        }
        if let Some(authorization) = authorization.filter(|_| self.shows_key) {
            request = request.header(AUTHORIZATION, authorization);
        }
        let problem = "makes no valid request";
        request
            .body(Full::new(self.body.clone().unwrap_or_default()))
            .map_err(|_| Error::BadUrl { url: self.plain_path().to_owned(), problem })
    }
}

/// The key as a header that no log shows.
pub(crate) fn bearer(key: &SecretText) -> Result<HeaderValue, Error> {
    let mut value =
        HeaderValue::try_from(format!("Bearer {}", key.expose().trim())).map_err(|_| Error::BadKey)?;
    value.set_sensitive(true);
    Ok(value)
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
            encode(&value.to_string(), &mut self.0);
        }
        self
    }

    pub(crate) fn finish(self) -> String {
        self.0
    }
}

/// A text that a caller chose as one segment of a path.
pub(crate) fn segment(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    encode(text, &mut encoded);
    encoded
}

fn encode(text: &str, into: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            into.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(into, "%{byte:02X}");
        }
    }
}

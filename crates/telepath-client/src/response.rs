//! Decodes a response: a value, or the error of the envelope. Members that a newer server adds are ignored.

use std::time::Duration;

use bytes::Bytes;
use hyper::Response;
use hyper::header::{HeaderMap, RETRY_AFTER};
use serde::de::DeserializeOwned;
use telepath_api_types::error::ErrorEnvelope;
use telepath_core::clock::Timestamp;

use crate::error::{ApiError, Error};

/// The value in the body.
pub(crate) fn decode<T: DeserializeOwned>(response: &Response<Bytes>) -> Result<T, Error> {
    serde_json::from_slice(response.body()).map_err(|error| {
        // Names the position and never the content, which may be a new secret.
        let problem =
            format!("{:?} error at line {} column {}", error.classify(), error.line(), error.column());
        Error::Unexpected { status: response.status().as_u16(), problem }
    })
}

/// The error in the body, with what the headers add to it.
pub(crate) fn api_error(response: &Response<Bytes>) -> Error {
    let (status, headers) = (response.status().as_u16(), response.headers());
    match serde_json::from_slice(response.body()) {
        Ok(ErrorEnvelope { error: mut body }) => {
            body.status = status;
            if body.request_id.is_none() && !request_id(headers).is_empty() {
                body.request_id = Some(request_id(headers).to_owned());
            }
            let retry_after = number(headers, RETRY_AFTER.as_str()).map(Duration::from_secs);
            let rate_limit_reset = number(headers, "x-ratelimit-reset")
                .and_then(|seconds| i64::try_from(seconds).ok())
                .map(Timestamp::from_unix_seconds);
            Error::Api(Box::new(ApiError { body, retry_after, rate_limit_reset }))
        }
        Err(_) => Error::Unexpected { status, problem: "the body is not an error envelope".to_owned() },
    }
}

/// The id under which the server logged the request; empty when the header is missing.
pub(crate) fn request_id(headers: &HeaderMap) -> &str {
    headers.get("x-request-id").and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

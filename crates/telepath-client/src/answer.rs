//! What an answer says: a value, or the error of the envelope. Members that a newer server adds are passed over.

use std::time::Duration;

use bytes::Bytes;
use hyper::Response;
use hyper::header::{HeaderMap, RETRY_AFTER};
use serde::de::DeserializeOwned;
use telepath_core::clock::Timestamp;

use crate::{ApiError, Error};

/// The value in the body.
pub(crate) fn decode<T: DeserializeOwned>(answer: &Response<Bytes>) -> Result<T, Error> {
    serde_json::from_slice(answer.body()).map_err(|error| {
        // The position and the member are told, never the content: it may hold a secret that was just made.
        let problem =
            format!("{:?} error at line {} column {}", error.classify(), error.line(), error.column());
        Error::Unexpected { status: answer.status().as_u16(), problem }
    })
}

/// The error in the body, with what the headers say of it.
pub(crate) fn api_error(answer: &Response<Bytes>) -> Error {
    #[derive(serde::Deserialize)]
    struct Envelope {
        error: ApiError,
    }
    let (status, headers) = (answer.status().as_u16(), answer.headers());
    match serde_json::from_slice::<Envelope>(answer.body()) {
        Ok(Envelope { mut error }) => {
            error.status = status;
            error.retry_after = number(headers, RETRY_AFTER.as_str()).map(Duration::from_secs);
            error.rate_limit_reset = number(headers, "x-ratelimit-reset")
                .and_then(|seconds| i64::try_from(seconds).ok())
                .map(Timestamp::from_unix_seconds);
            if error.request_id.is_none() && !request_id(headers).is_empty() {
                error.request_id = Some(request_id(headers).to_owned());
            }
            Error::Api(Box::new(error))
        }
        Err(_) => Error::Unexpected { status, problem: "the body is no error envelope".to_owned() },
    }
}

/// By which the server's log names the request.
pub(crate) fn request_id(headers: &HeaderMap) -> &str {
    headers.get("x-request-id").and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

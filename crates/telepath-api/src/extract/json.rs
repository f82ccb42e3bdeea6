//! Request bodies. [`StrictJson`] accepts a complete, small and unambiguous JSON object and returns a draft of the domain. An
//! error names the member and never quotes a value.

mod tree;
mod typed;

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRef, FromRequest};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, Request};
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use telepath_core::error::ErrorCode;
use telepath_core::validation::Invalid;

use crate::error::ApiError;
use crate::extract::path::safe_excerpt;

/// The largest body in bytes.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// The time limit for a body to arrive.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyTimeout(pub(crate) Duration);

/// A required JSON object.
#[derive(Debug)]
pub(crate) struct StrictJson<T>(pub(crate) T);

/// An optional JSON object.
#[derive(Debug)]
pub(crate) struct OptionalJson<T>(pub(crate) T);

/// The body of a route without members. Any member is refused.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoMembers {}

impl<S, T> FromRequest<S> for StrictJson<T>
where
    S: Send + Sync,
    BodyTimeout: FromRef<S>,
    T: DeserializeOwned,
{
    type Rejection = ApiError;

    async fn from_request(request: Request<Body>, state: &S) -> Result<Self, ApiError> {
        require_json(request.headers())?;
        let body = read_body(request, BodyTimeout::from_ref(state)).await?;
        if body.trim_ascii().is_empty() {
            return Err(ApiError::new(
                ErrorCode::InvalidJson,
                "The body is empty; a JSON object is required",
            ));
        }
        decode(&body).map(Self)
    }
}

impl<S, T> FromRequest<S> for OptionalJson<T>
where
    S: Send + Sync,
    BodyTimeout: FromRef<S>,
    T: DeserializeOwned + Default,
{
    type Rejection = ApiError;

    async fn from_request(request: Request<Body>, state: &S) -> Result<Self, ApiError> {
        let declared = require_json(request.headers());
        let body = read_body(request, BodyTimeout::from_ref(state)).await?;
        if body.is_empty() {
            return Ok(Self(T::default()));
        }
        declared?;
        decode(&body).map(Self)
    }
}

/// `application/json`, with or without parameters such as `charset=utf-8`.
fn require_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let essence = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(str::trim);
    match essence {
        Some(essence) if essence.eq_ignore_ascii_case("application/json") => Ok(()),
        Some(_) | None => Err(ApiError::of(ErrorCode::UnsupportedMediaType)),
    }
}

pub(crate) async fn read_body(request: Request<Body>, limit: BodyTimeout) -> Result<Bytes, ApiError> {
    let announced =
        request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > MAX_BODY_BYTES as u64) {
        return Err(ApiError::of(ErrorCode::BodyTooLarge));
    }
    let body = Limited::new(request.into_body(), MAX_BODY_BYTES).collect();
    match tokio::time::timeout(limit.0, body).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(ApiError::of(ErrorCode::BodyTooLarge)),
        Ok(Err(_)) => Err(ApiError::new(ErrorCode::InvalidJson, "The body is incomplete")),
        Err(_elapsed) => Err(ApiError::of(ErrorCode::RequestTimeout)),
    }
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let tree = tree::parse(body).map_err(|problem| {
        let message = match problem {
            tree::NotJson::Repeated(member) => {
                format!("The member '{}' appears more than once", safe_excerpt(&member))
            }
            tree::NotJson::TooDeep => format!("The body is nested more than {} levels deep", tree::MAX_DEPTH),
            tree::NotJson::Malformed { line, column } => {
                format!("The body is not well-formed JSON (line {line}, column {column})")
            }
        };
        ApiError::new(ErrorCode::InvalidJson, message)
    })?;
    typed::read(tree).map_err(|(place, problem)| {
        let mut problems = Invalid::default();
        match &problem {
            typed::Mismatch::Missing(name) => problems.missing(name),
            typed::Mismatch::Unknown(name) => problems.wrong(&safe_excerpt(name), problem.to_string()),
            typed::Mismatch::MustBe(_) if place.is_empty() => problems.wrong("body", problem.to_string()),
            typed::Mismatch::MustBe(_) => problems.wrong(&safe_excerpt(&place), problem.to_string()),
        }
        problems.into()
    })
}

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
use telepath_core::secret::contains_key;
use telepath_core::validation::{Invalid, MUST_NOT_CONTAIN_KEY};

use crate::error::ApiError;
use crate::extract::path::safe_excerpt;
use tree::Json;

/// The largest body in bytes.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// The time limit for a body to arrive.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyTimeout(pub(crate) Duration);

/// A required JSON object. A text in it that contains one of our API keys is refused, because most texts are stored and shown.
#[derive(Debug)]
pub(crate) struct StrictJson<T>(pub(crate) T);

/// A required JSON object that reports API keys.
#[derive(Debug)]
pub(crate) struct ReportedKeys<T>(pub(crate) T);

/// An optional JSON object, checked like [`StrictJson`].
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
        let tree = required(request, BodyTimeout::from_ref(state)).await?;
        refuse_keys(&tree)?;
        typed(tree).map(Self)
    }
}

impl<S, T> FromRequest<S> for ReportedKeys<T>
where
    S: Send + Sync,
    BodyTimeout: FromRef<S>,
    T: DeserializeOwned,
{
    type Rejection = ApiError;

    async fn from_request(request: Request<Body>, state: &S) -> Result<Self, ApiError> {
        typed(required(request, BodyTimeout::from_ref(state)).await?).map(Self)
    }
}

async fn required(request: Request<Body>, limit: BodyTimeout) -> Result<Json, ApiError> {
    require_json(request.headers())?;
    let body = read_body(request, limit).await?;
    if body.trim_ascii().is_empty() {
        return Err(ApiError::new(ErrorCode::InvalidJson, "The body is empty; a JSON object is required"));
    }
    parse(&body)
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
        let tree = parse(&body)?;
        refuse_keys(&tree)?;
        typed(tree).map(Self)
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

fn parse(body: &[u8]) -> Result<Json, ApiError> {
    tree::parse(body).map_err(|problem| {
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
    })
}

/// Refuses API keys in any text, so that no member can forget to.
fn refuse_keys(tree: &Json) -> Result<(), ApiError> {
    let mut problems = Invalid::default();
    for place in tree.places(|text| contains_key(text.as_bytes())) {
        let field = if place.is_empty() { "body".to_owned() } else { safe_excerpt(&place) };
        problems.wrong(&field, MUST_NOT_CONTAIN_KEY);
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.into()) }
}

fn typed<T: DeserializeOwned>(tree: Json) -> Result<T, ApiError> {
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

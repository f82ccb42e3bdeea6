//! The error envelope. Handlers and extractors give an [`ApiError`]; the gate writes it, because only the gate knows the
//! request id and the rate window that stand in every answer.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use telepath_core::error::ErrorCode;
use telepath_core::id::RequestId;
use telepath_core::scope::Scope;
use telepath_core::validation::{FieldError, Invalid};
use telepath_store::StoreError;

use crate::refusal::Refusal;

/// Seconds after which a caller may ask again when the server could not answer.
const RETRY_UNAVAILABLE: u64 = 5;

/// Why a request was refused or failed.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    code: ErrorCode,
    message: Cow<'static, str>,
    details: Vec<FieldError>,
    required_scope: Option<Scope>,
    retry_after: Option<u64>,
    refusal: Option<Refusal>,
    /// For the log, never for the caller.
    internal: Option<String>,
}

impl ApiError {
    /// The code with its usual message.
    pub(crate) fn of(code: ErrorCode) -> Self {
        Self::new(code, usual_message(code))
    }

    /// The code with a message of its own.
    pub(crate) fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        let retry_after = (code == ErrorCode::Unavailable).then_some(RETRY_UNAVAILABLE);
        let message = message.into();
        Self {
            code,
            message,
            details: Vec::new(),
            required_scope: None,
            retry_after,
            refusal: None,
            internal: None,
        }
    }

    /// One wrong parameter or member.
    pub(crate) fn invalid(field: &str, message: impl Into<String>) -> Self {
        Invalid::one(field, message).into()
    }

    /// The caller lacks a scope.
    pub(crate) fn insufficient_scope(scope: Scope) -> Self {
        let message = format!("The API key does not have the scope {scope}");
        Self { required_scope: Some(scope), ..Self::new(ErrorCode::InsufficientScope, message) }
    }

    /// A window is full.
    pub(crate) fn rate_limited(limit: u32, seconds: u64) -> Self {
        let message = format!("Rate limit of {limit} requests per minute exceeded");
        Self { retry_after: Some(seconds), ..Self::new(ErrorCode::RateLimitExceeded, message) }
    }

    /// Something that must not happen did; the text is for the log.
    pub(crate) fn internal(what: impl Into<String>) -> Self {
        Self { internal: Some(what.into()), ..Self::of(ErrorCode::Internal) }
    }

    /// The server cannot answer now; the text is for the log.
    pub(crate) fn unavailable(what: impl Into<String>) -> Self {
        Self { internal: Some(what.into()), ..Self::of(ErrorCode::Unavailable) }
    }

    /// Says under which reason the refusal is counted.
    pub(crate) fn counted(self, refusal: Refusal) -> Self {
        Self { refusal: Some(refusal), ..self }
    }

    /// Stands in for an answer that the web framework made by itself.
    pub(crate) fn for_status(status: StatusCode) -> Self {
        ErrorCode::ALL
            .iter()
            .find(|code| code.status() == status.as_u16() && usual_for_status(**code))
            .map_or_else(
                || Self::internal(format!("unexpected answer with status {status}")),
                |code| Self::of(*code),
            )
    }

    /// The code.
    pub(crate) const fn code(&self) -> ErrorCode {
        self.code
    }

    /// Under which reason the refusal is counted.
    pub(crate) const fn refusal(&self) -> Option<Refusal> {
        self.refusal
    }

    /// What the log is told beside the code.
    pub(crate) fn internal_text(&self) -> Option<&str> {
        self.internal.as_deref()
    }

    /// Writes the envelope and the headers that belong to the code.
    pub(crate) fn render(&self, id: RequestId, response: &mut Response) {
        let status = StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // The router has written the length of the empty answer that the envelope replaces.
        headers.remove(CONTENT_LENGTH);
        if let Some(challenge) = self.challenge() {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        let envelope = Envelope {
            error: EnvelopeBody {
                code: self.code.name(),
                message: &self.message,
                status: self.code.status(),
                request_id: id,
                details: self
                    .details
                    .iter()
                    .map(|d| Detail { field: &d.field, message: &d.message })
                    .collect(),
                required_scope: self.required_scope.map(Scope::name),
            },
        };
        // Nothing in the envelope can fail to be written as JSON.
        *response.body_mut() = Body::from(serde_json::to_vec(&envelope).unwrap_or_default());
    }

    /// RFC 6750 section 3: no error code when there was no credential at all.
    fn challenge(&self) -> Option<HeaderValue> {
        const REALM: &str = "Bearer realm=\"telepath\"";
        let text = if self.code == ErrorCode::MissingApiKey {
            REALM.to_owned()
        } else if self.code == ErrorCode::InvalidApiKey {
            format!("{REALM}, error=\"invalid_token\"")
        } else if let Some(scope) = self.required_scope {
            format!("{REALM}, error=\"insufficient_scope\", scope=\"{scope}\"")
        } else if self.code == ErrorCode::InsufficientScope {
            format!("{REALM}, error=\"insufficient_scope\"")
        } else {
            return None;
        };
        HeaderValue::try_from(text).ok()
    }
}

/// Whether the code is the plain meaning of its status.
const fn usual_for_status(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::InvalidParams
            | ErrorCode::NotFound
            | ErrorCode::MethodNotAllowed
            | ErrorCode::RequestTimeout
            | ErrorCode::BodyTooLarge
            | ErrorCode::UnsupportedMediaType
            | ErrorCode::Unavailable
    )
}

/// The messages of codes that need no particulars; the first two are the seed page's, word for word.
const fn usual_message(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::InvalidApiKey => "The API key provided is invalid or has been revoked",
        ErrorCode::MissingApiKey => "Authorization header is missing",
        ErrorCode::HttpsRequired => "HTTPS is required; this request came over plain HTTP",
        ErrorCode::MalformedRequest => "The request is not well-formed HTTP",
        ErrorCode::InvalidJson => "The body is not well-formed JSON",
        ErrorCode::InvalidParams => "A parameter is invalid",
        ErrorCode::MissingRequired => "A required field is missing",
        ErrorCode::InsufficientScope => "The API key does not have the rights for this",
        ErrorCode::IpNotAllowed => "The API key may not be used from this address",
        ErrorCode::NotFound => "There is no such route",
        ErrorCode::TrunkNotFound => "Trunk not found",
        ErrorCode::CallNotFound => "Call not found",
        ErrorCode::KeyNotFound => "Key not found",
        ErrorCode::SecretNotFound => "Secret not found",
        ErrorCode::PresetNotFound => "Preset not found",
        ErrorCode::SecretIsCurrent => {
            "The newest secret cannot be ended; rotate the key with grace_seconds 0, or revoke the key"
        }
        ErrorCode::TooManySecrets => {
            "The key has 5 secrets that work; end the grace of one, or rotate with grace_seconds 0"
        }
        ErrorCode::TooManyKeys => "The account has more than 10000 keys, too many to rotate together",
        ErrorCode::IdempotencyKeyInUse => "The first request with this Idempotency-Key is still running",
        ErrorCode::IdempotencyKeyReused => "Another request was made with this Idempotency-Key",
        ErrorCode::IdempotencyAnswerLost => {
            "The first request with this Idempotency-Key was carried out, but its answer is not known any more"
        }
        ErrorCode::InvalidSignature => "The signature is missing or does not fit the body",
        ErrorCode::AlertNotFound => "Alert not found",
        ErrorCode::WebhookNotFound => "Webhook not found",
        ErrorCode::DeliveryNotFound => "Delivery not found",
        ErrorCode::MethodNotAllowed => "The method is not allowed for this route",
        ErrorCode::RequestTimeout => "The request did not arrive completely in time",
        ErrorCode::SipUsernameTaken => "The SIP username is already taken on this server",
        ErrorCode::CallNotLive => "The call is not live",
        ErrorCode::WebhookLimitReached => "The account has as many webhook endpoints as it may",
        ErrorCode::WebhookDisabled => "The webhook endpoint is disabled",
        ErrorCode::BodyTooLarge => "The body is larger than 64 KiB",
        ErrorCode::UnsupportedMediaType => "Content-Type must be application/json",
        ErrorCode::HeadersTooLarge => "The request line and headers are too large",
        ErrorCode::RateLimitExceeded => "Rate limit exceeded",
        ErrorCode::Internal => "Something went wrong in the server",
        ErrorCode::Unavailable => "The server cannot answer now; try again shortly",
    }
}

/// Leaves the writing to the gate, which finds the error among the extensions.
impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let text = error.to_string();
        match error {
            StoreError::Unavailable(_)
            | StoreError::OutcomeUnknown(_)
            | StoreError::Busy
            | StoreError::Closed
            | StoreError::NoLease
            | StoreError::SharedLimits(_)
            | StoreError::File { .. }
            | StoreError::Entropy(_) => ApiError::unavailable(text),
            StoreError::Superseded => ApiError::of(ErrorCode::IdempotencyKeyInUse),
            StoreError::Broken
            | StoreError::SchemaBehind { .. }
            | StoreError::SchemaAhead { .. }
            | StoreError::SchemaDiffers { .. }
            | StoreError::WrongMasterKey { .. }
            | StoreError::DatabaseTooOld { .. }
            | StoreError::OtherServer { .. }
            | StoreError::Corrupt(_) => ApiError::internal(text),
        }
    }
}

impl From<Invalid> for ApiError {
    fn from(problems: Invalid) -> Self {
        let code = if problems.first_missing().is_some() {
            ErrorCode::MissingRequired
        } else {
            ErrorCode::InvalidParams
        };
        let message = problems.summary();
        Self { details: problems.into_details(), ..Self::new(code, message) }
    }
}

/// `{"error": {…}}`, the form of every error answer. The OpenAPI document describes it as the schema `Error`.
#[derive(Serialize)]
struct Envelope<'a> {
    error: EnvelopeBody<'a>,
}

#[derive(Serialize)]
struct EnvelopeBody<'a> {
    code: &'static str,
    message: &'a str,
    status: u16,
    request_id: RequestId,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<Detail<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    required_scope: Option<&'static str>,
}

#[derive(Serialize)]
struct Detail<'a> {
    field: &'a str,
    message: &'a str,
}

//! Published for people who find keys or vulnerabilities: the pattern of keys, and the security contact.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde::Serialize;
use telepath_core::error::ErrorCode;
use telepath_core::leak::MAX_REPORTED;
use telepath_core::secret::{KEY_PATTERN, KeyMode};
use utoipa::ToSchema;

use crate::endpoint::{Endpoints, endpoints};
use crate::error::ApiError;
use crate::state::AppState;

/// The validity of `security.txt`; RFC 9116 section 2.5.5 recommends less than a year.
const HOLDS: Duration = Duration::from_hours(24 * 180);

pub(super) fn endpoints() -> Endpoints {
    endpoints![key_pattern, security_txt => [NotFound]]
}

/// How keys can be found and reported.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KeyPattern)]
struct KeyPatternBody {
    /// A regular expression that every key matches.
    #[schema(value_type = String, example = "sk_(live|test)_[0-9A-Za-z]{49}")]
    pattern: &'static str,
    /// How keys begin.
    #[schema(value_type = Vec<String>)]
    prefixes: [&'static str; 2],
    /// How false finds are told from keys.
    checksum: ChecksumBody,
    /// Where a key that was found is reported: a `POST` with the member `secrets`.
    #[schema(value_type = String, example = "/v1/keys/report-leak")]
    report_url: &'static str,
    /// The most secrets in one report.
    max_secrets: usize,
}

/// The end of a key is a checksum of what is before it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KeyChecksum)]
struct ChecksumBody {
    /// Over all characters before it.
    #[schema(value_type = String, example = "CRC-32")]
    algorithm: &'static str,
    /// How many characters at the end it takes.
    length: usize,
    /// How it is written: a number of fixed length with these digits, the highest place first.
    #[schema(value_type = String)]
    alphabet: &'static str,
}

/// Get the pattern of API keys
#[utoipa::path(get, path = "/.well-known/telepath-key-pattern.json", tag = "Operation", operation_id = "keyPattern",
    responses((status = 200, description = "How keys can be found and reported.", body = KeyPatternBody)))]
async fn key_pattern() -> Json<KeyPatternBody> {
    Json(KeyPatternBody {
        pattern: KEY_PATTERN,
        prefixes: [KeyMode::Live.prefix(), KeyMode::Test.prefix()],
        checksum: ChecksumBody {
            algorithm: "CRC-32",
            length: 6,
            alphabet: std::str::from_utf8(telepath_core::base62::ALPHABET).unwrap_or_default(),
        },
        report_url: "/v1/keys/report-leak",
        max_secrets: MAX_REPORTED,
    })
}

/// Get the security contact
///
/// RFC 9116. Not found unless the setting `api.security_contact` is set.
#[utoipa::path(get, path = "/.well-known/security.txt", tag = "Operation", operation_id = "securityTxt",
    responses((status = 200, description = "The contact.", body = String, content_type = "text/plain")))]
async fn security_txt(State(state): State<AppState>) -> Result<impl IntoResponse, ApiError> {
    let contact =
        state.options.security_contact.as_deref().ok_or_else(|| ApiError::of(ErrorCode::NotFound))?;
    let expires = state.store.clock().now().plus(HOLDS);
    let text = format!("Contact: {contact}\r\nExpires: {expires}\r\n");
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], text))
}

//! Public pages for people who find keys or vulnerabilities: the pattern of keys, and the security contact.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use telepath_api_types::leaks::{KeyChecksum, KeyPattern};
use telepath_core::error::ErrorCode;
use telepath_core::leak::MAX_REPORTED;
use telepath_core::secret::{KEY_PATTERN, KeyMode};

use crate::endpoint::{Endpoints, endpoints};
use crate::error::ApiError;
use crate::state::AppState;

/// The validity of `security.txt`; RFC 9116 section 2.5.5 recommends less than a year.
const HOLDS: Duration = Duration::from_hours(24 * 180);

pub(super) fn endpoints() -> Endpoints {
    endpoints![key_pattern, security_txt => [NotFound]]
}

/// Get the pattern of API keys
#[utoipa::path(get, path = "/.well-known/telepath-key-pattern.json", tag = "Operation", operation_id = "keyPattern",
    responses((status = 200, description = "How keys can be found and reported.", body = KeyPattern)))]
async fn key_pattern() -> Json<KeyPattern> {
    Json(KeyPattern {
        pattern: KEY_PATTERN.to_owned(),
        prefixes: KeyMode::ALL.iter().map(|mode| mode.prefix().to_owned()).collect(),
        checksum: KeyChecksum {
            algorithm: "CRC-32".to_owned(),
            length: 6,
            alphabet: std::str::from_utf8(telepath_core::base62::ALPHABET).unwrap_or_default().to_owned(),
        },
        report_url: "/v1/keys/report-leak".to_owned(),
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

//! Path parameters. A text that is not an id of the right kind gets the same 404 as an unknown id.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use telepath_core::error::ErrorCode;
use telepath_core::id::{
    AccountId, AlertId, CallId, DeliveryId, Id, InvitationId, KeyId, SecretId, TrunkId, WebhookId,
};

use crate::error::ApiError;

/// The most characters of a client's text that an error message quotes.
const EXCERPT: usize = 64;

/// A resource with an id in its path.
pub(crate) trait Resource: Id + Send {
    /// The code for an unknown id.
    const NOT_FOUND: ErrorCode;
    /// The name of the resource in messages.
    const NOUN: &'static str;

    /// The error for an unknown id.
    fn not_found(text: &str) -> ApiError {
        ApiError::new(Self::NOT_FOUND, format!("{} '{}' not found", Self::NOUN, safe_excerpt(text)))
    }
}

macro_rules! resources {
    ($($id:ident = $noun:literal, $not_found:ident;)+) => {$(
        impl Resource for $id {
            const NOT_FOUND: ErrorCode = ErrorCode::$not_found;
            const NOUN: &'static str = $noun;
        }
    )+};
}

resources! {
    AccountId = "Account", AccountNotFound;
    TrunkId = "Trunk", TrunkNotFound;
    CallId = "Call", CallNotFound;
    KeyId = "Key", KeyNotFound;
    WebhookId = "Webhook", WebhookNotFound;
    DeliveryId = "Delivery", DeliveryNotFound;
    AlertId = "Alert", AlertNotFound;
    SecretId = "Secret", SecretNotFound;
    InvitationId = "Invitation", NotFound;
}

/// The ids in the path of a route that has two.
#[derive(Debug)]
pub(crate) struct PathIds<T, U>(pub(crate) T, pub(crate) U);

impl<S: Send + Sync, T: Resource, U: Resource> FromRequestParts<S> for PathIds<T, U> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let params = RawPathParams::from_request_parts(parts, state).await;
        let texts: Vec<String> =
            params.map(|params| params.iter().map(|(_, text)| text.to_owned()).collect()).unwrap_or_default();
        let mut texts = texts.into_iter();
        let (first, second) = (texts.next().unwrap_or_default(), texts.next().unwrap_or_default());
        let first = first.parse().map_err(|_| T::not_found(&first))?;
        second.parse().map(|second| Self(first, second)).map_err(|_| U::not_found(&second))
    }
}

/// The id in the path of a route that has exactly one.
#[derive(Debug)]
pub(crate) struct PathId<T>(pub(crate) T);

impl<S: Send + Sync, T: Resource> FromRequestParts<S> for PathId<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let params = RawPathParams::from_request_parts(parts, state).await;
        // Percent-encoding that is not UTF-8 is no id either.
        let text = params.ok().and_then(|params| params.iter().next().map(|(_, text)| text.to_owned()));
        let text = text.unwrap_or_default();
        text.parse().map(Self).map_err(|_| T::not_found(&text))
    }
}

/// The name in the path of a route that has exactly one.
#[derive(Debug)]
pub(crate) struct PathName(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for PathName {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let params = RawPathParams::from_request_parts(parts, state).await;
        let text = params.ok().and_then(|params| params.iter().next().map(|(_, text)| text.to_owned()));
        Ok(Self(text.unwrap_or_default()))
    }
}

/// A client's text as an error message may quote it: short, printable, and omitted if it looks like a key.
pub(crate) fn safe_excerpt(text: &str) -> String {
    if text.contains("sk_") {
        return "…".to_owned();
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.:[]".contains(c);
    let mut excerpt: String = text.chars().take(EXCERPT).map(|c| if plain(c) { c } else { '?' }).collect();
    if text.chars().count() > EXCERPT {
        excerpt.push('…');
    }
    excerpt
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_are_short_plain_and_hold_no_keys() {
        assert_eq!(safe_excerpt("conn_01abc"), "conn_01abc");
        assert_eq!(safe_excerpt("a\r\nb'<c>\u{202e}"), "a??b??c??");
        assert_eq!(safe_excerpt(&"x".repeat(5000)).chars().count(), EXCERPT + 1);
        assert_eq!(safe_excerpt("sk_live_abc"), "…");
    }
}

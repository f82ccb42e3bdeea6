//! Every error code of the API in one closed table: its status, whose fault it is, whether trying again helps, its cause
//! and its remedy. The mapping to HTTP, the OpenAPI document and the reference page all come from here.

use crate::named::named_enum;

/// Whose mistake or trouble an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// Whoever sent the request.
    Caller,
    /// The telephone carrier.
    Carrier,
    /// The AI agent or its provider.
    Agent,
    /// This server.
    Us,
}

macro_rules! error_codes {
    ($($variant:ident = $name:literal, $status:literal, $blame:ident, retry: $retry:literal, $cause:literal, $remedy:literal;)+) => {
        named_enum! {
            /// A code of the error envelope, in the order of the reference page.
            #[derive(PartialOrd, Ord)]
            pub enum ErrorCode {
                $(#[doc = $cause] $variant = $name,)+
            }
        }

        impl ErrorCode {
            /// The HTTP status.
            pub const fn status(self) -> u16 {
                match self { $(ErrorCode::$variant => $status,)+ }
            }

            /// Whose fault it is.
            pub const fn blame(self) -> Blame {
                match self { $(ErrorCode::$variant => Blame::$blame,)+ }
            }

            /// Whether the same request may succeed later without being changed.
            pub const fn retry(self) -> bool {
                match self { $(ErrorCode::$variant => $retry,)+ }
            }

            /// What causes it, for the reference page.
            pub const fn cause(self) -> &'static str {
                match self { $(ErrorCode::$variant => $cause,)+ }
            }

            /// What to do about it, for the reference page.
            pub const fn remedy(self) -> &'static str {
                match self { $(ErrorCode::$variant => $remedy,)+ }
            }
        }
    };
}

error_codes! {
    HttpsRequired = "HTTPS_REQUIRED", 400, Caller, retry: false,
        "The request came over plain HTTP.",
        "Use an https:// URL. A key that was sent in clear should be treated as leaked: revoke it.";
    MalformedRequest = "MALFORMED_REQUEST", 400, Caller, retry: false,
        "What arrived is not well-formed HTTP.",
        "Send requests through an HTTP library; if one sent this, report the request id.";
    InvalidJson = "INVALID_JSON", 400, Caller, retry: false,
        "The body is not well-formed JSON, or a member is repeated.",
        "Send one JSON object in UTF-8 in which no member appears twice.";
    InvalidParams = "INVALID_PARAMS", 400, Caller, retry: false,
        "A parameter or member is unknown, has a wrong type or is out of range.",
        "Correct the members named in `details`.";
    MissingRequired = "MISSING_REQUIRED", 400, Caller, retry: false,
        "A required member is missing.",
        "Add the member that the message names.";
    MissingApiKey = "MISSING_API_KEY", 401, Caller, retry: false,
        "The request has no Authorization header.",
        "Send `Authorization: Bearer sk_live_…`.";
    InvalidApiKey = "INVALID_API_KEY", 401, Caller, retry: false,
        "The key is malformed, unknown, revoked or expired; the answer never says which.",
        "Check the key, and that it was not revoked and has not expired.";
    InvalidSignature = "INVALID_SIGNATURE", 401, Caller, retry: false,
        "The list of found secrets is not signed by one of the configured signing keys.",
        "Compare `leaks.signing_keys_file` with the keys that the partner publishes.";
    InsufficientScope = "INSUFFICIENT_SCOPE", 403, Caller, retry: false,
        "The key is valid but lacks the scope named in `required_scope`.",
        "Use a key with that scope, or add it to this one.";
    IpNotAllowed = "IP_NOT_ALLOWED", 403, Caller, retry: false,
        "The key may not be used from this address.",
        "Call from an address in the key's `allowed_ips`, or extend the list.";
    NotFound = "NOT_FOUND", 404, Caller, retry: false,
        "There is no such route.",
        "Compare the path with the API reference.";
    AccountNotFound = "ACCOUNT_NOT_FOUND", 404, Caller, retry: false,
        "There is no account with this id.",
        "List the accounts to find the right id.";
    TrunkNotFound = "TRUNK_NOT_FOUND", 404, Caller, retry: false,
        "The account has no trunk with this id.",
        "List the trunks to find the right id.";
    CallNotFound = "CALL_NOT_FOUND", 404, Caller, retry: false,
        "The account has no call with this id.",
        "List the calls to find the right id.";
    KeyNotFound = "KEY_NOT_FOUND", 404, Caller, retry: false,
        "The account has no API key with this id.",
        "List the keys to find the right id.";
    SecretNotFound = "SECRET_NOT_FOUND", 404, Caller, retry: false,
        "The API key has no secret with this id.",
        "Show the key to find the ids of its secrets.";
    PresetNotFound = "PRESET_NOT_FOUND", 404, Caller, retry: false,
        "There is no preset with this name.",
        "List the presets to find their names.";
    AlertNotFound = "ALERT_NOT_FOUND", 404, Caller, retry: false,
        "The account has no alert with this id.",
        "List the alerts to find the right id.";
    WebhookNotFound = "WEBHOOK_NOT_FOUND", 404, Caller, retry: false,
        "The account has no webhook endpoint with this id.",
        "List the endpoints to find the right id.";
    DeliveryNotFound = "DELIVERY_NOT_FOUND", 404, Caller, retry: false,
        "The account has no delivery with this id, or it is older than 30 days.",
        "List the deliveries of the endpoint to find the right id.";
    MethodNotAllowed = "METHOD_NOT_ALLOWED", 405, Caller, retry: false,
        "The route exists but not for this method.",
        "Use one of the methods in the Allow header.";
    RequestTimeout = "REQUEST_TIMEOUT", 408, Caller, retry: true,
        "The request did not arrive completely in time.",
        "Send it again over a better connection.";
    SipUsernameTaken = "SIP_USERNAME_TAKEN", 409, Caller, retry: false,
        "Another trunk on this server has this SIP username; case does not matter.",
        "Choose another `sip_username`.";
    CallNotLive = "CALL_NOT_LIVE", 409, Caller, retry: false,
        "The call has already ended.",
        "Nothing is left to hang up.";
    SecretIsCurrent = "SECRET_IS_CURRENT", 409, Caller, retry: false,
        "The secret is the key's newest one, without which nobody could use the key.",
        "Rotate the key with `grace_seconds` 0 to replace the secret at once, or revoke the key.";
    TooManySecrets = "TOO_MANY_SECRETS", 409, Caller, retry: true,
        "The key has 5 secrets that work, the most that it may have.",
        "End the grace of one, wait until one ends, or rotate with `grace_seconds` 0.";
    TooManyKeys = "TOO_MANY_KEYS", 409, Caller, retry: false,
        "The account has more keys than can be rotated together.",
        "Revoke keys that nobody needs, or rotate the keys one by one.";
    IdempotencyKeyInUse = "IDEMPOTENCY_KEY_IN_USE", 409, Caller, retry: true,
        "The first request with this Idempotency-Key is still running.",
        "Send the same request again after a moment.";
    IdempotencyAnswerLost = "IDEMPOTENCY_ANSWER_LOST", 409, Caller, retry: false,
        "The first request with this Idempotency-Key was carried out, but its answer is not known any more.",
        "Look at what the message names; nothing was done twice. For a secret that was not seen, rotate it.";
    AccountLimitReached = "ACCOUNT_LIMIT_REACHED", 409, Caller, retry: false,
        "The installation has 1,000 accounts, which is the limit.",
        "Use an existing account.";
    WebhookLimitReached = "WEBHOOK_LIMIT_REACHED", 409, Caller, retry: false,
        "The account has 500 webhook endpoints.",
        "Delete endpoints that are not needed.";
    WebhookDisabled = "WEBHOOK_DISABLED", 409, Caller, retry: false,
        "The webhook endpoint is disabled, so nothing is sent to it.",
        "Switch it on with `PATCH /v1/webhooks/{id}` and `{\"status\": \"active\"}`, then ask again.";
    BodyTooLarge = "BODY_TOO_LARGE", 413, Caller, retry: false,
        "The body is larger than 64 KiB.",
        "Send a smaller body.";
    UnsupportedMediaType = "UNSUPPORTED_MEDIA_TYPE", 415, Caller, retry: false,
        "The body is not declared as JSON.",
        "Send `Content-Type: application/json`.";
    IdempotencyKeyReused = "IDEMPOTENCY_KEY_REUSED", 422, Caller, retry: false,
        "Another request was made with this Idempotency-Key within 24 hours.",
        "Use a new key for each new request, and the same key only to repeat one.";
    HeadersTooLarge = "HEADERS_TOO_LARGE", 431, Caller, retry: false,
        "The request line and headers are too large (32 KiB are always taken), or there are more than 100 headers.",
        "Send fewer or smaller headers, and a shorter URL.";
    RateLimitExceeded = "RATE_LIMIT_EXCEEDED", 429, Caller, retry: true,
        "The window's requests are used up.",
        "Wait until X-RateLimit-Reset.";
    Internal = "INTERNAL", 500, Us, retry: true,
        "Something went wrong in the server.",
        "Try again; if it stays, report the request id.";
    Unavailable = "UNAVAILABLE", 503, Us, retry: true,
        "The server cannot answer now: storage is down, or it is shutting down.",
        "Try again after the seconds in Retry-After.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_upper_snake_and_unique_and_statuses_fit_the_blame() {
        let mut names: Vec<_> = ErrorCode::ALL.iter().map(|code| code.name()).collect();
        assert!(names.iter().all(|name| name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ErrorCode::ALL.len());
        for code in ErrorCode::ALL {
            assert_eq!(code.status() < 500, code.blame() == Blame::Caller, "{code}");
            assert!(!code.cause().is_empty() && !code.remedy().is_empty());
        }
    }
}

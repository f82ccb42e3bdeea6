//! Every error code of the API in one closed table: its status, the side at fault, whether a retry can help, its
//! cause and its remedy. The mapping to HTTP, the OpenAPI document and the reference page are generated from it.

use crate::named::named_enum;

/// The side at fault for an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The client that sent the request.
    Client,
    /// The telephone carrier.
    Carrier,
    /// The AI agent or its provider.
    Agent,
    /// This server.
    Server,
}

macro_rules! error_codes {
    ($($variant:ident = $name:literal, $status:literal, $fault:ident, retry: $retry:literal, $cause:literal, $remedy:literal;)+) => {
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

            /// The side at fault.
            pub const fn fault(self) -> Fault {
                match self { $(ErrorCode::$variant => Fault::$fault,)+ }
            }

            /// Whether the same request can succeed later, unchanged.
            pub const fn retry(self) -> bool {
                match self { $(ErrorCode::$variant => $retry,)+ }
            }

            /// The cause, for the reference page.
            pub const fn cause(self) -> &'static str {
                match self { $(ErrorCode::$variant => $cause,)+ }
            }

            /// The remedy, for the reference page.
            pub const fn remedy(self) -> &'static str {
                match self { $(ErrorCode::$variant => $remedy,)+ }
            }
        }
    };
}

error_codes! {
    HttpsRequired = "HTTPS_REQUIRED", 400, Client, retry: false,
        "The request came over plain HTTP.",
        "Use an https:// URL. Treat a key that was sent in cleartext as leaked, and revoke it.";
    MalformedRequest = "MALFORMED_REQUEST", 400, Client, retry: false,
        "The request is not well-formed HTTP.",
        "Use an HTTP library; if you already do, report the request id. Behind a proxy, see that it sets one family of forwarding headers.";
    InvalidJson = "INVALID_JSON", 400, Client, retry: false,
        "The body is not well-formed JSON, or a member occurs twice.",
        "Send one JSON object, encoded as UTF-8, without duplicate members.";
    InvalidParams = "INVALID_PARAMS", 400, Client, retry: false,
        "A parameter or member is unknown, has the wrong type or is out of range.",
        "Correct the members named in `details`.";
    MissingRequired = "MISSING_REQUIRED", 400, Client, retry: false,
        "A required member is missing.",
        "Add the member named in the message.";
    MissingApiKey = "MISSING_API_KEY", 401, Client, retry: false,
        "The request has no Authorization header.",
        "Send `Authorization: Bearer sk_live_…`. A key in another header, such as `X-API-Key`, in the query or in the body is never read.";
    InvalidApiKey = "INVALID_API_KEY", 401, Client, retry: false,
        "The key is malformed, unknown, paused, revoked or expired; the response does not say which.",
        "Check the key for typing errors, and that it is neither paused, revoked nor expired. Send it as `Authorization: Bearer sk_live_…`, in one header; the scheme `Basic` is not accepted.";
    InvalidSignature = "INVALID_SIGNATURE", 401, Client, retry: false,
        "The list of leaked secrets is not signed by a configured signing key.",
        "Compare `leaks.signing_keys_file` with the partner's published keys.";
    InsufficientScope = "INSUFFICIENT_SCOPE", 403, Client, retry: false,
        "The key is valid but lacks the scope named in `required_scope`, or it is limited to trunks and the request is about more than those.",
        "Use a key that has this scope, or add the scope to the key. For the whole account, use a key without `trunk_ids`.";
    IpNotAllowed = "IP_NOT_ALLOWED", 403, Client, retry: false,
        "The key is not allowed from this address.",
        "Send the request from an address in the key's `allowed_ips`, or extend the list.";
    CorsNotSupported = "CORS_NOT_SUPPORTED", 403, Client, retry: false,
        "A web page of another origin tried to call the API, and its browser asked for permission (a CORS preflight).",
        "Call the API from a server. A key in a web page can be read by everyone who visits it.";
    NotFound = "NOT_FOUND", 404, Client, retry: false,
        "The path does not exist.",
        "Compare the path with the API reference.";
    AccountNotFound = "ACCOUNT_NOT_FOUND", 404, Client, retry: false,
        "No account has this id.",
        "List the accounts to find the right id.";
    TrunkNotFound = "TRUNK_NOT_FOUND", 404, Client, retry: false,
        "The account has no trunk with this id.",
        "List the trunks to find the right id.";
    CallNotFound = "CALL_NOT_FOUND", 404, Client, retry: false,
        "The account has no call with this id.",
        "List the calls to find the right id.";
    KeyNotFound = "KEY_NOT_FOUND", 404, Client, retry: false,
        "The account has no API key with this id.",
        "List the keys to find the right id.";
    SecretNotFound = "SECRET_NOT_FOUND", 404, Client, retry: false,
        "The API key has no secret with this id.",
        "Show the key to find the ids of its secrets.";
    PresetNotFound = "PRESET_NOT_FOUND", 404, Client, retry: false,
        "No preset has this name.",
        "List the presets to find their names.";
    AlertNotFound = "ALERT_NOT_FOUND", 404, Client, retry: false,
        "The account has no alert with this id.",
        "List the alerts to find the right id.";
    WebhookNotFound = "WEBHOOK_NOT_FOUND", 404, Client, retry: false,
        "The account has no webhook endpoint with this id.",
        "List the endpoints to find the right id.";
    DeliveryNotFound = "DELIVERY_NOT_FOUND", 404, Client, retry: false,
        "The account has no delivery with this id, or the delivery is older than 30 days.",
        "List the deliveries of the endpoint to find the right id.";
    MethodNotAllowed = "METHOD_NOT_ALLOWED", 405, Client, retry: false,
        "The path exists but does not support this method.",
        "Use one of the methods in the Allow header.";
    RequestTimeout = "REQUEST_TIMEOUT", 408, Client, retry: true,
        "The request was not received completely in time.",
        "Retry, over a faster connection if it happens again.";
    SipUsernameTaken = "SIP_USERNAME_TAKEN", 409, Client, retry: false,
        "Another trunk on this server has this SIP username. Usernames are compared without case.",
        "Choose another `sip_username`.";
    CallNotLive = "CALL_NOT_LIVE", 409, Client, retry: false,
        "The call has already ended.",
        "No action is needed.";
    CallIsLive = "CALL_IS_LIVE", 409, Client, retry: true,
        "The call is live. Its record is still being written.",
        "Hang up the call, or wait until it ends, and try again.";
    SecretIsCurrent = "SECRET_IS_CURRENT", 409, Client, retry: false,
        "The secret is the key's current one; without it the key could not be used.",
        "To replace the secret immediately, rotate the key with `grace_seconds` 0; or revoke the key.";
    TooManySecrets = "TOO_MANY_SECRETS", 409, Client, retry: true,
        "The key or webhook endpoint already has 5 active secrets, which is the limit.",
        "Wait until an old secret expires, revoke one (API keys only), or rotate with `grace_seconds` 0.";
    TooManyKeys = "TOO_MANY_KEYS", 409, Client, retry: false,
        "The account has too many keys to rotate in one request.",
        "Revoke unused keys, or rotate the keys one at a time.";
    IdempotencyKeyInUse = "IDEMPOTENCY_KEY_IN_USE", 409, Client, retry: true,
        "The first request with this Idempotency-Key is still running.",
        "Retry the same request after a short wait.";
    IdempotencyResponseLost = "IDEMPOTENCY_RESPONSE_LOST", 409, Client, retry: false,
        "The first request with this Idempotency-Key was executed, but its response is no longer available.",
        "Look up the resource named in the message; the request was executed only once. If you never received a secret, rotate it.";
    LimitReached = "LIMIT_REACHED", 409, Client, retry: false,
        "The account or the server already stores the maximum that the message names, such as API keys or trunks per account.",
        "Delete or revoke what is no longer used. The operator of the server can raise most limits (`limits.account_…`).";
    WebhookDisabled = "WEBHOOK_DISABLED", 409, Client, retry: false,
        "The webhook endpoint is disabled, so nothing is sent to it.",
        "Enable it with `PATCH /v1/webhooks/{id}` and `{\"status\": \"active\"}`, then retry.";
    KeyringConflict = "KEYRING_CONFLICT", 409, Client, retry: false,
        "The master keys cannot be changed like this now; the message says why. Only local administration changes them.",
        "Do what the message says, then run the command again; `telepath keyring status` shows the master keys.";
    BodyTooLarge = "BODY_TOO_LARGE", 413, Client, retry: false,
        "The body is larger than 64 KiB.",
        "Send a smaller body.";
    UnsupportedMediaType = "UNSUPPORTED_MEDIA_TYPE", 415, Client, retry: false,
        "The body is not declared as JSON.",
        "Send `Content-Type: application/json`.";
    IdempotencyKeyReused = "IDEMPOTENCY_KEY_REUSED", 422, Client, retry: false,
        "A different request used this Idempotency-Key within the last 24 hours.",
        "Use a new Idempotency-Key for each request; reuse one only to retry the same request.";
    HeadersTooLarge = "HEADERS_TOO_LARGE", 431, Client, retry: false,
        "The request line and headers are too large (up to 32 KiB are always accepted), or the request has more than 100 headers.",
        "Send fewer or smaller headers, and a shorter URL.";
    RateLimitExceeded = "RATE_LIMIT_EXCEEDED", 429, Client, retry: true,
        "The key has used all requests of the current rate-limit window.",
        "Wait until the time in `X-RateLimit-Reset`, then retry.";
    QuotaExceeded = "QUOTA_EXCEEDED", 429, Client, retry: false,
        "The key has used all requests of its quota for this calendar day or month (UTC).",
        "Wait until the time in `X-RateLimit-Reset`, or raise the key's `quotas`.";
    Internal = "INTERNAL", 500, Server, retry: true,
        "The server failed unexpectedly.",
        "Retry; if the error persists, report the request id.";
    Unavailable = "UNAVAILABLE", 503, Server, retry: true,
        "The server cannot handle requests now: storage is unavailable, or the server is shutting down.",
        "Retry after the number of seconds in `Retry-After`.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_upper_snake_case_and_4xx_codes_are_client_faults() {
        let mut names: Vec<_> = ErrorCode::ALL.iter().map(|code| code.name()).collect();
        assert!(names.iter().all(|name| name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ErrorCode::ALL.len());
        for code in ErrorCode::ALL {
            assert_eq!(code.status() < 500, code.fault() == Fault::Client, "{code}");
            assert!(!code.cause().is_empty() && !code.remedy().is_empty());
        }
    }
}

//! Idempotent requests: the form of an `Idempotency-Key`, the hash that identifies a request, the stored part of a response, and
//! the decision about a request whose key was used before.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use serde_json::Value;

use crate::clock::Timestamp;
use crate::secret::contains_key;
use crate::validation::MUST_NOT_CONTAIN_KEY;

/// How long a response is kept.
pub const KEPT_FOR: Duration = Duration::from_hours(24);
/// The largest response body that is kept, in bytes: that of the most keys that are rotated together.
pub const MAX_STORED_BODY: usize = 32 * 1024 * 1024;
/// The largest body of every other response, in bytes.
pub const MAX_USUAL_BODY: usize = 64 * 1024;
/// An attempt that takes longer is treated as aborted. The request timeout is shorter.
pub const ATTEMPT_WITHIN: Duration = Duration::from_mins(1);

/// The longest key.
const MAX_KEY: usize = 255;
/// Response members that are shown once and never kept.
const SHOWN_ONCE: [&str; 4] = ["secret", "sip_password", "signing_secret", "password_code"];
/// Members whose content is the caller's own, with names of the caller's choice. No secret of ours can be in it.
const OF_THE_CALLER: [&str; 1] = ["metadata"];
/// The member that replaces them.
const WITHHELD: &str = "secret_withheld";

/// SHA-256 of the `Idempotency-Key` header. The text itself is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdempotencyKey([u8; 32]);

/// The text cannot be an `Idempotency-Key`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIdempotencyKey {
    /// It is too long, or has other characters.
    #[error("must be 1 to {MAX_KEY} visible ASCII characters")]
    Form,
    /// It contains an API key.
    #[error("{MUST_NOT_CONTAIN_KEY}")]
    ApiKey,
}

impl IdempotencyKey {
    /// Checks what a caller sent.
    pub fn parse(text: &[u8]) -> Result<Self, InvalidIdempotencyKey> {
        let fits = (1..=MAX_KEY).contains(&text.len()) && text.iter().all(u8::is_ascii_graphic);
        if !fits {
            return Err(InvalidIdempotencyKey::Form);
        }
        if contains_key(text) { Err(InvalidIdempotencyKey::ApiKey) } else { Ok(Self(sha256(&[text]))) }
    }

    /// The hash, for storage.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// SHA-256 over the method, path and body of a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestHash([u8; 32]);

impl RequestHash {
    /// Of a request.
    pub fn of(method: &str, path: &str, body: &[u8]) -> Self {
        Self(sha256(&[method.as_bytes(), path.as_bytes(), body]))
    }

    /// From storage.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// For storage.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for RequestHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestHash(…)")
    }
}

/// Each part is preceded by its length, so that no two lists of parts have the same input.
fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// A response as it is stored and replayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredResponse {
    /// The HTTP status.
    pub status: u16,
    /// The header `Location`.
    pub location: Option<String>,
    /// The JSON text without the members that are shown once; empty without a body.
    pub body: String,
}

impl StoredResponse {
    /// The part of a response that is kept; `None` if the body is too large or not JSON.
    pub fn of(status: u16, location: Option<String>, body: &[u8]) -> Option<Self> {
        if body.is_empty() {
            return Some(Self { status, location, body: String::new() });
        }
        if body.len() > MAX_STORED_BODY {
            return None;
        }
        let mut body: Value = serde_json::from_slice(body).ok()?;
        withhold(&mut body);
        Some(Self { status, location, body: body.to_string() })
    }
}

/// Removes the members that are shown once and marks the removal.
fn withhold(value: &mut Value) {
    match value {
        Value::Object(members) => {
            let before = members.len();
            members.retain(|name, _| !SHOWN_ONCE.contains(&name.as_str()));
            if members.len() < before {
                members.insert(WITHHELD.to_owned(), true.into());
            }
            let ours = members.iter_mut().filter(|(name, _)| !OF_THE_CALLER.contains(&name.as_str()));
            ours.for_each(|(_, value)| withhold(value));
        }
        Value::Array(items) => items.iter_mut().for_each(withhold),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The progress of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// It has not ended, as far as is known.
    Running,
    /// It ended with this response.
    Done(StoredResponse),
    /// It was executed, but its response is not available.
    Lost,
}

/// An earlier attempt with the same key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyAttempt {
    /// The hash of its request.
    pub request: RequestHash,
    /// When it began.
    pub since: Timestamp,
    /// Its progress.
    pub progress: Progress,
    /// The resource that it changed, if any.
    pub target: Option<String>,
    /// Whether the node that ran it is certainly gone.
    pub orphaned: bool,
}

/// The decision about an attempt whose key was used by an earlier one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimDecision {
    /// Replay the response of the earlier one.
    Replay(StoredResponse),
    /// The earlier one was a different request.
    Reused,
    /// The earlier one is still running.
    InUse,
    /// The earlier one was executed on this resource, but its response is not known.
    Lost(Option<String>),
    /// The earlier one aborted before any change, so this one may run.
    TakeOver,
}

impl IdempotencyAttempt {
    /// Decides about a new attempt with the same key.
    pub fn decide(self, request: RequestHash, now: Timestamp) -> ClaimDecision {
        if self.request != request {
            return ClaimDecision::Reused;
        }
        // An attempt from beyond the horizon has an unknown age. If it still runs, it cannot change anything once the key is
        // taken over.
        let beyond = self.since > now.horizon(Duration::ZERO);
        let over = self.orphaned || beyond || now.since(self.since) >= ATTEMPT_WITHIN;
        match (self.progress, self.target) {
            (Progress::Done(answer), _) => ClaimDecision::Replay(answer),
            (Progress::Lost, target) => ClaimDecision::Lost(target),
            (Progress::Running, Some(target)) if over => ClaimDecision::Lost(Some(target)),
            (Progress::Running, None) if over => ClaimDecision::TakeOver,
            (Progress::Running, _) => ClaimDecision::InUse,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_visible_ascii_of_bounded_length() {
        let parse = |text: &str| IdempotencyKey::parse(text.as_bytes());
        assert!(parse("a").is_ok() && parse(&"~".repeat(255)).is_ok());
        for bad in ["", &"x".repeat(256), "two words", "tab\t", "é", "\u{7f}"] {
            assert_eq!(parse(bad), Err(InvalidIdempotencyKey::Form), "{bad:?}");
        }
        assert_ne!(parse("a"), parse("b"));
    }

    #[test]
    fn the_request_hash_covers_every_part_of_the_request() {
        let base = RequestHash::of("POST", "/v1/keys", b"{}");
        assert_eq!(base, RequestHash::of("POST", "/v1/keys", b"{}"));
        for other in [
            RequestHash::of("PUT", "/v1/keys", b"{}"),
            RequestHash::of("POST", "/v1/key", b"s{}"),
            RequestHash::of("POST", "/v1/keys", b"{ }"),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn members_shown_once_are_withheld_and_marked_but_not_pairs_of_the_caller() {
        let body = br#"{"id":"a","secret":"sk_live_x","keys":[{"sip_password":"p","n":1},{"n":2}],
            "metadata":{"secret":"blue","sip_password":"see vault"}}"#;
        let kept = StoredResponse::of(201, None, body).unwrap();
        let kept: Value = serde_json::from_str(&kept.body).unwrap();
        let expected = serde_json::json!({"id": "a", "secret_withheld": true,
            "keys": [{"n": 1, "secret_withheld": true}, {"n": 2}],
            "metadata": {"secret": "blue", "sip_password": "see vault"}});
        assert_eq!(kept, expected);
        assert_eq!(StoredResponse::of(204, None, b"").unwrap().body, "");
        assert_eq!(StoredResponse::of(200, None, b"no JSON"), None);
        let large = format!("\"{}\"", "x".repeat(MAX_STORED_BODY));
        assert_eq!(StoredResponse::of(200, None, large.as_bytes()), None);
    }

    #[test]
    fn only_an_attempt_without_effect_is_taken_over() {
        const START: Timestamp = Timestamp::from_unix_seconds(1_000);
        let request = RequestHash::of("POST", "/", b"");
        let attempt = |progress, target: Option<&str>, orphaned| IdempotencyAttempt {
            request,
            since: START,
            progress,
            target: target.map(str::to_owned),
            orphaned,
        };
        let answer = StoredResponse { status: 200, location: None, body: String::new() };
        let late = START.plus(ATTEMPT_WITHIN);
        let soon = late.minus(Duration::from_millis(1));
        let running =
            |target, orphaned, now| attempt(Progress::Running, target, orphaned).decide(request, now);
        assert_eq!(running(None, false, soon), ClaimDecision::InUse);
        assert_eq!(running(Some("key_1"), false, soon), ClaimDecision::InUse);
        assert_eq!(
            running(None, false, START.minus(ATTEMPT_WITHIN)),
            ClaimDecision::InUse,
            "a clock set back"
        );
        let before = START.minus(ATTEMPT_WITHIN).minus(Duration::from_millis(1));
        assert_eq!(running(None, false, before), ClaimDecision::TakeOver, "a clock that was far ahead");
        assert_eq!(running(None, false, late), ClaimDecision::TakeOver);
        assert_eq!(running(None, true, soon), ClaimDecision::TakeOver);
        let lost = ClaimDecision::Lost(Some("key_1".to_owned()));
        assert_eq!(running(Some("key_1"), false, late), lost);
        assert_eq!(running(Some("key_1"), true, soon), lost);
        assert_eq!(attempt(Progress::Lost, None, false).decide(request, soon), ClaimDecision::Lost(None));
        let done = attempt(Progress::Done(answer.clone()), Some("key_1"), true);
        assert_eq!(done.clone().decide(request, late), ClaimDecision::Replay(answer));
        assert_eq!(done.decide(RequestHash::of("POST", "/", b"other"), late), ClaimDecision::Reused);
    }
}

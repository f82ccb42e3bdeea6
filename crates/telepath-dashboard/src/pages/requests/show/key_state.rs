//! The state of a key when a request arrived, and now. What was changed and changed back in between is not known.

use telepath_core::clock::Timestamp;
use telepath_core::key::{KeyRecord, KeyStatus};
use telepath_core::request::RequestRecord;

/// The state of the key of a request, then and now.
pub(super) struct KeyStates {
    pub(super) then: &'static str,
    pub(super) now: &'static str,
    /// Which of its secrets was used, in words.
    pub(super) secret: Option<String>,
}

impl KeyStates {
    pub(super) fn of(key: &KeyRecord, request: &RequestRecord, now: Timestamp) -> Self {
        Self {
            then: word(status_at(key, request.facts.at)),
            now: word(key.status(now)),
            secret: secret(key, request, now),
        }
    }
}

/// The state of a key at an earlier moment: a revocation or a pause that came later did not count yet.
fn status_at(key: &KeyRecord, at: Timestamp) -> KeyStatus {
    let mut earlier = key.clone();
    earlier.revocation = earlier.revocation.filter(|revocation| revocation.at <= at);
    earlier.paused_at = earlier.paused_at.filter(|paused| *paused <= at);
    earlier.status(at)
}

fn secret(key: &KeyRecord, request: &RequestRecord, now: Timestamp) -> Option<String> {
    let place = key.secrets.iter().position(|secret| Some(secret.id) == request.secret_id)?;
    let secret = key.secrets.get(place)?;
    let state = match secret.expires_at {
        _ if place == 0 => "the current one",
        Some(end) if end <= request.facts.at => "one that had expired",
        Some(end) if end <= now => "a previous one, which has expired since",
        Some(_) | None => "a previous one",
    };
    Some(format!("{}, {state}", secret.mask.as_str()))
}

const fn word(status: KeyStatus) -> &'static str {
    match status {
        KeyStatus::Scheduled => "Not valid yet",
        KeyStatus::Active => "Active",
        KeyStatus::Paused => "Paused",
        KeyStatus::Expiring => "Active, expiring soon",
        KeyStatus::Expired => "Expired",
        KeyStatus::Revoked => "Revoked",
    }
}

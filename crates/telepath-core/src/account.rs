//! Accounts own keys, trunks and calls; nothing is ever seen across accounts. Users are the people of an account.

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::clock::Timestamp;
use crate::id::{AccountId, KeyId, UserId};
use crate::limit::RateLimit;
use crate::patch::Patch;
use crate::secret::KeyMode;
use crate::validation::{Invalid, checked_name};

/// The highest limit that a key of a new account may be given, in requests per minute.
pub const DEFAULT_MAX_RATE_LIMIT: u32 = 60_000;

/// The most accounts of one installation.
pub const MAX_ACCOUNTS: u32 = 1000;

/// The longest lifetime that the policy for keys can set, in days.
pub const MAX_KEY_LIFETIME_DAYS: u32 = 3650;

/// The header by which local administration chooses an account. Requests with a key cannot choose.
pub const ACCOUNT_HEADER: &str = "telepath-account";

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub id: AccountId,
    pub name: String,
    /// Whether the secrets of its keys begin with `sk_live_` or `sk_test_`.
    pub mode: KeyMode,
    /// No key of the account can have a higher limit.
    pub max_rate_limit: RateLimit,
    /// Whether a key that was received over plain HTTP is revoked at once.
    pub revoke_keys_seen_in_clear: bool,
    /// The longest time from now until a new or changed key expires, in days.
    pub max_key_lifetime_days: Option<u32>,
    /// Whether every new or changed key must expire.
    pub keys_must_expire: bool,
    pub created_at: Timestamp,
}

impl Account {
    /// Checks the expiry of a key that is created, changed or rotated at `now` against the policies of the account.
    ///
    /// # Errors
    /// What `expires_at` must be.
    pub fn check_expiry(&self, expires_at: Option<Timestamp>, now: Timestamp) -> Result<(), Invalid> {
        let latest =
            self.max_key_lifetime_days.map(|days| now.plus(Duration::from_hours(u64::from(days) * 24)));
        match (expires_at, latest) {
            (Some(end), Some(latest)) if end > latest => Err(Invalid::one(
                "expires_at",
                format!("must not be after {latest}: the account limits the lifetime of keys"),
            )),
            (None, Some(latest)) => Err(Invalid::one(
                "expires_at",
                format!("must be set, and not after {latest}: the account limits the lifetime of keys"),
            )),
            (None, None) if self.keys_must_expire => {
                Err(Invalid::one("expires_at", "must be set: the account requires that keys expire"))
            }
            (Some(_) | None, None) | (Some(_), Some(_)) => Ok(()),
        }
    }
}

/// A request to create an account, as received.
#[derive(Debug, Default)]
pub struct AccountDraft {
    /// The name, 1–100 characters.
    pub name: Option<String>,
    /// `live` (the default) or `test`.
    pub mode: Option<String>,
    /// The highest limit of its keys, in requests per minute; 60000 if left out.
    pub max_rate_limit_per_minute: Option<u32>,
}

/// A checked request to create an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAccount {
    pub name: String,
    pub mode: KeyMode,
    pub max_rate_limit: RateLimit,
}

impl AccountDraft {
    /// Checks the draft.
    ///
    /// # Errors
    /// Every missing or invalid member.
    pub fn check(self) -> Result<NewAccount, Invalid> {
        let mut problems = Invalid::default();
        let name = problems.require("name", self.name, checked_name);
        let mode = problems.keep("mode", self.mode.map_or(Ok(KeyMode::Live), |mode| parse_mode(&mode)));
        let requests = self.max_rate_limit_per_minute.unwrap_or(DEFAULT_MAX_RATE_LIMIT);
        let max_rate_limit = problems.keep("max_rate_limit_per_minute", parse_limit(requests));
        match (name, mode, max_rate_limit) {
            (Some(name), Some(mode), Some(max_rate_limit)) => Ok(NewAccount { name, mode, max_rate_limit }),
            _ => Err(problems),
        }
    }
}

/// A request to change the caller's own account. Members that are left out keep their value.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct AccountPatchDraft {
    /// The name, 1–100 characters.
    pub name: Option<String>,
    /// Whether a key that was received over plain HTTP is revoked at once.
    pub revoke_keys_seen_in_clear: Option<bool>,
    /// The longest time from now until a new or changed key expires, 1–3650 days; null means no limit.
    pub max_key_lifetime_days: Patch<u32>,
    /// Whether every new or changed key must expire.
    pub keys_must_expire: Option<bool>,
}

/// A request of local administration to change an account, as received; members left out stay as they are.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct AccountAdminDraft {
    /// The name, 1–100 characters.
    pub name: Option<String>,
    /// `live` or `test`; can change only while the account has no key that is not revoked.
    pub mode: Option<String>,
    /// The highest limit of its keys, in requests per minute; not below the limit of a key that is not revoked.
    pub max_rate_limit_per_minute: Option<u32>,
}

/// A checked change of an account.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccountPatch {
    pub name: Option<String>,
    pub revoke_keys_seen_in_clear: Option<bool>,
    pub max_key_lifetime_days: Patch<u32>,
    pub keys_must_expire: Option<bool>,
    pub mode: Option<KeyMode>,
    pub max_rate_limit: Option<RateLimit>,
}

impl AccountPatchDraft {
    /// Checks the change.
    ///
    /// # Errors
    /// Every invalid member.
    pub fn check(self) -> Result<AccountPatch, Invalid> {
        let mut problems = Invalid::default();
        let name = problems.optional("name", self.name, checked_name);
        let lifetime = self.max_key_lifetime_days.try_map(|days| {
            if (1..=MAX_KEY_LIFETIME_DAYS).contains(&days) { Ok(days) } else { Err("must be 1 to 3650 days") }
        });
        let patch = AccountPatch {
            name,
            revoke_keys_seen_in_clear: self.revoke_keys_seen_in_clear,
            max_key_lifetime_days: problems.keep("max_key_lifetime_days", lifetime).unwrap_or_default(),
            keys_must_expire: self.keys_must_expire,
            ..AccountPatch::default()
        };
        if problems.is_empty() { Ok(patch) } else { Err(problems) }
    }
}

impl AccountAdminDraft {
    /// Checks the change.
    ///
    /// # Errors
    /// Every invalid member.
    pub fn check(self) -> Result<AccountPatch, Invalid> {
        let mut problems = Invalid::default();
        let patch = AccountPatch {
            name: problems.optional("name", self.name, checked_name),
            mode: problems.optional("mode", self.mode, |mode| parse_mode(&mode)),
            max_rate_limit: problems.optional(
                "max_rate_limit_per_minute",
                self.max_rate_limit_per_minute,
                parse_limit,
            ),
            ..AccountPatch::default()
        };
        if problems.is_empty() { Ok(patch) } else { Err(problems) }
    }
}

fn parse_mode(name: &str) -> Result<KeyMode, &'static str> {
    KeyMode::from_name(name).ok_or("must be live or test")
}

fn parse_limit(requests: u32) -> Result<RateLimit, &'static str> {
    RateLimit::per_minute(requests).ok_or("must be at least 1")
}

/// The actor of a change, as recorded in the audit trail and in `created_by`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// A caller of the API.
    Key(KeyId),
    /// A person in the dashboard.
    User(UserId),
    /// A command with access to the data directory; written as `local` or `local:UID`.
    Local {
        /// The user id of the calling process, if the operating system reports it.
        uid: Option<u32>,
    },
    /// The server itself.
    System,
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Actor::Key(id) => write!(f, "{id}"),
            Actor::User(id) => write!(f, "{id}"),
            Actor::Local { uid: None } => f.write_str("local"),
            Actor::Local { uid: Some(uid) } => write!(f, "local:{uid}"),
            Actor::System => f.write_str("system"),
        }
    }
}

impl Serialize for Actor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The text names no kind of actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an actor")]
pub struct InvalidActor;

impl std::str::FromStr for Actor {
    type Err = InvalidActor;

    fn from_str(text: &str) -> Result<Self, InvalidActor> {
        match text {
            "local" => Ok(Actor::Local { uid: None }),
            "system" => Ok(Actor::System),
            _ => {
                let uid = text.strip_prefix("local:").and_then(|uid| uid.parse().ok());
                uid.map(|uid| Actor::Local { uid: Some(uid) })
                    .or_else(|| text.parse().map(Actor::Key).ok())
                    .or_else(|| text.parse().map(Actor::User).ok())
                    .ok_or(InvalidActor)
            }
        }
    }
}

/// A live account without policies.
#[cfg(test)]
pub(crate) fn sample() -> Account {
    Account {
        id: <AccountId as crate::id::Id>::from_bytes([1; 16]),
        name: "Account".into(),
        mode: KeyMode::Live,
        max_rate_limit: RateLimit::per_minute(6000).unwrap(),
        revoke_keys_seen_in_clear: false,
        max_key_lifetime_days: None,
        keys_must_expire: false,
        created_at: Timestamp::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id as _;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

    fn account(max_key_lifetime_days: Option<u32>, keys_must_expire: bool) -> Account {
        Account { max_key_lifetime_days, keys_must_expire, ..sample() }
    }

    #[test]
    fn expiry_is_checked_against_both_policies() {
        let days = |days: u64| Some(NOW.plus(Duration::from_hours(24 * days)));
        for (lifetime, must_expire, expires_at, is_allowed) in [
            (None, false, None, true),
            (None, false, days(9999), true),
            (None, true, None, false),
            (None, true, days(9999), true),
            (Some(90), false, None, false),
            (Some(90), false, days(90), true),
            (Some(90), false, days(91), false),
            (Some(90), true, days(1), true),
        ] {
            let checked = account(lifetime, must_expire).check_expiry(expires_at, NOW);
            assert_eq!(checked.is_ok(), is_allowed, "{lifetime:?} {must_expire} {expires_at:?}");
        }
    }

    #[test]
    fn actors_round_trip_through_text() {
        let key = Actor::Key(KeyId::from_bytes([2; 16]));
        let user = Actor::User(UserId::from_bytes([3; 16]));
        let local = [None, Some(0), Some(1000)].map(|uid| Actor::Local { uid });
        for actor in [key, user, Actor::System].into_iter().chain(local) {
            assert_eq!(actor.to_string().parse(), Ok(actor));
        }
        for text in ["", "local:", "local:-1", "local:x", "root"] {
            assert_eq!(text.parse::<Actor>(), Err(InvalidActor), "{text}");
        }
    }

    #[test]
    fn own_policies_and_administration_are_separate_requests() {
        let own = |json| serde_json::from_str::<AccountPatchDraft>(json);
        assert!(own(r#"{"mode":"test"}"#).is_err());
        assert!(own(r#"{"max_rate_limit_per_minute":1}"#).is_err());
        let patch = own(r#"{"max_key_lifetime_days":90,"keys_must_expire":true}"#).unwrap().check().unwrap();
        assert_eq!((patch.max_key_lifetime_days, patch.keys_must_expire), (Patch::Set(90), Some(true)));
        assert!(own(r#"{"max_key_lifetime_days":0}"#).unwrap().check().is_err());
        let admin = |json| serde_json::from_str::<AccountAdminDraft>(json);
        assert!(admin(r#"{"keys_must_expire":true}"#).is_err());
        assert_eq!(admin(r#"{"mode":"test"}"#).unwrap().check().unwrap().mode, Some(KeyMode::Test));
        assert!(admin(r#"{"mode":"demo"}"#).unwrap().check().is_err());
    }
}

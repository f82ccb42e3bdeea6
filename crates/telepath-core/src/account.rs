//! Accounts own keys, trunks and calls; nothing is ever seen across accounts. Users are the people of an account.

use serde::{Serialize, Serializer};

use crate::clock::Timestamp;
use crate::id::{AccountId, KeyId, UserId};
use crate::limit::RateLimit;
use crate::secret::KeyMode;
use crate::validation::{Invalid, bounded_text};

/// The highest limit that a key of a new account may be given, in requests per minute.
pub const DEFAULT_MAX_RATE_LIMIT: u32 = 60_000;

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// What people call it.
    pub name: String,
    /// Whether its keys are `sk_live_` or `sk_test_`.
    pub mode: KeyMode,
    /// No key of the account may have a higher limit.
    pub max_rate_limit: RateLimit,
    /// Whether a key that was seen in clear is revoked at once.
    pub revoke_keys_seen_in_clear: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A request to change an account. Members that are left out keep their value.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct AccountPatchDraft {
    /// What people call it, 1–100 characters.
    pub name: Option<String>,
    /// Whether a key that was sent over plain HTTP is revoked at once.
    pub revoke_keys_seen_in_clear: Option<bool>,
}

/// A checked change of an account.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccountPatch {
    /// The new name.
    pub name: Option<String>,
    /// The new policy for keys seen in clear.
    pub revoke_keys_seen_in_clear: Option<bool>,
}

impl AccountPatchDraft {
    /// Checks the change.
    pub fn check(self) -> Result<AccountPatch, Invalid> {
        let mut problems = Invalid::default();
        let name = problems.optional("name", self.name, |name| bounded_text(name, 1, 100, &[]));
        if problems.is_empty() {
            Ok(AccountPatch { name, revoke_keys_seen_in_clear: self.revoke_keys_seen_in_clear })
        } else {
            Err(problems)
        }
    }
}

/// Who did something, as it stands in the audit trail and in `created_by`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// A caller of the API.
    Key(KeyId),
    /// A person in the dashboard.
    User(UserId),
    /// Whoever runs the command line with access to the data folder.
    Local,
    /// The server itself.
    System,
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Actor::Key(id) => write!(f, "{id}"),
            Actor::User(id) => write!(f, "{id}"),
            Actor::Local => f.write_str("local"),
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
            "local" => Ok(Actor::Local),
            "system" => Ok(Actor::System),
            _ => text
                .parse()
                .map(Actor::Key)
                .or_else(|_| text.parse().map(Actor::User))
                .map_err(|_| InvalidActor),
        }
    }
}

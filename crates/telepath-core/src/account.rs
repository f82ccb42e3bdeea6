//! Accounts own keys, trunks and calls; nothing is ever seen across accounts. Users are the people of an account.

use crate::clock::Timestamp;
use crate::id::{AccountId, KeyId, UserId};
use crate::limit::RateLimit;
use crate::secret::KeyMode;

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
    /// When it was made.
    pub created_at: Timestamp,
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

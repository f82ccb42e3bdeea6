//! Who sends a request, as every application that serves requests names it: the API, and the pages for users.
//!
//! A principal is who somebody is. What they may grant is an [`Authority`](crate::key::Authority), which the store reads
//! in the transaction of a change; what a change records of them is an [`Actor`].

use std::net::IpAddr;

use crate::account::Actor;
use crate::audit::Origin;
use crate::clock::Timestamp;
use crate::id::{AccountId, KeyId, SessionId, UserId};
use crate::user::Role;

/// A user who is signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserSession {
    pub session: SessionId,
    pub user: UserId,
    /// The account that the session works on.
    pub account: AccountId,
    /// The role in that account when the session was looked up. A change reads it again in its transaction.
    pub role: Role,
}

/// Who sends a request. `K` is what the application holds of an API key: its id, or its entry in a table of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Principal<K = KeyId> {
    /// An API key that was admitted.
    ApiKey(K),
    /// A user with a session that has passed every factor.
    User(UserSession),
    /// Local administration: a process with access to the data folder.
    Local {
        /// The user id of the calling process, if the operating system reports it.
        uid: Option<u32>,
    },
    /// A client that has not proved who it is. It can change nothing in its own name.
    Anonymous,
}

/// What names an API key.
pub trait NamesKey {
    /// The id of the key.
    fn key_id(&self) -> KeyId;
}

impl NamesKey for KeyId {
    fn key_id(&self) -> KeyId {
        *self
    }
}

impl<K: NamesKey> Principal<K> {
    /// The actor of the principal's changes; `None` for an anonymous one, which makes none.
    pub fn actor(&self) -> Option<Actor> {
        match self {
            Principal::ApiKey(key) => Some(Actor::Key(key.key_id())),
            Principal::User(session) => Some(Actor::User(session.user)),
            Principal::Local { uid } => Some(Actor::Local { uid: *uid }),
            Principal::Anonymous => None,
        }
    }

    /// The origin of the principal's changes; `None` for an anonymous one.
    pub fn origin(&self, address: Option<IpAddr>, at: Timestamp) -> Option<Origin> {
        self.actor().map(|actor| Origin { actor, address, at, idempotency: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id as _;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

    #[test]
    fn the_actor_of_a_change_follows_from_the_principal() {
        let key = KeyId::from_bytes([1; 16]);
        let session = UserSession {
            session: SessionId::from_bytes([2; 16]),
            user: UserId::from_bytes([3; 16]),
            account: AccountId::from_bytes([4; 16]),
            role: Role::Developer,
        };
        let origin = |principal: Principal| principal.origin(None, NOW).map(|origin| origin.actor);
        assert_eq!(origin(Principal::ApiKey(key)), Some(Actor::Key(key)));
        assert_eq!(origin(Principal::User(session)), Some(Actor::User(session.user)));
        for uid in [None, Some(0), Some(1000)] {
            assert_eq!(origin(Principal::Local { uid }), Some(Actor::Local { uid }));
        }
    }

    #[test]
    fn an_anonymous_client_is_the_origin_of_no_change() {
        let anonymous: Principal = Principal::Anonymous;
        assert_eq!(anonymous.origin(Some("192.0.2.1".parse().unwrap()), NOW), None);
    }
}

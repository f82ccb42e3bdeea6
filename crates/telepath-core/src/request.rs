//! The request log: one entry for each answered request of a known key or user. Requests are encoded together into segments
//! that explain themselves ([`segment`]), so that an old log can be read by a newer program. What a caller sent is kept
//! only as short plain text that cannot hold a key ([`text`]).

pub mod export;
mod filter;
pub mod segment;
pub mod text;

use std::net::IpAddr;

pub use filter::{RequestFilter, StatusFilter};

use crate::clock::Timestamp;
use crate::error::ErrorCode;
use crate::id::{AccountId, KeyId, RequestId, SecretId, UserId};
use crate::named::named_enum;
use crate::secret::HashedKey;

named_enum! {
    /// The methods that the log distinguishes.
    /// Request log segments store a method as its position in this list, so new methods go to the end.
    pub enum RequestMethod {
        /// `GET`
        Get = "GET",
        /// `HEAD`
        Head = "HEAD",
        /// `POST`
        Post = "POST",
        /// `PUT`
        Put = "PUT",
        /// `PATCH`
        Patch = "PATCH",
        /// `DELETE`
        Delete = "DELETE",
        /// `OPTIONS`
        Options = "OPTIONS",
        /// Any other.
        Other = "other",
    }
}

impl RequestMethod {
    /// The method of a request.
    pub fn of(name: &str) -> Self {
        Self::from_name(name).unwrap_or(RequestMethod::Other)
    }
}

/// A prefix of a secret's hash, long enough to distinguish the secrets of a key and too short for any other use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretMark(pub [u8; 8]);

impl SecretMark {
    /// The mark of a secret.
    pub fn of(hash: &HashedKey) -> Self {
        Self(hash.index().to_le_bytes())
    }
}

/// The place of a route in the table with which storage was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteNumber(pub u16);

/// Who sent a request that is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RequestCaller {
    /// An API key, whether or not it is one that works.
    Key {
        key: KeyId,
        /// With which of its secrets.
        secret: SecretMark,
    },
    /// A user who is signed in.
    User(UserId),
}

impl RequestCaller {
    /// The key, if a key sent the request.
    pub const fn key(self) -> Option<KeyId> {
        match self {
            RequestCaller::Key { key, .. } => Some(key),
            RequestCaller::User(_) => None,
        }
    }

    /// The mark of the secret, if a key sent the request.
    pub const fn secret(self) -> Option<SecretMark> {
        match self {
            RequestCaller::Key { secret, .. } => Some(secret),
            RequestCaller::User(_) => None,
        }
    }

    /// The user, if a user sent the request.
    pub const fn user(self) -> Option<UserId> {
        match self {
            RequestCaller::Key { .. } => None,
            RequestCaller::User(user) => Some(user),
        }
    }
}

/// The facts of a request that have the same form in memory, in a segment and in responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestFacts {
    /// When the request arrived.
    pub at: Timestamp,
    /// Who sent it.
    pub caller: RequestCaller,
    /// How.
    pub method: RequestMethod,
    /// What it was answered.
    pub status: u16,
    /// The client address.
    pub address: IpAddr,
    /// From the head of the request to its answer.
    pub duration_us: u64,
    /// Whether the caller was let in; only then was a key used.
    pub admitted: bool,
}

/// A request that was just answered.
#[derive(Debug, Clone, Copy)]
pub struct Answered<'a> {
    /// The account of the key, or the one that the user works on.
    pub account: AccountId,
    /// The request id.
    pub id: RequestId,
    /// The facts that all forms of a request share.
    pub facts: RequestFacts,
    /// Its route, if it has one.
    pub route: Option<RouteNumber>,
    /// Why it was refused or failed.
    pub error: Option<ErrorCode>,
    /// The header `User-Agent` as it came.
    pub user_agent: &'a [u8],
    /// The path as it came; `None` when the route has only one.
    pub path: Option<&'a str>,
}

/// A request as the log shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRecord {
    /// The request id.
    pub id: RequestId,
    /// The facts that all forms of a request share.
    pub facts: RequestFacts,
    /// The secret that was used; `None` for a user, and for a secret that the key has no longer on record.
    pub secret_id: Option<SecretId>,
    /// The path of its route, with `{id}` for what differs.
    pub route: Option<String>,
    /// The path, sanitized.
    pub path: String,
    /// The name of the error that it was answered with.
    pub error: Option<String>,
    /// The `User-Agent` header, sanitized.
    pub user_agent: Option<String>,
}

//! What the request log learns of a request with a known key: whose it was, and what of its head is kept until it is
//! answered.

use std::net::IpAddr;
use std::time::Duration;

use axum::http::header::USER_AGENT;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Uri};
use telepath_core::clock::Timestamp;
use telepath_core::error::ErrorCode;
use telepath_core::id::{AccountId, KeyId, RequestId};
use telepath_core::request::{Answered, RequestFacts, RequestMethod, SecretMark};
use telepath_core::secret::HashedKey;
use telepath_store::KeyHandle;

use crate::routes::RouteMatch;

/// Whose request it was, for the log.
pub(super) struct Tally {
    account: AccountId,
    pub(super) key: KeyId,
    secret: SecretMark,
    address: IpAddr,
    /// Whether the key was one that works.
    admitted: bool,
}

impl Tally {
    pub(super) fn new(handle: &KeyHandle, hash: &HashedKey, address: IpAddr, admitted: bool) -> Self {
        let (account, key) = (handle.account_id(), handle.key_id());
        Self { account, key, secret: SecretMark::of(hash), address, admitted }
    }

    /// The request as the log takes it.
    pub(super) fn answered<'a>(&self, trace: &'a Trace, outcome: &Outcome) -> Answered<'a> {
        let facts = RequestFacts {
            at: outcome.at,
            key: self.key,
            secret: self.secret,
            method: trace.method,
            status: outcome.status,
            address: self.address,
            duration_us: u64::try_from(outcome.took.as_micros()).unwrap_or(u64::MAX),
            admitted: self.admitted,
        };
        Answered {
            account: self.account,
            id: outcome.id,
            facts,
            route: outcome.matched.number(),
            error: outcome.error,
            user_agent: trace.user_agent.as_ref().map_or(&[], HeaderValue::as_bytes),
            path: trace.uri.as_ref().map(Uri::path),
        }
    }
}

/// What became of a request.
pub(super) struct Outcome {
    pub(super) id: RequestId,
    pub(super) at: Timestamp,
    pub(super) matched: RouteMatch,
    pub(super) status: u16,
    pub(super) took: Duration,
    pub(super) error: Option<ErrorCode>,
}

/// What the log keeps of a request's head, beyond what the handler takes of it. Both share their bytes with the head.
pub(super) struct Trace {
    method: RequestMethod,
    /// When the route has more than one path, or there is no route.
    uri: Option<Uri>,
    user_agent: Option<HeaderValue>,
}

impl Trace {
    pub(super) fn of(parts: &Parts, matched: RouteMatch) -> Self {
        Self {
            method: RequestMethod::of(parts.method.as_str()),
            uri: (!matched.is_one_path()).then(|| parts.uri.clone()),
            user_agent: parts.headers.get(USER_AGENT).cloned(),
        }
    }
}

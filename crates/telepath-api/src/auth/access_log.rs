//! What the request log records about a request with a known key.

use std::net::IpAddr;
use std::time::Duration;

use axum::http::header::USER_AGENT;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Uri};
use telepath_core::clock::Timestamp;
use telepath_core::error::ErrorCode;
use telepath_core::id::{AccountId, RequestId};
use telepath_core::request::{Answered, RequestCaller, RequestFacts, RequestMethod, SecretMark};
use telepath_core::secret::HashedKey;
use telepath_store::KeyHandle;

use crate::routes::RouteMatch;

/// The part of a log entry that is known once the request is authenticated.
pub(crate) struct AccessLogEntry {
    account: AccountId,
    pub(crate) caller: RequestCaller,
    address: IpAddr,
    /// Whether the key was valid.
    admitted: bool,
}

impl AccessLogEntry {
    pub(crate) fn new(handle: &KeyHandle, hash: &HashedKey, address: IpAddr, admitted: bool) -> Self {
        let caller = RequestCaller::Key { key: handle.key_id(), secret: SecretMark::of(hash) };
        Self { account: handle.account_id(), caller, address, admitted }
    }

    /// Adds the response, which completes the entry.
    pub(crate) fn answered<'a>(&self, head: &'a RequestHead, summary: &ResponseSummary<'_>) -> Answered<'a> {
        let facts = RequestFacts {
            at: summary.at,
            caller: self.caller,
            method: head.method,
            status: summary.status,
            address: self.address,
            duration_us: u64::try_from(summary.took.as_micros()).unwrap_or(u64::MAX),
            admitted: self.admitted,
        };
        Answered {
            account: self.account,
            id: summary.id,
            facts,
            route: summary.matched.number(),
            error: summary.error,
            user_agent: head.user_agent.as_ref().map_or(&[], HeaderValue::as_bytes),
            path: head.uri.as_ref().map(Uri::path),
        }
    }
}

/// The part of a log entry that is known once the response is ready.
pub(crate) struct ResponseSummary<'r> {
    pub(crate) id: RequestId,
    pub(crate) at: Timestamp,
    pub(crate) matched: RouteMatch<'r>,
    pub(crate) status: u16,
    pub(crate) took: Duration,
    pub(crate) error: Option<ErrorCode>,
}

/// The part of a request's head that the log needs after the handler has consumed the request. It shares its bytes with
/// the head.
pub(crate) struct RequestHead {
    method: RequestMethod,
    /// Present when the route's template does not tell the path: it has parameters, or no route matched.
    uri: Option<Uri>,
    user_agent: Option<HeaderValue>,
}

impl RequestHead {
    pub(crate) fn of(parts: &Parts, matched: RouteMatch<'_>) -> Self {
        Self {
            method: RequestMethod::of(parts.method.as_str()),
            uri: (!matched.is_one_path()).then(|| parts.uri.clone()),
            user_agent: parts.headers.get(USER_AGENT).cloned(),
        }
    }
}

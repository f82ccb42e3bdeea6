//! Requests as lists show them.

use telepath_core::clock::Timestamp;
use telepath_core::request::{RequestCaller, RequestRecord};
use telepath_store::Names;

use crate::mark::Mark;
use crate::number;
use crate::time::{Shown, Zone};

/// A request that took at least this long stands out, in microseconds.
const SLOW_US: u64 = 1_000_000;

/// Who sent a request.
pub(super) struct Sender {
    pub(super) name: String,
    /// The page about it; `None` for a user.
    pub(super) path: Option<String>,
    pub(super) mark: Option<Mark>,
}

impl Sender {
    pub(super) fn of(caller: RequestCaller, names: &Names) -> Self {
        let (id, path) = match caller {
            RequestCaller::Key { key, .. } => (key.to_string(), Some(format!("/settings/api-keys/{key}"))),
            RequestCaller::User(user) => (user.to_string(), None),
        };
        // A key that is gone has neither a name nor a page.
        match names.get(&id) {
            Some(named) => Self { name: named.name.clone(), path, mark: caller.key().map(Mark::of) },
            None => Self { name: id, path: None, mark: None },
        }
    }
}

/// A status with the class that its colour and shape follow.
pub(super) struct Status {
    pub(super) code: u16,
    pub(super) class: &'static str,
}

impl Status {
    pub(super) const fn of(code: u16) -> Self {
        let class = match code {
            500.. => "st-5",
            400..500 => "st-4",
            _ => "",
        };
        Self { code, class }
    }
}

/// A request of a list.
pub(super) struct Row {
    pub(super) path: String,
    pub(super) time: Shown,
    pub(super) status: Status,
    pub(super) method: &'static str,
    pub(super) target: String,
    pub(super) code: Option<String>,
    pub(super) sender: Sender,
    /// Whether the key has a newer secret than the one that was used.
    pub(super) previous_secret: bool,
    pub(super) took: String,
    pub(super) is_slow: bool,
    pub(super) address: String,
}

impl Row {
    pub(super) fn of(request: RequestRecord, names: &Names, zone: &Zone, now: Timestamp) -> Self {
        let facts = request.facts;
        let newest = facts.caller.key().and_then(|key| names.get(&key.to_string())?.secret);
        Self {
            path: format!("/requests/{}", request.id),
            time: zone.shown_instant(facts.at, now),
            status: Status::of(facts.status),
            method: facts.method.name(),
            target: request.path,
            code: request.error,
            sender: Sender::of(facts.caller, names),
            previous_secret: request.secret_id.is_some() && request.secret_id != newest,
            took: number::microseconds(facts.duration_us),
            is_slow: facts.duration_us >= SLOW_US,
            address: facts.address.to_string(),
        }
    }
}

/// The ids of callers, without repetitions.
pub(super) fn ids(callers: impl IntoIterator<Item = RequestCaller>) -> Vec<String> {
    let id = |caller: RequestCaller| match caller {
        RequestCaller::Key { key, .. } => key.to_string(),
        RequestCaller::User(user) => user.to_string(),
    };
    let mut ids: Vec<String> = callers.into_iter().map(id).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// The ids of everybody who sent some requests, without repetitions.
pub(super) fn senders<'a>(requests: impl IntoIterator<Item = &'a RequestRecord>) -> Vec<String> {
    ids(requests.into_iter().map(|request| request.facts.caller))
}

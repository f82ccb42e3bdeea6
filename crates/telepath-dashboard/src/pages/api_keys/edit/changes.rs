//! What an edit changes, before and after, and whether it gives the key more.

use telepath_core::address::NetworkList;
use telepath_core::clock::Timestamp;
use telepath_core::key::{Authority, KeyPatch, KeyRecord, Rights};
use telepath_core::scope::ScopeSet;

use crate::number::grouped;
use crate::time::Zone;

/// A member before and after.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) member: &'static str,
    pub(super) before: String,
    pub(super) after: String,
}

/// Whether the key would have a right that it does not have: the key as it is could not grant what it would be.
pub(super) fn widens(key: &KeyRecord, patch: &KeyPatch) -> bool {
    let held = Rights::from(key);
    let new = Rights {
        scopes: patch.scopes.unwrap_or(held.scopes),
        rate_limit: patch.rate_limit.unwrap_or(held.rate_limit),
        allowed_ips: patch.allowed_ips.clone().unwrap_or_else(|| held.allowed_ips.clone()),
        expires_at: patch.expires_at.apply(held.expires_at),
        ..held.clone()
    };
    Authority::Key(held).check_can_grant(&new).is_err()
}

/// The members that change.
pub(super) fn list(key: &KeyRecord, patch: &KeyPatch, zone: &Zone) -> Vec<Change> {
    let text = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
    let scopes = |scopes: ScopeSet| scopes.to_string().replace(' ', ", ");
    let limit =
        |limit: telepath_core::limit::RateLimit| format!("{} requests/min", grouped(limit.get().into()));
    let end = |end: Option<Timestamp>| end.map_or_else(|| "Never".to_owned(), |end| zone.moment(end));
    let change = |member, before, after| Change { member, before, after };
    let all = [
        change("Name", key.name.clone(), patch.name.clone().unwrap_or_else(|| key.name.clone())),
        change(
            "Description",
            text(key.description.clone()),
            text(patch.description.clone().apply(key.description.clone())),
        ),
        change("Permissions", scopes(key.scopes), scopes(patch.scopes.unwrap_or(key.scopes))),
        change("Rate limit", limit(key.rate_limit), limit(patch.rate_limit.unwrap_or(key.rate_limit))),
        change("Expires", end(key.expires_at), end(patch.expires_at.apply(key.expires_at))),
        change(
            "Allowed IP addresses",
            networks(&key.allowed_ips),
            networks(patch.allowed_ips.as_ref().unwrap_or(&key.allowed_ips)),
        ),
    ];
    all.into_iter().filter(|change| change.before != change.after).collect()
}

fn networks(list: &NetworkList) -> String {
    if list.is_empty() { "Any address".to_owned() } else { list.to_string().replace(',', ", ") }
}

//! Requests with the same status, error, route and sender, counted together.

use std::collections::BTreeMap;

use telepath_core::clock::Timestamp;
use telepath_core::request::{RequestCaller, RequestRecord};
use telepath_store::Names;

use super::filter::{Field, Filters};
use super::query::Query;
use super::row::{Sender, Status};
use crate::number;
use crate::time::{Shown, Zone};

/// What the requests of a group have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Common {
    status: u16,
    code: Option<String>,
    method: &'static str,
    /// The route; the path where none matched.
    target: String,
    has_route: bool,
    /// The id of the key or the user.
    sender: String,
}

/// A group with the numbers of its requests.
#[derive(Debug, Clone)]
struct Counted {
    common: Common,
    caller: RequestCaller,
    count: u64,
    first: Timestamp,
    last: Timestamp,
}

/// A group of a list.
pub(super) struct Group {
    /// Its requests one by one.
    pub(super) path: String,
    pub(super) status: Status,
    pub(super) method: &'static str,
    pub(super) target: String,
    pub(super) code: Option<String>,
    pub(super) sender: Sender,
    pub(super) count: String,
    pub(super) first: Shown,
    pub(super) last: Shown,
}

fn common(request: &RequestRecord) -> Common {
    Common {
        status: request.facts.status,
        code: request.error.clone(),
        method: request.facts.method.name(),
        target: request.route.clone().unwrap_or_else(|| request.path.clone()),
        has_route: request.route.is_some(),
        sender: match request.facts.caller {
            RequestCaller::Key { key, .. } => key.to_string(),
            RequestCaller::User(user) => user.to_string(),
        },
    }
}

/// Counts requests, the largest group first.
fn count(requests: &[RequestRecord]) -> Vec<Counted> {
    let mut groups: BTreeMap<Common, Counted> = BTreeMap::new();
    for request in requests {
        let (at, caller) = (request.facts.at, request.facts.caller);
        let common = common(request);
        let group =
            groups.entry(common.clone()).or_insert(Counted { common, caller, count: 0, first: at, last: at });
        group.count += 1;
        group.first = group.first.min(at);
        group.last = group.last.max(at);
    }
    let mut groups: Vec<Counted> = groups.into_values().collect();
    groups.sort_by_key(|group| std::cmp::Reverse((group.count, group.last)));
    groups
}

/// The filters that show the requests of a group.
fn narrowed(filters: &Filters, common: &Common) -> Filters {
    let target = if common.has_route { Field::Route } else { Field::Path };
    let sender = if common.sender.starts_with("key_") { Field::Key } else { Field::User };
    filters
        .with(Field::Status, &common.status.to_string())
        .with(Field::Code, common.code.as_deref().unwrap_or_default())
        .with(Field::Method, common.method)
        .with(target, &common.target)
        .with(sender, &common.sender)
}

/// The groups of some requests as the page shows them.
pub(super) fn groups(
    requests: &[RequestRecord],
    query: &Query,
    names: &Names,
    zone: &Zone,
    now: Timestamp,
) -> Vec<Group> {
    let list = |group: Counted| Group {
        path: query.with_filters_as_list(&narrowed(&query.filters, &group.common)),
        status: Status::of(group.common.status),
        method: group.common.method,
        target: group.common.target,
        code: group.common.code,
        sender: Sender::of(group.caller, names),
        count: number::grouped(group.count),
        first: zone.shown_instant(group.first, now),
        last: zone.shown_instant(group.last, now),
    };
    count(requests).into_iter().map(list).collect()
}

#[cfg(test)]
mod tests {
    use telepath_core::id::{Id as _, KeyId, RequestId};
    use telepath_core::request::{RequestFacts, RequestMethod, SecretMark};

    use super::*;

    fn request(second: i64, status: u16, route: Option<&str>, key: u8) -> RequestRecord {
        RequestRecord {
            id: RequestId::from_bytes([1; 16]),
            facts: RequestFacts {
                at: Timestamp::from_unix_seconds(second),
                caller: RequestCaller::Key { key: KeyId::from_bytes([key; 16]), secret: SecretMark([1; 8]) },
                method: RequestMethod::Get,
                status,
                address: std::net::IpAddr::from([192, 0, 2, 1]),
                duration_us: 1,
                admitted: true,
            },
            secret_id: None,
            route: route.map(str::to_owned),
            path: format!("/path/{second}"),
            error: None,
            user_agent: None,
        }
    }

    #[test]
    fn requests_are_counted_by_status_route_and_key() {
        let calls = Some("/v1/calls");
        let all = [
            request(5, 200, calls, 1),
            request(1, 200, calls, 1),
            request(3, 200, calls, 2),
            request(4, 404, calls, 1),
            request(9, 200, None, 1),
        ];
        let groups = count(&all);
        assert_eq!(groups.iter().map(|group| group.count).collect::<Vec<_>>(), [2, 1, 1, 1]);
        let first = &groups[0];
        assert_eq!((first.first.unix_seconds(), first.last.unix_seconds()), (1, 5));
        assert_eq!(groups[1].common.target, "/path/9", "of equal groups the latest comes first");
        let filters = narrowed(&Filters::default(), &first.common);
        assert_eq!(
            filters.line(),
            format!("status:200 method:GET route:/v1/calls key:{}", KeyId::from_bytes([1; 16]))
        );
    }
}

//! Requests with the same status, error, route and sender, counted together.

use std::cmp::Reverse;
use std::collections::HashMap;

use telepath_core::clock::Timestamp;
use telepath_core::id::{KeyId, UserId};
use telepath_core::request::{RequestCaller, RequestRecord};
use telepath_store::Names;

use super::filter::{Field, Filters};
use super::query::Query;
use super::row::{Sender, Status};
use crate::number;
use crate::time::{Shown, Zone};

/// The most groups on a page.
const SHOWN: usize = 50;

/// What the requests of a group have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Common<'r> {
    status: u16,
    code: Option<&'r str>,
    method: &'static str,
    /// The route; the path where none matched.
    target: &'r str,
    has_route: bool,
    sender: SenderId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum SenderId {
    Key(KeyId),
    User(UserId),
}

impl From<RequestCaller> for SenderId {
    fn from(caller: RequestCaller) -> Self {
        match caller {
            RequestCaller::Key { key, secret: _ } => Self::Key(key),
            RequestCaller::User(user) => Self::User(user),
        }
    }
}

/// A group with the numbers of its requests.
#[derive(Debug, Clone, Copy)]
struct Counted<'r> {
    common: Common<'r>,
    caller: RequestCaller,
    count: u64,
    first: Timestamp,
    last: Timestamp,
}

/// The groups of some requests, the largest first.
pub(super) struct Groups<'r>(Vec<Counted<'r>>);

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

fn common(request: &RequestRecord) -> Common<'_> {
    Common {
        status: request.facts.status,
        code: request.error.as_deref(),
        method: request.facts.method.name(),
        target: request.route.as_deref().unwrap_or(&request.path),
        has_route: request.route.is_some(),
        sender: request.facts.caller.into(),
    }
}

/// The filters that show the requests of a group.
fn narrowed(filters: &Filters, common: &Common<'_>) -> Filters {
    let target = if common.has_route { Field::Route } else { Field::Path };
    let (sender, id) = match common.sender {
        SenderId::Key(key) => (Field::Key, key.to_string()),
        SenderId::User(user) => (Field::User, user.to_string()),
    };
    filters
        .with(Field::Status, &common.status.to_string())
        .with(Field::Code, common.code.unwrap_or_default())
        .with(Field::Method, common.method)
        .with(target, common.target)
        .with(sender, &id)
}

impl<'r> Groups<'r> {
    /// Counts requests.
    pub(super) fn of(requests: &'r [RequestRecord]) -> Self {
        let mut groups: HashMap<Common<'r>, Counted<'r>> = HashMap::new();
        for request in requests {
            let (at, caller, common) = (request.facts.at, request.facts.caller, common(request));
            let group =
                groups.entry(common).or_insert(Counted { common, caller, count: 0, first: at, last: at });
            group.count += 1;
            group.first = group.first.min(at);
            group.last = group.last.max(at);
        }
        let mut groups: Vec<_> = groups.into_values().collect();
        groups.sort_by_key(|group| (Reverse((group.count, group.last)), group.common));
        Self(groups)
    }

    /// How many there are, on the page or not.
    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    /// The groups on the page.
    fn shown(&self) -> impl Iterator<Item = &Counted<'r>> {
        self.0.iter().take(SHOWN)
    }

    /// Whether there are more groups than a page has.
    pub(super) const fn has_more(&self) -> bool {
        self.0.len() > SHOWN
    }

    /// Who sent the requests of the groups on the page.
    pub(super) fn senders(&self) -> Vec<String> {
        super::row::ids(self.shown().map(|group| group.caller))
    }

    /// The groups as the page shows them.
    pub(super) fn rows(&self, query: &Query, names: &Names, zone: &Zone, now: Timestamp) -> Vec<Group> {
        let row = |group: &Counted<'_>| Group {
            path: query.with_filters_as_list(&narrowed(&query.filters, &group.common)),
            status: Status::of(group.common.status),
            method: group.common.method,
            target: group.common.target.to_owned(),
            code: group.common.code.map(str::to_owned),
            sender: Sender::of(group.caller, names),
            count: number::grouped(group.count),
            first: zone.shown_instant(group.first, now),
            last: zone.shown_instant(group.last, now),
        };
        self.shown().map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use telepath_core::id::{Id as _, RequestId};
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
        let groups = Groups::of(&all).0;
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

    #[test]
    fn a_page_shows_the_largest_of_many_groups() {
        let several =
            |key: u8| (0..=u32::from(key % 2)).map(move |second| request(second.into(), 200, None, key));
        let mut all: Vec<_> = (0..120).flat_map(several).collect();
        for request in &mut all {
            request.path = "/path".to_owned();
        }
        let groups = Groups::of(&all);
        assert_eq!((groups.len(), groups.has_more(), groups.senders().len()), (120, true, SHOWN));
        assert!(groups.shown().all(|group| group.count == 2));
        assert!(!Groups::of(&all[..2]).has_more());
    }
}

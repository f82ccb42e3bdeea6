//! Adds up requests, so that counters are written once for many of them.

use std::collections::HashMap;

use super::{
    DurationHistogram, MAX_ADDRESSES, MAX_PROGRAMS, Seen, SeenAddress, SeenProgram, UNMATCHED, UsageSpan,
};
use crate::clock::Timestamp;
use crate::id::{Id as _, KeyId};
use crate::key::LastUse;
use crate::request::segment::Logged;
use crate::request::{RequestCaller, SecretMark};

/// Into how many parts keys fall, by their ids. Each part can be written on its own.
pub const PARTS: u8 = 16;

/// Which bucket a request falls into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BucketKey {
    /// How long the bucket is.
    pub span: UsageSpan,
    pub start: Timestamp,
    /// The place of the route's name among [`Totals::route`]s.
    pub route: usize,
    /// The status of the response.
    pub status: u16,
    /// The secret that was used.
    pub secret: SecretMark,
}

/// The sums of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BucketSum {
    pub requests: u64,
    /// Their total duration.
    pub duration_us: u64,
    pub durations: DurationHistogram,
}

impl BucketSum {
    /// Adds the requests of another bucket.
    pub fn add(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.duration_us = self.duration_us.saturating_add(other.duration_us);
        self.durations.merge(&other.durations);
    }

    /// A request, or a sum of requests, which count with their mean duration.
    fn of(request: &Logged<'_>) -> Self {
        let (requests, duration_us) = (request.requests(), request.facts.duration_us);
        let mut durations = DurationHistogram::default();
        durations.observe(duration_us / requests.max(1), requests);
        Self { requests, duration_us, durations }
    }
}

/// The requests with one secret of a key.
#[derive(Debug, Clone)]
pub struct SecretTotals {
    pub mark: SecretMark,
    /// The last use by a request that the key let in.
    pub last_use: Option<LastUse>,
    /// The client addresses.
    pub addresses: Vec<SeenAddress>,
    /// The programs.
    pub programs: Vec<SeenProgram>,
}

/// The requests of one key.
#[derive(Debug, Clone, Default)]
pub struct KeyTotals {
    pub requests: u64,
    /// Of those, how many were answered with 4xx or 5xx.
    pub errors: u64,
    pub secrets: Vec<SecretTotals>,
    minutes: Vec<(BucketKey, BucketSum)>,
}

impl KeyTotals {
    /// The last use of any secret.
    pub fn last_use(&self) -> Option<LastUse> {
        self.secrets.iter().filter_map(|secret| secret.last_use).max_by_key(|last| last.at)
    }

    /// About how many rows are written of it at most.
    pub fn rows(&self) -> usize {
        let of_secrets: usize =
            self.secrets.iter().map(|secret| 1 + secret.addresses.len() + secret.programs.len()).sum();
        1 + of_secrets + UsageSpan::ALL.len() * self.minutes.len()
    }

    /// The buckets of every span, in order.
    pub fn buckets(&self) -> Vec<(BucketKey, BucketSum)> {
        let spread = |span: &UsageSpan| {
            let longer = |(key, sum): &(BucketKey, BucketSum)| {
                (BucketKey { span: *span, start: span.start_of(key.start), ..*key }, *sum)
            };
            self.minutes.iter().map(longer).collect::<Vec<_>>()
        };
        let mut all: Vec<_> = UsageSpan::ALL.iter().flat_map(spread).collect();
        all.sort_by_key(|(key, _)| *key);
        all.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1.add(&next.1);
            }
            same
        });
        all
    }

    fn add(&mut self, request: &Logged<'_>, mark: SecretMark, route: usize) {
        let (facts, count) = (&request.facts, request.requests());
        self.requests = self.requests.saturating_add(count);
        if facts.status >= 400 {
            self.errors = self.errors.saturating_add(count);
        }
        let start = UsageSpan::Minute.start_of(facts.at);
        let key = BucketKey { span: UsageSpan::Minute, start, route, status: facts.status, secret: mark };
        let sum = BucketSum::of(request);
        match self.minutes.iter_mut().rev().find(|(there, _)| *there == key) {
            Some((_, there)) => there.add(&sum),
            None => self.minutes.push((key, sum)),
        }
        let secret = self.secret(mark);
        see(&mut secret.addresses, MAX_ADDRESSES, &facts.address, (facts.at, count));
        if let Some(program) = request.user_agent {
            see(&mut secret.programs, MAX_PROGRAMS, program, (facts.at, count));
        }
        if facts.admitted && secret.last_use.is_none_or(|last| last.at <= facts.at) {
            secret.last_use = Some(LastUse { at: facts.at, address: facts.address });
        }
    }

    fn secret(&mut self, mark: SecretMark) -> &mut SecretTotals {
        let place = self.secrets.iter().position(|secret| secret.mark == mark).unwrap_or_else(|| {
            let (addresses, programs) = (Vec::new(), Vec::new());
            self.secrets.push(SecretTotals { mark, last_use: None, addresses, programs });
            self.secrets.len() - 1
        });
        &mut self.secrets[place]
    }
}

/// Counts requests of an address or a program. Of too many, the one not seen for longest goes.
fn see<T, B>(seen: &mut Vec<Seen<T>>, most: usize, what: &B, (at, requests): (Timestamp, u64))
where
    T: std::borrow::Borrow<B>,
    B: PartialEq + ToOwned<Owned = T> + ?Sized,
{
    if let Some(there) = seen.iter_mut().find(|there| there.what.borrow() == what) {
        there.first_seen = there.first_seen.min(at);
        there.last_seen = there.last_seen.max(at);
        there.requests = there.requests.saturating_add(requests);
        return;
    }
    if seen.len() >= most
        && let Some(oldest) = (0..seen.len()).min_by_key(|place| seen[*place].last_seen)
    {
        seen.swap_remove(oldest);
    }
    seen.push(Seen { what: what.to_owned(), first_seen: at, last_seen: at, requests });
}

/// The requests of several segments, added up by key.
#[derive(Debug, Default)]
pub struct Totals {
    keys: HashMap<KeyId, KeyTotals>,
    routes: Vec<String>,
}

impl Totals {
    /// Adds the entries of a segment. Requests of users are in no counter: they use no key.
    pub fn add(&mut self, entries: &[Logged<'_>]) {
        let mut last = (None, self.route_place(None));
        for entry in entries {
            let RequestCaller::Key { key, secret } = entry.facts.caller else { continue };
            if entry.label != last.0 {
                last = (entry.label, self.route_place(entry.label));
            }
            self.keys.entry(key).or_default().add(entry, secret, last.1);
        }
    }

    fn route_place(&mut self, label: Option<&str>) -> usize {
        let name = label.unwrap_or(UNMATCHED);
        self.routes.iter().position(|there| there == name).unwrap_or_else(|| {
            self.routes.push(name.to_owned());
            self.routes.len() - 1
        })
    }

    /// The name of a route.
    pub fn route(&self, place: usize) -> &str {
        self.routes.get(place).map_or(UNMATCHED, String::as_str)
    }

    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The part that a key falls into, the same in every process.
    pub fn part_of(key: KeyId) -> u8 {
        key.as_bytes()[15] % PARTS
    }

    /// The keys of some parts in the order of their ids, so that two servers never wait for each other in a circle.
    pub fn of_parts(&self, parts: std::ops::Range<u8>) -> Vec<(KeyId, &KeyTotals)> {
        let inside = self.keys.iter().filter(|(key, _)| parts.contains(&Self::part_of(**key)));
        let mut keys: Vec<_> = inside.map(|(key, totals)| (*key, totals)).collect();
        keys.sort_by_key(|(key, _)| *key);
        keys
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::id::{RequestId, UserId};
    use crate::request::{RequestFacts, RequestMethod};

    fn entry(key: u8, at: &str, status: u16) -> Logged<'static> {
        Logged {
            id: RequestId::from_bytes([1; 16]),
            facts: RequestFacts {
                at: Timestamp::parse_rfc3339(at).unwrap(),
                caller: RequestCaller::Key { key: KeyId::from_bytes([key; 16]), secret: SecretMark([1; 8]) },
                method: RequestMethod::Get,
                status,
                address: "192.0.2.1".parse().unwrap(),
                duration_us: 10,
                admitted: true,
            },
            label: Some("GET /v1/trunks"),
            own_path: None,
            error: None,
            user_agent: None,
            sum: None,
        }
    }

    fn only(totals: &Totals) -> &KeyTotals {
        let keys = totals.of_parts(0..PARTS);
        assert_eq!(keys.len(), 1);
        keys[0].1
    }

    #[test]
    fn requests_are_added_up_by_minute_hour_and_day() {
        let mut totals = Totals::default();
        totals.add(&[
            entry(1, "2026-01-31T23:59:59Z", 200),
            entry(1, "2026-01-31T23:59:01Z", 200),
            entry(1, "2026-01-31T23:01:00Z", 200),
            entry(1, "2026-02-01T00:00:00Z", 200),
        ]);
        let buckets: Vec<_> = only(&totals)
            .buckets()
            .into_iter()
            .map(|(key, sum)| (key.span, key.start.to_string(), sum.requests, sum.duration_us))
            .collect();
        let bucket = |span, start: &str, count| (span, format!("{start}:00.000Z"), count, count * 10);
        assert_eq!(
            buckets,
            [
                bucket(UsageSpan::Minute, "2026-01-31T23:01", 1),
                bucket(UsageSpan::Minute, "2026-01-31T23:59", 2),
                bucket(UsageSpan::Minute, "2026-02-01T00:00", 1),
                bucket(UsageSpan::Hour, "2026-01-31T23:00", 3),
                bucket(UsageSpan::Hour, "2026-02-01T00:00", 1),
                bucket(UsageSpan::Day, "2026-01-31T00:00", 3),
                bucket(UsageSpan::Day, "2026-02-01T00:00", 1),
            ]
        );
    }

    #[test]
    fn errors_are_counted_and_rejected_requests_do_not_count_as_use() {
        let mut totals = Totals::default();
        let mut refused = entry(1, "2026-01-31T12:00:05Z", 401);
        refused.facts.admitted = false;
        let sum = Logged { sum: Some(7), label: None, ..entry(1, "2026-01-31T12:00:03Z", 503) };
        totals.add(&[entry(1, "2026-01-31T12:00:00Z", 399), sum, refused]);
        let key = only(&totals);
        assert_eq!((key.requests, key.errors), (9, 8));
        assert_eq!(key.last_use().unwrap().at.to_string(), "2026-01-31T12:00:03.000Z");
        assert_eq!(key.secrets[0].addresses[0].requests, 9);
        assert_eq!(key.secrets[0].addresses[0].last_seen.to_string(), "2026-01-31T12:00:05.000Z");
        let minutes: Vec<_> = key.buckets().into_iter().take(3).collect();
        let of = |(key, sum): &(BucketKey, BucketSum)| {
            (totals.route(key.route).to_owned(), key.status, sum.requests)
        };
        let mut minutes: Vec<_> = minutes.iter().map(of).collect();
        minutes.sort();
        let listed = [("GET /v1/trunks", 399, 1), ("GET /v1/trunks", 401, 1), (UNMATCHED, 503, 7)];
        assert_eq!(minutes, listed.map(|(route, status, count)| (route.to_owned(), status, count)));
    }

    #[test]
    fn requests_of_users_are_in_no_counter() {
        let mut totals = Totals::default();
        let mut by_user = entry(1, "2026-01-31T12:00:00Z", 200);
        by_user.facts.caller = RequestCaller::User(UserId::from_bytes([1; 16]));
        totals.add(&[by_user, Logged { sum: Some(7), ..by_user }]);
        assert!(totals.is_empty());
        totals.add(&[by_user, entry(1, "2026-01-31T12:00:00Z", 200), by_user]);
        assert_eq!(only(&totals).requests, 1);
    }

    #[test]
    fn addresses_and_programs_are_bounded_and_the_newest_stay() {
        let mut totals = Totals::default();
        let names: Vec<_> = (0..1000).map(|number| format!("program/{number}")).collect();
        let many: Vec<_> = (0..1000_u32)
            .zip(&names)
            .map(|(number, name)| {
                let mut entry = Logged { user_agent: Some(name), ..entry(1, "2026-01-31T12:00:00Z", 200) };
                entry.facts.address = IpAddr::V4(number.into());
                entry.facts.at = Timestamp::from_unix_ms(i64::from(number));
                entry
            })
            .collect();
        totals.add(&many);
        let key = only(&totals);
        let SecretTotals { addresses, programs, .. } = &key.secrets[0];
        assert_eq!((addresses.len(), programs.len()), (MAX_ADDRESSES, MAX_PROGRAMS));
        assert!(addresses.iter().all(|seen| seen.last_seen.unix_ms() >= 1000 - 256));
        assert!(programs.iter().all(|seen| seen.last_seen.unix_ms() >= 1000 - 64));
        assert_eq!(key.requests, 1000);
    }

    #[test]
    fn the_requests_of_each_secret_are_kept_apart() {
        let mut totals = Totals::default();
        let of = |secret: u8, user_agent| {
            let mut entry = Logged { user_agent: Some(user_agent), ..entry(1, "2026-01-31T12:00:00Z", 200) };
            let key = KeyId::from_bytes([1; 16]);
            entry.facts.caller = RequestCaller::Key { key, secret: SecretMark([secret; 8]) };
            entry
        };
        totals.add(&[of(1, "old/1"), of(2, "new/1"), of(1, "old/1"), of(2, "new/2")]);
        let key = only(&totals);
        let programs = |secret: &SecretTotals| {
            secret.programs.iter().map(|seen| (seen.what.clone(), seen.requests)).collect::<Vec<_>>()
        };
        assert_eq!(programs(&key.secrets[0]), [("old/1".to_owned(), 2)]);
        assert_eq!(programs(&key.secrets[1]), [("new/1".to_owned(), 1), ("new/2".to_owned(), 1)]);
        let minutes: Vec<_> =
            key.buckets().into_iter().take(2).map(|(key, sum)| (key.secret.0[0], sum.requests)).collect();
        assert_eq!((minutes, key.requests), (vec![(1, 2), (2, 2)], 4));
    }

    #[test]
    fn requests_without_details_count_with_their_mean_duration() {
        let mut totals = Totals::default();
        let mut sum = Logged { sum: Some(4), ..entry(1, "2026-01-31T12:00:03Z", 200) };
        sum.facts.duration_us = 8_000;
        totals.add(&[sum]);
        let (_, bucket) = only(&totals).buckets()[0];
        assert_eq!((bucket.duration_us, bucket.durations.percentile(100)), (8_000, Some(2_500)));
        assert_eq!(bucket.durations.requests(), 4);
    }

    #[test]
    fn each_key_is_in_exactly_one_part_and_each_part_is_in_order() {
        let mut totals = Totals::default();
        for key in 0..=255 {
            totals.add(&[entry(key, "2026-01-31T12:00:00Z", 200)]);
        }
        let parts: Vec<_> = (0..PARTS).map(|part| totals.of_parts(part..part + 1)).collect();
        assert_eq!(parts.iter().map(Vec::len).sum::<usize>(), 256);
        assert!(parts.iter().all(|part| part.len() == 16 && part.is_sorted_by_key(|(key, _)| *key)));
    }
}

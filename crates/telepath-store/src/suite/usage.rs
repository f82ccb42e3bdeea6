//! Counters, buckets and addresses: each request is counted exactly once, whatever fails in between.

use std::sync::Arc;
use std::time::Duration;

use telepath_core::id::{AccountId, KeyId};
use telepath_core::key::{GraceSeconds, MAX_ENDED_SECRETS, NewKey};
use telepath_core::reach::{Reach, TrunkAccess};
use telepath_core::request::{Answered, RequestFilter, RouteNumber};
use telepath_core::secret::HashedKey;
use telepath_core::usage::{DurationHistogram, MAX_ADDRESSES, UNMATCHED, UsageSpan};

use super::{Fixture, NOON, answered, behaviour, execute, key_usage, new_key, select, trunks};
use crate::request_log::read::RequestOrder;
use crate::sql::binds;
use crate::store::Store;

behaviour! {
    buckets_and_addresses_record_the_usage_of_a_key,
    a_rejected_request_is_counted_but_does_not_update_last_use,
    an_interrupted_rollup_resumes,
    concurrent_rollups_count_each_request_once,
    requests_stay_buffered_while_the_database_is_unavailable,
    an_unreadable_segment_does_not_block_the_others,
    the_addresses_of_a_key_are_bounded,
    usage_of_each_secret_shows_who_still_uses_the_old_one,
    the_addresses_and_programs_of_a_forgotten_secret_are_deleted,
    histograms_of_durations_are_added_up,
    usage_of_another_account_is_not_visible,
    usage_of_many_keys_is_that_of_each_key,
    usage_of_many_keys_leaves_out_keys_that_are_not_within_reach,
}

const HOUR: Duration = Duration::from_hours(1);

async fn used_key(fixture: &Fixture, store: &Store, account: AccountId) -> (KeyId, HashedKey) {
    let (created, hash) = fixture.key(store, account, new_key("used")).await;
    (created.record.id, hash)
}

async fn buckets_and_addresses_record_the_usage_of_a_key(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (key, hash) = used_key(&fixture, &store, account).await;
    store.requests().name_routes(vec!["GET /v1/trunks".to_owned()]);
    for (minutes, status, route) in [(0, 200, Some(0)), (0, 200, Some(0)), (1, 404, Some(0)), (61, 200, None)]
    {
        let mut request = answered(&store, account, key, &hash);
        request.facts.at = NOON.plus(Duration::from_mins(minutes));
        request.facts.status = status;
        request.route = route.map(RouteNumber);
        store.requests().record(&request);
    }
    fixture.clock.advance(2 * HOUR);
    let usage = |span| store.key_usage(account, key, None, span, NOON, NOON.plus(2 * HOUR));
    let minutes = usage(UsageSpan::Minute).await.unwrap().unwrap();
    let seen: Vec<_> = minutes
        .rows
        .iter()
        .map(|row| (row.start.since(NOON).as_secs() / 60, row.route.as_str(), row.status, row.sum.requests))
        .collect();
    assert_eq!(seen, [(0, "GET /v1/trunks", 200, 2), (1, "GET /v1/trunks", 404, 1), (61, UNMATCHED, 200, 1)]);
    assert_eq!(minutes.rows[0].sum.duration_us, 200);
    let hours = usage(UsageSpan::Hour).await.unwrap().unwrap();
    assert_eq!(hours.rows.iter().map(|row| row.sum.requests).collect::<Vec<_>>(), [2, 1, 1]);
    let address = &minutes.addresses[0];
    assert_eq!((address.requests, address.first_seen, minutes.addresses.len()), (4, NOON, 1));
    assert_eq!(address.last_seen, NOON.plus(Duration::from_mins(61)));
    let nothing =
        store.key_usage(account, key, None, UsageSpan::Minute, NOON.plus(2 * HOUR), NOON.plus(3 * HOUR));
    assert!(nothing.await.unwrap().unwrap().rows.is_empty());
    store.close().await;
}

async fn a_rejected_request_is_counted_but_does_not_update_last_use(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (key, hash) = used_key(&fixture, &store, account).await;
    let mut refused = answered(&store, account, key, &hash);
    (refused.facts.admitted, refused.facts.status) = (false, 401);
    store.requests().record(&refused);
    let seen = store.get_key(account, key).await.unwrap().unwrap();
    assert_eq!((seen.request_count, seen.error_count, seen.last_use), (1, 1, None));
    assert_eq!(seen.secrets[0].last_use, None);
    store.close().await;
}

/// The requests of all keys.
async fn counted(store: &Store) -> i64 {
    let counted = select(store, "SELECT CAST(sum(request_count) AS BIGINT) AS n FROM keys", vec![]).await;
    let counted = counted[0].integer("n").unwrap();
    for table in ["usage_buckets", "account_usage"] {
        for span in UsageSpan::ALL {
            let sql = format!("SELECT CAST(sum(requests) AS BIGINT) AS n FROM {table} WHERE span = $1");
            let sums = select(store, sql, binds![span.name()]).await;
            let sum = sums[0].maybe_integer("n").unwrap().unwrap_or(0);
            assert_eq!(sum, counted, "{table} and the counters of keys agree");
        }
    }
    key_usage::check(store).await;
    counted
}

async fn an_interrupted_rollup_resumes(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    for _ in 0..40 {
        let (key, hash) = used_key(&fixture, &store, account).await;
        store.requests().record(&answered(&store, account, key, &hash));
    }
    assert_eq!(store.flush_usage().await.unwrap(), 1);
    // As if a process had been killed after adding the first half.
    execute(&store, "UPDATE request_segments SET folded = 8", vec![]).await;
    let keys = select(&store, "SELECT id FROM keys ORDER BY id", vec![]).await;
    let later = keys.iter().filter(|row| {
        let key: KeyId = row.parse("id").unwrap();
        telepath_core::usage::Totals::part_of(key) >= 8
    });
    let later = i64::try_from(later.count()).unwrap();
    store.roll_up_usage().await.unwrap();
    assert_eq!(counted(&store).await, later);
    store.roll_up_usage().await.unwrap();
    assert_eq!(counted(&store).await, later, "a counted request is not counted again");
    store.close().await;
}

async fn concurrent_rollups_count_each_request_once(fixture: Arc<Fixture>) {
    let one = fixture.open().await;
    let other = fixture.open_admin().await;
    let account = fixture.account(&one).await.id;
    let mut keys = Vec::new();
    for _ in 0..20 {
        keys.push(used_key(&fixture, &one, account).await);
    }
    for _ in 0..10 {
        for store in [&one, &other] {
            for (key, hash) in &keys {
                store.requests().record(&answered(store, account, *key, hash));
            }
            store.flush_usage().await.unwrap();
        }
        let (first, second) = tokio::join!(one.roll_up_usage(), other.roll_up_usage());
        // One may report a conflict with the other; nothing is lost.
        assert!(first.is_ok() || second.is_ok());
    }
    one.roll_up_usage().await.unwrap();
    assert_eq!(counted(&one).await, 400);
    one.close().await;
    other.close().await;
}

async fn requests_stay_buffered_while_the_database_is_unavailable(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (key, hash) = used_key(&fixture, &store, account).await;
    execute(&store, "ALTER TABLE request_segments RENAME TO elsewhere", vec![]).await;
    for _ in 0..3 {
        store.requests().record(&answered(&store, account, key, &hash));
        assert!(store.flush_usage().await.is_err());
        fixture.clock.advance(Duration::from_secs(1));
    }
    let shown = store.get_key(account, key).await.unwrap().unwrap();
    assert_eq!(shown.request_count, 0, "keys are still listed");
    execute(&store, "ALTER TABLE elsewhere RENAME TO request_segments", vec![]).await;
    fixture.clock.advance(Duration::from_secs(1));
    let shown = store.get_key(account, key).await.unwrap().unwrap();
    assert_eq!(shown.request_count, 3);
    assert_eq!(store.requests().stats().details_lost, 0);
    store.close().await;
}

async fn an_unreadable_segment_does_not_block_the_others(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (key, hash) = used_key(&fixture, &store, account).await;
    for _ in 0..2 {
        store.requests().record(&answered(&store, account, key, &hash));
        store.flush_usage().await.unwrap();
    }
    let first = "(SELECT min(id) FROM request_segments)";
    let damage = format!("UPDATE request_payloads SET payload = $1 WHERE segment_id = {first}");
    let values = crate::sql::binds![&[9_u8][..]];
    store
        .backend
        .write(move |db: &mut crate::sql::Connection| {
            Box::pin(async move { db.execute(damage, values).await })
        })
        .await
        .unwrap();
    store.roll_up_usage().await.unwrap();
    assert_eq!(counted(&store).await, 1);
    let left = select(&store, "SELECT id FROM request_segments WHERE folded < 16", vec![]).await;
    assert!(left.is_empty());
    store.close().await;
}

async fn the_addresses_of_a_key_are_bounded(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (key, hash) = used_key(&fixture, &store, account).await;
    for number in 0..600_u32 {
        let mut request = answered(&store, account, key, &hash);
        request.facts.address = std::net::Ipv4Addr::from(number).into();
        request.facts.at = NOON.plus(Duration::from_millis(number.into()));
        store.requests().record(&request);
        if number % 100 == 99 {
            fixture.clock.advance(Duration::from_secs(1));
            store.get_key(account, key).await.unwrap();
        }
    }
    let rows = select(&store, "SELECT address FROM usage_addresses", vec![]).await;
    assert_eq!(rows.len(), MAX_ADDRESSES);
    let usage =
        store.key_usage(account, key, None, UsageSpan::Day, NOON, NOON.plus(HOUR)).await.unwrap().unwrap();
    assert_eq!(usage.addresses.first().unwrap().what, std::net::IpAddr::from([0, 0, 2, 87]));
    assert_eq!(usage.addresses.last().unwrap().what, std::net::IpAddr::from([0, 0, 1, 88]));
    store.close().await;
}

async fn usage_of_another_account_is_not_visible(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let other = fixture.other_account(&store).await;
    let (key, hash) = used_key(&fixture, &store, account).await;
    store.requests().record(&answered(&store, account, key, &hash));
    let usage = store.key_usage(other, key, None, UsageSpan::Day, NOON, NOON.plus(HOUR)).await.unwrap();
    assert_eq!(usage, None);
    store.close().await;
}

/// A request with a secret, from an address and a program of its own.
fn by(store: &Store, account: AccountId, key: KeyId, hash: &HashedKey, number: u8) -> Answered<'static> {
    let mut request = answered(store, account, key, hash);
    request.facts.address = std::net::Ipv4Addr::new(192, 0, 2, number).into();
    request.user_agent = if number == 1 { b"old/1" } else { b"new/2" };
    request
}

async fn usage_of_each_secret_shows_who_still_uses_the_old_one(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (key, old) = used_key(&fixture, &store, account).await;
    let first = store.get_key(account, key).await.unwrap().unwrap().secrets[0].id;
    let grace = GraceSeconds::new(3600).unwrap();
    let rotated = store.rotate_key(account, key, grace, fixture.origin()).await.unwrap();
    let new = store.vault().hash_key(&rotated.secret);
    for (hash, number, requests) in [(&old, 1, 2), (&new, 2, 3)] {
        for _ in 0..requests {
            store.requests().record(&by(&store, account, key, hash, number));
        }
    }
    let second = rotated.record.secrets.iter().find(|secret| secret.id != first).unwrap().id;
    let usage = async |secret| {
        let usage = store.key_usage(account, key, secret, UsageSpan::Hour, NOON, NOON.plus(HOUR));
        let usage = usage.await.unwrap().unwrap();
        let programs: Vec<_> = usage.programs.iter().map(|seen| (seen.what.clone(), seen.requests)).collect();
        let addresses: Vec<_> =
            usage.addresses.iter().map(|seen| (seen.what.to_string(), seen.requests)).collect();
        (usage.rows.iter().map(|row| row.sum.requests).sum::<u64>(), programs, addresses)
    };
    let named = |name: &str, requests: u64| (name.to_owned(), requests);
    fixture.clock.advance(Duration::from_secs(1));
    assert_eq!(usage(Some(first)).await, (2, vec![named("old/1", 2)], vec![named("192.0.2.1", 2)]));
    assert_eq!(usage(Some(second)).await, (3, vec![named("new/2", 3)], vec![named("192.0.2.2", 3)]));
    let (requests, mut programs, _) = usage(None).await;
    programs.sort();
    assert_eq!((requests, programs), (5, vec![named("new/2", 3), named("old/1", 2)]));
    // The log names the secret of each request, and finds the requests of one.
    let filter = RequestFilter { secret_id: Some(first), ..RequestFilter::default() };
    let page = store.list_requests(account, &filter, RequestOrder::Newest, 100, None).await.unwrap();
    assert_eq!(page.requests.iter().map(|request| request.secret_id).collect::<Vec<_>>(), [Some(first); 2]);
    let everything = RequestFilter::default();
    let all = store.list_requests(account, &everything, RequestOrder::Newest, 100, None).await.unwrap();
    let newer = all.requests.iter().filter(|request| request.secret_id == Some(second)).count();
    assert_eq!(newer, 3);
    // A secret of another account is none.
    let other = fixture.other_account(&store).await;
    let (others, _) = used_key(&fixture, &store, other).await;
    let foreign = store.get_key(other, others).await.unwrap().unwrap().secrets[0].id;
    let filter = RequestFilter { secret_id: Some(foreign), ..RequestFilter::default() };
    let page = store.list_requests(account, &filter, RequestOrder::Newest, 100, None).await.unwrap();
    assert!(page.requests.is_empty());
    let usage = store.key_usage(account, key, Some(foreign), UsageSpan::Hour, NOON, NOON.plus(HOUR)).await;
    assert_eq!(usage.unwrap(), None);
    store.close().await;
}

async fn the_addresses_and_programs_of_a_forgotten_secret_are_deleted(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (key, hash) = used_key(&fixture, &store, account).await;
    store.requests().record(&by(&store, account, key, &hash, 1));
    store.get_key(account, key).await.unwrap();
    let left = async || {
        let sql = "SELECT address FROM usage_addresses UNION ALL SELECT program FROM usage_programs";
        select(&store, sql, vec![]).await.len()
    };
    assert_eq!(left().await, 2);
    for _ in 0..=MAX_ENDED_SECRETS {
        store.rotate_key(account, key, GraceSeconds::NONE, fixture.origin()).await.unwrap();
        fixture.clock.advance(Duration::from_secs(1));
    }
    assert_eq!(left().await, 2, "the secret is still on record");
    store.rotate_key(account, key, GraceSeconds::NONE, fixture.origin()).await.unwrap();
    assert_eq!(left().await, 0);
    store.close().await;
}

async fn histograms_of_durations_are_added_up(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (key, hash) = used_key(&fixture, &store, account).await;
    // In two segments, so that the second is added to the row of the first.
    for duration_us in [50, 2_000, 2_000, 70_000_000] {
        let mut request = answered(&store, account, key, &hash);
        request.facts.duration_us = duration_us;
        store.requests().record(&request);
        store.flush_usage().await.unwrap();
        store.roll_up_usage().await.unwrap();
    }
    let usage = store.key_usage(account, key, None, UsageSpan::Hour, NOON, NOON.plus(HOUR)).await;
    let row = usage.unwrap().unwrap().rows[0].clone();
    let mut expected = DurationHistogram::default();
    for (duration_us, requests) in [(50, 1), (2_000, 2), (70_000_000, 1)] {
        expected.observe(duration_us, requests);
    }
    assert_eq!((row.sum.durations, row.sum.duration_us), (expected, 70_004_050));
    store.close().await;
}

async fn usage_of_many_keys_is_that_of_each_key(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (one, one_hash) = used_key(&fixture, &store, account).await;
    let (two, two_hash) = used_key(&fixture, &store, account).await;
    let (unused, _) = used_key(&fixture, &store, account).await;
    let requests = [
        (one, &one_hash, 0, 200),
        (one, &one_hash, 0, 429),
        (two, &two_hash, 0, 200),
        (one, &one_hash, 61, 200),
    ];
    for (key, hash, minutes, status) in requests {
        let mut request = answered(&store, account, key, hash);
        request.facts.at = NOON.plus(Duration::from_mins(minutes));
        request.facts.status = status;
        store.requests().record(&request);
    }
    // An hour that is not asked for.
    let mut late = answered(&store, account, two, &two_hash);
    late.facts.at = NOON.plus(2 * HOUR);
    store.requests().record(&late);
    fixture.clock.advance(3 * HOUR);
    let asked = [two, unused, one];
    let usage =
        store.usage_of_keys(account, &asked, UsageSpan::Hour, NOON, NOON.plus(2 * HOUR)).await.unwrap();
    let seen = |key: KeyId| {
        let hours = |start: telepath_core::clock::Timestamp| start.since(NOON).as_secs() / 3600;
        usage[&key].iter().map(|row| (hours(row.start), row.status, row.requests)).collect::<Vec<_>>()
    };
    assert_eq!(seen(one), [(0, 200, 1), (0, 429, 1), (1, 200, 1)]);
    assert_eq!(seen(two), [(0, 200, 1)]);
    assert_eq!(seen(unused), []);
    for key in asked {
        let single = store.key_usage(account, key, None, UsageSpan::Hour, NOON, NOON.plus(2 * HOUR));
        let rows = single.await.unwrap().unwrap().rows;
        let single: u64 = rows.iter().map(|row| row.sum.requests).sum();
        assert_eq!(single, usage[&key].iter().map(|row| row.requests).sum::<u64>());
    }
    store.close().await;
}

async fn usage_of_many_keys_leaves_out_keys_that_are_not_within_reach(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let other = fixture.other_account(&store).await;
    let trunk = trunks::make(&fixture, &store, account, "mine").await.trunk.id;
    let limited = NewKey { trunks: TrunkAccess::of(vec![trunk]), ..new_key("limited") };
    let limited = fixture.key(&store, account, limited).await.0.record.id;
    let (wide, _) = used_key(&fixture, &store, account).await;
    let unknown: KeyId = store.new_id(NOON).unwrap();
    let asked = [limited, wide, unknown];
    let found = async |reach: Reach| {
        let usage = store.usage_of_keys(reach, &asked, UsageSpan::Day, NOON, NOON.plus(HOUR)).await.unwrap();
        asked.iter().filter(|key| usage.contains_key(key)).copied().collect::<Vec<_>>()
    };
    assert_eq!(found(account.into()).await, [limited, wide]);
    assert_eq!(found(Reach { account, trunks: TrunkAccess::of(vec![trunk]) }).await, [limited]);
    assert_eq!(found(other.into()).await, []);
    store.close().await;
}

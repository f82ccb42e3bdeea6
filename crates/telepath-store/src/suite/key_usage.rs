//! The hours and days of keys: they always agree with the buckets that tell routes, statuses and secrets apart.

use std::sync::Arc;
use std::time::Duration;

use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, KeyId};
use telepath_core::key::GraceSeconds;
use telepath_core::request::RouteNumber;
use telepath_core::secret::HashedKey;
use telepath_core::usage::UsageSpan;

use super::{Fixture, NOON, answered, behaviour, new_key, select};
use crate::error::StoreError;
use crate::migrate::MIGRATIONS;
use crate::overview::BusyKey;
use crate::sql::Connection;
use crate::store::Store;
use crate::usage::KeyHour;

behaviour! {
    the_busiest_minute_counts_all_routes_secrets_and_rollups_but_no_request_beyond_the_limit,
    late_requests_are_added_to_the_hour_and_day_in_which_they_were_sent,
    the_migration_counts_what_earlier_versions_have_counted,
    the_busiest_keys_of_a_range_are_listed_with_their_errors,
    hours_of_keys_are_those_of_the_account,
}

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

type Sums = (String, String, i64, [i64; 4]);

async fn sums(store: &Store, sql: &'static str) -> Vec<Sums> {
    let rows = select(store, sql, vec![]).await;
    let sum = |row: &crate::sql::Row| {
        let figure = |place: usize| row.integer(place).unwrap();
        (row.text(0).unwrap(), row.text(1).unwrap(), figure(2), [figure(3), figure(4), figure(5), figure(6)])
    };
    rows.iter().map(sum).collect()
}

async fn hours_and_days(store: &Store) -> Vec<Sums> {
    sums(
        store,
        "SELECT key_id, span, start, requests, errors, limited, busiest_minute FROM key_usage \
         ORDER BY key_id, span, start",
    )
    .await
}

/// Checks the hours and days against the buckets, while no minute has expired.
pub(super) async fn check(store: &Store) {
    let expected = sums(
        store,
        "SELECT h.key_id, h.span, h.start, CAST(sum(m.requests) AS BIGINT), CAST(sum(m.errors) AS BIGINT), \
           CAST(sum(m.limited) AS BIGINT), CAST(max(m.requests - m.limited) AS BIGINT) \
         FROM (SELECT DISTINCT key_id, span, start, \
             CASE span WHEN 'hour' THEN 3600000 ELSE 86400000 END AS length FROM usage_buckets WHERE span <> 'minute') h \
         JOIN (SELECT key_id, start, sum(requests) AS requests, \
             sum(CASE WHEN status >= 400 THEN requests ELSE 0 END) AS errors, \
             sum(CASE WHEN status = 429 THEN requests ELSE 0 END) AS limited \
           FROM usage_buckets WHERE span = 'minute' GROUP BY key_id, start) m \
           ON m.key_id = h.key_id AND m.start >= h.start AND m.start < h.start + h.length \
         GROUP BY h.key_id, h.span, h.start ORDER BY h.key_id, h.span, h.start",
    )
    .await;
    assert_eq!(hours_and_days(store).await, expected);
}

async fn used_key(fixture: &Fixture, store: &Store, account: AccountId) -> (KeyId, HashedKey) {
    let (created, hash) = fixture.key(store, account, new_key("used")).await;
    (created.record.id, hash)
}

/// A request of a key, at a time.
fn send(store: &Store, account: AccountId, (key, hash): (KeyId, &HashedKey), at: Timestamp, status: u16) {
    let mut request = answered(store, account, key, hash);
    (request.facts.at, request.facts.status) = (at, status);
    store.requests().record(&request);
}

async fn roll_up(store: &Store) {
    store.flush_usage().await.unwrap();
    store.roll_up_usage().await.unwrap();
}

async fn the_busiest_minute_counts_all_routes_secrets_and_rollups_but_no_request_beyond_the_limit(
    fixture: Arc<Fixture>,
) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    store.requests().name_routes(vec!["GET /v1/trunks".to_owned()]);
    let (key, old) = used_key(&fixture, &store, account).await;
    let rotated = store.rotate_key(account, key, GraceSeconds::MAX, fixture.origin()).await.unwrap();
    let new = store.vault().hash_key(&rotated.secret);
    for round in 0..3 {
        for (hash, route, status) in [(&old, None, 200), (&new, Some(RouteNumber(0)), 404), (&new, None, 429)]
        {
            let mut request = answered(&store, account, key, hash);
            (request.facts.status, request.route) = (status, route);
            // The first round is in another minute.
            request.facts.at = if round == 0 { NOON.minus(MINUTE) } else { NOON };
            store.requests().record(&request);
        }
        roll_up(&store).await;
    }
    check(&store).await;
    let hours = select(&store, "SELECT * FROM key_usage WHERE span = 'hour' ORDER BY start", vec![]).await;
    let figures = ["requests", "errors", "limited", "busiest_minute"];
    let figures = |place: usize| figures.map(|figure| hours[place].integer(figure).unwrap());
    assert_eq!([figures(0), figures(1)], [[3, 2, 1, 2], [6, 4, 2, 4]]);
    store.close().await;
}

async fn late_requests_are_added_to_the_hour_and_day_in_which_they_were_sent(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (key, hash) = used_key(&fixture, &store, account).await;
    // Each batch holds requests before and after midnight.
    for _ in 0..3 {
        for hours in [0, 11, 12, 13] {
            send(&store, account, (key, &hash), NOON.plus(hours * HOUR), 200);
        }
        roll_up(&store).await;
    }
    check(&store).await;
    let days =
        select(&store, "SELECT requests FROM key_usage WHERE span = 'day' ORDER BY start", vec![]).await;
    let days: Vec<_> = days.iter().map(|row| row.integer("requests").unwrap()).collect();
    assert_eq!(days, [6, 6]);
    store.close().await;
}

async fn migrate_again(db: &mut Connection) -> Result<(), StoreError> {
    let migration = MIGRATIONS.iter().find(|migration| migration.name == "0044_key_usage").unwrap();
    db.execute("DROP TABLE key_usage", vec![]).await?;
    let script = match db {
        Connection::Sqlite(_) | Connection::SqliteReader(_) => migration.sqlite,
        Connection::Postgres(_) | Connection::PostgresOwn(_) => migration.postgres,
    };
    db.script(script).await
}

async fn the_migration_counts_what_earlier_versions_have_counted(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    for _ in 0..2 {
        let (key, hash) = used_key(&fixture, &store, account).await;
        for (minutes, status) in [(0, 200), (0, 200), (1, 429), (61, 404), (800, 200)] {
            send(&store, account, (key, &hash), NOON.plus(MINUTE * minutes), status);
        }
    }
    roll_up(&store).await;
    let counted = hours_and_days(&store).await;
    assert_eq!(counted.len(), 2 * (3 + 2));
    store.backend.write(|db: &mut Connection| Box::pin(migrate_again(db))).await.unwrap();
    assert_eq!(hours_and_days(&store).await, counted);
    store.close().await;
}

async fn the_busiest_keys_of_a_range_are_listed_with_their_errors(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let other = fixture.other_account(&store).await;
    let mut ids = Vec::new();
    for number in 0..7_u32 {
        let (key, hash) = used_key(&fixture, &store, account).await;
        // Before the ranges, in their first hours and minutes, and at their end. The last key is not used.
        for (minutes, requests) in
            [(0, 100), (10 * 60, number * 2), (24 * 60 + 30, number), (25 * 60 + 10, number)]
        {
            for place in 0..if number == 6 { 0 } else { requests } {
                let status = if place == 0 { 500 } else { 200 };
                send(&store, account, (key, &hash), NOON.plus(MINUTE * minutes), status);
            }
        }
        ids.push(key);
    }
    let (theirs, their_hash) = used_key(&fixture, &store, other).await;
    send(&store, other, (theirs, &their_hash), NOON.plus(25 * HOUR), 200);
    fixture.clock.advance(25 * HOUR + 20 * MINUTE);
    let busiest = async |span, back| {
        let start = NOON.plus(25 * HOUR + 20 * MINUTE).minus(back);
        store.overview(account, span, start).await.unwrap().busiest_keys
    };
    let expected = |times: u64, errors: u64| {
        let busy = |number: u64| BusyKey {
            id: ids[usize::try_from(number).unwrap()],
            name: "used".to_owned(),
            requests: number * times,
            errors,
        };
        (1..6).rev().map(busy).collect::<Vec<_>>()
    };
    assert_eq!(busiest(UsageSpan::Hour, 23 * HOUR).await, expected(4, 3));
    assert_eq!(busiest(UsageSpan::Minute, HOUR).await, expected(2, 2));
    assert_eq!(busiest(UsageSpan::Minute, 40 * MINUTE).await, expected(1, 1));
    let all = busiest(UsageSpan::Day, 24 * HOUR).await;
    assert_eq!((all[0].id, all[0].requests, all[0].errors), (ids[5], 120, 4), "the whole first day counts");
    store.close().await;
}

async fn hours_of_keys_are_those_of_the_account(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let other = fixture.other_account(&store).await;
    let (key, hash) = used_key(&fixture, &store, account).await;
    let (unused, _) = used_key(&fixture, &store, account).await;
    for (hours, status) in [(0, 200), (2, 404), (2, 200), (3, 200)] {
        send(&store, account, (key, &hash), NOON.plus(HOUR * hours), status);
    }
    let asked = [key, unused];
    let hours = |account| store.hours_of_keys(account, &asked, NOON, NOON.plus(3 * HOUR));
    let found = hours(account).await.unwrap();
    let hour = |hours: u32, requests, errors| KeyHour { start: NOON.plus(HOUR * hours), requests, errors };
    assert_eq!(found.into_iter().collect::<Vec<_>>(), [(key, vec![hour(0, 1, 0), hour(2, 2, 1)])]);
    assert!(hours(other).await.unwrap().is_empty());
    assert!(store.hours_of_keys(account, &[], NOON, NOON.plus(HOUR)).await.unwrap().is_empty());
    store.close().await;
}

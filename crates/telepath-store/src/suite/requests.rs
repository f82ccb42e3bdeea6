//! Reading the request log: pages without gaps or duplicates in both directions, filters, bounds.

use std::sync::Arc;
use std::time::Duration;

use telepath_core::id::{AccountId, Id as _, KeyId, UserId};
use telepath_core::request::{RequestCaller, RequestFilter, RequestRecord, StatusFilter};
use telepath_core::secret::HashedKey;

use super::{Fixture, NOON, answered, behaviour, new_key};
use crate::request_log::count::{RequestCounts, RequestSlots};
use crate::request_log::read::{RequestCursor, RequestOrder};
use crate::store::Store;

behaviour! {
    pages_in_both_directions_contain_each_request_once,
    forward_reads_continue_with_new_requests,
    the_end_of_the_log_divides_it_without_gap_or_overlap,
    requests_are_counted_by_slot_and_status_from_counters_and_from_the_log,
    one_request_is_found_as_soon_as_it_is_written,
    filters_match_old_requests,
    requests_of_another_account_are_not_visible,
    a_logged_request_is_returned_with_its_details,
    a_request_of_a_user_is_logged_and_counted_for_no_key,
    names_are_those_of_the_account,
}

/// Records `count` requests, one per second, `each` per segment.
async fn answer(
    fixture: &Fixture,
    store: &Store,
    key: (AccountId, KeyId, &HashedKey),
    count: usize,
    each: usize,
) {
    for number in 1..=count {
        fixture.clock.advance(Duration::from_secs(1));
        let mut request = answered(store, key.0, key.1, key.2);
        request.facts.status = if number % 10 == 0 { 404 } else { 200 };
        store.requests().record(&request);
        if number % each == 0 {
            store.flush_usage().await.unwrap();
        }
    }
    store.flush_usage().await.unwrap();
    // On PostgreSQL, forward reads lag behind.
    fixture.clock.advance(Duration::from_secs(3));
}

async fn read(
    store: &Store,
    account: AccountId,
    filter: &RequestFilter,
    order: RequestOrder,
    limit: usize,
    mut cursor: Option<RequestCursor>,
) -> (Vec<RequestRecord>, Option<RequestCursor>) {
    let mut all = Vec::new();
    loop {
        let page = store.list_requests(account, filter, order, limit, cursor).await.unwrap();
        assert!(page.requests.len() <= limit);
        let (empty, same) = (page.requests.is_empty(), page.next == cursor);
        all.extend(page.requests);
        cursor = page.next;
        if cursor.is_none() || (order == RequestOrder::Oldest && empty) || same {
            return (all, cursor);
        }
    }
}

async fn pages_in_both_directions_contain_each_request_once(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (created, hash) = fixture.key(&store, account, new_key("k")).await;
    answer(&fixture, &store, (account, created.record.id, &hash), 100, 7).await;
    let everything = RequestFilter::default();
    for limit in [1, 3, 7, 100] {
        let (newest, end) = read(&store, account, &everything, RequestOrder::Newest, limit, None).await;
        let times: Vec<_> = newest.iter().map(|request| request.facts.at.since(NOON).as_secs()).collect();
        assert_eq!(times, (1..=100).rev().collect::<Vec<_>>(), "{limit} at a time");
        assert_eq!(end, None);
        let (mut oldest, end) = read(&store, account, &everything, RequestOrder::Oldest, limit, None).await;
        oldest.reverse();
        assert_eq!(oldest, newest, "{limit} at a time");
        assert!(end.is_some());
    }
    store.close().await;
}

async fn forward_reads_continue_with_new_requests(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (created, hash) = fixture.key(&store, account, new_key("k")).await;
    let key = (account, created.record.id, &hash);
    let everything = RequestFilter::default();
    let (nothing, mut cursor) = read(&store, account, &everything, RequestOrder::Oldest, 5, None).await;
    assert!(nothing.is_empty() && cursor.is_some());
    let mut seen = 0;
    for round in 1..=5 {
        answer(&fixture, &store, key, 9, 4).await;
        let (new, next) = read(&store, account, &everything, RequestOrder::Oldest, 5, cursor).await;
        seen += new.len();
        assert_eq!(seen, round * 9);
        cursor = next;
    }
    store.close().await;
}

async fn the_end_of_the_log_divides_it_without_gap_or_overlap(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (created, hash) = fixture.key(&store, account, new_key("k")).await;
    let (key, everything) = ((account, created.record.id, &hash), RequestFilter::default());
    let empty = store.request_log_end(account).await.unwrap();
    answer(&fixture, &store, key, 7, 3).await;
    let (all, _) = read(&store, account, &everything, RequestOrder::Oldest, 5, Some(empty)).await;
    assert_eq!(all.len(), 7, "the end of an empty log is its beginning");
    let end = store.request_log_end(account).await.unwrap();
    answer(&fixture, &store, key, 5, 2).await;
    let (before, _) = read(&store, account, &everything, RequestOrder::Newest, 5, Some(end)).await;
    let (after, _) = read(&store, account, &everything, RequestOrder::Oldest, 5, Some(end)).await;
    assert_eq!((before.len(), after.len()), (7, 5));
    let other = fixture.other_account(&store).await;
    let theirs = store.request_log_end(other).await.unwrap();
    assert_eq!(theirs, empty, "the end of the log of another account is not this one's");
    store.close().await;
}

async fn requests_are_counted_by_slot_and_status_from_counters_and_from_the_log(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (created, hash) = fixture.key(&store, account, new_key("k")).await;
    answer(&fixture, &store, (account, created.record.id, &hash), 150, 7).await;
    let other = fixture.other_account(&store).await;
    let (theirs, their_hash) = fixture.key(&store, other, new_key("theirs")).await;
    answer(&fixture, &store, (other, theirs.record.id, &their_hash), 2, 2).await;
    let slots = RequestSlots { start: NOON, length: Duration::from_mins(1), count: 5 };
    let everything = RequestFilter::default();
    let of_key = RequestFilter { key_id: Some(created.record.id), ..everything.clone() };
    // No counter knows of paths or of seconds.
    let by_path = RequestFilter { path: Some("/v1/suite".to_owned()), ..everything.clone() };
    let found = store.list_requests(account, &by_path, RequestOrder::Newest, 500, None).await.unwrap();
    assert_eq!(found.requests.len(), 150, "the path is that of all");
    for filter in [&everything, &of_key, &by_path] {
        let counts = store.count_requests(account, filter, slots).await.unwrap();
        let rows: Vec<_> = counts.rows.iter().map(|row| (row.slot, row.status, row.requests)).collect();
        let expected = [(0, 200, 54), (0, 404, 5), (1, 200, 54), (1, 404, 6), (2, 200, 27), (2, 404, 4)];
        assert_eq!((rows, counts.since), (expected.to_vec(), None), "{filter:?}");
    }
    let failed = RequestFilter { status: Some(StatusFilter::Class(4)), ..everything.clone() };
    let from_counters = store.count_requests(account, &failed, slots).await.unwrap();
    let seconds = RequestSlots { length: Duration::from_secs(1), count: 300, ..slots };
    let from_log = store.count_requests(account, &failed, seconds).await.unwrap();
    let sum = |counts: &RequestCounts| counts.rows.iter().map(|row| row.requests).sum::<u64>();
    assert_eq!((sum(&from_counters), sum(&from_log)), (15, 15));
    let dated = RequestFilter { start: Some(NOON.plus(Duration::from_secs(11))), ..everything };
    let part = store.count_requests(account, &dated, slots).await.unwrap();
    assert_eq!(sum(&part), 140, "a range that begins within a slot is not that of the counters");
    store.close().await;
}

async fn one_request_is_found_as_soon_as_it_is_written(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (created, hash) = fixture.key(&store, account, new_key("k")).await;
    store.requests().record(&answered(&store, account, created.record.id, &hash));
    store.flush_usage().await.unwrap();
    let newest = store.list_requests(account, &RequestFilter::default(), RequestOrder::Newest, 1, None).await;
    let id = newest.unwrap().requests[0].id;
    let filter = RequestFilter { id: Some(id), ..RequestFilter::default() };
    for order in [RequestOrder::Newest, RequestOrder::Oldest] {
        let found = store.list_requests(account, &filter, order, 1, None).await.unwrap().requests;
        assert_eq!(found.first().map(|request| request.id), Some(id), "{order:?}");
    }
}

async fn filters_match_old_requests(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (created, hash) = fixture.key(&store, account, new_key("k")).await;
    answer(&fixture, &store, (account, created.record.id, &hash), 200, 1).await;
    let errors = RequestFilter { status: Some(StatusFilter::Class(4)), ..RequestFilter::default() };
    let (found, _) = read(&store, account, &errors, RequestOrder::Newest, 6, None).await;
    assert_eq!(found.len(), 20);
    let one = RequestFilter { id: Some(found[13].id), ..RequestFilter::default() };
    for order in [RequestOrder::Newest, RequestOrder::Oldest] {
        let page = store.list_requests(account, &one, order, 10, None).await.unwrap();
        assert_eq!(page.requests, [found[13].clone()]);
    }
    let (start, end) = (Some(NOON.plus(Duration::from_secs(50))), Some(NOON.plus(Duration::from_mins(1))));
    let between = RequestFilter { start, end, ..RequestFilter::default() };
    for order in [RequestOrder::Newest, RequestOrder::Oldest] {
        let (found, _) = read(&store, account, &between, order, 100, None).await;
        assert_eq!(found.len(), 11);
    }
    store.close().await;
}

async fn requests_of_another_account_are_not_visible(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let other = fixture.other_account(&store).await;
    let (created, hash) = fixture.key(&store, account, new_key("k")).await;
    let (theirs, their_hash) = fixture.key(&store, other, new_key("theirs")).await;
    let everything = RequestFilter::default();
    store.requests().record(&answered(&store, other, theirs.record.id, &their_hash));
    answer(&fixture, &store, (account, created.record.id, &hash), 3, 3).await;
    let (found, _) = read(&store, account, &everything, RequestOrder::Newest, 10, None).await;
    assert_eq!(found.len(), 3);
    let (found, _) = read(&store, other, &everything, RequestOrder::Newest, 10, None).await;
    assert_eq!(
        found.iter().map(|request| request.facts.caller.key()).collect::<Vec<_>>(),
        [Some(theirs.record.id)]
    );
    store.close().await;
}

async fn a_logged_request_is_returned_with_its_details(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (created, hash) = fixture.key(&store, account, new_key("k")).await;
    let secret = created.secret.reveal();
    let mut request = answered(&store, account, created.record.id, &hash);
    let path = format!("/v1/{}", secret.expose());
    request.path = Some(&path);
    request.user_agent = secret.expose().as_bytes();
    request.error = Some(telepath_core::error::ErrorCode::NotFound);
    store.requests().record(&request);
    store.flush_usage().await.unwrap();
    fixture.clock.advance(Duration::from_secs(3));
    let everything = RequestFilter::default();
    let page = store.list_requests(account, &everything, RequestOrder::Newest, 10, None);
    let shown = page.await.unwrap().requests.remove(0);
    assert_eq!((shown.path.as_str(), shown.user_agent.as_deref()), ("…", Some("…")));
    assert_eq!((shown.error.as_deref(), shown.route), (Some("NOT_FOUND"), None));
    assert_eq!((shown.id, shown.facts), (request.id, request.facts));
    let payloads = super::select(&store, "SELECT payload FROM request_payloads", vec![]).await;
    let body = &secret.expose().as_bytes()[8..];
    for row in payloads {
        let bytes = row.bytes("payload").unwrap();
        assert!(!bytes.windows(body.len()).any(|window| window == body));
    }
    store.close().await;
}

async fn a_request_of_a_user_is_logged_and_counted_for_no_key(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (created, hash) = fixture.key(&store, account, new_key("k")).await;
    let users = [UserId::from_bytes([1; 16]), UserId::from_bytes([2; 16])];
    for user in users {
        let mut request = answered(&store, account, created.record.id, &hash);
        request.facts.caller = RequestCaller::User(user);
        request.facts.status = 403;
        store.requests().record(&request);
    }
    answer(&fixture, &store, (account, created.record.id, &hash), 3, 3).await;
    let everything = RequestFilter::default();
    let by_user = RequestFilter { user_id: Some(users[0]), ..RequestFilter::default() };
    let by_key = RequestFilter { key_id: Some(created.record.id), ..RequestFilter::default() };
    for (filter, count) in [(everything, 5), (by_user.clone(), 1), (by_key, 3)] {
        let (found, _) = read(&store, account, &filter, RequestOrder::Newest, 10, None).await;
        assert_eq!(found.len(), count, "{filter:?}");
    }
    let (found, _) = read(&store, account, &by_user, RequestOrder::Oldest, 10, None).await;
    assert_eq!((found[0].facts.caller.user(), found[0].facts.caller.key()), (Some(users[0]), None));
    let key = store.get_key(account, created.record.id).await.unwrap().unwrap();
    assert_eq!((key.request_count, key.error_count), (3, 0));
    let counted = super::select(&store, "SELECT key_id FROM usage_buckets", vec![]).await;
    assert!(counted.iter().all(|row| row.text("key_id").unwrap() == created.record.id.to_string()));
    store.close().await;
}

async fn names_are_those_of_the_account(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let other = fixture.other_account(&store).await;
    let (created, _) = fixture.key(&store, account, new_key("ci smoke tests")).await;
    let (theirs, _) = fixture.key(&store, other, new_key("theirs")).await;
    let ids = [created.record.id.to_string(), theirs.record.id.to_string(), "nonsense".to_owned()];
    let names = store.names(account, &ids).await.unwrap();
    assert_eq!(names.len(), 1, "{names:?}");
    let named = &names[&ids[0]];
    assert_eq!((named.name.as_str(), named.secret), ("ci smoke tests", Some(created.record.secrets[0].id)));
    assert!(store.names(account, &[]).await.unwrap().is_empty());
    store.close().await;
}

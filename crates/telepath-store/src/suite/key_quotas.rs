//! Quotas per calendar day and month: exact, kept across restarts, and one count for all servers.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use telepath_core::clock::Timestamp;
use telepath_core::key::{KeyPatch, NewKey, QuotasPatch};
use telepath_core::limit::quota::Quotas;
use telepath_core::limit::{Period, WindowState};
use telepath_core::patch::Patch;
use telepath_core::secret::HashedKey;

use super::cluster::{admission, with_two};
use super::{Fixture, NOON, behaviour, limit, new_key, reading};
use crate::key_table::Admission;
use crate::store::Store;

behaviour! {
    a_quota_admits_exactly_its_requests_until_midnight_utc,
    a_clean_stop_keeps_the_counts_of_quotas,
    a_kill_loses_only_the_requests_since_the_last_write,
    changing_a_quota_keeps_the_count,
    requests_refused_by_a_quota_do_not_use_up_the_window,
}

mod together {
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn servers_share_one_quota() {
        super::with_two(super::servers_share_one_quota).await;
    }
}

const DAY: Duration = Duration::from_hours(24);

fn quotas(per_day: u32, per_month: u32) -> Quotas {
    Quotas { per_day: NonZeroU32::new(per_day), per_month: NonZeroU32::new(per_month) }
}

fn admit(store: &Store, hash: &HashedKey, at: Timestamp) -> Result<WindowState, WindowState> {
    let handle = store.keys().find(hash).unwrap();
    match super::admit(store, &handle, hash, "192.0.2.7".parse().unwrap(), reading(at)) {
        Admission::Admitted { window, .. } => Ok(window),
        Admission::Limited { window } => Err(window),
        other => panic!("{other:?}"),
    }
}

/// How many of some requests are admitted.
fn admitted(store: &Store, hash: &HashedKey, at: Timestamp, requests: usize) -> usize {
    (0..requests).filter(|_| admit(store, hash, at).is_ok()).count()
}

async fn a_quota_admits_exactly_its_requests_until_midnight_utc(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let new = NewKey { quotas: quotas(3, 5), ..new_key("k") };
    let (created, hash) = fixture.key(&store, account, new).await;
    assert_eq!(created.record.quotas, quotas(3, 5));
    assert_eq!(admitted(&store, &hash, NOON, 10), 3);
    let full = admit(&store, &hash, NOON).unwrap_err();
    assert_eq!((full.period(), full.limit.get(), full.remaining), (Period::Day, 3, 0));
    let midnight = NOON.unix_seconds().div_euclid(86_400) * 86_400 + 86_400;
    assert_eq!(full.reset_at(NOON), midnight);
    let midnight = Timestamp::from_unix_seconds(midnight);
    assert_eq!(admitted(&store, &hash, midnight.minus(Duration::from_millis(1)), 1), 0);
    assert_eq!(admitted(&store, &hash, midnight, 10), 2);
    assert_eq!(admit(&store, &hash, midnight).unwrap_err().period(), Period::Month);
    store.close().await;
}

async fn a_clean_stop_keeps_the_counts_of_quotas(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (_, hash) = fixture.key(&store, account, NewKey { quotas: quotas(3, 0), ..new_key("k") }).await;
    assert_eq!(admitted(&store, &hash, NOON, 2), 2);
    store.close().await;
    fixture.clock.advance(Duration::from_mins(10));
    let store = fixture.open().await;
    assert_eq!(admitted(&store, &hash, store.now(), 5), 1);
    store.close().await;
    let store = fixture.open().await;
    assert_eq!(admitted(&store, &hash, store.now(), 5), 0);
    assert_eq!(admitted(&store, &hash, store.now().plus(DAY), 5), 3);
    store.close().await;
}

async fn a_kill_loses_only_the_requests_since_the_last_write(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (_, hash) = fixture.key(&store, account, NewKey { quotas: quotas(0, 4), ..new_key("k") }).await;
    assert_eq!(admitted(&store, &hash, NOON, 2), 2);
    store.flush_usage().await.unwrap();
    assert_eq!(admitted(&store, &hash, NOON, 1), 1);
    // As in a kill, nothing more is written.
    store.cluster.isolate().await;
    store.backend.close().await;
    drop(store);
    let store = fixture.open().await;
    assert_eq!(admitted(&store, &hash, store.now(), 9), 2);
    store.close().await;
}

async fn changing_a_quota_keeps_the_count(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (created, hash) = fixture.key(&store, account, NewKey { quotas: quotas(3, 0), ..new_key("k") }).await;
    let id = created.record.id;
    assert_eq!(admitted(&store, &hash, NOON, 9), 3);
    let change = async |per_day| {
        let quotas = QuotasPatch { per_day, per_month: Patch::Keep };
        let patch = KeyPatch { quotas, ..KeyPatch::default() };
        store.update_key(account, id, patch, fixture.origin()).await.unwrap()
    };
    let raised = change(Patch::Set(NonZeroU32::new(5).unwrap())).await;
    assert_eq!(raised.quotas, quotas(5, 0));
    assert_eq!(admitted(&store, &hash, NOON, 9), 2);
    change(Patch::Clear).await;
    assert_eq!(admitted(&store, &hash, NOON, 9), 9);
    change(Patch::Set(NonZeroU32::new(5).unwrap())).await;
    assert_eq!(admitted(&store, &hash, NOON, 9), 0, "what was counted stays counted");
    store.close().await;
}

async fn requests_refused_by_a_quota_do_not_use_up_the_window(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let new = NewKey { quotas: quotas(2, 0), rate_limit: limit(4), ..new_key("k") };
    let (created, hash) = fixture.key(&store, account, new).await;
    assert_eq!(admitted(&store, &hash, NOON, 9), 2);
    let quotas = QuotasPatch { per_day: Patch::Clear, per_month: Patch::Keep };
    let patch = KeyPatch { quotas, ..KeyPatch::default() };
    store.update_key(account, created.record.id, patch, fixture.origin()).await.unwrap();
    assert_eq!(admit(&store, &hash, NOON).unwrap().remaining, 1);
    store.close().await;
}

async fn servers_share_one_quota(fixture: Arc<Fixture>, one: Arc<Store>, other: Arc<Store>) {
    let account = fixture.account(&one).await.id;
    let (_, hash) =
        fixture.key(&one, account, NewKey { quotas: quotas(5, 1000), ..new_key("counted") }).await;
    let mut admitted = 0;
    let mut refused = 0;
    for store in [&one, &other].into_iter().cycle().take(12) {
        match admission(store, &hash).await {
            Admission::Admitted { .. } => admitted += 1,
            Admission::Limited { window } => {
                assert_eq!((window.period(), window.limit.get(), window.remaining), (Period::Day, 5, 0));
                refused += 1;
            }
            decided => panic!("{decided:?}"),
        }
    }
    assert_eq!((admitted, refused), (5, 7));
    one.close().await;
    other.close().await;
}

//! Lists that are read page by page while their rows change.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use telepath_core::entropy::{Entropy as _, SystemEntropy};
use telepath_core::id::{AccountId, KeyId};
use telepath_core::key::{KeyFilter, KeyStatus};
use telepath_core::page::{MAX_EXACT_TOTAL, PageRequest, PageStart, Total};

use super::{Fixture, behaviour, execute, new_key};
use crate::sql::binds;
use crate::store::Store;

behaviour! {
    revoking_every_listed_key_while_paging_reaches_all_of_them,
    pages_by_cursor_neither_skip_nor_repeat_rows_that_stay,
    a_cursor_stays_valid_when_its_row_is_gone,
    a_total_beyond_a_thousand_is_a_lower_bound,
    a_page_and_its_total_agree_while_rows_are_added,
    a_page_beyond_the_end_has_the_total,
}

async fn revoking_every_listed_key_while_paging_reaches_all_of_them(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    for place in 0..30 {
        fixture.key(&store, account, new_key(&format!("key {place}"))).await;
    }
    let active = KeyFilter { status: Some(KeyStatus::Active), ..KeyFilter::default() };
    let (mut revoked, mut start) = (0, Some(PageStart::Offset(0)));
    while let Some(from) = start {
        let page = PageRequest::starting(10, from).unwrap();
        let listed = store.list_keys(account, active.clone(), page).await.unwrap();
        for key in listed.items {
            store.revoke_key(account, key.id, None, fixture.origin()).await.unwrap();
            revoked += 1;
        }
        start = listed.position.next.map(PageStart::After);
    }
    assert_eq!(revoked, 30);
    assert_eq!(store.list_keys(account, active, PageRequest::default()).await.unwrap().count(), Some(0));
    store.close().await;
}

/// Numbers of a linear congruential generator; the seed is printed when a test fails.
struct Numbers(u64);

impl Numbers {
    fn seeded() -> Self {
        let mut seed = [0; 8];
        SystemEntropy::default().fill(&mut seed).unwrap();
        let seed = u64::from_le_bytes(seed);
        println!("seed {seed}");
        Self(seed)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

async fn erase(store: &Store, id: KeyId) {
    for sql in ["DELETE FROM key_secrets WHERE key_id = $1", "DELETE FROM keys WHERE id = $1"] {
        execute(store, sql, binds![id.to_string()]).await;
    }
}

async fn pages_by_cursor_neither_skip_nor_repeat_rows_that_stay(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let mut numbers = Numbers::seeded();
    let mut alive: Vec<KeyId> = Vec::new();
    for place in 0..40 {
        // Several keys share a creation time, so that only their ids order them.
        fixture.clock.advance(Duration::from_millis(numbers.below(3) as u64));
        alive.push(fixture.key(&store, account, new_key(&format!("key {place}"))).await.0.record.id);
    }
    for _ in 0..3 {
        let mut stayed: HashSet<KeyId> = alive.iter().copied().collect();
        let (mut seen, mut start) = (Vec::new(), Some(PageStart::Offset(0)));
        while let Some(from) = start {
            let limit = u32::try_from(1 + numbers.below(5)).unwrap();
            let page = PageRequest::starting(limit, from).unwrap();
            let listed = store.list_keys(account, KeyFilter::default(), page).await.unwrap();
            seen.extend(listed.items.iter().map(|key| key.id));
            start = listed.position.next.map(PageStart::After);
            for _ in 0..numbers.below(3) {
                let gone = alive.swap_remove(numbers.below(alive.len()));
                erase(&store, gone).await;
                stayed.remove(&gone);
                fixture.clock.advance(Duration::from_millis(numbers.below(2) as u64));
                alive.push(fixture.key(&store, account, new_key("new")).await.0.record.id);
            }
        }
        let distinct: HashSet<KeyId> = seen.iter().copied().collect();
        assert_eq!(distinct.len(), seen.len(), "a row was repeated");
        assert!(stayed.is_subset(&distinct), "a row that stayed was skipped");
    }
    store.close().await;
}

async fn a_cursor_stays_valid_when_its_row_is_gone(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    for place in 0..3 {
        fixture.key(&store, account, new_key(&format!("key {place}"))).await;
    }
    let list = async |page| store.list_keys(account, KeyFilter::default(), page).await.unwrap();
    let all = list(PageRequest::default()).await.items;
    let first = list(PageRequest::new(1, 0).unwrap()).await;
    assert_eq!(first.items[0].id, all[0].id);
    erase(&store, all[0].id).await;
    let behind = PageStart::After(first.position.next.unwrap());
    let rest = list(PageRequest::starting(5, behind).unwrap()).await;
    assert_eq!((rest.items.as_slice(), rest.count()), (&all[1..], None));
    assert_eq!(rest.position.next, None);
    store.close().await;
}

/// Writes rows of keys without their secrets, because only their number matters.
async fn insert_keys(store: &Store, account: AccountId, count: u64) {
    let sql = "INSERT INTO keys (id, account_id, name, preset, scopes, rate_limit, allowed_ips, created_at, \
               created_by, request_count, error_count, version) \
               SELECT 'key_' || substr('00000000000000000000000000', 1, 26 - length(CAST(n AS TEXT))) || n, $1, \
               'n', 'testing', 'calls:read', 60, '', 0, 'local', 0, 0, 1 FROM \
               (WITH RECURSIVE counter(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counter WHERE n < $2) \
                SELECT n FROM counter) AS numbers";
    execute(store, sql, binds![account.to_string(), i64::try_from(count).unwrap()]).await;
}

async fn a_total_beyond_a_thousand_is_a_lower_bound(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    insert_keys(&store, account, MAX_EXACT_TOTAL).await;
    let total = async || {
        let page = PageRequest::new(1, 0).unwrap();
        store.list_keys(account, KeyFilter::default(), page).await.unwrap().position.total.unwrap()
    };
    assert_eq!(total().await, Total { count: MAX_EXACT_TOTAL, is_lower_bound: false });
    fixture.key(&store, account, new_key("one more")).await;
    assert_eq!(total().await, Total { count: MAX_EXACT_TOTAL, is_lower_bound: true });
    store.close().await;
}

async fn a_page_and_its_total_agree_while_rows_are_added(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let adding = {
        let (store, fixture) = (Arc::clone(&store), Arc::clone(&fixture));
        tokio::spawn(async move {
            for place in 0..40 {
                fixture.key(&store, account, new_key(&format!("key {place}"))).await;
            }
        })
    };
    let page = || PageRequest::starting(100, PageStart::Offset(0)).unwrap();
    loop {
        let last = adding.is_finished();
        let listed = store.list_keys(account, KeyFilter::default(), page()).await.unwrap();
        assert_eq!(listed.count(), Some(listed.items.len() as u64));
        if last {
            break;
        }
    }
    adding.await.unwrap();
    store.close().await;
}

async fn a_page_beyond_the_end_has_the_total(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    fixture.key(&store, account, new_key("only")).await;
    let page = PageRequest::starting(10, PageStart::Offset(1)).unwrap();
    let listed = store.list_keys(account, KeyFilter::default(), page).await.unwrap();
    assert_eq!((listed.count(), listed.items.len()), (Some(1), 0));
    store.close().await;
}

//! Which keys ask for attention.

use std::sync::Arc;
use std::time::Duration;

use telepath_core::id::AccountId;
use telepath_core::key::{GraceSeconds, NewKey};

use super::alerts::{raised, spike};
use super::{Fixture, NOON, answered, behaviour, limit, new_key};
use crate::key::safety::KeyFinding;
use crate::store::Store;

behaviour! {
    keys_are_found_by_their_age_their_expiry_and_their_use,
    keys_of_another_account_and_dead_keys_are_not_found,
}

const DAY: Duration = Duration::from_hours(24);

async fn findings(store: &Store, account: AccountId) -> Vec<(String, Vec<KeyFinding>)> {
    let safety = store.key_safety(account).await.unwrap();
    safety.keys.into_iter().map(|found| (found.key.name, found.findings)).collect()
}

async fn keys_are_found_by_their_age_their_expiry_and_their_use(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let until = |days: u32| NewKey { expires_at: Some(NOON.plus(DAY * days)), ..new_key("x") };
    let named = |name: &str, new: NewKey| NewKey { name: name.to_owned(), ..new };
    fixture.key(&store, account, named("removable", until(300))).await;
    let alarmed = fixture.key(&store, account, named("alarmed", until(300))).await.0.record.id;
    let rotating = fixture.key(&store, account, named("rotating", new_key("x"))).await.0.record.id;
    fixture.clock.advance(DAY * 90);
    store.rotate_key(account, rotating, GraceSeconds::MAX, fixture.origin()).await.unwrap();
    assert!(raised(&store, account, spike(alarmed)).await);
    fixture.key(&store, account, named("fine", until(300))).await;
    fixture.key(&store, account, new_key("forever")).await;
    let small = NewKey { rate_limit: limit(100), ..until(300) };
    let (busy, hash) = fixture.key(&store, account, named("busy", small.clone())).await;
    let (over, over_hash) = fixture.key(&store, account, named("over", small.clone())).await;
    let (calm, calm_hash) = fixture.key(&store, account, named("calm", small)).await;
    let send = |key, hash, times: u32, status| {
        for _ in 0..times {
            let mut request = answered(&store, account, key, hash);
            request.facts.status = status;
            store.requests().record(&request);
        }
    };
    send(busy.record.id, &hash, 95, 200);
    send(over.record.id, &over_hash, 1, 429);
    send(calm.record.id, &calm_hash, 94, 200);
    store.flush_usage().await.unwrap();
    let mut found = findings(&store, account).await;
    found.sort();
    let expected = [
        ("alarmed", vec![KeyFinding::Idle]),
        ("busy", vec![KeyFinding::NearLimit]),
        ("forever", vec![KeyFinding::NeverExpires]),
        ("over", vec![KeyFinding::NearLimit]),
        ("removable", vec![KeyFinding::SafeToRemove]),
        ("rotating", vec![KeyFinding::Idle, KeyFinding::NeverExpires]),
    ];
    assert_eq!(found, expected.map(|(name, findings)| (name.to_owned(), findings)));
    let safety = store.key_safety(account).await.unwrap();
    assert_eq!((safety.has_more, safety.idle_for, safety.limit_percent), (false, DAY * 90, 95));
    let busy = safety.keys.iter().find(|found| found.key.name == "busy").unwrap();
    assert_eq!((busy.busiest_minute, busy.limited), (95, 0));
    store.close().await;
}

async fn keys_of_another_account_and_dead_keys_are_not_found(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let gone = fixture.key(&store, account, new_key("gone")).await.0.record.id;
    store.revoke_key(account, gone, None, fixture.origin()).await.unwrap();
    let over = NewKey { expires_at: Some(NOON.plus(DAY)), ..new_key("over") };
    fixture.key(&store, account, over).await;
    fixture.clock.advance(DAY * 90);
    let other = fixture.other_account(&store).await;
    fixture.key(&store, other, new_key("theirs")).await;
    assert!(findings(&store, account).await.is_empty());
    assert_eq!(findings(&store, other).await.len(), 1);
    store.close().await;
}

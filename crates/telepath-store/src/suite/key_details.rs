//! Paused keys, and lists of keys that are searched and sorted.

use std::sync::Arc;
use std::time::Duration;

use telepath_core::id::{AccountId, Id as _, KeyId};
use telepath_core::key::{GraceSeconds, KeyFilter, KeyPatch, KeySort, KeyStatus, NewKey};
use telepath_core::page::{PageRequest, PageStart};
use telepath_core::patch::Patch;
use telepath_core::secret::HashedKey;

use super::{Fixture, NOON, admit, answered, behaviour, events_of, new_key, reading, select};
use crate::key::KeyChangeError;
use crate::key::overview::{IDLE_FOR, KeyCounts};
use crate::key_table::Admission;
use crate::sql::binds;
use crate::store::Store;

behaviour! {
    a_paused_key_is_refused_until_it_is_resumed,
    pausing_and_resuming_are_idempotent_and_recorded,
    a_paused_key_expires_and_is_revoked_like_any_other,
    description_and_metadata_are_kept_and_changed,
    keys_are_sorted_by_each_value,
    keys_are_found_by_name_id_mask_and_address,
    keys_of_an_account_are_counted_by_their_state,
}

fn is_admitted(store: &Store, hash: &HashedKey) -> bool {
    let handle = store.keys().find(hash).unwrap();
    match admit(store, &handle, hash, "192.0.2.7".parse().unwrap(), reading(NOON)) {
        Admission::Admitted { .. } => true,
        Admission::Unusable => false,
        other => panic!("{other:?}"),
    }
}

async fn a_paused_key_is_refused_until_it_is_resumed(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (created, hash) = fixture.key(&store, account, new_key("paused")).await;
    let id = created.record.id;
    assert!(is_admitted(&store, &hash));
    let paused = store.pause_key(account, id, fixture.origin()).await.unwrap();
    assert_eq!((paused.status(NOON), paused.paused_at), (KeyStatus::Paused, Some(NOON)));
    assert!(!is_admitted(&store, &hash));
    let by_itself = store.update_key(account, id, KeyPatch::default(), fixture.by(&created)).await;
    assert!(matches!(by_itself, Err(KeyChangeError::Escalation(_))), "a paused key grants nothing");
    let rotated =
        store.rotate_all_keys(account, GraceSeconds::new(0).unwrap(), fixture.origin()).await.unwrap();
    assert!(rotated.keys.iter().any(|key| key.record.id == id), "a paused key gets a new secret too");
    let renewed = store.vault().hash_key(&rotated.keys[0].secret);
    assert!(!is_admitted(&store, &renewed), "a new secret does not end the pause");
    store.close().await;
    let store = fixture.open().await;
    assert!(!is_admitted(&store, &renewed), "a restart keeps the pause");
    let filter = KeyFilter { status: Some(KeyStatus::Paused), ..KeyFilter::default() };
    assert_eq!(names(&store, account, filter).await, ["paused"]);
    let resumed = store.resume_key(account, id, fixture.origin()).await.unwrap();
    assert_eq!((resumed.status(NOON), resumed.paused_at), (KeyStatus::Active, None));
    assert!(is_admitted(&store, &renewed));
    store.close().await;
}

async fn pausing_and_resuming_are_idempotent_and_recorded(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (created, _) = fixture.key(&store, account, new_key("k")).await;
    let id = created.record.id;
    assert_eq!(store.resume_key(account, id, fixture.origin()).await.unwrap(), created.record);
    let paused = store.pause_key(account, id, fixture.origin()).await.unwrap();
    fixture.clock.advance(Duration::from_secs(5));
    assert_eq!(store.pause_key(account, id, fixture.origin()).await.unwrap(), paused);
    for _ in 0..2 {
        assert_eq!(store.resume_key(account, id, fixture.origin()).await.unwrap(), created.record);
    }
    let sql = "SELECT action FROM audit_events WHERE target = $1 ORDER BY position";
    let trail = select(&store, sql, binds![id.to_string()]).await;
    let actions: Vec<_> = trail.iter().map(|row| row.text("action").unwrap()).collect();
    assert_eq!(actions, ["key.created", "key.paused", "key.resumed"]);
    let events = events_of(&store, &id.to_string()).await;
    let kinds: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["key.created", "key.paused", "key.resumed"]);
    store.close().await;
}

async fn a_paused_key_expires_and_is_revoked_like_any_other(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let other = fixture.other_account(&store).await;
    let expires_at = Some(NOON.plus(Duration::from_mins(1)));
    let (created, _) = fixture.key(&store, account, NewKey { expires_at, ..new_key("k") }).await;
    let id = created.record.id;
    for foreign in [
        store.pause_key(other, id, fixture.origin()).await,
        store.resume_key(other, id, fixture.origin()).await,
        store.pause_key(account, KeyId::from_bytes([7; 16]), fixture.origin()).await,
    ] {
        assert!(matches!(foreign, Err(KeyChangeError::NotFound)));
    }
    let paused = store.pause_key(account, id, fixture.origin()).await.unwrap();
    assert_eq!(paused.status(NOON.plus(Duration::from_mins(1))), KeyStatus::Expired);
    let revoked = store.revoke_key(account, id, None, fixture.origin()).await.unwrap();
    assert_eq!(revoked.status(NOON), KeyStatus::Revoked);
    assert!(matches!(store.pause_key(account, id, fixture.origin()).await, Err(KeyChangeError::Revoked)));
    assert!(matches!(store.resume_key(account, id, fixture.origin()).await, Err(KeyChangeError::Revoked)));
    store.close().await;
}

async fn description_and_metadata_are_kept_and_changed(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let metadata: std::collections::BTreeMap<_, _> = [("team".to_owned(), "billing".to_owned())].into();
    let new = NewKey { description: Some("Nightly".into()), metadata: metadata.clone(), ..new_key("k") };
    let (created, _) = fixture.key(&store, account, new).await;
    let id = created.record.id;
    let read = store.get_key(account, id).await.unwrap().unwrap();
    assert_eq!((read.description.as_deref(), &read.metadata), (Some("Nightly"), &metadata));
    let rename = KeyPatch { name: Some("n".to_owned()), ..KeyPatch::default() };
    let kept = store.update_key(account, id, rename, fixture.origin()).await.unwrap();
    assert_eq!((kept.description.as_deref(), &kept.metadata), (Some("Nightly"), &metadata));
    let clear = KeyPatch { description: Patch::Clear, metadata: Some([].into()), ..KeyPatch::default() };
    let cleared = store.update_key(account, id, clear, fixture.origin()).await.unwrap();
    assert_eq!((cleared.description, cleared.metadata.len()), (None, 0));
    store.close().await;
}

/// The names of a list, read in pages of one key, so that each order is read through its cursors.
async fn names(store: &Store, account: AccountId, filter: KeyFilter) -> Vec<String> {
    let mut names = Vec::new();
    let mut start = Some(PageStart::Offset(0));
    while let Some(from) = start {
        let page = PageRequest::starting(1, from).unwrap();
        let listed = store.list_keys(account, filter.clone(), page).await.unwrap();
        names.extend(listed.items.into_iter().map(|key| key.name));
        start = listed.position.next.map(PageStart::After);
    }
    names
}

async fn keys_are_sorted_by_each_value(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let mut made = Vec::new();
    for (name, days) in [("Billing", Some(20)), ("back office", None), ("Agent", Some(10))] {
        fixture.clock.advance(Duration::from_millis(5));
        let expires_at = days.map(|days: u64| NOON.plus(Duration::from_hours(24 * days)));
        made.push(fixture.key(&store, account, NewKey { expires_at, ..new_key(name) }).await);
    }
    let (used, hash) = &made[1];
    store.requests().record(&answered(&store, account, used.record.id, hash));
    let sorted = async |sort, ascending| {
        names(&store, account, KeyFilter { sort, ascending, ..KeyFilter::default() }).await
    };
    assert_eq!(sorted(KeySort::CreatedAt, true).await, ["Billing", "back office", "Agent"]);
    assert_eq!(sorted(KeySort::Name, true).await, ["Agent", "back office", "Billing"]);
    assert_eq!(sorted(KeySort::Name, false).await, ["Billing", "back office", "Agent"]);
    assert_eq!(sorted(KeySort::ExpiresAt, true).await, ["Agent", "Billing", "back office"]);
    assert_eq!(sorted(KeySort::ExpiresAt, false).await, ["Billing", "Agent", "back office"]);
    assert_eq!(sorted(KeySort::LastUsedAt, false).await, ["back office", "Agent", "Billing"]);
    assert_eq!(sorted(KeySort::RequestCount, true).await, ["Billing", "Agent", "back office"]);
    store.close().await;
}

async fn keys_are_found_by_name_id_mask_and_address(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (billing, _) = fixture.key(&store, account, new_key("Billing 100%")).await;
    let expires_at = Some(NOON.plus(Duration::from_hours(1)));
    let (office, hash) = fixture.key(&store, account, NewKey { expires_at, ..new_key("back office") }).await;
    store.requests().record(&answered(&store, account, office.record.id, &hash));
    let found = async |text: &str| {
        names(&store, account, KeyFilter { search: Some(text.to_owned()), ..KeyFilter::default() }).await
    };
    assert_eq!(found("OFFICE").await, ["back office"]);
    assert_eq!(found("0%").await, ["Billing 100%"]);
    assert_eq!(found("%").await, ["Billing 100%"], "wildcards of LIKE stand for themselves");
    for nothing in ["_", "!", "'", "192.0.2.70", "192.0.2"] {
        assert_eq!(found(nothing).await, [""; 0], "{nothing}");
    }
    assert_eq!(found(&billing.record.id.to_string()).await, ["Billing 100%"]);
    for address in ["192.0.2.7", "::ffff:192.0.2.7"] {
        assert_eq!(found(address).await, ["back office"]);
    }
    let mask = billing.record.secrets[0].mask.as_str();
    let last_four: String = mask.chars().skip(mask.chars().count() - 4).collect();
    for text in [mask, &last_four] {
        assert_eq!(found(text).await, ["Billing 100%"]);
    }
    let expiring = async |never| {
        names(&store, account, KeyFilter { never_expires: Some(never), ..KeyFilter::default() }).await
    };
    assert_eq!(expiring(true).await, ["Billing 100%"]);
    assert_eq!(expiring(false).await, ["back office"]);
    store.close().await;
}

async fn keys_of_an_account_are_counted_by_their_state(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    assert_eq!(store.count_keys(account).await.unwrap(), KeyCounts::default());
    let day = Duration::from_hours(24);
    let until = |days: u32| NewKey { expires_at: Some(NOON.plus(day * days)), ..new_key("ends") };
    for new in [new_key("never"), until(1), until(30), until(31), new_key("revoked")] {
        fixture.key(&store, account, new).await;
    }
    let revoked = KeyFilter { search: Some("revoked".to_owned()), ..KeyFilter::default() };
    let page = store.list_keys(account, revoked, PageRequest::default()).await.unwrap();
    store.revoke_key(account, page.items[0].id, None, fixture.origin()).await.unwrap();
    let counts = store.count_keys(account).await.unwrap();
    let wanted = KeyCounts { total: 5, revoked: 1, current: 4, expire_soon: 2, never_expire: 1, ..counts };
    assert_eq!((counts, counts.idle, counts.expired), (wanted, 0, 0));
    fixture.clock.advance(IDLE_FOR);
    let counts = store.count_keys(account).await.unwrap();
    assert_eq!((counts.current, counts.expired, counts.idle), (1, 3, 1));
    let ended = |ended: bool| KeyFilter { ended: Some(ended), ..KeyFilter::default() };
    assert_eq!(names(&store, account, ended(false)).await, ["never"]);
    assert_eq!(names(&store, account, ended(true)).await.len(), 4);
    store.close().await;
}

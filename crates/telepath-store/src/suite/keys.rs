//! Keys: what is stored, who sees them, and how they change.

use std::sync::Arc;
use std::time::Duration;

use telepath_core::key::{KeyFilter, KeyPatch, KeyStatus, Preset};
use telepath_core::page::PageRequest;
use telepath_core::patch::Patch;

use super::{Fixture, NOON, admit, answered, behaviour, events_of, limit, new_key, reading, select};
use crate::key::KeyChangeError;

behaviour! {
    a_command_loads_no_keys_and_changes_them_all_the_same,
    a_created_key_is_found_and_listed_and_has_its_event,
    keys_of_another_account_do_not_exist,
    key_lists_filter_by_status_and_page,
    a_patch_changes_only_the_named_fields,
    revoking_is_final_and_idempotent,
    counters_are_current_and_survive_a_restart,
    only_a_hash_of_the_secret_is_stored,
    every_secret_of_a_key_is_found_after_a_restart,
}

const ADDRESS: &str = "192.0.2.7";

async fn a_created_key_is_found_and_listed_and_has_its_event(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await;
    let (created, hash) = fixture.key(&store, account.id, new_key("first")).await;
    assert_eq!(created.record.name, "first");
    assert_eq!(created.record.secrets[0].mask, created.secret.mask());
    let handle = store.keys().find(&hash).unwrap();
    assert_eq!((handle.key_id(), handle.account_id()), (created.record.id, account.id));
    let got = store.get_key(account.id, created.record.id).await.unwrap().unwrap();
    assert_eq!(got, created.record);
    let page = store.list_keys(account.id, KeyFilter::default(), PageRequest::default()).await.unwrap();
    assert_eq!((page.count(), page.items), (Some(1), vec![got]));
    let events = events_of(&store, &created.record.id.to_string()).await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["event"], "key.created");
    assert_eq!(events[0]["sequence"], 1);
    assert_eq!(events[0]["name"], "first");
    assert_eq!(events[0]["actor"], "local");
    assert_eq!(events[0]["timestamp"], NOON.to_string());
    assert!(events[0]["id"].as_str().unwrap().starts_with("evt_"));
    store.close().await;
}

async fn keys_of_another_account_do_not_exist(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await;
    let other = fixture.other_account(&store).await;
    let (created, hash) = fixture.key(&store, account.id, new_key("mine")).await;
    let id = created.record.id;
    assert_eq!(store.get_key(other, id).await.unwrap(), None);
    let page = store.list_keys(other, KeyFilter::default(), PageRequest::default()).await.unwrap();
    assert_eq!((page.items.len(), page.count()), (0, Some(0)));
    let patch = KeyPatch { name: Some("yours".to_owned()), ..KeyPatch::default() };
    let changed = store.update_key(other, id, patch, fixture.origin()).await;
    assert!(matches!(changed, Err(KeyChangeError::NotFound)));
    let revoked = store.revoke_key(other, id, None, fixture.origin()).await;
    assert!(matches!(revoked, Err(KeyChangeError::NotFound)));
    assert!(store.keys().find(&hash).is_some());
    assert_eq!(store.get_key(account.id, id).await.unwrap().unwrap(), created.record);
    store.close().await;
}

async fn key_lists_filter_by_status_and_page(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let day = Duration::from_hours(24);
    let ends =
        [None, Some(NOON.plus(day)), Some(NOON.plus(day * 20)), Some(NOON.plus(Duration::from_secs(1)))];
    for (place, end) in ends.into_iter().enumerate() {
        let new = telepath_core::key::NewKey { expires_at: end, ..new_key(&format!("key {place}")) };
        fixture.key(&store, account, new).await;
    }
    let testing = telepath_core::key::NewKey { preset: Preset::Testing, ..new_key("testing") };
    let (used, hash) = fixture.key(&store, account, testing).await;
    let (gone, _) = fixture.key(&store, account, new_key("gone")).await;
    store.revoke_key(account, gone.record.id, None, fixture.origin()).await.unwrap();
    fixture.clock.advance(day / 2);
    store.requests().record(&answered(&store, account, used.record.id, &hash));
    let names = async |filter: KeyFilter| {
        let page = store.list_keys(account, filter, PageRequest::new(100, 0).unwrap()).await.unwrap();
        assert_eq!(page.count(), Some(page.items.len() as u64));
        let mut names: Vec<_> = page.items.into_iter().map(|key| key.name).collect();
        names.sort();
        names
    };
    let later = telepath_core::key::NewKey {
        not_before: Some(NOON.plus(day)),
        expires_at: Some(NOON.plus(day * 4)),
        ..new_key("later")
    };
    let (later, _) = fixture.key(&store, account, later).await;
    let in_state = |status| KeyFilter { status: Some(status), ..KeyFilter::default() };
    assert_eq!(later.record.status(store.now()), KeyStatus::Scheduled);
    assert_eq!(names(in_state(KeyStatus::Scheduled)).await, ["later"]);
    assert_eq!(names(in_state(KeyStatus::Active)).await, ["key 0", "key 2", "testing"]);
    assert_eq!(names(in_state(KeyStatus::Expiring)).await, ["key 1"]);
    assert_eq!(names(in_state(KeyStatus::Expired)).await, ["key 3"]);
    assert_eq!(names(in_state(KeyStatus::Revoked)).await, ["gone"]);
    let preset = KeyFilter { preset: Some(Preset::Testing), ..KeyFilter::default() };
    assert_eq!(names(preset).await, ["testing"]);
    let expires_before = Some(NOON.plus(day * 2));
    assert_eq!(names(KeyFilter { expires_before, ..KeyFilter::default() }).await, ["key 1", "key 3"]);
    fixture.clock.advance(day * 2);
    let idle = KeyFilter { idle_days: Some(2), preset: Some(Preset::Production), ..KeyFilter::default() };
    assert_eq!(names(idle).await.len(), 6);
    fixture.clock.advance(day / 2);
    let idle = KeyFilter { idle_days: Some(3), ..KeyFilter::default() };
    assert!(!names(idle).await.contains(&used.record.name));
    let page = PageRequest::new(2, 1).unwrap();
    let page = store.list_keys(account, KeyFilter::default(), page).await.unwrap();
    assert_eq!((page.items.len(), page.count()), (2, Some(7)));
    let all = store.list_keys(account, KeyFilter::default(), PageRequest::default()).await.unwrap().items;
    assert!(all.is_sorted_by_key(|key| std::cmp::Reverse((key.created_at, key.id))));
    assert_eq!(page.items, all[1..3]);
    store.close().await;
}

async fn a_patch_changes_only_the_named_fields(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (created, hash) = fixture.key(&store, account, new_key("before")).await;
    let id = created.record.id;
    let end = NOON.plus(Duration::from_secs(500));
    let patch = KeyPatch {
        name: Some("after".to_owned()),
        rate_limit: Some(limit(7)),
        expires_at: Patch::Set(end),
        ..KeyPatch::default()
    };
    let changed = store.update_key(account, id, patch, fixture.origin()).await.unwrap();
    let expected = telepath_core::key::KeyRecord {
        name: "after".to_owned(),
        rate_limit: limit(7),
        expires_at: Some(end),
        ..created.record
    };
    assert_eq!(changed, expected);
    let handle = store.keys().find(&hash).unwrap();
    let admission = admit(&store, &handle, &hash, ADDRESS.parse().unwrap(), reading(NOON));
    assert!(matches!(admission, crate::Admission::Admitted { window, .. } if window.limit == limit(7)));
    assert_eq!(
        admit(&store, &handle, &hash, ADDRESS.parse().unwrap(), reading(end)),
        crate::Admission::Unusable
    );
    let cleared = KeyPatch { expires_at: Patch::Clear, ..KeyPatch::default() };
    let changed = store.update_key(account, id, cleared, fixture.origin()).await.unwrap();
    assert_eq!(changed.expires_at, None);
    let trail = select(
        &store,
        "SELECT before_json, after_json FROM audit_events WHERE action = 'key.updated' ORDER BY position",
        vec![],
    )
    .await;
    assert_eq!(trail.len(), 2);
    let before: serde_json::Value = trail[0].json("before_json").unwrap();
    assert_eq!(
        before,
        serde_json::json!({ "name": "before", "rate_limit_per_minute": 6000, "expires_at": null })
    );
    let nothing = store.update_key(account, id, KeyPatch::default(), fixture.origin()).await.unwrap();
    assert_eq!(nothing, changed);
    let trail = select(&store, "SELECT id FROM audit_events WHERE action = 'key.updated'", vec![]).await;
    assert_eq!(trail.len(), 2, "an update without changes writes no audit row");
    store.close().await;
}

async fn revoking_is_final_and_idempotent(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (created, hash) = fixture.key(&store, account, new_key("short-lived")).await;
    let id = created.record.id;
    let handle = store.keys().find(&hash).unwrap();
    let reason = Some("left the team".to_owned());
    let first = store.revoke_key(account, id, reason, fixture.origin()).await.unwrap();
    assert_eq!(first.revocation.as_ref().unwrap().reason.as_deref(), Some("left the team"));
    assert_eq!(
        admit(&store, &handle, &hash, ADDRESS.parse().unwrap(), reading(NOON)),
        crate::Admission::Unusable
    );
    fixture.clock.advance(Duration::from_mins(1));
    let again = Some("another reason".to_owned());
    let second = store.revoke_key(account, id, again, fixture.origin()).await.unwrap();
    assert_eq!(second, first);
    let patch = KeyPatch { name: Some("back".to_owned()), ..KeyPatch::default() };
    let refused = store.update_key(account, id, patch, fixture.origin()).await;
    assert!(matches!(refused, Err(KeyChangeError::Revoked)));
    let events = events_of(&store, &id.to_string()).await;
    let kinds: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["key.created", "key.revoked"]);
    store.close().await;
    let store = fixture.open().await;
    let admission = store
        .keys()
        .find(&hash)
        .map(|handle| admit(&store, &handle, &hash, ADDRESS.parse().unwrap(), reading(NOON)));
    assert_eq!(admission, Some(crate::Admission::Unusable));
    store.close().await;
}

async fn counters_are_current_and_survive_a_restart(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let mut keys = Vec::new();
    for number in 0..70 {
        keys.push(fixture.key(&store, account, new_key(&format!("key {number}"))).await);
    }
    let (created, hash) = &keys[0];
    let id = created.record.id;
    for status in [200, 404, 500] {
        let mut request = answered(&store, account, id, hash);
        (request.facts.status, request.facts.address) = (status, "2001:db8::5".parse().unwrap());
        store.requests().record(&request);
    }
    let seen = store.get_key(account, id).await.unwrap().unwrap();
    assert_eq!((seen.request_count, seen.error_count), (3, 2));
    assert_eq!(seen.last_use.unwrap().address.to_string(), "2001:db8::5");
    assert_eq!(seen.secrets[0].last_use, seen.last_use);
    fixture.clock.advance(Duration::from_secs(5));
    for (created, hash) in &keys {
        store.requests().record(&answered(&store, account, created.record.id, hash));
    }
    let seen = store.get_key(account, id).await.unwrap().unwrap();
    assert_eq!((seen.request_count, seen.error_count), (4, 2));
    assert_eq!(store.flush_usage().await.unwrap(), 0, "every request is written");
    store.requests().record(&answered(&store, account, id, hash));
    store.close().await;
    let store = fixture.open().await;
    let after = store.get_key(account, id).await.unwrap().unwrap();
    assert_eq!((after.request_count, after.error_count), (5, 2), "no request is lost by a clean stop");
    assert_eq!(after.last_use.unwrap().address.to_string(), ADDRESS);
    assert_eq!(after.last_use.unwrap().at, NOON.plus(Duration::from_secs(5)));
    let page =
        store.list_keys(account, KeyFilter::default(), PageRequest::new(100, 0).unwrap()).await.unwrap();
    assert_eq!(page.items.iter().map(|key| key.request_count).sum::<u64>(), 74);
    assert_eq!(store.keys().len(), 70);
    store.close().await;
}

async fn only_a_hash_of_the_secret_is_stored(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (created, hash) = fixture.key(&store, account, new_key("secret")).await;
    let secret = created.secret.reveal();
    let rows = select(&store, "SELECT hash, mask FROM key_secrets", vec![]).await;
    assert_eq!(rows[0].bytes("hash").unwrap(), hash.as_bytes());
    assert_ne!(rows[0].text("mask").unwrap(), secret.expose());
    let texts = "SELECT before_json AS t FROM audit_events UNION ALL SELECT after_json FROM audit_events \
                 UNION ALL SELECT payload FROM outbox_events";
    for row in select(&store, texts, vec![]).await {
        assert!(!row.text("t").unwrap().contains(secret.expose()));
    }
    store.close().await;
}

async fn every_secret_of_a_key_is_found_after_a_restart(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (created, first) = fixture.key(&store, account, new_key("two secrets")).await;
    fixture.key(&store, account, new_key("another")).await;
    let second = telepath_core::secret::HashedKey::from_bytes([9; 32]);
    let sql = "INSERT INTO key_secrets (id, key_id, hash, mask, created_at, expires_at) \
               VALUES ('sec_0000000000000000000000000a', $1, $2, 'mask', 1, $3)";
    let end = NOON.plus(Duration::from_secs(5));
    let values = crate::sql::binds![created.record.id.to_string(), &second.as_bytes()[..], end];
    super::execute(&store, sql, values).await;
    store.close().await;
    let store = fixture.open().await;
    assert_eq!(store.keys().len(), 2);
    for hash in [first, second] {
        let handle = store.keys().find(&hash).unwrap();
        assert_eq!(handle.key_id(), created.record.id);
        let admission = admit(&store, &handle, &hash, ADDRESS.parse().unwrap(), reading(NOON));
        assert!(matches!(admission, crate::Admission::Admitted { .. }));
    }
    let handle = store.keys().find(&second).unwrap();
    assert_eq!(
        admit(&store, &handle, &second, ADDRESS.parse().unwrap(), reading(end)),
        crate::Admission::Unusable
    );
    assert!(matches!(
        admit(&store, &handle, &first, ADDRESS.parse().unwrap(), reading(end)),
        crate::Admission::Admitted { .. }
    ));
    assert_eq!(store.get_key(account, created.record.id).await.unwrap().unwrap().secrets.len(), 2);
    store.close().await;
}

async fn a_command_loads_no_keys_and_changes_them_all_the_same(fixture: Arc<Fixture>) {
    let server = fixture.open().await;
    let account = fixture.account(&server).await.id;
    let (created, hash) = fixture.key(&server, account, new_key("of the server")).await;
    server.close().await;
    let command = fixture.open_admin().await;
    assert_eq!(command.keys().len(), 0);
    command.revoke_key(account, created.record.id, None, fixture.origin()).await.unwrap();
    let (_, other) = fixture.key(&command, account, new_key("of the command")).await;
    command.close().await;
    let server = fixture.open().await;
    assert!(server.keys().find(&other).is_some());
    let handle = server.keys().find(&hash);
    let admission = handle.map(|handle| admit(&server, &handle, &hash, [192, 0, 2, 7].into(), reading(NOON)));
    assert!(matches!(admission, None | Some(crate::Admission::Unusable)), "{admission:?}");
    server.close().await;
}

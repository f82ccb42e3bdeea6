//! Leaked keys.

use std::sync::Arc;

use telepath_core::account::{AccountPatch, Actor};
use telepath_core::audit::Origin;
use telepath_core::clock::Timestamp;
use telepath_core::key::{GraceSeconds, NewKey};
use telepath_core::leak::{ExposedSecret, ExposureCause, ExposureReport};
use telepath_core::secret::HashedKey;

use super::{Fixture, NOON, admit, behaviour, events_of, new_key, reading, select};
use crate::key_table::Admission;
use crate::store::Store;

behaviour! {
    a_leaked_key_is_revoked_with_one_alert_and_event,
    a_key_seen_in_cleartext_is_revoked_by_policy,
    only_a_working_secret_makes_a_key_live,
    a_report_survives_a_crash_and_is_worked_off_once,
    a_report_revokes_the_keys_that_were_live_when_it_arrived,
    a_key_seen_in_cleartext_waits_in_one_row,
    every_report_is_stored_even_one_without_keys,
}

pub(super) fn reported(at: Timestamp, hashes: &[HashedKey]) -> ExposureReport {
    let secrets =
        hashes.iter().map(|hash| ExposedSecret { hash: *hash, reason: "Reported".to_owned() }).collect();
    ExposureReport { cause: ExposureCause::Reported, secrets, address: Some(ADDRESS), at }
}

async fn waiting(store: &Store) -> usize {
    select(store, "SELECT id FROM pending_revocations", vec![]).await.len()
}

async fn a_report_survives_a_crash_and_is_worked_off_once(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (created, hash) = fixture.key(&store, account, new_key("leaked")).await;
    store.record_exposure(reported(NOON, &[hash])).await.unwrap();
    // Dropped without being closed, as a kill does.
    drop(store);
    let store = fixture.open().await;
    assert_eq!(store.revoke_exposed_keys().await.unwrap(), 1);
    let key = store.get_key(account, created.record.id).await.unwrap().unwrap();
    assert_eq!(key.revocation.unwrap().reason.as_deref(), Some("Reported"));
    assert!(store.keys().find(&hash).is_none_or(|handle| !handle.is_live(&hash, NOON)));
    assert_eq!((store.revoke_exposed_keys().await.unwrap(), waiting(&store).await), (0, 0));
    store.close().await;
}

async fn a_report_revokes_the_keys_that_were_live_when_it_arrived(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let later = |seconds| NOON.plus(std::time::Duration::from_secs(seconds));
    let mut hashes = Vec::new();
    for (name, grace) in [("in its grace", 10), ("ended", 0)] {
        let (created, old) = fixture.key(&store, account, new_key(name)).await;
        let grace = GraceSeconds::new(grace).unwrap();
        store.rotate_key(account, created.record.id, grace, fixture.origin()).await.unwrap();
        hashes.push((created.record.id, old));
    }
    let expired = NewKey { expires_at: Some(later(3)), ..new_key("expired") };
    let (expired, hash) = fixture.key(&store, account, expired).await;
    hashes.push((expired.record.id, hash));
    let all: Vec<_> = hashes.iter().map(|(_, hash)| *hash).collect();
    store.record_exposure(reported(later(5), &all)).await.unwrap();
    // The grace has ended when the report is worked off; it had not when the report arrived.
    fixture.clock.advance(std::time::Duration::from_mins(1));
    store.revoke_exposed_keys().await.unwrap();
    let mut revoked = Vec::new();
    for (id, _) in hashes {
        revoked.push(store.get_key(account, id).await.unwrap().unwrap().revocation.is_some());
    }
    assert_eq!(revoked, [true, false, false]);
    store.close().await;
}

async fn a_key_seen_in_cleartext_waits_in_one_row(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (created, hash) = fixture.key(&store, account, new_key("seen")).await;
    let seen = || ExposureReport { cause: ExposureCause::SeenInClear, ..reported(NOON, &[hash]) };
    for _ in 0..3 {
        store.record_exposure(seen()).await.unwrap();
    }
    assert_eq!((waiting(&store).await, store.revoke_exposed_keys().await.unwrap()), (1, 1));
    let id = created.record.id;
    assert_eq!(store.get_key(account, id).await.unwrap().unwrap().revocation, None, "the policy is off");
    let patch = AccountPatch { revoke_keys_seen_in_clear: Some(true), ..AccountPatch::default() };
    store.update_account(account, patch, fixture.origin()).await.unwrap();
    store.record_exposure(seen()).await.unwrap();
    store.revoke_exposed_keys().await.unwrap();
    assert!(store.get_key(account, id).await.unwrap().unwrap().revocation.is_some());
    store.close().await;
}

async fn every_report_is_stored_even_one_without_keys(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let unknown = HashedKey::from_bytes([7; 32]);
    store.record_exposure(reported(NOON, &[])).await.unwrap();
    store.record_exposure(reported(NOON, &[unknown, unknown])).await.unwrap();
    store.record_exposure(reported(NOON, &vec![unknown; 1_100])).await.unwrap();
    assert_eq!((waiting(&store).await, store.revoke_exposed_keys().await.unwrap()), (3, 3));
    assert_eq!(waiting(&store).await, 0);
    store.close().await;
}

const ADDRESS: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

async fn a_leaked_key_is_revoked_with_one_alert_and_event(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (created, hash) = fixture.key(&store, account, new_key("leaked")).await;
    let (id, origin) = (created.record.id, Origin::system(Some(ADDRESS), NOON));
    let handle = store.keys().find(&hash).unwrap();
    for reason in ["Reported", "Reported again"] {
        let key = store.revoke_leaked_key(account, id, reason.to_owned(), origin).await.unwrap();
        let revocation = key.revocation.unwrap();
        assert_eq!((revocation.by, revocation.reason.as_deref()), (Actor::System, Some("Reported")));
    }
    assert_eq!(admit(&store, &handle, &hash, ADDRESS, reading(NOON)), Admission::Unusable);
    let kinds: Vec<_> = events_of(&store, &id.to_string())
        .await
        .iter()
        .map(|event| event["event"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(kinds, ["key.created", "key.revoked", "key.alert"]);
    let alerts = select(&store, "SELECT rule, severity FROM alerts", vec![]).await;
    assert_eq!(alerts.len(), 1);
    assert_eq!(alerts[0].text("rule").unwrap(), "leak_reported");
    store.close().await;
}

async fn a_key_seen_in_cleartext_is_revoked_by_policy(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (created, hash) = fixture.key(&store, account, new_key("seen")).await;
    let (id, origin) = (created.record.id, Origin::system(Some(ADDRESS), NOON));
    let handle = store.keys().find(&hash).unwrap();
    assert!(!store.revoke_seen_in_clear(account, id, origin).await.unwrap());
    assert!(matches!(admit(&store, &handle, &hash, ADDRESS, reading(NOON)), Admission::Admitted { .. }));
    let patch = AccountPatch { revoke_keys_seen_in_clear: Some(true), ..AccountPatch::default() };
    store.update_account(account, patch, fixture.origin()).await.unwrap();
    assert!(store.revoke_seen_in_clear(account, id, origin).await.unwrap());
    assert_eq!(admit(&store, &handle, &hash, ADDRESS, reading(NOON)), Admission::Unusable);
    store.close().await;
}

async fn only_a_working_secret_makes_a_key_live(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let later = |seconds| NOON.plus(std::time::Duration::from_secs(seconds));
    let new = NewKey { expires_at: Some(later(100)), not_before: Some(later(5)), ..new_key("k") };
    let (created, first) = fixture.key(&store, account, new).await;
    let handle = store.keys().find(&first).unwrap();
    assert!(handle.is_live(&first, NOON), "a key that is not valid yet becomes valid");
    let grace = GraceSeconds::new(10).unwrap();
    let new = store.rotate_key(account, created.record.id, grace, fixture.origin()).await.unwrap();
    let second = store.vault().hash_key(&new.secret);
    assert!(handle.is_live(&first, later(9)) && !handle.is_live(&first, later(10)));
    assert!(handle.is_live(&second, later(99)) && !handle.is_live(&second, later(100)));
    store.revoke_key(account, created.record.id, None, fixture.origin()).await.unwrap();
    assert!(!handle.is_live(&second, NOON));
    assert_eq!(
        admit(&store, &store.keys().find(&second).unwrap(), &second, ADDRESS, reading(NOON)),
        Admission::Unusable
    );
    store.close().await;
}

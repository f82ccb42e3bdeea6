//! Rotation: one key, several secrets, and a reliable end for each of them.

use std::sync::Arc;
use std::time::Duration;

use telepath_core::clock::Timestamp;
use telepath_core::key::{
    GraceSeconds, KeyFilter, KeyRecord, MAX_ENDED_SECRETS, MAX_LIVE_SECRETS, NewKey, RotateAll, SecretStatus,
};
use telepath_core::page::PageRequest;
use telepath_core::secret::HashedKey;

use super::{Fixture, NOON, answered, behaviour, events_of, limit, new_key, reading, select};
use crate::audit::AuditVerdict;
use crate::key::{CreatedKey, KeyChangeError, RotateAllError};
use crate::key_table::Admission;
use crate::store::Store;

behaviour! {
    rotation_keeps_the_key_and_both_secrets_share_its_window,
    the_grace_period_ends_on_time_and_survives_a_restart,
    without_grace_the_old_secret_is_refused_even_if_the_clock_goes_back,
    grace_can_be_ended_early_but_not_the_current_secret,
    working_secrets_are_bounded_and_ended_ones_are_deleted_oldest_first,
    rotating_a_dead_key_is_refused,
    all_keys_are_rotated_together_or_none,
    keys_with_a_newer_secret_are_left_out_if_asked_for,
    keys_rotated_with_unknown_outcome_are_refused,
}

const ADDRESS: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

fn grace(seconds: u32) -> GraceSeconds {
    GraceSeconds::new(seconds).unwrap()
}

fn hash_of(store: &Store, key: &CreatedKey) -> HashedKey {
    store.vault().hash_key(&key.secret)
}

fn admit(store: &Store, hash: &HashedKey, at: Timestamp) -> Admission {
    store
        .keys()
        .find(hash)
        .map_or(Admission::Unusable, |handle| super::admit(store, &handle, hash, ADDRESS, reading(at)))
}

fn is_admitted(store: &Store, hash: &HashedKey, at: Timestamp) -> bool {
    matches!(admit(store, hash, at), Admission::Admitted { .. })
}

fn statuses(key: &KeyRecord, now: Timestamp) -> Vec<&'static str> {
    key.secrets.iter().map(|secret| secret.status(now).name()).collect()
}

fn later(seconds: u64) -> Timestamp {
    NOON.plus(Duration::from_secs(seconds))
}

async fn rotation_keeps_the_key_and_both_secrets_share_its_window(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (old, first) = fixture.key(&store, account, NewKey { rate_limit: limit(3), ..new_key("k") }).await;
    let id = old.record.id;
    // All requests have one instant: the key's window may end at any other.
    assert!(is_admitted(&store, &first, later(1)));
    fixture.clock.advance(Duration::from_secs(1));
    let new = store.rotate_key(account, id, GraceSeconds::default(), fixture.origin()).await.unwrap();
    let second = hash_of(&store, &new);
    assert_ne!(first, second);
    let expected = KeyRecord { secrets: new.record.secrets.clone(), ..old.record.clone() };
    assert_eq!(new.record, expected, "only the secrets have changed");
    assert_eq!(statuses(&new.record, later(1)), ["current", "grace"]);
    assert_eq!(new.record.secrets[0].mask, new.secret.mask());
    assert_eq!(new.record.secrets[1].id, old.record.secrets[0].id);
    assert_eq!(new.record.secrets[1].expires_at, Some(later(86_401)));
    let window = |admission| match admission {
        Admission::Admitted { window, .. } | Admission::Limited { window } => window.remaining,
        other => panic!("{other:?}"),
    };
    assert_eq!(window(admit(&store, &second, later(1))), 1);
    assert_eq!(window(admit(&store, &first, later(1))), 0);
    assert!(matches!(admit(&store, &second, later(1)), Admission::Limited { .. }));
    for (hash, at, address) in
        [(first, later(2), ADDRESS), (second, later(3), "2001:db8::1".parse().unwrap())]
    {
        let mut request = answered(&store, account, id, &hash);
        (request.facts.at, request.facts.address) = (at, address);
        store.requests().record(&request);
    }
    let shown = store.get_key(account, id).await.unwrap().unwrap();
    let uses: Vec<_> = shown.secrets.iter().map(|secret| secret.last_use.unwrap()).collect();
    assert_eq!((uses[0].at, uses[1].at), (later(3), later(2)));
    assert_eq!(uses[1].address, ADDRESS);
    let events = events_of(&store, &id.to_string()).await;
    assert_eq!(
        (events.len(), &events[1]["event"], &events[1]["sequence"]),
        (2, &"key.rotated".into(), &2.into())
    );
    let trail =
        select(&store, "SELECT after_json FROM audit_events WHERE action = 'key.rotated'", vec![]).await;
    let after: serde_json::Value = trail[0].json("after_json").unwrap();
    assert_eq!(after["grace_seconds"], 86_400);
    assert!(matches!(store.verify_audit(account, None).await.unwrap().verdict, AuditVerdict::Intact { .. }));
    store.close().await;
}

async fn the_grace_period_ends_on_time_and_survives_a_restart(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (old, first) = fixture.key(&store, account, new_key("k")).await;
    let new = store.rotate_key(account, old.record.id, grace(60), fixture.origin()).await.unwrap();
    let second = hash_of(&store, &new);
    for restarted in [false, true] {
        let store = if restarted { fixture.open().await } else { Arc::clone(&store) };
        assert!(is_admitted(&store, &first, later(59)) && is_admitted(&store, &second, later(59)));
        assert_eq!(admit(&store, &first, later(60)), Admission::Unusable);
        assert!(is_admitted(&store, &second, later(60)));
        store.close().await;
    }
}

async fn without_grace_the_old_secret_is_refused_even_if_the_clock_goes_back(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (old, first) = fixture.key(&store, account, new_key("k")).await;
    let handle = store.keys().find(&first).unwrap();
    let new = store.rotate_key(account, old.record.id, GraceSeconds::NONE, fixture.origin()).await.unwrap();
    let second = hash_of(&store, &new);
    assert_eq!(statuses(&new.record, NOON), ["current", "ended"]);
    let hour = Duration::from_hours(1);
    for at in [NOON.minus(hour), NOON, NOON.plus(hour)] {
        assert_eq!(super::admit(&store, &handle, &first, ADDRESS, reading(at)), Admission::Unusable, "{at}");
        assert!(is_admitted(&store, &second, at));
    }
    store.close().await;
    let store = fixture.open().await;
    assert!(store.keys().find(&first).is_some(), "an ended secret is still recognized");
    assert_eq!(admit(&store, &first, NOON.minus(hour)), Admission::Unusable);
    store.close().await;
}

async fn grace_can_be_ended_early_but_not_the_current_secret(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (old, first) = fixture.key(&store, account, new_key("k")).await;
    let (id, first_id) = (old.record.id, old.record.secrets[0].id);
    let new = store.rotate_key(account, id, grace(60), fixture.origin()).await.unwrap();
    let refused = store.end_secret(account, id, new.record.secrets[0].id, fixture.origin()).await;
    assert!(matches!(refused, Err(KeyChangeError::CurrentSecret)));
    let (stranger, _) = fixture.key(&store, account, new_key("other")).await;
    let refused = store.end_secret(account, stranger.record.id, first_id, fixture.origin()).await;
    assert!(matches!(refused, Err(KeyChangeError::SecretNotFound)));
    fixture.clock.advance(Duration::from_secs(10));
    let ended = store.end_secret(account, id, first_id, fixture.origin()).await.unwrap();
    assert_eq!(statuses(&ended, later(10)), ["current", "ended"]);
    assert_eq!(admit(&store, &first, NOON), Admission::Unusable);
    assert!(is_admitted(&store, &hash_of(&store, &new), later(10)));
    assert_eq!(store.end_secret(account, id, first_id, fixture.origin()).await.unwrap(), ended);
    let trail = select(&store, "SELECT id FROM audit_events WHERE action = 'key.secret_ended'", vec![]).await;
    assert_eq!(trail.len(), 1);
    store.close().await;
}

async fn working_secrets_are_bounded_and_ended_ones_are_deleted_oldest_first(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (old, first) = fixture.key(&store, account, new_key("k")).await;
    let id = old.record.id;
    for _ in 1..MAX_LIVE_SECRETS {
        store.rotate_key(account, id, grace(3600), fixture.origin()).await.unwrap();
    }
    let refused = store.rotate_key(account, id, grace(3600), fixture.origin()).await;
    assert!(matches!(refused, Err(KeyChangeError::TooManySecrets)));
    let refused = store.rotate_all_keys(account, grace(3600), fixture.origin()).await;
    assert!(matches!(refused, Err(RotateAllError::TooManySecrets(keys)) if keys == [id]));
    for _ in 0..=MAX_ENDED_SECRETS + 3 {
        fixture.clock.advance(Duration::from_secs(1));
        store.rotate_key(account, id, GraceSeconds::NONE, fixture.origin()).await.unwrap();
    }
    let key = store.get_key(account, id).await.unwrap().unwrap();
    let ended = key.secrets.iter().filter(|secret| secret.status(store.now()) == SecretStatus::Ended).count();
    // The secret that ended in the last rotation was not counted yet.
    assert_eq!((key.secrets.len(), ended), (MAX_ENDED_SECRETS + 2, MAX_ENDED_SECRETS + 1));
    assert!(store.keys().find(&first).is_none(), "the first code was replaced");
    store.close().await;
}

async fn rotating_a_dead_key_is_refused(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (gone, _) = fixture.key(&store, account, new_key("gone")).await;
    store.revoke_key(account, gone.record.id, None, fixture.origin()).await.unwrap();
    let new = NewKey { expires_at: Some(later(1)), ..new_key("over") };
    let (over, _) = fixture.key(&store, account, new).await;
    fixture.clock.advance(Duration::from_secs(1));
    let rotate = async |id| store.rotate_key(account, id, grace(1), fixture.origin()).await;
    assert!(matches!(rotate(gone.record.id).await, Err(KeyChangeError::Revoked)));
    assert!(matches!(rotate(over.record.id).await, Err(KeyChangeError::Expired)));
    let other = fixture.other_account(&store).await;
    let foreign = store.rotate_key(other, over.record.id, grace(1), fixture.origin()).await;
    assert!(matches!(foreign, Err(KeyChangeError::NotFound)));
    let none = store.rotate_all_keys(account, grace(1), fixture.origin()).await.unwrap();
    assert!(none.keys.is_empty());
    store.close().await;
}

async fn all_keys_are_rotated_together_or_none(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let mut old = Vec::new();
    for number in 0..70 {
        old.push(fixture.key(&store, account, new_key(&format!("k{number}"))).await);
    }
    let (gone, _) = fixture.key(&store, account, new_key("gone")).await;
    store.revoke_key(account, gone.record.id, None, fixture.origin()).await.unwrap();
    fixture.clock.advance(Duration::from_secs(1));
    let rotated = store.rotate_all_keys(account, GraceSeconds::NONE, fixture.origin()).await.unwrap();
    assert_eq!((rotated.at, rotated.keys.len()), (later(1), 70));
    for key in &rotated.keys {
        assert_eq!(statuses(&key.record, later(1)), ["current", "ended"]);
        assert!(is_admitted(&store, &hash_of(&store, key), later(1)));
    }
    for (_, hash) in &old {
        assert_eq!(admit(&store, hash, NOON), Admission::Unusable);
    }
    let page = PageRequest::new(100, 0).unwrap();
    let listed = store.list_keys(account, KeyFilter::default(), page).await.unwrap().items;
    assert_eq!(listed.len(), 71);
    for key in &rotated.keys {
        assert!(listed.contains(&key.record));
        assert_eq!(events_of(&store, &key.record.id.to_string()).await.len(), 2);
    }
    assert_eq!(
        store.verify_audit(account, None).await.unwrap().verdict,
        AuditVerdict::Intact { entries: 1 + 71 + 1 + 70 }
    );
    store.close().await;
}

async fn keys_with_a_newer_secret_are_left_out_if_asked_for(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (old, _) = fixture.key(&store, account, new_key("old")).await;
    let (done, _) = fixture.key(&store, account, new_key("done")).await;
    fixture.clock.advance(Duration::from_secs(1));
    let leaked_at = store.now();
    store.rotate_key(account, done.record.id, grace(60), fixture.origin()).await.unwrap();
    let (_fresh, _) = fixture.key(&store, account, new_key("fresh")).await;
    let which = RotateAll { grace: grace(60), secrets_before: Some(leaked_at) };
    let rotated = store.rotate_all_keys(account, which, fixture.origin()).await.unwrap();
    assert_eq!(rotated.keys.iter().map(|key| key.record.id).collect::<Vec<_>>(), [old.record.id]);
    let again = store.rotate_all_keys(account, which, fixture.origin()).await.unwrap();
    assert!(again.keys.is_empty(), "every secret is newer now");
    store.close().await;
}

async fn keys_rotated_with_unknown_outcome_are_refused(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (old, first) = fixture.key(&store, account, new_key("k")).await;
    store.keys().mark_in_doubt(old.record.id);
    let new = store.rotate_key(account, old.record.id, GraceSeconds::NONE, fixture.origin()).await.unwrap();
    assert_eq!(admit(&store, &first, NOON), Admission::Unusable);
    assert!(
        is_admitted(&store, &hash_of(&store, &new), NOON),
        "a key with a known outcome is no longer in doubt"
    );
    store.close().await;
}

//! Leaked keys.

use std::sync::Arc;

use telepath_core::account::{AccountPatch, Actor};
use telepath_core::audit::Origin;
use telepath_core::key::{GraceSeconds, NewKey};

use super::{Fixture, NOON, behaviour, events_of, new_key, reading, select};
use crate::key_table::Admission;

behaviour! {
    a_leaked_key_is_revoked_with_one_alert_and_event,
    a_key_seen_in_cleartext_is_revoked_by_policy,
    only_a_working_secret_makes_a_key_live,
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
    assert_eq!(store.keys().admit(&handle, &hash, ADDRESS, reading(NOON)), Admission::Unusable);
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
    assert!(matches!(store.keys().admit(&handle, &hash, ADDRESS, reading(NOON)), Admission::Admitted { .. }));
    let patch = AccountPatch { revoke_keys_seen_in_clear: Some(true), ..AccountPatch::default() };
    store.update_account(account, patch, fixture.origin()).await.unwrap();
    assert!(store.revoke_seen_in_clear(account, id, origin).await.unwrap());
    assert_eq!(store.keys().admit(&handle, &hash, ADDRESS, reading(NOON)), Admission::Unusable);
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
        store.keys().admit(&store.keys().find(&second).unwrap(), &second, ADDRESS, reading(NOON)),
        Admission::Unusable
    );
    store.close().await;
}

//! No key grants or changes more than it has, and its rights are re-read in the transaction of the change.

use std::sync::Arc;
use std::time::Duration;

use telepath_core::account::Actor;
use telepath_core::audit::Origin;
use telepath_core::key::{Authority, Bound, Escalation, GraceSeconds, KeyPatch, NewKey, Rights};
use telepath_core::patch::Patch;
use telepath_core::scope::{Scope, ScopeSet};

use super::{Fixture, NOON, behaviour, limit, new_key};
use crate::key::{CreatedKey, KeyChangeError, RotateAllError};
use crate::store::Store;

behaviour! {
    creating_a_key_beyond_the_rights_of_the_calling_key_is_refused,
    changing_a_key_with_more_rights_is_refused,
    a_right_revoked_moments_ago_cannot_be_granted,
    revoking_requires_every_scope_of_the_key,
    opposite_changes_of_two_keys_do_not_deadlock,
    local_administration_is_unbounded_and_a_key_is_bound_by_its_rights,
}

const SMALL: ScopeSet = ScopeSet::of(&[Scope::KeysWrite, Scope::CallsRead]);

fn weak() -> NewKey {
    NewKey {
        scopes: SMALL,
        rate_limit: limit(100),
        allowed_ips: "192.0.2.0/24".parse().unwrap(),
        expires_at: Some(NOON.plus(Duration::from_hours(1))),
        ..new_key("weak")
    }
}

fn fields(error: KeyChangeError) -> Vec<String> {
    match error {
        KeyChangeError::Beyond(problems) => {
            problems.into_details().into_iter().map(|detail| detail.field).collect()
        }
        error => panic!("{error}"),
    }
}

fn is_escalation<T>(result: &Result<T, KeyChangeError>, why: Escalation) -> bool {
    matches!(result, Err(KeyChangeError::Escalation(found)) if *found == why)
}

async fn caller(fixture: &Fixture, store: &Store) -> CreatedKey {
    let account = fixture.account(store).await.id;
    fixture.key(store, account, weak()).await.0
}

async fn creating_a_key_beyond_the_rights_of_the_calling_key_is_refused(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let caller = caller(&fixture, &store).await;
    let account = caller.record.account_id;
    let make = async |new: NewKey| store.create_key(account, new, fixture.by(&caller)).await;
    make(weak()).await.unwrap();
    let beyond = [
        (NewKey { scopes: ScopeSet::all(), ..weak() }, "scopes"),
        (NewKey { rate_limit: limit(101), ..weak() }, "rate_limit_per_minute"),
        (NewKey { allowed_ips: "192.0.0.0/16".parse().unwrap(), ..weak() }, "allowed_ips"),
        (NewKey { expires_at: None, ..weak() }, "expires_at"),
    ];
    for (new, field) in beyond {
        assert_eq!(fields(make(new).await.unwrap_err()), [field]);
    }
    assert_eq!(store.keys().len(), 2);
    store.close().await;
}

async fn changing_a_key_with_more_rights_is_refused(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let caller = caller(&fixture, &store).await;
    let account = caller.record.account_id;
    let by = fixture.by(&caller);
    let (equal, _) = fixture.key(&store, account, weak()).await;
    let rename = || KeyPatch { name: Some("mine now".to_owned()), ..KeyPatch::default() };
    let stronger = [
        NewKey { scopes: ScopeSet::all(), ..weak() },
        NewKey { rate_limit: limit(101), ..weak() },
        NewKey { allowed_ips: "192.0.2.0/24,198.51.100.1".parse().unwrap(), ..weak() },
        NewKey { expires_at: None, ..weak() },
    ];
    for new in stronger {
        let (key, _) = fixture.key(&store, account, new).await;
        let id = key.record.id;
        let narrow = KeyPatch { scopes: Some(SMALL), rate_limit: Some(limit(1)), ..KeyPatch::default() };
        for patch in [rename(), narrow] {
            let refused = store.update_key(account, id, patch, by).await;
            assert!(is_escalation(&refused, Escalation::KeyExceeds(Bound::Key)));
        }
        let refused = store.rotate_key(account, id, GraceSeconds::NONE, by).await;
        assert!(is_escalation(&refused, Escalation::KeyExceeds(Bound::Key)));
        assert_eq!(store.get_key(account, id).await.unwrap().unwrap(), key.record);
    }
    let lift = KeyPatch { scopes: Some(ScopeSet::all()), expires_at: Patch::Clear, ..KeyPatch::default() };
    let refused = store.update_key(account, equal.record.id, lift, by).await;
    assert_eq!(fields(refused.unwrap_err()), ["scopes", "expires_at"]);
    store.update_key(account, equal.record.id, rename(), by).await.unwrap();
    let refused = store.rotate_all_keys(account, GraceSeconds::NONE, by).await;
    assert!(matches!(refused, Err(RotateAllError::Beyond { keys, bound: Bound::Key }) if keys.len() == 4));
    store.close().await;
}

async fn a_right_revoked_moments_ago_cannot_be_granted(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let caller = caller(&fixture, &store).await;
    let (account, by) = (caller.record.account_id, fixture.by(&caller));
    let narrow = KeyPatch { rate_limit: Some(limit(10)), ..KeyPatch::default() };
    store.update_key(account, caller.record.id, narrow, fixture.origin()).await.unwrap();
    // The request was admitted earlier; what counts are the key's rights now.
    assert_eq!(fields(store.create_key(account, weak(), by).await.unwrap_err()), ["rate_limit_per_minute"]);
    let reader = KeyPatch { scopes: Some(ScopeSet::of(&[Scope::CallsRead])), ..KeyPatch::default() };
    store.update_key(account, caller.record.id, reader, fixture.origin()).await.unwrap();
    let small = || NewKey { scopes: ScopeSet::of(&[Scope::CallsRead]), rate_limit: limit(1), ..weak() };
    let refused = store.create_key(account, small(), by).await;
    assert!(is_escalation(&refused, Escalation::NoAuthority(Bound::Key)));
    store.revoke_key(account, caller.record.id, None, fixture.origin()).await.unwrap();
    for refused in [
        store.create_key(account, small(), by).await.map(drop),
        store.revoke_key(account, caller.record.id, None, by).await.map(drop),
        store.authority(account, by).await.map(drop),
    ] {
        assert!(is_escalation(&refused, Escalation::NoAuthority(Bound::Key)));
    }
    store.close().await;
}

async fn revoking_requires_every_scope_of_the_key(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let caller = caller(&fixture, &store).await;
    let (account, by) = (caller.record.account_id, fixture.by(&caller));
    let (wide, _) = fixture.key(&store, account, NewKey { scopes: SMALL, ..new_key("wide") }).await;
    let (strong, _) = fixture.key(&store, account, new_key("strong")).await;
    let refused = store.revoke_key(account, strong.record.id, None, by).await;
    assert!(is_escalation(&refused, Escalation::KeyExceeds(Bound::Key)));
    let revoked = store.revoke_key(account, wide.record.id, None, by).await.unwrap();
    assert_eq!(revoked.revocation.unwrap().by, Actor::Key(caller.record.id));
    store.close().await;
}

async fn opposite_changes_of_two_keys_do_not_deadlock(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (one, _) = fixture.key(&store, account, weak()).await;
    let (other, _) = fixture.key(&store, account, weak()).await;
    let rename = |name: String| KeyPatch { name: Some(name), ..KeyPatch::default() };
    let crosswise = async {
        for round in 0..20 {
            let (left, right) = tokio::join!(
                store.update_key(account, one.record.id, rename(format!("l{round}")), fixture.by(&other)),
                store.update_key(account, other.record.id, rename(format!("r{round}")), fixture.by(&one)),
            );
            left.and(right).unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(30), crosswise).await.expect("the wait is bounded");
    store.close().await;
}

async fn local_administration_is_unbounded_and_a_key_is_bound_by_its_rights(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let origin = |actor| Origin { actor, ..fixture.origin() };
    for actor in [Actor::Local { uid: None }, Actor::Local { uid: Some(1000) }, Actor::System] {
        assert_eq!(store.authority(account, origin(actor)).await.unwrap(), Authority::Unbounded);
    }
    let (weak, _) = fixture.key(&store, account, weak()).await;
    let rights = Rights::from(&weak.record);
    assert_eq!(store.authority(account, fixture.by(&weak)).await.unwrap(), Authority::Key(rights));
    let (key, _) = fixture.key(&store, account, new_key("not for keys")).await;
    let none = store.authority(account, fixture.by(&key)).await.map(drop);
    assert!(is_escalation(&none, Escalation::NoAuthority(Bound::Key)));
    store.close().await;
}

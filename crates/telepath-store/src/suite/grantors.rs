//! Nobody grants or changes more than they have, and their rights are re-read in the transaction of the change.

use std::sync::Arc;
use std::time::Duration;

use telepath_core::account::Actor;
use telepath_core::audit::Origin;
use telepath_core::id::{Id as _, UserId};
use telepath_core::key::{GraceSeconds, KeyPatch, NewKey};
use telepath_core::patch::Patch;
use telepath_core::scope::{Scope, ScopeSet};

use super::{Fixture, NOON, behaviour, limit, new_key};
use crate::key::{CreatedKey, KeyChangeError, RotateAllError};
use crate::store::Store;

behaviour! {
    creating_a_key_beyond_the_grantors_rights_is_refused,
    changing_a_key_with_more_rights_is_refused,
    a_right_revoked_moments_ago_cannot_be_granted,
    revoking_requires_every_scope_of_the_key,
    opposite_changes_of_two_keys_do_not_deadlock,
    only_keys_and_local_administration_can_grant,
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

async fn grantor(fixture: &Fixture, store: &Store) -> CreatedKey {
    let account = fixture.account(store).await.id;
    fixture.key(store, account, weak()).await.0
}

async fn creating_a_key_beyond_the_grantors_rights_is_refused(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let grantor = grantor(&fixture, &store).await;
    let account = grantor.record.account_id;
    let make = async |new: NewKey| store.create_key(account, new, fixture.by(&grantor)).await;
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
    let grantor = grantor(&fixture, &store).await;
    let account = grantor.record.account_id;
    let by = fixture.by(&grantor);
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
            assert!(matches!(refused, Err(KeyChangeError::Escalation)));
        }
        let refused = store.rotate_key(account, id, GraceSeconds::NONE, by).await;
        assert!(matches!(refused, Err(KeyChangeError::Escalation)));
        assert_eq!(store.get_key(account, id).await.unwrap().unwrap(), key.record);
    }
    let lift = KeyPatch { scopes: Some(ScopeSet::all()), expires_at: Patch::Clear, ..KeyPatch::default() };
    let refused = store.update_key(account, equal.record.id, lift, by).await;
    assert_eq!(fields(refused.unwrap_err()), ["scopes", "expires_at"]);
    store.update_key(account, equal.record.id, rename(), by).await.unwrap();
    let refused = store.rotate_all_keys(account, GraceSeconds::NONE, by).await;
    assert!(matches!(refused, Err(RotateAllError::Escalation(keys)) if keys.len() == 4));
    store.close().await;
}

async fn a_right_revoked_moments_ago_cannot_be_granted(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let grantor = grantor(&fixture, &store).await;
    let (account, by) = (grantor.record.account_id, fixture.by(&grantor));
    let narrow = KeyPatch { rate_limit: Some(limit(10)), ..KeyPatch::default() };
    store.update_key(account, grantor.record.id, narrow, fixture.origin()).await.unwrap();
    // The request was admitted earlier; what counts are the key's rights now.
    assert_eq!(fields(store.create_key(account, weak(), by).await.unwrap_err()), ["rate_limit_per_minute"]);
    let reader = KeyPatch { scopes: Some(ScopeSet::of(&[Scope::CallsRead])), ..KeyPatch::default() };
    store.update_key(account, grantor.record.id, reader, fixture.origin()).await.unwrap();
    let small = || NewKey { scopes: ScopeSet::of(&[Scope::CallsRead]), rate_limit: limit(1), ..weak() };
    let refused = store.create_key(account, small(), by).await;
    assert!(matches!(refused, Err(KeyChangeError::Escalation)));
    store.revoke_key(account, grantor.record.id, None, fixture.origin()).await.unwrap();
    for refused in [
        store.create_key(account, small(), by).await.map(drop),
        store.revoke_key(account, grantor.record.id, None, by).await.map(drop),
        store.grantor(account, by).await.map(drop),
    ] {
        assert!(matches!(refused, Err(KeyChangeError::Escalation)));
    }
    store.close().await;
}

async fn revoking_requires_every_scope_of_the_key(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let grantor = grantor(&fixture, &store).await;
    let (account, by) = (grantor.record.account_id, fixture.by(&grantor));
    let (wide, _) = fixture.key(&store, account, NewKey { scopes: SMALL, ..new_key("wide") }).await;
    let (strong, _) = fixture.key(&store, account, new_key("strong")).await;
    let refused = store.revoke_key(account, strong.record.id, None, by).await;
    assert!(matches!(refused, Err(KeyChangeError::Escalation)));
    let revoked = store.revoke_key(account, wide.record.id, None, by).await.unwrap();
    assert_eq!(revoked.revocation.unwrap().by, Actor::Key(grantor.record.id));
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
    tokio::time::timeout(Duration::from_secs(30), crosswise).await.expect("nobody waits for ever");
    store.close().await;
}

async fn only_keys_and_local_administration_can_grant(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let origin = |actor| Origin { actor, ..fixture.origin() };
    assert_eq!(store.grantor(account, origin(Actor::Local { uid: None })).await.unwrap(), None);
    assert_eq!(store.grantor(account, origin(Actor::System)).await.unwrap(), None);
    let person = Actor::User(UserId::from_bytes([7; 16]));
    assert!(matches!(store.grantor(account, origin(person)).await, Err(KeyChangeError::Escalation)));
    let (key, _) = fixture.key(&store, account, new_key("not for keys")).await;
    assert!(matches!(store.grantor(account, fixture.by(&key)).await, Err(KeyChangeError::Escalation)));
    store.close().await;
}

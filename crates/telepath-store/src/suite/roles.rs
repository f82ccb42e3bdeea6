//! What each role may do with keys, presets and everything else of an account, and that the role is read again in the
//! transaction of the change.

use std::sync::Arc;
use std::time::Duration;

use telepath_core::account::{AccountPatch, Actor, NewAccount};
use telepath_core::alert::{AlertFilter, AlertSubject};
use telepath_core::audit::{AuditFilter, Origin};
use telepath_core::id::{AccountId, CallId, Id as _, UserId};
use telepath_core::key::{
    Authority, Bound, Escalation, GraceSeconds, KeyPatch, KeyRecord, NewKey, Preset, PresetPatch,
    RoleAuthority,
};
use telepath_core::page::PageRequest;
use telepath_core::principal::{Principal, UserSession};
use telepath_core::scope::{Scope, ScopeSet};
use telepath_core::secret::KeyMode;
use telepath_core::user::Role;

use super::users::{by, make};
use super::{Fixture, alerts, behaviour, limit, new_key, trunks, webhooks};
use crate::account::AccountChangeError;
use crate::error::StoreError;
use crate::key::{CreatedKey, KeyChangeError, RotateAllError};
use crate::store::Store;
use crate::user::NewSession;

behaviour! {
    each_role_changes_only_the_keys_it_manages,
    a_role_creates_keys_within_its_scopes_and_the_limit_of_the_account,
    every_key_is_rotated_by_a_role_that_manages_them_all,
    presets_are_edited_by_admins_and_owners,
    a_role_withdrawn_moments_ago_grants_nothing,
    a_disabled_user_and_a_member_of_another_account_change_nothing,
    only_owners_change_the_account_and_nobody_its_bounds,
    trunks_webhooks_and_calls_are_changed_by_every_role_but_viewer,
    a_developer_acknowledges_only_alerts_about_their_own_keys,
    changes_of_a_key_by_its_user_and_by_another_key_do_not_deadlock,
    a_change_by_a_signed_in_user_names_them_in_the_audit_trail,
}

const READ: ScopeSet = ScopeSet::of(&[Scope::CallsRead]);

fn reader(name: &str) -> NewKey {
    NewKey { scopes: READ, rate_limit: limit(10), ..new_key(name) }
}

fn rename(name: &str) -> KeyPatch {
    KeyPatch { name: Some(name.to_owned()), ..KeyPatch::default() }
}

/// A member of each role.
async fn team(fixture: &Fixture, store: &Store, account: AccountId) -> Vec<(Role, UserId)> {
    let mut team = Vec::new();
    for role in Role::ALL {
        let member = make(fixture, store, account, &format!("{role}@example.com"), *role).await;
        team.push((*role, member.user.id));
    }
    team
}

fn escalation<T>(result: Result<T, KeyChangeError>) -> Option<Escalation> {
    match result {
        Ok(_) => None,
        Err(KeyChangeError::Escalation(why)) => Some(why),
        Err(error) => panic!("{error}"),
    }
}

/// Each way to change a key, with why it was refused.
async fn changes(store: &Store, key: &KeyRecord, by: Origin) -> [Option<Escalation>; 3] {
    let (account, id) = (key.account_id, key.id);
    [
        escalation(store.update_key(account, id, rename("renamed"), by).await),
        escalation(store.rotate_key(account, id, GraceSeconds::NONE, by).await),
        escalation(store.revoke_key(account, id, None, by).await),
    ]
}

async fn made_by(store: &Store, account: AccountId, by: Origin) -> CreatedKey {
    store.create_key(account, reader("own"), by).await.unwrap()
}

async fn each_role_changes_only_the_keys_it_manages(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    for (role, user) in team(&fixture, &store, account).await {
        let by = by(&fixture, user);
        let (others, _) = fixture.key(&store, account, reader("of others")).await;
        let refused = match role {
            Role::Viewer => Some(Escalation::NoAuthority(Bound::Role)),
            Role::Developer => Some(Escalation::NotCreator),
            Role::Admin | Role::Owner => None,
        };
        assert_eq!(changes(&store, &others.record, by).await, [refused; 3], "{role}");
        if role == Role::Viewer {
            let created = store.create_key(account, reader("own"), by).await;
            assert_eq!(escalation(created), refused);
            continue;
        }
        let own = made_by(&store, account, by).await;
        assert_eq!(own.record.created_by, Actor::User(user));
        let two = store.rotate_key(account, own.record.id, GraceSeconds::default(), by).await.unwrap();
        let old = two.record.secrets[1].id;
        store.end_secret(account, own.record.id, old, by).await.unwrap();
        assert_eq!(changes(&store, &own.record, by).await, [None; 3], "{role}");
    }
    store.close().await;
}

async fn a_role_creates_keys_within_its_scopes_and_the_limit_of_the_account(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await;
    let most = account.max_rate_limit;
    for (role, user) in team(&fixture, &store, account.id).await {
        if role == Role::Viewer {
            continue;
        }
        let by = by(&fixture, user);
        let authority = store.authority(account.id, by).await.unwrap();
        assert_eq!(authority, Authority::Role(RoleAuthority { user, role, max_rate_limit: most }));
        let all = NewKey { scopes: role.grantable_scopes(), rate_limit: most, ..new_key("all of it") };
        let own = store.create_key(account.id, all, by).await.unwrap();
        let beyond = Scope::ALL.iter().filter(|scope| !role.grantable_scopes().allows(**scope));
        for scope in beyond {
            let scopes = ScopeSet::of(&[*scope]);
            let created = store.create_key(account.id, NewKey { scopes, ..reader("beyond") }, by).await;
            assert!(matches!(created, Err(KeyChangeError::Beyond(_))), "{role} {scope}");
            let wider = KeyPatch { scopes: Some(scopes), ..KeyPatch::default() };
            let changed = store.update_key(account.id, own.record.id, wider, by).await;
            assert!(matches!(changed, Err(KeyChangeError::Beyond(_))), "{role} {scope}");
        }
        let faster = NewKey { rate_limit: limit(most.get() + 1), ..reader("too fast") };
        let created = store.create_key(account.id, faster, by).await;
        assert!(matches!(created, Err(KeyChangeError::Beyond(_))), "{role}");
    }
    let (owners, _) =
        fixture.key(&store, account.id, NewKey { scopes: ScopeSet::all(), ..new_key("all") }).await;
    let admin = store.find_user(&"admin@example.com".parse().unwrap()).await.unwrap().unwrap();
    let exceeds = Some(Escalation::KeyExceeds(Bound::Role));
    let refused = changes(&store, &owners.record, by(&fixture, admin.id)).await;
    assert_eq!(
        refused,
        [exceeds, exceeds, None],
        "an admin stops every key, but changes none with more rights"
    );
    store.close().await;
}

async fn every_key_is_rotated_by_a_role_that_manages_them_all(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (others, _) = fixture.key(&store, account, reader("of others")).await;
    for (role, user) in team(&fixture, &store, account).await {
        let rotated = store.rotate_all_keys(account, GraceSeconds::NONE, by(&fixture, user)).await;
        match role {
            Role::Viewer => assert!(matches!(
                rotated,
                Err(RotateAllError::Escalation(Escalation::NoAuthority(Bound::Role)))
            )),
            Role::Developer => {
                let Err(RotateAllError::Beyond { keys, bound: Bound::Role }) = rotated else { panic!() };
                assert_eq!(keys, [others.record.id]);
            }
            Role::Admin | Role::Owner => assert_eq!(rotated.unwrap().keys.len(), 1),
        }
    }
    store.close().await;
}

async fn presets_are_edited_by_admins_and_owners(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    for (role, user) in team(&fixture, &store, account).await {
        let by = by(&fixture, user);
        let narrow = PresetPatch { scopes: Some(READ), ..PresetPatch::default() };
        let refused = match role {
            Role::Viewer => Some(Escalation::NoAuthority(Bound::Role)),
            Role::Developer => Some(Escalation::Presets),
            Role::Admin | Role::Owner => None,
        };
        assert_eq!(
            escalation(store.update_preset(account, Preset::Testing, narrow, by).await),
            refused,
            "{role}"
        );
        assert_eq!(escalation(store.reset_preset(account, Preset::Testing, by).await), refused, "{role}");
        let account_scopes = PresetPatch { scopes: Some(ScopeSet::all()), ..PresetPatch::default() };
        let widened = store.update_preset(account, Preset::Testing, account_scopes, by).await;
        assert_eq!(widened.is_ok(), role == Role::Owner, "{role}");
    }
    store.close().await;
}

async fn a_role_withdrawn_moments_ago_grants_nothing(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let team = team(&fixture, &store, account).await;
    let (others, _) = fixture.key(&store, account, reader("of others")).await;
    let (role, user) = team[2];
    assert_eq!(role, Role::Admin);
    let by = by(&fixture, user);
    // The request was admitted with the role of an admin; what counts is the role in the transaction.
    let own = made_by(&store, account, by).await;
    store.set_role(account, user, Role::Developer, fixture.origin()).await.unwrap();
    assert_eq!(changes(&store, &others.record, by).await, [Some(Escalation::NotCreator); 3]);
    store.update_key(account, own.record.id, rename("still own"), by).await.unwrap();
    store.set_role(account, user, Role::Viewer, fixture.origin()).await.unwrap();
    let none = Some(Escalation::NoAuthority(Bound::Role));
    assert_eq!(changes(&store, &own.record, by).await, [none; 3]);
    store.remove_member(account, user, fixture.origin()).await.unwrap();
    assert_eq!(changes(&store, &own.record, by).await, [none; 3]);
    assert!(store.get_key(account, own.record.id).await.unwrap().unwrap().revocation.is_none());
    store.close().await;
}

async fn a_disabled_user_and_a_member_of_another_account_change_nothing(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let other = fixture.other_account(&store).await;
    let (key, _) = fixture.key(&store, account, reader("k")).await;
    let none = Some(Escalation::NoAuthority(Bound::Role));
    make(&fixture, &store, account, "first@example.com", Role::Owner).await;
    let disabled = make(&fixture, &store, account, "disabled@example.com", Role::Owner).await.user.id;
    store.disable_user(disabled, fixture.origin()).await.unwrap();
    let elsewhere = make(&fixture, &store, other, "elsewhere@example.com", Role::Owner).await.user.id;
    for user in [disabled, elsewhere, UserId::from_bytes([9; 16])] {
        let by = by(&fixture, user);
        assert_eq!(changes(&store, &key.record, by).await, [none; 3]);
        assert_eq!(escalation(store.create_key(account, reader("n"), by).await), none);
        let narrow = PresetPatch { scopes: Some(READ), ..PresetPatch::default() };
        assert_eq!(escalation(store.update_preset(account, Preset::Testing, narrow, by).await), none);
        let rotated = store.rotate_all_keys(account, GraceSeconds::NONE, by).await;
        assert!(matches!(rotated, Err(RotateAllError::Escalation(_))));
    }
    let own = by(&fixture, elsewhere);
    let missing = store.revoke_key(other, key.record.id, None, own).await;
    assert!(matches!(missing, Err(KeyChangeError::NotFound)), "the key of another account does not exist");
    store.close().await;
}

async fn only_owners_change_the_account_and_nobody_its_bounds(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    for (role, user) in team(&fixture, &store, account).await {
        let by = by(&fixture, user);
        let expire = AccountPatch { keys_must_expire: Some(true), ..AccountPatch::default() };
        let changed = store.update_account(account, expire, by).await;
        let forbidden =
            |error: &AccountChangeError| matches!(error, AccountChangeError::Store(StoreError::Forbidden));
        assert_eq!(changed.is_ok(), role == Role::Owner, "{role}");
        assert!(changed.as_ref().err().is_none_or(forbidden), "{role}");
        for bounds in [
            AccountPatch { max_rate_limit: Some(limit(7)), ..AccountPatch::default() },
            AccountPatch { mode: Some(KeyMode::Test), ..AccountPatch::default() },
        ] {
            let changed = store.update_account(account, bounds, by).await;
            assert!(forbidden(&changed.unwrap_err()), "{role}");
        }
        let new = NewAccount { name: "Another".to_owned(), mode: KeyMode::Live, max_rate_limit: limit(1) };
        assert!(forbidden(&store.create_account(new, by).await.unwrap_err()), "{role}");
    }
    store.close().await;
}

/// Whether a change was made; any refusal but that of the role fails the test.
fn made<T, E: std::fmt::Display>(result: Result<T, E>) -> bool {
    let text = result.err().map(|error| error.to_string());
    assert!(text.as_ref().is_none_or(|text| *text == StoreError::Forbidden.to_string()), "{text:?}");
    text.is_none()
}

async fn trunks_webhooks_and_calls_are_changed_by_every_role_but_viewer(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let trunk = trunks::make(&fixture, &store, account, "shared").await.trunk.id;
    let webhook = webhooks::make(&fixture, &store, account, webhooks::draft("shared")).await.id;
    for (role, user) in team(&fixture, &store, account).await {
        let by = by(&fixture, user);
        let path = role.name();
        for (change, was_made) in [
            ("create a trunk", made(store.create_trunk(account, trunks::custom(path), by).await)),
            ("rotate a password", made(store.rotate_sip_password(account, trunk, by).await)),
            ("create a webhook", made(store.create_webhook(account, webhooks::draft(path), by).await)),
            ("test a webhook", made(store.test_webhook(account, webhook, by).await)),
            ("hang up", made(store.record_hangup_request(account, CallId::from_bytes([1; 16]), by).await)),
        ] {
            assert_eq!(was_made, role > Role::Viewer, "{role}: {change}");
        }
    }
    store.close().await;
}

async fn a_developer_acknowledges_only_alerts_about_their_own_keys(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    for (role, user) in team(&fixture, &store, account).await {
        let own = Origin { actor: Actor::User(user), ..fixture.origin() };
        let mut alerts = Vec::new();
        for creator in [fixture.origin(), own].into_iter().take(if role == Role::Viewer { 1 } else { 2 }) {
            let key = made_by(&store, account, creator).await.record.id;
            assert!(alerts::raised(&store, account, alerts::spike(key)).await);
            let filter = AlertFilter { subject: Some(AlertSubject::Key(key)), ..AlertFilter::default() };
            let listed = store.list_alerts(account, filter, PageRequest::default()).await.unwrap();
            alerts.push(listed.items[0].id);
        }
        let mut acknowledged = Vec::new();
        for id in alerts {
            acknowledged.push(made(store.acknowledge_alert(account, id, None, own).await));
        }
        let wanted: &[bool] = match role {
            Role::Viewer => &[false],
            Role::Developer => &[false, true],
            Role::Admin | Role::Owner => &[true, true],
        };
        assert_eq!(acknowledged, wanted, "{role}");
    }
    store.close().await;
}

async fn changes_of_a_key_by_its_user_and_by_another_key_do_not_deadlock(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let first = make(&fixture, &store, account, "first@example.com", Role::Owner).await.user.id;
    let second = make(&fixture, &store, account, "second@example.com", Role::Owner).await.user.id;
    let strong = || NewKey { scopes: ScopeSet::all(), ..new_key("strong") };
    let (one, _) = fixture.key(&store, account, strong()).await;
    let (other, _) = fixture.key(&store, account, strong()).await;
    let crosswise = async {
        for round in 0..20 {
            let name = format!("r{round}");
            let role = if round % 2 == 0 { Role::Admin } else { Role::Owner };
            let (by_user, by_key, created, promoted, edited) = tokio::join!(
                store.update_key(account, one.record.id, rename(&name), by(&fixture, first)),
                store.update_key(account, one.record.id, rename(&format!("k{name}")), fixture.by(&other)),
                store.create_key(account, reader(&name), by(&fixture, first)),
                store.set_role(account, second, role, by(&fixture, first)),
                store.reset_preset(account, Preset::Testing, fixture.by(&one)),
            );
            by_user.and(by_key).and(edited.map(|()| one.record.clone())).unwrap();
            created.map(drop).unwrap();
            promoted.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_mins(1), Box::pin(crosswise)).await.expect("nobody waits for ever");
    store.close().await;
}

async fn a_change_by_a_signed_in_user_names_them_in_the_audit_trail(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let user = make(&fixture, &store, account, "dev@example.com", Role::Developer).await.user.id;
    let session =
        store.create_session(account, user, NewSession::default(), by(&fixture, user)).await.unwrap();
    let signed_in = store.find_session(&session.token).await.unwrap().unwrap();
    let principal = signed_in.principal(store.now()).unwrap();
    let id = session.session.id;
    assert_eq!(principal, Principal::User(UserSession { session: id, user, account, role: Role::Developer }));
    let address = "192.0.2.7".parse().ok();
    let origin = principal.origin(address, store.now()).unwrap();
    let key = store.create_key(account, reader("own"), origin).await.unwrap();
    let filter = AuditFilter { target: Some(key.record.id.to_string()), ..AuditFilter::default() };
    let listed = store.list_audit(account, filter, PageRequest::default()).await.unwrap();
    let recorded = listed.items[0].origin;
    assert_eq!((recorded.actor, recorded.address), (Actor::User(user), address));
    assert!(recorded.actor.to_string().starts_with("user_"));
    store.close().await;
}

//! Signing in with identities at an OpenID Connect provider.

use std::sync::Arc;

use telepath_core::account::Actor;
use telepath_core::audit::Origin;
use telepath_core::id::AccountId;
use telepath_core::user::{ExternalIdentity, GroupRoles, MAX_IDENTITIES, Role, User, UserName};

use super::sign_ins::start;
use super::users::{actions, make};
use super::{Fixture, behaviour};
use crate::{Store, UserError};

behaviour! {
    an_unknown_identity_becomes_a_user_with_the_role_of_its_groups,
    an_identity_belongs_to_the_user_with_its_verified_address_and_stays_theirs,
    an_unknown_identity_without_a_verified_address_is_refused,
    the_groups_decide_the_role_at_each_sign_in_and_leave_an_owner,
    without_groups_members_keep_their_roles,
    a_disabled_user_is_refused_and_the_attempt_is_audited,
    an_identity_confirms_only_the_session_of_its_user,
    the_identities_of_a_user_are_bounded,
}

fn identity(subject: &str, email: Option<&str>, groups: &[&str]) -> ExternalIdentity {
    ExternalIdentity {
        issuer: "https://login.example.com".to_owned(),
        subject: subject.to_owned(),
        verified_email: email.map(|email| email.parse().unwrap()),
        name: Some(UserName::check("Grace Hopper").unwrap()),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        authenticated_at: None,
    }
}

fn mapping(otherwise: Option<Role>) -> GroupRoles {
    let roles = [("staff", Role::Viewer), ("voice", Role::Admin), ("heads", Role::Owner)];
    GroupRoles { roles: roles.map(|(group, role)| (group.to_owned(), role)).to_vec(), otherwise }
}

async fn arrive(
    fixture: &Fixture,
    store: &Store,
    account: AccountId,
    who: ExternalIdentity,
) -> Result<User, UserError> {
    store.sign_in_with_identity(account, who, mapping(None), fixture.origin()).await
}

async fn role(store: &Store, account: AccountId, user: &User) -> Option<Role> {
    store.get_member(account, user.id).await.unwrap().map(|member| member.role)
}

async fn an_unknown_identity_becomes_a_user_with_the_role_of_its_groups(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let refused =
        arrive(&fixture, &store, account, identity("g", Some("grace@example.com"), &["other"])).await;
    assert!(matches!(refused, Err(UserError::NoMembership)));
    assert!(
        store.find_user(&"grace@example.com".parse().unwrap()).await.unwrap().is_none(),
        "nobody is created"
    );
    let user =
        arrive(&fixture, &store, account, identity("g", Some("grace@example.com"), &["staff", "voice"]))
            .await
            .unwrap();
    assert_eq!((user.name.as_str(), user.has_password), ("Grace Hopper", false));
    assert_eq!(role(&store, account, &user).await, Some(Role::Admin));
    let again = arrive(&fixture, &store, account, identity("g", None, &["voice"])).await.unwrap();
    assert_eq!(again.id, user.id, "the address is not needed any more");
    let audited = actions(&store, account).await;
    assert!(
        audited.ends_with(&["user.created", "user.added", "user.identity_linked"].map(str::to_owned)),
        "{audited:?}"
    );
}

async fn an_identity_belongs_to_the_user_with_its_verified_address_and_stays_theirs(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let ada = make(&fixture, &store, account, "Ada@Example.com", Role::Viewer).await.user;
    let other = make(&fixture, &store, account, "grace@example.com", Role::Viewer).await.user;
    let user =
        arrive(&fixture, &store, account, identity("a", Some("ada@example.com"), &["staff"])).await.unwrap();
    assert_eq!(user.id, ada.id);
    // The address of the identity is somebody else's now; the identity is still Ada's.
    let moved = arrive(&fixture, &store, account, identity("a", Some("grace@example.com"), &["staff"]))
        .await
        .unwrap();
    assert_eq!(moved.id, ada.id);
    assert_ne!(moved.id, other.id);
    let elsewhere = ExternalIdentity {
        issuer: "https://other.example.com".to_owned(),
        ..identity("a", None, &["staff"])
    };
    assert!(matches!(arrive(&fixture, &store, account, elsewhere).await, Err(UserError::UnverifiedEmail)));
}

async fn an_unknown_identity_without_a_verified_address_is_refused(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let refused = arrive(&fixture, &store, account, identity("x", None, &["heads"])).await;
    assert!(matches!(refused, Err(UserError::UnverifiedEmail)));
}

async fn the_groups_decide_the_role_at_each_sign_in_and_leave_an_owner(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let who = |groups: &[&str]| identity("g", Some("grace@example.com"), groups);
    let user = arrive(&fixture, &store, account, who(&["heads"])).await.unwrap();
    assert_eq!(role(&store, account, &user).await, Some(Role::Owner));
    arrive(&fixture, &store, account, who(&["staff"])).await.unwrap();
    assert_eq!(role(&store, account, &user).await, Some(Role::Owner), "the last owner stays one");
    make(&fixture, &store, account, "ada@example.com", Role::Owner).await;
    // Nobody has set a password for this owner yet, but they can.
    arrive(&fixture, &store, account, who(&["staff"])).await.unwrap();
    assert_eq!(role(&store, account, &user).await, Some(Role::Viewer));
    let refused = arrive(&fixture, &store, account, who(&[])).await;
    assert!(matches!(refused, Err(UserError::NoMembership)), "whoever is in no group any more stays out");
}

async fn without_groups_members_keep_their_roles(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let ada = make(&fixture, &store, account, "ada@example.com", Role::Developer).await.user;
    for (mapping, newcomer) in [
        (GroupRoles::default(), None),
        (GroupRoles { roles: Vec::new(), otherwise: Some(Role::Viewer) }, Some(Role::Viewer)),
    ] {
        let who = identity("a", Some("ada@example.com"), &["staff"]);
        let user =
            store.sign_in_with_identity(account, who, mapping.clone(), fixture.origin()).await.unwrap();
        assert_eq!((user.id, role(&store, account, &user).await), (ada.id, Some(Role::Developer)));
        let who = identity("g", Some("grace@example.com"), &["staff"]);
        match store.sign_in_with_identity(account, who, mapping, fixture.origin()).await {
            Ok(user) => assert_eq!(role(&store, account, &user).await, newcomer),
            Err(error) => assert!(matches!(error, UserError::NoMembership) && newcomer.is_none(), "{error}"),
        }
    }
}

async fn a_disabled_user_is_refused_and_the_attempt_is_audited(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let who = || identity("g", Some("grace@example.com"), &["voice"]);
    let user = arrive(&fixture, &store, account, who()).await.unwrap();
    store.disable_user(user.id, fixture.origin()).await.unwrap();
    assert!(matches!(arrive(&fixture, &store, account, who()).await, Err(UserError::Disabled)));
    assert_eq!(actions(&store, account).await.last().map(String::as_str), Some("session.refused"));
}

async fn an_identity_confirms_only_the_session_of_its_user(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let grace = arrive(&fixture, &store, account, identity("g", Some("grace@example.com"), &["voice"]))
        .await
        .unwrap();
    arrive(&fixture, &store, account, identity("a", Some("ada@example.com"), &["voice"])).await.unwrap();
    let session = start(&fixture, &store, account, grace.id).await;
    let origin = Origin { actor: Actor::User(grace.id), ..fixture.origin() };
    let confirm = async |subject: &str| {
        store.confirm_session_with_identity(session.session.id, &identity(subject, None, &[]), origin).await
    };
    assert!(matches!(confirm("a").await, Err(UserError::WrongPassword)));
    assert!(matches!(confirm("unknown").await, Err(UserError::WrongPassword)));
    let token = confirm("g").await.unwrap();
    assert!(store.find_session(&token).await.unwrap().is_some());
    assert!(store.find_session(&session.token).await.unwrap().is_none(), "the old token is worth nothing");
}

async fn the_identities_of_a_user_are_bounded(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let who = |number: u32, email| identity(&format!("s{number}"), email, &["voice"]);
    for number in 0..=MAX_IDENTITIES {
        fixture.clock.advance(std::time::Duration::from_secs(1));
        arrive(&fixture, &store, account, who(number, Some("grace@example.com"))).await.unwrap();
    }
    let first = arrive(&fixture, &store, account, who(0, None)).await;
    assert!(matches!(first, Err(UserError::UnverifiedEmail)), "the one that was used longest ago is gone");
    arrive(&fixture, &store, account, who(1, None)).await.unwrap();
}

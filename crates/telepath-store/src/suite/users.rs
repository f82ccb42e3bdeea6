//! Users, memberships, roles and invitations: what each role may change, that an account keeps an owner, and that every
//! change is audited in the accounts that it concerns.

use std::sync::Arc;
use std::time::Duration;

use telepath_core::account::Actor;
use telepath_core::audit::{AuditFilter, Origin};
use telepath_core::id::{AccountId, Id as _, UserId};
use telepath_core::page::PageRequest;
use telepath_core::secret::SecretText;
use telepath_core::user::{
    INVITATION_LIFETIME, Member, PASSWORD_LINK_LIFETIME, Role, SETUP_LINK_LIFETIME, Theme, UserName,
    UserPatch, UserStatus, UserToken,
};

use super::{Fixture, behaviour, select};
use crate::{Acceptance, AuditVerdict, FirstUser, NewInvitation, NewSession, NewUser, Store, UserError};

behaviour! {
    a_created_user_is_a_member_who_sets_a_password_with_a_link_once,
    an_address_belongs_to_one_user_whatever_its_case,
    the_last_owner_can_neither_be_demoted_nor_removed,
    two_owners_who_demote_each_other_leave_one,
    roles_change_only_what_they_manage,
    a_user_is_a_member_of_several_accounts_with_a_role_in_each,
    disabling_ends_sessions_and_links_and_is_audited_everywhere,
    settings_are_changed_and_audited_only_where_they_differ,
    an_invitation_is_accepted_once_and_in_time,
    an_invitation_of_an_existing_user_needs_their_address,
    nobody_invites_above_their_role,
    links_expire_and_a_newer_one_replaces_an_older,
    the_first_user_is_created_once_with_a_code_of_this_server,
}

pub(super) const PASSWORD: &str = "seven grey herons dance";

pub(super) fn secret(text: &str) -> SecretText {
    SecretText::new(text.to_owned())
}

pub(super) fn by(fixture: &Fixture, user: UserId) -> Origin {
    Origin { actor: Actor::User(user), ..fixture.origin() }
}

fn new_user(email: &str, role: Role) -> NewUser {
    NewUser { email: email.parse().unwrap(), name: UserName::check("Ada").unwrap(), role }
}

pub(super) async fn make(
    fixture: &Fixture,
    store: &Store,
    account: AccountId,
    email: &str,
    role: Role,
) -> Member {
    store.create_user(account, new_user(email, role), fixture.origin()).await.unwrap().member
}

pub(super) async fn actions(store: &Store, account: AccountId) -> Vec<String> {
    let page = PageRequest::new(100, 0).unwrap();
    let listed = store.list_audit(account, AuditFilter::default(), page).await.unwrap();
    listed.items.iter().rev().map(|record| record.action.name().to_owned()).collect()
}

async fn assert_intact(store: &Store, account: AccountId) {
    let verdict = store.verify_audit(account, None).await.unwrap().verdict;
    assert!(matches!(verdict, AuditVerdict::Intact { .. }), "{verdict:?}");
}

async fn a_created_user_is_a_member_who_sets_a_password_with_a_link_once(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let made =
        store.create_user(account, new_user("Ada@Example.com", Role::Owner), fixture.origin()).await.unwrap();
    let user = made.member.user.clone();
    assert_eq!((made.member.role, user.status()), (Role::Owner, UserStatus::Invited));
    assert_eq!(store.find_password_link(&made.link).await.unwrap(), Some(user.clone()));
    let weak = store.use_password_link(&made.link, secret("ada@example.com"), fixture.origin()).await;
    assert!(matches!(weak, Err(UserError::WeakPassword(_))));
    let active = store.use_password_link(&made.link, secret(PASSWORD), fixture.origin()).await.unwrap();
    assert_eq!(active.status(), UserStatus::Active);
    let again = store.use_password_link(&made.link, secret("another long password"), fixture.origin()).await;
    assert!(matches!(again, Err(UserError::InvalidLink)));
    let listed = store.list_members(account, PageRequest::default()).await.unwrap();
    assert_eq!((listed.count(), &listed.items[0].user), (Some(1), &active));
    let wanted = ["account.created", "user.created", "user.added", "user.password_changed"];
    assert_eq!(actions(&store, account).await, wanted);
    for row in select(&store, "SELECT before_json, after_json FROM audit_events", vec![]).await {
        let text = row.text("before_json").unwrap() + &row.text("after_json").unwrap();
        assert!(!text.contains("argon2") && !text.contains(made.link.expose()), "{text}");
    }
    assert_intact(&store, account).await;
    store.close().await;
}

async fn an_address_belongs_to_one_user_whatever_its_case(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let made = make(&fixture, &store, account, "Ada@Example.com", Role::Viewer).await;
    let again = store.create_user(account, new_user("ada@EXAMPLE.com", Role::Viewer), fixture.origin()).await;
    assert!(matches!(again, Err(UserError::EmailTaken)));
    let found = store.find_user(&"ADA@example.COM".parse().unwrap()).await.unwrap();
    assert_eq!(found, Some(made.user));
    assert_eq!(actions(&store, account).await.len(), 3, "a refused change leaves no audit row");
    store.close().await;
}

async fn the_last_owner_can_neither_be_demoted_nor_removed(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let owner = make(&fixture, &store, account, "owner@example.com", Role::Owner).await.user.id;
    let origin = fixture.origin();
    let refused = store.set_role(account, owner, Role::Admin, origin).await;
    assert!(matches!(refused, Err(UserError::LastOwner)));
    assert!(matches!(store.remove_member(account, owner, origin).await, Err(UserError::LastOwner)));
    let other = make(&fixture, &store, account, "other@example.com", Role::Owner).await.user.id;
    store.disable_user(other, origin).await.unwrap();
    let refused = store.set_role(account, owner, Role::Admin, origin).await;
    assert!(matches!(refused, Err(UserError::LastOwner)), "a disabled owner does not count");
    store.enable_user(other, origin).await.unwrap();
    assert_eq!(store.set_role(account, owner, Role::Admin, origin).await.unwrap().role, Role::Admin);
    store.remove_member(account, owner, origin).await.unwrap();
    assert_eq!(store.get_member(account, owner).await.unwrap(), None);
    assert!(store.get_user(owner).await.unwrap().is_some(), "keys and audit rows still name the user");
    let refused = store.disable_user(owner, origin).await;
    assert!(matches!(refused, Err(UserError::NoMembership)), "no account has an audit chain for it");
    assert_intact(&store, account).await;
    store.close().await;
}

async fn two_owners_who_demote_each_other_leave_one(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let one = make(&fixture, &store, account, "one@example.com", Role::Owner).await.user.id;
    let two = make(&fixture, &store, account, "two@example.com", Role::Owner).await.user.id;
    let (first, second) = tokio::join!(
        store.set_role(account, two, Role::Viewer, by(&fixture, one)),
        store.set_role(account, one, Role::Viewer, by(&fixture, two)),
    );
    assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
    let listed = store.list_members(account, PageRequest::default()).await.unwrap();
    assert_eq!(listed.items.iter().filter(|member| member.role == Role::Owner).count(), 1);
    store.close().await;
}

async fn roles_change_only_what_they_manage(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let mut ids = Vec::new();
    for role in Role::ALL {
        ids.push(make(&fixture, &store, account, &format!("{role}@example.com"), *role).await.user.id);
    }
    let [viewer, developer, admin, owner] = ids[..] else { panic!("four roles") };
    let set = |by_user, user, role| store.set_role(account, user, role, by(&fixture, by_user));
    for caller in [viewer, developer] {
        assert!(matches!(set(caller, viewer, Role::Developer).await, Err(UserError::Forbidden)));
    }
    assert_eq!(set(admin, viewer, Role::Admin).await.unwrap().role, Role::Admin);
    assert!(matches!(set(admin, viewer, Role::Owner).await, Err(UserError::Forbidden)), "above the own role");
    assert!(matches!(set(admin, owner, Role::Viewer).await, Err(UserError::Forbidden)));
    assert!(matches!(
        store.remove_member(account, owner, by(&fixture, admin)).await,
        Err(UserError::Forbidden)
    ));
    store.remove_member(account, developer, by(&fixture, admin)).await.unwrap();
    assert!(matches!(set(developer, viewer, Role::Viewer).await, Err(UserError::Forbidden)), "not a member");
    store.disable_user(admin, fixture.origin()).await.unwrap();
    assert!(matches!(set(admin, viewer, Role::Viewer).await, Err(UserError::Forbidden)), "disabled");
    let key = store.create_key(account, super::new_key("k"), fixture.origin()).await.unwrap();
    let by_key = store.set_role(account, viewer, Role::Viewer, fixture.by(&key)).await;
    assert!(matches!(by_key, Err(UserError::Forbidden)), "keys cannot manage users");
    // What reaches beyond one account is for local administration only.
    assert!(matches!(store.disable_user(viewer, by(&fixture, owner)).await, Err(UserError::Forbidden)));
    let link = store.create_password_link(viewer, by(&fixture, owner)).await;
    assert!(matches!(link, Err(UserError::Forbidden)));
    assert_intact(&store, account).await;
    store.close().await;
}

async fn a_user_is_a_member_of_several_accounts_with_a_role_in_each(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let other = fixture.other_account(&store).await;
    let user = make(&fixture, &store, account, "ada@example.com", Role::Owner).await.user.id;
    let stranger = make(&fixture, &store, other, "bob@example.com", Role::Owner).await.user.id;
    store.add_member(other, user, Role::Viewer, fixture.origin()).await.unwrap();
    let again = store.add_member(other, user, Role::Owner, fixture.origin()).await;
    assert!(matches!(again, Err(UserError::AlreadyMember)));
    let mut wanted = vec![(account, Role::Owner), (other, Role::Viewer)];
    wanted.sort_by_key(|(account, _)| account.to_string());
    assert_eq!(store.list_memberships(user).await.unwrap(), wanted);
    // An owner of one account is nobody in the other.
    assert_eq!(store.get_member(account, stranger).await.unwrap(), None);
    let reach = store.set_role(account, stranger, Role::Viewer, by(&fixture, user)).await;
    assert!(matches!(reach, Err(UserError::NotFound)));
    let reach = store.set_role(other, stranger, Role::Viewer, by(&fixture, user)).await;
    assert!(matches!(reach, Err(UserError::Forbidden)));
    assert_intact(&store, other).await;
    store.close().await;
}

async fn disabling_ends_sessions_and_links_and_is_audited_everywhere(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let other = fixture.other_account(&store).await;
    let made = store
        .create_user(account, new_user("ada@example.com", Role::Viewer), fixture.origin())
        .await
        .unwrap();
    let user = made.member.user.id;
    store.add_member(other, user, Role::Viewer, fixture.origin()).await.unwrap();
    let start = |account| store.create_session(account, user, NewSession::default(), by(&fixture, user));
    let sessions = [start(account).await.unwrap(), start(other).await.unwrap()];
    let disabled = store.disable_user(user, fixture.origin()).await.unwrap();
    assert_eq!(disabled.status(), UserStatus::Disabled);
    for session in &sessions {
        assert!(store.find_session(&session.token).await.unwrap().is_none());
    }
    assert!(matches!(start(account).await, Err(UserError::Disabled)));
    assert_eq!(store.find_password_link(&made.link).await.unwrap(), None);
    for account in [account, other] {
        assert_eq!(actions(&store, account).await.last().unwrap(), "user.disabled");
        assert_intact(&store, account).await;
    }
    assert_eq!(
        store.disable_user(user, fixture.origin()).await.unwrap(),
        disabled,
        "repeating it changes nothing"
    );
    store.enable_user(user, fixture.origin()).await.unwrap();
    assert!(store.find_session(&sessions[0].token).await.unwrap().is_none(), "an ended secret stays ended");
    assert!(start(account).await.is_ok());
    store.close().await;
}

async fn settings_are_changed_and_audited_only_where_they_differ(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let user = make(&fixture, &store, account, "ada@example.com", Role::Viewer).await.user.id;
    let patch = UserPatch { theme: Some(Theme::Dark), ..UserPatch::default() };
    let changed = store.update_user(user, patch.clone(), by(&fixture, user)).await.unwrap();
    assert_eq!(changed.profile.theme, Theme::Dark);
    assert_eq!(store.get_user(user).await.unwrap(), Some(changed.clone()));
    assert_eq!(store.update_user(user, patch, by(&fixture, user)).await.unwrap(), changed);
    let rows = select(
        &store,
        "SELECT before_json, after_json FROM audit_events WHERE action = 'user.updated'",
        vec![],
    );
    let rows = rows.await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].text("before_json").unwrap(), r#"{"theme":"system"}"#);
    assert_eq!(rows[0].text("after_json").unwrap(), r#"{"theme":"dark"}"#);
    store.close().await;
}

async fn invite(
    fixture: &Fixture,
    store: &Store,
    account: AccountId,
    email: &str,
    role: Role,
) -> (telepath_core::user::Invitation, UserToken) {
    let new = NewInvitation { email: email.parse().unwrap(), role };
    let made = store.create_invitation(account, new, fixture.origin()).await.unwrap();
    (made.invitation, made.link)
}

fn acceptance() -> Acceptance {
    Acceptance { name: UserName::check("Grace").unwrap(), password: secret(PASSWORD) }
}

async fn an_invitation_is_accepted_once_and_in_time(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (first, old) = invite(&fixture, &store, account, "grace@example.com", Role::Developer).await;
    let (second, link) = invite(&fixture, &store, account, "Grace@example.com", Role::Admin).await;
    assert!(store.find_invitation(&old).await.unwrap().is_none(), "replaced by the newer one");
    assert_eq!(store.find_invitation(&link).await.unwrap(), Some(second.clone()));
    let listed = store.list_invitations(account, PageRequest::default()).await.unwrap();
    assert_eq!((listed.count(), listed.items.as_slice()), (Some(1), std::slice::from_ref(&second)));
    let gone = store.revoke_invitation(account, first.id, fixture.origin()).await;
    assert!(matches!(gone, Err(UserError::InvitationNotFound)));
    let member = store.accept_invitation(&link, acceptance(), fixture.origin()).await.unwrap();
    assert_eq!((member.role, member.user.status()), (Role::Admin, UserStatus::Active));
    let again = store.accept_invitation(&link, acceptance(), fixture.origin()).await;
    assert!(matches!(again, Err(UserError::InvalidLink)));
    let (late, link) = invite(&fixture, &store, account, "late@example.com", Role::Viewer).await;
    let other = fixture.other_account(&store).await;
    let foreign = store.revoke_invitation(other, late.id, fixture.origin()).await;
    assert!(matches!(foreign, Err(UserError::InvitationNotFound)), "of another account");
    fixture.clock.advance(INVITATION_LIFETIME);
    assert!(store.find_invitation(&link).await.unwrap().is_none());
    let too_late = store.accept_invitation(&link, acceptance(), fixture.origin()).await;
    assert!(matches!(too_late, Err(UserError::InvalidLink)));
    let wanted =
        ["invitation.created", "invitation.created", "user.created", "user.added", "invitation.accepted"];
    assert_eq!(actions(&store, account).await[1..6], wanted);
    assert_intact(&store, account).await;
    store.close().await;
}

async fn an_invitation_of_an_existing_user_needs_their_address(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let other = fixture.other_account(&store).await;
    let ada = make(&fixture, &store, other, "ada@example.com", Role::Owner).await.user.id;
    let eve = make(&fixture, &store, other, "eve@example.com", Role::Viewer).await.user.id;
    let (_, link) = invite(&fixture, &store, account, "ADA@example.com", Role::Viewer).await;
    let taken = store.accept_invitation(&link, acceptance(), fixture.origin()).await;
    assert!(matches!(taken, Err(UserError::EmailTaken)), "{taken:?}");
    let foreign = store.accept_invitation_as(&link, eve, by(&fixture, eve)).await;
    assert!(matches!(foreign, Err(UserError::Forbidden)));
    let member = store.accept_invitation_as(&link, ada, by(&fixture, ada)).await.unwrap();
    assert_eq!((member.user.id, member.role), (ada, Role::Viewer));
    store.close().await;
}

async fn nobody_invites_above_their_role(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let admin = make(&fixture, &store, account, "admin@example.com", Role::Admin).await.user.id;
    let developer = make(&fixture, &store, account, "dev@example.com", Role::Developer).await.user.id;
    let ask = |user, role| {
        let new = NewInvitation { email: "new@example.com".parse().unwrap(), role };
        store.create_invitation(account, new, by(&fixture, user))
    };
    assert!(matches!(ask(developer, Role::Viewer).await, Err(UserError::Forbidden)));
    assert!(matches!(ask(admin, Role::Owner).await, Err(UserError::Forbidden)));
    let made = ask(admin, Role::Admin).await.unwrap();
    assert_eq!(made.invitation.invited_by, Actor::User(admin));
    let unknown = by(&fixture, UserId::from_bytes([7; 16]));
    let refused = store.revoke_invitation(account, made.invitation.id, unknown).await;
    assert!(matches!(refused, Err(UserError::Forbidden)));
    store.revoke_invitation(account, made.invitation.id, by(&fixture, admin)).await.unwrap();
    assert!(store.find_invitation(&made.link).await.unwrap().is_none());
    store.close().await;
}

async fn links_expire_and_a_newer_one_replaces_an_older(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let made = store
        .create_user(account, new_user("ada@example.com", Role::Viewer), fixture.origin())
        .await
        .unwrap();
    let user = made.member.user.id;
    fixture.clock.advance(SETUP_LINK_LIFETIME.saturating_sub(Duration::from_millis(1)));
    assert!(store.find_password_link(&made.link).await.unwrap().is_some());
    let reset = store.create_password_link(user, fixture.origin()).await.unwrap();
    assert!(store.find_password_link(&made.link).await.unwrap().is_none(), "replaced");
    assert!(store.find_password_link(&reset).await.unwrap().is_some());
    fixture.clock.advance(PASSWORD_LINK_LIFETIME);
    assert!(store.find_password_link(&reset).await.unwrap().is_none());
    let late = store.use_password_link(&reset, secret(PASSWORD), fixture.origin()).await;
    assert!(matches!(late, Err(UserError::InvalidLink)));
    fixture.clock.advance(Duration::from_secs(1));
    assert_eq!(store.expire_sign_ins().await.unwrap(), 1);
    store.close().await;
}

async fn the_first_user_is_created_once_with_a_code_of_this_server(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let code = store.setup_code().await.unwrap().unwrap();
    let first = |email: &str| FirstUser {
        email: email.parse().unwrap(),
        name: UserName::check("Ada").unwrap(),
        password: secret(PASSWORD),
    };
    let origin = fixture.origin();
    let wrong = store.create_first_user(account, "0123", first("ada@example.com"), origin).await;
    assert!(matches!(wrong, Err(UserError::InvalidLink)));
    assert_eq!(store.set_up_at().await.unwrap(), None);
    let [one, other] = ["ada@example.com", "eve@example.com"].map(first);
    let (one, other) = tokio::join!(
        store.create_first_user(account, code.expose(), one, origin),
        store.create_first_user(account, code.expose(), other, origin),
    );
    let (made, refused) = if one.is_ok() { (one, other) } else { (other, one) };
    assert!(matches!(refused, Err(UserError::InvalidLink)), "{refused:?}");
    let made = made.unwrap();
    assert_eq!(
        (made.status(), store.set_up_at().await.unwrap()),
        (UserStatus::Active, Some(made.created_at))
    );
    assert_eq!(store.get_member(account, made.id).await.unwrap().unwrap().role, Role::Owner);
    assert!(store.setup_code().await.unwrap().is_none());
    assert!(!store.accepts_setup_code(code.expose()).await.unwrap());
    let wanted = ["account.created", "user.created", "user.added", "user.password_changed"];
    assert_eq!(actions(&store, account).await, wanted);
    assert_intact(&store, account).await;
    store.close().await;
}

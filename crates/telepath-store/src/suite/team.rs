//! What members with a managing role do for other members, and requests for forgotten passwords.

use std::sync::Arc;
use std::time::Duration;

use telepath_core::clock::Clock as _;
use telepath_core::user::{Role, SESSION_IDLE};

use super::sign_ins::{code_of, from, start};
use super::users::{PASSWORD, actions, by, make, secret};
use super::{Fixture, behaviour};
use crate::{LinkRecipient, MemberActivity, UserError};

behaviour! {
    the_sessions_of_members_are_counted_on_their_account,
    sessions_of_a_member_end_on_one_account_and_only_by_who_manages_them,
    a_member_gets_a_password_link_from_who_manages_them,
    a_link_is_not_shown_to_who_does_not_manage_the_user_everywhere,
    a_lost_second_factor_is_removed_by_an_owner_who_manages_the_user_everywhere,
    requests_for_forgotten_passwords_are_counted_for_every_address,
}

async fn the_sessions_of_members_are_counted_on_their_account(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let other = fixture.other_account(&store).await;
    let ada = make(&fixture, &store, account, "ada@example.com", Role::Owner).await.user.id;
    store.add_member(other, ada, Role::Viewer, fixture.origin()).await.unwrap();
    make(&fixture, &store, account, "never@example.com", Role::Viewer).await;
    let at = fixture.origin().at;
    for account in [account, account, other] {
        start(&fixture, &store, account, ada).await;
    }
    let activity = |sessions, at| vec![MemberActivity { user: ada, sessions, last_seen_at: Some(at) }];
    assert_eq!(store.member_activity(account).await.unwrap(), activity(2, at));
    assert_eq!(store.member_activity(other).await.unwrap(), activity(1, at));
    fixture.clock.advance(SESSION_IDLE);
    assert_eq!(store.member_activity(account).await.unwrap(), activity(0, at), "idle sessions have ended");
    let later = fixture.origin().at;
    start(&fixture, &store, account, ada).await;
    assert_eq!(store.member_activity(account).await.unwrap(), activity(1, later));
    store.close().await;
}

async fn sessions_of_a_member_end_on_one_account_and_only_by_who_manages_them(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let other = fixture.other_account(&store).await;
    let owner = make(&fixture, &store, account, "owner@example.com", Role::Owner).await.user.id;
    let admin = make(&fixture, &store, account, "admin@example.com", Role::Admin).await.user.id;
    let dev = make(&fixture, &store, account, "dev@example.com", Role::Developer).await.user.id;
    store.add_member(other, dev, Role::Viewer, fixture.origin()).await.unwrap();
    let [here, there] =
        [start(&fixture, &store, account, dev).await, start(&fixture, &store, other, dev).await];
    for (caller, target) in [(dev, admin), (admin, owner)] {
        let refused = store.revoke_member_sessions(account, target, by(&fixture, caller)).await;
        assert!(matches!(refused, Err(UserError::Forbidden)), "{refused:?}");
    }
    let foreign = store.revoke_member_sessions(other, dev, by(&fixture, admin)).await;
    assert!(matches!(foreign, Err(UserError::Forbidden)), "of another account");
    assert_eq!(store.revoke_member_sessions(account, dev, by(&fixture, admin)).await.unwrap(), 1);
    assert!(store.find_session(&here.token).await.unwrap().is_none());
    assert!(store.find_session(&there.token).await.unwrap().is_some());
    assert_eq!(actions(&store, account).await.last().unwrap(), "session.all_revoked");
    store.close().await;
}

async fn a_member_gets_a_password_link_from_who_manages_them(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let owner = make(&fixture, &store, account, "owner@example.com", Role::Owner).await.user.id;
    let admin = make(&fixture, &store, account, "admin@example.com", Role::Admin).await.user.id;
    let dev = make(&fixture, &store, account, "dev@example.com", Role::Developer).await.user.id;
    let link = |user, caller| {
        store.create_member_password_link(account, user, LinkRecipient::Caller, by(&fixture, caller))
    };
    for (user, caller) in [(owner, admin), (admin, dev), (dev, dev)] {
        assert!(matches!(link(user, caller).await, Err(UserError::Forbidden)));
    }
    let token = link(dev, admin).await.unwrap();
    store.use_password_link(&token, secret(PASSWORD), fixture.origin()).await.unwrap();
    link(admin, owner).await.unwrap();
    store.disable_user(dev, fixture.origin()).await.unwrap();
    assert!(matches!(link(dev, admin).await, Err(UserError::Disabled)));
    let made = actions(&store, account).await;
    assert_eq!(made.iter().filter(|action| *action == "user.password_link_created").count(), 2);
    store.close().await;
}

async fn a_link_is_not_shown_to_who_does_not_manage_the_user_everywhere(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let other = fixture.other_account(&store).await;
    let owner = make(&fixture, &store, account, "owner@example.com", Role::Owner).await.user.id;
    let dev = make(&fixture, &store, account, "dev@example.com", Role::Developer).await.user.id;
    store.add_member(other, dev, Role::Owner, fixture.origin()).await.unwrap();
    let link = |recipient| store.create_member_password_link(account, dev, recipient, by(&fixture, owner));
    assert!(matches!(link(LinkRecipient::Caller).await, Err(UserError::OtherAccounts)));
    let sent = link(LinkRecipient::User).await.unwrap();
    assert!(store.find_password_link(&sent).await.unwrap().is_some());
    store.add_member(other, owner, Role::Admin, fixture.origin()).await.unwrap();
    assert!(matches!(link(LinkRecipient::Caller).await, Err(UserError::OtherAccounts)), "an admin there");
    store.set_role(other, owner, Role::Owner, fixture.origin()).await.unwrap();
    link(LinkRecipient::Caller).await.unwrap();
    store.close().await;
}

async fn a_lost_second_factor_is_removed_by_an_owner_who_manages_the_user_everywhere(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let other = fixture.other_account(&store).await;
    let owner = make(&fixture, &store, account, "owner@example.com", Role::Owner).await.user.id;
    let admin = make(&fixture, &store, account, "admin@example.com", Role::Admin).await.user.id;
    let dev = make(&fixture, &store, account, "dev@example.com", Role::Developer).await.user.id;
    let remove = |caller| store.remove_member_second_factor(account, dev, by(&fixture, caller));
    assert!(matches!(remove(owner).await, Err(UserError::SecondFactorState)), "there is none");
    let session = start(&fixture, &store, account, dev).await;
    let enrolment = store.enrol_totp(dev, "Telepath", by(&fixture, dev)).await.unwrap();
    let code = code_of(&enrolment.secret, fixture.clock.now());
    store.confirm_totp(session.session.id, &code, by(&fixture, dev)).await.unwrap();
    store.add_member(other, dev, Role::Viewer, fixture.origin()).await.unwrap();
    for caller in [dev, admin] {
        assert!(matches!(remove(caller).await, Err(UserError::Forbidden)));
    }
    assert!(matches!(remove(owner).await, Err(UserError::OtherAccounts)));
    assert!(store.find_session(&session.token).await.unwrap().is_some(), "nothing was changed");
    store.add_member(other, owner, Role::Admin, fixture.origin()).await.unwrap();
    let there = start(&fixture, &store, other, dev).await;
    remove(owner).await.unwrap();
    assert!(!store.get_user(dev).await.unwrap().unwrap().has_second_factor);
    assert_eq!(store.recovery_codes_left(dev).await.unwrap(), 0);
    for session in [session, there] {
        assert!(store.find_session(&session.token).await.unwrap().is_none(), "its sessions end everywhere");
    }
    for account in [account, other] {
        assert_eq!(actions(&store, account).await.last().unwrap(), "user.second_factor_removed");
    }
    // An owner who has lost their own is let in by local administration.
    let session = start(&fixture, &store, account, owner).await;
    let enrolment = store.enrol_totp(owner, "Telepath", by(&fixture, owner)).await.unwrap();
    let code = code_of(&enrolment.secret, fixture.clock.now());
    store.confirm_totp(session.session.id, &code, by(&fixture, owner)).await.unwrap();
    store.remove_member_second_factor(account, owner, fixture.origin()).await.unwrap();
    assert!(!store.get_user(owner).await.unwrap().unwrap().has_second_factor);
    assert!(store.find_session(&session.token).await.unwrap().is_none());
    store.close().await;
}

async fn requests_for_forgotten_passwords_are_counted_for_every_address(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let ada = make(&fixture, &store, account, "ada@example.com", Role::Owner).await.user.id;
    for (email, network) in [(" Ada@example.com", "203.0.113.7"), ("nobody@example.com", "198.51.100.7")] {
        let origin = from(&fixture, network);
        for _ in 0..5 {
            store.begin_password_request(email, origin).await.unwrap();
        }
        let wait = store.begin_password_request(email, origin).await;
        assert!(matches!(wait, Err(UserError::Wait(wait)) if wait == Duration::from_secs(1)), "{wait:?}");
    }
    let nobody = store.forgotten_password_link("nobody@example.com", fixture.origin()).await.unwrap();
    assert!(nobody.is_none());
    assert!(store.forgotten_password_link("no address", fixture.origin()).await.unwrap().is_none());
    let made = store.forgotten_password_link("ADA@example.com", fixture.origin()).await.unwrap();
    let (user, token) = made.unwrap();
    assert_eq!(user.id, ada);
    assert_eq!(store.find_password_link(&token).await.unwrap().unwrap().id, ada);
    store.disable_user(ada, fixture.origin()).await.unwrap();
    assert!(store.forgotten_password_link("ada@example.com", fixture.origin()).await.unwrap().is_none());
    store.close().await;
}

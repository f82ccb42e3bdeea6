//! Signing in: passwords and their throttle, sessions and their end, second factors and recovery codes.

use std::sync::Arc;
use std::time::Duration;

use telepath_core::audit::Origin;
use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, UserId};
use telepath_core::secret::SecretText;
use telepath_core::user::{
    MAX_SESSIONS, RECOVERY_CODES, Role, SECOND_FACTOR_WAIT, SESSION_IDLE, STEP_UP_LIFETIME, SessionStatus,
    TotpSecret, UserToken,
};

use super::users::{PASSWORD, actions, by, make, secret};
use super::{Fixture, behaviour, select};
use crate::{NewSession, SignIn, SignInAttempt, SignedIn, StartedSession, Store, UserError};

behaviour! {
    the_right_password_signs_in_and_everything_else_is_refused_alike,
    failures_of_a_name_delay_the_next_attempt_and_a_success_clears_them,
    failures_from_one_network_delay_every_name_from_it,
    a_session_is_found_by_its_token_until_it_ends,
    a_role_change_or_removal_counts_at_the_next_look_up,
    members_end_sessions_only_where_they_may,
    a_user_has_a_bounded_number_of_sessions,
    changing_the_password_ends_the_other_sessions_and_renews_the_own_token,
    a_confirmation_renews_the_token_and_ends_after_ten_minutes,
    the_second_factor_is_required_once_confirmed_and_each_code_works_once,
    recovery_codes_work_once_and_are_replaced_together,
    ended_rows_are_deleted_after_their_retention,
}

async fn active(fixture: &Fixture, store: &Store, account: AccountId, email: &str, role: Role) -> UserId {
    let user = make(fixture, store, account, email, role).await.user.id;
    let link = store.create_password_link(user, fixture.origin()).await.unwrap();
    store.use_password_link(&link, secret(PASSWORD), fixture.origin()).await.unwrap();
    user
}

async fn sign_in(store: &Store, email: &str, password: &str, origin: Origin) -> SignIn {
    let attempt = SignInAttempt { email: email.to_owned(), password: secret(password) };
    store.sign_in(attempt, origin).await.unwrap()
}

/// An attempt that only counts: hashing is left to the tests that look at the comparison.
pub(super) async fn fail(store: &Store, name: &str, origin: Origin) -> Result<(), Duration> {
    match store.begin_attempt(&format!("password:{name}"), origin).await {
        Ok(_) => Ok(()),
        Err(UserError::Wait(wait)) => Err(wait),
        Err(error) => panic!("{error}"),
    }
}

pub(super) fn from(fixture: &Fixture, address: &str) -> Origin {
    Origin { address: Some(address.parse().unwrap()), ..fixture.origin() }
}

pub(super) async fn start(
    fixture: &Fixture,
    store: &Store,
    account: AccountId,
    user: UserId,
) -> StartedSession {
    let new = NewSession { persistent: false, user_agent: "Browser/1".to_owned() };
    store.create_session(account, user, new, by(fixture, user)).await.unwrap()
}

async fn found(store: &Store, token: &UserToken) -> Option<SignedIn> {
    store.find_session(token).await.unwrap()
}

async fn the_right_password_signs_in_and_everything_else_is_refused_alike(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let user = active(&fixture, &store, account, "ada@example.com", Role::Owner).await;
    let origin = from(&fixture, "203.0.113.7");
    let accepted = sign_in(&store, " ADA@example.com", PASSWORD, origin).await;
    assert!(matches!(accepted, SignIn::Accepted(found) if found.id == user));
    assert!(matches!(sign_in(&store, "ada@example.com", "seven grey herons", origin).await, SignIn::Refused));
    assert!(matches!(sign_in(&store, "eve@example.com", PASSWORD, origin).await, SignIn::Refused));
    assert!(matches!(sign_in(&store, "not an address", PASSWORD, origin).await, SignIn::Refused));
    store.disable_user(user, fixture.origin()).await.unwrap();
    assert!(matches!(sign_in(&store, "ada@example.com", PASSWORD, origin).await, SignIn::Refused));
    let refused = |action: &&String| action.as_str() == "session.refused";
    assert_eq!(
        actions(&store, account).await.iter().filter(refused).count(),
        2,
        "the id of the existing user"
    );
    for row in select(&store, "SELECT name_hash FROM login_attempts", vec![]).await {
        assert_eq!(row.bytes("name_hash").unwrap().len(), 32, "no text that may be a password");
    }
    store.close().await;
}

async fn failures_of_a_name_delay_the_next_attempt_and_a_success_clears_them(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    for failures in 1..=5 {
        assert_eq!(fail(&store, "ada@example.com", fixture.origin()).await, Ok(()), "{failures}");
    }
    let wait = fail(&store, "ada@example.com", fixture.origin()).await;
    assert_eq!(wait, Err(Duration::from_secs(1)));
    assert_eq!(
        fail(&store, "eve@example.com", fixture.origin()).await,
        Ok(()),
        "each name has its own count"
    );
    fixture.clock.advance(Duration::from_secs(1));
    assert_eq!(fail(&store, "ada@example.com", fixture.origin()).await, Ok(()));
    assert_eq!(fail(&store, "ada@example.com", fixture.origin()).await, Err(Duration::from_secs(2)));
    fixture.clock.advance(Duration::from_secs(2));
    let id = store.begin_attempt("password:ada@example.com", fixture.origin()).await.unwrap();
    store.attempt_succeeded(id).await.unwrap();
    fixture.clock.advance(Duration::from_secs(1));
    assert_eq!(fail(&store, "ada@example.com", fixture.origin()).await, Ok(()), "a success resets the count");
    assert_eq!(fail(&store, "ada@example.com", fixture.origin()).await, Ok(()));
    store.close().await;
}

async fn failures_from_one_network_delay_every_name_from_it(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    for host in 1..=20 {
        let origin = from(&fixture, &format!("203.0.113.{host}"));
        assert_eq!(fail(&store, &format!("user{host}@example.com"), origin).await, Ok(()));
        fixture.clock.advance(Duration::from_secs(1));
    }
    let stopped = fail(&store, "new@example.com", from(&fixture, "203.0.113.99")).await;
    assert_eq!(stopped, Err(Duration::from_secs(580)));
    assert_eq!(
        fail(&store, "new@example.com", from(&fixture, "203.0.114.1")).await,
        Ok(()),
        "another network"
    );
    assert_eq!(fail(&store, "new@example.com", fixture.origin()).await, Ok(()), "local administration");
    fixture.clock.advance(Duration::from_secs(580));
    assert_eq!(fail(&store, "late@example.com", from(&fixture, "203.0.113.99")).await, Ok(()));
    store.close().await;
}

async fn a_session_is_found_by_its_token_until_it_ends(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let user = make(&fixture, &store, account, "ada@example.com", Role::Viewer).await.user.id;
    let started = start(&fixture, &store, account, user).await;
    let seen = found(&store, &started.token).await.unwrap();
    assert_eq!(
        (seen.session.clone(), seen.user.id, seen.role),
        (started.session.clone(), user, Role::Viewer)
    );
    assert!(seen.user.last_sign_in_at.is_some());
    fixture.clock.advance(SESSION_IDLE.saturating_sub(Duration::from_secs(1)));
    store.touch_session(started.session.id, "198.51.100.9".parse().ok()).await.unwrap();
    fixture.clock.advance(SESSION_IDLE.saturating_sub(Duration::from_secs(1)));
    let seen = found(&store, &started.token).await.unwrap();
    assert_eq!(seen.session.address, "198.51.100.9".parse().ok(), "use extends the session");
    fixture.clock.advance(Duration::from_secs(1));
    assert!(found(&store, &started.token).await.is_none(), "idle for too long");
    assert!(store.list_sessions(user).await.unwrap().is_empty());
    let again = start(&fixture, &store, account, user).await;
    store.touch_session(again.session.id, None).await.unwrap();
    assert_eq!(found(&store, &again.token).await.unwrap().session.last_seen_at, again.session.last_seen_at);
    store.revoke_session(account, again.session.id, by(&fixture, user)).await.unwrap();
    assert!(found(&store, &again.token).await.is_none());
    let gone = store.revoke_session(account, again.session.id, by(&fixture, user)).await;
    assert!(matches!(gone, Err(UserError::SessionNotFound)));
    store.close().await;
}

async fn a_role_change_or_removal_counts_at_the_next_look_up(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let other = fixture.other_account(&store).await;
    let user = make(&fixture, &store, account, "ada@example.com", Role::Admin).await.user.id;
    let started = start(&fixture, &store, account, user).await;
    store.set_role(account, user, Role::Viewer, fixture.origin()).await.unwrap();
    assert_eq!(found(&store, &started.token).await.unwrap().role, Role::Viewer);
    let stranger = store.switch_session(other, started.session.id, by(&fixture, user)).await;
    assert!(matches!(stranger, Err(UserError::NoMembership)));
    store.add_member(other, user, Role::Developer, fixture.origin()).await.unwrap();
    store.switch_session(other, started.session.id, by(&fixture, user)).await.unwrap();
    let seen = found(&store, &started.token).await.unwrap();
    assert_eq!((seen.session.account, seen.role), (other, Role::Developer));
    store.remove_member(other, user, fixture.origin()).await.unwrap();
    assert!(found(&store, &started.token).await.is_none());
    store.close().await;
}

async fn members_end_sessions_only_where_they_may(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let other = fixture.other_account(&store).await;
    let owner = make(&fixture, &store, account, "owner@example.com", Role::Owner).await.user.id;
    let admin = make(&fixture, &store, account, "admin@example.com", Role::Admin).await.user.id;
    let [of_owner, of_admin] =
        [start(&fixture, &store, account, owner).await, start(&fixture, &store, account, admin).await];
    let refused = store.revoke_session(account, of_owner.session.id, by(&fixture, admin)).await;
    assert!(matches!(refused, Err(UserError::Forbidden)));
    let foreign = store.revoke_session(other, of_admin.session.id, fixture.origin()).await;
    assert!(matches!(foreign, Err(UserError::SessionNotFound)), "of another account");
    store.revoke_session(account, of_admin.session.id, by(&fixture, owner)).await.unwrap();
    assert!(found(&store, &of_admin.token).await.is_none());
    let mine = start(&fixture, &store, account, owner).await;
    let others = store.revoke_other_sessions(owner, Some(mine.session.id), by(&fixture, admin)).await;
    assert!(matches!(others, Err(UserError::Forbidden)));
    let ended = store.revoke_other_sessions(owner, Some(mine.session.id), by(&fixture, owner)).await.unwrap();
    assert_eq!(ended, 1);
    assert!(found(&store, &of_owner.token).await.is_none() && found(&store, &mine.token).await.is_some());
    store.close().await;
}

async fn a_user_has_a_bounded_number_of_sessions(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let user = make(&fixture, &store, account, "ada@example.com", Role::Viewer).await.user.id;
    let first = start(&fixture, &store, account, user).await;
    for _ in 0..MAX_SESSIONS {
        fixture.clock.advance(Duration::from_secs(1));
        start(&fixture, &store, account, user).await;
    }
    assert_eq!(store.list_sessions(user).await.unwrap().len(), MAX_SESSIONS as usize);
    assert!(found(&store, &first.token).await.is_none(), "the session with the longest idle time");
    store.close().await;
}

async fn changing_the_password_ends_the_other_sessions_and_renews_the_own_token(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let user = active(&fixture, &store, account, "ada@example.com", Role::Viewer).await;
    let [mine, other] =
        [start(&fixture, &store, account, user).await, start(&fixture, &store, account, user).await];
    let change = |current: &str| {
        store.change_password(
            mine.session.id,
            secret(current),
            secret("nine blue kites sing"),
            by(&fixture, user),
        )
    };
    assert!(matches!(change("wrong").await, Err(UserError::WrongPassword)));
    assert!(found(&store, &other.token).await.is_some());
    let token = change(PASSWORD).await.unwrap();
    assert!(found(&store, &other.token).await.is_none());
    assert!(found(&store, &mine.token).await.is_none(), "the old token of the own session");
    assert_eq!(found(&store, &token).await.unwrap().session.id, mine.session.id);
    let accepted = sign_in(&store, "ada@example.com", "nine blue kites sing", fixture.origin()).await;
    assert!(matches!(accepted, SignIn::Accepted(_)));
    store.close().await;
}

async fn a_confirmation_renews_the_token_and_ends_after_ten_minutes(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let user = active(&fixture, &store, account, "ada@example.com", Role::Viewer).await;
    let started = start(&fixture, &store, account, user).await;
    let now = || store.clock().now();
    assert!(started.session.is_confirmed(now()));
    fixture.clock.advance(STEP_UP_LIFETIME);
    assert!(!found(&store, &started.token).await.unwrap().session.is_confirmed(now()));
    let wrong = store.confirm_session(started.session.id, secret("wrong"), by(&fixture, user)).await;
    assert!(matches!(wrong, Err(UserError::WrongPassword)));
    let token =
        store.confirm_session(started.session.id, secret(PASSWORD), by(&fixture, user)).await.unwrap();
    assert!(found(&store, &started.token).await.is_none(), "the old token is invalid");
    assert!(found(&store, &token).await.unwrap().session.is_confirmed(now()));
    store.close().await;
}

/// The code that an authenticator with this secret shows.
pub(super) fn code_of(secret: &SecretText, at: Timestamp) -> String {
    TotpSecret::parse(secret).unwrap().code_at(at)
}

async fn the_second_factor_is_required_once_confirmed_and_each_code_works_once(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let user = make(&fixture, &store, account, "ada@example.com", Role::Owner).await.user.id;
    let [mine, other] =
        [start(&fixture, &store, account, user).await, start(&fixture, &store, account, user).await];
    let foreign = store.enrol_totp(user, "Telepath", fixture.origin()).await;
    assert!(matches!(foreign, Err(UserError::Forbidden)), "a user cannot enrol for another user");
    let enrolment = store.enrol_totp(user, "Telepath", by(&fixture, user)).await.unwrap();
    assert!(
        !store.get_user(user).await.unwrap().unwrap().has_second_factor,
        "not before a code is confirmed"
    );
    for row in select(&store, "SELECT sealed FROM second_factors", vec![]).await {
        let sealed = row.bytes("sealed").unwrap();
        assert!(!sealed.windows(8).any(|part| enrolment.secret.expose().as_bytes().starts_with(part)));
    }
    let code = code_of(&enrolment.secret, store.clock().now());
    let wrong = store.confirm_totp(mine.session.id, "000000x", by(&fixture, user)).await;
    assert!(matches!(wrong, Err(UserError::WrongCode)));
    let codes = store.confirm_totp(mine.session.id, &code, by(&fixture, user)).await.unwrap();
    assert_eq!(codes.0.len(), RECOVERY_CODES);
    assert!(found(&store, &mine.token).await.is_some() && found(&store, &other.token).await.is_none());
    let half = start(&fixture, &store, account, user).await;
    let seen = found(&store, &half.token).await.unwrap();
    assert_eq!(seen.session.status(store.clock().now()), SessionStatus::AwaitingSecondFactor);
    let used = store.pass_second_factor(half.session.id, &code, by(&fixture, user)).await;
    assert!(matches!(used, Err(UserError::WrongCode)), "the code that confirmed it");
    fixture.clock.advance(Duration::from_mins(1));
    let next = code_of(&enrolment.secret, store.clock().now());
    let token = store.pass_second_factor(half.session.id, &next, by(&fixture, user)).await.unwrap();
    assert!(found(&store, &half.token).await.is_none(), "the token of the session without the second factor");
    let seen = found(&store, &token).await.unwrap();
    assert_eq!(seen.session.status(store.clock().now()), SessionStatus::Active);
    let late = start(&fixture, &store, account, user).await;
    fixture.clock.advance(SECOND_FACTOR_WAIT);
    assert!(found(&store, &late.token).await.is_none());
    store.remove_second_factor(user, by(&fixture, user)).await.unwrap();
    assert_eq!(store.recovery_codes_left(user).await.unwrap(), 0);
    let trail = actions(&store, account).await;
    for action in ["user.second_factor_enrolled", "user.second_factor_added", "user.second_factor_removed"] {
        assert!(trail.iter().any(|found| found == action), "{action}");
    }
    store.close().await;
}

async fn recovery_codes_work_once_and_are_replaced_together(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let user = make(&fixture, &store, account, "ada@example.com", Role::Owner).await.user.id;
    let mine = start(&fixture, &store, account, user).await;
    let enrolment = store.enrol_totp(user, "Telepath", by(&fixture, user)).await.unwrap();
    let code = code_of(&enrolment.secret, store.clock().now());
    let first = store.confirm_totp(mine.session.id, &code, by(&fixture, user)).await.unwrap();
    let typed = first.0[3].expose().to_uppercase();
    let half = start(&fixture, &store, account, user).await;
    store.pass_second_factor(half.session.id, &typed, by(&fixture, user)).await.unwrap();
    assert_eq!(store.recovery_codes_left(user).await.unwrap(), 9);
    let half = start(&fixture, &store, account, user).await;
    let again = store.pass_second_factor(half.session.id, &typed, by(&fixture, user)).await;
    assert!(matches!(again, Err(UserError::WrongCode)));
    let second = store.replace_recovery_codes(user, by(&fixture, user)).await.unwrap();
    let old = store.pass_second_factor(half.session.id, first.0[0].expose(), by(&fixture, user)).await;
    assert!(matches!(old, Err(UserError::WrongCode)));
    store.pass_second_factor(half.session.id, second.0[0].expose(), by(&fixture, user)).await.unwrap();
    assert!(actions(&store, account).await.iter().any(|action| action == "user.recovery_code_used"));
    store.remove_second_factor(user, fixture.origin()).await.unwrap();
    assert!(!store.get_user(user).await.unwrap().unwrap().has_second_factor, "by local administration");
    store.close().await;
}

async fn ended_rows_are_deleted_after_their_retention(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let user = make(&fixture, &store, account, "ada@example.com", Role::Viewer).await.user.id;
    let started = start(&fixture, &store, account, user).await;
    store.revoke_session(account, started.session.id, by(&fixture, user)).await.unwrap();
    start(&fixture, &store, account, user).await;
    fail(&store, "ada@example.com", fixture.origin()).await.unwrap();
    assert_eq!(store.expire_sign_ins().await.unwrap(), 0);
    fixture.clock.advance(Duration::from_hours(30 * 24) + Duration::from_millis(1));
    // The revoked session, the attempt and the link of the new user.
    assert_eq!(store.expire_sign_ins().await.unwrap(), 3);
    fixture.clock.advance(Duration::from_hours(30 * 24));
    assert_eq!(store.expire_sign_ins().await.unwrap(), 1, "the session that only expired");
    store.close().await;
}

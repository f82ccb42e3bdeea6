//! The wall clock is wrong for a while, everything that stores times runs, and the clock is corrected: everything works at once.

use std::sync::Arc;
use std::time::Duration;

use telepath_core::alert::{AlertRule, SecuritySignal};
use telepath_core::clock::{Clock as _, Timestamp};
use telepath_core::id::{AccountId, KeyId};
use telepath_core::idempotency::ClaimDecision;
use telepath_core::page::PageRequest;
use telepath_core::ports::CallControl as _;
use telepath_core::user::Role;
use telepath_core::webhook::delivery::ErrorClass;

use super::deliveries::{claim, event, finish};
use super::idempotency::{answer, begin, once};
use super::leaks::reported;
use super::sign_ins::{fail, from, start};
use super::watches::{known_key, raised, used};
use super::{Fixture, answered, behaviour, calls, new_key, select, trunks, users, webhooks};
use crate::call::orphan::{OrphanedCalls, close_orphaned_calls, record_heartbeat};
use crate::error::StoreError;
use crate::idempotency::IdempotencyClaim;
use crate::options::Database;
use crate::store::Store;
use crate::user::NewInvitation;

behaviour! {
    an_alert_is_raised_although_its_cooldown_began_ahead,
    the_usage_rules_see_the_minutes_after_a_correction,
    the_usage_rules_see_the_minutes_after_a_correction_and_a_restart,
    sign_ins_from_a_clock_that_was_ahead_do_not_count,
    sessions_and_links_from_a_clock_that_was_ahead_have_ended,
    a_delivery_whose_retry_was_planned_ahead_is_due,
    an_email_that_was_claimed_ahead_is_due,
    a_report_that_was_claimed_ahead_revokes_its_key,
    an_idempotent_request_that_ran_ahead_can_be_repeated,
    the_last_use_of_a_key_is_not_ahead,
    heartbeats_of_live_calls_continue_after_the_clock_is_set_back,
    a_call_that_a_kill_ended_is_not_longer_than_the_corrected_clock_says,
}

pub(super) const HOUR: Duration = Duration::from_hours(1);
pub(super) const MINUTE: Duration = Duration::from_mins(1);
pub(super) const YEARS: Duration = Duration::from_hours(40 * 365 * 24);
/// How far the clock is ahead. All of these are longer than everything that is waited for.
pub(super) const AHEAD: [Duration; 2] = [Duration::from_hours(40 * 24), YEARS];

/// Sets the clock ahead, as a machine does that starts with a wrong time.
pub(super) fn set_ahead(fixture: &Fixture, by: Duration) {
    fixture.clock.set_wall(real_time(fixture).plus(by));
}

pub(super) fn correct(fixture: &Fixture) {
    fixture.clock.set_wall(real_time(fixture));
}

pub(super) fn real_time(fixture: &Fixture) -> Timestamp {
    Timestamp::from_unix_ms(fixture.clock.steady().ms())
}

pub(super) async fn dead_key_alerts(store: &Store, key: KeyId) -> usize {
    store.record_security_signal(SecuritySignal::DeadKeyUsed { key, address: "192.0.2.1".parse().unwrap() });
    store.raise_security_alerts().await.unwrap()
}

async fn an_alert_is_raised_although_its_cooldown_began_ahead(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    for by in AHEAD {
        let key = fixture.key(&store, account, new_key("one")).await.0.record.id;
        set_ahead(&fixture, by);
        assert_eq!(dead_key_alerts(&store, key).await, 1);
        correct(&fixture);
        fixture.clock.advance(MINUTE);
        assert_eq!(dead_key_alerts(&store, key).await, 1, "{by:?} ahead");
        fixture.clock.advance(MINUTE);
        assert_eq!(dead_key_alerts(&store, key).await, 0, "the new cooldown lasts");
    }
    store.close().await;
}

/// A key whose minutes were evaluated while the clock was ahead.
async fn evaluated_ahead(fixture: &Fixture, store: &Store) -> (AccountId, KeyId) {
    let (account, key) = known_key(fixture, store).await;
    set_ahead(fixture, YEARS);
    for address in ["192.0.2.1", "203.0.113.1", "198.51.100.1"] {
        used(store, key, store.now(), 200, 1, address).await;
        fixture.clock.advance(MINUTE * 3);
        store.evaluate_usage_rules().await.unwrap();
    }
    correct(fixture);
    (account, key)
}

async fn new_network_is_noticed(fixture: &Fixture, store: &Store, account: AccountId, key: KeyId) {
    let before = raised(store, account).await.len();
    used(store, key, store.now(), 200, 1, "2001:db8::7").await;
    fixture.clock.advance(MINUTE * 3);
    assert_eq!(store.evaluate_usage_rules().await.unwrap(), 1);
    let found = raised(store, account).await;
    assert_eq!(found.len(), before + 1, "{found:?}");
    assert!(found.contains(&(AlertRule::NewAddress, key)), "{found:?}");
    assert_eq!(store.evaluate_usage_rules().await.unwrap(), 0);
    let watches = select(store, "SELECT evaluated_until, wake_at FROM key_watches", vec![]).await;
    assert!(watches[0].time("evaluated_until").unwrap() < store.now());
}

async fn the_usage_rules_see_the_minutes_after_a_correction(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let (account, key) = evaluated_ahead(&fixture, &store).await;
    new_network_is_noticed(&fixture, &store, account, key).await;
    store.close().await;
}

async fn the_usage_rules_see_the_minutes_after_a_correction_and_a_restart(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let (account, key) = evaluated_ahead(&fixture, &store).await;
    store.close().await;
    let store = fixture.open().await;
    new_network_is_noticed(&fixture, &store, account, key).await;
    store.close().await;
}

async fn sign_ins_from_a_clock_that_was_ahead_do_not_count(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    for (number, by) in AHEAD.into_iter().enumerate() {
        let (failing, known) = (format!("ada{number}@example.com"), format!("bob{number}@example.com"));
        let address = format!("203.0.{number}.7");
        set_ahead(&fixture, by);
        for _ in 0..5 {
            assert_eq!(fail(&store, &failing, from(&fixture, &address)).await, Ok(()));
        }
        for other in 0..15 {
            let name = format!("user{number}.{other}@example.com");
            assert_eq!(fail(&store, &name, from(&fixture, &address)).await, Ok(()));
        }
        let id = store.begin_attempt(&format!("password:{known}"), fixture.origin()).await.unwrap();
        store.attempt_succeeded(id).await.unwrap();
        correct(&fixture);
        assert_eq!(fail(&store, &failing, from(&fixture, &address)).await, Ok(()), "{by:?} ahead");
        // A success from ahead does not reset the failures of today.
        for _ in 0..5 {
            assert_eq!(fail(&store, &known, fixture.origin()).await, Ok(()));
        }
        assert_eq!(fail(&store, &known, fixture.origin()).await, Err(Duration::from_secs(1)));
    }
    store.close().await;
}

async fn sessions_and_links_from_a_clock_that_was_ahead_have_ended(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let user = users::make(&fixture, &store, account, "ada@example.com", Role::Owner).await.user.id;
    let today = start(&fixture, &store, account, user).await;
    set_ahead(&fixture, YEARS);
    let ahead = start(&fixture, &store, account, user).await;
    let link = store.create_password_link(user, fixture.origin()).await.unwrap();
    let grace = NewInvitation { email: "grace@example.com".parse().unwrap(), role: Role::Viewer };
    let invitation = store.create_invitation(account, grace, fixture.origin()).await.unwrap().link;
    correct(&fixture);
    assert!(store.find_session(&today.token).await.unwrap().is_some());
    assert!(store.find_session(&ahead.token).await.unwrap().is_none());
    let refused = store.use_password_link(&link, users::secret(users::PASSWORD), fixture.origin()).await;
    assert!(refused.is_err(), "nobody knows how old it is");
    assert!(store.find_invitation(&invitation).await.unwrap().is_none());
    assert_eq!(store.list_invitations(account, PageRequest::default()).await.unwrap().items, []);
    store.expire_sign_ins().await.unwrap();
    fixture.clock.advance(YEARS);
    assert!(
        store.find_invitation(&invitation).await.unwrap().is_none(),
        "nor does it work once its time comes"
    );
    assert!(store.find_password_link(&link).await.unwrap().is_none());
    store.close().await;
}

async fn a_delivery_whose_retry_was_planned_ahead_is_due(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let webhook = webhooks::make(&fixture, &store, account, webhooks::draft("a")).await;
    for by in AHEAD {
        event(&fixture, &store, account).await;
        set_ahead(&fixture, by);
        let failing = claim(&store, &webhook, 1).await.pop().unwrap();
        finish(&store, &failing, Some(ErrorClass::Connect)).await;
        correct(&fixture);
        assert_eq!(store.release_distant_deliveries().await.unwrap(), 1, "{by:?} ahead");
        let again = claim(&store, &webhook, 1).await.pop().unwrap();
        assert_eq!((again.id, again.attempt), (failing.id, 2));
        finish(&store, &again, Some(ErrorClass::Connect)).await;
        assert_eq!(store.release_distant_deliveries().await.unwrap(), 0, "a planned retry is waited for");
        fixture.clock.advance(HOUR);
        let last = claim(&store, &webhook, 1).await.pop().unwrap();
        finish(&store, &last, None).await;
    }
    store.close().await;
}

async fn an_email_that_was_claimed_ahead_is_due(fixture: Arc<Fixture>) {
    let store = fixture.open_with(|options| options.alerts.by_mail = true).await;
    let account = fixture.account(&store).await.id;
    for by in AHEAD {
        let key = fixture.key(&store, account, new_key("one")).await.0.record.id;
        set_ahead(&fixture, by);
        dead_key_alerts(&store, key).await;
        let mail = store.claim_mails().await.unwrap().pop().unwrap();
        store.mail_failed(mail.alert.id, mail.attempt, false).await.unwrap();
        correct(&fixture);
        let again = store.claim_mails().await.unwrap();
        assert_eq!(again.iter().map(|mail| mail.attempt).collect::<Vec<_>>(), [2], "{by:?} ahead");
        assert!(store.claim_mails().await.unwrap().is_empty(), "the claim holds");
        store.mail_sent(mail.alert.id).await.unwrap();
    }
    store.close().await;
}

async fn a_report_that_was_claimed_ahead_revokes_its_key(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    for by in AHEAD {
        let mut new = new_key("leaked");
        new.expires_at = Some(store.now().plus(HOUR * 24));
        let (created, hash) = fixture.key(&store, account, new).await;
        set_ahead(&fixture, by);
        store.record_exposure(reported(store.now(), &[hash])).await.unwrap();
        correct(&fixture);
        assert_eq!(store.revoke_exposed_keys().await.unwrap(), 1, "{by:?} ahead");
        let key = store.get_key(account, created.record.id).await.unwrap().unwrap();
        assert!(key.revocation.is_some(), "the key has not expired");
    }
    store.close().await;
}

async fn an_idempotent_request_that_ran_ahead_can_be_repeated(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    for (number, by) in AHEAD.into_iter().enumerate() {
        let [lost, done] = ["lost", "done"].map(|name| once(account, &format!("{name}{number}"), "a"));
        set_ahead(&fixture, by);
        assert!(matches!(begin(&fixture, &store, lost).await, IdempotencyClaim::Fresh(_)));
        let IdempotencyClaim::Fresh(id) = begin(&fixture, &store, done).await else { panic!("it is new") };
        store.end_idempotent_request(id, Some(answer())).await.unwrap();
        correct(&fixture);
        assert!(matches!(begin(&fixture, &store, lost).await, IdempotencyClaim::Fresh(_)), "{by:?} ahead");
        let replay = IdempotencyClaim::Before(ClaimDecision::Replay(answer()));
        assert_eq!(begin(&fixture, &store, done).await, replay);
    }
    store.close().await;
}

async fn the_last_use_of_a_key_is_not_ahead(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (created, hash) = fixture.key(&store, account, new_key("one")).await;
    let use_once = async || {
        store.requests().record(&answered(&store, account, created.record.id, &hash));
        store.flush_usage().await.unwrap();
        store.roll_up_usage().await.unwrap();
    };
    for by in AHEAD {
        set_ahead(&fixture, by);
        use_once().await;
        correct(&fixture);
        use_once().await;
        let key = store.get_key(account, created.record.id).await.unwrap().unwrap();
        assert_eq!(key.last_use.map(|last| last.at), Some(store.now()), "{by:?} ahead");
        assert_eq!(key.secrets[0].last_use.map(|last| last.at), Some(store.now()));
        for table in ["SELECT last_seen FROM usage_addresses", "SELECT last_seen FROM usage_programs"] {
            let rows = select(&store, table, vec![]).await;
            assert!(rows.iter().all(|row| row.time("last_seen").unwrap() == store.now()), "{table}");
        }
    }
    store.close().await;
}

async fn heartbeats_of_live_calls_continue_after_the_clock_is_set_back(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    live_call(&fixture, &store).await;
    store.flush_usage().await.unwrap();
    fixture.clock.set_wall(real_time(&fixture).minus(HOUR));
    for _ in 0..3 {
        fixture.clock.advance(Duration::from_secs(10));
        store.flush_usage().await.unwrap();
        assert_eq!(heartbeat(&fixture, &store).await, store.now());
    }
    store.close().await;
}

async fn a_call_that_a_kill_ended_is_not_longer_than_the_corrected_clock_says(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    live_call(&fixture, &store).await;
    fixture.clock.advance(MINUTE);
    let (context, ahead) = (store.context.clone(), store.now().plus(YEARS));
    let closed: Result<u64, StoreError> = store
        .backend
        .write(move |db| {
            Box::pin(async move {
                record_heartbeat(db, None, ahead).await?;
                close_orphaned_calls(db, &context, OrphanedCalls::All).await
            })
        })
        .await;
    assert_eq!(closed.unwrap(), 1);
    let rows = select(&store, "SELECT end_time FROM calls", vec![]).await;
    assert_eq!(rows[0].time("end_time").unwrap(), store.now());
    store.close().await;
}

async fn live_call(fixture: &Fixture, store: &Store) {
    let account = fixture.account(store).await.id;
    let trunk = trunks::make(fixture, store, account, "support-01").await.trunk.id;
    store.call_started(&calls::start(store, account, trunk)).await.unwrap();
}

/// The last heartbeat of the server.
async fn heartbeat(fixture: &Fixture, store: &Store) -> Timestamp {
    match fixture.database {
        Database::Sqlite { .. } => {
            let rows = select(store, "SELECT value FROM settings WHERE name = 'alive_at'", vec![]).await;
            rows[0].parse("value").map(Timestamp::from_unix_ms).unwrap()
        }
        Database::Postgres { .. } => {
            select(store, "SELECT alive_at FROM nodes", vec![]).await[0].time("alive_at").unwrap()
        }
    }
}

//! What is deleted by age, while the clock is wrong, after it was corrected, and after the machine was off.

use std::sync::Arc;
use std::time::Duration;

use telepath_core::call::{CallStatus, DisconnectReason};
use telepath_core::idempotency::{ClaimDecision, KEPT_FOR};
use telepath_core::ports::CallControl as _;
use telepath_core::user::Role;

use super::clock_steps::{AHEAD, HOUR, MINUTE, YEARS, correct, dead_key_alerts, set_ahead};
use super::deliveries::{claim, event, finish};
use super::idempotency::{answer, begin, once};
use super::sign_ins::{fail, start};
use super::{Fixture, answered, behaviour, calls, new_key, select, trunks, users, webhooks};
use crate::idempotency::IdempotencyClaim;
use crate::retention::Retention;
use crate::store::Store;

behaviour! {
    a_clock_that_is_ahead_for_a_while_expires_nothing,
    a_machine_that_was_off_for_months_expires_its_data_after_a_day,
    a_stored_response_from_a_clock_that_was_ahead_expires_after_a_day,
}

/// What retention deletes: one row of everything that expires by age.
async fn history(fixture: &Fixture, store: &Store) {
    let account = fixture.account(store).await.id;
    let (created, hash) = fixture.key(store, account, new_key("one")).await;
    store.requests().record(&answered(store, account, created.record.id, &hash));
    store.flush_usage().await.unwrap();
    store.roll_up_usage().await.unwrap();
    dead_key_alerts(store, created.record.id).await;
    let webhook = webhooks::make(fixture, store, account, webhooks::draft("a")).await;
    event(fixture, store, account).await;
    let user = users::make(fixture, store, account, "ada@example.com", Role::Owner).await.user.id;
    store.create_password_link(user, fixture.origin()).await.unwrap();
    start(fixture, store, account, user).await;
    fail(store, "ada@example.com", fixture.origin()).await.unwrap();
    let done = once(account, "done", "a");
    let IdempotencyClaim::Fresh(id) = begin(fixture, store, done).await else { panic!("it is new") };
    store.end_idempotent_request(id, Some(answer())).await.unwrap();
    let trunk = trunks::make(fixture, store, account, "support-01").await.trunk.id;
    let call = calls::start(store, account, trunk);
    store.call_started(&call).await.unwrap();
    let reason = DisconnectReason::NormalDisconnect;
    store.call_ended(&calls::ended(&call, CallStatus::Disconnected, reason)).await.unwrap();
    // The events of the call are due at its times.
    fixture.clock.advance(MINUTE);
    for delivery in claim(store, &webhook, 100).await {
        finish(store, &delivery, None).await;
    }
}

/// A store that raises no alerts about keys that are not used.
async fn open(fixture: &Fixture) -> Arc<Store> {
    fixture.open_with(|options| options.alerts.unused = Duration::ZERO).await
}

const HISTORY: [&str; 14] = [
    "SELECT start FROM usage_buckets",
    "SELECT start FROM account_usage",
    "SELECT start FROM key_usage",
    "SELECT id FROM request_segments",
    "SELECT id FROM alerts",
    "SELECT rule FROM alert_cooldowns",
    "SELECT id FROM webhook_deliveries",
    "SELECT id FROM outbox_events",
    "SELECT id FROM sessions",
    "SELECT user_id FROM password_links",
    "SELECT id FROM login_attempts",
    "SELECT claim FROM idempotency_keys",
    "SELECT id FROM calls",
    "SELECT id FROM audit_events",
];

/// The rows of each table of [`HISTORY`].
async fn rows(store: &Store) -> Vec<(&'static str, usize)> {
    let mut rows = Vec::new();
    for sql in HISTORY {
        rows.push((sql, select(store, sql, vec![]).await.len()));
    }
    rows
}

async fn expire_everything(store: &Store) {
    let keep = HOUR * 24 * 5;
    let keep = Retention { calls: Some(keep), audit: Some(keep), ..Retention::default() };
    store.expire_usage(keep).await.unwrap();
    store.purge_deliveries().await.unwrap();
    store.evaluate_lifecycle_rules().await.unwrap();
    store.expire_sign_ins().await.unwrap();
    store.expire_idempotency_keys().await.unwrap();
}

async fn a_clock_that_is_ahead_for_a_while_expires_nothing(fixture: Arc<Fixture>) {
    let mut store = open(&fixture).await;
    history(&fixture, &store).await;
    expire_everything(&store).await;
    let before = rows(&store).await;
    assert!(before.iter().all(|(_, rows)| *rows > 0), "{before:?}");
    for by in AHEAD {
        for starts in [false, true] {
            if starts {
                store.close().await;
            }
            set_ahead(&fixture, by);
            if starts {
                store = open(&fixture).await;
            }
            for _ in 0..3 {
                expire_everything(&store).await;
                fixture.clock.advance(MINUTE);
            }
            correct(&fixture);
            expire_everything(&store).await;
            assert_eq!(rows(&store).await, before, "{by:?} ahead, at the start: {starts}");
        }
    }
    store.close().await;
}

async fn a_machine_that_was_off_for_months_expires_its_data_after_a_day(fixture: Arc<Fixture>) {
    let store = open(&fixture).await;
    history(&fixture, &store).await;
    expire_everything(&store).await;
    let before = rows(&store).await;
    store.close().await;
    set_ahead(&fixture, HOUR * 24 * 800);
    let store = open(&fixture).await;
    expire_everything(&store).await;
    fixture.clock.advance(HOUR * 23);
    expire_everything(&store).await;
    // What has expired in these hours is gone.
    let lasts =
        |(table, _): &&(&str, usize)| !table.ends_with("alert_cooldowns") && !table.ends_with("_links");
    let (kept, before) = (rows(&store).await, before.iter().filter(lasts));
    assert!(kept.iter().filter(lasts).eq(before), "{kept:?}");
    fixture.clock.advance(HOUR * 2);
    expire_everything(&store).await;
    let left: Vec<_> = rows(&store).await.into_iter().filter(|(_, rows)| *rows > 0).collect();
    assert_eq!(left, []);
    store.close().await;
}

async fn a_stored_response_from_a_clock_that_was_ahead_expires_after_a_day(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let done = once(account, "done", "a");
    set_ahead(&fixture, YEARS);
    let IdempotencyClaim::Fresh(id) = begin(&fixture, &store, done).await else { panic!("it is new") };
    store.end_idempotent_request(id, Some(answer())).await.unwrap();
    store.expire_idempotency_keys().await.unwrap();
    correct(&fixture);
    store.expire_idempotency_keys().await.unwrap();
    let replay = IdempotencyClaim::Before(ClaimDecision::Replay(answer()));
    assert_eq!(begin(&fixture, &store, done).await, replay);
    fixture.clock.advance(KEPT_FOR);
    assert_eq!(store.expire_idempotency_keys().await.unwrap(), 1);
    store.close().await;
}

//! Alerts: raised once per cooldown, with their event, and never about another account's key.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use telepath_core::alert::{AlertRule, NewAlert, SecuritySignal};
use telepath_core::id::{AccountId, KeyId};

use super::{Fixture, behaviour, events_of, new_key, select};
use crate::alert::raise::raise;
use crate::error::StoreError;
use crate::sql::binds;
use crate::store::Store;

behaviour! {
    an_alert_is_raised_once_per_cooldown_with_its_event,
    concurrent_alerts_are_raised_once_per_cooldown,
    a_failed_change_raises_no_alert,
    an_alert_about_another_accounts_key_is_not_raised,
    security_signals_raise_alerts_with_their_cause,
}

pub(super) fn spike(key: KeyId) -> NewAlert {
    let figures = json!({ "requests": 900 });
    NewAlert::new(AlertRule::RequestSpike, key, "Many requests.".to_owned(), figures)
}

pub(super) async fn raised(store: &Store, account: AccountId, alert: NewAlert) -> bool {
    let (alert_writer, now) = (store.alert_writer(), store.now());
    let change = store
        .backend
        .write(move |db| Box::pin(async move { raise(db, account, alert, &alert_writer, now).await }));
    let outcome: Result<bool, StoreError> = change.await;
    outcome.unwrap()
}

async fn an_alert_is_raised_once_per_cooldown_with_its_event(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let key = fixture.key(&store, account, new_key("one")).await.0.record.id;
    assert!(raised(&store, account, spike(key)).await);
    assert!(!raised(&store, account, spike(key)).await);
    assert!(raised(&store, account, spike(key).on("another".to_owned())).await);
    let cooldown = store.alert_settings().cooldown(AlertRule::RequestSpike);
    fixture.clock.advance(Duration::from_millis(1));
    assert!(!raised(&store, account, spike(key)).await);
    fixture.clock.advance(cooldown);
    assert!(raised(&store, account, spike(key)).await);
    let events = events_of(&store, &key.to_string()).await;
    assert_eq!(events.len(), 1 + 3, "{events:?}");
    let event = &events[1];
    let ids = select(&store, "SELECT id FROM alerts", vec![]).await;
    assert!(ids.iter().any(|row| event["alert_id"] == row.text("id").unwrap()), "{event}");
    for (member, value) in [
        ("event", json!("key.alert")),
        ("sequence", json!(2)),
        ("key_id", json!(key)),
        ("name", json!("one")),
        ("actor", json!("system")),
        ("rule", json!("request_spike")),
        ("severity", json!("warning")),
        ("message", json!("Many requests.")),
        ("figures", json!({ "requests": 900 })),
    ] {
        assert_eq!(event[member], value, "{member}");
    }
    assert_eq!(store.alerts_raised(AlertRule::RequestSpike), 3);
    assert_eq!(store.alerts_raised(AlertRule::Unused), 0);
    assert!(
        select(&store, "SELECT alert_id FROM alert_mails", vec![]).await.is_empty(),
        "no mail is pending"
    );
    store.close().await;
}

async fn concurrent_alerts_are_raised_once_per_cooldown(fixture: Arc<Fixture>) {
    let (store, other) = (fixture.open().await, fixture.open_admin().await);
    let account = fixture.account(&store).await.id;
    let key = fixture.key(&store, account, new_key("one")).await.0.record.id;
    let mut tasks = Vec::new();
    for number in 0..16 {
        let store = Arc::clone(if number % 2 == 0 { &store } else { &other });
        tasks.push(tokio::spawn(async move { raised(&store, account, spike(key)).await }));
    }
    let mut count = 0;
    for task in tasks {
        count += usize::from(task.await.unwrap());
    }
    assert_eq!(count, 1);
    assert_eq!(select(&store, "SELECT id FROM alerts", vec![]).await.len(), 1);
    store.close().await;
    other.close().await;
}

async fn a_failed_change_raises_no_alert(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let key = fixture.key(&store, account, new_key("one")).await.0.record.id;
    let (alert_writer, now) = (store.alert_writer(), store.now());
    let failed: Result<(), StoreError> = store
        .backend
        .write(move |db| {
            Box::pin(async move {
                assert!(raise(db, account, spike(key), &alert_writer, now).await?);
                Err(StoreError::Broken)
            })
        })
        .await;
    assert!(failed.is_err());
    assert!(select(&store, "SELECT id FROM alerts", vec![]).await.is_empty());
    assert_eq!(events_of(&store, &key.to_string()).await.len(), 1);
    assert!(raised(&store, account, spike(key)).await, "no cooldown started");
    store.close().await;
}

async fn an_alert_about_another_accounts_key_is_not_raised(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let other = fixture.other_account(&store).await;
    let key = fixture.key(&store, account, new_key("one")).await.0.record.id;
    assert!(!raised(&store, other, spike(key)).await);
    assert!(raised(&store, account, spike(key)).await);
    store.close().await;
}

async fn security_signals_raise_alerts_with_their_cause(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let key = fixture.key(&store, account, new_key("one")).await.0.record.id;
    let address = "192.0.2.9".parse().unwrap();
    store.record_security_signal(SecuritySignal::DeadKeyUsed { key, address });
    store.record_security_signal(SecuritySignal::DeadKeyUsed { key, address });
    store.record_security_signal(SecuritySignal::SeenInClear { key, address });
    assert_eq!(store.raise_security_alerts().await.unwrap(), 2);
    assert_eq!(store.raise_security_alerts().await.unwrap(), 0);
    store.revoke_key(account, key, None, fixture.origin()).await.unwrap();
    fixture.clock.advance(store.alert_settings().cooldown(AlertRule::DeadKeyUsed));
    store.record_security_signal(SecuritySignal::DeadKeyUsed { key, address });
    assert_eq!(store.raise_security_alerts().await.unwrap(), 1);
    let sql =
        "SELECT rule, severity, message, figures FROM alerts WHERE subject_id = $1 ORDER BY raised_at, rule";
    let rows = select(&store, sql, binds![key.to_string()]).await;
    let texts: Vec<_> = rows
        .iter()
        .map(|row| (row.text("rule").unwrap(), row.json::<serde_json::Value>("figures").unwrap()))
        .collect();
    let figures = |seen: u64, state| json!({ "address": "192.0.2.9", "seen": seen, "state": state });
    assert_eq!(texts[0], ("dead_key_used".to_owned(), figures(2, "replaced")));
    assert_eq!(texts[1], ("seen_in_clear".to_owned(), json!({ "address": "192.0.2.9", "seen": 1 })));
    assert_eq!(texts[2], ("dead_key_used".to_owned(), figures(1, "revoked")));
    assert_eq!(rows[1].text("severity").unwrap(), "critical");
    assert!(rows[2].text("message").unwrap().contains("was revoked"));
    store.close().await;
}

//! The usage rules: each minute is evaluated once, even by several servers, and unusual use raises an alert.

use std::sync::Arc;
use std::time::Duration;

use telepath_core::alert::{AlertFilter, AlertRule, AlertSubject, SecuritySignal};
use telepath_core::clock::{Clock as _, Timestamp};
use telepath_core::id::{AccountId, KeyId};
use telepath_core::page::PageRequest;

use super::{Fixture, behaviour, execute, new_key, select};
use crate::sql::binds;
use crate::store::Store;

behaviour! {
    a_minute_is_evaluated_once_after_its_requests_are_counted,
    a_key_used_before_its_first_evaluation_is_not_idle,
    a_new_network_of_a_key_raises_an_alert,
    networks_suppressed_by_the_cooldown_raise_an_alert_afterwards,
    many_minutes_are_evaluated_in_batches,
    dead_keys_are_not_evaluated,
    lifecycle_rules_raise_each_alert_once,
    alerts_are_listed_acknowledged_once_and_audited,
    old_alerts_are_deleted_with_their_mails,
}

const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);
/// The mark of the secret that is used.
const SECRET: &[u8] = &[1; 8];

/// Writes the rollup of one minute.
pub(super) async fn used(
    store: &Store,
    key: KeyId,
    at: Timestamp,
    status: u32,
    requests: u32,
    address: &str,
) {
    let start = at.unix_ms().div_euclid(60_000) * 60_000;
    let bucket = "INSERT INTO usage_buckets (key_id, span, start, route, status, secret, requests, duration_us) \
         VALUES ($1, 'minute', $2, 'GET /v1/whoami', $3, $5, $4, 0) \
         ON CONFLICT (key_id, span, start, route, status, secret) DO UPDATE SET requests = usage_buckets.requests + $4";
    execute(store, bucket, binds![key.to_string(), start, status, requests, SECRET]).await;
    let seen = "INSERT INTO usage_addresses (key_id, secret, address, first_seen, last_seen, requests) \
         VALUES ($1, $4, $2, $3, $3, 1) ON CONFLICT (key_id, secret, address) DO UPDATE SET last_seen = $3";
    execute(store, seen, binds![key.to_string(), address, at, SECRET]).await;
}

pub(super) async fn raised(store: &Store, account: AccountId) -> Vec<(AlertRule, KeyId)> {
    let listed = store.list_alerts(account, AlertFilter::default(), PageRequest::default()).await.unwrap();
    let key_of = |subject| match subject {
        AlertSubject::Key(key) => key,
        other => panic!("{other:?}"),
    };
    listed.items.iter().map(|alert| (alert.rule, key_of(alert.subject))).collect()
}

async fn a_minute_is_evaluated_once_after_its_requests_are_counted(fixture: Arc<Fixture>) {
    let (store, other) = (fixture.open().await, fixture.open_admin().await);
    let account = fixture.account(&store).await.id;
    let key = fixture.key(&store, account, new_key("one")).await.0.record.id;
    let idle = store.alert_settings().idle;
    fixture.clock.advance(idle);
    used(&store, key, fixture.clock.now(), 200, 1, "192.0.2.1").await;
    assert_eq!(store.evaluate_usage_rules().await.unwrap(), 0, "the minute has not ended");
    fixture.clock.advance(MINUTE + Duration::from_secs(90));
    let (here, there) = tokio::join!(store.evaluate_usage_rules(), other.evaluate_usage_rules());
    assert!(here.unwrap() + there.unwrap() >= 1);
    assert_eq!(store.evaluate_usage_rules().await.unwrap() + other.evaluate_usage_rules().await.unwrap(), 0);
    assert_eq!(raised(&store, account).await, [(AlertRule::IdleAwake, key)]);
    let watches = select(&store, "SELECT evaluated_until, wake_at FROM key_watches", vec![]).await;
    assert_eq!(watches.len(), 1);
    assert!(watches[0].time("evaluated_until").unwrap() > fixture.clock.now().minus(MINUTE * 3));
    assert_eq!(watches[0].maybe_time("wake_at").unwrap(), None);
    store.close().await;
    other.close().await;
}

async fn a_key_used_before_its_first_evaluation_is_not_idle(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let key = fixture.key(&store, account, new_key("one")).await.0.record.id;
    fixture.clock.advance(store.alert_settings().idle * 2);
    let sql = "UPDATE keys SET last_used_at = $2 WHERE id = $1";
    execute(&store, sql, binds![key.to_string(), fixture.clock.now()]).await;
    // What the migration does to existing keys.
    let script = crate::migrate::MIGRATIONS.iter().find(|step| step.name == "0004_alerts").unwrap().postgres;
    let seed = &script[script.find("INSERT INTO key_watches").unwrap()..];
    execute(&store, seed, vec![]).await;
    fixture.clock.advance(DAY);
    used(&store, key, fixture.clock.now(), 200, 1, "192.0.2.1").await;
    fixture.clock.advance(MINUTE * 3);
    assert_eq!(store.evaluate_usage_rules().await.unwrap(), 1);
    assert_eq!(raised(&store, account).await, []);
    store.close().await;
}

/// A key that was used for longer than the learning period.
pub(super) async fn known_key(fixture: &Fixture, store: &Store) -> (AccountId, KeyId) {
    let account = fixture.account(store).await.id;
    let key = fixture.key(store, account, new_key("one")).await.0.record.id;
    used(store, key, fixture.clock.now(), 200, 1, "192.0.2.1").await;
    fixture.clock.advance(MINUTE * 3);
    assert_eq!(store.evaluate_usage_rules().await.unwrap(), 1);
    fixture.clock.advance(store.alert_settings().learning);
    (account, key)
}

async fn a_new_network_of_a_key_raises_an_alert(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let (account, key) = known_key(&fixture, &store).await;
    used(&store, key, fixture.clock.now(), 200, 1, "192.0.2.77").await;
    fixture.clock.advance(MINUTE * 3);
    assert_eq!(store.evaluate_usage_rules().await.unwrap(), 1);
    assert_eq!(raised(&store, account).await, []);
    used(&store, key, fixture.clock.now(), 403, 1, "2001:db8::7").await;
    fixture.clock.advance(MINUTE * 3);
    assert_eq!(store.evaluate_usage_rules().await.unwrap(), 1);
    assert_eq!(raised(&store, account).await, [(AlertRule::NewAddress, key)]);
    store.close().await;
}

async fn networks_suppressed_by_the_cooldown_raise_an_alert_afterwards(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let (account, key) = known_key(&fixture, &store).await;
    for address in ["198.51.100.1", "203.0.113.1"] {
        used(&store, key, fixture.clock.now(), 200, 1, address).await;
        fixture.clock.advance(MINUTE * 3);
        assert_eq!(store.evaluate_usage_rules().await.unwrap(), 1);
    }
    assert_eq!(raised(&store, account).await.len(), 1, "the second network is in its cooldown");
    fixture.clock.advance(store.alert_settings().cooldown(AlertRule::NewAddress));
    assert_eq!(
        store.evaluate_usage_rules().await.unwrap(),
        1,
        "the unused key is evaluated by the lifecycle rules"
    );
    assert_eq!(raised(&store, account).await.len(), 2);
    assert_eq!(store.evaluate_usage_rules().await.unwrap(), 0);
    store.close().await;
}

async fn many_minutes_are_evaluated_in_batches(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let mut keys = Vec::new();
    for number in 0..70 {
        keys.push(fixture.key(&store, account, new_key(&format!("key {number}"))).await.0.record.id);
    }
    for key in &keys {
        used(&store, *key, fixture.clock.now(), 200, 1, "192.0.2.1").await;
    }
    let start = fixture.clock.now().plus(MINUTE);
    let sql = "WITH RECURSIVE minutes (n) AS (SELECT CAST(0 AS BIGINT) UNION ALL SELECT n + 1 FROM minutes WHERE n < 499) \
         INSERT INTO usage_buckets (key_id, span, start, route, status, secret, requests, duration_us) \
         SELECT $1, 'minute', $2 + n * 60000, 'GET /v1/whoami', 429, $3, 3, 0 FROM minutes";
    execute(&store, sql, binds![keys[0].to_string(), start, SECRET]).await;
    fixture.clock.advance(MINUTE * 600);
    // Two groups of keys; three transactions for the key with 501 minutes.
    assert_eq!(store.evaluate_usage_rules().await.unwrap(), 70 + 2);
    assert_eq!(raised(&store, account).await, [(AlertRule::LimitRiding, keys[0])]);
    assert_eq!(store.evaluate_usage_rules().await.unwrap(), 0);
    store.close().await;
}

async fn dead_keys_are_not_evaluated(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let (account, key) = known_key(&fixture, &store).await;
    store.revoke_key(account, key, None, fixture.origin()).await.unwrap();
    for _ in 0..10 {
        used(&store, key, fixture.clock.now(), 401, 5000, "198.51.100.1").await;
        fixture.clock.advance(MINUTE);
    }
    fixture.clock.advance(MINUTE * 3);
    assert_eq!(store.evaluate_usage_rules().await.unwrap(), 1);
    assert_eq!(raised(&store, account).await, []);
    store.close().await;
}

async fn lifecycle_rules_raise_each_alert_once(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let mut new = new_key("ends");
    new.expires_at = Some(fixture.clock.now().plus(DAY * 120));
    let ending = fixture.key(&store, account, new).await.0.record.id;
    let unused = fixture.key(&store, account, new_key("unused")).await.0.record.id;
    let revoked = fixture.key(&store, account, new_key("revoked")).await.0.record.id;
    store.revoke_key(account, revoked, None, fixture.origin()).await.unwrap();
    assert_eq!(store.evaluate_lifecycle_rules().await.unwrap(), 0);
    fixture.clock.advance(DAY * 90);
    assert_eq!(store.evaluate_lifecycle_rules().await.unwrap(), 3, "one expires soon, two were never used");
    assert_eq!(store.evaluate_lifecycle_rules().await.unwrap(), 0);
    fixture.clock.advance(DAY * 23);
    assert_eq!(store.evaluate_lifecycle_rules().await.unwrap(), 1, "seven days are left");
    fixture.clock.advance(DAY * 6);
    assert_eq!(store.evaluate_lifecycle_rules().await.unwrap(), 1, "one day is left");
    fixture.clock.advance(DAY * 30);
    assert_eq!(store.evaluate_lifecycle_rules().await.unwrap(), 0, "it has expired");
    let raised = raised(&store, account).await;
    assert_eq!(raised.iter().filter(|alert| **alert == (AlertRule::Expiring, ending)).count(), 3);
    assert_eq!(raised.iter().filter(|alert| **alert == (AlertRule::Unused, unused)).count(), 1);
    store.close().await;
}

async fn alerts_are_listed_acknowledged_once_and_audited(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let other = fixture.other_account(&store).await;
    let key = fixture.key(&store, account, new_key("one")).await.0.record.id;
    store.record_security_signal(SecuritySignal::DeadKeyUsed { key, address: "192.0.2.1".parse().unwrap() });
    assert_eq!(store.raise_security_alerts().await.unwrap(), 1);
    let listed = store.list_alerts(account, AlertFilter::default(), PageRequest::default()).await.unwrap();
    let id = listed.items[0].id;
    let elsewhere = store.list_alerts(other, AlertFilter::default(), PageRequest::default()).await.unwrap();
    assert_eq!((elsewhere.count(), elsewhere.items), (Some(0), vec![]));
    assert_eq!(store.acknowledge_alert(other, id, None, fixture.origin()).await.unwrap(), None);
    let note = || Some("The new office.".to_owned());
    let first = store.acknowledge_alert(account, id, note(), fixture.origin()).await.unwrap().unwrap();
    assert_eq!(first.acknowledged.as_ref().unwrap().note, note());
    assert_eq!(first.acknowledged.as_ref().unwrap().at, fixture.clock.now());
    fixture.clock.advance(MINUTE);
    let later = Some("Another note.".to_owned());
    let again = store.acknowledge_alert(account, id, later, fixture.origin()).await.unwrap().unwrap();
    assert_eq!(again, first, "the first note is kept");
    let sql = "SELECT target FROM audit_events WHERE action = 'alert.acknowledged'";
    let entries = select(&store, sql, vec![]).await;
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].text("target").unwrap(), id.to_string());
    store.close().await;
}

async fn old_alerts_are_deleted_with_their_mails(fixture: Arc<Fixture>) {
    let store = fixture.open_with(|options| options.alerts.by_mail = true).await;
    let account = fixture.account(&store).await.id;
    let key = fixture.key(&store, account, new_key("one")).await.0.record.id;
    store.record_security_signal(SecuritySignal::SeenInClear { key, address: "192.0.2.1".parse().unwrap() });
    assert_eq!(store.raise_security_alerts().await.unwrap(), 1);
    used(&store, key, fixture.clock.now(), 200, 1, "192.0.2.1").await;
    fixture.clock.advance(store.alert_settings().keep);
    store.evaluate_lifecycle_rules().await.unwrap();
    let rules = raised(&store, account).await;
    assert!(rules.contains(&(AlertRule::SeenInClear, key)), "{rules:?}");
    fixture.clock.advance(Duration::from_millis(1));
    store.evaluate_lifecycle_rules().await.unwrap();
    let rules = raised(&store, account).await;
    assert!(!rules.contains(&(AlertRule::SeenInClear, key)), "{rules:?}");
    let owed = select(&store, "SELECT alert_id FROM alert_mails", vec![]).await;
    assert_eq!(owed.len(), rules.len());
    store.close().await;
}

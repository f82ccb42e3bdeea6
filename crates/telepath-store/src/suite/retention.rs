//! Months of virtual time: expired rows are deleted, and nothing else.

use std::sync::Arc;
use std::time::Duration;

use telepath_core::alert::AlertRule;
use telepath_core::audit::{ChainHead, ExpectedHead};
use telepath_core::call::{CallStatus, DisconnectReason};
use telepath_core::ports::CallControl as _;
use telepath_core::request::RequestFilter;
use telepath_core::storage_limit::StorageLimits;
use telepath_core::usage::UsageSpan;

use super::{Fixture, answered, behaviour, calls, execute, new_key, select, trunks};
use crate::audit::AuditVerdict;
use crate::request_log::read::RequestOrder;
use crate::retention::{Expired, Retention};
use crate::store::Store;

behaviour! {
    usage_buckets_expire,
    the_request_log_expires_by_age_and_size,
    segments_without_rollup_are_kept,
    cooldowns_of_alerts_expire_by_rule,
    calls_expire_after_a_time_that_is_set,
    audit_entries_expire_and_the_chain_stays_verifiable,
    a_broken_trail_is_not_shortened,
    an_account_keeps_as_many_revoked_keys_as_it_can_have_keys,
    a_request_of_a_deleted_key_does_not_block_the_counters,
    deleted_trunks_stay_as_long_as_they_have_calls,
}

const DAY: Duration = Duration::from_hours(24);

async fn buckets(store: &Store, span: UsageSpan) -> usize {
    let mut found = Vec::new();
    for table in ["usage_buckets", "account_usage"] {
        let sql = format!("SELECT start FROM {table} WHERE span = $1");
        found.push(select(store, sql, crate::sql::binds![span.name()]).await.len());
    }
    assert_eq!(found[0], found[1], "the counters of the key and those of its account");
    let sql = "SELECT start FROM key_usage WHERE span = $1";
    let hours_or_days = select(store, sql, crate::sql::binds![span.name()]).await.len();
    assert_eq!(hours_or_days, if span == UsageSpan::Minute { 0 } else { found[0] }, "{span:?}");
    found[0]
}

async fn usage_buckets_expire(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (created, hash) = fixture.key(&store, account, new_key("k")).await;
    // One request every noon, for two years and ten days.
    for _ in 0..740 {
        store.requests().record(&answered(&store, account, created.record.id, &hash));
        fixture.clock.advance(DAY);
    }
    store.flush_usage().await.unwrap();
    store.roll_up_usage().await.unwrap();
    let kept = async || {
        let mut kept = Vec::new();
        for span in UsageSpan::ALL {
            kept.push(buckets(&store, *span).await);
        }
        kept
    };
    assert_eq!(kept().await, [740, 740, 740]);
    let expired = store.expire_usage(Retention::default()).await.unwrap();
    // The last request was a day ago. A bucket expires when its start is older than the retention of its span: 48
    // hours, 90 days, 730 days, the last counted from midnight.
    assert_eq!(kept().await, [2, 90, 729]);
    assert_eq!(expired.buckets, 738 + 650 + 11);
    assert_eq!(store.expire_usage(Retention::default()).await.unwrap().buckets, 0);
    let seen = store.get_key(account, created.record.id).await.unwrap().unwrap();
    assert_eq!(seen.request_count, 740, "counters stay");
    store.close().await;
}

async fn the_request_log_expires_by_age_and_size(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (created, hash) = fixture.key(&store, account, new_key("k")).await;
    for _ in 0..40 {
        store.requests().record(&answered(&store, account, created.record.id, &hash));
        store.flush_usage().await.unwrap();
        fixture.clock.advance(DAY);
    }
    store.roll_up_usage().await.unwrap();
    let left = async || {
        let everything = RequestFilter::default();
        let page = store.list_requests(account, &everything, RequestOrder::Newest, 100, None).await.unwrap();
        page.requests.len()
    };
    let expired = store.expire_usage(Retention::default()).await.unwrap();
    assert_eq!((expired.segments, left().await), (10, 30));
    let rows = select(&store, "SELECT max(bytes) AS bytes FROM request_segments", vec![]).await;
    let bytes: u64 = rows[0].number("bytes").unwrap();
    let small = Retention { bytes: bytes * 5, ..Retention::default() };
    assert_eq!(store.expire_usage(small).await.unwrap().segments, 25);
    assert_eq!(left().await, 5);
    assert_eq!(store.expire_usage(small).await.unwrap(), Expired::default());
    store.close().await;
}

async fn segments_without_rollup_are_kept(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (created, hash) = fixture.key(&store, account, new_key("k")).await;
    for _ in 0..2 {
        store.requests().record(&answered(&store, account, created.record.id, &hash));
        store.flush_usage().await.unwrap();
    }
    let first = "UPDATE request_segments SET folded = 16 WHERE id = (SELECT min(id) FROM request_segments)";
    execute(&store, first, vec![]).await;
    fixture.clock.advance(365 * DAY);
    assert_eq!(store.expire_usage(Retention::default()).await.unwrap().segments, 1);
    store.roll_up_usage().await.unwrap();
    assert_eq!(store.expire_usage(Retention::default()).await.unwrap().segments, 1);
    store.close().await;
}

async fn cooldowns_of_alerts_expire_by_rule(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let insert = "INSERT INTO alert_cooldowns (subject_kind, subject_id, rule, occasion, raised_at) \
                  VALUES ('key', 'key_1', $1, '', $2)";
    for rule in AlertRule::ALL {
        execute(&store, insert, crate::sql::binds![rule.name(), store.now()]).await;
    }
    let left = async || {
        store.expire_usage(Retention::default()).await.unwrap();
        let rows = select(&store, "SELECT rule FROM alert_cooldowns", vec![]).await;
        rows.iter().map(|row| row.text("rule").unwrap()).collect::<std::collections::BTreeSet<_>>()
    };
    let begun = store.now();
    for hours in [0, 2, 7, 25, 24 * 91] {
        let age = Duration::from_hours(hours);
        fixture.clock.advance(age.saturating_sub(store.now().since(begun)));
        let running = AlertRule::ALL.iter().filter(|rule| store.alert_settings.cooldown(**rule) > age);
        assert_eq!(left().await, running.map(|rule| rule.name().to_owned()).collect(), "after {hours} h");
    }
    store.close().await;
}

async fn calls_expire_after_a_time_that_is_set(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let trunk = trunks::make(&fixture, &store, account, "support-01").await.trunk.id;
    let mut calls = Vec::new();
    for _ in 0..4 {
        let started = calls::start(&store, account, trunk);
        store.call_started(&started).await.unwrap();
        calls.push(started);
        fixture.clock.advance(DAY);
    }
    for call in [&calls[1], &calls[3]] {
        store
            .call_ended(&calls::ended(call, CallStatus::Disconnected, DisconnectReason::NormalDisconnect))
            .await
            .unwrap();
    }
    let keep = |days: u32| Retention { calls: Some(DAY * days), ..Retention::default() };
    assert_eq!(store.expire_usage(Retention::default()).await.unwrap().calls, 0, "kept forever");
    assert_eq!(store.expire_usage(keep(4)).await.unwrap().calls, 0);
    assert_eq!(store.expire_usage(keep(2)).await.unwrap().calls, 1, "the first is live");
    let left = select(&store, "SELECT id FROM calls ORDER BY start_time", vec![]).await;
    let left: Vec<String> = left.iter().map(|row| row.text("id").unwrap()).collect();
    assert_eq!(left, [&calls[0], &calls[2], &calls[3]].map(|call| call.id.to_string()));
    store.close().await;
}

async fn audit_entries_expire_and_the_chain_stays_verifiable(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    for number in 0..250 {
        fixture.key(&store, account, new_key(&format!("old {number}"))).await;
    }
    let old = store.verify_audit(account, None).await.unwrap().head;
    fixture.clock.advance(DAY * 10);
    fixture.key(&store, account, new_key("new")).await;
    let keep = Retention { audit: Some(DAY * 5), ..Retention::default() };
    assert_eq!(store.expire_usage(Retention::default()).await.unwrap().audit, 0, "kept forever");
    assert_eq!(store.expire_usage(keep).await.unwrap().audit, 251);
    let report = store.verify_audit(account, Some(old)).await.unwrap();
    assert_eq!(report.verdict, AuditVerdict::Intact { entries: 1 });
    assert_eq!((report.anchor, report.expected), (old, Some(ExpectedHead::Found)));
    let earlier = ChainHead { position: 5, ..old };
    let report = store.verify_audit(account, Some(earlier)).await.unwrap();
    assert_eq!(report.expected, Some(ExpectedHead::Expired));
    fixture.clock.advance(DAY * 10);
    assert_eq!(store.expire_usage(keep).await.unwrap().audit, 1, "the whole trail");
    assert_eq!(store.verify_audit(account, None).await.unwrap().verdict, AuditVerdict::Intact { entries: 0 });
    fixture.key(&store, account, new_key("newest")).await;
    assert_eq!(store.verify_audit(account, None).await.unwrap().verdict, AuditVerdict::Intact { entries: 1 });
    execute(&store, "UPDATE accounts SET audit_anchor_position = 3", vec![]).await;
    assert!(matches!(store.verify_audit(account, None).await.unwrap().verdict, AuditVerdict::Broken { .. }));
    store.close().await;
}

async fn a_broken_trail_is_not_shortened(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    fixture.key(&store, account, new_key("old")).await;
    fixture.clock.advance(DAY * 10);
    let keep = Retention { audit: Some(DAY * 5), ..Retention::default() };
    execute(&store, "UPDATE audit_events SET actor = 'system' WHERE position = 2", vec![]).await;
    assert_eq!(store.expire_usage(keep).await.unwrap().audit, 0);
    let verdict = store.verify_audit(account, None).await.unwrap().verdict;
    assert_eq!(verdict, AuditVerdict::Broken { position: 2 });
    store.close().await;
}

async fn with_limit(fixture: &Fixture, keys: u32) -> Arc<Store> {
    let storage_limits = StorageLimits { keys, ..StorageLimits::default() };
    fixture.open_with(|options| options.storage_limits = storage_limits).await
}

async fn an_account_keeps_as_many_revoked_keys_as_it_can_have_keys(fixture: Arc<Fixture>) {
    let store = with_limit(&fixture, 3).await;
    let account = fixture.account(&store).await.id;
    let mut keys = Vec::new();
    // Each was used, is watched and has a quota, so that it has rows in every table.
    for _ in 0..45 {
        let (created, hash) = fixture.key(&store, account, new_key("k")).await;
        store.requests().record(&answered(&store, account, created.record.id, &hash));
        store.flush_usage().await.unwrap();
        store.roll_up_usage().await.unwrap();
        store.evaluate_usage_rules().await.unwrap();
        store.revoke_key(account, created.record.id, None, fixture.origin()).await.unwrap();
        keys.push((created.record.id, hash));
        fixture.clock.advance(Duration::from_secs(1));
    }
    let (live, live_hash) = fixture.key(&store, account, new_key("live")).await;
    assert_eq!(store.expire_usage(Retention::default()).await.unwrap().keys, 42);
    let mut left = Vec::new();
    for (id, hash) in &keys {
        let known = store.get_key(account, *id).await.unwrap().is_some();
        assert_eq!(store.keys().find(hash).is_some(), known, "the memory agrees with the database");
        left.push(known);
    }
    assert_eq!(left, [vec![false; 42], vec![true; 3]].concat());
    assert!(store.keys().find(&live_hash).is_some() && store.keys().len() == 4);
    assert!(store.get_key(account, live.record.id).await.unwrap().is_some());
    let sql = "SELECT (SELECT count(DISTINCT key_id) FROM usage_buckets) AS buckets, \
               (SELECT count(DISTINCT key_id) FROM key_usage) AS hours, \
               (SELECT count(DISTINCT key_id) FROM usage_addresses) AS addresses, \
               (SELECT count(*) FROM key_secrets) AS secrets";
    let rows = select(&store, sql, vec![]).await;
    assert_eq!(
        ["buckets", "hours", "addresses", "secrets"].map(|name| rows[0].integer(name).unwrap()),
        [3, 3, 3, 4]
    );
    assert_eq!(store.expire_usage(Retention::default()).await.unwrap().keys, 0);
    store.close().await;
}

async fn a_request_of_a_deleted_key_does_not_block_the_counters(fixture: Arc<Fixture>) {
    let store = with_limit(&fixture, 1).await;
    let account = fixture.account(&store).await.id;
    let mut keys = Vec::new();
    for _ in 0..2 {
        let (created, hash) = fixture.key(&store, account, new_key("k")).await;
        store.revoke_key(account, created.record.id, None, fixture.origin()).await.unwrap();
        keys.push((created.record.id, hash));
        fixture.clock.advance(Duration::from_secs(1));
    }
    let (live, live_hash) = fixture.key(&store, account, new_key("live")).await;
    assert_eq!(store.expire_usage(Retention::default()).await.unwrap().keys, 1);
    // As another server that has not forgotten the key yet.
    store.requests().record(&answered(&store, account, keys[0].0, &keys[0].1));
    store.requests().record(&answered(&store, account, live.record.id, &live_hash));
    store.flush_usage().await.unwrap();
    store.roll_up_usage().await.unwrap();
    assert_eq!(store.get_key(account, live.record.id).await.unwrap().unwrap().request_count, 1);
    store.close().await;
}

async fn deleted_trunks_stay_as_long_as_they_have_calls(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let mut ids = Vec::new();
    for name in ["kept", "called", "unused"] {
        ids.push(trunks::make(&fixture, &store, account, name).await.trunk.id);
    }
    store.call_started(&calls::start(&store, account, ids[1])).await.unwrap();
    for id in &ids[1..] {
        store.delete_trunk(account, *id, fixture.origin()).await.unwrap();
    }
    // A call that was set up at that time may still be stored.
    assert_eq!(store.expire_usage(Retention::default()).await.unwrap().trunks, 0);
    fixture.clock.advance(DAY);
    assert_eq!(store.expire_usage(Retention::default()).await.unwrap().trunks, 1);
    let rows = select(&store, "SELECT name FROM trunks ORDER BY name", vec![]).await;
    let names: Vec<_> = rows.iter().map(|row| row.text("name").unwrap()).collect();
    assert_eq!(names, ["Trunk called", "Trunk kept"]);
    store.close().await;
}

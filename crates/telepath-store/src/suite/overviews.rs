//! The first page of an account.

use std::sync::Arc;
use std::time::Duration;

use telepath_core::alert::AlertRule;
use telepath_core::call::{CallStatus, DisconnectReason};
use telepath_core::clock::Clock as _;
use telepath_core::id::AccountId;
use telepath_core::key::NewKey;
use telepath_core::ports::CallControl as _;
use telepath_core::usage::UsageSpan;
use telepath_core::webhook::delivery::ErrorClass;

use super::alerts::{raised, spike};
use super::calls::{ended, start};
use super::deliveries::{claim, finish};
use super::trunks::make;
use super::{Fixture, behaviour, new_key, webhooks};
use crate::overview::{Attention, Overview};
use crate::store::Store;

behaviour! {
    an_overview_lists_what_needs_attention_with_the_most_urgent_first,
    an_overview_lists_recent_failures_and_no_calls_that_went_well,
    the_counts_of_an_account_follow_its_state,
    an_overview_shows_nothing_of_another_account,
}

async fn overview(fixture: &Fixture, store: &Store, account: AccountId) -> Overview {
    let since = fixture.clock.now().minus(Duration::from_hours(24));
    store.overview(account, UsageSpan::Hour, since).await.unwrap()
}

async fn an_overview_lists_what_needs_attention_with_the_most_urgent_first(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    assert_eq!(overview(&fixture, &store, account).await, Overview::default());
    let in_days = |days: u64| Some(fixture.clock.now().plus(Duration::from_hours(days * 24)));
    let soon = NewKey { expires_at: in_days(13), ..new_key("soon") };
    let later = NewKey { expires_at: in_days(31), ..new_key("later") };
    let soon = fixture.key(&store, account, soon).await.0.record.id;
    fixture.key(&store, account, later).await;
    let never = fixture.key(&store, account, new_key("never")).await.0.record.id;
    assert!(raised(&store, account, spike(never)).await);
    let endpoint = webhooks::make(&fixture, &store, account, webhooks::draft("secret-path")).await;
    store.create_key(account, new_key("an event"), fixture.origin()).await.unwrap();
    let claimed = claim(&store, &endpoint, 1).await;
    finish(&store, &claimed[0], Some(ErrorClass::Connect)).await;

    let found = overview(&fixture, &store, account).await.attention;
    match &found[..] {
        [
            Attention::WebhookFails { id, host, since: Some(_), is_disabled: false },
            Attention::Alert { rule: AlertRule::RequestSpike, name, subject, .. },
            Attention::KeyExpires { id: key, .. },
        ] => {
            assert_eq!((id, key, subject), (&endpoint.id, &soon, &never.to_string()));
            assert_eq!(name, "never");
            assert!(!host.contains("secret-path") && host.contains('.'), "{host}");
        }
        other => panic!("{other:?}"),
    }
    let expiring = telepath_core::alert::NewAlert::new(
        AlertRule::Expiring,
        soon,
        "The key expires soon.".to_owned(),
        serde_json::json!({}),
    );
    assert!(raised(&store, account, expiring).await);
    let found = overview(&fixture, &store, account).await.attention;
    let twice = found.iter().any(|one| matches!(one, Attention::KeyExpires { .. }));
    assert!(!twice && found.len() == 3, "an alert has said so: {found:?}");
    store.close().await;
}

async fn an_overview_lists_recent_failures_and_no_calls_that_went_well(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let trunk = make(&fixture, &store, account, "support").await.trunk;
    for (place, (status, reason)) in (0_u64..).zip([
        (CallStatus::Failed, DisconnectReason::ConnectionFailed),
        (CallStatus::Disconnected, DisconnectReason::NormalDisconnect),
        (CallStatus::Disconnected, DisconnectReason::NetworkError),
        (CallStatus::Failed, DisconnectReason::Rejected),
    ]) {
        let mut begun = start(&store, account, trunk.id);
        begun.start_time = fixture.clock.now().minus(Duration::from_mins(10 - place));
        begun.answer_time = begun.start_time;
        begun.id = store.new_id(begun.start_time).unwrap();
        store.call_ended(&ended(&begun, status, reason)).await.unwrap();
    }
    let failures = overview(&fixture, &store, account).await.failures;
    let reasons: Vec<_> = failures.iter().map(|call| (call.status, call.reason)).collect();
    assert_eq!(
        reasons,
        [
            (CallStatus::Failed, DisconnectReason::Rejected),
            (CallStatus::Disconnected, DisconnectReason::NetworkError),
            (CallStatus::Failed, DisconnectReason::ConnectionFailed),
        ]
    );
    assert!(failures.iter().all(|call| call.trunk == trunk.id && call.trunk_name == trunk.name.as_str()));
    fixture.clock.advance(Duration::from_hours(25));
    assert!(overview(&fixture, &store, account).await.failures.is_empty(), "they are older than the range");
    store.close().await;
}

async fn the_counts_of_an_account_follow_its_state(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let none = store.account_counts(account).await.unwrap();
    assert!(!none.has_keys && !none.has_trunks && !none.has_calls && !none.has_webhooks);
    let key = fixture.key(&store, account, new_key("one")).await.0.record.id;
    let trunk = make(&fixture, &store, account, "support").await.trunk.id;
    let begun = start(&store, account, trunk);
    store.call_started(&begun).await.unwrap();
    webhooks::make(&fixture, &store, account, webhooks::draft("all")).await;
    assert!(raised(&store, account, spike(key)).await);
    fixture.clock.advance(Duration::from_secs(5));
    let counts = store.account_counts(account).await.unwrap();
    assert!(counts.has_keys && counts.has_trunks && counts.has_calls && counts.has_webhooks);
    assert_eq!((counts.live_calls, counts.open_alerts), (1, 1));
    assert_eq!((counts.active_webhooks, counts.failing_webhooks), (1, 0));
    assert!(counts.oldest_due_delivery.is_some(), "the alert waits to be delivered");
    let end = ended(&begun, CallStatus::Disconnected, DisconnectReason::NormalDisconnect);
    store.call_ended(&end).await.unwrap();
    assert_eq!(store.account_counts(account).await.unwrap().live_calls, 0);
    store.close().await;
}

async fn an_overview_shows_nothing_of_another_account(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let other = fixture.other_account(&store).await;
    let key = fixture.key(&store, account, new_key("one")).await.0.record.id;
    assert!(raised(&store, account, spike(key)).await);
    let trunk = make(&fixture, &store, account, "support").await.trunk.id;
    store.call_started(&start(&store, account, trunk)).await.unwrap();
    assert_eq!(overview(&fixture, &store, other).await, Overview::default());
    let counts = store.account_counts(other).await.unwrap();
    assert_eq!((counts.live_calls, counts.open_alerts, counts.has_calls), (0, 0, false));
    store.close().await;
}

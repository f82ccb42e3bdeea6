//! What an endpoint no longer wants is not sent to it.

use std::sync::Arc;
use std::time::Duration;

use telepath_core::event::EventKind;
use telepath_core::ports::CallControl as _;
use telepath_core::scope::ScopeSet;
use telepath_core::webhook::delivery::{DeliveryStatus, ErrorClass};
use telepath_core::webhook::{EventFilter, WebhookPatch};

use super::calls::start;
use super::deliveries::{claim, deliveries, event, finish};
use super::webhooks::{disable, draft, enable, make};
use super::{Fixture, behaviour, trunks};

behaviour! {
    an_event_is_not_retried_after_the_endpoint_unsubscribed_from_it,
    an_attempt_in_flight_is_not_retried_after_the_endpoint_unsubscribed,
    events_of_a_trunk_are_canceled_when_the_endpoint_names_other_trunks,
    held_and_exhausted_events_are_not_recovered_after_the_endpoint_unsubscribed,
}

fn only(kinds: &[EventKind]) -> WebhookPatch {
    WebhookPatch { events: Some(EventFilter::of(kinds)), ..WebhookPatch::default() }
}

async fn an_event_is_not_retried_after_the_endpoint_unsubscribed_from_it(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let webhook = make(&fixture, &store, account, draft("a")).await;
    event(&fixture, &store, account).await;
    let test = store.test_webhook(account, webhook.id, fixture.origin()).await.unwrap();
    let failed = claim(&store, &webhook, 10).await;
    assert_eq!(failed.len(), 2);
    for claimed in &failed {
        finish(&store, claimed, Some(ErrorClass::Connect)).await;
    }
    let calls = only(&[EventKind::CallEnded]);
    store.update_webhook(account, webhook.id, calls, ScopeSet::all(), fixture.origin()).await.unwrap();
    fixture.clock.advance(Duration::from_hours(1));
    let retried = claim(&store, &webhook, 10).await;
    assert_eq!(
        retried.iter().map(|claimed| claimed.id).collect::<Vec<_>>(),
        [test.id],
        "a test was requested"
    );
    let list = deliveries(&store, account, &webhook).await;
    let key = list.iter().find(|delivery| delivery.kind == EventKind::KeyCreated).unwrap();
    assert_eq!((list.len(), key.status), (2, DeliveryStatus::Canceled));
    assert_eq!((key.attempts, key.next_at), (1, None));
    assert!(key.finished_at.is_some());
    // On request it is sent again all the same, once.
    store.redeliver(account, key.id, fixture.origin()).await.unwrap();
    let again = claim(&store, &webhook, 10).await.pop().unwrap();
    assert_eq!(again.id, key.id);
    finish(&store, &again, Some(ErrorClass::Connect)).await;
    fixture.clock.advance(Duration::from_hours(1));
    assert!(claim(&store, &webhook, 10).await.iter().all(|claimed| claimed.id == test.id));
    store.close().await;
}

async fn an_attempt_in_flight_is_not_retried_after_the_endpoint_unsubscribed(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let webhook = make(&fixture, &store, account, draft("a")).await;
    for _ in 0..2 {
        event(&fixture, &store, account).await;
    }
    let sending = claim(&store, &webhook, 10).await;
    let calls = only(&[EventKind::CallEnded]);
    store.update_webhook(account, webhook.id, calls, ScopeSet::all(), fixture.origin()).await.unwrap();
    finish(&store, &sending[0], Some(ErrorClass::Connect)).await;
    finish(&store, &sending[1], None).await;
    fixture.clock.advance(Duration::from_hours(1));
    assert!(claim(&store, &webhook, 10).await.is_empty());
    for (claimed, status) in sending.iter().zip([DeliveryStatus::Canceled, DeliveryStatus::Delivered]) {
        let record = store.get_delivery(account, claimed.id).await.unwrap().unwrap().record;
        assert_eq!((record.status, record.attempts), (status, 1));
    }
    store.close().await;
}

async fn events_of_a_trunk_are_canceled_when_the_endpoint_names_other_trunks(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let webhook = make(&fixture, &store, account, draft("a")).await;
    let [mine, other] = [
        trunks::make(&fixture, &store, account, "mine").await.trunk.id,
        trunks::make(&fixture, &store, account, "other").await.trunk.id,
    ];
    for trunk in [mine, other] {
        store.call_started(&start(&store, account, trunk)).await.unwrap();
    }
    event(&fixture, &store, account).await;
    let patch = WebhookPatch { trunks: Some(vec![mine]), ..WebhookPatch::default() };
    store.update_webhook(account, webhook.id, patch, ScopeSet::all(), fixture.origin()).await.unwrap();
    let list = deliveries(&store, account, &webhook).await;
    let count = |status| list.iter().filter(|delivery| delivery.status == status).count();
    assert_eq!((count(DeliveryStatus::Canceled), count(DeliveryStatus::Pending)), (1, 2));
    // Events of calls bear the time of their answer.
    fixture.clock.advance(Duration::from_secs(1));
    let claimed = claim(&store, &webhook, 10).await;
    assert!(claimed.iter().all(|claimed| !claimed.body.contains(&other.to_string())));
    assert_eq!(claimed.len(), 2, "the other call, and the event that is about no trunk");
    store.close().await;
}

async fn held_and_exhausted_events_are_not_recovered_after_the_endpoint_unsubscribed(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let webhook = make(&fixture, &store, account, draft("a")).await;
    event(&fixture, &store, account).await;
    for _ in 0..10 {
        let claimed = claim(&store, &webhook, 1).await.pop().unwrap();
        finish(&store, &claimed, Some(ErrorClass::Connect)).await;
        fixture.clock.advance(Duration::from_hours(48));
    }
    store.update_webhook(account, webhook.id, disable(), ScopeSet::all(), fixture.origin()).await.unwrap();
    event(&fixture, &store, account).await;
    let statuses = async || {
        let list = deliveries(&store, account, &webhook).await;
        let keys = list.into_iter().filter(|delivery| delivery.kind == EventKind::KeyCreated);
        keys.map(|delivery| delivery.status).collect::<Vec<_>>()
    };
    assert_eq!(statuses().await, [DeliveryStatus::Exhausted, DeliveryStatus::Held]);
    let calls = only(&[EventKind::CallEnded]);
    store.update_webhook(account, webhook.id, calls, ScopeSet::all(), fixture.origin()).await.unwrap();
    store.update_webhook(account, webhook.id, enable(), ScopeSet::all(), fixture.origin()).await.unwrap();
    let recovered =
        store.recover_deliveries(account, webhook.id, super::NOON, fixture.origin()).await.unwrap();
    assert_eq!(recovered.deliveries, 0);
    assert_eq!(statuses().await, [DeliveryStatus::Exhausted, DeliveryStatus::Canceled]);
    store.close().await;
}

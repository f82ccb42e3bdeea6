//! The sequence numbers of what events are about: they are kept as long as there may be another event.

use std::sync::Arc;
use std::time::Duration;

use telepath_core::call::{CallStatus, DisconnectReason};
use telepath_core::ports::CallControl as _;
use telepath_core::storage_limit::StorageLimits;
use telepath_core::webhook::delivery::KEPT;

use super::calls::{ended, start};
use super::deliveries::{claim, finish};
use super::webhooks::{draft, make};
use super::{Fixture, behaviour, new_key, select, trunks};
use crate::retention::Retention;
use crate::store::Store;

behaviour! {
    sequence_numbers_of_ended_calls_are_deleted_with_their_last_event,
    sequence_numbers_of_deleted_endpoints_are_deleted,
    sequence_numbers_of_deleted_keys_are_deleted_with_their_last_event,
}

async fn subjects(store: &Store) -> Vec<String> {
    let rows = select(store, "SELECT subject FROM outbox_subjects ORDER BY subject", vec![]).await;
    rows.iter().map(|row| row.text("subject").unwrap()).collect()
}

async fn sequence_numbers_of_ended_calls_are_deleted_with_their_last_event(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let trunk = trunks::make(&fixture, &store, account, "support-01").await.trunk.id;
    let (live, over) = (start(&store, account, trunk), start(&store, account, trunk));
    for call in [&live, &over] {
        store.call_started(call).await.unwrap();
    }
    let end = |call| ended(call, CallStatus::Disconnected, DisconnectReason::NormalDisconnect);
    store.call_ended(&end(&over)).await.unwrap();
    let key = fixture.key(&store, account, new_key("k")).await.0.record.id;
    // The call's last event is from its end, ten seconds later than its first.
    fixture.clock.advance(KEPT + Duration::from_secs(1));
    store.purge_deliveries().await.unwrap();
    let events = select(&store, "SELECT id FROM outbox_events", vec![]).await.len();
    assert_eq!((events, subjects(&store).await.len()), (1, 3), "the call has an event");
    fixture.clock.advance(Duration::from_mins(1));
    store.purge_deliveries().await.unwrap();
    let mut left = [live.id.to_string(), key.to_string()];
    left.sort();
    assert_eq!(subjects(&store).await, left, "the live call and the key go on");
    store.call_ended(&end(&live)).await.unwrap();
    let sql = "SELECT sequence FROM outbox_events WHERE subject = $1";
    let last = select(&store, sql, crate::sql::binds![live.id.to_string()]).await;
    assert_eq!(last[0].integer("sequence").unwrap(), 2, "no number is used twice");
    fixture.clock.advance(KEPT + Duration::from_mins(1));
    store.purge_deliveries().await.unwrap();
    assert_eq!(subjects(&store).await, [key.to_string()]);
    store.close().await;
}

async fn sequence_numbers_of_deleted_endpoints_are_deleted(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (kept, gone) = (
        make(&fixture, &store, account, draft("a")).await,
        make(&fixture, &store, account, draft("b")).await,
    );
    for webhook in [&kept, &gone] {
        store.test_webhook(account, webhook.id, fixture.origin()).await.unwrap();
        let claimed = claim(&store, webhook, 1).await.pop().unwrap();
        finish(&store, &claimed, None).await;
    }
    fixture.clock.advance(KEPT + Duration::from_secs(1));
    store.purge_deliveries().await.unwrap();
    assert_eq!(subjects(&store).await.len(), 2, "endpoints that exist have further events");
    store.delete_webhook(account, gone.id, fixture.origin()).await.unwrap();
    fixture.clock.advance(Duration::from_secs(1));
    store.purge_deliveries().await.unwrap();
    assert_eq!(subjects(&store).await, [kept.id.to_string()]);
    store.close().await;
}

async fn sequence_numbers_of_deleted_keys_are_deleted_with_their_last_event(fixture: Arc<Fixture>) {
    let storage_limits = StorageLimits { keys: 1, ..StorageLimits::default() };
    let store = fixture.open_with(|options| options.storage_limits = storage_limits).await;
    let account = fixture.account(&store).await.id;
    let mut keys = Vec::new();
    for _ in 0..3 {
        let key = fixture.key(&store, account, new_key("k")).await.0.record.id;
        store.revoke_key(account, key, None, fixture.origin()).await.unwrap();
        keys.push(key);
        fixture.clock.advance(Duration::from_secs(1));
    }
    assert_eq!(store.expire_usage(Retention::default()).await.unwrap().keys, 2);
    store.purge_deliveries().await.unwrap();
    assert_eq!(subjects(&store).await.len(), 3, "the keys have events");
    fixture.clock.advance(KEPT + Duration::from_mins(1));
    store.purge_deliveries().await.unwrap();
    assert_eq!(subjects(&store).await, [keys[2].to_string()], "the key that is kept goes on");
    store.close().await;
}

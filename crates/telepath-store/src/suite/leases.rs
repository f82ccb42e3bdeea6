//! Claims of deliveries: a lease belongs to one claim, expires, survives steps of the clock, and the limit of deliveries in
//! flight holds across all processes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use telepath_core::scope::ScopeSet;
use telepath_core::webhook::delivery::{DeliveryStatus, ErrorClass, Jitter};
use telepath_core::webhook::health::HealthTransition;
use telepath_core::webhook::{Webhook, WebhookPatch};

use super::deliveries::{came_of_it, claim, event, finish, next_lease, quota};
use super::webhooks::{disable, draft, enable, make};
use super::{Fixture, behaviour, execute};
use crate::delivery::claim::{ClaimedDelivery, DeliveryQuota, RunningDelivery};
use crate::sql::binds;
use crate::store::Store;

behaviour! {
    a_delivery_has_one_lease_at_a_time_and_an_expired_one_is_due_again,
    a_lease_identifies_the_claim_and_not_only_the_process,
    a_process_does_not_claim_what_it_is_still_sending_after_its_lease_expired,
    a_redelivery_during_an_attempt_keeps_the_lease_and_the_result,
    a_lease_from_before_the_clock_was_set_back_is_void,
    only_running_attempts_are_renewed,
    concurrent_senders_claim_each_delivery_once,
    concurrent_servers_together_stay_below_max_in_flight,
    an_overload_signal_slows_deliveries_on_all_servers,
    every_endpoint_is_read_in_turn,
    concurrent_results_redeliveries_and_changes_do_not_deadlock,
}

fn running(claimed: &ClaimedDelivery) -> RunningDelivery {
    RunningDelivery { id: claimed.id, lease: claimed.lease.clone() }
}

/// Claims as another process, which is sending these deliveries.
async fn claim_beside(
    store: &Store,
    webhook: &Webhook,
    sending: &[&ClaimedDelivery],
) -> Vec<ClaimedDelivery> {
    let running = sending.iter().map(|claimed| claimed.id).collect();
    let quotas = vec![DeliveryQuota { running, ..quota(webhook, 100) }];
    let ends = store.now().plus(Duration::from_mins(1));
    store.claim_deliveries(quotas, &next_lease("another"), ends).await.unwrap()
}

async fn a_delivery_has_one_lease_at_a_time_and_an_expired_one_is_due_again(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let webhook = make(&fixture, &store, account, draft("a")).await;
    event(&fixture, &store, account).await;
    let first = claim(&store, &webhook, 10).await.pop().unwrap();
    assert!(claim(&store, &webhook, 10).await.is_empty());
    fixture.clock.advance(Duration::from_secs(59));
    assert!(store.due_webhooks(None).await.unwrap().is_empty());
    fixture.clock.advance(Duration::from_secs(1));
    let second = claim_beside(&store, &webhook, &[]).await.pop().unwrap();
    assert_eq!((second.id, second.attempt, &second.body), (first.id, 1, &first.body));
    finish(&store, &first, Some(ErrorClass::Gone)).await;
    let record = store.get_delivery(account, first.id).await.unwrap().unwrap().record;
    assert_eq!((record.status, record.attempts), (DeliveryStatus::Pending, 0), "its lease had expired");
    fixture.clock.advance(Duration::from_secs(59));
    let later = store.now().plus(Duration::from_mins(1));
    assert_eq!(store.renew_deliveries(&[running(&first), running(&second)], later).await.unwrap(), 1);
    fixture.clock.advance(Duration::from_secs(59));
    assert!(store.due_webhooks(None).await.unwrap().is_empty(), "a renewed lease continues");
    assert_eq!(store.release_deliveries(&[running(&first)]).await.unwrap(), 0);
    assert_eq!(store.release_deliveries(&[running(&second)]).await.unwrap(), 1);
    let third = claim(&store, &webhook, 10).await;
    assert_eq!(third[0].id, first.id);
    assert_eq!(store.due_webhooks(None).await.unwrap(), []);
    store.close().await;
}

async fn a_lease_identifies_the_claim_and_not_only_the_process(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let webhook = make(&fixture, &store, account, draft("a")).await;
    event(&fixture, &store, account).await;
    let first = claim(&store, &webhook, 1).await.pop().unwrap();
    fixture.clock.advance(Duration::from_mins(1));
    let second = claim(&store, &webhook, 1).await.pop().unwrap();
    assert_eq!(second.id, first.id);
    finish(&store, &first, None).await;
    let record = store.get_delivery(account, first.id).await.unwrap().unwrap().record;
    assert_eq!(record.status, DeliveryStatus::Pending, "the first claim no longer holds");
    finish(&store, &second, None).await;
    let record = store.get_delivery(account, first.id).await.unwrap().unwrap().record;
    assert_eq!((record.status, record.attempts), (DeliveryStatus::Delivered, 1));
    store.close().await;
}

async fn a_process_does_not_claim_what_it_is_still_sending_after_its_lease_expired(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let webhook = make(&fixture, &store, account, draft("a")).await;
    for _ in 0..12 {
        event(&fixture, &store, account).await;
    }
    let sending = claim(&store, &webhook, 9).await;
    // The clock is set forward, or the database does not answer for a while.
    fixture.clock.advance(Duration::from_hours(1));
    let sending: Vec<_> = sending.iter().collect();
    let more = claim_beside(&store, &webhook, &sending).await;
    assert_eq!(more.len(), 1, "the nine that are being sent count against max_in_flight");
    assert!(sending.iter().all(|claimed| claimed.id != more[0].id));
    finish(&store, sending[0], None).await;
    let record = store.get_delivery(account, sending[0].id).await.unwrap().unwrap().record;
    assert_eq!(record.status, DeliveryStatus::Delivered, "nobody else claimed it");
    store.close().await;
}

async fn a_redelivery_during_an_attempt_keeps_the_lease_and_the_result(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let webhook = make(&fixture, &store, account, draft("a")).await;
    event(&fixture, &store, account).await;
    let failing = claim(&store, &webhook, 1).await.pop().unwrap();
    finish(&store, &failing, Some(ErrorClass::Connect)).await;
    fixture.clock.advance(Duration::from_secs(4));
    let sending = claim(&store, &webhook, 1).await.pop().unwrap();
    store.redeliver(account, sending.id, fixture.origin()).await.unwrap();
    assert!(claim(&store, &webhook, 1).await.is_empty(), "it is being sent");
    finish(&store, &sending, Some(ErrorClass::Connect)).await;
    let record = store.get_delivery(account, sending.id).await.unwrap().unwrap().record;
    let first_delay = store.now().plus(Duration::from_secs(4));
    assert_eq!((record.attempts, record.next_at), (2, Some(first_delay)), "the schedule restarted");
    fixture.clock.advance(Duration::from_secs(4));
    let again = claim(&store, &webhook, 1).await.pop().unwrap();
    store.redeliver(account, again.id, fixture.origin()).await.unwrap();
    finish(&store, &again, None).await;
    let record = store.get_delivery(account, again.id).await.unwrap().unwrap().record;
    assert_eq!(record.status, DeliveryStatus::Delivered, "a success is not forgotten");
    store.close().await;
}

async fn a_lease_from_before_the_clock_was_set_back_is_void(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let webhook = make(&fixture, &store, account, draft("a")).await;
    event(&fixture, &store, account).await;
    event(&fixture, &store, account).await;
    let fresh = claim(&store, &webhook, 1).await.pop().unwrap();
    let stale = claim(&store, &webhook, 1).await.pop().unwrap();
    let written_ahead = store.now().plus(Duration::from_hours(1));
    let values = binds![stale.id.to_string(), written_ahead];
    execute(&store, "UPDATE webhook_deliveries SET next_at = $2 WHERE id = $1", values).await;
    assert_eq!(store.release_distant_deliveries().await.unwrap(), 1);
    let claimed = claim(&store, &webhook, 10).await;
    assert_eq!(claimed.iter().map(|claimed| claimed.id).collect::<Vec<_>>(), [stale.id]);
    finish(&store, &fresh, None).await;
    let record = store.get_delivery(account, fresh.id).await.unwrap().unwrap().record;
    assert_eq!(record.status, DeliveryStatus::Delivered, "a lease of the usual length holds");
    store.close().await;
}

async fn only_running_attempts_are_renewed(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let webhook = make(&fixture, &store, account, draft("a")).await;
    for _ in 0..3 {
        event(&fixture, &store, account).await;
    }
    // The response to the first claim is lost, so nobody sends it.
    let lost = claim(&store, &webhook, 1).await.pop().unwrap();
    let sending = claim(&store, &webhook, 2).await;
    let leases: Vec<_> = sending.iter().map(running).collect();
    fixture.clock.advance(Duration::from_secs(30));
    store.renew_deliveries(&leases, store.now().plus(Duration::from_mins(1))).await.unwrap();
    fixture.clock.advance(Duration::from_secs(30));
    let claimed = claim(&store, &webhook, 10).await;
    assert_eq!(claimed.iter().map(|claimed| claimed.id).collect::<Vec<_>>(), [lost.id]);
    store.close().await;
}

async fn concurrent_senders_claim_each_delivery_once(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let mut new = draft("a");
    new.max_in_flight = 100;
    let webhook = make(&fixture, &store, account, new).await;
    join_all((0..60).map(|_| event(&fixture, &store, account))).await;
    let due = store.due_webhooks(None).await.unwrap();
    assert_eq!((due[0].in_flight, due[0].allowed), (0, 100));
    let taken = join_all((0..12).map(|_| claim(&store, &webhook, 7))).await;
    let ids: Vec<_> = taken.iter().flatten().map(|claimed| claimed.id).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "no delivery was claimed twice");
    // Processes that claim at the same moment may leave some for the next claim.
    let rest: Vec<_> = claim(&store, &webhook, 60).await.into_iter().map(|claimed| claimed.id).collect();
    assert_eq!(ids.len() + rest.len(), 60);
    store.close().await;
}

async fn concurrent_servers_together_stay_below_max_in_flight(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let webhook = make(&fixture, &store, account, draft("a")).await;
    join_all((0..60).map(|_| event(&fixture, &store, account))).await;
    let mut sending = Vec::new();
    // All read the same numbers before any of them claims.
    for _ in 0..3 {
        let taken = join_all((0..8).map(|_| claim(&store, &webhook, 10))).await;
        sending.extend(taken.into_iter().flatten());
        assert!(sending.len() <= 10, "{} are in flight at once", sending.len());
    }
    sending.extend(claim(&store, &webhook, 10).await);
    assert_eq!(sending.len(), 10);
    for claimed in sending.drain(..3) {
        finish(&store, &claimed, None).await;
    }
    assert_eq!(claim(&store, &webhook, 10).await.len(), 3);
    let lowered = WebhookPatch { max_in_flight: Some(4), ..WebhookPatch::default() };
    store.update_webhook(account, webhook.id, lowered, ScopeSet::all(), fixture.origin()).await.unwrap();
    finish(&store, &sending.pop().unwrap(), None).await;
    assert_eq!(claim(&store, &webhook, 10).await.len(), 0, "nine are in flight, and four allowed");
    store.close().await;
}

async fn an_overload_signal_slows_deliveries_on_all_servers(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let webhook = make(&fixture, &store, account, draft("a")).await;
    join_all((0..30).map(|_| event(&fixture, &store, account))).await;
    let sending = claim(&store, &webhook, 1).await.pop().unwrap();
    finish(&store, &sending, Some(ErrorClass::TooMany)).await;
    assert_eq!(store.due_webhooks(None).await.unwrap()[0].allowed, 0, "a pause");
    assert!(claim_beside(&store, &webhook, &[]).await.is_empty());
    fixture.clock.advance(Duration::from_millis(250));
    let half = claim_beside(&store, &webhook, &[]).await;
    assert_eq!(half.len(), 5);
    for claimed in &half {
        finish(&store, claimed, None).await;
    }
    assert_eq!(claim(&store, &webhook, 100).await.len(), 10, "each success raises the limit by one");
    for patch in [disable(), enable()] {
        store.update_webhook(account, webhook.id, patch, ScopeSet::all(), fixture.origin()).await.unwrap();
    }
    let shown = store.get_webhook(account, webhook.id).await.unwrap().unwrap();
    assert!(shown.limit.is_full());
    store.close().await;
}

async fn every_endpoint_is_read_in_turn(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let mut ids = Vec::new();
    for path in ["a", "b", "c"] {
        ids.push(make(&fixture, &store, account, draft(path)).await.id);
    }
    ids.sort();
    event(&fixture, &store, account).await;
    let read = async |after| {
        let due = store.due_webhooks(after).await.unwrap();
        due.into_iter().map(|webhook| webhook.id).collect::<Vec<_>>()
    };
    assert_eq!(read(None).await, ids);
    assert_eq!(read(Some(ids[0])).await, [ids[1], ids[2], ids[0]]);
    assert_eq!(read(Some(ids[2])).await, ids);
    store.close().await;
}

/// Every transaction that changes an endpoint and its deliveries locks the endpoint first.
async fn concurrent_results_redeliveries_and_changes_do_not_deadlock(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let mut new = draft("a");
    new.max_in_flight = 100;
    let webhook = make(&fixture, &store, account, new).await;
    join_all((0..20).map(|_| event(&fixture, &store, account))).await;
    for round in 0..10 {
        fixture.clock.advance(Duration::from_hours(48));
        let sending = claim(&store, &webhook, 100).await;
        let results = sending.iter().enumerate().map(async |(place, claimed)| {
            // Timeouts would pause the endpoint, and days without a success would disable it.
            let error = (place % 2 == 1).then_some(ErrorClass::Connect);
            let result = store.finish_attempt(claimed, came_of_it(error), Jitter(0)).await;
            assert!(matches!(result, Ok(HealthTransition::None | HealthTransition::Warn)), "{result:?}");
        });
        let redeliveries = sending.iter().map(async |claimed| {
            store.redeliver(account, claimed.id, fixture.origin()).await.unwrap();
        });
        let others = async {
            store.recover_deliveries(account, webhook.id, super::NOON, fixture.origin()).await.unwrap();
            let patch = WebhookPatch { max_in_flight: Some(50 + round), ..WebhookPatch::default() };
            store
                .update_webhook(account, webhook.id, patch, ScopeSet::all(), fixture.origin())
                .await
                .unwrap();
            store.purge_deliveries().await.unwrap();
        };
        tokio::join!(join_all(results), join_all(redeliveries), others);
    }
    store.close().await;
}

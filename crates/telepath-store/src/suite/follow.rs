//! Readers that follow events, alerts and deliveries see each once, in order.

use std::sync::Arc;
use std::time::Duration;

use telepath_core::event::EventKind;
use telepath_core::id::{AlertId, DeliveryId, EventId, Id as _};
use telepath_core::ports::CallControl as _;
use telepath_core::reach::{Reach, TrunkAccess};
use telepath_core::webhook::EventFilter;
use telepath_core::webhook::delivery::{DeliveryStatus, ErrorClass};

use super::alerts::{raised, spike};
use super::calls::start;
use super::deliveries::{claim, event, finish};
use super::webhooks::{draft, make};
use super::{Fixture, NOON, behaviour, new_key, trunks};
use crate::AttemptedDelivery;

behaviour! {
    events_of_calls_are_followed_in_order_within_reach,
    alerts_are_followed_in_order,
    attempted_deliveries_are_followed_in_order_within_reach,
    what_is_not_settled_is_not_shown_yet,
}

const SETTLED: Duration = Duration::from_secs(3);

async fn events_of_calls_are_followed_in_order_within_reach(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let mine = trunks::make(&fixture, &store, account, "mine").await.trunk.id;
    let other = trunks::make(&fixture, &store, account, "other").await.trunk.id;
    for trunk in [mine, other, mine] {
        fixture.clock.advance(Duration::from_millis(5));
        store.call_started(&start(&store, account, trunk)).await.unwrap();
    }
    fixture.key(&store, account, new_key("not a call")).await;
    fixture.clock.advance(SETTLED);
    let limited = Reach { account, trunks: TrunkAccess::of(vec![mine]) };
    let mut seen = Vec::new();
    let mut after = EventId::first_of(NOON);
    loop {
        let events = store.call_events_after(account, after, 2).await.unwrap();
        let Some(last) = events.last() else { break };
        after = last.id;
        seen.extend(events);
    }
    assert_eq!(seen.len(), 3);
    assert!(seen.is_sorted_by_key(|event| event.id));
    assert!(seen.iter().all(|event| event.kind == EventKind::CallStarted));
    assert!(seen[1].payload.contains(&other.to_string()), "{}", seen[1].payload);
    let within = store.call_events_after(limited, EventId::first_of(NOON), 10).await.unwrap();
    assert_eq!(within, [seen[0].clone(), seen[2].clone()]);
    let foreign = fixture.other_account(&store).await;
    assert_eq!(store.call_events_after(foreign, EventId::first_of(NOON), 10).await.unwrap(), []);
    store.close().await;
}

async fn alerts_are_followed_in_order(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let key = fixture.key(&store, account, new_key("one")).await.0.record.id;
    for occasion in ["a", "b", "c"] {
        fixture.clock.advance(Duration::from_millis(5));
        assert!(raised(&store, account, spike(key).on(occasion.to_owned())).await);
    }
    fixture.clock.advance(SETTLED);
    let first = store.alerts_after(account, AlertId::first_of(NOON), 2).await.unwrap();
    let rest = store.alerts_after(account, first[1].id, 2).await.unwrap();
    assert_eq!((first.len(), rest.len()), (2, 1));
    assert!(first[0].id < first[1].id && first[1].id < rest[0].id);
    store.close().await;
}

async fn attempted_deliveries_are_followed_in_order_within_reach(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let trunk = trunks::make(&fixture, &store, account, "mine").await.trunk.id;
    let all = make(&fixture, &store, account, draft("all")).await;
    let mut of_trunk = draft("trunk");
    of_trunk.subscription.trunks = vec![trunk];
    of_trunk.subscription.events = EventFilter::of(&[EventKind::CallStarted]);
    let of_trunk = make(&fixture, &store, account, of_trunk).await;
    event(&fixture, &store, account).await;
    store.call_started(&start(&store, account, trunk)).await.unwrap();
    let start_of = AttemptedDelivery { at: NOON, id: DeliveryId::first_of(NOON) };
    let follow = async |after, limit| store.attempted_deliveries_after(account, after, limit).await.unwrap();
    fixture.clock.advance(SETTLED);
    assert_eq!(follow(start_of, 10).await, [], "none was attempted");
    let claimed = claim(&store, &all, 2).await;
    finish(&store, &claimed[0], Some(ErrorClass::ServerError)).await;
    finish(&store, &claimed[1], None).await;
    let mine = claim(&store, &of_trunk, 1).await;
    finish(&store, &mine[0], None).await;
    assert_eq!(follow(start_of, 10).await, [], "none is settled");
    fixture.clock.advance(SETTLED);
    let first = follow(start_of, 2).await;
    let rest = follow(first[1].0, 2).await;
    assert_eq!((first.len(), rest.len()), (2, 1), "attempts that end at the same time are read once each");
    let failed = first.iter().chain(&rest).filter(|(_, record)| record.status == DeliveryStatus::Pending);
    assert_eq!(failed.map(|(_, record)| record.id).collect::<Vec<_>>(), [claimed[0].id]);
    let again = claim(&store, &all, 2).await;
    assert_eq!(again.len(), 0, "the retry is not due");
    fixture.clock.advance(SETTLED * 3);
    let again = claim(&store, &all, 2).await;
    finish(&store, &again[0], None).await;
    fixture.clock.advance(SETTLED);
    let moved = follow(rest[0].0, 10).await;
    assert_eq!(moved.len(), 1);
    assert_eq!((moved[0].1.id, moved[0].1.attempt_records.len()), (claimed[0].id, 2));
    let limited = Reach { account, trunks: TrunkAccess::of(vec![trunk]) };
    let within = store.attempted_deliveries_after(limited, start_of, 10).await.unwrap();
    assert_eq!(within.iter().map(|(_, record)| record.id).collect::<Vec<_>>(), [mine[0].id]);
    let foreign = fixture.other_account(&store).await;
    assert_eq!(store.attempted_deliveries_after(foreign, start_of, 10).await.unwrap(), []);
    store.close().await;
}

async fn what_is_not_settled_is_not_shown_yet(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let trunk = trunks::make(&fixture, &store, account, "late").await.trunk.id;
    store.call_started(&start(&store, account, trunk)).await.unwrap();
    let first = EventId::first_of(NOON);
    assert_eq!(store.call_events_after(account, first, 10).await.unwrap(), []);
    fixture.clock.advance(SETTLED);
    assert_eq!(store.call_events_after(account, first, 10).await.unwrap().len(), 1);
    store.close().await;
}

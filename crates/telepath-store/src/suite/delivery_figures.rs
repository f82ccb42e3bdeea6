//! How deliveries went, by endpoint.

use std::sync::Arc;
use std::time::Duration;

use telepath_core::webhook::delivery::ErrorClass;

use super::deliveries::{claim, event, finish};
use super::webhooks::{draft, make};
use super::{Fixture, behaviour};
use crate::delivery::figures::{AttemptedHour, EndpointFigures};

behaviour! {
    deliveries_of_the_last_day_are_counted_by_endpoint_and_hour,
    the_wait_of_a_delivery_lasts_from_its_event_to_its_success,
}

async fn deliveries_of_the_last_day_are_counted_by_endpoint_and_hour(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let one = make(&fixture, &store, account, draft("one")).await;
    let other = make(&fixture, &store, account, draft("other")).await;
    let figures = async || store.delivery_figures(account, None).await.unwrap();
    assert_eq!(figures().await.of(one.id).total(), AttemptedHour::default());
    for error in [None, Some(ErrorClass::ServerError)] {
        event(&fixture, &store, account).await;
        fixture.clock.advance(Duration::from_secs(3));
        assert_eq!(
            figures().await.of(one.id).waiting_since,
            Some(store.clock().now().minus(Duration::from_secs(3)))
        );
        let claimed = claim(&store, &one, 1).await;
        assert_eq!(figures().await.of(one.id).waiting_since, None, "its attempt is running");
        finish(&store, &claimed[0], error).await;
        fixture.clock.advance(Duration::from_hours(1));
    }
    let all = figures().await;
    let counted = all.of(one.id);
    assert_eq!(counted.total(), AttemptedHour { delivered: 1, failed: 1 });
    assert_eq!((counted.hours[21].delivered, counted.hours[23].failed), (1, 1), "{:?}", counted.hours);
    assert_eq!((counted.exhausted, all.is_partial), (0, false), "the failed one is tried again");
    assert_eq!(all.of(other.id).total(), AttemptedHour::default());
    let alone = store.delivery_figures(account, Some(other.id)).await.unwrap();
    assert_eq!(alone.of(one.id), EndpointFigures::default(), "only the other endpoint was asked for");
    assert!(alone.of(other.id).waiting_since.is_some());
    fixture.clock.advance(Duration::from_hours(24));
    assert_eq!(figures().await.of(one.id).total(), AttemptedHour::default(), "a day later");
    store.close().await;
}

async fn the_wait_of_a_delivery_lasts_from_its_event_to_its_success(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let webhook = make(&fixture, &store, account, draft("one")).await;
    let lag =
        async |percent| store.delivery_figures(account, None).await.unwrap().of(webhook.id).lag(percent);
    assert_eq!(lag(50).await, None);
    for seconds in [5, 1, 9] {
        event(&fixture, &store, account).await;
        fixture.clock.advance(Duration::from_secs(seconds));
        for claimed in claim(&store, &webhook, 1).await {
            finish(&store, &claimed, None).await;
        }
    }
    assert_eq!((lag(50).await, lag(95).await), (Some(Duration::from_secs(5)), Some(Duration::from_secs(9))));
    assert_eq!(lag(0).await, Some(Duration::from_secs(1)), "the shortest");
    store.close().await;
}

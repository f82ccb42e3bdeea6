//! Figures about the database.

use std::sync::Arc;
use std::time::Duration;

use super::deliveries::{claim, finish};
use super::webhooks::{disable, draft, make};
use super::{Fixture, behaviour, new_key};

behaviour! {
    the_age_of_the_oldest_due_delivery_grows_until_it_is_attempted,
}

async fn the_age_of_the_oldest_due_delivery_grows_until_it_is_attempted(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let oldest = async || store.storage_stats().await.unwrap().oldest_due_delivery;
    assert!(store.storage_stats().await.unwrap().database_bytes > 4096);
    assert_eq!(oldest().await, Duration::ZERO, "there is no endpoint");
    let webhook = make(&fixture, &store, account, draft("all")).await;
    assert_eq!(oldest().await, Duration::ZERO, "nothing is due");
    store.create_key(account, new_key("an event"), fixture.origin()).await.unwrap();
    fixture.clock.advance(Duration::from_secs(5));
    store.create_key(account, new_key("a later event"), fixture.origin()).await.unwrap();
    fixture.clock.advance(Duration::from_secs(2));
    assert_eq!(oldest().await, Duration::from_secs(7));

    let claimed = claim(&store, &webhook, 2).await;
    assert_eq!((claimed.len(), oldest().await), (2, Duration::ZERO), "both are being sent");
    for delivery in &claimed {
        finish(&store, delivery, None).await;
    }
    fixture.clock.advance(Duration::from_mins(2));
    assert_eq!(oldest().await, Duration::ZERO, "both are delivered");

    store.create_key(account, new_key("one more"), fixture.origin()).await.unwrap();
    fixture.clock.advance(Duration::from_secs(1));
    assert_eq!(oldest().await, Duration::from_secs(1));
    store
        .update_webhook(
            account,
            webhook.id,
            disable(),
            telepath_core::scope::ScopeSet::all(),
            fixture.origin(),
        )
        .await
        .unwrap();
    assert_eq!(oldest().await, Duration::ZERO, "a disabled endpoint has no due deliveries");
    store.close().await;
}

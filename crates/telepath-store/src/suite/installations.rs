//! What the page about the system shows of the database.

use std::sync::Arc;
use std::time::Duration;

use super::{Fixture, answered, behaviour, new_key};
use crate::retention::Retention;

behaviour! {
    the_installation_names_its_database_and_the_oldest_request_that_is_kept,
}

async fn the_installation_names_its_database_and_the_oldest_request_that_is_kept(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let fresh = store.installation().await.unwrap();
    let (product, version) = fresh.database.split_once(' ').unwrap();
    assert!(["SQLite", "PostgreSQL"].contains(&product), "{product}");
    assert!(version.starts_with(|first: char| first.is_ascii_digit()), "{version}");
    assert!(fresh.database_bytes > 4096);
    assert_eq!(fresh.oldest_request, None);
    assert!(fresh.nodes.iter().all(|node| node.is_self && node.changes_behind == 0), "{:?}", fresh.nodes);

    let (created, hash) = fixture.key(&store, account, new_key("k")).await;
    let first = store.clock().now();
    for _ in 0..2 {
        store.requests().record(&answered(&store, account, created.record.id, &hash));
        store.flush_usage().await.unwrap();
        store.roll_up_usage().await.unwrap();
        fixture.clock.advance(Duration::from_hours(24));
    }
    let oldest = async || store.installation().await.unwrap().oldest_request;
    assert_eq!(oldest().await, Some(first));
    let keep = Retention { age: Duration::from_hours(36), ..Retention::default() };
    store.expire_usage(keep).await.unwrap();
    assert_eq!(oldest().await, Some(first.plus(Duration::from_hours(24))), "the first one has expired");
    store.close().await;
}

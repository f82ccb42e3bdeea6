//! Grace periods while the wall clock is wrong: a secret that was replaced works for as long as was asked for, and no longer.

use std::sync::Arc;

use telepath_core::clock::Clock as _;
use telepath_core::id::AccountId;
use telepath_core::key::GraceSeconds;
use telepath_core::secret::HashedKey;

use super::clock_steps::{AHEAD, HOUR, MINUTE, YEARS, correct, real_time, set_ahead};
use super::deliveries::{claim, event, finish};
use super::{Fixture, admit, behaviour, new_key, webhooks};
use crate::key_table::Admission;
use crate::store::Store;

behaviour! {
    a_grace_period_that_was_granted_ahead_lasts_as_long_as_was_asked_for,
    a_restart_does_not_prolong_a_grace_period_that_was_granted_ahead,
    a_clock_that_is_set_back_does_not_prolong_a_grace_period,
    a_clock_that_is_ahead_for_a_moment_does_not_end_a_grace_period,
    an_old_webhook_secret_that_was_replaced_ahead_signs_for_its_grace_period,
}

/// Rotates a key with an hour of grace; returns its old secret.
async fn rotated(fixture: &Fixture, store: &Store, account: AccountId) -> HashedKey {
    let (created, old) = fixture.key(store, account, new_key("one")).await;
    let hour = GraceSeconds::new(3600).unwrap();
    store.rotate_key(account, created.record.id, hour, fixture.origin()).await.unwrap();
    old
}

fn is_admitted(fixture: &Fixture, store: &Store, hash: &HashedKey) -> bool {
    let Some(handle) = store.keys().find(hash) else { return false };
    let admission = admit(store, &handle, hash, "192.0.2.1".parse().unwrap(), fixture.clock.read());
    matches!(admission, Admission::Admitted { .. })
}

async fn a_grace_period_that_was_granted_ahead_lasts_as_long_as_was_asked_for(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    for by in [HOUR * 3, AHEAD[0], AHEAD[1]] {
        set_ahead(&fixture, by);
        let old = rotated(&fixture, &store, account).await;
        fixture.clock.advance(MINUTE * 30);
        correct(&fixture);
        store.correct_grace_periods().await.unwrap();
        assert!(is_admitted(&fixture, &store, &old), "{by:?} ahead");
        fixture.clock.advance(MINUTE * 29);
        assert!(is_admitted(&fixture, &store, &old), "{by:?} ahead");
        fixture.clock.advance(MINUTE);
        assert!(!is_admitted(&fixture, &store, &old), "{by:?} ahead");
    }
    store.close().await;
}

async fn a_restart_does_not_prolong_a_grace_period_that_was_granted_ahead(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    set_ahead(&fixture, HOUR * 3);
    let old = rotated(&fixture, &store, account).await;
    fixture.clock.advance(MINUTE * 30);
    correct(&fixture);
    assert_eq!(store.correct_grace_periods().await.unwrap(), 1);
    assert_eq!(store.correct_grace_periods().await.unwrap(), 0);
    store.close().await;
    let store = fixture.open().await;
    fixture.clock.advance(MINUTE * 29);
    assert!(is_admitted(&fixture, &store, &old));
    store.close().await;
    fixture.clock.advance(MINUTE);
    for hours in 0..6 {
        let store = fixture.open().await;
        assert!(!is_admitted(&fixture, &store, &old), "after {hours} hours");
        store.close().await;
        fixture.clock.advance(HOUR);
    }
}

async fn a_clock_that_is_set_back_does_not_prolong_a_grace_period(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let old = rotated(&fixture, &store, account).await;
    for minute in 0..60 {
        // Set back again and again.
        fixture.clock.set_wall(real_time(&fixture).minus(HOUR * (minute % 7)));
        store.correct_grace_periods().await.unwrap();
        assert!(is_admitted(&fixture, &store, &old), "after {minute} minutes");
        fixture.clock.advance(MINUTE);
    }
    assert!(!is_admitted(&fixture, &store, &old));
    store.close().await;
}

async fn a_clock_that_is_ahead_for_a_moment_does_not_end_a_grace_period(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let old = rotated(&fixture, &store, account).await;
    set_ahead(&fixture, YEARS);
    store.correct_grace_periods().await.unwrap();
    correct(&fixture);
    assert!(is_admitted(&fixture, &store, &old));
    store.close().await;
    // A server that starts while the clock is ahead, too.
    set_ahead(&fixture, YEARS);
    let store = fixture.open().await;
    store.correct_grace_periods().await.unwrap();
    correct(&fixture);
    assert!(is_admitted(&fixture, &store, &old));
    store.close().await;
}

async fn an_old_webhook_secret_that_was_replaced_ahead_signs_for_its_grace_period(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let webhook = webhooks::make(&fixture, &store, account, webhooks::draft("a")).await;
    set_ahead(&fixture, YEARS);
    store.rotate_webhook_secret(account, webhook.id, 3600, fixture.origin()).await.unwrap();
    correct(&fixture);
    assert_eq!(store.correct_grace_periods().await.unwrap(), 1);
    event(&fixture, &store, account).await;
    let signs_with = async || {
        let claimed = claim(&store, &webhook, 1).await.pop().unwrap();
        let secrets = claimed.target.secrets.len();
        finish(&store, &claimed, None).await;
        secrets
    };
    assert_eq!(signs_with().await, 2);
    fixture.clock.advance(HOUR);
    event(&fixture, &store, account).await;
    assert_eq!(signs_with().await, 1);
    store.close().await;
}

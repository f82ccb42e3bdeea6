//! Windows in memory: whatever happens to the wall clock, and across restarts.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use telepath_core::clock::{Clock as _, Timestamp};
use telepath_core::key::NewKey;
use telepath_core::limit::{Take, WindowState};
use telepath_core::secret::HashedKey;

use super::{Fixture, behaviour, limit, new_key, select};
use crate::key_table::Admission;
use crate::store::Store;

behaviour! {
    a_clean_stop_keeps_the_counts_of_windows,
    a_kill_loses_only_what_was_counted_after_the_last_write,
    a_window_ends_while_the_server_is_stopped,
    a_clock_set_back_between_two_runs_lengthens_no_window_beyond_a_minute,
    steps_of_the_wall_clock_change_no_window_of_a_key_or_an_address,
    an_expired_key_stays_refused_when_the_clock_is_corrected_until_a_restart,
    written_windows_are_bounded,
}

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
const LIMIT: u32 = 4;

async fn open_with_key(fixture: &Fixture) -> (Arc<Store>, HashedKey) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let new = NewKey { rate_limit: limit(LIMIT), ..new_key("counted") };
    let (_, hash) = fixture.key(&store, account, new).await;
    (store, hash)
}

fn admit(store: &Store, hash: &HashedKey) -> Admission {
    let handle = store.keys().find(hash).unwrap();
    super::admit(store, &handle, hash, ADDRESS, store.clock().read())
}

/// Requests left after this one.
fn remaining(store: &Store, hash: &HashedKey) -> Option<u32> {
    match admit(store, hash) {
        Admission::Admitted { window, .. } => Some(window.remaining),
        Admission::Limited { .. } => None,
        other @ (Admission::WrongAddress
        | Admission::Unusable
        | Admission::InDoubt
        | Admission::NoLease
        | Admission::LimiterUnavailable) => panic!("{other:?}"),
    }
}

fn use_up(store: &Store, hash: &HashedKey) -> WindowState {
    loop {
        if let Admission::Limited { window } = admit(store, hash) {
            return window;
        }
    }
}

/// Moves to the beginning of the key's next window.
fn begin_window(fixture: &Fixture, store: &Store, hash: &HashedKey) {
    let left = use_up(store, hash).seconds_until_reset();
    fixture.clock.advance(Duration::from_secs(left));
}

async fn a_clean_stop_keeps_the_counts_of_windows(fixture: Arc<Fixture>) {
    let (store, hash) = open_with_key(&fixture).await;
    begin_window(&fixture, &store, &hash);
    let window = use_up(&store, &hash);
    store.close().await;
    fixture.clock.advance(Duration::from_secs(5));
    let store = fixture.open().await;
    assert_eq!(remaining(&store, &hash), None);
    // Nothing was counted in this run.
    store.close().await;
    fixture.clock.advance(Duration::from_secs(5));
    let store = fixture.open().await;
    let continued = use_up(&store, &hash);
    assert_eq!(continued.seconds_until_reset(), window.seconds_until_reset() - 10);
    fixture.clock.advance(Duration::from_secs(continued.seconds_until_reset()));
    assert_eq!(remaining(&store, &hash), Some(LIMIT - 1));
    store.close().await;
}

async fn a_kill_loses_only_what_was_counted_after_the_last_write(fixture: Arc<Fixture>) {
    let (store, hash) = open_with_key(&fixture).await;
    begin_window(&fixture, &store, &hash);
    assert_eq!([remaining(&store, &hash), remaining(&store, &hash)], [Some(3), Some(2)]);
    store.flush_usage().await.unwrap();
    assert_eq!(remaining(&store, &hash), Some(1));
    // As in a kill, nothing more is written.
    store.cluster.isolate().await;
    store.backend.close().await;
    drop(store);
    let store = fixture.open().await;
    assert_eq!(remaining(&store, &hash), Some(1));
    store.close().await;
}

async fn a_window_ends_while_the_server_is_stopped(fixture: Arc<Fixture>) {
    let (store, hash) = open_with_key(&fixture).await;
    let left = use_up(&store, &hash).seconds_until_reset();
    store.close().await;
    fixture.clock.advance(Duration::from_secs(left));
    let store = fixture.open().await;
    assert_eq!(remaining(&store, &hash), Some(LIMIT - 1));
    store.close().await;
}

async fn a_clock_set_back_between_two_runs_lengthens_no_window_beyond_a_minute(fixture: Arc<Fixture>) {
    let (store, hash) = open_with_key(&fixture).await;
    begin_window(&fixture, &store, &hash);
    let left = use_up(&store, &hash).seconds_until_reset();
    store.close().await;
    fixture.clock.set_wall(fixture.clock.now().minus(Duration::from_hours(24)));
    let store = fixture.open().await;
    let window = use_up(&store, &hash);
    assert_eq!(window.seconds_until_reset(), left);
    assert_eq!(window.reset_at(store.now()) - store.now().unix_seconds(), i64::try_from(left).unwrap());
    store.close().await;
}

async fn steps_of_the_wall_clock_change_no_window_of_a_key_or_an_address(fixture: Arc<Fixture>) {
    let (store, hash) = open_with_key(&fixture).await;
    let take = || store.addresses().take(ADDRESS, store.clock().steady());
    for step_seconds in [-3600, -600, 90_000, -86_400, 40 * 365 * 86_400] {
        begin_window(&fixture, &store, &hash);
        let left = use_up(&store, &hash).seconds_until_reset();
        let address_window = loop {
            if let Take::Full(window) = take() {
                break window;
            }
        };
        let wall = Timestamp::from_unix_ms(fixture.clock.now().unix_ms() + step_seconds * 1000);
        fixture.clock.set_wall(wall);
        let window = use_up(&store, &hash);
        assert_eq!(window.seconds_until_reset(), left, "step of {step_seconds} s");
        assert_eq!(window.reset_at(wall) - wall.unix_seconds(), i64::try_from(left).unwrap());
        assert!(matches!(take(), Take::Full(window) if window == address_window), "step of {step_seconds} s");
        fixture.clock.advance(Duration::from_secs(left));
        assert_eq!(remaining(&store, &hash), Some(LIMIT - 1), "step of {step_seconds} s");
        fixture.clock.advance(Duration::from_secs(address_window.seconds_until_reset()));
        assert!(matches!(take(), Take::Admitted(_)), "step of {step_seconds} s");
    }
    store.close().await;
}

async fn an_expired_key_stays_refused_when_the_clock_is_corrected_until_a_restart(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let truth = fixture.clock.now();
    let new = NewKey { expires_at: Some(truth.plus(Duration::from_hours(1))), ..new_key("short") };
    let (_, hash) = fixture.key(&store, account, new).await;
    fixture.clock.set_wall(truth.plus(Duration::from_hours(30 * 365 * 24)));
    assert_eq!(admit(&store, &hash), Admission::Unusable);
    store.flush_usage().await.unwrap();
    fixture.clock.set_wall(truth);
    assert_eq!(admit(&store, &hash), Admission::Unusable, "what was refused as expired stays refused");
    store.close().await;
    let store = fixture.open().await;
    assert!(matches!(admit(&store, &hash), Admission::Admitted { .. }), "the jump was not written anywhere");
    store.close().await;
}

async fn written_windows_are_bounded(fixture: Arc<Fixture>) {
    let (store, hash) = open_with_key(&fixture).await;
    for _ in 0..200 {
        assert_eq!(remaining(&store, &hash), Some(LIMIT - 1));
        store.flush_usage().await.unwrap();
        fixture.clock.advance(Duration::from_mins(1));
    }
    let rows = select(&store, "SELECT id FROM rate_windows", vec![]).await.len();
    assert!(rows <= 4, "{rows} rows");
    store.close().await;
}

//! The key table under concurrency: a revoked right is never admitted, and windows are exact.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use telepath_core::clock::Timestamp;
use telepath_core::key::{GraceSeconds, KeyPatch, NewKey};

use super::{Fixture, NOON, admit, behaviour, limit, new_key, reading};
use crate::key_table::Admission;
use crate::store::Store;

behaviour! {
    a_key_is_refused_once_its_revocation_returns,
    an_old_secret_is_refused_once_rotation_without_grace_returns,
    concurrent_requests_are_admitted_exactly_up_to_the_limit,
    changing_the_limit_keeps_the_count,
    a_change_is_applied_even_if_its_caller_is_cancelled,
    a_key_in_doubt_is_refused_until_resolved,
    a_request_from_a_disallowed_address_is_not_counted,
}

const ADDRESS: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

/// A way to withdraw a secret.
#[derive(Clone, Copy)]
enum Withdrawal {
    Revocation,
    Rotation,
}

/// Sends requests with keys of one secret each while the secret is withdrawn.
async fn race(fixture: Arc<Fixture>, withdrawal: Withdrawal) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    for _ in 0..5 {
        let new = NewKey { rate_limit: limit(u32::MAX), ..new_key("hammered") };
        let (created, hash) = fixture.key(&store, account, new).await;
        let handle = store.keys().find(&hash).unwrap();
        let withdrawn = Arc::new(AtomicBool::new(false));
        let admitted = Arc::new(AtomicU32::new(0));
        let begun = Arc::new(Barrier::new(5));
        let hammer = |at: Timestamp| {
            let begun = Arc::clone(&begun);
            let (keys, handle) = (store.keys().clone(), handle.clone());
            let (withdrawn, admitted) = (Arc::clone(&withdrawn), Arc::clone(&admitted));
            std::thread::spawn(move || {
                let mut refused_after = 0;
                begun.wait();
                while refused_after < 100 {
                    let after = withdrawn.load(Ordering::SeqCst);
                    let admission = keys.admit(&handle, &hash, ADDRESS, reading(at));
                    if matches!(admission, Admission::Admitted { .. }) {
                        assert!(!after, "admitted by a revoked right");
                        admitted.fetch_add(1, Ordering::SeqCst);
                    } else if after {
                        refused_after += 1;
                    }
                }
            })
        };
        // Some requests arrived before the change began and are decided after it.
        let early = NOON.minus(Duration::from_secs(3));
        let threads: Vec<_> = [NOON, early, NOON, early].into_iter().map(hammer).collect();
        tokio::task::block_in_place(|| begun.wait());
        while admitted.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        let (id, origin) = (created.record.id, fixture.origin());
        match withdrawal {
            Withdrawal::Revocation => drop(store.revoke_key(account, id, None, origin).await.unwrap()),
            Withdrawal::Rotation => {
                drop(store.rotate_key(account, id, GraceSeconds::NONE, origin).await.unwrap());
            }
        }
        withdrawn.store(true, Ordering::SeqCst);
        for thread in threads {
            thread.join().unwrap();
        }
    }
    store.close().await;
}

async fn a_key_is_refused_once_its_revocation_returns(fixture: Arc<Fixture>) {
    race(fixture, Withdrawal::Revocation).await;
}

async fn an_old_secret_is_refused_once_rotation_without_grace_returns(fixture: Arc<Fixture>) {
    race(fixture, Withdrawal::Rotation).await;
}

async fn concurrent_requests_are_admitted_exactly_up_to_the_limit(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let new = NewKey { rate_limit: limit(100), ..new_key("limited") };
    let (_, hash) = fixture.key(&store, account, new).await;
    let admitted = Arc::new(AtomicU32::new(0));
    let threads: Vec<_> = (0..16)
        .map(|_| {
            let (keys, admitted) = (store.keys().clone(), Arc::clone(&admitted));
            std::thread::spawn(move || {
                for _ in 0..200 {
                    let admission = keys.admit(&keys.find(&hash).unwrap(), &hash, ADDRESS, reading(NOON));
                    if matches!(admission, Admission::Admitted { .. }) {
                        admitted.fetch_add(1, Ordering::SeqCst);
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(admitted.load(Ordering::SeqCst), 100);
    store.close().await;
}

async fn changing_the_limit_keeps_the_count(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (created, hash) = fixture.key(&store, account, NewKey { rate_limit: limit(3), ..new_key("k") }).await;
    let handle = store.keys().find(&hash).unwrap();
    for _ in 0..3 {
        assert!(matches!(admit(&store, &handle, &hash, ADDRESS, reading(NOON)), Admission::Admitted { .. }));
    }
    let raise = KeyPatch { rate_limit: Some(limit(5)), ..KeyPatch::default() };
    store.update_key(account, created.record.id, raise, fixture.origin()).await.unwrap();
    let Admission::Admitted { window, .. } = admit(&store, &handle, &hash, ADDRESS, reading(NOON)) else {
        panic!("the raised limit has room");
    };
    assert_eq!((window.limit, window.remaining), (limit(5), 1));
    store.close().await;
}

async fn a_change_is_applied_even_if_its_caller_is_cancelled(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (created, hash) = fixture.key(&store, account, new_key("dropped")).await;
    let handle = store.keys().find(&hash).unwrap();
    {
        let revoking = store.revoke_key(account, created.record.id, None, fixture.origin());
        // Polled once and then dropped, like a request whose client disconnects.
        let answered = tokio::select! {
            biased;
            _ = revoking => true,
            () = std::future::ready(()) => false,
        };
        assert!(!answered, "the change completed before the caller was dropped");
    }
    let applied = async {
        while admit(&store, &handle, &hash, ADDRESS, reading(NOON)) != Admission::Unusable {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), applied).await.expect("the change is in the table");
    let stored = store.get_key(account, created.record.id).await.unwrap().unwrap();
    assert!(stored.revocation.is_some());
    store.close().await;
}

async fn a_key_in_doubt_is_refused_until_resolved(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let (created, hash) = fixture.key(&store, account, new_key("doubted")).await;
    let handle = store.keys().find(&hash).unwrap();
    store.keys().mark_in_doubt(created.record.id);
    assert_eq!(admit(&store, &handle, &hash, ADDRESS, reading(NOON)), Admission::InDoubt);
    store.flush_usage().await.unwrap();
    assert!(matches!(admit(&store, &handle, &hash, ADDRESS, reading(NOON)), Admission::Admitted { .. }));
    store.close().await;
    store.keys().mark_in_doubt(created.record.id);
    // The database is closed, so the doubt cannot be resolved; and there is nothing to write.
    assert_eq!(store.flush_usage().await.ok(), Some(0));
    // On PostgreSQL a closed store has no lease either.
    assert!(matches!(
        store.keys().admit(&handle, &hash, ADDRESS, reading(NOON)),
        Admission::InDoubt | Admission::NoLease
    ));
}

async fn a_request_from_a_disallowed_address_is_not_counted(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let new =
        NewKey { rate_limit: limit(1), allowed_ips: "192.0.2.0/24".parse().unwrap(), ..new_key("bound") };
    let (_, hash) = fixture.key(&store, account, new).await;
    let handle = store.keys().find(&hash).unwrap();
    for _ in 0..3 {
        let admission = admit(&store, &handle, &hash, "203.0.113.1".parse().unwrap(), reading(NOON));
        assert_eq!(admission, Admission::WrongAddress);
    }
    assert!(matches!(admit(&store, &handle, &hash, ADDRESS, reading(NOON)), Admission::Admitted { .. }));
    assert!(
        matches!(admit(&store, &handle, &hash, ADDRESS, reading(NOON)), Admission::Limited { window } if window.remaining == 0)
    );
    store.close().await;
}

/// Run by the tests of several servers.
pub(super) async fn an_open_response_loses_its_authorization_on_every_server(
    fixture: Arc<Fixture>,
    one: Arc<Store>,
    other: Arc<Store>,
) {
    let account = fixture.account(&one).await.id;
    let (created, hash) = fixture.key(&one, account, new_key("open")).await;
    let handle = other.keys().find(&hash).unwrap();
    // A busy machine may lose its lease for a moment.
    while other.current_rights(&handle, &hash, ADDRESS).is_none() {
        tokio::task::yield_now().await;
    }
    one.revoke_key(account, created.record.id, None, fixture.origin()).await.unwrap();
    assert_eq!(other.current_rights(&handle, &hash, ADDRESS), None);
    one.close().await;
    other.close().await;
}

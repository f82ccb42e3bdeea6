//! PostgreSQL: migration, and a connection that breaks before the commit is confirmed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::FutureExt as _;
use telepath_core::key::KeyRecord;

use super::{Fixture, NOON, admit, new_key, on, reading, select};
use crate::KeyChangeError;
use crate::error::StoreError;
use crate::key::change::{Revoke, revoke};
use crate::key_table::Admission;
use crate::migrate::MIGRATIONS;
use crate::sql::{Connection, binds};
use crate::store::Store;

const ADDRESS: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

#[tokio::test]
async fn an_outdated_schema_is_refused_until_migrated() {
    let Some(fixture) = Fixture::postgres().await else { return };
    let before = fixture.try_open().await.err();
    let reports = tokio::join!(Store::migrate(&fixture.database), Store::migrate(&fixture.database));
    on(fixture, async move |fixture: Arc<Fixture>| {
        let newest = MIGRATIONS.last().unwrap().version;
        assert!(matches!(before, Some(StoreError::SchemaBehind { found: 0, needed }) if needed == newest));
        let applied = [reports.0.unwrap(), reports.1.unwrap()].map(|report| report.applied.len());
        assert_eq!(applied.iter().sum::<usize>(), MIGRATIONS.len(), "of two concurrent migrations one runs");
        fixture.open().await.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_with_unknown_outcome_is_resolved_by_reading_the_database() {
    let Some(fixture) = Fixture::postgres().await else { return };
    on(fixture, async |fixture: Arc<Fixture>| {
        let store = fixture.open().await;
        let account = fixture.account(&store).await.id;
        let (created, hash) = fixture.key(&store, account, new_key("settled")).await;
        let id = created.record.id;
        let lost: Result<(), StoreError> = store
            .backend
            .write(move |db: &mut Connection| {
                Box::pin(async move {
                    let sql = "UPDATE keys SET name = 'never', version = version + 1 WHERE id = $1";
                    db.execute(sql, binds![id.to_string()]).await?;
                    let end = db.execute("SELECT pg_terminate_backend(pg_backend_pid())", vec![]).await;
                    assert!(end.is_err(), "the connection is closed");
                    Ok(())
                })
            })
            .await;
        assert!(matches!(lost, Err(StoreError::OutcomeUnknown(_))), "{lost:?}");
        store.keys().mark_in_doubt(id);
        let handle = store.keys().find(&hash).unwrap();
        assert_eq!(admit(&store, &handle, &hash, ADDRESS, reading(NOON)), Admission::InDoubt);
        store.flush_usage().await.unwrap();
        assert!(matches!(admit(&store, &handle, &hash, ADDRESS, reading(NOON)), Admission::Admitted { .. }));
        assert_eq!(select(&store, "SELECT name FROM keys", vec![]).await[0].text("name").unwrap(), "settled");
        store.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_key_is_revoked_while_the_servers_runtime_makes_no_progress() {
    let Some(fixture) = Fixture::postgres().await else { return };
    on(fixture, async |fixture: Arc<Fixture>| {
        let store = fixture.open().await;
        let account = fixture.account(&store).await.id;
        let (created, hash) = fixture.key(&store, account, new_key("flooding")).await;
        let handle = store.keys().find(&hash).unwrap();
        let mut revoking =
            std::pin::pin!(store.revoke_key(account, created.record.id, None, fixture.origin()));
        assert!(revoking.as_mut().now_or_never().is_none(), "the change begins");
        // This runtime has one thread, which does not return to it.
        let deadline = std::time::Instant::now() + std::time::Duration::from_mins(1);
        while admit(&store, &handle, &hash, ADDRESS, reading(NOON)) != Admission::Unusable {
            assert!(std::time::Instant::now() < deadline, "the key is still admitted");
            std::thread::yield_now();
        }
        revoking.await.unwrap();
        store.close().await;
    })
    .await;
}

/// Revokes a key in a transaction whose connection the database closes in the first attempts; returns the number of attempts.
async fn revoke_with_lost_connections(
    fixture: &Fixture,
    store: &Store,
    key: &KeyRecord,
    lost: u32,
) -> (u32, Result<KeyRecord, KeyChangeError>) {
    let origin = fixture.origin();
    let revocation = Revoke {
        account: key.account_id,
        id: key.id,
        reason: None,
        origin,
        audit_id: store.new_audit_id(origin.at).unwrap(),
        event_id: store.new_id(origin.at).unwrap(),
    };
    let attempts = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&attempts);
    let result = store
        .change_key(key.id, move |db| {
            Box::pin(async move {
                let changed = revoke(db, revocation).await?;
                if counted.fetch_add(1, Ordering::SeqCst) < lost {
                    db.execute("SELECT pg_terminate_backend(pg_backend_pid())", vec![]).await?;
                }
                Ok(changed)
            })
        })
        .await;
    (attempts.load(Ordering::SeqCst), result)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_whose_connection_is_lost_before_its_commit_is_tried_again() {
    let Some(fixture) = Fixture::postgres().await else { return };
    on(fixture, async |fixture: Arc<Fixture>| {
        let store = fixture.open().await;
        let account = fixture.account(&store).await.id;
        let (created, hash) = fixture.key(&store, account, new_key("revoked")).await;
        let handle = store.keys().find(&hash).unwrap();
        let (attempts, result) = revoke_with_lost_connections(&fixture, &store, &created.record, 3).await;
        assert!(attempts == 3 && matches!(result, Err(KeyChangeError::Store(StoreError::Unavailable(_)))));
        // Nothing was committed, so the key is not in doubt.
        assert!(matches!(admit(&store, &handle, &hash, ADDRESS, reading(NOON)), Admission::Admitted { .. }));
        let (attempts, result) = revoke_with_lost_connections(&fixture, &store, &created.record, 2).await;
        assert!(attempts == 3 && result.unwrap().revocation.is_some());
        assert_eq!(admit(&store, &handle, &hash, ADDRESS, reading(NOON)), Admission::Unusable);
        let audit = "SELECT count(*) AS entries FROM audit_events WHERE action = 'key.revoked'";
        assert_eq!(select(&store, audit, vec![]).await[0].integer("entries").unwrap(), 1);
        store.close().await;
    })
    .await;
}

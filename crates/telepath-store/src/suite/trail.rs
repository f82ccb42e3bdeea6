//! The audit trail and the master key: tampering and a wrong key are detected.

use std::sync::Arc;

use telepath_core::secret::KeyMode;

use super::{Fixture, behaviour, execute, new_key, new_vault};
use crate::audit::AuditVerdict;
use crate::context::StoreContext;
use crate::error::StoreError;
use crate::options::StoreOptions;
use crate::store::Store;

behaviour! {
    a_modified_audit_entry_is_detected,
    a_trail_is_verified_in_parts,
    waiting_verifications_hold_no_reader,
    another_master_key_is_refused,
    concurrent_starts_create_one_account,
}

async fn a_modified_audit_entry_is_detected(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    for name in ["one", "two", "three"] {
        fixture.key(&store, account, new_key(name)).await;
    }
    let intact = AuditVerdict::Intact { entries: 4 };
    assert_eq!(store.verify_audit(account, None).await.unwrap().verdict, intact);
    let changes = [
        (
            "UPDATE audit_events SET actor = 'system' WHERE position = 2",
            "UPDATE audit_events SET actor = 'local' WHERE position = 2",
        ),
        (
            "UPDATE audit_events SET address = '192.0.2.1' WHERE position = 2",
            "UPDATE audit_events SET address = NULL WHERE position = 2",
        ),
        (
            "UPDATE audit_events SET at = at + 1 WHERE position = 2",
            "UPDATE audit_events SET at = at - 1 WHERE position = 2",
        ),
        (
            "UPDATE audit_events SET action = 'key.revoked' WHERE position = 2",
            "UPDATE audit_events SET action = 'key.created' WHERE position = 2",
        ),
        (
            "UPDATE audit_events SET action = 'nonsense' WHERE position = 2",
            "UPDATE audit_events SET action = 'key.created' WHERE position = 2",
        ),
        (
            "UPDATE audit_events SET target = target || '!' WHERE position = 2",
            "UPDATE audit_events SET target = replace(target, '!', '') WHERE position = 2",
        ),
        (
            "UPDATE audit_events SET before_json = '{ }' WHERE position = 2",
            "UPDATE audit_events SET before_json = '{}' WHERE position = 2",
        ),
        (
            "UPDATE audit_events SET after_json = replace(after_json, 'one', 'One') WHERE position = 2",
            "UPDATE audit_events SET after_json = replace(after_json, 'One', 'one') WHERE position = 2",
        ),
        (
            "UPDATE audit_events SET position = 20 WHERE position = 2",
            "UPDATE audit_events SET position = 2 WHERE position = 20",
        ),
    ];
    for (tamper, restore) in changes {
        execute(&store, tamper, vec![]).await;
        assert_eq!(
            store.verify_audit(account, None).await.unwrap().verdict,
            AuditVerdict::Broken { position: 2 },
            "{tamper}"
        );
        execute(&store, restore, vec![]).await;
        assert_eq!(store.verify_audit(account, None).await.unwrap().verdict, intact, "{restore}");
    }
    execute(&store, "DELETE FROM audit_events WHERE position = 4", vec![]).await;
    assert_eq!(
        store.verify_audit(account, None).await.unwrap().verdict,
        AuditVerdict::Broken { position: 4 }
    );
    store.close().await;
}

async fn another_master_key_is_refused(fixture: Arc<Fixture>) {
    fixture.open().await.close().await;
    let others = StoreContext { vault: new_vault(), ..fixture.context.clone() };
    let refused = Store::open(StoreOptions::new(fixture.database.clone()), others).await;
    assert!(matches!(refused, Err(StoreError::WrongMasterKey { .. })));
    fixture.open().await.close().await;
}

async fn concurrent_starts_create_one_account(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let origin = fixture.origin();
    let (one, two) = tokio::join!(
        store.ensure_account("One", KeyMode::Test, origin),
        store.ensure_account("Two", KeyMode::Live, origin)
    );
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one, two);
    assert_eq!(store.account(one.id).await.unwrap().as_deref(), Some(&one));
    let other = fixture.other_account(&store).await;
    assert_eq!(fixture.account(&store).await, one);
    assert_eq!(store.account(other).await.unwrap().unwrap().name, "Other");
    store.close().await;
}

async fn a_trail_is_verified_in_parts(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    for number in 0..210 {
        fixture.key(&store, account, new_key(&format!("key {number}"))).await;
    }
    assert_eq!(
        store.verify_audit(account, None).await.unwrap().verdict,
        AuditVerdict::Intact { entries: 211 }
    );
    execute(&store, "UPDATE audit_events SET target = 'other' WHERE position = 205", vec![]).await;
    assert_eq!(
        store.verify_audit(account, None).await.unwrap().verdict,
        AuditVerdict::Broken { position: 205 }
    );
    execute(&store, "DELETE FROM audit_events WHERE position > 100", vec![]).await;
    assert_eq!(
        store.verify_audit(account, None).await.unwrap().verdict,
        AuditVerdict::Broken { position: 101 }
    );
    store.close().await;
}

async fn waiting_verifications_hold_no_reader(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let turn = store.audit_verification.acquire().await.unwrap();
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.verify_audit(account, None).await })
        })
        .collect();
    tokio::task::yield_now().await;
    let readers = futures_util::future::join_all((0..4).map(|_| store.backend.read())).await;
    assert!(readers.iter().all(Result::is_ok));
    assert!(waiting.iter().all(|task| !task.is_finished()));
    drop((readers, turn));
    for task in waiting {
        assert_eq!(task.await.unwrap().unwrap().verdict, AuditVerdict::Intact { entries: 1 });
    }
    store.close().await;
}

//! The chain of audit entries against someone who can write to the database and does not have the master key.

use std::sync::Arc;
use std::time::Duration;

use telepath_core::audit::{
    AuditEntry, AuditFilter, ChainHash, ChainHead, ChainKey, ChainState, ExpectedHead, KeyedAuditId,
};
use telepath_core::id::AccountId;
use telepath_core::page::PageRequest;

use super::{Fixture, behaviour, execute, new_key, new_vault};
use crate::audit::{AuditHead, AuditVerdict};
use crate::sql::binds;
use crate::store::Store;

behaviour! {
    replaced_entries_are_detected_without_the_key,
    entries_relinked_without_a_key_are_detected,
    entries_cut_off_at_the_end_are_detected,
    an_emptied_trail_is_detected,
    reordered_entries_are_detected,
    a_change_after_tampering_does_not_hide_it,
    removed_tags_are_not_renewed_at_the_next_start,
    an_expected_head_is_found_or_not,
    heads_are_logged_once_then_each_day,
}

/// A trail of four entries.
async fn trail(fixture: &Fixture) -> (Arc<Store>, AccountId) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    for name in ["one", "two", "three"] {
        fixture.key(&store, account, new_key(name)).await;
    }
    assert_eq!(verdict(&store, account).await, AuditVerdict::Intact { entries: 4 });
    (store, account)
}

async fn verdict(store: &Store, account: AccountId) -> AuditVerdict {
    store.verify_audit(account, None).await.unwrap().verdict
}

/// Links all entries again, as someone would who changed them, and stores the head.
async fn relink(store: &Store, account: AccountId, key: &ChainKey, keyed_after: u64) {
    let state = ChainState { keyed_after, ..ChainState::new(account) };
    let page = PageRequest::new(100, 0).unwrap();
    let mut records = store.list_audit(account, AuditFilter::default(), page).await.unwrap().items;
    records.reverse();
    let mut last = ChainHash::GENESIS;
    for record in &records {
        let entry = AuditEntry {
            id: KeyedAuditId { id: record.id, key: key.clone(), trail_limit: None },
            account_id: account,
            origin: record.origin,
            action: record.action,
            target: record.target.clone(),
            before: record.before.clone(),
            after: record.after.clone(),
        };
        let [before, after] = [&record.before, &record.after].map(ToString::to_string);
        last = state.link(&entry, record.position, last, &before, &after);
        let sql = "UPDATE audit_events SET hash = $2 WHERE id = $1";
        execute(store, sql, binds![record.id.to_string(), &last.0[..]]).await;
    }
    let sql = "UPDATE accounts SET audit_hash = $2, audit_keyed_after = $3 WHERE id = $1";
    let keyed_after = i64::try_from(keyed_after).unwrap();
    execute(store, sql, binds![account.to_string(), &last.0[..], keyed_after]).await;
}

async fn replaced_entries_are_detected_without_the_key(fixture: Arc<Fixture>) {
    let (store, account) = trail(&fixture).await;
    execute(&store, "UPDATE audit_events SET actor = 'system' WHERE position = 2", vec![]).await;
    let foreign = new_vault();
    relink(&store, account, foreign.audit_chain(), 0).await;
    assert_eq!(verdict(&store, account).await, AuditVerdict::Broken { position: 1 });
    // With the key, the links are right; so it is the key that the first part depends on.
    relink(&store, account, fixture.context.vault.audit_chain(), 0).await;
    assert_eq!(verdict(&store, account).await, AuditVerdict::Broken { position: 5 });
    store.close().await;
}

async fn entries_relinked_without_a_key_are_detected(fixture: Arc<Fixture>) {
    let (store, account) = trail(&fixture).await;
    execute(&store, "UPDATE audit_events SET actor = 'system' WHERE position = 2", vec![]).await;
    // As if an earlier version had written all of them.
    relink(&store, account, new_vault().audit_chain(), 4).await;
    assert_eq!(verdict(&store, account).await, AuditVerdict::Broken { position: 5 });
    store.close().await;
}

async fn entries_cut_off_at_the_end_are_detected(fixture: Arc<Fixture>) {
    let (store, account) = trail(&fixture).await;
    cut_off(&store, 4).await;
    assert_eq!(verdict(&store, account).await, AuditVerdict::Broken { position: 4 });
    store.close().await;
}

/// Deletes an entry and those after it, and makes the entry before it the head.
async fn cut_off(store: &Store, position: i64) {
    execute(store, "DELETE FROM audit_events WHERE position >= $1", binds![position]).await;
    let sql = "UPDATE accounts SET audit_position = $1, \
               audit_hash = (SELECT hash FROM audit_events WHERE position = $1)";
    execute(store, sql, binds![position - 1]).await;
}

async fn an_emptied_trail_is_detected(fixture: Arc<Fixture>) {
    let (store, account) = trail(&fixture).await;
    execute(&store, "DELETE FROM audit_events", vec![]).await;
    let sql = "UPDATE accounts SET audit_position = 0, audit_hash = $1, audit_tag = NULL";
    execute(&store, sql, binds![&ChainHash::GENESIS.0[..]]).await;
    assert_eq!(verdict(&store, account).await, AuditVerdict::Broken { position: 1 });
    fixture.key(&store, account, new_key("first again")).await;
    assert_eq!(verdict(&store, account).await, AuditVerdict::Broken { position: 2 });
    store.close().await;
}

async fn reordered_entries_are_detected(fixture: Arc<Fixture>) {
    let (store, account) = trail(&fixture).await;
    for (from, to) in [(2, 20), (3, 2), (20, 3)] {
        let sql = "UPDATE audit_events SET position = $2 WHERE position = $1";
        execute(&store, sql, binds![i64::from(from), i64::from(to)]).await;
    }
    assert_eq!(verdict(&store, account).await, AuditVerdict::Broken { position: 2 });
    store.close().await;
}

async fn a_change_after_tampering_does_not_hide_it(fixture: Arc<Fixture>) {
    let (store, account) = trail(&fixture).await;
    cut_off(&store, 4).await;
    fixture.key(&store, account, new_key("four")).await;
    fixture.key(&store, account, new_key("five")).await;
    assert!(matches!(verdict(&store, account).await, AuditVerdict::Broken { .. }));
    store.close().await;
}

async fn removed_tags_are_not_renewed_at_the_next_start(fixture: Arc<Fixture>) {
    let (store, account) = trail(&fixture).await;
    execute(&store, "UPDATE accounts SET audit_tag = NULL", vec![]).await;
    store.close().await;
    let store = fixture.open().await;
    assert_eq!(verdict(&store, account).await, AuditVerdict::Broken { position: 5 });
    store.close().await;
}

async fn an_expected_head_is_found_or_not(fixture: Arc<Fixture>) {
    let (store, account) = trail(&fixture).await;
    let head = store.verify_audit(account, None).await.unwrap().head;
    assert_eq!(head.position, 4);
    let expect = async |head: ChainHead| store.verify_audit(account, Some(head)).await.unwrap().expected;
    assert_eq!(expect(head).await, Some(ExpectedHead::Found));
    fixture.key(&store, account, new_key("four")).await;
    assert_eq!(expect(head).await, Some(ExpectedHead::Found), "the chain has grown");
    let other = ChainHead { hash: ChainHash([7; 32]), ..head };
    assert_eq!(expect(other).await, Some(ExpectedHead::Different));
    for position in [6, u64::MAX] {
        assert_eq!(expect(ChainHead { position, ..head }).await, Some(ExpectedHead::Missing));
    }
    assert_eq!(expect(ChainHead::GENESIS).await, Some(ExpectedHead::Found), "every chain begins so");
    cut_off(&store, 3).await;
    assert_eq!(expect(head).await, Some(ExpectedHead::Missing));
    store.close().await;
}

async fn heads_are_logged_once_then_each_day(fixture: Arc<Fixture>) {
    let (store, account) = trail(&fixture).await;
    let head = store.verify_audit(account, None).await.unwrap().head;
    assert_eq!(store.audit_heads_to_log().await.unwrap(), [AuditHead { account, head }]);
    fixture.key(&store, account, new_key("four")).await;
    assert_eq!(store.audit_heads_to_log().await.unwrap(), []);
    fixture.clock.advance(Duration::from_hours(24));
    let due = store.audit_heads_to_log().await.unwrap();
    assert_eq!(due.iter().map(|due| due.head.position).collect::<Vec<_>>(), [5]);
    store.close().await;
}

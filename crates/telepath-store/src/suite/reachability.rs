//! The status of a trunk follows from whether calls reach its agent.

use std::sync::Arc;

use telepath_core::account::Actor;
use telepath_core::audit::{AuditAction, AuditFilter};
use telepath_core::call::{CallStatus, DisconnectReason};
use telepath_core::id::{AccountId, TrunkId};
use telepath_core::page::PageRequest;
use telepath_core::ports::{AgentEvent, CallControl as _};
use telepath_core::trunk::{TrunkFilter, TrunkPatchDraft, TrunkStatus};

use super::calls::{ended, start};
use super::trunks::custom;
use super::{Fixture, behaviour};
use crate::store::Store;
use crate::trunk::reachability::FAILURES_BEFORE_ERROR;

behaviour! {
    failures_in_a_row_set_the_status_error_and_the_first_success_clears_it,
    a_failure_counts_once_and_an_inactive_or_deleted_trunk_keeps_its_status,
    an_owner_who_activates_the_trunk_clears_the_error,
}

async fn trunk(fixture: &Fixture, store: &Store) -> (AccountId, TrunkId) {
    let account = fixture.account(store).await.id;
    let made = store.create_trunk(account, custom("support"), fixture.origin()).await.unwrap();
    (account, made.trunk.id)
}

/// The status of the trunk and its reason.
async fn status(store: &Store, account: AccountId, trunk: TrunkId) -> (TrunkStatus, Option<String>) {
    let (trunk, _) = store.get_trunk(account, trunk).await.unwrap().unwrap();
    (trunk.status, trunk.status_reason)
}

async fn fail(store: &Store, account: AccountId, trunk: TrunkId, why: &str) {
    let mut end =
        ended(&start(store, account, trunk), CallStatus::Failed, DisconnectReason::ConnectionFailed);
    end.reason_text = Some(why.to_owned());
    store.call_ended(&end).await.unwrap();
    // Reported again, because the answer was lost.
    store.call_ended(&end).await.unwrap();
}

async fn reach(store: &Store, account: AccountId, trunk: TrunkId) {
    let call = start(store, account, trunk);
    store.call_started(&call).await.unwrap();
    store.agent_event(account, call.id, trunk, &AgentEvent::Connected).await.unwrap();
}

async fn failures_in_a_row_set_the_status_error_and_the_first_success_clears_it(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let (account, id) = trunk(&fixture, &store).await;
    for _ in 1..FAILURES_BEFORE_ERROR {
        fail(&store, account, id, "refused").await;
    }
    assert_eq!(status(&store, account, id).await, (TrunkStatus::Active, None));
    reach(&store, account, id).await;
    for _ in 1..FAILURES_BEFORE_ERROR {
        fail(&store, account, id, "refused").await;
    }
    assert_eq!(status(&store, account, id).await, (TrunkStatus::Active, None), "not in a row");
    fail(&store, account, id, "HTTP 401").await;
    assert_eq!(status(&store, account, id).await, (TrunkStatus::Error, Some("HTTP 401".to_owned())));
    fail(&store, account, id, "HTTP 429").await;
    assert_eq!(status(&store, account, id).await, (TrunkStatus::Error, Some("HTTP 429".to_owned())));
    let filter = TrunkFilter { status: Some(TrunkStatus::Error), ..TrunkFilter::default() };
    let listed = store.list_trunks(account, filter, PageRequest::default()).await.unwrap();
    assert_eq!(listed.items[0].0.id, id);
    reach(&store, account, id).await;
    assert_eq!(status(&store, account, id).await, (TrunkStatus::Active, None));
    let filter = AuditFilter { action: Some(AuditAction::TrunkUpdated), ..AuditFilter::default() };
    let events = store.list_audit(account, filter, PageRequest::default()).await.unwrap().items;
    let changes: Vec<_> = events
        .iter()
        .map(|event| (event.origin.actor, event.before["status"].as_str(), event.after["status"].as_str()))
        .collect();
    let (error, active) = (Some("error"), Some("active"));
    assert_eq!(changes, [(Actor::System, error, active), (Actor::System, active, error)]);
    assert_eq!(events[1].after["status_reason"], "HTTP 401");
    store.close().await;
}

async fn a_failure_counts_once_and_an_inactive_or_deleted_trunk_keeps_its_status(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let (account, id) = trunk(&fixture, &store).await;
    let off = TrunkPatchDraft { status: Some("inactive".to_owned()), ..TrunkPatchDraft::default() };
    store.update_trunk(account, id, off, fixture.origin()).await.unwrap();
    for _ in 0..FAILURES_BEFORE_ERROR {
        fail(&store, account, id, "refused").await;
    }
    reach(&store, account, id).await;
    assert_eq!(status(&store, account, id).await, (TrunkStatus::Inactive, None));
    store.delete_trunk(account, id, fixture.origin()).await.unwrap();
    fail(&store, account, id, "refused").await;
    reach(&store, account, id).await;
    store.close().await;
}

async fn an_owner_who_activates_the_trunk_clears_the_error(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let (account, id) = trunk(&fixture, &store).await;
    for _ in 0..FAILURES_BEFORE_ERROR {
        fail(&store, account, id, "refused").await;
    }
    // Another change leaves the error as it is.
    let name = TrunkPatchDraft { name: Some("Other".to_owned()), ..TrunkPatchDraft::default() };
    let named = store.update_trunk(account, id, name, fixture.origin()).await.unwrap();
    assert_eq!((named.status, named.status_reason.as_deref()), (TrunkStatus::Error, Some("refused")));
    let on = TrunkPatchDraft { status: Some("active".to_owned()), ..TrunkPatchDraft::default() };
    let active = store.update_trunk(account, id, on, fixture.origin()).await.unwrap();
    assert_eq!((active.status, active.status_reason), (TrunkStatus::Active, None));
    fail(&store, account, id, "refused").await;
    assert_eq!(status(&store, account, id).await, (TrunkStatus::Active, None), "counted from the beginning");
    store.close().await;
}

//! An idempotent request runs once, whatever fails in between.

use std::sync::Arc;
use std::time::Duration;

use telepath_core::account::Actor;
use telepath_core::audit::Origin;
use telepath_core::id::{AccountId, Id as _, IdempotencyId, KeyId, UserId};
use telepath_core::idempotency::{
    ATTEMPT_WITHIN, ClaimDecision, IdempotencyKey, KEPT_FOR, RequestHash, StoredResponse,
};
use telepath_core::key::KeyFilter;
use telepath_core::page::PageRequest;

use super::{Fixture, behaviour, new_key};
use crate::error::StoreError;
use crate::idempotency::{IdempotencyClaim, IdempotentRequest};
use crate::key::KeyChangeError;
use crate::options::Database;
use crate::store::Store;

behaviour! {
    a_repeated_request_replays_the_stored_response,
    idempotency_keys_are_scoped_to_the_caller,
    a_rejected_request_can_be_retried,
    a_crash_leaves_committed_and_uncommitted_attempts_distinguishable,
    a_superseded_attempt_changes_nothing,
    stored_responses_expire_by_age,
    of_concurrent_attempts_one_runs,
}

pub(super) fn once(account: AccountId, key: &str, body: &str) -> IdempotentRequest {
    IdempotentRequest {
        account,
        caller: Actor::Local { uid: None },
        key: IdempotencyKey::parse(key.as_bytes()).unwrap(),
        request: RequestHash::of("POST", "/v1/keys", body.as_bytes()),
    }
}

pub(super) fn answer() -> StoredResponse {
    StoredResponse { status: 201, location: Some("/v1/keys/key_1".to_owned()), body: "{}".to_owned() }
}

async fn claim(fixture: &Fixture, store: &Store, once: IdempotentRequest) -> IdempotencyId {
    match begin(fixture, store, once).await {
        IdempotencyClaim::Fresh(id) => id,
        before @ IdempotencyClaim::Before(_) => panic!("{before:?}"),
    }
}

pub(super) async fn begin(fixture: &Fixture, store: &Store, once: IdempotentRequest) -> IdempotencyClaim {
    store.begin_idempotent_request(once, fixture.origin().at).await.unwrap()
}

fn as_attempt(fixture: &Fixture, id: IdempotencyId) -> Origin {
    Origin { idempotency: Some(id), ..fixture.origin() }
}

async fn count(store: &Store, account: AccountId) -> u64 {
    store.list_keys(account, KeyFilter::default(), PageRequest::default()).await.unwrap().count().unwrap()
}

async fn a_repeated_request_replays_the_stored_response(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let id = claim(&fixture, &store, once(account, "k", "a")).await;
    assert_eq!(
        begin(&fixture, &store, once(account, "k", "a")).await,
        IdempotencyClaim::Before(ClaimDecision::InUse)
    );
    store.create_key(account, new_key("made"), as_attempt(&fixture, id)).await.unwrap();
    assert_eq!(
        begin(&fixture, &store, once(account, "k", "a")).await,
        IdempotencyClaim::Before(ClaimDecision::InUse)
    );
    store.end_idempotent_request(id, Some(answer())).await.unwrap();
    for _ in 0..2 {
        let again = begin(&fixture, &store, once(account, "k", "a")).await;
        assert_eq!(again, IdempotencyClaim::Before(ClaimDecision::Replay(answer())));
    }
    assert_eq!(
        begin(&fixture, &store, once(account, "k", "b")).await,
        IdempotencyClaim::Before(ClaimDecision::Reused)
    );
    claim(&fixture, &store, once(account, "other", "b")).await;
    store.close().await;
    let store = fixture.open().await;
    let again = begin(&fixture, &store, once(account, "k", "a")).await;
    assert_eq!(again, IdempotencyClaim::Before(ClaimDecision::Replay(answer())), "also after a restart");
    store.close().await;
}

async fn idempotency_keys_are_scoped_to_the_caller(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let other = fixture.other_account(&store).await;
    let key = |number| Actor::Key(KeyId::from_bytes([number; 16]));
    let user = |number| Actor::User(UserId::from_bytes([number; 16]));
    let local = |uid| Actor::Local { uid };
    let callers = [key(1), key(2), user(1), user(2), local(None), local(Some(0)), local(Some(1000))];
    let by = |caller| IdempotentRequest { caller, ..once(account, "k", "a") };
    let kept = |number: usize| StoredResponse { body: format!("{{\"caller\":{number}}}"), ..answer() };
    for (number, caller) in callers.into_iter().enumerate() {
        let id = claim(&fixture, &store, by(caller)).await;
        store.end_idempotent_request(id, Some(kept(number))).await.unwrap();
    }
    claim(&fixture, &store, once(other, "k", "a")).await;
    for (number, caller) in callers.into_iter().enumerate() {
        let again = begin(&fixture, &store, by(caller)).await;
        assert_eq!(again, IdempotencyClaim::Before(ClaimDecision::Replay(kept(number))), "{caller}");
    }
    store.close().await;
}

async fn a_rejected_request_can_be_retried(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let first = claim(&fixture, &store, once(account, "k", "a")).await;
    store.end_idempotent_request(first, None).await.unwrap();
    let second = claim(&fixture, &store, once(account, "k", "another body")).await;
    assert_ne!(first, second);
    // This attempt changed something but has no response that can be stored.
    let key = store.create_key(account, new_key("made"), as_attempt(&fixture, second)).await.unwrap();
    store.end_idempotent_request(second, None).await.unwrap();
    let lost = ClaimDecision::Lost(Some(key.record.id.to_string()));
    let again = begin(&fixture, &store, once(account, "k", "another body")).await;
    assert_eq!(again, IdempotencyClaim::Before(lost));
    store.close().await;
}

async fn a_crash_leaves_committed_and_uncommitted_attempts_distinguishable(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let happened = claim(&fixture, &store, once(account, "happened", "a")).await;
    let key = store.create_key(account, new_key("made"), as_attempt(&fixture, happened)).await.unwrap();
    let never = claim(&fixture, &store, once(account, "never", "b")).await;
    store.close().await;
    let store = fixture.open().await;
    if let Database::Postgres { .. } = fixture.database {
        // Another server may still be working on the same database, so here only time decides.
        let early = begin(&fixture, &store, once(account, "never", "b")).await;
        assert_eq!(early, IdempotencyClaim::Before(ClaimDecision::InUse));
        fixture.clock.advance(ATTEMPT_WITHIN);
    }
    let lost = ClaimDecision::Lost(Some(key.record.id.to_string()));
    assert_eq!(begin(&fixture, &store, once(account, "happened", "a")).await, IdempotencyClaim::Before(lost));
    let second = claim(&fixture, &store, once(account, "never", "b")).await;
    assert_ne!(never, second);
    store.create_key(account, new_key("at last"), as_attempt(&fixture, second)).await.unwrap();
    assert_eq!(count(&store, account).await, 2);
    store.close().await;
}

async fn a_superseded_attempt_changes_nothing(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let slow = claim(&fixture, &store, once(account, "k", "a")).await;
    fixture.clock.advance(ATTEMPT_WITHIN);
    let second = claim(&fixture, &store, once(account, "k", "a")).await;
    let late = store.create_key(account, new_key("late"), as_attempt(&fixture, slow)).await;
    assert!(matches!(late, Err(KeyChangeError::Store(StoreError::Superseded))));
    store.end_idempotent_request(slow, Some(answer())).await.unwrap();
    store.create_key(account, new_key("second"), as_attempt(&fixture, second)).await.unwrap();
    store.end_idempotent_request(second, Some(answer())).await.unwrap();
    let late = store.create_key(account, new_key("later"), as_attempt(&fixture, second)).await;
    assert!(matches!(late, Err(KeyChangeError::Store(StoreError::Superseded))), "it has ended");
    let refused = claim(&fixture, &store, once(account, "refused", "a")).await;
    store.end_idempotent_request(refused, None).await.unwrap();
    let late = store.create_key(account, new_key("late"), as_attempt(&fixture, refused)).await;
    assert!(matches!(late, Err(KeyChangeError::Store(StoreError::Superseded))));
    assert_eq!(count(&store, account).await, 1);
    store.close().await;
}

async fn stored_responses_expire_by_age(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    for number in 0..10 {
        let id = claim(&fixture, &store, once(account, &format!("k{number}"), "a")).await;
        store.end_idempotent_request(id, Some(answer())).await.unwrap();
        fixture.clock.advance(Duration::from_secs(1));
    }
    let kept = begin(&fixture, &store, once(account, "k4", "a")).await;
    assert_eq!(kept, IdempotencyClaim::Before(ClaimDecision::Replay(answer())));
    assert_eq!(store.expire_idempotency_keys().await.unwrap(), 0);
    fixture.clock.advance(KEPT_FOR.saturating_sub(Duration::from_secs(6)));
    assert_eq!(store.expire_idempotency_keys().await.unwrap(), 5, "of the first five seconds");
    let over = claim(&fixture, &store, once(account, "k4", "another request")).await;
    store.end_idempotent_request(over, Some(answer())).await.unwrap();
    claim(&fixture, &store, once(account, "running", "a")).await;
    fixture.clock.advance(Duration::from_secs(6));
    assert_eq!(store.expire_idempotency_keys().await.unwrap(), 5, "the other five");
    fixture.clock.advance(KEPT_FOR);
    assert_eq!(store.expire_idempotency_keys().await.unwrap(), 2, "one of them without an end");
    store.close().await;
}

async fn of_concurrent_attempts_one_runs(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let all = (0..20).map(|_| begin(&fixture, &store, once(account, "k", "a")));
    let all = futures_util::future::join_all(all).await;
    let fresh = all.iter().filter(|begun| matches!(begun, IdempotencyClaim::Fresh(_))).count();
    assert_eq!(fresh, 1);
    assert!(all.iter().all(|begun| matches!(
        begun,
        IdempotencyClaim::Fresh(_) | IdempotencyClaim::Before(ClaimDecision::InUse)
    )));
    store.close().await;
}

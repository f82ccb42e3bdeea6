//! Limits in bytes: a full audit trail refuses changes but protects nobody less, and the oldest responses of endpoints make room.

use std::sync::Arc;
use std::time::Duration;

use telepath_core::account::Actor;
use telepath_core::audit::Origin;
use telepath_core::event::EventKind;
use telepath_core::idempotency::{ClaimDecision, MAX_STORED_BODY, MAX_USUAL_BODY, StoredResponse};
use telepath_core::key::GraceSeconds;
use telepath_core::page::PageRequest;
use telepath_core::storage_limit::{LimitReached, StorageLimit, StorageLimits};
use telepath_core::trunk::TrunkFilter;
use telepath_core::webhook::delivery::KEPT;

use super::deliveries::{claim, deliveries, event, finish, for_events};
use super::idempotency::{begin, once};
use super::trunks::custom;
use super::webhooks::make;
use super::{Fixture, behaviour, new_key, select};
use crate::audit::AuditVerdict;
use crate::error::StoreError;
use crate::idempotency::IdempotencyClaim;
use crate::store::Store;
use crate::{RotateAllError, TrunkChangeError};

behaviour! {
    a_full_audit_trail_refuses_changes_but_no_protection,
    retention_makes_room_in_the_audit_trail,
    the_oldest_responses_of_endpoints_make_room_for_newer_ones,
    deleted_deliveries_make_room_for_responses,
    the_response_to_a_rotation_of_all_keys_has_room_or_nothing_is_rotated,
    the_largest_response_is_stored_and_replayed,
}

async fn open(fixture: &Fixture, storage_limits: StorageLimits) -> Arc<Store> {
    fixture.open_with(|options| options.storage_limits = storage_limits).await
}

fn small_trail() -> StorageLimits {
    StorageLimits { audit_bytes: 4096, ..StorageLimits::default() }
}

async fn sum(store: &Store, sql: &'static str) -> i64 {
    select(store, sql, vec![]).await[0].integer("bytes").unwrap()
}

const TRAIL: &str = "SELECT CAST(sum(octet_length(before_json) + octet_length(after_json) + octet_length(target) + 200) \
                     AS BIGINT) AS bytes FROM audit_events";

/// Fills the trail by a key; returns the origin of its changes, and how many trunks it made.
async fn fill(fixture: &Fixture, store: &Store) -> (Origin, u32) {
    let account = fixture.account(store).await.id;
    let key = fixture.key(store, account, new_key("writer")).await.0.record.id;
    let origin = Origin { actor: Actor::Key(key), ..fixture.origin() };
    for number in 0..100 {
        match store.create_trunk(account, custom(&format!("trunk-{number}")), origin).await {
            Ok(_) => {}
            Err(TrunkChangeError::Store(StoreError::LimitReached(reached))) => {
                assert_eq!(reached, LimitReached { limit: StorageLimit::AuditBytes, most: 4096 });
                return (origin, number);
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    panic!("the trail has no limit");
}

async fn a_full_audit_trail_refuses_changes_but_no_protection(fixture: Arc<Fixture>) {
    let store = open(&fixture, small_trail()).await;
    let account = fixture.account(&store).await.id;
    let (origin, made) = fill(&fixture, &store).await;
    assert!(made > 2, "{made}");
    let total = sum(&store, TRAIL).await;
    assert!(total <= 4096 && total == sum(&store, "SELECT audit_bytes AS bytes FROM accounts").await);
    let page = store.list_trunks(account, TrunkFilter::default(), PageRequest::default()).await;
    let trunk = page.unwrap().items[0].0.id;
    store.delete_trunk(account, trunk, origin).await.unwrap();
    let local = store.create_trunk(account, custom("local"), fixture.origin()).await;
    assert!(local.is_ok(), "local administration still works");
    assert!(sum(&store, TRAIL).await > 4096 - 1000, "both are recorded");
    let verdict = store.verify_audit(account, None).await.unwrap().verdict;
    assert!(matches!(verdict, AuditVerdict::Intact { .. }), "{verdict:?}");
    store.close().await;
}

async fn retention_makes_room_in_the_audit_trail(fixture: Arc<Fixture>) {
    let store = open(&fixture, small_trail()).await;
    let account = fixture.account(&store).await.id;
    let (origin, _) = fill(&fixture, &store).await;
    fixture.clock.advance(Duration::from_hours(48));
    store.expire_audit(store.now().minus(Duration::from_hours(24))).await.unwrap();
    let later = Origin { at: store.now(), ..origin };
    store.create_trunk(account, custom("later"), later).await.unwrap();
    assert_eq!(sum(&store, "SELECT audit_bytes AS bytes FROM accounts").await, sum(&store, TRAIL).await);
    store.close().await;
}

const RESPONSES: &str =
    "SELECT CAST(COALESCE(sum(octet_length(answer)), 0) AS BIGINT) AS bytes FROM webhook_attempts";
const COUNTED: &str = "SELECT bytes FROM webhook_response_totals";

async fn the_oldest_responses_of_endpoints_make_room_for_newer_ones(fixture: Arc<Fixture>) {
    // The responses of this suite have 6 bytes.
    let limits = StorageLimits { webhook_response_bytes: 60, ..StorageLimits::default() };
    let store = open(&fixture, limits).await;
    let account = fixture.account(&store).await.id;
    let webhook = make(&fixture, &store, account, for_events("a", &[EventKind::KeyCreated])).await;
    for _ in 0..18 {
        event(&fixture, &store, account).await;
        let claimed = claim(&store, &webhook, 1).await;
        finish(&store, &claimed[0], None).await;
        fixture.clock.advance(Duration::from_millis(5));
        let kept = sum(&store, RESPONSES).await;
        assert!(kept <= 60, "{kept}");
        assert_eq!(sum(&store, COUNTED).await, kept);
    }
    let all = deliveries(&store, account, &webhook).await;
    assert!(all.iter().all(|delivery| delivery.attempt_records.len() == 1), "attempts stay on record");
    let response = async |index: usize| {
        let details = store.get_delivery(account, all[index].id).await.unwrap().unwrap();
        details.record.attempt_records[0].response_body.clone()
    };
    assert_eq!(response(0).await, b"");
    assert_eq!(response(17).await, b"answer");
    assert!(sum(&store, RESPONSES).await >= 30, "not more is deleted than makes sense");
    store.close().await;
}

async fn deleted_deliveries_make_room_for_responses(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let webhook = make(&fixture, &store, account, for_events("a", &[EventKind::KeyCreated])).await;
    for _ in 0..3 {
        event(&fixture, &store, account).await;
    }
    for claimed in claim(&store, &webhook, 3).await {
        finish(&store, &claimed, None).await;
    }
    assert_eq!((sum(&store, RESPONSES).await, sum(&store, COUNTED).await), (18, 18));
    store.purge_deliveries().await.unwrap();
    for _ in 0..32 {
        fixture.clock.advance(KEPT / 30);
        store.purge_deliveries().await.unwrap();
    }
    assert_eq!((sum(&store, RESPONSES).await, sum(&store, COUNTED).await), (0, 0));
    store.close().await;
}

async fn the_response_to_a_rotation_of_all_keys_has_room_or_nothing_is_rotated(fixture: Arc<Fixture>) {
    let usual = MAX_USUAL_BODY as u64 + 1024;
    for (bytes, fits) in [(usual + 2 * 4096, true), (usual + 2 * 4096 - 1, false)] {
        let limits = StorageLimits { stored_response_bytes: bytes, ..StorageLimits::default() };
        let store = open(&fixture, limits).await;
        let account = fixture.account(&store).await.id;
        while sum(&store, "SELECT count(*) AS bytes FROM keys").await < 2 {
            fixture.key(&store, account, new_key("k")).await;
        }
        let IdempotencyClaim::Fresh(id) =
            begin(&fixture, &store, once(account, &bytes.to_string(), "")).await
        else {
            panic!("it is new")
        };
        let origin = Origin { idempotency: Some(id), ..fixture.origin() };
        let rotated = store.rotate_all_keys(account, GraceSeconds::NONE, origin).await;
        if fits {
            assert_eq!(rotated.unwrap().keys.len(), 2);
        } else {
            assert!(
                matches!(rotated, Err(RotateAllError::Store(StoreError::LimitReached(_)))),
                "{rotated:?}"
            );
        }
        store.end_idempotent_request(id, None).await.unwrap();
        let left = sum(&store, "SELECT CAST(sum(bytes) AS BIGINT) AS bytes FROM idempotency_totals").await;
        assert_eq!(left, 0, "a reservation ends with its request");
        store.close().await;
    }
}

async fn the_largest_response_is_stored_and_replayed(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let IdempotencyClaim::Fresh(id) = begin(&fixture, &store, once(account, "a", "")).await else {
        panic!("it is new")
    };
    let body = format!("\"{}\"", "x".repeat(MAX_STORED_BODY - 2));
    let response = StoredResponse::of(200, None, body.as_bytes()).unwrap();
    store.end_idempotent_request(id, Some(response.clone())).await.unwrap();
    let replayed = begin(&fixture, &store, once(account, "a", "")).await;
    assert!(replayed == IdempotencyClaim::Before(ClaimDecision::Replay(response)), "it is whole");
    store.close().await;
}

//! Limits of what is stored: what exceeds one is refused in its own transaction, also when requests are concurrent.

use std::sync::Arc;

use futures_util::future::join_all;
use telepath_core::account::Actor;
use telepath_core::id::{AccountId, IdempotencyId};
use telepath_core::idempotency::{
    ClaimDecision, IdempotencyKey, KEPT_FOR, MAX_USUAL_BODY, RequestHash, StoredResponse,
};
use telepath_core::patch::Patch;
use telepath_core::request::RequestFilter;
use telepath_core::storage_limit::{LimitReached, StorageLimit, StorageLimits};
use telepath_core::trunk::TrunkPatchDraft;
use telepath_core::user::{MAX_INVITATIONS, Role};

use super::trunks::custom;
use super::webhooks::draft;
use super::{Fixture, answered, behaviour, new_key, select};
use crate::error::StoreError;
use crate::idempotency::{IdempotencyClaim, IdempotentRequest};
use crate::request_log::read::RequestOrder;
use crate::store::Store;
use crate::user::{NewInvitation, UserError};
use crate::{KeyChangeError, TrunkChangeError, WebhookChangeError};

behaviour! {
    concurrent_keys_do_not_exceed_the_limit_and_a_revoked_key_makes_room,
    concurrent_trunks_do_not_exceed_the_limit_and_a_deleted_trunk_makes_room,
    concurrent_webhooks_do_not_exceed_the_limit_and_a_deleted_webhook_makes_room,
    a_limit_is_counted_per_account,
    the_totals_of_an_account_equal_what_it_stores,
    concurrent_invitations_do_not_exceed_their_limit,
    concurrent_idempotent_requests_do_not_exceed_the_number_of_stored_responses,
    a_running_request_reserves_the_bytes_of_the_largest_response,
    a_stored_response_is_replayed_when_the_limit_is_used_up,
    expired_and_refused_requests_make_room_for_stored_responses,
    a_deleted_trunk_keeps_no_texts,
    an_audit_entry_holds_the_digest_of_a_long_text,
    the_request_log_is_trimmed_as_it_is_written,
}

async fn open(fixture: &Fixture, storage_limits: StorageLimits) -> Arc<Store> {
    fixture.open_with(|options| options.storage_limits = storage_limits).await
}

fn small() -> StorageLimits {
    StorageLimits { keys: 3, trunks: 3, webhooks: 3, stored_responses: 3, ..StorageLimits::default() }
}

fn reached(limit: StorageLimit, most: u64) -> LimitReached {
    LimitReached { limit, most }
}

/// How many of the attempts succeeded; all others must have been refused for the limit.
fn succeeded<T, E: std::fmt::Debug>(
    results: Vec<Result<T, E>>,
    limit: impl Fn(&E) -> Option<LimitReached>,
    expected: LimitReached,
) -> usize {
    let all = results.len();
    let refused: Vec<E> = results.into_iter().filter_map(Result::err).collect();
    for error in &refused {
        assert_eq!(limit(error), Some(expected), "{error:?}");
    }
    all - refused.len()
}

const fn of_store(error: &StoreError) -> Option<LimitReached> {
    if let StoreError::LimitReached(reached) = error { Some(*reached) } else { None }
}

const fn of_key(error: &KeyChangeError) -> Option<LimitReached> {
    if let KeyChangeError::Store(error) = error { of_store(error) } else { None }
}

const fn of_trunk(error: &TrunkChangeError) -> Option<LimitReached> {
    if let TrunkChangeError::Store(error) = error { of_store(error) } else { None }
}

const fn of_webhook(error: &WebhookChangeError) -> Option<LimitReached> {
    if let WebhookChangeError::Store(error) = error { of_store(error) } else { None }
}

const fn of_user(error: &UserError) -> Option<LimitReached> {
    if let UserError::Store(error) = error { of_store(error) } else { None }
}

async fn concurrent_keys_do_not_exceed_the_limit_and_a_revoked_key_makes_room(fixture: Arc<Fixture>) {
    let store = open(&fixture, small()).await;
    let account = fixture.account(&store).await.id;
    let first = store.create_key(account, new_key("first"), fixture.origin()).await.unwrap().record.id;
    let attempts = (0..8).map(|_| store.create_key(account, new_key("k"), fixture.origin()));
    let limit = reached(StorageLimit::Keys, 3);
    assert_eq!(succeeded(join_all(attempts).await, of_key, limit), 2);
    store.revoke_key(account, first, None, fixture.origin()).await.unwrap();
    let attempts = (0..3).map(|_| store.create_key(account, new_key("k"), fixture.origin()));
    assert_eq!(succeeded(join_all(attempts).await, of_key, limit), 1);
    store.close().await;
}

async fn concurrent_trunks_do_not_exceed_the_limit_and_a_deleted_trunk_makes_room(fixture: Arc<Fixture>) {
    let store = open(&fixture, small()).await;
    let account = fixture.account(&store).await.id;
    let make = |name: String| store.create_trunk(account, custom(&name), fixture.origin());
    let first = make("first".to_owned()).await.unwrap().trunk.id;
    let limit = reached(StorageLimit::Trunks, 3);
    let attempts = (0..8).map(|number| make(format!("trunk-{number}")));
    assert_eq!(succeeded(join_all(attempts).await, of_trunk, limit), 2);
    store.delete_trunk(account, first, fixture.origin()).await.unwrap();
    let attempts = (0..3).map(|number| make(format!("again-{number}")));
    assert_eq!(succeeded(join_all(attempts).await, of_trunk, limit), 1);
    store.close().await;
}

async fn concurrent_webhooks_do_not_exceed_the_limit_and_a_deleted_webhook_makes_room(fixture: Arc<Fixture>) {
    let store = open(&fixture, small()).await;
    let account = fixture.account(&store).await.id;
    let make = || store.create_webhook(account, draft("path"), fixture.origin());
    let first = make().await.unwrap().webhook.id;
    let limit = reached(StorageLimit::Webhooks, 3);
    assert_eq!(succeeded(join_all((0..8).map(|_| make())).await, of_webhook, limit), 2);
    store.delete_webhook(account, first, fixture.origin()).await.unwrap();
    assert_eq!(succeeded(join_all((0..3).map(|_| make())).await, of_webhook, limit), 1);
    store.close().await;
}

async fn a_limit_is_counted_per_account(fixture: Arc<Fixture>) {
    let store = open(&fixture, StorageLimits { keys: 1, ..small() }).await;
    let account = fixture.account(&store).await.id;
    let other = fixture.other_account(&store).await;
    for account in [account, other] {
        store.create_key(account, new_key("k"), fixture.origin()).await.unwrap();
        let error = store.create_key(account, new_key("k"), fixture.origin()).await.unwrap_err();
        assert_eq!(of_key(&error), Some(reached(StorageLimit::Keys, 1)));
    }
    store.close().await;
}

async fn the_totals_of_an_account_equal_what_it_stores(fixture: Arc<Fixture>) {
    let store = open(&fixture, small()).await;
    let account = fixture.account(&store).await.id;
    let mut keys = Vec::new();
    for _ in 0..2 {
        keys.push(store.create_key(account, new_key("k"), fixture.origin()).await.unwrap().record.id);
    }
    let mut trunks = Vec::new();
    for name in ["one", "two", "three"] {
        trunks.push(store.create_trunk(account, custom(name), fixture.origin()).await.unwrap().trunk.id);
    }
    let webhook = store.create_webhook(account, draft("path"), fixture.origin()).await.unwrap().webhook.id;
    assert_eq!(totals(&store).await, [2, 3, 1]);
    // What is refused is not counted.
    store.create_trunk(account, custom("four"), fixture.origin()).await.unwrap_err();
    assert_eq!(totals(&store).await, [2, 3, 1]);
    // What is gone already is not subtracted again.
    for _ in 0..2 {
        store.revoke_key(account, keys[0], None, fixture.origin()).await.unwrap();
        let _ = store.delete_trunk(account, trunks[0], fixture.origin()).await;
        let _ = store.delete_webhook(account, webhook, fixture.origin()).await;
    }
    assert_eq!(totals(&store).await, [1, 2, 0]);
    let counted = "SELECT (SELECT count(*) FROM keys WHERE revoked_at IS NULL) AS keys, \
                   (SELECT count(*) FROM trunks WHERE deleted_at IS NULL) AS trunks, \
                   (SELECT count(*) FROM webhooks WHERE deleted_at IS NULL) AS webhooks";
    let rows = select(&store, counted, vec![]).await;
    let numbers = ["keys", "trunks", "webhooks"].map(|name| rows[0].integer(name).unwrap());
    assert_eq!(totals(&store).await, numbers);
    let revoked = select(&store, "SELECT revoked_keys FROM account_totals", vec![]).await;
    assert_eq!(revoked[0].integer("revoked_keys").unwrap(), 1);
    store.close().await;
}

async fn totals(store: &Store) -> [i64; 3] {
    let rows = select(store, "SELECT keys, trunks, webhooks FROM account_totals", vec![]).await;
    ["keys", "trunks", "webhooks"].map(|name| rows[0].integer(name).unwrap())
}

async fn concurrent_invitations_do_not_exceed_their_limit(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let invite = |number: u32| {
        let email = format!("user-{number}@example.com").parse().unwrap();
        store.create_invitation(account, NewInvitation { email, role: Role::Viewer }, fixture.origin())
    };
    for number in 1..MAX_INVITATIONS {
        invite(number).await.unwrap();
    }
    let results = join_all((0..6).map(|number| invite(1000 + number))).await;
    let limit = reached(StorageLimit::Invitations, MAX_INVITATIONS.into());
    assert_eq!(succeeded(results, of_user, limit), 1);
    store.close().await;
}

fn once(account: AccountId, key: &str) -> IdempotentRequest {
    IdempotentRequest {
        account,
        caller: Actor::Local { uid: None },
        key: IdempotencyKey::parse(key.as_bytes()).unwrap(),
        request: RequestHash::of("POST", "/v1/keys", key.as_bytes()),
    }
}

async fn begin(
    fixture: &Fixture,
    store: &Store,
    account: AccountId,
    key: &str,
) -> Result<IdempotencyId, StoreError> {
    match store.begin_idempotent_request(once(account, key), fixture.origin().at).await? {
        IdempotencyClaim::Fresh(id) => Ok(id),
        before @ IdempotencyClaim::Before(_) => panic!("{before:?}"),
    }
}

fn response(bytes: usize) -> StoredResponse {
    StoredResponse { status: 200, location: None, body: "x".repeat(bytes) }
}

async fn concurrent_idempotent_requests_do_not_exceed_the_number_of_stored_responses(fixture: Arc<Fixture>) {
    let store = open(&fixture, small()).await;
    let account = fixture.account(&store).await.id;
    let keys: Vec<_> = (0..8).map(|number| format!("k{number}")).collect();
    let attempts = keys.iter().map(|key| begin(&fixture, &store, account, key));
    let limit = reached(StorageLimit::StoredResponses, 3);
    assert_eq!(succeeded(join_all(attempts).await, of_store, limit), 3);
    let other = fixture.other_account(&store).await;
    begin(&fixture, &store, other, "k0").await.unwrap();
    store.close().await;
}

async fn a_running_request_reserves_the_bytes_of_the_largest_response(fixture: Arc<Fixture>) {
    let reserved = MAX_USUAL_BODY as u64 + 1024;
    let bytes = 2 * reserved;
    let store =
        open(&fixture, StorageLimits { stored_response_bytes: bytes, ..StorageLimits::default() }).await;
    let account = fixture.account(&store).await.id;
    let first = begin(&fixture, &store, account, "a").await.unwrap();
    let second = begin(&fixture, &store, account, "b").await.unwrap();
    let full = reached(StorageLimit::StoredResponseBytes, bytes);
    let refused = begin(&fixture, &store, account, "c").await.unwrap_err();
    assert_eq!(of_store(&refused), Some(full));
    // The rest of the reservation is free again when the response is known.
    store.end_idempotent_request(first, Some(response(0))).await.unwrap();
    let third = begin(&fixture, &store, account, "c").await.unwrap();
    for id in [second, third] {
        store.end_idempotent_request(id, Some(response(MAX_USUAL_BODY))).await.unwrap();
    }
    let refused = begin(&fixture, &store, account, "d").await.unwrap_err();
    assert_eq!(of_store(&refused), Some(full));
    store.close().await;
}

async fn a_stored_response_is_replayed_when_the_limit_is_used_up(fixture: Arc<Fixture>) {
    let store = open(&fixture, StorageLimits { stored_responses: 1, ..StorageLimits::default() }).await;
    let account = fixture.account(&store).await.id;
    let id = begin(&fixture, &store, account, "a").await.unwrap();
    store.end_idempotent_request(id, Some(response(5))).await.unwrap();
    assert!(begin(&fixture, &store, account, "b").await.is_err());
    let again = store.begin_idempotent_request(once(account, "a"), fixture.origin().at).await.unwrap();
    assert_eq!(again, IdempotencyClaim::Before(ClaimDecision::Replay(response(5))));
    store.close().await;
}

async fn expired_and_refused_requests_make_room_for_stored_responses(fixture: Arc<Fixture>) {
    let store = open(&fixture, StorageLimits { stored_responses: 1, ..StorageLimits::default() }).await;
    let account = fixture.account(&store).await.id;
    let refused = begin(&fixture, &store, account, "refused").await.unwrap();
    store.end_idempotent_request(refused, None).await.unwrap();
    let id = begin(&fixture, &store, account, "a").await.unwrap();
    store.end_idempotent_request(id, Some(response(5))).await.unwrap();
    fixture.clock.advance(KEPT_FOR);
    // The row of an expired key is used again, without a second place.
    let id = begin(&fixture, &store, account, "a").await.unwrap();
    store.end_idempotent_request(id, Some(response(5))).await.unwrap();
    fixture.clock.advance(KEPT_FOR);
    assert_eq!(store.expire_idempotency_keys().await.unwrap(), 1);
    begin(&fixture, &store, account, "b").await.unwrap();
    let rows = select(&store, "SELECT responses, bytes FROM idempotency_totals", vec![]).await;
    let reserved = i64::try_from(MAX_USUAL_BODY).unwrap() + 1024;
    assert_eq!((rows[0].integer("responses").unwrap(), rows[0].integer("bytes").unwrap()), (1, reserved));
    store.close().await;
}

/// A text of 32 KiB that occurs nowhere else.
fn long_text() -> String {
    "never again ".repeat(2730)
}

async fn a_deleted_trunk_keeps_no_texts(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let mut new = custom("support");
    new.settings.system_prompt = Some(long_text());
    let trunk = store.create_trunk(account, new, fixture.origin()).await.unwrap().trunk.id;
    store.delete_trunk(account, trunk, fixture.origin()).await.unwrap();
    let rows = select(&store, "SELECT settings FROM trunks", vec![]).await;
    let settings = rows[0].text("settings").unwrap();
    assert!(!settings.contains("never again") && settings.len() < 1024, "{settings}");
    store.close().await;
}

async fn an_audit_entry_holds_the_digest_of_a_long_text(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let mut new = custom("support");
    new.settings.system_prompt = Some(long_text());
    let trunk = store.create_trunk(account, new, fixture.origin()).await.unwrap().trunk.id;
    let system_prompt = Patch::Set(format!("{}!", long_text()));
    let patch = TrunkPatchDraft { system_prompt, ..TrunkPatchDraft::default() };
    store.update_trunk(account, trunk, patch, fixture.origin()).await.unwrap();
    let sql = "SELECT action, before_json, after_json FROM audit_events ORDER BY position DESC LIMIT 2";
    let rows = select(&store, sql, vec![]).await;
    for row in &rows {
        for column in ["before_json", "after_json"] {
            let text = row.text(column).unwrap();
            assert!(!text.contains("never again") && text.len() < 2048, "{text}");
        }
    }
    let [before, after] =
        ["before_json", "after_json"].map(|column| rows[0].json::<serde_json::Value>(column).unwrap());
    assert_eq!(before["system_prompt"]["bytes"], 32_760);
    assert_eq!(after["system_prompt"]["bytes"], 32_761);
    assert_ne!(before["system_prompt"]["sha256"], after["system_prompt"]["sha256"]);
    let verdict = store.verify_audit(account, None).await.unwrap().verdict;
    assert_eq!(verdict, crate::AuditVerdict::Intact { entries: 3 });
    store.close().await;
}

async fn the_request_log_is_trimmed_as_it_is_written(fixture: Arc<Fixture>) {
    let store = fixture.open_with(|options| options.request_log_bytes = 4096).await;
    let account = fixture.account(&store).await.id;
    let (created, hash) = fixture.key(&store, account, new_key("k")).await;
    for _ in 0..400 {
        store.requests().record(&answered(&store, account, created.record.id, &hash));
        store.flush_usage().await.unwrap();
        fixture.clock.advance(std::time::Duration::from_millis(400));
        let rows = select(
            &store,
            "SELECT CAST(COALESCE(sum(bytes), 0) AS BIGINT) AS bytes FROM request_segments",
            vec![],
        )
        .await;
        assert!(rows[0].integer("bytes").unwrap() <= 4096);
    }
    let everything = RequestFilter::default();
    let page = store.list_requests(account, &everything, RequestOrder::Newest, 100, None).await.unwrap();
    assert!((5..100).contains(&page.requests.len()), "the newest stay: {}", page.requests.len());
    let key = store.get_key(account, created.record.id).await.unwrap().unwrap();
    assert_eq!(key.request_count, 400, "what was deleted had been counted");
    store.close().await;
}

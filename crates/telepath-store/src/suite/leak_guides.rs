//! The guide through the response to a leaked key.

use std::sync::Arc;
use std::time::Duration;

use telepath_core::account::Actor;
use telepath_core::audit::AuditFilter;
use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, KeyId};
use telepath_core::key::{GraceSeconds, NewKey};
use telepath_core::page::PageRequest;
use telepath_core::reach::TrunkAccess;
use telepath_core::scope::ScopeSet;
use telepath_core::secret::HashedKey;
use telepath_core::user::Role;

use super::users::{by, make};
use super::{Fixture, NOON, answered, behaviour, new_key, trunks};
use crate::key::leak_guide::LeakResponse;
use crate::key::{CreatedKey, KeyChangeError};
use crate::store::Store;

behaviour! {
    a_guide_is_started_once_and_what_is_said_is_in_the_trail,
    a_response_follows_from_what_happened,
    a_response_names_what_the_key_did_and_who_still_uses_it,
    credentials_out_of_reach_of_the_key_are_left_out,
    a_reported_key_has_a_guide,
    only_who_may_stop_a_key_takes_the_steps_of_its_guide,
}

const HOUR: Duration = Duration::from_hours(1);

async fn response(store: &Store, account: AccountId, key: KeyId, since: Timestamp) -> Option<LeakResponse> {
    let key = store.get_key(account, key).await.unwrap()?;
    store.leak_response(&key, since).await.unwrap()
}

async fn leaked(fixture: &Fixture, store: &Store, account: AccountId) -> (CreatedKey, HashedKey) {
    fixture.key(store, account, new_key("leaked")).await
}

async fn a_guide_is_started_once_and_what_is_said_is_in_the_trail(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let key = leaked(&fixture, &store, account).await.0.record.id;
    assert_eq!(response(&store, account, key, NOON).await, None);
    // Nothing is said of a guide that nobody started.
    store.review_leaked_key(account, key, NOON, fixture.origin()).await.unwrap();
    for _ in 0..2 {
        store.start_leak_guide(account, key, fixture.origin()).await.unwrap();
        store.review_leaked_key(account, key, NOON.minus(HOUR), fixture.origin()).await.unwrap();
        let reason = "The connections are for tests".to_owned();
        store.keep_leaked_credentials(account, key, reason, fixture.origin()).await.unwrap();
        fixture.clock.advance(HOUR);
    }
    let guide = response(&store, account, key, NOON).await.unwrap().guide;
    assert_eq!((guide.started_at, guide.started_by), (NOON, Actor::Local { uid: None }));
    assert_eq!(guide.review.map(|review| (review.at, review.since)), Some((NOON, NOON.minus(HOUR))));
    assert_eq!(guide.kept.as_ref().unwrap().reason, "The connections are for tests");
    let filter = AuditFilter { target: Some(key.to_string()), ..AuditFilter::default() };
    let trail = store.list_audit(account, filter, PageRequest::default()).await.unwrap().items;
    let actions: Vec<_> = trail.iter().rev().map(|entry| entry.action.name()).collect();
    let said = ["leak_guide.started", "leak_guide.requests_reviewed", "leak_guide.credentials_kept"];
    assert_eq!(actions, ["key.created", said[0], said[1], said[2]]);
    assert_eq!(store.leak_guide(account, key).await.unwrap().as_ref(), Some(&guide));
    assert_eq!(store.leak_guides(account).await.unwrap(), [guide]);
    let other = fixture.other_account(&store).await;
    assert_eq!(store.leak_guide(other, key).await.unwrap(), None);
    assert!(store.leak_guides(other).await.unwrap().is_empty());
    let foreign = store.start_leak_guide(other, key, fixture.origin()).await;
    assert!(matches!(foreign, Err(KeyChangeError::NotFound)));
    store.close().await;
}

async fn a_response_follows_from_what_happened(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let key = leaked(&fixture, &store, account).await.0.record.id;
    let rotated = fixture.key(&store, account, new_key("rotated")).await.0.record.id;
    fixture.key(&store, account, new_key("not yet")).await;
    let gone = fixture.key(&store, account, new_key("gone")).await.0.record.id;
    store.revoke_key(account, gone, None, fixture.origin()).await.unwrap();
    let trunk = trunks::make(&fixture, &store, account, "support").await.trunk;
    fixture.clock.advance(HOUR);
    store.start_leak_guide(account, key, fixture.origin()).await.unwrap();
    let before = response(&store, account, key, NOON).await.unwrap();
    assert_eq!(before.rejections, None, "the key still works");
    assert_eq!((before.other_keys.keys, before.other_keys.rotated, before.other_keys.in_grace), (2, 0, 0));
    assert_eq!(before.credentials.iter().map(|one| one.trunk).collect::<Vec<_>>(), [trunk.id]);

    store.revoke_key(account, key, Some("leaked".to_owned()), fixture.origin()).await.unwrap();
    store.rotate_key(account, rotated, GraceSeconds::new(60).unwrap(), fixture.origin()).await.unwrap();
    fixture.key(&store, account, new_key("new")).await;
    let after = response(&store, account, key, NOON).await.unwrap();
    let rejections = after.rejections.unwrap();
    assert_eq!((rejections.accepted, rejections.requests, rejections.addresses), (None, 0, 0));
    assert!(!rejections.is_silent(store.now(), store.now()), "not yet for an hour");
    assert!(rejections.is_silent(store.now(), store.now().plus(HOUR)));
    let others = after.other_keys;
    assert_eq!((others.keys, others.rotated, others.in_grace), (3, 2, 1));
    assert_eq!(others.grace_until, Some(store.now().plus(Duration::from_mins(1))));
    fixture.clock.advance(Duration::from_mins(1));
    assert_eq!(response(&store, account, key, NOON).await.unwrap().other_keys.in_grace, 0);
    store.close().await;
}

async fn a_response_names_what_the_key_did_and_who_still_uses_it(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let new = NewKey { scopes: ScopeSet::all(), ..new_key("leaked") };
    let (created, hash) = fixture.key(&store, account, new).await;
    let key = created.record.id;
    let send = |status: u16, address: &str, program: &'static [u8]| {
        let mut request = answered(&store, account, key, &hash);
        request.facts.address = address.parse().unwrap();
        (request.facts.status, request.facts.admitted) = (status, status != 401);
        request.user_agent = program;
        store.requests().record(&request);
    };
    send(200, "192.0.2.7", b"gateway/4.1");
    fixture.clock.advance(48 * HOUR);
    let since = store.now();
    send(200, "192.0.2.7", b"gateway/4.1");
    send(404, "198.51.100.9", b"curl");
    let made = store.create_key(account, new_key("made by it"), fixture.by(&created)).await.unwrap();
    store.start_leak_guide(account, key, fixture.origin()).await.unwrap();
    store.revoke_key(account, key, None, fixture.origin()).await.unwrap();
    fixture.clock.advance(Duration::from_mins(1));
    send(401, "192.0.2.7", b"gateway/4.1");
    send(401, "192.0.2.7", b"checkout/2.3");
    fixture.clock.advance(Duration::from_mins(1));
    send(401, "192.0.2.7", b"gateway/4.1");
    store.flush_usage().await.unwrap();

    let found = response(&store, account, key, since).await.unwrap();
    assert_eq!(found.reviewed.requests, 2, "those that were rejected do not count");
    let new: Vec<_> = found.reviewed.new_addresses.iter().map(|seen| seen.what.to_string()).collect();
    assert_eq!(new, ["198.51.100.9"]);
    let changed: Vec<_> = found.reviewed.changes.iter().map(|entry| entry.target.clone()).collect();
    assert_eq!((changed, found.reviewed.has_more_changes), (vec![made.record.id.to_string()], false));
    let rejections = found.rejections.unwrap();
    assert_eq!((rejections.requests, rejections.addresses, rejections.accepted), (3, 1, None));
    let clients: Vec<_> =
        found.clients.iter().map(|one| (one.program.as_deref().unwrap(), one.requests)).collect();
    assert_eq!(clients, [("gateway/4.1", 2), ("checkout/2.3", 1)]);
    assert!(!rejections.is_silent(since, store.now()));
    fixture.clock.advance(HOUR);
    let later = response(&store, account, key, since).await.unwrap();
    assert!(later.clients.is_empty(), "silent for an hour");
    store.close().await;
}

async fn credentials_out_of_reach_of_the_key_are_left_out(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let own = trunks::make(&fixture, &store, account, "own").await.trunk;
    trunks::make(&fixture, &store, account, "other").await;
    let mut new = new_key("leaked");
    new.trunks = TrunkAccess::of(vec![own.id]);
    let key = fixture.key(&store, account, new).await.0.record.id;
    fixture.clock.advance(HOUR);
    store.start_leak_guide(account, key, fixture.origin()).await.unwrap();
    let found = response(&store, account, key, NOON).await.unwrap().credentials;
    assert_eq!(found.iter().map(|one| one.trunk_name.as_str()).collect::<Vec<_>>(), ["Trunk own"]);
    store.close().await;
}

async fn a_reported_key_has_a_guide(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let key = leaked(&fixture, &store, account).await.0.record.id;
    let origin = telepath_core::audit::Origin::system(None, store.now());
    store.revoke_leaked_key(account, key, "Reported".to_owned(), origin).await.unwrap();
    let guide = response(&store, account, key, NOON).await.unwrap().guide;
    assert_eq!((guide.started_at, guide.started_by), (NOON, Actor::System));
    store.close().await;
}

async fn only_who_may_stop_a_key_takes_the_steps_of_its_guide(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let key = leaked(&fixture, &store, account).await.0.record.id;
    for role in Role::ALL {
        let user = make(&fixture, &store, account, &format!("{role}@example.com"), *role).await.user.id;
        let started = store.start_leak_guide(account, key, by(&fixture, user)).await;
        let reviewed = store.review_leaked_key(account, key, NOON, by(&fixture, user)).await;
        for said in [started, reviewed] {
            match role {
                Role::Owner | Role::Admin => said.unwrap(),
                Role::Developer | Role::Viewer => {
                    assert!(matches!(said, Err(KeyChangeError::Escalation(_))), "{role}");
                }
            }
        }
    }
    store.close().await;
}

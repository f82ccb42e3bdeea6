//! Keys that are limited to trunks: what is kept, and what lists and changes reach.

use std::sync::Arc;

use telepath_core::call::CallFilter;
use telepath_core::event::EventKind;
use telepath_core::id::TrunkId;
use telepath_core::key::{KeyFilter, KeyPatch, NewKey};
use telepath_core::page::PageRequest;
use telepath_core::ports::CallControl as _;
use telepath_core::reach::{Reach, TrunkAccess};
use telepath_core::scope::ScopeSet;
use telepath_core::trunk::TrunkFilter;
use telepath_core::webhook::{EventFilter, WebhookPatch};

use super::calls::start;
use super::deliveries::for_events;
use super::webhooks::{draft, make};
use super::{Fixture, NOON, admit, behaviour, limit, new_key, reading, trunks};
use crate::delivery::DeliveryFilter;
use crate::key::KeyChangeError;
use crate::key_table::Admission;
use crate::webhook::WebhookChangeError;

behaviour! {
    the_trunks_of_a_key_are_decided_at_admission_and_survive_a_restart,
    lists_are_limited_to_the_trunks_within_reach,
    a_limited_key_neither_finds_nor_grants_wider_keys,
    an_endpoint_with_wider_events_is_out_of_reach,
}

fn access(ids: &[TrunkId]) -> TrunkAccess {
    TrunkAccess::of(ids.to_vec())
}

async fn the_trunks_of_a_key_are_decided_at_admission_and_survive_a_restart(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let mine = trunks::make(&fixture, &store, account, "mine").await.trunk.id;
    let other = trunks::make(&fixture, &store, account, "other").await.trunk.id;
    let new = NewKey { trunks: access(&[mine]), ..new_key("limited") };
    let (created, hash) = fixture.key(&store, account, new).await;
    let admitted = |store: &crate::store::Store| {
        let handle = store.keys().find(&hash).unwrap();
        match admit(store, &handle, &hash, "192.0.2.7".parse().unwrap(), reading(NOON)) {
            Admission::Admitted { trunks, .. } => trunks,
            refused => panic!("{refused:?}"),
        }
    };
    assert_eq!(admitted(&store), access(&[mine]));
    let wider = KeyPatch { trunks: Some(access(&[mine, other])), ..KeyPatch::default() };
    let changed = store.update_key(account, created.record.id, wider, fixture.origin()).await.unwrap();
    assert_eq!((changed.trunks, admitted(&store)), (access(&[mine, other]), access(&[mine, other])));
    let foreign = fixture.other_account(&store).await;
    let theirs = trunks::make(&fixture, &store, foreign, "theirs").await.trunk.id;
    let unknown = KeyPatch { trunks: Some(access(&[theirs])), ..KeyPatch::default() };
    let refused = store.update_key(account, created.record.id, unknown, fixture.origin()).await;
    assert!(matches!(refused, Err(KeyChangeError::Beyond(_))), "a trunk of another account");
    store.close().await;
    let store = fixture.open().await;
    assert_eq!(admitted(&store), access(&[mine, other]));
    store.close().await;
}

async fn lists_are_limited_to_the_trunks_within_reach(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        let trunk = trunks::make(&fixture, &store, account, &format!("trunk-{name}")).await.trunk.id;
        store.call_started(&start(&store, account, trunk)).await.unwrap();
        fixture.key(&store, account, NewKey { trunks: access(&[trunk]), ..new_key(name) }).await;
        let mut new = for_events(name, &[EventKind::CallStarted]);
        new.subscription.trunks = vec![trunk];
        make(&fixture, &store, account, new).await;
        ids.push(trunk);
    }
    fixture.key(&store, account, NewKey { trunks: access(&ids[..2]), ..new_key("a and b") }).await;
    fixture.key(&store, account, new_key("all")).await;
    make(&fixture, &store, account, draft("all")).await;
    let page = PageRequest::default;
    for (trunks, objects, keys) in
        [(access(&ids[..1]), 1, 1), (access(&ids[..2]), 2, 3), (access(&ids), 3, 4), (TrunkAccess::ALL, 3, 5)]
    {
        let reach = || Reach { account, trunks: trunks.clone() };
        let listed = store.list_trunks(reach(), TrunkFilter::default(), page()).await.unwrap();
        assert_eq!(listed.count(), Some(objects), "trunks within {trunks}");
        let listed = store.list_calls(reach(), CallFilter::default(), page()).await.unwrap();
        assert_eq!(listed.count(), Some(objects), "calls within {trunks}");
        let listed = store.list_keys(reach(), KeyFilter::default(), page()).await.unwrap();
        assert_eq!(listed.count(), Some(keys), "keys within {trunks}");
        let listed = store.list_webhooks(reach(), None, page()).await.unwrap();
        let whole = u64::from(!trunks.is_limited());
        assert_eq!(listed.count(), Some(objects + whole), "endpoints within {trunks}");
    }
    store.close().await;
}

async fn a_limited_key_neither_finds_nor_grants_wider_keys(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let mine = trunks::make(&fixture, &store, account, "mine").await.trunk.id;
    let other = trunks::make(&fixture, &store, account, "other").await.trunk.id;
    let all = NewKey { scopes: ScopeSet::all(), trunks: access(&[mine]), ..new_key("limited") };
    let (limited, _) = fixture.key(&store, account, all).await;
    let by = fixture.by(&limited);
    for trunks in [TrunkAccess::ALL, access(&[other]), access(&[mine, other])] {
        let weak = || NewKey { trunks: trunks.clone(), rate_limit: limit(1), ..new_key("weak") };
        let created = store.create_key(account, weak(), by).await;
        assert!(matches!(created, Err(KeyChangeError::Beyond(_))), "{trunks}");
        let (wide, _) = fixture.key(&store, account, weak()).await;
        let id = wide.record.id;
        for changed in [
            store.update_key(account, id, KeyPatch::default(), by).await,
            store.pause_key(account, id, by).await,
            store.revoke_key(account, id, None, by).await,
        ] {
            assert!(matches!(changed, Err(KeyChangeError::NotFound)), "{trunks}: {changed:?}");
        }
        assert_eq!(store.get_key(Reach { account, trunks: access(&[mine]) }, id).await.unwrap(), None);
    }
    let own = NewKey { trunks: access(&[mine]), rate_limit: limit(1), ..new_key("own") };
    let own = store.create_key(account, own, by).await.unwrap().record.id;
    let widen = KeyPatch { trunks: Some(TrunkAccess::ALL), ..KeyPatch::default() };
    let widened = store.update_key(account, own, widen, by).await;
    assert!(matches!(widened, Err(KeyChangeError::Beyond(_))));
    store.revoke_key(account, own, None, by).await.unwrap();
    store.close().await;
}

async fn an_endpoint_with_wider_events_is_out_of_reach(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let mine = trunks::make(&fixture, &store, account, "mine").await.trunk.id;
    let reach = || Reach { account, trunks: access(&[mine]) };
    let mut new = for_events("mine", &[EventKind::CallStarted]);
    new.subscription.trunks = vec![mine];
    let hook = make(&fixture, &store, account, new).await.id;
    store.call_started(&start(&store, account, mine)).await.unwrap();
    let list = async || {
        store.list_deliveries(reach(), hook, DeliveryFilter::default(), PageRequest::default()).await
    };
    assert_eq!(list().await.unwrap().count(), Some(1));
    for events in ["*", "key.created,call.ended", "call.*,webhook.*", "call.ended,key.*"] {
        let events: EventFilter = events.parse().unwrap();
        let patch = || WebhookPatch { events: Some(events.clone()), ..WebhookPatch::default() };
        let refused = store.update_webhook(reach(), hook, patch(), ScopeSet::all(), fixture.origin()).await;
        assert!(matches!(refused, Err(WebhookChangeError::OutOfReach | WebhookChangeError::NotFound)));
        store.update_webhook(account, hook, patch(), ScopeSet::all(), fixture.origin()).await.unwrap();
        assert_eq!(store.get_webhook(reach(), hook).await.unwrap(), None, "{events}");
        assert!(matches!(list().await, Err(WebhookChangeError::NotFound)), "{events}");
        let rotated = store.rotate_webhook_secret(reach(), hook, 0, fixture.origin()).await;
        assert!(matches!(rotated, Err(WebhookChangeError::NotFound)), "{events}");
    }
    store.close().await;
}

//! Deliveries: an event and its deliveries are one transaction, a delivery has one lease at a time, and failures are
//! retried, exhausted, held and recovered as the domain decides.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use telepath_core::alert::{AlertFilter, AlertRule, AlertSubject};
use telepath_core::event::{EventKind, WebhookTest};
use telepath_core::id::AccountId;
use telepath_core::page::{PageRequest, PageStart};
use telepath_core::ports::CallControl as _;
use telepath_core::reach::{Reach, TrunkAccess};
use telepath_core::scope::ScopeSet;
use telepath_core::webhook::delivery::{DeliveryStatus, ErrorClass, Jitter, KEPT, Outcome};
use telepath_core::webhook::health::HealthTransition;
use telepath_core::webhook::{DisabledReason, EventFilter, NewWebhook, Subscription, Webhook, WebhookStatus};

use super::calls::start;
use super::webhooks::{disable, draft, enable, make};
use super::{Fixture, behaviour, new_key, select, trunks};
use crate::delivery::claim::{ClaimedDelivery, DeliveryQuota, Lease};
use crate::delivery::row::DeliveryRecord;
use crate::delivery::{AccountDeliveryFilter, DeliveryFilter};
use crate::error::StoreError;
use crate::sql::{Connection, Value};
use crate::store::Store;

behaviour! {
    an_event_creates_a_delivery_for_each_subscribed_endpoint,
    a_rolled_back_event_has_no_deliveries,
    a_failure_is_retried_on_schedule_and_a_success_ends_the_delivery,
    status_410_disables_the_endpoint_and_holds_its_events_until_recovery,
    a_delivery_can_be_redelivered,
    a_long_failing_endpoint_raises_a_warning_and_is_disabled,
    lists_page_by_cursor_in_both_directions,
    deliveries_to_all_endpoints_are_found_by_call_and_key,
    finished_deliveries_are_purged_after_retention,
}

pub(super) fn came_of_it(error: Option<ErrorClass>) -> Outcome {
    let status = if error.is_none() { 200 } else { 500 };
    let duration = Duration::from_millis(12);
    Outcome { status: Some(status), error, retry_after: None, duration, response_body: b"answer".to_vec() }
}

pub(super) async fn event(fixture: &Fixture, store: &Store, account: AccountId) {
    store.create_key(account, new_key("an event"), fixture.origin()).await.unwrap();
}

/// A quota for a process that is sending nothing to the endpoint.
pub(super) fn quota(webhook: &Webhook, deliveries: u32) -> DeliveryQuota {
    DeliveryQuota { webhook: webhook.id, deliveries, running: vec![] }
}

/// A lease of its own for each claim, as the sender makes them.
pub(super) fn next_lease(process: &str) -> Lease {
    static CLAIMS: AtomicU64 = AtomicU64::new(0);
    Lease::new(process, CLAIMS.fetch_add(1, Ordering::Relaxed))
}

pub(super) async fn claim(store: &Store, webhook: &Webhook, deliveries: u32) -> Vec<ClaimedDelivery> {
    let ends = store.now().plus(Duration::from_mins(1));
    let quotas = vec![quota(webhook, deliveries)];
    store.claim_deliveries(quotas, &next_lease("this process"), ends).await.unwrap()
}

pub(super) async fn finish(
    store: &Store,
    claimed: &ClaimedDelivery,
    error: Option<ErrorClass>,
) -> HealthTransition {
    store.finish_attempt(claimed, came_of_it(error), Jitter(0)).await.unwrap()
}

pub(super) async fn deliveries(store: &Store, account: AccountId, webhook: &Webhook) -> Vec<DeliveryRecord> {
    let filter = DeliveryFilter { oldest_first: true, ..DeliveryFilter::default() };
    store.list_deliveries(account, webhook.id, filter, PageRequest::default()).await.unwrap().items
}

pub(super) fn for_events(path: &str, kinds: &[EventKind]) -> NewWebhook {
    let mut new = draft(path);
    new.subscription.events = EventFilter::of(kinds);
    new
}

async fn an_event_creates_a_delivery_for_each_subscribed_endpoint(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let [mine, other] = [
        trunks::make(&fixture, &store, account, "mine").await.trunk.id,
        trunks::make(&fixture, &store, account, "other").await.trunk.id,
    ];
    let all = make(&fixture, &store, account, draft("all")).await;
    let keys = make(&fixture, &store, account, for_events("keys", &[EventKind::KeyCreated])).await;
    let mut new = draft("trunk");
    new.subscription.trunks = vec![mine];
    let of_trunk = make(&fixture, &store, account, new).await;
    let mut new = draft("off");
    new.status = WebhookStatus::Disabled;
    let off = make(&fixture, &store, account, new).await;
    event(&fixture, &store, account).await;
    for trunk in [mine, other] {
        store.call_started(&start(&store, account, trunk)).await.unwrap();
    }
    let kinds = async |webhook: &Webhook| {
        let list = deliveries(&store, account, webhook).await;
        list.iter().map(|delivery| (delivery.kind, delivery.status)).collect::<Vec<_>>()
    };
    let (key, call) = (EventKind::KeyCreated, EventKind::CallStarted);
    let (pending, held) = (DeliveryStatus::Pending, DeliveryStatus::Held);
    let count =
        |list: &[(EventKind, DeliveryStatus)], wanted| list.iter().filter(|one| **one == wanted).count();
    let to_all = kinds(&all).await;
    assert_eq!((to_all.len(), count(&to_all, (key, pending)), count(&to_all, (call, pending))), (3, 1, 2));
    assert_eq!(kinds(&keys).await, [(key, pending)]);
    let to_trunk = kinds(&of_trunk).await;
    assert_eq!((to_trunk.len(), count(&to_trunk, (call, pending))), (2, 1));
    let to_off = kinds(&off).await;
    assert_eq!((to_off.len(), count(&to_off, (key, held))), (3, 1));
    let claimed = claim(&store, &keys, 10).await;
    let stored = select(&store, "SELECT payload FROM outbox_events WHERE kind = 'key.created'", vec![]).await;
    assert_eq!(claimed[0].body, stored[0].text("payload").unwrap());
    store.close().await;
}

async fn a_rolled_back_event_has_no_deliveries(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let webhook = make(&fixture, &store, account, draft("a")).await;
    let (id, now) = (store.new_id(store.now()).unwrap(), store.now());
    let event = WebhookTest { webhook_id: webhook.id, reason: "requested" };
    let broken: Result<(), StoreError> = store
        .backend
        .write(move |db: &mut Connection| {
            Box::pin(async move {
                crate::event::write(db, account, id, event.into(), now).await?;
                Err(StoreError::Busy)
            })
        })
        .await;
    assert!(broken.is_err());
    assert!(select(&store, "SELECT id FROM outbox_events", vec![]).await.is_empty());
    assert!(select(&store, "SELECT id FROM webhook_deliveries", vec![]).await.is_empty());
    store.close().await;
}

async fn a_failure_is_retried_on_schedule_and_a_success_ends_the_delivery(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let webhook = make(&fixture, &store, account, draft("a")).await;
    event(&fixture, &store, account).await;
    let claimed = claim(&store, &webhook, 1).await.pop().unwrap();
    assert_eq!(finish(&store, &claimed, Some(ErrorClass::ServerError)).await, HealthTransition::None);
    let failing = store.get_webhook(account, webhook.id).await.unwrap().unwrap().health;
    assert_eq!((failing.failures, failing.failing_since), (1, Some(store.now())));
    fixture.clock.advance(Duration::from_millis(3_999));
    assert!(claim(&store, &webhook, 1).await.is_empty());
    fixture.clock.advance(Duration::from_millis(1));
    let again = claim(&store, &webhook, 1).await.pop().unwrap();
    assert_eq!((again.id, again.attempt), (claimed.id, 2));
    finish(&store, &again, None).await;
    let DeliveryRecord { status, attempts, attempt_records, next_at, finished_at, .. } =
        store.get_delivery(account, claimed.id).await.unwrap().unwrap().record;
    assert_eq!((status, attempts, next_at), (DeliveryStatus::Delivered, 2, None));
    assert_eq!(finished_at, Some(store.now()));
    assert_eq!(
        attempt_records.iter().map(|one| one.error).collect::<Vec<_>>(),
        [Some(ErrorClass::ServerError), None]
    );
    assert_eq!(
        (attempt_records[0].duration_ms, attempt_records[0].status, &*attempt_records[0].response_body),
        (12, Some(500), &b"answer"[..])
    );
    let healthy = store.get_webhook(account, webhook.id).await.unwrap().unwrap().health;
    assert_eq!(healthy, telepath_core::webhook::Health::default());
    store.close().await;
}

async fn status_410_disables_the_endpoint_and_holds_its_events_until_recovery(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let webhook = make(&fixture, &store, account, draft("a")).await;
    let watcher = make(&fixture, &store, account, for_events("b", &[EventKind::WebhookDisabled])).await;
    for _ in 0..3 {
        event(&fixture, &store, account).await;
    }
    let mut claimed = claim(&store, &webhook, 2).await;
    let gone = finish(&store, &claimed.pop().unwrap(), Some(ErrorClass::Gone)).await;
    assert_eq!(gone, HealthTransition::Disable(DisabledReason::Gone));
    // The other attempt in flight finishes on its own.
    finish(&store, &claimed.pop().unwrap(), Some(ErrorClass::Connect)).await;
    event(&fixture, &store, account).await;
    let shown = store.get_webhook(account, webhook.id).await.unwrap().unwrap();
    assert_eq!((shown.status, shown.disabled_reason), (WebhookStatus::Disabled, Some(DisabledReason::Gone)));
    let list = deliveries(&store, account, &webhook).await;
    let held = list.iter().filter(|delivery| delivery.status == DeliveryStatus::Held).count();
    assert_eq!((list.len(), held), (5, 5), "four keys, and the event that the endpoint is disabled");
    assert!(claim(&store, &webhook, 10).await.is_empty());
    assert_eq!(deliveries(&store, account, &watcher).await[0].kind, EventKind::WebhookDisabled);
    let refused = store.recover_deliveries(account, webhook.id, super::NOON, fixture.origin()).await;
    assert!(matches!(refused, Err(crate::WebhookChangeError::Disabled)));
    store.update_webhook(account, webhook.id, enable(), ScopeSet::all(), fixture.origin()).await.unwrap();
    assert!(claim(&store, &webhook, 10).await.is_empty(), "held deliveries wait for a recovery");
    let later = store.now().plus(Duration::from_secs(1));
    let none = store.recover_deliveries(account, webhook.id, later, fixture.origin()).await.unwrap();
    assert_eq!(none.deliveries, 0, "there was no request since then");
    let recovered =
        store.recover_deliveries(account, webhook.id, super::NOON, fixture.origin()).await.unwrap();
    assert_eq!((recovered.deliveries, recovered.more), (5, false));
    let again = claim(&store, &webhook, 10).await;
    assert_eq!(again.len(), 5);
    let tries = select(&store, "SELECT tries FROM webhook_deliveries", vec![]).await;
    let restarted = tries.iter().filter(|row| row.integer("tries").unwrap() == 0).count();
    assert!(restarted >= 5, "from the beginning of the schedule");
    store.close().await;
}

async fn a_delivery_can_be_redelivered(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let webhook = make(&fixture, &store, account, draft("a")).await;
    event(&fixture, &store, account).await;
    let claimed = claim(&store, &webhook, 1).await.pop().unwrap();
    finish(&store, &claimed, None).await;
    let asked = store.redeliver(account, claimed.id, fixture.origin()).await.unwrap();
    assert_eq!((asked.status, asked.attempts, asked.finished_at), (DeliveryStatus::Pending, 1, None));
    let again = claim(&store, &webhook, 1).await.pop().unwrap();
    assert_eq!((again.event, again.attempt), (claimed.event, 2));
    store.update_webhook(account, webhook.id, disable(), ScopeSet::all(), fixture.origin()).await.unwrap();
    let refused = store.redeliver(account, claimed.id, fixture.origin()).await;
    assert!(matches!(refused, Err(crate::WebhookChangeError::Disabled)));
    store.close().await;
}

async fn a_long_failing_endpoint_raises_a_warning_and_is_disabled(fixture: Arc<Fixture>) {
    let store = fixture.open_with(|options| options.alerts.by_mail = true).await;
    let account = fixture.account(&store).await.id;
    let webhook = make(&fixture, &store, account, draft("a")).await;
    let mut transitions = Vec::new();
    // An event every six hours, each attempted once: 21 failures in five days.
    for hours in (0..=120).step_by(6) {
        event(&fixture, &store, account).await;
        let claimed = claim(&store, &webhook, 1).await.pop().unwrap();
        match finish(&store, &claimed, Some(ErrorClass::Connect)).await {
            HealthTransition::None => {}
            transition @ (HealthTransition::Warn | HealthTransition::Disable(_)) => {
                transitions.push((hours, transition));
            }
        }
        fixture.clock.advance(Duration::from_hours(6));
    }
    assert_eq!(
        transitions,
        [(60, HealthTransition::Warn), (120, HealthTransition::Disable(DisabledReason::Failing))]
    );
    let shown = store.get_webhook(account, webhook.id).await.unwrap().unwrap();
    assert_eq!((shown.status, shown.health.failures), (WebhookStatus::Disabled, 21));
    assert_eq!(shown.health.given_up_at(), Some(super::NOON.plus(Duration::from_hours(120))));
    let about = AlertFilter { subject: Some(webhook.id.into()), ..AlertFilter::default() };
    let alerts = store.list_alerts(account, about, PageRequest::default()).await.unwrap().items;
    let [alert] = alerts.as_slice() else { panic!("one warning for one run of failures: {alerts:?}") };
    assert_eq!((alert.rule, alert.subject), (AlertRule::WebhookFailing, AlertSubject::Webhook(webhook.id)));
    assert_eq!((alert.name.as_str(), &alert.figures["failures"]), (webhook.url.host(), &json!(11)));
    let mails = store.claim_mails().await.unwrap();
    assert_eq!(mails.iter().map(|mail| mail.alert.id).collect::<Vec<_>>(), [alert.id]);
    let noted = store.acknowledge_alert(account, alert.id, None, fixture.origin()).await.unwrap().unwrap();
    assert!(noted.acknowledged.is_some());
    store.close().await;
}

async fn lists_page_by_cursor_in_both_directions(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let webhook = make(&fixture, &store, account, draft("a")).await;
    for _ in 0..5 {
        fixture.clock.advance(Duration::from_millis(2));
        event(&fixture, &store, account).await;
    }
    for oldest_first in [true, false] {
        let (mut seen, mut start) = (Vec::new(), Some(PageStart::Offset(0)));
        while let Some(from) = start {
            let filter = DeliveryFilter { oldest_first, ..DeliveryFilter::default() };
            let page = PageRequest::starting(2, from).unwrap();
            let list = store.list_deliveries(account, webhook.id, filter, page).await.unwrap();
            assert_eq!(list.count(), seen.is_empty().then_some(5), "only the first page counts the list");
            seen.extend(list.items.iter().map(|delivery| delivery.created_at));
            start = list.position.next.map(PageStart::After);
        }
        assert_eq!(seen.len(), 5);
        assert!(if oldest_first { seen.is_sorted() } else { seen.is_sorted_by(|a, b| a >= b) });
    }
    store.close().await;
}

async fn finished_deliveries_are_purged_after_retention(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let webhook = make(&fixture, &store, account, draft("a")).await;
    event(&fixture, &store, account).await;
    let claimed = claim(&store, &webhook, 1).await.pop().unwrap();
    finish(&store, &claimed, None).await;
    event(&fixture, &store, account).await;
    let count = async |sql| select(&store, sql, Vec::<Value>::new()).await.len();
    fixture.clock.advance(KEPT);
    store.purge_deliveries().await.unwrap();
    assert_eq!(count("SELECT id FROM webhook_deliveries").await, 2, "to the day");
    fixture.clock.advance(Duration::from_millis(1));
    store.purge_deliveries().await.unwrap();
    assert_eq!(count("SELECT id FROM webhook_deliveries").await, 1, "pending deliveries are kept");
    assert_eq!(count("SELECT delivery_id FROM webhook_attempts").await, 0);
    assert_eq!(count("SELECT id FROM outbox_events").await, 1);
    store.close().await;
}

async fn deliveries_to_all_endpoints_are_found_by_call_and_key(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let [mine, other] = [
        trunks::make(&fixture, &store, account, "mine").await.trunk.id,
        trunks::make(&fixture, &store, account, "other").await.trunk.id,
    ];
    let limited = NewWebhook {
        subscription: Subscription {
            trunks: vec![mine],
            ..for_events("/a", &[EventKind::CallStarted]).subscription
        },
        ..for_events("/a", &[EventKind::CallStarted])
    };
    let own = make(&fixture, &store, account, limited).await;
    let all = make(&fixture, &store, account, draft("/b")).await;
    let calls = [start(&store, account, mine), start(&store, account, other)];
    for call in &calls {
        store.call_started(call).await.unwrap();
    }
    let key = store.create_key(account, new_key("an event"), fixture.origin()).await.unwrap().record.id;
    let list = async |reach: Reach, filter: AccountDeliveryFilter| {
        let page = store.list_account_deliveries(reach, filter, PageRequest::default()).await.unwrap();
        assert_eq!(page.count(), Some(page.items.len() as u64));
        page.items.iter().map(|delivery| (delivery.webhook_id, delivery.kind)).collect::<Vec<_>>()
    };
    let of_call = |call: usize| AccountDeliveryFilter { call: Some(calls[call].id), ..Default::default() };
    let mut both = list(account.into(), of_call(0)).await;
    both.sort_unstable_by_key(|(webhook, _)| *webhook != own.id);
    assert_eq!(both, [(own.id, EventKind::CallStarted), (all.id, EventKind::CallStarted)]);
    assert_eq!(list(account.into(), of_call(1)).await, [(all.id, EventKind::CallStarted)]);
    let of_key = AccountDeliveryFilter { key: Some(key), ..Default::default() };
    assert_eq!(list(account.into(), of_key).await, [(all.id, EventKind::KeyCreated)]);
    let nothing = AccountDeliveryFilter { key: Some(key), ..of_call(0) };
    assert_eq!(list(account.into(), nothing).await, []);
    assert_eq!(list(account.into(), AccountDeliveryFilter::default()).await.len(), 4);
    let limited = || Reach { account, trunks: TrunkAccess::of(vec![mine]) };
    assert_eq!(list(limited(), of_call(0)).await, [(own.id, EventKind::CallStarted)]);
    assert_eq!(list(limited(), of_call(1)).await, []);
    let foreign = fixture.other_account(&store).await;
    assert_eq!(list(foreign.into(), of_call(0)).await, []);
    store.close().await;
}

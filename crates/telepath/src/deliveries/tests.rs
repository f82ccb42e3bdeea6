//! Tests of the webhook sender against a real TLS endpoint. Retries are due by the store's clock, which the tests advance.

mod responses;
mod sink;

use std::sync::Arc;
use std::time::Duration;

use telepath_core::audit::Origin;
use telepath_core::clock::{Clock as _, ManualClock};
use telepath_core::entropy::SystemEntropy;
use telepath_core::id::{AccountId, WebhookId};
use telepath_core::page::PageRequest;
use telepath_core::secret::{KeyMode, SecretText};
use telepath_core::vault::{MasterKey, Vault};
use telepath_core::webhook::delivery::DeliveryStatus;
use telepath_core::webhook::signature::{SigningSecret, header};
use telepath_core::webhook::{WebhookDraft, WebhookStatus};
use telepath_egress::AllowList;
use telepath_store::{Database, DeliveryFilter, DeliveryRecord, StoreContext, StoreOptions};

use super::*;
use crate::temporary::TemporaryFolder;
use sink::{Reply, Sink};

/// So long that only a fault, not a busy machine, exceeds it.
const PATIENCE: Duration = Duration::from_mins(3);
/// The sender's timeouts in tests that are not about timeouts.
const TIMEOUTS: Timeouts = Timeouts { connect: Duration::from_mins(1), total: Duration::from_mins(2) };
const NOON: Timestamp = Timestamp::from_unix_seconds(1_800_014_400);

async fn within<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("this should have happened long ago")
}

struct World {
    store: Arc<Store>,
    clock: Arc<ManualClock>,
    account: AccountId,
    stop: CancellationToken,
    sender: task::JoinHandle<()>,
    _folder: TemporaryFolder,
}

impl World {
    /// A sender that is allowed to reach the sink.
    async fn start(sink: &Sink) -> Self {
        Self::reaching(sink, &format!("127.0.0.1:{}", sink.port)).await
    }

    async fn reaching(sink: &Sink, allow: &str) -> Self {
        Self::trusting(TemporaryFolder::new(), allow, sink.trust()).await
    }

    async fn trusting(folder: TemporaryFolder, allow: &str, trust: Arc<rustls::ClientConfig>) -> Self {
        let clock = Arc::new(ManualClock::at(NOON));
        let entropy = Arc::new(SystemEntropy::default());
        let vault = Arc::new(Vault::new(&MasterKey::generate(&*entropy).unwrap()).unwrap());
        let context = StoreContext { vault, clock: clock.clone(), entropy };
        let database = Database::Sqlite { path: folder.path().join("telepath.db") };
        let store = Store::open(StoreOptions::new(database), context).await.unwrap();
        let origin = Origin::local(NOON);
        let account = store.ensure_account("Example", KeyMode::Live, origin).await.unwrap().id;
        let allow: AllowList = allow.parse().unwrap();
        let egress = Egress::with_resolver_and_trust(allow, Arc::new(sink::Numbers), trust);
        let stop = CancellationToken::new();
        let sender = tokio::spawn(send_within(TIMEOUTS, Arc::clone(&store), egress, 512, stop.clone()));
        Self { store, clock, account, stop, sender, _folder: folder }
    }

    fn origin(&self) -> Origin {
        Origin::local(self.clock.now())
    }

    async fn webhook(&self, url: String) -> (WebhookId, SecretText) {
        let draft = WebhookDraft { url: Some(url), ..WebhookDraft::default() };
        let made =
            self.store.create_webhook(self.account, draft.check().unwrap(), self.origin()).await.unwrap();
        (made.webhook.id, made.secret.unwrap())
    }

    async fn event(&self, webhook: WebhookId) -> DeliveryRecord {
        self.store.test_webhook(self.account, webhook, self.origin()).await.unwrap()
    }

    /// Waits until the delivery satisfies the predicate.
    async fn until(&self, of: &DeliveryRecord, wanted: impl Fn(&DeliveryRecord) -> bool) -> DeliveryRecord {
        within(async {
            loop {
                let found = self.store.get_delivery(self.account, of.id).await.unwrap().unwrap().record;
                if wanted(&found) {
                    return found;
                }
                task::yield_now().await;
            }
        })
        .await
    }

    async fn stop(self) {
        self.stop.cancel();
        within(self.sender).await.unwrap();
        self.store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_delivered_once_and_signed() {
    let mut sink = Sink::start(|_| Reply::status(204)).await;
    let world = World::start(&sink).await;
    let (webhook, secret) = world.webhook(sink.url("/hook?a=b")).await;
    let delivery = world.event(webhook).await;
    let got = sink.next().await;
    assert_eq!(got.line, "POST /hook?a=b HTTP/1.1");
    let body: serde_json::Value = serde_json::from_str(&got.body).unwrap();
    assert_eq!((&body["event"], &body["sequence"]), (&"webhook.test".into(), &1.into()));
    assert_eq!(
        (got.header("webhook-id"), body["id"].as_str().unwrap()),
        (&*delivery.event_id.to_string(), got.header("webhook-id"))
    );
    let secrets = [SigningSecret::parse(&secret).unwrap()];
    let seconds = NOON.unix_seconds();
    let signature = header(&secrets, got.header("webhook-id"), seconds, got.body.as_bytes()).unwrap();
    assert_eq!(got.header("webhook-timestamp"), seconds.to_string());
    assert_eq!(got.header("webhook-signature"), signature);
    assert_eq!(got.header("x-telepath-attempt"), "1");
    assert_eq!(got.header("content-type"), "application/json");
    assert!(got.header("user-agent").starts_with("Telepath/"));
    assert_eq!(got.header("host"), format!("127.0.0.1:{}", sink.port));
    let done = world.until(&delivery, |delivery| delivery.status == DeliveryStatus::Delivered).await;
    assert_eq!((done.attempts, done.attempt_records[0].status), (1, Some(204)));
    world.clock.advance(Duration::from_hours(1));
    world.stop().await;
    assert_eq!(sink.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_attempt_is_retried_on_schedule_with_the_same_id() {
    let mut sink =
        Sink::start(|got| Reply::status(if got.header("x-telepath-attempt") == "1" { 503 } else { 200 }))
            .await;
    let world = World::start(&sink).await;
    let (webhook, _) = world.webhook(sink.url("/")).await;
    let delivery = world.event(webhook).await;
    let first = sink.next().await;
    world.until(&delivery, |delivery| delivery.attempts == 1).await;
    world.clock.advance(Duration::from_secs(6));
    let second = sink.next().await;
    assert_eq!(first.header("webhook-id"), second.header("webhook-id"));
    assert_eq!((second.header("x-telepath-attempt"), &first.body), ("2", &second.body));
    assert_ne!(first.header("webhook-timestamp"), second.header("webhook-timestamp"));
    let done = world.until(&delivery, |delivery| delivery.status == DeliveryStatus::Delivered).await;
    assert_eq!(done.attempt_records[0].error, Some(ErrorClass::ServerError));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed() {
    let mut sink =
        Sink::start(|_| Reply::with(307, "Location: /elsewhere\r\nContent-Length: 0\r\n", b"")).await;
    let world = World::start(&sink).await;
    let (webhook, _) = world.webhook(sink.url("/here")).await;
    let delivery = world.event(webhook).await;
    assert_eq!(sink.next().await.line, "POST /here HTTP/1.1");
    let failed = world.until(&delivery, |delivery| delivery.attempts == 1).await;
    assert_eq!(
        (failed.status, failed.attempt_records[0].error),
        (DeliveryStatus::Pending, Some(ErrorClass::Redirect))
    );
    world.stop().await;
    assert_eq!(sink.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_410_response_ends_deliveries_to_the_endpoint() {
    let sink = Sink::start(|_| Reply::status(410)).await;
    let world = World::start(&sink).await;
    let (webhook, _) = world.webhook(sink.url("/")).await;
    let delivery = world.event(webhook).await;
    world.until(&delivery, |delivery| delivery.status == DeliveryStatus::Held).await;
    let shown = world.store.get_webhook(world.account, webhook).await.unwrap().unwrap();
    assert_eq!(shown.status, WebhookStatus::Disabled);
    world.clock.advance(Duration::from_hours(24));
    world.stop().await;
    assert_eq!(sink.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_response_body_is_truncated_and_not_waited_for() {
    // The content length promises more than is ever sent.
    let sink = Sink::start(|_| Reply::with(200, "Content-Length: 10000000\r\n", &vec![b'a'; 70_000])).await;
    let world = World::start(&sink).await;
    let (webhook, _) = world.webhook(sink.url("/")).await;
    let delivery = world.event(webhook).await;
    let done = world.until(&delivery, |delivery| delivery.status == DeliveryStatus::Delivered).await;
    assert_eq!(done.attempt_records[0].response_body, vec![b'a'; 16 * 1024]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_is_not_allowed_is_refused_without_connecting() {
    let sink = Sink::start(|_| Reply::status(200)).await;
    let world = World::reaching(&sink, "10.0.0.0/8").await;
    let (webhook, _) = world.webhook(sink.url("/")).await;
    let delivery = world.event(webhook).await;
    let failed = world.until(&delivery, |delivery| delivery.attempts == 1).await;
    assert_eq!(failed.attempt_records[0].error, Some(ErrorClass::AddressRefused));
    world.stop().await;
    assert_eq!(sink.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_untrusted_certificate_is_rejected() {
    let sink = Sink::start(|_| Reply::status(200)).await;
    let stranger = Sink::start(|_| Reply::status(200)).await;
    let world = World::reaching(&sink, &format!("127.0.0.1:{}", stranger.port)).await;
    let (webhook, _) = world.webhook(stranger.url("/")).await;
    let delivery = world.event(webhook).await;
    let failed = world.until(&delivery, |delivery| delivery.attempts == 1).await;
    assert_eq!(failed.attempt_records[0].error, Some(ErrorClass::Tls));
    world.stop().await;
    assert_eq!(stranger.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_never_responds_uses_only_its_own_concurrency() {
    let sink =
        Sink::start(|got| if got.line.contains("/mute") { Reply::Never } else { Reply::status(200) }).await;
    let world = World::start(&sink).await;
    let (mute, _) = world.webhook(sink.url("/mute")).await;
    let (good, _) = world.webhook(sink.url("/good")).await;
    for _ in 0..30 {
        world.event(mute).await;
        world.event(good).await;
    }
    let delivered = DeliveryFilter { status: Some(DeliveryStatus::Delivered), ..DeliveryFilter::default() };
    let count = async || {
        let list = world.store.list_deliveries(world.account, good, delivered, PageRequest::default()).await;
        list.unwrap().count().unwrap()
    };
    within(async {
        while count().await < 30 {
            task::yield_now().await;
        }
    })
    .await;
    assert!(
        sink.count() <= 30 + 10,
        "at most ten concurrent attempts to the endpoint that never responds: {}",
        sink.count()
    );
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_interrupted_by_a_shutdown_are_due_again() {
    let mut sink = Sink::start(|_| Reply::Never).await;
    let world = World::start(&sink).await;
    let (webhook, _) = world.webhook(sink.url("/")).await;
    world.event(webhook).await;
    sink.next().await;
    world.stop.cancel();
    within(world.sender).await.unwrap();
    let due = world.store.due_webhooks(None).await.unwrap();
    assert_eq!((due.len(), due[0].in_flight), (1, 0));
    world.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_and_certificate_authorities_of_an_endpoint_are_used() {
    let mut sink = Sink::start(|_| Reply::status(200)).await;
    let stranger = Sink::start(|_| Reply::status(200)).await;
    // The system trusts another authority only.
    let folder = TemporaryFolder::new();
    let allow = format!("127.0.0.1:{}", sink.port);
    let world = World::trusting(folder, &allow, stranger.trust()).await;
    let headers = [("Authorization", "Bearer a"), ("X-Tenant", "7")];
    let headers = headers.map(|(name, value)| (name.to_owned(), SecretText::new(value.to_owned())));
    let draft = WebhookDraft {
        url: Some(sink.url("/")),
        headers: Some(headers.into()),
        ca_pem: Some(sink.ca_pem()),
        ..WebhookDraft::default()
    };
    let made = world.store.create_webhook(world.account, draft.check().unwrap(), world.origin()).await;
    let delivery = world.event(made.unwrap().webhook.id).await;
    let got = sink.next().await;
    assert_eq!((got.header("authorization"), got.header("x-tenant")), ("Bearer a", "7"));
    world.until(&delivery, |delivery| delivery.status == DeliveryStatus::Delivered).await;
    let (other, _) = world.webhook(sink.url("/")).await;
    let delivery = world.event(other).await;
    let failed = world.until(&delivery, |delivery| delivery.attempts == 1).await;
    assert_eq!(failed.attempt_records[0].error, Some(ErrorClass::Tls), "without ca_pem the system decides");
    world.stop().await;
    assert_eq!(sink.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_attempt_is_not_sent_again_after_a_clock_step_or_a_redelivery() {
    let mut sink =
        Sink::start(|got| if got.line.contains("/mute") { Reply::Never } else { Reply::status(200) }).await;
    let world = World::start(&sink).await;
    let (mute, _) = world.webhook(sink.url("/mute")).await;
    let (good, _) = world.webhook(sink.url("/good")).await;
    let running = world.event(mute).await;
    assert!(sink.next().await.line.contains("/mute"));
    // The lease ends while the attempt runs.
    world.clock.advance(Duration::from_hours(1));
    world.store.redeliver(world.account, running.id, world.origin()).await.unwrap();
    for _ in 0..3 {
        let other = world.event(good).await;
        world.until(&other, |delivery| delivery.status == DeliveryStatus::Delivered).await;
        assert!(
            sink.next().await.line.contains("/good"),
            "the other endpoint gets its events, and only they are sent"
        );
    }
    world.stop().await;
    assert_eq!(sink.count(), 4);
}

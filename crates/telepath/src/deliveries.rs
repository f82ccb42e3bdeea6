//! Sends webhook deliveries: claims due deliveries from the outbox, makes the attempts and records the results.
//! `telepath_core::webhook` decides what a result means. All state is in the database, so after a crash the deliveries are
//! claimed again when their leases expire.

pub(crate) mod post;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use telepath_core::base62;
use telepath_core::clock::Timestamp;
use telepath_core::entropy::{EntropyError, random_bytes, random_text};
use telepath_core::id::{DeliveryId, WebhookId};
use telepath_core::webhook::delivery::{ErrorClass, Jitter, Outcome};
use telepath_core::webhook::fairness::{Demand, allocate};
use telepath_core::webhook::health::HealthTransition;
use telepath_egress::Egress;
use telepath_store::{ClaimedDelivery, DeliveryQuota, DueWebhook, Lease, RunningDelivery, Store, StoreError};
use tokio::task::{self, JoinError, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use post::{Destination, Timeouts};

/// The maximum number of concurrent attempts of this process, over all endpoints, where the descriptors suffice.
pub(crate) const MAX_IN_FLIGHT: u32 = 512;
/// How long a claim lasts without renewal. After a crash, claimed deliveries are due again after this time.
const LEASE: Duration = Duration::from_secs(15);
/// How often leases of running attempts are renewed.
const RENEW_INTERVAL: Duration = Duration::from_secs(5);
/// How often the outbox is polled for retries and for events of other processes. A local commit wakes the sender at once.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// The minimum time between two polls, however many events are committed.
const MIN_POLL_INTERVAL: Duration = Duration::from_millis(5);
/// The pause after a database error.
const ERROR_PAUSE: Duration = Duration::from_secs(1);
/// How long a shutdown waits for running attempts. The others are made after the next start.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

const ATTEMPTS: &str = "telepath_webhook_attempts_total";
const IN_FLIGHT: &str = "telepath_webhook_attempts_in_flight";

/// Registers the descriptions of this module's metrics.
pub(crate) fn describe_metrics() {
    metrics::describe_counter!(ATTEMPTS, "Webhook delivery attempts, by result.");
    metrics::describe_gauge!(IN_FLIGHT, "Webhook delivery attempts in flight.");
    for result in ErrorClass::ALL.iter().copied().map(Some).chain([None]) {
        metrics::counter!(ATTEMPTS, "result" => name_of(result)).increment(0);
    }
    metrics::gauge!(IN_FLIGHT).set(0.0);
}

/// The result of an attempt, as a label.
fn name_of(error: Option<ErrorClass>) -> &'static str {
    error.map_or("delivered", ErrorClass::name)
}

/// Sends deliveries until `stop` is cancelled, with at most `max_in_flight` attempts at once.
pub(crate) async fn send(store: Arc<Store>, egress: Egress, max_in_flight: usize, stop: CancellationToken) {
    send_within(Timeouts::default(), store, egress, max_in_flight, stop).await;
}

async fn send_within(
    timeouts: Timeouts,
    store: Arc<Store>,
    egress: Egress,
    max_in_flight: usize,
    stop: CancellationToken,
) {
    match Sender::new(timeouts, store, egress, max_in_flight) {
        Ok(mut sender) => {
            sender.run(&stop).await;
            sender.end().await;
        }
        Err(error) => tracing::error!(%error, "could not start the webhook sender"),
    }
}

/// A delivery that this process is sending.
struct Running {
    webhook: WebhookId,
    delivery: RunningDelivery,
}

struct Sender {
    timeouts: Timeouts,
    store: Arc<Store>,
    egress: Egress,
    max_in_flight: usize,
    /// Identifies this process in leases.
    process: String,
    /// The number of the last claim.
    claims: u64,
    attempts: JoinSet<()>,
    /// What the tasks in `attempts` send. None of it is claimed again before its task has ended.
    running: HashMap<task::Id, Running>,
    /// Rotates the order of endpoints with equally many deliveries in flight.
    round: usize,
    /// The last endpoint that was read, when there were more than are read at once.
    after: Option<WebhookId>,
    renewed: Instant,
    failing: bool,
}

impl Sender {
    fn new(
        timeouts: Timeouts,
        store: Arc<Store>,
        egress: Egress,
        max_in_flight: usize,
    ) -> Result<Self, EntropyError> {
        Ok(Self {
            process: random_text(store.entropy().as_ref(), base62::ALPHABET, 22)?,
            timeouts,
            store,
            egress,
            max_in_flight,
            claims: 0,
            attempts: JoinSet::new(),
            running: HashMap::new(),
            round: 0,
            after: None,
            renewed: Instant::now(),
            failing: false,
        })
    }

    async fn run(&mut self, stop: &CancellationToken) {
        loop {
            let not_before = Instant::now() + MIN_POLL_INTERVAL;
            if let Err(error) = self.renew_and_claim().await {
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!(%error, "could not claim webhook deliveries; retrying every second");
                }
                if stop.run_until_cancelled(sleep(ERROR_PAUSE)).await.is_none() {
                    return;
                }
            } else if std::mem::take(&mut self.failing) {
                tracing::info!("recovered: can claim webhook deliveries again");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                Some(finished) = self.attempts.join_next_with_id() => self.on_finished(finished),
                () = self.store.wait_for_commit() => {}
                () = sleep(POLL_INTERVAL) => {}
            }
            while let Some(finished) = self.attempts.try_join_next_with_id() {
                self.on_finished(finished);
            }
            sleep_until(not_before).await;
        }
    }

    async fn renew_and_claim(&mut self) -> Result<(), StoreError> {
        if self.renewed.elapsed() >= RENEW_INTERVAL {
            self.store.renew_deliveries(&self.leases(), self.lease_ends()).await?;
            self.store.release_distant_deliveries().await?;
            self.renewed = Instant::now();
        }
        self.claim().await
    }

    fn lease_ends(&self) -> Timestamp {
        self.store.clock().now().plus(LEASE)
    }

    fn leases(&self) -> Vec<RunningDelivery> {
        self.running.values().map(|running| running.delivery.clone()).collect()
    }

    /// Claims due deliveries up to the concurrency limits and starts their attempts.
    async fn claim(&mut self) -> Result<(), StoreError> {
        let free = self.max_in_flight.saturating_sub(self.attempts.len());
        if free == 0 {
            return Ok(());
        }
        let due = self.store.due_webhooks(self.after).await?;
        self.after = due.last().map(|webhook| webhook.id);
        let quotas = self.quotas(&due, u32::try_from(free).unwrap_or(u32::MAX));
        if quotas.is_empty() {
            return Ok(());
        }
        self.round = self.round.wrapping_add(1);
        self.claims += 1;
        let lease = Lease::new(&self.process, self.claims);
        for claimed in self.store.claim_deliveries(quotas, &lease, self.lease_ends()).await? {
            let (webhook, id) = (claimed.target.webhook, claimed.id);
            let (store, egress) = (Arc::clone(&self.store), self.egress.clone());
            let task = self.attempts.spawn(attempt(store, egress, self.timeouts, claimed)).id();
            let delivery = RunningDelivery { id, lease: lease.clone() };
            self.running.insert(task, Running { webhook, delivery });
        }
        metrics::gauge!(IN_FLIGHT).set(count(self.attempts.len()));
        Ok(())
    }

    fn quotas(&self, due: &[DueWebhook], free: u32) -> Vec<DeliveryQuota> {
        let mut running: HashMap<WebhookId, Vec<DeliveryId>> = HashMap::new();
        for Running { webhook, delivery } in self.running.values() {
            running.entry(*webhook).or_default().push(delivery.id);
        }
        let of = |webhook: &DueWebhook| running.get(&webhook.id).map_or(&[][..], Vec::as_slice);
        let demands: Vec<_> = due
            .iter()
            .map(|webhook| {
                // Attempts of this process count even if their leases have expired.
                let own = u32::try_from(of(webhook).len()).unwrap_or(u32::MAX);
                Demand { in_flight: webhook.in_flight.max(own), allowed: webhook.allowed }
            })
            .collect();
        let slots = allocate(&demands, free, self.round);
        let granted = due.iter().zip(slots).filter(|(_, deliveries)| *deliveries > 0);
        granted
            .map(|(webhook, deliveries)| DeliveryQuota {
                webhook: webhook.id,
                deliveries,
                running: of(webhook).to_vec(),
            })
            .collect()
    }

    fn on_finished(&mut self, finished: Result<(task::Id, ()), JoinError>) {
        metrics::gauge!(IN_FLIGHT).set(count(self.attempts.len()));
        let task = match finished {
            Ok((task, ())) => task,
            Err(problem) => {
                tracing::error!(%problem, "a webhook attempt panicked; it is retried when its lease expires");
                problem.id()
            }
        };
        self.running.remove(&task);
    }

    /// Waits for running attempts and releases the leases of the others.
    async fn end(&mut self) {
        let rest = async {
            while let Some(finished) = self.attempts.join_next_with_id().await {
                self.on_finished(finished);
            }
        };
        if timeout(STOP_TIMEOUT, rest).await.is_err() {
            self.attempts.shutdown().await;
        }
        if let Err(error) = self.store.release_deliveries(&self.leases()).await {
            tracing::warn!(%error, "could not release the leases of webhook deliveries; they expire by themselves");
        }
    }
}

/// Makes one attempt and records its result.
async fn attempt(store: Arc<Store>, egress: Egress, timeouts: Timeouts, claimed: ClaimedDelivery) {
    let target = &claimed.target;
    let message = post::Message {
        id: claimed.event.to_string(),
        attempt: claimed.attempt,
        body: claimed.body.clone(),
        at: store.clock().now(),
    };
    let destination = Destination::from(&**target);
    let outcome = post::post(&egress, &destination, message, &target.secrets, timeouts).await;
    let result = name_of(outcome.error);
    metrics::counter!(ATTEMPTS, "result" => result).increment(1);
    let (webhook, delivery, number, status) = (target.webhook, claimed.id, claimed.attempt, outcome.status);
    if outcome.error == Some(ErrorClass::ServerError) {
        tracing::error!(%webhook, %delivery, attempt = number, status, "a webhook endpoint responded with a server error");
    } else {
        tracing::debug!(%webhook, %delivery, attempt = number, status, result, "webhook attempt");
    }
    finish(&store, &claimed, outcome).await;
}

async fn finish(store: &Store, claimed: &ClaimedDelivery, outcome: Outcome) {
    let webhook = claimed.target.webhook;
    // Without random bytes, the retry is sent without jitter.
    let jitter = random_bytes::<2>(store.entropy().as_ref())
        .map_or(Jitter(u16::MAX / 2), |bytes| Jitter(u16::from_ne_bytes(bytes)));
    match store.finish_attempt(claimed, outcome, jitter).await {
        Ok(HealthTransition::None) => {}
        Ok(HealthTransition::Warn) => {
            tracing::warn!(%webhook, "every attempt has failed for 60 hours; the endpoint will be disabled after 120 hours");
        }
        Ok(HealthTransition::Disable(reason)) => {
            tracing::warn!(%webhook, reason = reason.name(), "disabled a webhook endpoint");
        }
        // At-least-once delivery: without a recorded result, the delivery is sent again when the lease expires.
        Err(error) => {
            tracing::warn!(%webhook, delivery = %claimed.id, %error, "could not record a webhook attempt; it is retried when its lease expires");
        }
    }
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests;

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
use telepath_core::id::WebhookId;
use telepath_core::webhook::adaptive_limit::AdaptiveLimit;
use telepath_core::webhook::delivery::{ErrorClass, Jitter, Outcome};
use telepath_core::webhook::fairness::{Demand, allocate};
use telepath_core::webhook::health::HealthTransition;
use telepath_egress::Egress;
use telepath_store::{ClaimedDelivery, DeliveryQuota, DueWebhook, Store, StoreError};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use post::{Destination, Timeouts};

/// The maximum number of concurrent attempts of this process, over all endpoints.
const MAX_IN_FLIGHT: usize = 512;
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
    metrics::describe_counter!(ATTEMPTS, "Webhook delivery attempts, by result");
    metrics::describe_gauge!(IN_FLIGHT, "Webhook delivery attempts in flight");
}

/// Sends deliveries until `stop` is cancelled.
pub(crate) async fn send(store: Arc<Store>, egress: Egress, stop: CancellationToken) {
    send_within(Timeouts::default(), store, egress, stop).await;
}

async fn send_within(timeouts: Timeouts, store: Arc<Store>, egress: Egress, stop: CancellationToken) {
    match Sender::new(timeouts, store, egress) {
        Ok(mut sender) => {
            sender.run(&stop).await;
            sender.end().await;
        }
        Err(error) => tracing::error!(%error, "could not start the webhook sender"),
    }
}

/// A finished attempt.
struct FinishedAttempt {
    webhook: WebhookId,
    max_in_flight: u32,
    error: Option<ErrorClass>,
    /// When the endpoint responded, or the attempt failed.
    at: Timestamp,
}

struct Sender {
    timeouts: Timeouts,
    store: Arc<Store>,
    egress: Egress,
    /// Identifies this process in leases.
    lease: String,
    /// Endpoints that are limited below their ceiling; the others are not stored.
    limits: HashMap<WebhookId, AdaptiveLimit>,
    attempts: JoinSet<FinishedAttempt>,
    round: usize,
    renewed: Instant,
    failing: bool,
}

impl Sender {
    fn new(timeouts: Timeouts, store: Arc<Store>, egress: Egress) -> Result<Self, EntropyError> {
        let lease = random_text(store.entropy().as_ref(), base62::ALPHABET, 22)?;
        let (limits, attempts) = (HashMap::new(), JoinSet::new());
        Ok(Self {
            timeouts,
            store,
            egress,
            lease,
            limits,
            attempts,
            round: 0,
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
                Some(finished) = self.attempts.join_next() => self.on_finished(finished),
                () = self.store.wait_for_commit() => {}
                () = sleep(POLL_INTERVAL) => {}
            }
            while let Some(finished) = self.attempts.try_join_next() {
                self.on_finished(finished);
            }
            sleep_until(not_before).await;
        }
    }

    async fn renew_and_claim(&mut self) -> Result<(), StoreError> {
        if self.attempts.is_empty() {
            self.renewed = Instant::now();
        } else if self.renewed.elapsed() >= RENEW_INTERVAL {
            self.store.renew_deliveries(&self.lease, self.lease_ends()).await?;
            self.renewed = Instant::now();
        }
        self.claim().await
    }

    fn lease_ends(&self) -> Timestamp {
        self.store.clock().now().plus(LEASE)
    }

    /// Claims due deliveries up to the concurrency limits and starts their attempts.
    async fn claim(&mut self) -> Result<(), StoreError> {
        let free = MAX_IN_FLIGHT.saturating_sub(self.attempts.len());
        if free == 0 {
            return Ok(());
        }
        let due = self.store.due_webhooks().await?;
        let grants = self.grants(&due, u32::try_from(free).unwrap_or(u32::MAX));
        if grants.is_empty() {
            return Ok(());
        }
        self.round = self.round.wrapping_add(1);
        for claimed in self.store.claim_deliveries(grants, &self.lease, self.lease_ends()).await? {
            let (store, egress) = (Arc::clone(&self.store), self.egress.clone());
            self.attempts.spawn(attempt(store, egress, self.timeouts, self.lease.clone(), claimed));
        }
        metrics::gauge!(IN_FLIGHT).set(count(self.attempts.len()));
        Ok(())
    }

    fn grants(&self, due: &[DueWebhook], free: u32) -> Vec<DeliveryQuota> {
        let now = self.store.clock().now();
        let demands: Vec<_> = due
            .iter()
            .map(|webhook| {
                let ceiling = webhook.max_in_flight;
                let limit = self.limits.get(&webhook.id).copied().unwrap_or(AdaptiveLimit::full(ceiling));
                Demand { in_flight: webhook.in_flight, allowed: limit.allows(ceiling, now) }
            })
            .collect();
        let slots = allocate(&demands, free, self.round);
        let granted = due.iter().zip(slots).filter(|(_, deliveries)| *deliveries > 0);
        granted.map(|(webhook, deliveries)| DeliveryQuota { webhook: webhook.id, deliveries }).collect()
    }

    fn on_finished(&mut self, finished: Result<FinishedAttempt, JoinError>) {
        metrics::gauge!(IN_FLIGHT).set(count(self.attempts.len()));
        let FinishedAttempt { webhook, max_in_flight, error, at } = match finished {
            Ok(finished) => finished,
            Err(problem) => {
                return tracing::error!(%problem, "a webhook attempt panicked; it is retried when its lease expires");
            }
        };
        let limit = self.limits.get(&webhook).copied().unwrap_or(AdaptiveLimit::full(max_in_flight));
        let limit = limit.after(error, max_in_flight, at);
        if limit.is_full(max_in_flight) {
            self.limits.remove(&webhook);
        } else {
            self.limits.insert(webhook, limit);
        }
    }

    /// Waits for running attempts and releases the leases of the others.
    async fn end(&mut self) {
        let rest = async { while self.attempts.join_next().await.is_some() {} };
        if timeout(STOP_TIMEOUT, rest).await.is_err() {
            self.attempts.shutdown().await;
        }
        if let Err(error) = self.store.release_deliveries(&self.lease).await {
            tracing::warn!(%error, "could not release the leases of webhook deliveries; they expire by themselves");
        }
    }
}

/// Makes one attempt and records its result.
async fn attempt(
    store: Arc<Store>,
    egress: Egress,
    timeouts: Timeouts,
    lease: String,
    claimed: ClaimedDelivery,
) -> FinishedAttempt {
    let target = &claimed.target;
    let message = post::Message {
        id: claimed.event.to_string(),
        attempt: claimed.attempt,
        body: claimed.body.clone(),
        at: store.clock().now(),
    };
    let destination = Destination::from(&target.url);
    let outcome = post::post(&egress, &destination, message, &target.secrets, timeouts).await;
    let (error, at) = (outcome.error, store.clock().now());
    metrics::counter!(ATTEMPTS, "result" => error.map_or("delivered", ErrorClass::name)).increment(1);
    tracing::debug!(
        webhook = %target.webhook, delivery = %claimed.id, attempt = claimed.attempt,
        status = outcome.status, result = error.map_or("delivered", ErrorClass::name), "webhook attempt"
    );
    finish(&store, &claimed, &lease, outcome).await;
    FinishedAttempt { webhook: target.webhook, max_in_flight: target.max_in_flight, error, at }
}

async fn finish(store: &Store, claimed: &ClaimedDelivery, lease: &str, outcome: Outcome) {
    let webhook = claimed.target.webhook;
    // Without random bytes, the retry is sent without jitter.
    let jitter = random_bytes::<2>(store.entropy().as_ref())
        .map_or(Jitter(u16::MAX / 2), |bytes| Jitter(u16::from_ne_bytes(bytes)));
    match store.finish_attempt(claimed, lease, outcome, jitter).await {
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

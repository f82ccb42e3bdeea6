//! Sends what the outbox owes to webhook endpoints: takes what is due from the store, makes attempts, and writes down what
//! came of them. What an outcome means is decided in `telepath_core::webhook`; what happened is in the database, so a
//! process that dies here loses nothing but the time until its leases end.

pub(crate) mod post;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use telepath_core::base62;
use telepath_core::clock::Timestamp;
use telepath_core::entropy::{EntropyError, random_bytes, random_text};
use telepath_core::id::WebhookId;
use telepath_core::webhook::delivery::{Draw, ErrorClass, Outcome};
use telepath_core::webhook::fairness::{Wanting, share};
use telepath_core::webhook::health::Turn;
use telepath_core::webhook::pace::Pace;
use telepath_egress::Egress;
use telepath_store::{Claimed, DueWebhook, Grant, Store, StoreError};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use post::{Destination, Patience};

/// Attempts under way at once, to all endpoints together.
const MOST_IN_FLIGHT: usize = 512;
/// How long a delivery is ours unless the lease is renewed. What a killed process had taken is due again after so long.
const LEASE: Duration = Duration::from_secs(15);
/// How often leases are renewed while attempts go on.
const RENEW_EVERY: Duration = Duration::from_secs(5);
/// How often it is looked at what is due when nothing was committed here: first tries of other processes, and retries.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Looks are no closer together, however much is committed.
const LOOKS_APART: Duration = Duration::from_millis(5);
/// How long to wait when the database cannot be asked.
const TROUBLE_PAUSE: Duration = Duration::from_secs(1);
/// How long attempts may go on after the server was asked to stop; what is not done then is done after the next start.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// Counts attempts by what came of them.
const ATTEMPTS: &str = "telepath_webhook_attempts_total";
/// Attempts under way.
const IN_FLIGHT: &str = "telepath_webhook_attempts_in_flight";

/// Says what the meters of this module mean.
pub(crate) fn describe_metrics() {
    metrics::describe_counter!(ATTEMPTS, "Attempts to deliver an event to a webhook, by result");
    metrics::describe_gauge!(IN_FLIGHT, "Attempts to deliver an event that are under way");
}

/// Sends until it is told to stop.
pub(crate) async fn send(store: Arc<Store>, egress: Egress, stop: CancellationToken) {
    match Sender::new(store, egress) {
        Ok(mut sender) => {
            sender.run(&stop).await;
            sender.end().await;
        }
        Err(error) => tracing::error!(%error, "webhooks cannot be sent"),
    }
}

/// An attempt that has ended.
struct Ended {
    webhook: WebhookId,
    max_in_flight: u32,
    error: Option<ErrorClass>,
    /// When the endpoint had answered, or was given up.
    at: Timestamp,
}

struct Sender {
    store: Arc<Store>,
    egress: Egress,
    /// The name of this process in the leases.
    lease: String,
    /// Endpoints that do not get their full pace; the others are not remembered.
    paces: HashMap<WebhookId, Pace>,
    attempts: JoinSet<Ended>,
    round: usize,
    renewed: Instant,
    in_trouble: bool,
}

impl Sender {
    fn new(store: Arc<Store>, egress: Egress) -> Result<Self, EntropyError> {
        let lease = random_text(store.entropy().as_ref(), base62::ALPHABET, 22)?;
        let (paces, attempts) = (HashMap::new(), JoinSet::new());
        Ok(Self {
            store,
            egress,
            lease,
            paces,
            attempts,
            round: 0,
            renewed: Instant::now(),
            in_trouble: false,
        })
    }

    async fn run(&mut self, stop: &CancellationToken) {
        loop {
            let not_before = Instant::now() + LOOKS_APART;
            if let Err(error) = self.renew_and_look().await {
                if !std::mem::replace(&mut self.in_trouble, true) {
                    tracing::warn!(%error, "webhook deliveries cannot be taken; trying again each second");
                }
                if stop.run_until_cancelled(sleep(TROUBLE_PAUSE)).await.is_none() {
                    return;
                }
            } else if std::mem::take(&mut self.in_trouble) {
                tracing::info!("webhook deliveries are taken again");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                Some(ended) = self.attempts.join_next() => self.ended(ended),
                () = self.store.until_committed() => {}
                () = sleep(LOOK_EVERY) => {}
            }
            while let Some(ended) = self.attempts.try_join_next() {
                self.ended(ended);
            }
            sleep_until(not_before).await;
        }
    }

    async fn renew_and_look(&mut self) -> Result<(), StoreError> {
        if self.attempts.is_empty() {
            self.renewed = Instant::now();
        } else if self.renewed.elapsed() >= RENEW_EVERY {
            self.store.renew_deliveries(&self.lease, self.lease_ends()).await?;
            self.renewed = Instant::now();
        }
        self.look().await
    }

    fn lease_ends(&self) -> Timestamp {
        self.store.clock().now().plus(LEASE)
    }

    /// Takes what is due, as far as there is room, and begins the attempts.
    async fn look(&mut self) -> Result<(), StoreError> {
        let free = MOST_IN_FLIGHT.saturating_sub(self.attempts.len());
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
            let attempt = attempt(Arc::clone(&self.store), self.egress.clone(), self.lease.clone(), claimed);
            self.attempts.spawn(attempt);
        }
        metrics::gauge!(IN_FLIGHT).set(count(self.attempts.len()));
        Ok(())
    }

    fn grants(&self, due: &[DueWebhook], free: u32) -> Vec<Grant> {
        let now = self.store.clock().now();
        let wanting: Vec<_> = due
            .iter()
            .map(|webhook| {
                let ceiling = webhook.max_in_flight;
                let pace = self.paces.get(&webhook.id).copied().unwrap_or(Pace::full(ceiling));
                Wanting { in_flight: webhook.in_flight, allowed: pace.allows(ceiling, now) }
            })
            .collect();
        let shares = share(&wanting, free, self.round);
        let granted = due.iter().zip(shares).filter(|(_, deliveries)| *deliveries > 0);
        granted.map(|(webhook, deliveries)| Grant { webhook: webhook.id, deliveries }).collect()
    }

    fn ended(&mut self, ended: Result<Ended, JoinError>) {
        metrics::gauge!(IN_FLIGHT).set(count(self.attempts.len()));
        let Ended { webhook, max_in_flight, error, at } = match ended {
            Ok(ended) => ended,
            // Its lease ends, and the delivery is due again.
            Err(problem) => return tracing::error!(%problem, "an attempt to deliver a webhook broke off"),
        };
        let pace = self.paces.get(&webhook).copied().unwrap_or(Pace::full(max_in_flight));
        let pace = pace.after(error, max_in_flight, at);
        if pace.is_full(max_in_flight) {
            self.paces.remove(&webhook);
        } else {
            self.paces.insert(webhook, pace);
        }
    }

    /// Lets attempts end, and gives back what did not.
    async fn end(&mut self) {
        let rest = async { while self.attempts.join_next().await.is_some() {} };
        if timeout(STOP_WITHIN, rest).await.is_err() {
            self.attempts.shutdown().await;
        }
        if let Err(error) = self.store.release_deliveries(&self.lease).await {
            tracing::warn!(%error, "leases of webhook deliveries could not be given back; they end by themselves");
        }
    }
}

/// One attempt, and the writing down of what came of it.
async fn attempt(store: Arc<Store>, egress: Egress, lease: String, claimed: Claimed) -> Ended {
    let receiver = &claimed.receiver;
    let message = post::Message {
        id: claimed.event.to_string(),
        attempt: claimed.attempt,
        body: claimed.body.clone(),
        at: store.clock().now(),
    };
    let destination = Destination::from(&receiver.url);
    let outcome = post::post(&egress, &destination, message, &receiver.secrets, Patience::default()).await;
    let (error, at) = (outcome.error, store.clock().now());
    metrics::counter!(ATTEMPTS, "result" => error.map_or("delivered", ErrorClass::name)).increment(1);
    tracing::debug!(
        webhook = %receiver.webhook, delivery = %claimed.id, attempt = claimed.attempt,
        status = outcome.status, result = error.map_or("delivered", ErrorClass::name), "webhook attempt"
    );
    finish(&store, &claimed, &lease, outcome).await;
    Ended { webhook: receiver.webhook, max_in_flight: receiver.max_in_flight, error, at }
}

async fn finish(store: &Store, claimed: &Claimed, lease: &str, outcome: Outcome) {
    let webhook = claimed.receiver.webhook;
    // Without random bytes the wait is the planned one.
    let draw = random_bytes::<2>(store.entropy().as_ref())
        .map_or(Draw(u16::MAX / 2), |bytes| Draw(u16::from_ne_bytes(bytes)));
    match store.finish_attempt(claimed, lease, outcome, draw).await {
        Ok(Turn::None) => {}
        Ok(Turn::Warn) => {
            tracing::warn!(%webhook, "every attempt has failed for two and a half days; after five the endpoint is disabled");
        }
        Ok(Turn::Disable(reason)) => {
            tracing::warn!(%webhook, reason = reason.name(), "the endpoint is disabled");
        }
        // At least once: what is not written down is sent again when the lease is over.
        Err(error) => {
            tracing::warn!(%webhook, delivery = %claimed.id, %error, "an attempt could not be written down");
        }
    }
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests;

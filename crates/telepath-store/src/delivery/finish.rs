//! The end of an attempt: its result, the next state of the delivery, and the effect on the endpoint, in one
//! transaction.

use telepath_core::audit::KeyedAuditId;
use telepath_core::clock::Timestamp;
use telepath_core::event::EventKind;
use telepath_core::id::{AccountId, DeliveryId, EventId, WebhookId};
use telepath_core::webhook::delivery::{
    DeliveryStatus, ErrorClass, Jitter, KEPT_ATTEMPTS, MAX_STORED_RESPONSE, Outcome, RetryDecision,
    decide_retry,
};
use telepath_core::webhook::health::HealthTransition;
use telepath_core::webhook::{Webhook, WebhookStatus};

use super::claim::{ClaimedDelivery, Lease};
use super::responses::count_response;
use crate::alert::raise::{AlertWriter, raise};
use crate::error::StoreError;
use crate::sql::{Connection, binds};
use crate::store::Store;
use crate::webhook::WebhookChangeError;
use crate::webhook::change::{AutoDisable, disable, lock, set_health};

impl Store {
    /// Records the result of an attempt. If the claim no longer holds, nothing is written: whoever holds the delivery now
    /// sends it again.
    pub async fn finish_attempt(
        &self,
        claimed: &ClaimedDelivery,
        outcome: Outcome,
        jitter: Jitter,
    ) -> Result<HealthTransition, StoreError> {
        let now = self.now();
        let attempt = FinishedAttempt {
            id: claimed.id,
            lease: claimed.lease.clone(),
            webhook: claimed.target.webhook,
            account: claimed.target.account,
            number: claimed.attempt,
            outcome,
            jitter,
            now,
            audit_id: self.new_audit_id(now)?,
            event_id: self.new_id(now)?,
            alert_writer: self.alert_writer(),
            response_limit: self.storage_limits.webhook_response_bytes,
        };
        self.backend.write(move |db| Box::pin(finish(db, attempt))).await
    }
}

struct FinishedAttempt {
    id: DeliveryId,
    lease: Lease,
    webhook: WebhookId,
    account: AccountId,
    number: u32,
    outcome: Outcome,
    jitter: Jitter,
    now: Timestamp,
    audit_id: KeyedAuditId,
    event_id: EventId,
    alert_writer: AlertWriter,
    /// How many bytes of responses the account keeps.
    response_limit: u64,
}

async fn finish(db: &mut Connection, attempt: FinishedAttempt) -> Result<HealthTransition, StoreError> {
    let webhook = lock_if_affected(db, &attempt).await?;
    let sql = "SELECT tries, kind, (SELECT trunk_id FROM outbox_events e WHERE e.id = event_id) AS trunk_id \
               FROM webhook_deliveries WHERE id = $1 AND lease = $2";
    let held = db.fetch_locked(sql, binds![attempt.id.to_string(), attempt.lease.as_str()]).await?;
    let Some(row) = held else { return Ok(HealthTransition::None) };
    let tries = row.number::<u32>("tries")?.saturating_add(1);
    let (status, next_at) = match decide_retry(&attempt.outcome, tries, attempt.now, attempt.jitter) {
        RetryDecision::Delivered => (DeliveryStatus::Delivered, attempt.now),
        RetryDecision::Exhausted => (DeliveryStatus::Exhausted, attempt.now),
        RetryDecision::RetryAt(at) => {
            let (kind, trunk) = (row.named("kind", EventKind::from_name)?, row.maybe_parse("trunk_id")?);
            let retained = webhook.as_ref().is_none_or(|webhook| webhook.subscription.retains(kind, trunk));
            (if retained { DeliveryStatus::Pending } else { DeliveryStatus::Canceled }, at)
        }
    };
    let finished_at = (status != DeliveryStatus::Pending).then_some(attempt.now);
    let sql = "UPDATE webhook_deliveries SET status = $2, next_at = $3, finished_at = $4, tries = $5, lease = NULL, \
               attempts = attempts + 1, attempted_at = $6 WHERE id = $1";
    let values = binds![attempt.id.to_string(), status.name(), next_at, finished_at, tries, attempt.now];
    db.execute(sql, values).await?;
    keep_attempt(db, &attempt).await?;
    match webhook {
        Some(webhook) => update_health(db, &attempt, webhook).await,
        None => Ok(HealthTransition::None),
    }
}

/// Locks the endpoint if the attempt changes it, before the delivery is locked. `None` in the common case, a success of a
/// healthy endpoint, and if the endpoint was deleted during the attempt.
async fn lock_if_affected(
    db: &mut Connection,
    attempt: &FinishedAttempt,
) -> Result<Option<Webhook>, StoreError> {
    if attempt.outcome.error.is_none() {
        let sql = "SELECT id FROM webhooks WHERE id = $1 \
                   AND (failures > 0 OR reduced_limit IS NOT NULL OR overloads > 0 OR paused_until IS NOT NULL)";
        if db.fetch_optional(sql, binds![attempt.webhook.to_string()]).await?.is_none() {
            return Ok(None);
        }
    }
    match lock(db, &attempt.account.into(), attempt.webhook, attempt.now).await {
        Ok(webhook) => Ok(Some(webhook)),
        Err(WebhookChangeError::NotFound) => Ok(None),
        Err(WebhookChangeError::Store(error)) => Err(error),
        Err(
            WebhookChangeError::DeliveryNotFound
            | WebhookChangeError::TooManySecrets
            | WebhookChangeError::Disabled
            | WebhookChangeError::OutOfReach
            | WebhookChangeError::MissingScope(_)
            | WebhookChangeError::Invalid(_),
        ) => Err(StoreError::Broken),
    }
}

async fn keep_attempt(db: &mut Connection, attempt: &FinishedAttempt) -> Result<(), StoreError> {
    let outcome = &attempt.outcome;
    let response_body = &outcome.response_body[..outcome.response_body.len().min(MAX_STORED_RESPONSE)];
    count_response(db, attempt.account, response_body.len(), attempt.response_limit).await?;
    db.execute(
        "INSERT INTO webhook_attempts (delivery_id, number, at, duration_ms, status, error, answer) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        binds![
            attempt.id.to_string(),
            attempt.number,
            attempt.now,
            u32::try_from(outcome.duration.as_millis()).unwrap_or(u32::MAX),
            outcome.status.map(u32::from),
            outcome.error.map(ErrorClass::name),
            response_body,
        ],
    )
    .await?;
    if let Some(oldest) = attempt.number.checked_sub(KEPT_ATTEMPTS).filter(|oldest| *oldest > 0) {
        let sql = "DELETE FROM webhook_attempts WHERE delivery_id = $1 AND number <= $2 \
                   RETURNING octet_length(answer) AS bytes";
        let deleted = db.fetch_all(sql, binds![attempt.id.to_string(), oldest]).await?;
        let bytes = deleted.iter().map(|row| row.integer("bytes")).sum::<Result<i64, _>>()?;
        let sql = "UPDATE webhook_response_totals SET bytes = bytes - $2 WHERE account_id = $1";
        db.execute(sql, binds![attempt.account.to_string(), bytes]).await?;
    }
    Ok(())
}

/// The effect of the attempt on the endpoint, which this transaction has locked.
async fn update_health(
    db: &mut Connection,
    attempt: &FinishedAttempt,
    webhook: Webhook,
) -> Result<HealthTransition, StoreError> {
    let (error, now) = (attempt.outcome.error, attempt.now);
    let (health, transition) = webhook.health.after(error, now);
    let limit = webhook.limit.after(error, webhook.max_in_flight, now);
    set_health(db, attempt.webhook, health, limit).await?;
    match transition {
        HealthTransition::None => {}
        HealthTransition::Warn => {
            let alert = health.warning(attempt.webhook, webhook.url.host());
            raise(db, attempt.account, alert, &attempt.alert_writer, now).await?;
        }
        HealthTransition::Disable(reason) => {
            let (audit_id, event_id) = (attempt.audit_id.clone(), attempt.event_id);
            disable(db, &webhook, AutoDisable { reason, audit_id, event_id, now }).await?;
        }
    }
    if webhook.status == WebhookStatus::Disabled {
        // Disabled during the attempt: a retry is held like the rest.
        let sql = "UPDATE webhook_deliveries SET status = 'held', finished_at = $2 \
                   WHERE id = $1 AND status = 'pending'";
        db.execute(sql, binds![attempt.id.to_string(), now]).await?;
    }
    Ok(transition)
}

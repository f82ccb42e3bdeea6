//! The end of an attempt: its result, the next state of the delivery, and the effect on the endpoint, in one
//! transaction.

use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, AuditId, DeliveryId, EventId, WebhookId};
use telepath_core::webhook::WebhookStatus;
use telepath_core::webhook::delivery::{
    DeliveryStatus, ErrorClass, Jitter, KEPT_ANSWER, KEPT_ATTEMPTS, Outcome, RetryDecision, decide_retry,
};
use telepath_core::webhook::health::HealthTransition;

use super::claim::ClaimedDelivery;
use crate::alert::raise::{AlertWriter, raise};
use crate::error::StoreError;
use crate::sql::{Connection, binds};
use crate::store::Store;
use crate::webhook::WebhookChangeError;
use crate::webhook::change::{AutoDisable, disable, lock, set_health};

impl Store {
    /// Records the result of an attempt. If the lease was lost, nothing is written: whoever holds the delivery now
    /// sends it again.
    pub async fn finish_attempt(
        &self,
        claimed: &ClaimedDelivery,
        lease: &str,
        outcome: Outcome,
        jitter: Jitter,
    ) -> Result<HealthTransition, StoreError> {
        let now = self.now();
        let attempt = FinishedAttempt {
            id: claimed.id,
            webhook: claimed.target.webhook,
            account: claimed.target.account,
            number: claimed.attempt,
            decision: decide_retry(&outcome, claimed.tries, now, jitter),
            lease: lease.to_owned(),
            outcome,
            now,
            audit_id: self.new_id(now)?,
            event_id: self.new_id(now)?,
            alert_writer: self.alert_writer(),
        };
        self.backend.write(move |db| Box::pin(finish(db, attempt))).await
    }
}

struct FinishedAttempt {
    id: DeliveryId,
    webhook: WebhookId,
    account: AccountId,
    number: u32,
    decision: RetryDecision,
    lease: String,
    outcome: Outcome,
    now: Timestamp,
    audit_id: AuditId,
    event_id: EventId,
    alert_writer: AlertWriter,
}

async fn finish(db: &mut Connection, attempt: FinishedAttempt) -> Result<HealthTransition, StoreError> {
    let (status, next_at, finished_at) = match attempt.decision {
        RetryDecision::Delivered => (DeliveryStatus::Delivered, attempt.now, Some(attempt.now)),
        RetryDecision::Exhausted => (DeliveryStatus::Exhausted, attempt.now, Some(attempt.now)),
        RetryDecision::RetryAt(at) => (DeliveryStatus::Pending, at, None),
    };
    let touched = db
        .execute(
            "UPDATE webhook_deliveries SET status = $3, next_at = $4, finished_at = $5, lease = NULL, \
             attempts = attempts + 1, tries = tries + 1 WHERE id = $1 AND lease = $2",
            binds![attempt.id.to_string(), attempt.lease.as_str(), status.name(), next_at, finished_at],
        )
        .await?;
    if touched == 0 {
        return Ok(HealthTransition::None);
    }
    keep_attempt(db, &attempt).await?;
    let transition = judge(db, &attempt).await?;
    Ok(transition)
}

async fn keep_attempt(db: &mut Connection, attempt: &FinishedAttempt) -> Result<(), StoreError> {
    let outcome = &attempt.outcome;
    let answer = &outcome.answer[..outcome.answer.len().min(KEPT_ANSWER)];
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
            answer,
        ],
    )
    .await?;
    if let Some(oldest) = attempt.number.checked_sub(KEPT_ATTEMPTS).filter(|oldest| *oldest > 0) {
        let sql = "DELETE FROM webhook_attempts WHERE delivery_id = $1 AND number <= $2";
        db.execute(sql, binds![attempt.id.to_string(), oldest]).await?;
    }
    Ok(())
}

/// The effect of the attempt on the endpoint. The common case, a success of a healthy endpoint, changes no row.
async fn judge(db: &mut Connection, attempt: &FinishedAttempt) -> Result<HealthTransition, StoreError> {
    if attempt.outcome.error.is_none() {
        let sql = "UPDATE webhooks SET failing_since = NULL, failures = 0, warned_at = NULL \
                   WHERE id = $1 AND failures > 0";
        db.execute(sql, binds![attempt.webhook.to_string()]).await?;
        return Ok(HealthTransition::None);
    }
    let webhook = match lock(db, attempt.account, attempt.webhook, attempt.now).await {
        Ok(webhook) => webhook,
        // Deleted during the attempt.
        Err(WebhookChangeError::NotFound) => return Ok(HealthTransition::None),
        Err(WebhookChangeError::Store(error)) => return Err(error),
        Err(
            WebhookChangeError::DeliveryNotFound
            | WebhookChangeError::TooMany
            | WebhookChangeError::Disabled
            | WebhookChangeError::Invalid(_),
        ) => return Err(StoreError::Broken),
    };
    let (health, transition) = webhook.health.after(attempt.outcome.error, attempt.now);
    set_health(db, attempt.webhook, health).await?;
    match transition {
        HealthTransition::None => {}
        HealthTransition::Warn => {
            let alert = health.warning(attempt.webhook, webhook.url.host());
            raise(db, attempt.account, alert, &attempt.alert_writer, attempt.now).await?;
        }
        HealthTransition::Disable(reason) => {
            let (audit_id, event_id, now) = (attempt.audit_id, attempt.event_id, attempt.now);
            disable(db, &webhook, AutoDisable { reason, health, audit_id, event_id, now }).await?;
        }
    }
    if webhook.status == WebhookStatus::Disabled {
        // Disabled during the attempt: a retry is held like the rest.
        let sql = "UPDATE webhook_deliveries SET status = 'held', finished_at = $2 \
                   WHERE id = $1 AND status = 'pending'";
        db.execute(sql, binds![attempt.id.to_string(), attempt.now]).await?;
    }
    Ok(transition)
}

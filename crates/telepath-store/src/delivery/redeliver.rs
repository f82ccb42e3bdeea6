//! Redelivery on request: one delivery, or those of an endpoint that failed.

use serde_json::{Value, json};
use telepath_core::audit::{AuditAction, AuditEntry, KeyedAuditId, Origin};
use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, DeliveryId, WebhookId};
use telepath_core::reach::Reach;
use telepath_core::webhook::{Subscription, Webhook, WebhookStatus};

use super::row::{DeliveryRecord, record};
use crate::audit;
use crate::error::StoreError;
use crate::sql::within::delivery_within;
use crate::sql::{Connection, binds, corrupt};
use crate::webhook::WebhookChangeError;
use crate::webhook::change::lock;
use crate::webhook::outbox::CHANNEL;
use crate::webhook::unwanted::unwanted;

/// Deliveries recovered per request; callers with more repeat the request.
const MAX_PER_REQUEST: i64 = 10_000;

/// What a recovery restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecoveredDeliveries {
    /// The number of deliveries.
    pub deliveries: u64,
    /// Whether there may be more.
    pub more: bool,
}

pub(super) struct Redelivery {
    pub(super) reach: Reach,
    pub(super) id: DeliveryId,
    pub(super) origin: Origin,
    pub(super) audit_id: KeyedAuditId,
}

pub(super) async fn one(
    db: &mut Connection,
    Redelivery { reach, id, origin, audit_id }: Redelivery,
) -> Result<DeliveryRecord, WebhookChangeError> {
    let account = reach.account;
    let found = record(db, &reach, id).await?.ok_or(WebhookChangeError::DeliveryNotFound)?;
    require_active(db, &reach, found.webhook_id, origin.at).await?;
    // An attempt in flight becomes the first of the new round. Its lease stays, so that its result is recorded and nobody
    // sends the delivery a second time meanwhile.
    let changed = db
        .execute(
            "UPDATE webhook_deliveries SET status = 'pending', tries = 0, finished_at = NULL, \
             next_at = CASE WHEN lease IS NOT NULL AND next_at > $3 THEN next_at ELSE $3 END \
             WHERE id = $1 AND account_id = $2",
            binds![id.to_string(), account.to_string(), origin.at],
        )
        .await?;
    if changed == 0 {
        // Purged after it was found.
        return Err(WebhookChangeError::DeliveryNotFound);
    }
    db.announce(CHANNEL).await?;
    let entry = entry(audit_id, account, origin, AuditAction::DeliveryRepeated, id.to_string(), json!({}));
    audit::write(db, &entry).await?;
    Ok(record(db, &reach, id).await?.ok_or_else(|| corrupt("webhook_deliveries.id"))?)
}

pub(super) struct Recovery {
    pub(super) reach: Reach,
    pub(super) webhook: WebhookId,
    pub(super) since: Timestamp,
    pub(super) origin: Origin,
    pub(super) audit_id: KeyedAuditId,
}

pub(super) async fn failed(
    db: &mut Connection,
    Recovery { reach, webhook, since, origin, audit_id }: Recovery,
) -> Result<RecoveredDeliveries, WebhookChangeError> {
    let account = reach.account;
    let subscription = require_active(db, &reach, webhook, origin.at).await?.subscription;
    let mut values = binds![account.to_string(), webhook.to_string(), since, origin.at, MAX_PER_REQUEST];
    let (unwanted, kinds_and_trunks) = unwanted(&subscription, values.len() + 1);
    values.extend(kinds_and_trunks);
    let within = delivery_within(&reach.trunks, &mut values);
    let sql = format!(
        "WITH failed AS MATERIALIZED (SELECT id FROM webhook_deliveries WHERE webhook_id = $2 \
         AND status IN ('exhausted', 'held') AND created_at >= $3 AND NOT {unwanted}{within} ORDER BY id LIMIT $5{}) \
         UPDATE webhook_deliveries SET status = 'pending', tries = 0, next_at = $4, finished_at = NULL \
         WHERE account_id = $1 AND id IN (SELECT id FROM failed)",
        db.skip_locked()
    );
    let deliveries = db.execute(sql, values).await?;
    db.announce(CHANNEL).await?;
    let after = json!({ "since": since, "deliveries": deliveries });
    let entry = entry(audit_id, account, origin, AuditAction::WebhookRecovered, webhook.to_string(), after);
    audit::write(db, &entry).await?;
    Ok(RecoveredDeliveries {
        deliveries,
        more: i64::try_from(deliveries).unwrap_or(i64::MAX) >= MAX_PER_REQUEST,
    })
}

/// How many deliveries [`failed`] would restart, at most [`MAX_PER_REQUEST`].
pub(super) async fn count_failed(
    db: &mut Connection,
    reach: &Reach,
    subscription: &Subscription,
    (webhook, since): (WebhookId, Timestamp),
) -> Result<u64, StoreError> {
    let mut values = binds![reach.account.to_string(), webhook.to_string(), since, MAX_PER_REQUEST];
    let (unwanted, kinds_and_trunks) = unwanted(subscription, values.len() + 1);
    values.extend(kinds_and_trunks);
    let within = delivery_within(&reach.trunks, &mut values);
    let sql = format!(
        "SELECT count(*) AS total FROM (SELECT id FROM webhook_deliveries WHERE account_id = $1 AND webhook_id = $2 \
         AND status IN ('exhausted', 'held') AND created_at >= $3 AND NOT {unwanted}{within} LIMIT $4) AS failed"
    );
    db.fetch_one(sql, values).await?.number("total")
}

async fn require_active(
    db: &mut Connection,
    reach: &Reach,
    webhook: WebhookId,
    now: Timestamp,
) -> Result<Webhook, WebhookChangeError> {
    let webhook = lock(db, reach, webhook, now).await?;
    match webhook.status {
        WebhookStatus::Active => Ok(webhook),
        WebhookStatus::Disabled => Err(WebhookChangeError::Disabled),
    }
}

fn entry(
    id: KeyedAuditId,
    account_id: AccountId,
    origin: Origin,
    action: AuditAction,
    target: String,
    after: Value,
) -> AuditEntry {
    AuditEntry { id, account_id, origin, action, target, before: json!({}), after }
}

//! Claiming: a process takes due deliveries by writing its name and the end of a lease into them. If it dies, the
//! lease expires and the deliveries are due again.

use std::sync::Arc;

use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, DeliveryId, EventId, WebhookId};
use telepath_core::webhook::WebhookUrl;
use telepath_core::webhook::signature::SigningSecret;

use crate::context::StoreContext;
use crate::error::StoreError;
use crate::sql::{Connection, Row, binds};
use crate::store::Store;
use crate::webhook::row::url_of;
use crate::webhook::secret::signing_secrets;

/// Endpoints per query.
const MAX_ENDPOINTS: i64 = 2_000;

/// An endpoint with due deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueWebhook {
    pub id: WebhookId,
    /// Deliveries in flight to it, from all processes.
    pub in_flight: u32,
    /// The maximum of `in_flight`.
    pub max_in_flight: u32,
}

/// How many deliveries of an endpoint to claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveryQuota {
    pub webhook: WebhookId,
    pub deliveries: u32,
}

/// Where the deliveries of an endpoint go.
#[derive(Debug)]
pub struct DeliveryTarget {
    pub webhook: WebhookId,
    pub account: AccountId,
    pub url: WebhookUrl,
    /// The secrets that sign, newest first. Empty if they cannot be opened; then nothing may be sent.
    pub secrets: Vec<SigningSecret>,
    /// The maximum number of deliveries in flight.
    pub max_in_flight: u32,
}

/// A delivery that this process has claimed and must finish or release.
#[derive(Debug)]
pub struct ClaimedDelivery {
    pub id: DeliveryId,
    pub target: Arc<DeliveryTarget>,
    pub event: EventId,
    /// The number of the next attempt, counted from 1.
    pub attempt: u32,
    /// The same, counted from the last redelivery.
    pub tries: u32,
    /// The exact request body.
    pub body: String,
}

impl Store {
    /// Waits for a commit that may have made deliveries due.
    pub async fn wait_for_commit(&self) {
        self.backend.committed().notified().await;
    }

    /// Active endpoints with due deliveries.
    pub async fn due_webhooks(&self) -> Result<Vec<DueWebhook>, StoreError> {
        let mut db = self.backend.read().await?;
        let sql = "SELECT w.id AS id, w.max_in_flight AS max_in_flight, (SELECT count(*) FROM webhook_deliveries l \
             WHERE l.webhook_id = w.id AND l.lease IS NOT NULL AND l.next_at > $1) AS in_flight FROM webhooks w \
             WHERE w.status = 'active' AND w.deleted_at IS NULL AND EXISTS (SELECT 1 FROM webhook_deliveries d \
             WHERE d.webhook_id = w.id AND d.status = 'pending' AND d.next_at <= $1) ORDER BY w.id LIMIT $2";
        let rows = db.fetch_all(sql, binds![self.now(), MAX_ENDPOINTS]).await?;
        let due = |row: &Row| {
            Ok(DueWebhook {
                id: row.parse("id")?,
                in_flight: row.number("in_flight")?,
                max_in_flight: row.number("max_in_flight")?,
            })
        };
        rows.iter().map(due).collect()
    }

    /// Claims due deliveries until `lease_ends`, those due for longest first.
    pub async fn claim_deliveries(
        &self,
        grants: Vec<DeliveryQuota>,
        lease: &str,
        lease_ends: Timestamp,
    ) -> Result<Vec<ClaimedDelivery>, StoreError> {
        let claim = LeaseTerms {
            lease: lease.to_owned(),
            lease_ends,
            now: self.now(),
            context: self.context.clone(),
        };
        self.backend.write(move |db| Box::pin(take_all(db, grants, claim))).await
    }

    /// Extends the lease on everything this process has claimed until `lease_ends`; returns the number of deliveries.
    pub async fn renew_deliveries(&self, lease: &str, lease_ends: Timestamp) -> Result<u64, StoreError> {
        let sql = "UPDATE webhook_deliveries SET next_at = $2 WHERE lease = $1";
        self.backend.execute(sql, binds![lease, lease_ends]).await
    }

    /// Releases everything this process has claimed; returns the number of deliveries.
    pub async fn release_deliveries(&self, lease: &str) -> Result<u64, StoreError> {
        let sql = "UPDATE webhook_deliveries SET lease = NULL, next_at = $2 WHERE lease = $1";
        self.backend.execute(sql, binds![lease, self.now()]).await
    }
}

/// Clears the leases of the previous process, on a database that only one process can open.
pub(crate) async fn void_leases(db: &mut Connection, now: Timestamp) -> Result<u64, StoreError> {
    let sql = "UPDATE webhook_deliveries SET lease = NULL, next_at = $1 WHERE lease IS NOT NULL";
    db.execute(sql, binds![now]).await
}

struct LeaseTerms {
    lease: String,
    lease_ends: Timestamp,
    now: Timestamp,
    context: StoreContext,
}

async fn take_all(
    db: &mut Connection,
    grants: Vec<DeliveryQuota>,
    claim: LeaseTerms,
) -> Result<Vec<ClaimedDelivery>, StoreError> {
    let mut claimed = Vec::new();
    for grant in grants {
        if let Some(target) = target(db, grant.webhook, &claim).await? {
            take(db, &Arc::new(target), grant.deliveries, &claim, &mut claimed).await?;
        }
    }
    Ok(claimed)
}

async fn target(
    db: &mut Connection,
    webhook: WebhookId,
    claim: &LeaseTerms,
) -> Result<Option<DeliveryTarget>, StoreError> {
    let sql = "SELECT account_id, url, max_in_flight FROM webhooks \
               WHERE id = $1 AND status = 'active' AND deleted_at IS NULL";
    let Some(row) = db.fetch_optional(sql, binds![webhook.to_string()]).await? else { return Ok(None) };
    Ok(Some(DeliveryTarget {
        webhook,
        account: row.parse("account_id")?,
        url: url_of(&row)?,
        secrets: signing_secrets(db, webhook, &claim.context.vault, claim.now).await?,
        max_in_flight: row.number("max_in_flight")?,
    }))
}

async fn take(
    db: &mut Connection,
    target: &Arc<DeliveryTarget>,
    count: u32,
    claim: &LeaseTerms,
    claimed: &mut Vec<ClaimedDelivery>,
) -> Result<(), StoreError> {
    let sql = format!(
        "UPDATE webhook_deliveries SET lease = $1, next_at = $2 WHERE id IN (SELECT id FROM webhook_deliveries \
         WHERE webhook_id = $3 AND status = 'pending' AND next_at <= $4 ORDER BY next_at, id LIMIT $5{}) \
         RETURNING id, event_id, attempts, tries, \
         (SELECT payload FROM outbox_events WHERE outbox_events.id = webhook_deliveries.event_id) AS payload",
        db.skip_locked()
    );
    let values = binds![claim.lease.as_str(), claim.lease_ends, target.webhook.to_string(), claim.now, count];
    let from = claimed.len();
    for row in db.fetch_all(sql, values).await? {
        claimed.push(ClaimedDelivery {
            id: row.parse("id")?,
            target: Arc::clone(target),
            event: row.parse("event_id")?,
            attempt: row.number::<u32>("attempts")?.saturating_add(1),
            tries: row.number::<u32>("tries")?.saturating_add(1),
            body: row.text("payload")?,
        });
    }
    // Neither database guarantees the order of returned rows.
    claimed[from..].sort_by_key(|delivery| delivery.event);
    Ok(())
}

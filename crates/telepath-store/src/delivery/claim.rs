//! Claiming: a process takes due deliveries by writing a lease into them. A lease names the process and the claim, so the
//! result of an attempt is recorded only while its own claim holds. If the process dies, the lease expires and the
//! deliveries are due again.
//!
//! The endpoint's row is locked while its deliveries are claimed, and leases are counted under that lock. So the limit of
//! deliveries in flight holds across all servers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, DeliveryId, EventId, WebhookId};
use telepath_core::webhook::delivery::LONGEST_WAIT;
use telepath_core::webhook::signature::SigningSecret;
use telepath_core::webhook::{WebhookHeaders, WebhookUrl};

use crate::context::StoreContext;
use crate::error::StoreError;
use crate::sql::{Connection, Row, binds, placeholders};
use crate::store::Store;
use crate::webhook::row::{limit_of, url_of};
use crate::webhook::secret::{open_headers, signing_secrets};

/// Endpoints per query.
const MAX_ENDPOINTS: i64 = 2_000;

/// Endpoints whose deliveries are claimed in one transaction.
const ENDPOINTS_PER_TRANSACTION: usize = 16;
/// Deliveries per statement that renews or releases leases.
const LEASES_PER_STATEMENT: usize = 256;
/// The longest lease. One that ends beyond its horizon is void.
const LONGEST_LEASE: Duration = Duration::from_mins(1);

/// The name of one claim: its process, and the number of the claim in that process.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lease(Arc<str>);

impl Lease {
    /// The lease of a claim. `process` must be unique among all processes.
    pub fn new(process: &str, claim: u64) -> Self {
        Self(format!("{process}.{claim}").into())
    }

    /// The form in the database.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A delivery that this process is sending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningDelivery {
    pub id: DeliveryId,
    pub lease: Lease,
}

/// An endpoint with due deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueWebhook {
    pub id: WebhookId,
    /// Deliveries in flight to it, from all processes.
    pub in_flight: u32,
    /// The maximum of `in_flight` now.
    pub allowed: u32,
}

/// How many deliveries of an endpoint to claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryQuota {
    pub webhook: WebhookId,
    pub deliveries: u32,
    /// Deliveries to the endpoint that this process is sending. They are not claimed, even if their leases have expired.
    pub running: Vec<DeliveryId>,
}

/// Where the deliveries of an endpoint go.
#[derive(Debug)]
pub struct DeliveryTarget {
    pub webhook: WebhookId,
    pub account: AccountId,
    pub url: WebhookUrl,
    /// The secrets that sign, newest first. Empty if a secret or the headers cannot be opened; then nothing may be sent.
    pub secrets: Vec<SigningSecret>,
    /// Headers to add.
    pub headers: Option<WebhookHeaders>,
    /// The authorities that the endpoint's certificate is verified against; `None` for those of the system.
    pub ca_pem: Option<String>,
}

/// A delivery that this process has claimed and must finish or release.
#[derive(Debug)]
pub struct ClaimedDelivery {
    pub id: DeliveryId,
    pub lease: Lease,
    pub target: Arc<DeliveryTarget>,
    pub event: EventId,
    /// The number of the next attempt, counted from 1.
    pub attempt: u32,
    /// The exact request body.
    pub body: String,
}

impl Store {
    /// Waits for a commit that may have made deliveries due.
    pub async fn wait_for_commit(&self) {
        self.backend.committed().notified().await;
    }

    /// Active endpoints with due deliveries, those after `after` first. A caller that gets as many as are read at once
    /// passes the last one to the next call, so that every endpoint gets a turn.
    pub async fn due_webhooks(&self, after: Option<WebhookId>) -> Result<Vec<DueWebhook>, StoreError> {
        let now = self.now();
        let mut db = self.backend.read().await?;
        let sql = "SELECT w.id AS id, w.max_in_flight AS max_in_flight, w.reduced_limit AS reduced_limit, \
             w.overloads AS overloads, w.paused_until AS paused_until, (SELECT count(*) FROM webhook_deliveries l \
             WHERE l.webhook_id = w.id AND l.lease IS NOT NULL AND l.next_at > $1) AS in_flight FROM webhooks w \
             WHERE w.status = 'active' AND w.deleted_at IS NULL AND EXISTS (SELECT 1 FROM webhook_deliveries d \
             WHERE d.webhook_id = w.id AND d.status = 'pending' AND d.next_at <= $1) \
             ORDER BY CASE WHEN w.id > $3 THEN 0 ELSE 1 END, w.id LIMIT $2";
        let after = after.map(|id| id.to_string()).unwrap_or_default();
        let rows = db.fetch_all(sql, binds![now, MAX_ENDPOINTS, after]).await?;
        let due = |row: &Row| {
            Ok(DueWebhook {
                id: row.parse("id")?,
                in_flight: row.number("in_flight")?,
                allowed: limit_of(row)?.allows(row.number("max_in_flight")?, now),
            })
        };
        rows.iter().map(due).collect()
    }

    /// Claims due deliveries until `lease_ends`, those due for longest first. Endpoints that another transaction holds
    /// are left for the next call.
    ///
    /// # Errors
    /// Storage failed and nothing was claimed. If it fails later, what was claimed until then is returned.
    pub async fn claim_deliveries(
        &self,
        mut quotas: Vec<DeliveryQuota>,
        lease: &Lease,
        lease_ends: Timestamp,
    ) -> Result<Vec<ClaimedDelivery>, StoreError> {
        // One order for all processes, because each endpoint is locked until the transaction ends.
        quotas.sort_by_key(|quota| quota.webhook);
        let mut claimed = Vec::new();
        for group in quotas.chunks(ENDPOINTS_PER_TRANSACTION) {
            let group = group.to_vec();
            let claim = LeaseTerms {
                lease: lease.clone(),
                lease_ends,
                now: self.now(),
                context: self.context.clone(),
            };
            match self.backend.write(move |db| Box::pin(take_all(db, group, claim))).await {
                Ok(taken) => claimed.extend(taken),
                Err(error) if claimed.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        Ok(claimed)
    }

    /// Extends leases until `lease_ends`. Returns how many of them still held.
    pub async fn renew_deliveries(
        &self,
        running: &[RunningDelivery],
        lease_ends: Timestamp,
    ) -> Result<u64, StoreError> {
        self.write_leases("next_at = $1", running, lease_ends).await
    }

    /// Releases deliveries, which are then due. Returns how many leases still held.
    pub async fn release_deliveries(&self, running: &[RunningDelivery]) -> Result<u64, StoreError> {
        self.write_leases("lease = NULL, next_at = $1", running, self.now()).await
    }

    async fn write_leases(
        &self,
        change: &str,
        running: &[RunningDelivery],
        at: Timestamp,
    ) -> Result<u64, StoreError> {
        let mut held = 0;
        for group in running.chunks(LEASES_PER_STATEMENT) {
            let count = group.len();
            // An id is in one claim of this process at most, so ids and leases need not be compared in pairs.
            let sql = format!(
                "UPDATE webhook_deliveries SET {change} WHERE id IN ({}) AND lease IN ({})",
                placeholders(2, count),
                placeholders(2 + count, count)
            );
            let ids = group.iter().map(|one| one.id.to_string().into());
            let leases = group.iter().map(|one| one.lease.as_str().into());
            let values = binds![at].into_iter().chain(ids).chain(leases).collect();
            held += self.backend.execute(sql, values).await?;
        }
        Ok(held)
    }

    /// Makes deliveries due whose lease ends, or whose next attempt is, further in the future than any can be: the clock that
    /// wrote them was set back.
    pub async fn release_distant_deliveries(&self) -> Result<u64, StoreError> {
        let now = self.now();
        let leased = "UPDATE webhook_deliveries SET lease = NULL, next_at = $1 WHERE lease IS NOT NULL AND next_at > $2";
        let voided = self.backend.execute(leased, binds![now, now.horizon(LONGEST_LEASE)]).await?;
        // The comparison with the endpoint lets the index of due deliveries find the few rows.
        let waiting = "UPDATE webhook_deliveries SET next_at = $1 WHERE status = 'pending' AND lease IS NULL \
                       AND webhook_id IN (SELECT id FROM webhooks) AND next_at > $2";
        Ok(voided + self.backend.execute(waiting, binds![now, now.horizon(LONGEST_WAIT)]).await?)
    }
}

/// Clears the leases of the previous process, on a database that only one process can open.
pub(crate) async fn void_leases(db: &mut Connection, now: Timestamp) -> Result<u64, StoreError> {
    let sql = "UPDATE webhook_deliveries SET lease = NULL, next_at = $1 WHERE lease IS NOT NULL";
    db.execute(sql, binds![now]).await
}

struct LeaseTerms {
    lease: Lease,
    lease_ends: Timestamp,
    now: Timestamp,
    context: StoreContext,
}

async fn take_all(
    db: &mut Connection,
    quotas: Vec<DeliveryQuota>,
    claim: LeaseTerms,
) -> Result<Vec<ClaimedDelivery>, StoreError> {
    let mut claimed = Vec::new();
    for quota in quotas {
        take(db, &quota, &claim, &mut claimed).await?;
    }
    Ok(claimed)
}

async fn take(
    db: &mut Connection,
    quota: &DeliveryQuota,
    claim: &LeaseTerms,
    claimed: &mut Vec<ClaimedDelivery>,
) -> Result<(), StoreError> {
    let webhook = quota.webhook;
    let sql = "SELECT account_id, url, headers, ca_pem, max_in_flight, reduced_limit, overloads, paused_until \
               FROM webhooks WHERE id = $1 AND status = 'active' AND deleted_at IS NULL";
    let Some(row) = db.try_lock(sql, binds![webhook.to_string()]).await? else { return Ok(()) };
    let allowed = limit_of(&row)?.allows(row.number("max_in_flight")?, claim.now);
    let free = allowed.saturating_sub(in_flight(db, quota, claim.now).await?).min(quota.deliveries);
    if free == 0 {
        return Ok(());
    }
    let target = Arc::new(target(db, webhook, &row, claim).await?);
    // The subquery runs once, before the update: as a plain subquery PostgreSQL may run it repeatedly, and exceed the
    // limit.
    let sql = format!(
        "WITH due AS MATERIALIZED (SELECT id FROM webhook_deliveries WHERE webhook_id = $3 AND status = 'pending' \
         AND next_at <= $4{} ORDER BY next_at, id LIMIT $5{}) \
         UPDATE webhook_deliveries SET lease = $1, next_at = $2 WHERE id IN (SELECT id FROM due) \
         RETURNING id, event_id, attempts, \
         (SELECT payload FROM outbox_events WHERE outbox_events.id = webhook_deliveries.event_id) AS payload",
        except(&quota.running, 6),
        db.skip_locked()
    );
    let values = binds![claim.lease.as_str(), claim.lease_ends, webhook.to_string(), claim.now, free];
    let values = values.into_iter().chain(quota.running.iter().map(|id| id.to_string().into())).collect();
    let from = claimed.len();
    for row in db.fetch_all(sql, values).await? {
        claimed.push(ClaimedDelivery {
            id: row.parse("id")?,
            lease: claim.lease.clone(),
            target: Arc::clone(&target),
            event: row.parse("event_id")?,
            attempt: row.number::<u32>("attempts")?.saturating_add(1),
            body: row.text("payload")?,
        });
    }
    // Neither database guarantees the order of returned rows.
    claimed[from..].sort_by_key(|delivery| delivery.event);
    Ok(())
}

async fn target(
    db: &mut Connection,
    webhook: WebhookId,
    row: &Row,
    claim: &LeaseTerms,
) -> Result<DeliveryTarget, StoreError> {
    let vault = &claim.context.vault;
    let headers = row.maybe_bytes("headers")?.map(|sealed| open_headers(vault, webhook, sealed)).transpose();
    let (headers, secrets) = match headers {
        Ok(headers) => (headers, signing_secrets(db, webhook, vault, claim.now).await?),
        Err(error) => {
            tracing::error!(%webhook, %error, "could not open the headers; nothing is sent to the endpoint");
            (None, Vec::new())
        }
    };
    Ok(DeliveryTarget {
        webhook,
        account: row.parse("account_id")?,
        url: url_of(row)?,
        secrets,
        headers,
        ca_pem: row.maybe_text("ca_pem")?,
    })
}

fn except(running: &[DeliveryId], first: usize) -> String {
    if running.is_empty() {
        return String::new();
    }
    format!(" AND id NOT IN ({})", placeholders(first, running.len()))
}

/// Deliveries in flight: those with a lease that holds, and those that this process is sending although their lease has
/// expired.
async fn in_flight(db: &mut Connection, quota: &DeliveryQuota, now: Timestamp) -> Result<u32, StoreError> {
    let running = &quota.running;
    let or_running = if running.is_empty() {
        String::new()
    } else {
        format!(" OR id IN ({})", placeholders(3, running.len()))
    };
    let sql = format!(
        "SELECT count(*) AS total FROM webhook_deliveries WHERE webhook_id = $1 AND lease IS NOT NULL \
         AND (next_at > $2{or_running})"
    );
    let values = binds![quota.webhook.to_string(), now].into_iter();
    let values = values.chain(running.iter().map(|id| id.to_string().into())).collect();
    db.fetch_one(sql, values).await?.number("total")
}

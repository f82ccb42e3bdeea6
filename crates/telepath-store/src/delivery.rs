//! Deliveries of events to webhook endpoints: listed, shown with their attempts, and asked for again. What the sender does
//! with them stands in `claim`, `finish` and `clear`.

mod claim;
mod clear;
mod finish;
mod repeat;

use telepath_core::audit::Origin;
use telepath_core::clock::Timestamp;
use telepath_core::event::EventKind;
use telepath_core::id::{AccountId, DeliveryId, EventId, WebhookId};
use telepath_core::page::{CursorPage, Page, PageRequest};
use telepath_core::webhook::delivery::{DeliveryStatus, ErrorClass};

use crate::Store;
use crate::error::StoreError;
use crate::sql::{Connection, Row, binds, corrupt, placeholders};
use crate::webhook::WebhookChangeError;

pub(crate) use claim::void_leases;
pub use claim::{Claimed, DueWebhook, Grant, Receiver};
pub use repeat::Recovered;

/// Where PostgreSQL announces, with the commit, that deliveries may be due.
pub(crate) const CHANNEL: &str = "telepath_deliveries";

/// A delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRecord {
    /// Its id.
    pub id: DeliveryId,
    /// To which endpoint.
    pub webhook_id: WebhookId,
    /// Of which event.
    pub event_id: EventId,
    /// Of which kind.
    pub kind: EventKind,
    /// Where it stands.
    pub status: DeliveryStatus,
    /// How often it was tried in all.
    pub attempts: u32,
    /// When it is tried next, while it is pending.
    pub next_at: Option<Timestamp>,
    /// When the event happened.
    pub created_at: Timestamp,
    /// When it was delivered, exhausted or held.
    pub finished_at: Option<Timestamp>,
    /// The attempts that are kept, the oldest first.
    pub tried: Vec<AttemptRecord>,
}

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRecord {
    /// 1 for the first.
    pub number: u32,
    /// When it ended.
    pub at: Timestamp,
    /// How long it took.
    pub duration_ms: u32,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// What went wrong; `None` for success.
    pub error: Option<ErrorClass>,
    /// The beginning of the answer's body; empty where it was not asked for.
    pub answer: Vec<u8>,
}

/// A delivery with what it carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryDetails {
    /// The delivery, its attempts with their answers.
    pub record: DeliveryRecord,
    /// The exact body.
    pub payload: String,
}

/// Which deliveries to list.
#[derive(Debug, Clone, Copy, Default)]
pub struct DeliveryFilter {
    /// Only these.
    pub status: Option<DeliveryStatus>,
    /// Only of events of this kind.
    pub kind: Option<EventKind>,
    /// The oldest first instead of the newest.
    pub oldest_first: bool,
    /// Go on behind this delivery.
    pub after: Option<DeliveryId>,
}

const COLUMNS: &str = "id, webhook_id, event_id, kind, status, attempts, next_at, created_at, finished_at";

impl Store {
    /// Deliveries to an endpoint of the account, the newest event first, with their attempts but without the answers.
    pub async fn list_deliveries(
        &self,
        account: AccountId,
        webhook: WebhookId,
        filter: DeliveryFilter,
        page: PageRequest,
    ) -> Result<CursorPage<DeliveryRecord, DeliveryId>, WebhookChangeError> {
        const WHERE: &str = "FROM webhook_deliveries WHERE account_id = $1 AND webhook_id = $2 \
             AND ($3 IS NULL OR status = $3) AND ($4 IS NULL OR kind = $4)";
        let mut db = self.backend.read().await?;
        let known = "SELECT id FROM webhooks WHERE id = $1 AND account_id = $2 AND deleted_at IS NULL";
        let known = db.fetch_optional(known, binds![webhook.to_string(), account.to_string()]).await?;
        known.ok_or(WebhookChangeError::NotFound)?;
        let binds = binds![
            account.to_string(),
            webhook.to_string(),
            filter.status.map(DeliveryStatus::name),
            filter.kind.map(EventKind::name),
        ];
        let total = db.fetch_one(format!("SELECT count(*) AS total {WHERE}"), binds.clone()).await?;
        // Ids begin with the time of their event, so their order is the order of events.
        let (beyond, order) = if filter.oldest_first { (">", "ASC") } else { ("<", "DESC") };
        let sql = format!(
            "SELECT {COLUMNS} {WHERE} AND ($5 IS NULL OR id {beyond} $5) ORDER BY id {order} LIMIT $6 OFFSET $7"
        );
        let after = filter.after.map(|id| id.to_string());
        // One more than asked for tells whether there is more.
        let page_binds = [binds, binds![after, page.limit() + 1, page.offset()]].concat();
        let rows = db.fetch_all(sql, page_binds).await?;
        let mut items = rows.iter().map(record_of).collect::<Result<Vec<_>, _>>()?;
        let more = items.len() > page.limit() as usize;
        items.truncate(page.limit() as usize);
        add_attempts(&mut db, &mut items).await?;
        let next = items.last().filter(|_| more).map(|delivery| delivery.id);
        Ok(CursorPage { page: Page { items, total: total.number("total")? }, next })
    }

    /// A delivery of the account with its attempts, their answers, and its body.
    pub async fn get_delivery(
        &self,
        account: AccountId,
        id: DeliveryId,
    ) -> Result<Option<DeliveryDetails>, StoreError> {
        let mut db = self.backend.read().await?;
        let Some(mut record) = record(&mut db, account, id).await? else { return Ok(None) };
        let sql = "SELECT payload FROM outbox_events WHERE id = $1 AND account_id = $2";
        let values = binds![record.event_id.to_string(), account.to_string()];
        let payload = db.fetch_one(sql, values).await?.text("payload")?;
        let sql = "SELECT number, at, duration_ms, status, error, answer FROM webhook_attempts \
                   WHERE delivery_id = $1 ORDER BY number";
        for row in db.fetch_all(sql, binds![id.to_string()]).await? {
            record.tried.push(AttemptRecord { answer: row.bytes("answer")?, ..attempt_of(&row)? });
        }
        Ok(Some(DeliveryDetails { record, payload }))
    }

    /// Asks for a delivery again, from the beginning of the schedule. One that waits is brought forward.
    pub async fn redeliver(
        &self,
        account: AccountId,
        id: DeliveryId,
        origin: Origin,
    ) -> Result<DeliveryRecord, WebhookChangeError> {
        let repeat = repeat::Repeat { account, id, origin, audit_id: self.new_id(origin.at)? };
        self.backend.write(move |db| Box::pin(repeat::one(db, repeat))).await
    }

    /// Asks again for the deliveries of an endpoint that were exhausted or held, of events since a time.
    pub async fn recover_deliveries(
        &self,
        account: AccountId,
        webhook: WebhookId,
        since: Timestamp,
        origin: Origin,
    ) -> Result<Recovered, WebhookChangeError> {
        let audit_id = self.new_id(origin.at)?;
        let recovery = repeat::Recovery { account, webhook, since, origin, audit_id };
        self.backend.write(move |db| Box::pin(repeat::failed(db, recovery))).await
    }
}

/// A delivery of the account without its attempts.
pub(crate) async fn record(
    db: &mut Connection,
    account: AccountId,
    id: DeliveryId,
) -> Result<Option<DeliveryRecord>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM webhook_deliveries WHERE id = $1 AND account_id = $2 \
         AND webhook_id IN (SELECT id FROM webhooks WHERE deleted_at IS NULL)"
    );
    let row = db.fetch_optional(sql, binds![id.to_string(), account.to_string()]).await?;
    row.as_ref().map(record_of).transpose()
}

async fn add_attempts(db: &mut Connection, records: &mut [DeliveryRecord]) -> Result<(), StoreError> {
    if records.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "SELECT delivery_id, number, at, duration_ms, status, error FROM webhook_attempts \
         WHERE delivery_id IN ({}) ORDER BY delivery_id, number",
        placeholders(1, records.len())
    );
    let ids = records.iter().map(|record| record.id.to_string().into()).collect();
    for row in db.fetch_all(sql, ids).await? {
        let id: DeliveryId = row.parse("delivery_id")?;
        if let Some(record) = records.iter_mut().find(|record| record.id == id) {
            record.tried.push(attempt_of(&row)?);
        }
    }
    Ok(())
}

fn record_of(row: &Row) -> Result<DeliveryRecord, StoreError> {
    let status = row.named("status", DeliveryStatus::from_name)?;
    Ok(DeliveryRecord {
        id: row.parse("id")?,
        webhook_id: row.parse("webhook_id")?,
        event_id: row.parse("event_id")?,
        kind: row.named("kind", EventKind::from_name)?,
        status,
        attempts: row.number("attempts")?,
        next_at: if status == DeliveryStatus::Pending { Some(row.time("next_at")?) } else { None },
        created_at: row.time("created_at")?,
        finished_at: row.maybe_time("finished_at")?,
        tried: Vec::new(),
    })
}

fn attempt_of(row: &Row) -> Result<AttemptRecord, StoreError> {
    let status = row.maybe_integer("status")?;
    let error = row.maybe_text("error")?;
    Ok(AttemptRecord {
        number: row.number("number")?,
        at: row.time("at")?,
        duration_ms: row.number("duration_ms")?,
        status: status.map(|status| u16::try_from(status).map_err(|_| corrupt("status"))).transpose()?,
        error: match error {
            None => None,
            Some(name) => Some(ErrorClass::from_name(&name).ok_or_else(|| corrupt("error"))?),
        },
        answer: Vec::new(),
    })
}

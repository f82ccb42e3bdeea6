//! Webhook deliveries: list, show with attempts, redeliver and recover. The sender's side is in `claim`, `finish` and
//! `purge`.

pub(crate) mod claim;
pub(crate) mod figures;
mod finish;
mod purge;
pub(crate) mod redeliver;
mod responses;
pub(crate) mod row;

use telepath_core::audit::Origin;
use telepath_core::clock::Timestamp;
use telepath_core::event::EventKind;
use telepath_core::id::{CallId, DeliveryId, KeyId, WebhookId};
use telepath_core::page::{Page, PageRequest};
use telepath_core::reach::Reach;
use telepath_core::webhook::Webhook;
use telepath_core::webhook::delivery::DeliveryStatus;

use crate::error::StoreError;
use crate::sql::within::{delivery_within, subscription_within};
use crate::sql::{ListQuery, Order, binds};
use crate::store::Store;
use crate::webhook::WebhookChangeError;
use redeliver::RecoveredDeliveries;
use row::{
    AttemptRecord, COLUMNS, DeliveryDetails, DeliveryRecord, add_attempts, attempt_of, record, record_of,
};

/// Which deliveries to list.
#[derive(Debug, Clone, Copy, Default)]
pub struct DeliveryFilter {
    /// Only deliveries with this status.
    pub status: Option<DeliveryStatus>,
    /// Only deliveries of events of this kind.
    pub kind: Option<EventKind>,
    /// Oldest first instead of newest first.
    pub oldest_first: bool,
}

/// Which deliveries to list, to any endpoint of an account.
#[derive(Debug, Clone, Copy, Default)]
pub struct AccountDeliveryFilter {
    /// Only deliveries of events about this call.
    pub call: Option<CallId>,
    /// Only deliveries of events about this key.
    pub key: Option<KeyId>,
    pub of_endpoint: DeliveryFilter,
}

impl Store {
    /// Deliveries to every endpoint within reach, of events within reach, newest event first, with attempts but without
    /// response bodies.
    pub async fn list_account_deliveries(
        &self,
        reach: impl Into<Reach>,
        filter: AccountDeliveryFilter,
        page: PageRequest,
    ) -> Result<Page<DeliveryRecord>, StoreError> {
        let Reach { account, trunks } = reach.into();
        let AccountDeliveryFilter { call, key, of_endpoint } = filter;
        let mut filters = binds![
            account.to_string(),
            of_endpoint.status.map(DeliveryStatus::name),
            of_endpoint.kind.map(EventKind::name),
        ];
        let endpoints = subscription_within(&trunks, &mut filters);
        let mut chosen = delivery_within(&trunks, &mut filters);
        let subjects = [call.map(|id| id.to_string()), key.map(|id| id.to_string())];
        for subject in subjects.into_iter().flatten() {
            filters.push(subject.into());
            let place = filters.len();
            chosen = format!(
                "{chosen} AND event_id IN \
                 (SELECT id FROM outbox_events WHERE subject = ${place} AND account_id = $1)"
            );
        }
        let source = format!(
            "FROM webhook_deliveries WHERE account_id = $1 AND ($2 IS NULL OR status = $2) \
             AND ($3 IS NULL OR kind = $3){chosen} AND webhook_id IN \
             (SELECT id FROM webhooks WHERE account_id = $1 AND deleted_at IS NULL{endpoints})"
        );
        let order = Order { id: "id", by: None, ascending: of_endpoint.oldest_first };
        let list = ListQuery { columns: COLUMNS, source: &source, filters, order };
        let mut db = self.backend.read().await?;
        let mut found = list.page(&mut db, page).await?.try_map(|row| record_of(&row))?;
        add_attempts(&mut db, &mut found.items).await?;
        Ok(found)
    }

    /// Deliveries to an endpoint, of events within reach, newest event first, with attempts but without response bodies.
    pub async fn list_deliveries(
        &self,
        reach: impl Into<Reach>,
        webhook: WebhookId,
        filter: DeliveryFilter,
        page: PageRequest,
    ) -> Result<Page<DeliveryRecord>, WebhookChangeError> {
        let reach = reach.into();
        let mut db = self.backend.read().await?;
        let mut values = binds![webhook.to_string(), reach.account.to_string()];
        let within = subscription_within(&reach.trunks, &mut values);
        let known = format!(
            "SELECT id FROM webhooks WHERE id = $1 AND account_id = $2 AND deleted_at IS NULL{within}"
        );
        db.fetch_optional(known, values).await?.ok_or(WebhookChangeError::NotFound)?;
        let mut filters = binds![
            reach.account.to_string(),
            webhook.to_string(),
            filter.status.map(DeliveryStatus::name),
            filter.kind.map(EventKind::name),
        ];
        let within = delivery_within(&reach.trunks, &mut filters);
        let source = format!(
            "FROM webhook_deliveries WHERE account_id = $1 AND webhook_id = $2 \
             AND ($3 IS NULL OR status = $3) AND ($4 IS NULL OR kind = $4){within}"
        );
        // Ids begin with the time of their event, so ordering by id orders by event.
        let order = Order { id: "id", by: None, ascending: filter.oldest_first };
        let list = ListQuery { columns: COLUMNS, source: &source, filters, order };
        let mut found = list.page(&mut db, page).await?.try_map(|row| record_of(&row))?;
        add_attempts(&mut db, &mut found.items).await?;
        Ok(found)
    }

    /// A delivery of an event within reach, with its attempts, their response bodies, and its payload.
    pub async fn get_delivery(
        &self,
        reach: impl Into<Reach>,
        id: DeliveryId,
    ) -> Result<Option<DeliveryDetails>, StoreError> {
        let reach = reach.into();
        let mut db = self.backend.read().await?;
        let Some(mut record) = record(&mut db, &reach, id).await? else { return Ok(None) };
        let sql = "SELECT payload FROM outbox_events WHERE id = $1 AND account_id = $2";
        let values = binds![record.event_id.to_string(), reach.account.to_string()];
        let payload = db.fetch_one(sql, values).await?.text("payload")?;
        let sql = "SELECT number, at, duration_ms, status, error, answer FROM webhook_attempts \
                   WHERE delivery_id = $1 ORDER BY number";
        for row in db.fetch_all(sql, binds![id.to_string()]).await? {
            record
                .attempt_records
                .push(AttemptRecord { response_body: row.bytes("answer")?, ..attempt_of(&row)? });
        }
        Ok(Some(DeliveryDetails { record, payload }))
    }

    /// Restarts the retry schedule of a delivery. A pending delivery becomes due now.
    pub async fn redeliver(
        &self,
        reach: impl Into<Reach>,
        id: DeliveryId,
        origin: Origin,
    ) -> Result<DeliveryRecord, WebhookChangeError> {
        let reach = reach.into();
        let redeliver = redeliver::Redelivery { reach, id, origin, audit_id: self.new_audit_id(origin.at)? };
        self.backend.write(move |db| Box::pin(redeliver::one(db, redeliver))).await
    }

    /// How many deliveries [`Store::recover_deliveries`] would restart now.
    pub async fn count_recoverable(
        &self,
        reach: impl Into<Reach>,
        webhook: &Webhook,
        since: Timestamp,
    ) -> Result<u64, StoreError> {
        let reach = reach.into();
        let mut db = self.backend.read().await?;
        redeliver::count_failed(&mut db, &reach, &webhook.subscription, (webhook.id, since)).await
    }

    /// Restarts the exhausted and held deliveries of an endpoint for events since a time.
    pub async fn recover_deliveries(
        &self,
        reach: impl Into<Reach>,
        webhook: WebhookId,
        since: Timestamp,
        origin: Origin,
    ) -> Result<RecoveredDeliveries, WebhookChangeError> {
        let reach = reach.into();
        let audit_id = self.new_audit_id(origin.at)?;
        let recovery = redeliver::Recovery { reach, webhook, since, origin, audit_id };
        self.backend.write(move |db| Box::pin(redeliver::failed(db, recovery))).await
    }
}

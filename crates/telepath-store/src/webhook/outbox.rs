//! The second half of the outbox: a delivery for each subscribed endpoint, written in the transaction of the event.
//! Without endpoints this costs one lookup in an empty index.

use telepath_core::clock::Timestamp;
use telepath_core::event::{EventKind, EventSubject};
use telepath_core::id::{AccountId, EventId, WebhookId};
use telepath_core::webhook::WebhookStatus;
use telepath_core::webhook::delivery::{DeliveryStatus, id_of};

use super::row;
use crate::error::StoreError;
use crate::sql::{Connection, Row, Value, binds, placeholders};

/// The channel on which PostgreSQL announces, with the commit, that deliveries may be due.
pub(crate) const CHANNEL: &str = "telepath_deliveries";
/// Rows per statement.
const ROWS: usize = 50;
const COLUMNS: usize = 9;

/// An event that was just stored.
#[derive(Clone, Copy)]
pub(crate) struct Stored {
    pub(crate) account: AccountId,
    pub(crate) id: EventId,
    pub(crate) kind: EventKind,
    pub(crate) subject: EventSubject,
    pub(crate) now: Timestamp,
}

/// Writes a delivery for each subscribed endpoint.
pub(crate) async fn enqueue(db: &mut Connection, event: Stored) -> Result<(), StoreError> {
    let sql = "SELECT id, events, trunk_ids, status FROM webhooks \
               WHERE account_id = $1 AND deleted_at IS NULL ORDER BY created_at, id";
    let mut wanting = Vec::new();
    db.fetch_each(sql, binds![event.account.to_string()], |row| {
        if let Some(webhook) = wants(&row, event)? {
            wanting.push(webhook);
        }
        Ok(())
    })
    .await?;
    for group in wanting.chunks(ROWS) {
        insert(db, event, group).await?;
    }
    if wanting.iter().any(|(_, status)| *status == WebhookStatus::Active) {
        db.announce(CHANNEL).await?;
    }
    Ok(())
}

fn wants(row: &Row, event: Stored) -> Result<Option<(WebhookId, WebhookStatus)>, StoreError> {
    let id: WebhookId = row.parse("id")?;
    // A test event is for its own endpoint only, whether or not that endpoint is subscribed to it.
    let wanted = if event.kind == EventKind::WebhookTest {
        event.subject == EventSubject::Webhook(id)
    } else {
        row::subscription_of(row)?.wants(event.kind, event.subject.trunk())
    };
    if wanted { Ok(Some((id, row.named("status", WebhookStatus::from_name)?))) } else { Ok(None) }
}

async fn insert(
    db: &mut Connection,
    event: Stored,
    wanting: &[(WebhookId, WebhookStatus)],
) -> Result<(), StoreError> {
    let row = |place: usize| format!("({}, 0, 0)", placeholders(place * COLUMNS + 1, COLUMNS));
    let rows: Vec<_> = (0..wanting.len()).map(row).collect();
    let sql = format!(
        "INSERT INTO webhook_deliveries (id, account_id, webhook_id, event_id, kind, status, next_at, created_at, \
         finished_at, attempts, tries) VALUES {}",
        rows.join(", ")
    );
    let values = wanting.iter().flat_map(|(webhook, status)| -> [Value; COLUMNS] {
        let (status, finished_at) = match status {
            WebhookStatus::Active => (DeliveryStatus::Pending, None),
            WebhookStatus::Disabled => (DeliveryStatus::Held, Some(event.now)),
        };
        [
            id_of(event.id, *webhook).to_string().into(),
            event.account.to_string().into(),
            webhook.to_string().into(),
            event.id.to_string().into(),
            event.kind.name().into(),
            status.name().into(),
            event.now.into(),
            event.now.into(),
            finished_at.into(),
        ]
    });
    db.execute(sql, values.collect()).await?;
    Ok(())
}

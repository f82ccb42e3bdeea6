//! The outbox: an event is stored in the transaction of its change, as the exact body of the webhook, with the next
//! sequence number of its subject and with one delivery per subscribed endpoint.

use serde_json::{Map, Value};
use telepath_core::clock::Timestamp;
use telepath_core::event::EventPayload;
use telepath_core::id::{AccountId, EventId};

use crate::error::StoreError;
use crate::sql::{Connection, binds, to_json};
use crate::webhook::outbox::{Stored, enqueue};

/// Stores an event. The subject's row is locked until the transaction ends, so sequence numbers have no gaps or
/// duplicates.
pub(crate) async fn write(
    db: &mut Connection,
    account: AccountId,
    id: EventId,
    event: EventPayload,
    now: Timestamp,
) -> Result<(), StoreError> {
    let subject_id = event.subject().id_text();
    let sequence = db
        .fetch_one(
            "INSERT INTO outbox_subjects (subject, last_sequence) VALUES ($1, 1) \
             ON CONFLICT (subject) DO UPDATE SET last_sequence = outbox_subjects.last_sequence + 1 \
             RETURNING last_sequence",
            binds![subject_id.as_str()],
        )
        .await?
        .integer("last_sequence")?;
    let stored = Stored { account, id, kind: event.kind(), subject: event.subject(), now };
    let kind = stored.kind.name();
    let trunk = stored.subject.trunk().map(|trunk| trunk.to_string());
    let mut payload = event.to_members().map_err(|error| StoreError::Corrupt(error.to_string()))?;
    payload.insert("event".to_owned(), kind.into());
    payload.insert("id".to_owned(), id.to_string().into());
    payload.insert("sequence".to_owned(), sequence.into());
    payload.insert("timestamp".to_owned(), now.to_string().into());
    db.execute(
        "INSERT INTO outbox_events (id, account_id, kind, subject, trunk_id, sequence, payload, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        binds![
            id.to_string(),
            account.to_string(),
            kind,
            subject_id,
            trunk,
            sequence,
            to_json(&payload)?,
            now
        ],
    )
    .await?;
    enqueue(db, stored).await
}

/// The members of a JSON object literal.
pub(crate) fn fields(object: Value) -> Map<String, Value> {
    match object {
        Value::Object(members) => members,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}

//! Erases a call, or a number, from the records. Statistics stay: they hold neither calls nor numbers.

use serde_json::{Map, Value as Json, json};
use telepath_core::audit::{AuditAction, AuditEntry, KeyedAuditId, Origin};
use telepath_core::call::{CallStatus, ErasedNumber};
use telepath_core::id::{AccountId, CallId};
use telepath_core::reach::Reach;

use crate::audit;
use crate::error::StoreError;
use crate::sql::within::trunk_within;
use crate::sql::{Connection, Row, Value, binds, placeholders, to_json};
use crate::store::Store;

/// Calls that one step looks at, and one transaction changes.
const STEP: usize = 500;
/// The steps of one request; the caller continues behind them.
const MAX_STEPS: usize = 100;
/// What events have in the place of what was erased.
const ERASED: &str = "erased";
const NO_RESPONSE: &[u8] = &[];
/// The members of events that hold numbers, or what an agent said.
const PERSONAL: [&str; 5] = ["from", "to", "caller_id", "called_number", "error_message"];

/// Why a call is not erased.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    #[error("no such call")]
    NotFound,
    #[error("the call is live")]
    Live,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What became of the calls with a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NumberErasure {
    /// Calls from or to the number, which are gone.
    pub erased: u64,
    /// Other calls whose SIP messages or headers contained it; those were removed.
    pub cleared: u64,
    /// Live calls with the number, which stay.
    pub live: u64,
    /// Calls behind this one are still to be looked at.
    pub next: Option<CallId>,
}

impl Store {
    /// Erases the record of a call within reach, and what its events and their deliveries say about the parties.
    pub async fn erase_call(
        &self,
        reach: impl Into<Reach>,
        id: CallId,
        origin: Origin,
    ) -> Result<(), EraseError> {
        let (reach, audit_id) = (reach.into(), self.new_audit_id(origin.at)?);
        self.backend.write(move |db| Box::pin(erase_one(db, reach, id, origin, audit_id))).await
    }

    /// Erases a number from the calls within reach, from the one behind `after` on, in the order of their ids.
    pub async fn erase_number(
        &self,
        reach: impl Into<Reach>,
        number: ErasedNumber,
        after: Option<CallId>,
        origin: Origin,
    ) -> Result<NumberErasure, StoreError> {
        let reach = reach.into();
        let mut all = NumberErasure { next: after, ..NumberErasure::default() };
        for _ in 0..MAX_STEPS {
            let found = self.find_number(&reach, &number, all.next).await?;
            all.live += found.live;
            all.next = found.last;
            let (account, hint, audit_id) = (reach.account, number.hint(), self.new_audit_id(origin.at)?);
            let (erased, cleared) = self
                .backend
                .write(move |db| Box::pin(erase_found(db, account, hint, found, origin, audit_id)))
                .await?;
            all.erased += erased;
            all.cleared += cleared;
            if all.next.is_none() {
                break;
            }
        }
        Ok(all)
    }

    async fn find_number(
        &self,
        reach: &Reach,
        number: &ErasedNumber,
        after: Option<CallId>,
    ) -> Result<Found, StoreError> {
        let after = after.map(|id| id.to_string()).unwrap_or_default();
        let contained = format!("%{}%", number.digits());
        let mut values = binds![reach.account.to_string(), after, contained];
        values.extend(number.parties().map(Value::from));
        let within = trunk_within("trunk_id", &reach.trunks, &mut values);
        values.push(i64::try_from(STEP).unwrap_or(i64::MAX).into());
        let sql = format!(
            "SELECT id, status, \
             CAST(CASE WHEN from_party IN ($4, $5, $6) OR to_party IN ($4, $5, $6) THEN 1 ELSE 0 END AS BIGINT) \
             AS is_party, \
             CAST(CASE WHEN sip LIKE $3 OR sip_trace LIKE $3 THEN 1 ELSE 0 END AS BIGINT) AS is_named \
             FROM calls WHERE account_id = $1 AND id > $2{within} ORDER BY id LIMIT ${}",
            values.len()
        );
        let rows = self.backend.read().await?.fetch_all(sql, values).await?;
        let mut found = Found::default();
        for row in &rows {
            found.add(row)?;
        }
        if rows.len() == STEP {
            found.last = rows.last().map(|row| row.parse("id")).transpose()?;
        }
        Ok(found)
    }
}

/// The calls of one step.
#[derive(Default)]
struct Found {
    parties: Vec<String>,
    named: Vec<String>,
    live: u64,
    /// The last call, if there may be more behind it.
    last: Option<CallId>,
}

impl Found {
    fn add(&mut self, row: &Row) -> Result<(), StoreError> {
        let [is_party, is_named] = [row.integer("is_party")? == 1, row.integer("is_named")? == 1];
        let id = row.text("id")?;
        match row.named("status", CallStatus::from_name)? {
            CallStatus::Connected => self.live += u64::from(is_party || is_named),
            CallStatus::Disconnected | CallStatus::Failed if is_party => self.parties.push(id),
            CallStatus::Disconnected | CallStatus::Failed if is_named => self.named.push(id),
            CallStatus::Disconnected | CallStatus::Failed => {}
        }
        Ok(())
    }
}

async fn erase_one(
    db: &mut Connection,
    reach: Reach,
    id: CallId,
    origin: Origin,
    audit_id: KeyedAuditId,
) -> Result<(), EraseError> {
    let call = id.to_string();
    let mut values = binds![call.as_str(), reach.account.to_string()];
    let within = trunk_within("trunk_id", &reach.trunks, &mut values);
    let sql = format!("SELECT status FROM calls WHERE id = $1 AND account_id = $2{within}");
    let row = db.fetch_optional(sql, values).await?.ok_or(EraseError::NotFound)?;
    match row.named("status", CallStatus::from_name)? {
        CallStatus::Connected => return Err(EraseError::Live),
        CallStatus::Disconnected | CallStatus::Failed => {}
    }
    delete(db, reach.account, std::slice::from_ref(&call)).await?;
    let entry = AuditEntry {
        id: audit_id,
        account_id: reach.account,
        origin,
        action: AuditAction::CallErased,
        target: call,
        before: json!({}),
        after: json!({}),
    };
    Ok(audit::write(db, &entry).await?)
}

/// Returns how many calls were deleted, and how many lost their messages and headers.
async fn erase_found(
    db: &mut Connection,
    account: AccountId,
    hint: String,
    found: Found,
    origin: Origin,
    audit_id: KeyedAuditId,
) -> Result<(u64, u64), StoreError> {
    let (erased, cleared) = (found.parties.len() as u64, found.named.len() as u64);
    if erased + cleared == 0 {
        return Ok((0, 0));
    }
    delete(db, account, &found.parties).await?;
    clear(db, account, &found.named).await?;
    let entry = AuditEntry {
        id: audit_id,
        account_id: account,
        origin,
        action: AuditAction::NumberErased,
        target: hint,
        before: json!({}),
        after: json!({ "erased_calls": erased, "cleared_calls": cleared }),
    };
    audit::write(db, &entry).await?;
    Ok((erased, cleared))
}

/// Deletes records of calls, and what was sent about them.
async fn delete(db: &mut Connection, account: AccountId, calls: &[String]) -> Result<(), StoreError> {
    for call in calls {
        let events = "SELECT id, payload FROM outbox_events WHERE subject = $1 AND account_id = $2";
        for row in db.fetch_all(events, binds![call.as_str(), account.to_string()]).await? {
            let (event, payload) = (row.text("id")?, without_parties(row.json("payload")?));
            let sql = "UPDATE outbox_events SET payload = $2 WHERE id = $1";
            db.execute(sql, binds![event.as_str(), to_json(&payload)?]).await?;
            // Receivers may repeat in their response what was sent to them.
            let sql = "UPDATE webhook_attempts SET answer = $2 WHERE delivery_id IN \
                       (SELECT id FROM webhook_deliveries WHERE event_id = $1)";
            db.execute(sql, binds![event, NO_RESPONSE]).await?;
        }
        let sql = "DELETE FROM calls WHERE id = $1 AND account_id = $2 AND status <> 'connected'";
        db.execute(sql, binds![call.as_str(), account.to_string()]).await?;
    }
    Ok(())
}

fn without_parties(mut payload: Map<String, Json>) -> Map<String, Json> {
    for member in PERSONAL {
        if let Some(value) = payload.get_mut(member).filter(|value| value.is_string()) {
            *value = ERASED.into();
        }
    }
    payload
}

/// Removes the SIP messages and headers of calls of other parties that name the number.
async fn clear(db: &mut Connection, account: AccountId, calls: &[String]) -> Result<(), StoreError> {
    for group in calls.chunks(50) {
        let mut values = binds![account.to_string()];
        values.extend(group.iter().map(|id| Value::from(id.as_str())));
        let ids = placeholders(2, group.len());
        let sql =
            format!("UPDATE calls SET sip = '{{}}', sip_trace = '' WHERE account_id = $1 AND id IN ({ids})");
        db.execute(sql, values).await?;
    }
    Ok(())
}

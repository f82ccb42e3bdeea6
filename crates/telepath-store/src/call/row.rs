//! Rows of calls.

use telepath_core::call::{CallDetails, CallRecord, CallStatus, Direction, DisconnectReason, Party};
use telepath_core::clock::Timestamp;

use crate::error::StoreError;
use crate::sql::{Row, corrupt};

/// The columns that [`call_of`] reads.
pub(super) const COLUMNS: &str = "id, trunk_id, from_party, to_party, direction, carrier, status, \
     disconnect_reason, reason_text, start_time, answer_time, end_time, duration_seconds, metrics";

/// From answer to end, in whole seconds, rounded up.
pub(super) fn duration_seconds(answer: Option<Timestamp>, end: Timestamp) -> u32 {
    let length = answer.map_or(0, |answer| end.since(answer).as_millis().div_ceil(1000));
    u32::try_from(length).unwrap_or(u32::MAX)
}

pub(super) fn call_of(row: &Row, now: Timestamp) -> Result<CallRecord, StoreError> {
    let status = row.named("status", CallStatus::from_name)?;
    let answer_time = row.maybe_time("answer_time")?;
    let disconnect_reason = match row.maybe_text("disconnect_reason")? {
        Some(name) => Some(DisconnectReason::from_name(&name).ok_or_else(|| corrupt("disconnect_reason"))?),
        None => None,
    };
    Ok(CallRecord {
        id: row.parse("id")?,
        trunk_id: row.parse("trunk_id")?,
        from: Party::from_sip_user(&row.text("from_party")?),
        to: Party::from_sip_user(&row.text("to_party")?),
        direction: row.named("direction", Direction::from_name)?,
        carrier: row.maybe_text("carrier")?,
        status,
        duration_seconds: match status {
            CallStatus::Connected => duration_seconds(answer_time, now),
            CallStatus::Disconnected | CallStatus::Failed => row.number("duration_seconds")?,
        },
        start_time: row.time("start_time")?,
        answer_time,
        end_time: row.maybe_time("end_time")?,
        disconnect_reason,
        reason_text: row.maybe_text("reason_text")?,
        metrics: row.json("metrics")?,
    })
}

pub(super) fn details_of(row: &Row, now: Timestamp) -> Result<CallDetails, StoreError> {
    Ok(CallDetails {
        call: call_of(row, now)?,
        turns: row.json("turns")?,
        caller_actions: row.json("caller_actions")?,
        sip_trace: row.text("sip_trace")?,
        sip: row.json("sip")?,
    })
}

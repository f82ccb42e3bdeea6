//! The transactions of a call. Each is idempotent: a call starts and ends once, and each of its events is written
//! once.

use telepath_core::alert::Severity;
use telepath_core::analytics::CallFigures;
use telepath_core::call::{
    CallEnd, CallMetrics, CallStart, CallStatus, DisconnectReason, MAX_CALLER_ACTIONS, MAX_TRACE_BYTES,
    MAX_TURNS,
};
use telepath_core::clock::Timestamp;
use telepath_core::event::{
    AgentConnected, AgentDisconnected, CallDelays, CallEnded, CallError, CallStarted, EventPayload,
};
use telepath_core::id::{AccountId, CallId, EventId, NodeId, TrunkId};
use telepath_core::ports::AgentEvent;
use telepath_core::trunk::AiProvider;

use super::row::duration_seconds;
use super::statistics::{CountedCall, count_call};
use crate::error::StoreError;
use crate::event;
use crate::sql::{Connection, binds, to_json};

/// Records of refused calls that are kept of one trunk.
pub(crate) const MAX_REJECTED_PER_TRUNK: i64 = 500;
/// Records of refused calls that are kept of all trunks.
const MAX_REJECTED: i64 = 10_000;
/// Records that one new record removes at most.
const PRUNED_AT_ONCE: i64 = 10;

pub(super) async fn started(
    db: &mut Connection,
    start: CallStart,
    id: EventId,
    node: Option<NodeId>,
) -> Result<(), StoreError> {
    let inserted = db
        .execute(
            "INSERT INTO calls (id, account_id, trunk_id, from_party, to_party, direction, carrier, status, start_time, \
             answer_time, duration_seconds, metrics, turns, sip_trace, node_id, sip) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, 'connected', $8, $9, 0, $10, '[]', '', $11, $12) \
             ON CONFLICT (id) DO NOTHING",
            binds![
                start.id.to_string(),
                start.account_id.to_string(),
                start.trunk_id.to_string(),
                start.from.as_str(),
                start.to.as_str(),
                start.direction.name(),
                start.carrier.as_deref(),
                start.start_time,
                start.answer_time,
                to_json(&CallMetrics::default())?,
                node.map(|node| node.to_string()),
                to_json(&start.sip)?,
            ],
        )
        .await?;
    if inserted == 0 {
        return Ok(());
    }
    let event = CallStarted {
        call_id: start.id,
        connection_id: start.trunk_id,
        caller_id: start.from.clone(),
        called_number: start.to.clone(),
        from: start.from,
        to: start.to,
        carrier: start.carrier,
        codec: start.codec,
    };
    event::write(db, start.account_id, id, event.into(), start.answer_time).await
}

pub(super) struct AgentEventRecord {
    pub(super) account: AccountId,
    pub(super) call: CallId,
    pub(super) trunk: TrunkId,
    pub(super) agent: AgentEvent,
    pub(super) event_id: EventId,
    pub(super) now: Timestamp,
}

/// Writes the event, and returns whether the agent was reached after attempts that failed.
pub(super) async fn agent_event(
    db: &mut Connection,
    AgentEventRecord { account, call, trunk, agent, event_id, now }: AgentEventRecord,
) -> Result<bool, StoreError> {
    let (event, recovered): (EventPayload, bool) = match agent {
        AgentEvent::Connected => {
            let (agent_type, agent_id, failed_before) = agent_of(db, account, trunk).await?;
            let event = AgentConnected { call_id: call, connection_id: trunk, agent_type, agent_id };
            (event.into(), failed_before)
        }
        AgentEvent::Disconnected { reason, error_message } => {
            (AgentDisconnected { call_id: call, connection_id: trunk, reason, error_message }.into(), false)
        }
    };
    event::write(db, account, event_id, event, now).await?;
    Ok(recovered)
}

/// The provider of a trunk's agent, the provider's id of the agent, if it has one, and whether the latest attempt to reach it
/// failed.
async fn agent_of(
    db: &mut Connection,
    account: AccountId,
    trunk: TrunkId,
) -> Result<(Option<AiProvider>, Option<String>, bool), StoreError> {
    let sql = "SELECT ai_provider, settings, agent_failures FROM trunks WHERE id = $1 AND account_id = $2";
    let Some(row) = db.fetch_optional(sql, binds![trunk.to_string(), account.to_string()]).await? else {
        return Ok((None, None, false));
    };
    let provider = row.named("ai_provider", AiProvider::from_name)?;
    let settings: telepath_core::trunk::TrunkSettings = row.json("settings")?;
    Ok((Some(provider), settings.elevenlabs_agent_id, row.integer("agent_failures")? > 0))
}

/// Whether the end of a call was on record already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EndRecorded {
    Now,
    Before,
}

pub(super) async fn ended(
    db: &mut Connection,
    end: CallEnd,
    ids: [EventId; 2],
) -> Result<EndRecorded, StoreError> {
    let duration = duration_seconds(end.answer_time, end.end_time);
    if store_end(db, &end, duration).await? == 0 {
        return Ok(EndRecorded::Before);
    }
    write_events(db, &end, duration, ids).await?;
    // Last, because calls of the same trunk wait for each other from here on.
    let figures = CallFigures::of_call(end.status, duration, &end.metrics, &end.turns);
    let (account, trunk, reason) = (end.account_id, end.trunk_id, end.reason);
    // Whoever forges the address of a carrier must not choose the names of rows either.
    let carrier = end.carrier.as_deref().filter(|_| reason != DisconnectReason::Rejected);
    let call = CountedCall { account, trunk, start_time: end.start_time, carrier, reason, figures };
    count_call(db, call).await?;
    Ok(EndRecorded::Now)
}

async fn write_events(
    db: &mut Connection,
    end: &CallEnd,
    duration: u32,
    ids: [EventId; 2],
) -> Result<(), StoreError> {
    if end.reason == DisconnectReason::Rejected {
        // A refused call has no events: whoever forges the address of a carrier must not cause deliveries.
        return prune_rejected(db, end.trunk_id).await;
    }
    let [error_id, ended_id] = ids;
    if let Some(severity) = severity_of(end.status, end.reason) {
        let message = end.reason_text.clone().unwrap_or_else(|| describe(end.reason).to_owned());
        let error = CallError {
            call_id: end.id,
            connection_id: end.trunk_id,
            error_code: end.reason,
            error_message: message,
            severity,
        };
        event::write(db, end.account_id, error_id, error.into(), end.end_time).await?;
    }
    let event = CallEnded::new(end.id, end.trunk_id, duration, end.reason, CallDelays::from(&end.metrics));
    event::write(db, end.account_id, ended_id, event.into(), end.end_time).await
}

async fn store_end(db: &mut Connection, end: &CallEnd, duration: u32) -> Result<u64, StoreError> {
    let turns = &end.turns[..end.turns.len().min(MAX_TURNS)];
    let actions = &end.caller_actions[..end.caller_actions.len().min(MAX_CALLER_ACTIONS)];
    db.execute(
        "INSERT INTO calls (id, account_id, trunk_id, from_party, to_party, direction, carrier, status, \
         disconnect_reason, reason_text, start_time, answer_time, end_time, duration_seconds, carrier_lag_ms, \
         ai_latency_ms, gateway_processing_ms, metrics, turns, sip_trace, sip, caller_actions) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22) \
         ON CONFLICT (id) DO UPDATE SET carrier = excluded.carrier, status = excluded.status, \
         disconnect_reason = excluded.disconnect_reason, reason_text = excluded.reason_text, \
         answer_time = excluded.answer_time, end_time = excluded.end_time, \
         duration_seconds = excluded.duration_seconds, carrier_lag_ms = excluded.carrier_lag_ms, \
         ai_latency_ms = excluded.ai_latency_ms, gateway_processing_ms = excluded.gateway_processing_ms, \
         metrics = excluded.metrics, turns = excluded.turns, sip_trace = excluded.sip_trace, \
         sip = excluded.sip, caller_actions = excluded.caller_actions \
         WHERE calls.account_id = excluded.account_id AND calls.status = 'connected'",
        binds![
            end.id.to_string(),
            end.account_id.to_string(),
            end.trunk_id.to_string(),
            end.from.as_str(),
            end.to.as_str(),
            end.direction.name(),
            end.carrier.as_deref(),
            end.status.name(),
            end.reason.name(),
            end.reason_text.as_deref(),
            end.start_time,
            end.answer_time,
            end.end_time,
            duration,
            end.metrics.carrier_lag_ms,
            end.metrics.ai_latency_ms,
            end.metrics.gateway_processing_ms,
            to_json(&end.metrics)?,
            to_json(&turns)?,
            bounded(&end.sip_trace),
            to_json(&end.sip)?,
            to_json(&actions)?,
        ],
    )
    .await
}

/// Removes the oldest records of refused calls beyond the bounds, of this trunk and of all.
async fn prune_rejected(db: &mut Connection, trunk: TrunkId) -> Result<(), StoreError> {
    let of_trunk = "DELETE FROM calls WHERE id IN (SELECT id FROM calls \
                    WHERE trunk_id = $1 AND disconnect_reason = 'rejected' \
                    ORDER BY start_time DESC, id DESC LIMIT $2 OFFSET $3)";
    db.execute(of_trunk, binds![trunk.to_string(), PRUNED_AT_ONCE, MAX_REJECTED_PER_TRUNK]).await?;
    let of_all = "DELETE FROM calls WHERE id IN (SELECT id FROM calls WHERE disconnect_reason = 'rejected' \
                  ORDER BY start_time DESC, id DESC LIMIT $1 OFFSET $2)";
    db.execute(of_all, binds![PRUNED_AT_ONCE, MAX_REJECTED]).await?;
    Ok(())
}

fn bounded(trace: &str) -> &str {
    &trace[..trace.floor_char_boundary(MAX_TRACE_BYTES)]
}

/// The severity of a call's end; `None` if nothing went wrong.
fn severity_of(status: CallStatus, reason: DisconnectReason) -> Option<Severity> {
    match reason {
        DisconnectReason::ConnectionFailed | DisconnectReason::AiProviderError => Some(Severity::Critical),
        DisconnectReason::NetworkError | DisconnectReason::CarrierError | DisconnectReason::Unknown => {
            Some(Severity::Warning)
        }
        DisconnectReason::NormalDisconnect
        | DisconnectReason::AgentHangup
        | DisconnectReason::ApiHangup
        | DisconnectReason::Transferred
        | DisconnectReason::NoAnswer
        | DisconnectReason::MaxDuration
        | DisconnectReason::TrunkDeleted
        | DisconnectReason::Rejected
        | DisconnectReason::ServerShutdown => match status {
            CallStatus::Failed => Some(Severity::Info),
            CallStatus::Connected | CallStatus::Disconnected => None,
        },
    }
}

fn describe(reason: DisconnectReason) -> &'static str {
    match reason {
        DisconnectReason::ConnectionFailed => "the agent could not be reached",
        DisconnectReason::AiProviderError => "the connection to the agent broke",
        DisconnectReason::NetworkError => "the caller's audio stopped arriving",
        DisconnectReason::CarrierError => "the carrier's signalling broke",
        DisconnectReason::NoAnswer => "the call was given up before it was answered",
        DisconnectReason::TrunkDeleted => "the trunk was deleted",
        DisconnectReason::Rejected => "the call was rejected",
        DisconnectReason::ServerShutdown => "the server was shut down",
        DisconnectReason::MaxDuration => "the longest allowed time was over",
        DisconnectReason::NormalDisconnect
        | DisconnectReason::AgentHangup
        | DisconnectReason::ApiHangup
        | DisconnectReason::Transferred
        | DisconnectReason::Unknown => "the call ended before it reached the agent",
    }
}

//! `/v1/calls`: finished and live calls with their figures.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use telepath_core::call;
use telepath_core::clock::Timestamp;
use telepath_core::id::{CallId, TrunkId};

#[cfg(feature = "openapi")]
use crate::enums;
use crate::page::Pagination;

/// A call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Call {
    /// The id.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "call_01k9v1n2xrf6t8g3m5q7w9y0za"))]
    pub id: CallId,
    /// The trunk that was called.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "conn_01k9v1n2xrf6t8g3m5q7w9y0za"))]
    pub trunk_id: TrunkId,
    /// The caller, in E.164 form where the carrier provides it.
    #[cfg_attr(feature = "openapi", schema(example = "+15550100123"))]
    pub from: String,
    /// The called party.
    #[cfg_attr(feature = "openapi", schema(example = "support-01"))]
    pub to: String,
    /// The direction, seen from the gateway.
    #[cfg_attr(feature = "openapi", schema(value_type = enums::Direction))]
    pub direction: String,
    /// The carrier, if known.
    pub carrier: Option<String>,
    /// `connected` is live now, `disconnected` was connected and ended, `failed` never reached the agent.
    #[cfg_attr(feature = "openapi", schema(value_type = enums::CallStatus))]
    pub status: String,
    /// Seconds from answer to end, or to now for a live call, rounded up.
    #[cfg_attr(feature = "openapi", schema(example = 42))]
    pub duration_seconds: u32,
    /// When the INVITE arrived.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub start_time: Timestamp,
    /// When it was answered.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime, example = "2026-03-01T09:30:01Z"))]
    pub answer_time: Option<Timestamp>,
    /// When it ended.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime, example = "2026-03-01T09:30:43Z"))]
    pub end_time: Option<Timestamp>,
    /// Why it ended.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<enums::DisconnectReason>))]
    pub disconnect_reason: Option<String>,
    /// Details of the reason.
    pub reason_text: Option<String>,
    /// Latency of the carrier's leg in milliseconds.
    #[cfg_attr(feature = "openapi", schema(example = 38))]
    pub carrier_lag_ms: Option<u32>,
    /// From the end of the caller's speech to the agent's first audio in milliseconds, mean over turns.
    #[cfg_attr(feature = "openapi", schema(example = 412))]
    pub ai_latency_ms: Option<u32>,
    /// Median processing time in the gateway in milliseconds.
    #[cfg_attr(feature = "openapi", schema(example = 1))]
    pub gateway_processing_ms: Option<u32>,
}

/// A call with its metrics, turns and SIP trace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CallDetails {
    #[serde(flatten)]
    pub call: Call,
    /// All metrics.
    pub metrics: CallMetrics,
    /// The turns of the conversation.
    pub turns: Vec<Turn>,
    /// What the caller did beside speaking, in order: DTMF digits, hold and resume; at most 500.
    #[serde(default)]
    pub caller_actions: Vec<CallerAction>,
    /// What the SIP signalling says.
    pub sip: SipDetails,
    /// The SIP messages, without secrets: the beginning and the end of a long trace.
    #[cfg_attr(feature = "openapi", schema(example = "INVITE sip:support-01@sip.example.com SIP/2.0 …"))]
    pub sip_trace: String,
}

/// What the SIP signalling of a call says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SipDetails {
    /// The Call-ID of the dialog, by which the carrier finds the call.
    #[cfg_attr(feature = "openapi", schema(example = "f81d4fae-7dec@198.51.100.7"))]
    pub call_id: Option<String>,
    /// The source address and port of the INVITE.
    #[cfg_attr(feature = "openapi", schema(example = "198.51.100.7:5060"))]
    pub source: Option<String>,
    /// The rule by which the call was rejected, such as `number_not_listed`.
    #[cfg_attr(feature = "openapi", schema(example = "number_not_listed"))]
    pub rule: Option<String>,
    /// The status of the rejection.
    #[cfg_attr(feature = "openapi", schema(example = 404))]
    pub status: Option<u16>,
    /// The Reason headers (RFC 3326) of the caller's BYE or CANCEL.
    #[cfg_attr(feature = "openapi", schema(example = "Q.850;cause=16"))]
    pub peer_reason: Option<String>,
    /// P-Asserted-Identity, Diversion and the `X-` headers of the INVITE, by name; at most 16.
    #[cfg_attr(feature = "openapi", schema(example = json!({"X-Queue": "sales"})))]
    pub headers: BTreeMap<String, String>,
}

/// The metrics of a call; null where nothing was measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CallMetrics {
    /// Latency of the carrier's leg in milliseconds.
    #[cfg_attr(feature = "openapi", schema(example = 38))]
    pub carrier_lag_ms: Option<u32>,
    /// How `carrier_lag_ms` was measured.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<enums::CarrierLagSource>))]
    pub carrier_lag_source: Option<String>,
    /// From the end of the caller's speech to the agent's first audio in milliseconds, mean over turns.
    #[cfg_attr(feature = "openapi", schema(example = 412))]
    pub ai_latency_ms: Option<u32>,
    /// Median processing time in the gateway in milliseconds, rounded up.
    #[cfg_attr(feature = "openapi", schema(example = 1))]
    pub gateway_processing_ms: Option<u32>,
    /// Median processing time in the gateway in microseconds.
    #[cfg_attr(feature = "openapi", schema(example = 640))]
    pub gateway_processing_us: Option<u32>,
    /// From the end of the caller's speech to the first RTP packet of the reply in milliseconds, in the first turn.
    #[cfg_attr(feature = "openapi", schema(example = 455))]
    pub time_to_first_speech_ms: Option<u32>,
    /// Mean time of a round trip to the carrier and back, measured by RTCP, in milliseconds.
    #[cfg_attr(feature = "openapi", schema(example = 23.4))]
    #[serde(default)]
    pub rtt_ms: Option<f64>,
    /// Lost packets of the caller in percent, 0–100.
    #[cfg_attr(feature = "openapi", schema(example = 0.1))]
    pub packet_loss_percent: Option<f64>,
    /// Interarrival jitter (RFC 3550 section 6.4.1) in milliseconds.
    #[cfg_attr(feature = "openapi", schema(example = 1.8))]
    pub jitter_ms: Option<f64>,
    /// Lost packets to the caller in percent, 0–100, as the carrier reports by RTCP.
    #[cfg_attr(feature = "openapi", schema(example = 0.0))]
    #[serde(default)]
    pub remote_packet_loss_percent: Option<f64>,
    /// Interarrival jitter at the carrier in milliseconds, as it reports by RTCP.
    #[cfg_attr(feature = "openapi", schema(example = 0.9))]
    #[serde(default)]
    pub remote_jitter_ms: Option<f64>,
    /// Estimated mean opinion score, 1.0–4.5 (ITU-T G.107).
    #[cfg_attr(feature = "openapi", schema(example = 4.3))]
    pub mos: Option<f64>,
    /// The carrier side's codec.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<enums::Codec>))]
    pub codec_used: Option<String>,
    /// The SRTP crypto suite of the carrier side; null for audio in clear.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<enums::SrtpSuite>))]
    #[serde(default)]
    pub srtp_suite: Option<String>,
    /// Packet and frame counts.
    pub counts: MediaCounts,
}

/// Packet and frame counts of a call's media.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MediaCounts {
    /// RTP packets received from the caller.
    pub rtp_received: u64,
    /// RTP packets sent to the caller.
    pub rtp_sent: u64,
    /// Packets that were lost.
    pub rtp_lost: u64,
    /// Packets that arrived too late to be played.
    pub rtp_late: u64,
    /// Packets that arrived more than once.
    pub rtp_duplicate: u64,
    /// Datagrams that were not valid RTP of the caller: the sum of the five that follow.
    pub rtp_invalid: u64,
    /// Datagrams that are not RTP.
    #[serde(default)]
    pub rtp_malformed: u64,
    /// Packets from another address than the caller's.
    #[serde(default)]
    pub rtp_foreign_address: u64,
    /// Packets with a payload type that was not negotiated.
    #[serde(default)]
    pub rtp_unknown_payload: u64,
    /// Packets of another SSRC than the caller's.
    #[serde(default)]
    pub rtp_foreign_source: u64,
    /// Packets that jumped in sequence without a successor (RFC 3550 appendix A.1).
    #[serde(default)]
    pub rtp_unconfirmed_jumps: u64,
    /// Packets of an encrypted call whose authentication failed.
    #[serde(default)]
    pub rtp_unauthenticated: u64,
    /// Packets of an encrypted call that were received before.
    #[serde(default)]
    pub rtp_replayed: u64,
    /// Milliseconds of agent audio dropped because the play-out queue was full.
    pub playout_overflow_ms: u64,
    /// Milliseconds of agent audio dropped because the agent or the caller interrupted it.
    pub playout_cleared_ms: u64,
    /// Frames to the agent that were dropped because its socket was too slow.
    pub agent_frames_dropped: u64,
    /// RTP packets to the caller that were sent more than 20 ms after they were due.
    #[serde(default)]
    pub rtp_sent_late: u64,
    /// Telephone events from the caller that are not digits, such as flash.
    #[serde(default)]
    pub telephone_events_ignored: u64,
    /// Actions of the caller that `caller_actions` leaves out.
    #[serde(default)]
    pub caller_actions_omitted: u64,
}

/// One uninterrupted stretch of speech of one side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Turn {
    /// Counted from 1.
    #[cfg_attr(feature = "openapi", schema(example = 1))]
    pub turn_number: u32,
    /// Who spoke.
    #[cfg_attr(feature = "openapi", schema(value_type = enums::Speaker))]
    pub speaker: String,
    /// Milliseconds since the call was answered.
    #[cfg_attr(feature = "openapi", schema(example = 1240))]
    pub started_ms: u64,
    /// Length in milliseconds.
    #[cfg_attr(feature = "openapi", schema(example = 2380))]
    pub duration_ms: u64,
    /// For the agent: milliseconds from the end of the caller's speech to its first audio. 0 for the caller.
    pub processing_time_ms: u64,
    /// Whether the other side interrupted it.
    pub interrupted: bool,
}

/// What the caller did beside speaking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CallerAction {
    /// Milliseconds since the call was answered; 0 before.
    #[cfg_attr(feature = "openapi", schema(example = 5120))]
    pub at_ms: u64,
    /// What the caller did.
    #[cfg_attr(feature = "openapi", schema(value_type = enums::CallerActionKind))]
    pub kind: String,
    /// The key of `dtmf`: `0`–`9`, `*`, `#` or `A`–`D`. Null while the server masks digits, as it does by default, because
    /// they may be a PIN or a card number.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, example = "5"))]
    pub digit: Option<char>,
    /// How the digit arrived.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<enums::DtmfMethod>))]
    pub method: Option<String>,
}

/// A page of calls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CallList {
    /// The newest first by default.
    pub calls: Vec<Call>,
    pub pagination: Pagination,
}

/// A call that was requested to end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HangupRequested {
    /// The call's id.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "call_01k9v1n2xrf6t8g3m5q7w9y0za"))]
    pub id: CallId,
    /// When the hang-up was requested.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub requested_at: Timestamp,
}

impl From<call::CallRecord> for Call {
    fn from(call: call::CallRecord) -> Self {
        Self {
            id: call.id,
            trunk_id: call.trunk_id,
            from: call.from.as_str().to_owned(),
            to: call.to.as_str().to_owned(),
            direction: call.direction.name().to_owned(),
            carrier: call.carrier,
            status: call.status.name().to_owned(),
            duration_seconds: call.duration_seconds,
            start_time: call.start_time,
            answer_time: call.answer_time,
            end_time: call.end_time,
            disconnect_reason: call.disconnect_reason.map(|reason| reason.name().to_owned()),
            reason_text: call.reason_text,
            carrier_lag_ms: call.metrics.carrier_lag_ms,
            ai_latency_ms: call.metrics.ai_latency_ms,
            gateway_processing_ms: call.metrics.gateway_processing_ms,
        }
    }
}

impl From<call::CallDetails> for CallDetails {
    fn from(details: call::CallDetails) -> Self {
        Self {
            metrics: details.call.metrics.clone().into(),
            call: details.call.into(),
            turns: details.turns.into_iter().map(Turn::from).collect(),
            caller_actions: details.caller_actions.into_iter().map(CallerAction::from).collect(),
            sip: details.sip.into(),
            sip_trace: details.sip_trace,
        }
    }
}

impl From<call::SipFacts> for SipDetails {
    fn from(facts: call::SipFacts) -> Self {
        let call::SipFacts { call_id, source, rule, status, peer_reason, headers } = facts;
        Self { call_id, source, rule, status, peer_reason, headers }
    }
}

impl From<call::CallMetrics> for CallMetrics {
    fn from(metrics: call::CallMetrics) -> Self {
        Self {
            carrier_lag_ms: metrics.carrier_lag_ms,
            carrier_lag_source: metrics.carrier_lag_source.map(|source| source.name().to_owned()),
            ai_latency_ms: metrics.ai_latency_ms,
            gateway_processing_ms: metrics.gateway_processing_ms,
            gateway_processing_us: metrics.gateway_processing_us,
            time_to_first_speech_ms: metrics.time_to_first_speech_ms,
            rtt_ms: metrics.rtt_ms,
            packet_loss_percent: metrics.packet_loss_percent,
            jitter_ms: metrics.jitter_ms,
            remote_packet_loss_percent: metrics.remote_packet_loss_percent,
            remote_jitter_ms: metrics.remote_jitter_ms,
            mos: metrics.mos,
            codec_used: metrics.codec_used.map(|codec| codec.name().to_owned()),
            srtp_suite: metrics.srtp_suite.map(|suite| suite.name().to_owned()),
            counts: metrics.counts.into(),
        }
    }
}

impl From<call::MediaCounts> for MediaCounts {
    fn from(counts: call::MediaCounts) -> Self {
        Self {
            rtp_received: counts.rtp_received,
            rtp_sent: counts.rtp_sent,
            rtp_lost: counts.rtp_lost,
            rtp_late: counts.rtp_late,
            rtp_duplicate: counts.rtp_duplicate,
            rtp_invalid: counts.rtp_invalid,
            rtp_malformed: counts.rtp_malformed,
            rtp_foreign_address: counts.rtp_foreign_address,
            rtp_unknown_payload: counts.rtp_unknown_payload,
            rtp_foreign_source: counts.rtp_foreign_source,
            rtp_unconfirmed_jumps: counts.rtp_unconfirmed_jumps,
            rtp_unauthenticated: counts.rtp_unauthenticated,
            rtp_replayed: counts.rtp_replayed,
            playout_overflow_ms: counts.playout_overflow_ms,
            playout_cleared_ms: counts.playout_cleared_ms,
            agent_frames_dropped: counts.agent_frames_dropped,
            rtp_sent_late: counts.rtp_sent_late,
            telephone_events_ignored: counts.telephone_events_ignored,
            caller_actions_omitted: counts.caller_actions_omitted,
        }
    }
}

impl From<call::CallerAction> for CallerAction {
    fn from(action: call::CallerAction) -> Self {
        let call::CallerAction { at_ms, kind, digit, method } = action;
        let method = method.map(|method| method.name().to_owned());
        Self { at_ms, kind: kind.name().to_owned(), digit, method }
    }
}

impl From<call::Turn> for Turn {
    fn from(turn: call::Turn) -> Self {
        Self {
            turn_number: turn.turn_number,
            speaker: turn.speaker.name().to_owned(),
            started_ms: turn.started_ms,
            duration_ms: turn.duration_ms,
            processing_time_ms: turn.processing_time_ms,
            interrupted: turn.interrupted,
        }
    }
}

//! The order and the filters of lists of calls.

use super::{CallStatus, DisconnectReason};
use crate::clock::Timestamp;
use crate::id::TrunkId;
use crate::page::{SortKey, SortKind};

/// By what a list of calls is ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CallSortKey {
    /// When the INVITE arrived.
    #[default]
    StartTime,
    Duration,
    /// The carrier's delay.
    CarrierLag,
    /// The AI's delay.
    AiLatency,
    /// Our delay.
    GatewayProcessing,
}

/// The orders of a list of calls; with `-` in front, the largest first.
pub const CALL_SORTS: [&str; 10] = [
    "start_time",
    "-start_time",
    "duration_seconds",
    "-duration_seconds",
    "carrier_lag_ms",
    "-carrier_lag_ms",
    "ai_latency_ms",
    "-ai_latency_ms",
    "gateway_processing_ms",
    "-gateway_processing_ms",
];

impl CallSortKey {
    /// The key of the list's cursors.
    pub const fn key(self) -> SortKey {
        let name = match self {
            CallSortKey::StartTime => "start_time",
            CallSortKey::Duration => "duration_seconds",
            CallSortKey::CarrierLag => "carrier_lag_ms",
            CallSortKey::AiLatency => "ai_latency_ms",
            CallSortKey::GatewayProcessing => "gateway_processing_ms",
        };
        SortKey { name, kind: SortKind::Number }
    }
}

/// Which calls a list shows, and in which order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CallFilter {
    /// Only calls of this trunk.
    pub trunk_id: Option<TrunkId>,
    /// Only calls in this state.
    pub status: Option<CallStatus>,
    /// Only calls that started at or after this.
    pub start_date: Option<Timestamp>,
    /// Only calls that started at or before this.
    pub end_date: Option<Timestamp>,
    /// Only calls from this party.
    pub from: Option<String>,
    /// Only calls to this party.
    pub to: Option<String>,
    /// Only calls that ended for this reason.
    pub reason: Option<DisconnectReason>,
    /// Only calls at least this long.
    pub min_duration_seconds: Option<u32>,
    /// Only calls with at least this delay of the carrier's leg.
    pub min_carrier_lag_ms: Option<u32>,
    /// Only calls with at least this AI latency.
    pub min_ai_latency_ms: Option<u32>,
    /// Only calls with at least this time inside Telepath.
    pub min_gateway_ms: Option<u32>,
    /// The order.
    pub sort: CallSortKey,
    /// Smallest first; otherwise largest first.
    pub ascending: bool,
}

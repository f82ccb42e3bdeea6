//! What a bridge is built from.

use crate::dialect::{CallContext, Dialect};
use crate::playout::StreamStart;
use crate::rtcp::CanonicalName;
use crate::sdp::Negotiated;
use std::time::Duration;

/// Bounds of one call.
#[derive(Debug, Clone, Copy)]
pub struct BridgeLimits {
    /// Agent audio queued for the caller. When the queue is full, the newest audio is refused and the agent is told.
    pub playout_queue: Duration,
    /// Caller audio queued for a slow agent. When the queue is full, the oldest audio is dropped.
    pub agent_queue: Duration,
    /// A call that receives no RTP for this long ends, unless it is on hold.
    pub media_timeout: Duration,
    /// Maximum duration of a call, counted from the answer.
    pub max_duration: Duration,
}

impl Default for BridgeLimits {
    fn default() -> Self {
        Self {
            playout_queue: Duration::from_mins(1),
            agent_queue: Duration::from_secs(2),
            media_timeout: Duration::from_secs(30),
            max_duration: Duration::from_hours(4),
        }
    }
}

/// Who decides whether the caller's speech interrupts the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BargeIn {
    /// The agent: it receives `speech_started` and may send `clear`.
    #[default]
    AgentDecides,
    /// The bridge: it flushes agent audio as soon as the caller speaks.
    Flush,
}

/// The random values of a call's RTCP.
#[derive(Debug, Clone)]
pub struct RtcpSeed {
    /// Our canonical name.
    pub cname: CanonicalName,
    /// Decides the intervals between reports.
    pub intervals: u64,
}

/// Configuration of a [`super::CallBridge`].
#[derive(Debug)]
pub struct BridgeConfig {
    /// The result of offer/answer.
    pub negotiated: Negotiated,
    /// Random starting values of the stream to the caller.
    pub stream: StreamStart,
    /// Random values of RTCP.
    pub rtcp: RtcpSeed,
    /// The agent's dialect.
    pub dialect: Dialect,
    /// What the `start` event tells the agent.
    pub call: CallContext,
    /// Bounds of the call.
    pub limits: BridgeLimits,
    /// Who handles barge-in, if the provider does not.
    pub barge_in: BargeIn,
    /// Whether the owner carries out tool calls. Otherwise the bridge refuses them, so that the conversation goes on.
    pub has_tool_endpoint: bool,
}

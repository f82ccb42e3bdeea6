//! What the bridge asks its owner to do.

use crate::dialect::{AgentFrame, ProviderError, StopReason, ToolCall, ToolCallId, TransferTarget};
use crate::rtp::Datagram;
use std::net::SocketAddr;
use std::time::Instant;

/// An action to take now.
#[derive(Debug)]
pub enum Output {
    /// Send this packet to [`super::CallBridge::remote`].
    SendRtp {
        /// The encoded RTP packet.
        datagram: Datagram,
        /// To pass to [`super::CallBridge::handle_written`] once the packet is sent.
        token: Option<WriteToken>,
    },
    /// Send this compound RTCP packet.
    SendRtcp {
        /// The encoded packet.
        packet: Vec<u8>,
        /// Where to.
        to: SocketAddr,
        /// Whether the socket of RTP sends it; otherwise that of the next higher port does.
        muxed: bool,
    },
    /// End the call. The bridge is over.
    HangUp {
        /// Why the bridge ended the call.
        cause: HangUpCause,
        /// What the provider says about it, for the call record.
        detail: Option<String>,
    },
    /// The agent has said that it is ready. It is not reported for a dialect without a handshake, which is ready from the
    /// beginning.
    AgentReady,
    /// The agent calls a tool. The result goes to [`super::CallBridge::handle_tool_result`].
    ToolCall(ToolCall),
    /// The agent no longer needs the result of a tool call.
    ToolCallCancelled(ToolCallId),
    /// The provider reports an error that does not end the call.
    ProviderError(ProviderError),
    /// Transfer the call with REFER (RFC 3515).
    Transfer {
        /// The target of the transfer.
        target: TransferTarget,
    },
}

/// Why the bridge itself ends a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HangUpCause {
    /// The agent sent `hangup`.
    AgentHangup,
    /// No RTP arrived for [`super::BridgeLimits::media_timeout`].
    MediaTimeout,
    /// The call reached [`super::BridgeLimits::max_duration`].
    MaxDuration,
    /// The provider reported an error with which the conversation cannot continue.
    ProviderError,
}

impl HangUpCause {
    /// The reason in the agent's `stop` event.
    pub fn stop_reason(self) -> StopReason {
        StopReason(match self {
            Self::AgentHangup => "agent_hangup",
            Self::MediaTimeout => "network_error",
            Self::MaxDuration => "max_duration",
            Self::ProviderError => "ai_provider_error",
        })
    }
}

/// A frame for the agent's socket.
#[derive(Debug)]
pub struct AgentOutput {
    /// The frame to write.
    pub frame: AgentFrame,
    /// Length of the audio in the frame; 0 for an event.
    pub samples: u64,
    /// To pass to [`super::CallBridge::handle_written`] once the frame is written.
    pub token: Option<WriteToken>,
}

/// Carries the time at which data was read until its result is written, to measure the time inside Telepath.
#[derive(Debug, Clone, Copy)]
pub struct WriteToken {
    pub(super) read_at: Instant,
    pub(super) direction: WriteDirection,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum WriteDirection {
    ToAgent,
    ToCaller,
}

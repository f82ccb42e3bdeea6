//! Why a call ended, in the words of the call record and of the `call.ended` event.

/// The reason a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// The caller hung up.
    NormalDisconnect,
    /// The agent asked for it.
    AgentHangup,
    /// The API asked for it.
    ApiHangup,
    /// The call was never answered.
    NoAnswer,
    /// The agent could not be reached.
    ConnectionFailed,
    /// No media came from the caller for too long.
    NetworkError,
    /// The agent's connection broke in the middle of the call.
    AiProviderError,
    /// The carrier's signalling failed.
    CarrierError,
    /// The longest allowed duration was reached.
    MaxDuration,
    /// The trunk was deleted.
    TrunkDeleted,
    /// The server stops.
    ServerShutdown,
    /// None of the above.
    Unknown,
}

impl EndReason {
    /// The word used on every outward surface.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NormalDisconnect => "normal_disconnect",
            Self::AgentHangup => "agent_hangup",
            Self::ApiHangup => "api_hangup",
            Self::NoAnswer => "no_answer",
            Self::ConnectionFailed => "connection_failed",
            Self::NetworkError => "network_error",
            Self::AiProviderError => "ai_provider_error",
            Self::CarrierError => "carrier_error",
            Self::MaxDuration => "max_duration",
            Self::TrunkDeleted => "trunk_deleted",
            Self::ServerShutdown => "server_shutdown",
            Self::Unknown => "unknown",
        }
    }
}

impl std::fmt::Display for EndReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

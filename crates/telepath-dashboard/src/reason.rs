//! Why calls ended, in words.

use telepath_core::call::DisconnectReason;

/// A sentence without a full stop.
pub(crate) const fn in_words(reason: DisconnectReason) -> &'static str {
    match reason {
        DisconnectReason::NormalDisconnect => "The caller hung up",
        DisconnectReason::AgentHangup => "The agent hung up",
        DisconnectReason::ApiHangup => "Hung up on request",
        DisconnectReason::Transferred => "Transferred to somebody else",
        DisconnectReason::NoAnswer => "The caller gave up before the answer",
        DisconnectReason::ConnectionFailed => "The agent could not be reached",
        DisconnectReason::NetworkError => "The caller’s audio stopped",
        DisconnectReason::AiProviderError => "The agent failed",
        DisconnectReason::CarrierError => "The carrier’s signalling failed",
        DisconnectReason::MaxDuration => "The maximum duration was reached",
        DisconnectReason::TrunkDeleted => "The connection was deleted",
        DisconnectReason::Rejected => "Refused by Telepath",
        DisconnectReason::ServerShutdown => "The server was shut down",
        DisconnectReason::Unknown => "Not known",
    }
}

/// Whether a call that reached the agent ended because something broke.
pub(crate) const fn is_drop(reason: DisconnectReason) -> bool {
    match reason {
        DisconnectReason::NetworkError
        | DisconnectReason::AiProviderError
        | DisconnectReason::CarrierError => true,
        DisconnectReason::NormalDisconnect
        | DisconnectReason::AgentHangup
        | DisconnectReason::ApiHangup
        | DisconnectReason::Transferred
        | DisconnectReason::NoAnswer
        | DisconnectReason::ConnectionFailed
        | DisconnectReason::MaxDuration
        | DisconnectReason::TrunkDeleted
        | DisconnectReason::Rejected
        | DisconnectReason::ServerShutdown
        | DisconnectReason::Unknown => false,
    }
}

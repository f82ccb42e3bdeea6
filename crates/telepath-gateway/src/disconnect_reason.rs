//! Converts the reasons of the SIP stack and of the media bridge to [`DisconnectReason`], which the call record uses.
//! `telepath-sip` and `telepath-media` do not depend on `telepath-core`, so each has an enum of its own.

use telepath_core::call::DisconnectReason;
use telepath_media::reason::EndReason;
use telepath_sip::DialogEnd;

/// The reason for the record, with a text where the reason alone is ambiguous.
pub(crate) fn from_dialog(end: &DialogEnd) -> (DisconnectReason, Option<String>) {
    match end {
        DialogEnd::ByeReceived => (DisconnectReason::NormalDisconnect, None),
        DialogEnd::Cancelled => {
            (DisconnectReason::NoAnswer, Some("the caller cancelled before the call was answered".to_owned()))
        }
        DialogEnd::AckTimeout => {
            (DisconnectReason::NoAnswer, Some("the caller never acknowledged our 200 (no ACK)".to_owned()))
        }
        // We ended the dialog, so the call already has a reason, unless it did not read its signalling.
        DialogEnd::ByeSent { .. } | DialogEnd::RejectedByUs(_) | DialogEnd::Challenged => {
            (DisconnectReason::Unknown, None)
        }
        // Only calls that we place end like this.
        DialogEnd::RejectedByPeer { .. } | DialogEnd::InviteTimeout => (DisconnectReason::CarrierError, None),
    }
}

/// The bridge's name for a reason of the record.
pub(crate) fn to_bridge(reason: DisconnectReason) -> EndReason {
    match reason {
        DisconnectReason::NormalDisconnect => EndReason::NormalDisconnect,
        DisconnectReason::AgentHangup => EndReason::AgentHangup,
        DisconnectReason::ApiHangup => EndReason::ApiHangup,
        DisconnectReason::NoAnswer => EndReason::NoAnswer,
        DisconnectReason::ConnectionFailed => EndReason::ConnectionFailed,
        DisconnectReason::NetworkError => EndReason::NetworkError,
        DisconnectReason::AiProviderError => EndReason::AiProviderError,
        DisconnectReason::CarrierError => EndReason::CarrierError,
        DisconnectReason::MaxDuration => EndReason::MaxDuration,
        DisconnectReason::TrunkDeleted => EndReason::TrunkDeleted,
        DisconnectReason::ServerShutdown => EndReason::ServerShutdown,
        DisconnectReason::Unknown => EndReason::Unknown,
    }
}

/// The record's name for a reason of the bridge.
pub(crate) fn from_bridge(reason: EndReason) -> DisconnectReason {
    match reason {
        EndReason::NormalDisconnect => DisconnectReason::NormalDisconnect,
        EndReason::AgentHangup => DisconnectReason::AgentHangup,
        EndReason::ApiHangup => DisconnectReason::ApiHangup,
        EndReason::NoAnswer => DisconnectReason::NoAnswer,
        EndReason::ConnectionFailed => DisconnectReason::ConnectionFailed,
        EndReason::NetworkError => DisconnectReason::NetworkError,
        EndReason::AiProviderError => DisconnectReason::AiProviderError,
        EndReason::CarrierError => DisconnectReason::CarrierError,
        EndReason::MaxDuration => DisconnectReason::MaxDuration,
        EndReason::TrunkDeleted => DisconnectReason::TrunkDeleted,
        EndReason::ServerShutdown => DisconnectReason::ServerShutdown,
        EndReason::Unknown => DisconnectReason::Unknown,
    }
}

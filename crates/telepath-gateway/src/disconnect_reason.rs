//! Converts the reasons of the SIP stack and of the media bridge to [`DisconnectReason`], which the call record uses.
//! `telepath-sip` and `telepath-media` do not depend on `telepath-core`, so each has an enum of its own.

use telepath_core::call::DisconnectReason;
use telepath_media::bridge::HangUpCause;
use telepath_media::dialect::StopReason;
use telepath_sip::DialogEnd;
use telepath_sip::message::{Reason, ReasonProtocol};

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
        DialogEnd::PrackTimeout => {
            (DisconnectReason::NoAnswer, Some("the caller never acknowledged our 180 (no PRACK)".to_owned()))
        }
        DialogEnd::PeerLost => (
            DisconnectReason::NetworkError,
            Some("the caller's side did not respond to a request, or did not know the call".to_owned()),
        ),
        DialogEnd::SessionExpired => (
            DisconnectReason::NetworkError,
            Some("the session was not refreshed in time (session timer)".to_owned()),
        ),
        // We ended the dialog, so the call already has a reason, unless it did not read its signalling.
        DialogEnd::ByeSent { .. } => {
            (DisconnectReason::Unknown, Some("the call did not read its SIP events".to_owned()))
        }
        DialogEnd::RejectedByUs(_) | DialogEnd::Challenged => (DisconnectReason::Unknown, None),
        // Only calls that we place end like this.
        DialogEnd::RejectedByPeer { .. } | DialogEnd::InviteTimeout | DialogEnd::ConnectionFailed => {
            (DisconnectReason::CarrierError, None)
        }
    }
}

/// The Reason of our BYE (RFC 3326), with the nearest cause of ITU-T Q.850.
pub(crate) fn to_reason(reason: DisconnectReason) -> Reason {
    let cause = match reason {
        // Normal call clearing.
        DisconnectReason::NormalDisconnect
        | DisconnectReason::AgentHangup
        | DisconnectReason::ApiHangup
        | DisconnectReason::Transferred
        | DisconnectReason::MaxDuration
        | DisconnectReason::TrunkDeleted => 16,
        // Call rejected.
        DisconnectReason::Rejected => 21,
        // No answer from the user.
        DisconnectReason::NoAnswer => 19,
        // Destination out of order.
        DisconnectReason::ConnectionFailed => 27,
        // Network out of order.
        DisconnectReason::AiProviderError => 38,
        // Temporary failure.
        DisconnectReason::ServerShutdown => 41,
        // Recovery on timer expiry: no media arrived.
        DisconnectReason::NetworkError => 102,
        // Protocol error, unspecified.
        DisconnectReason::CarrierError => 111,
        // Interworking, unspecified.
        DisconnectReason::Unknown => 127,
    };
    Reason { protocol: ReasonProtocol::Q850, cause, text: reason.name() }
}

/// The reason for the record when the bridge ended the call.
pub(crate) fn from_bridge(cause: HangUpCause) -> DisconnectReason {
    match cause {
        HangUpCause::AgentHangup => DisconnectReason::AgentHangup,
        HangUpCause::MediaTimeout => DisconnectReason::NetworkError,
        HangUpCause::MaxDuration => DisconnectReason::MaxDuration,
        HangUpCause::ProviderError => DisconnectReason::AiProviderError,
    }
}

/// The reason in the agent's `stop` event.
pub(crate) fn stop_reason(reason: DisconnectReason) -> StopReason {
    StopReason(reason.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = include_str!("../../telepath-media/schema/telepath.v1.json");

    #[test]
    fn the_telepath_v1_schema_lists_every_disconnect_reason() {
        for reason in DisconnectReason::ALL {
            assert!(SCHEMA.contains(&format!("\"{}\"", reason.name())), "{reason}");
        }
    }

    #[test]
    fn the_record_and_the_stop_event_give_the_same_reason() {
        for cause in [
            HangUpCause::AgentHangup,
            HangUpCause::MediaTimeout,
            HangUpCause::MaxDuration,
            HangUpCause::ProviderError,
        ] {
            assert_eq!(cause.stop_reason(), stop_reason(from_bridge(cause)));
        }
    }
}

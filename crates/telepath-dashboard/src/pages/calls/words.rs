//! What the pages of calls call things.

use telepath_core::call::{CallStatus, DisconnectReason};

use crate::icon::{self, Icon};

/// A state as a chip.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StatusChip {
    pub(crate) class: &'static str,
    pub(crate) icon: Icon,
    pub(crate) word: &'static str,
}

impl StatusChip {
    pub(crate) const fn of(status: CallStatus) -> Self {
        match status {
            CallStatus::Connected => Self { class: "chip-info", icon: icon::CALLS, word: "Live" },
            CallStatus::Disconnected => Self { class: "chip-ok", icon: icon::CHECK, word: "Completed" },
            CallStatus::Failed => Self { class: "chip-bad", icon: icon::CLOSE, word: "Failed" },
        }
    }
}

/// A state as a filter names it.
pub(crate) const fn status_word(status: CallStatus) -> &'static str {
    StatusChip::of(status).word
}

/// Who or what ended a call, for a column of a table.
pub(crate) const fn ended_by(reason: DisconnectReason) -> &'static str {
    match reason {
        DisconnectReason::NormalDisconnect => "Caller",
        DisconnectReason::AgentHangup => "Agent",
        DisconnectReason::ApiHangup => "Hang-up request",
        DisconnectReason::Transferred => "Transfer",
        DisconnectReason::NoAnswer => "Caller, before the answer",
        DisconnectReason::ConnectionFailed => "Agent unreachable",
        DisconnectReason::NetworkError => "No audio from the caller",
        DisconnectReason::AiProviderError => "Agent error",
        DisconnectReason::CarrierError => "Carrier error",
        DisconnectReason::MaxDuration => "Maximum duration",
        DisconnectReason::TrunkDeleted => "Connection deleted",
        DisconnectReason::Rejected => "Refused",
        DisconnectReason::ServerShutdown => "Server shutdown",
        DisconnectReason::Unknown => "Unknown",
    }
}

/// The same in a sentence after the length of a call.
pub(crate) const fn how_it_ended(reason: DisconnectReason) -> &'static str {
    match reason {
        DisconnectReason::NormalDisconnect => "the caller hung up",
        DisconnectReason::AgentHangup => "the agent hung up",
        DisconnectReason::ApiHangup => "hung up by request",
        DisconnectReason::Transferred => "transferred to somebody else",
        DisconnectReason::NoAnswer => "the caller gave up before the answer",
        DisconnectReason::ConnectionFailed => "the agent could not be reached",
        DisconnectReason::NetworkError => "the caller’s audio stopped",
        DisconnectReason::AiProviderError => "the agent failed",
        DisconnectReason::CarrierError => "the carrier’s signalling failed",
        DisconnectReason::MaxDuration => "it reached the maximum duration",
        DisconnectReason::TrunkDeleted => "its connection was deleted",
        DisconnectReason::Rejected => "refused by Telepath",
        DisconnectReason::ServerShutdown => "the server was shut down",
        DisconnectReason::Unknown => "how it ended is not known",
    }
}

/// What to do about a call that a rule of the SIP side refused; `None` where the rule says it all.
pub(crate) fn advice_on_rule(rule: &str) -> Option<&'static str> {
    Some(match rule {
        "wrong_password" => {
            "Enter the current SIP password at the carrier, or rotate it if nobody has it any more."
        }
        "unknown_user" => "Compare the SIP user name at the carrier with the one of the connection.",
        "trunk_inactive" => "Activate the connection to take calls.",
        "number_not_listed" => "Add the number to the connection, or remove its list of numbers.",
        "ambiguous_number" => {
            "Give each connection its own numbers, or let the carrier authenticate with a SIP password."
        }
        "trunk_full" => "Raise the connection’s limit of calls at once if it should take more.",
        "no_common_codec" => "Enable PCMU, PCMA or G.722 at the carrier.",
        "rtp_profile" => "Choose RTP, or SRTP with SDES, for this trunk at the carrier.",
        "srtp_off" => "Allow encryption of audio in the connection, or switch SRTP off at the carrier.",
        "srtp_required" => {
            "Switch SRTP on for this trunk at the carrier, or do not require it in the connection."
        }
        "no_common_suite" => "Enable AES_CM_128_HMAC_SHA1_80 or AES-GCM at the carrier.",
        "rtp_ports_exhausted" => "Widen media.rtp_ports in the configuration of the server.",
        "server_full" => "Raise limits.concurrent_calls in the configuration, or add a server.",
        _ => return None,
    })
}

/// What to do about a call that did not end as it should; `None` for those that did, and where nothing can be done.
pub(crate) const fn advice_on_reason(reason: DisconnectReason) -> Option<&'static str> {
    match reason {
        DisconnectReason::ConnectionFailed => {
            Some("Check that the agent is running and reachable from this server, then test the connection.")
        }
        DisconnectReason::NetworkError => {
            Some("Look for a firewall that closes UDP ports, or a carrier that sends media elsewhere.")
        }
        DisconnectReason::AiProviderError => Some("The agent’s own log says why."),
        DisconnectReason::CarrierError => Some("The signalling below shows the last message."),
        DisconnectReason::MaxDuration => {
            Some("Raise the connection’s maximum duration if calls should last longer.")
        }
        DisconnectReason::NormalDisconnect
        | DisconnectReason::AgentHangup
        | DisconnectReason::ApiHangup
        | DisconnectReason::Transferred
        | DisconnectReason::NoAnswer
        | DisconnectReason::TrunkDeleted
        | DisconnectReason::Rejected
        | DisconnectReason::ServerShutdown
        | DisconnectReason::Unknown => None,
    }
}

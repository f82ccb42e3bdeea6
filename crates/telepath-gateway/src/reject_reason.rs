//! Why the gateway rejects an INVITE. Each reason has one name, which the log, the metric and the documentation share,
//! and one SIP status.

use std::time::Duration;

use telepath_media::sdp::NegotiationError;
use telepath_sip::message::{StatusCode, Warning, WarningCode};
use telepath_sip::{InviteRejection, RetryAfter};

/// The value of Retry-After when the server is at a limit.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Why an INVITE was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InviteRejectReason {
    /// The server is shutting down.
    ShuttingDown,
    /// The server has `max_calls` live calls.
    ServerFull,
    /// As many calls of callers without digest wait for their first ACK as may.
    UnconfirmedFull,
    /// As many INVITEs of this source, or of all sources, wait for the look-up of their trunk as may.
    LookupsFull,
    /// The control plane failed or did not respond in time.
    ControlUnavailable,
    /// The operating system returned no random bytes.
    NoEntropy,
    /// The Authorization header cannot be parsed.
    MalformedCredentials,
    /// The user does not exist. The caller sees the same response as for a wrong password.
    UnknownUser,
    /// The digest response is wrong.
    WrongPassword,
    /// The nonce was not issued by this cluster.
    ForeignNonce,
    /// The nonce count was used before.
    ReplayedCredentials,
    /// The digest URI names another user than the Request-URI.
    UriMismatch,
    /// Too many failed digests came from this address block.
    AuthThrottled,
    /// The owner deactivated the trunk.
    TrunkInactive,
    /// The dialled number is not in the trunk's `inbound_numbers`.
    NumberNotListed,
    /// The same, and it is not in international form.
    NationalNumber,
    /// Several trunks trust the source address and take the dialled number.
    AmbiguousNumber,
    /// The trunk has `max_concurrent_calls` live calls.
    TrunkFull,
    /// The SDP offer cannot be parsed.
    MalformedSdp,
    /// The offer has no audio stream.
    NoAudio,
    /// The RTP profile of the offer is not supported, for example DTLS-SRTP.
    RtpProfile,
    /// The offer is for SRTP only, which is off for the trunk.
    SrtpOff,
    /// The offer is without SRTP, which the trunk requires.
    SrtpRequired,
    /// The offer has no SRTP crypto suite that the server supports.
    NoCommonSuite,
    /// The offer is multicast.
    Multicast,
    /// The offer and the trunk have no codec in common.
    NoCommonCodec,
    /// The media address in the offer is of an IP version that this server does not use.
    AddressFamily,
    /// Every RTP port is in use.
    RtpPortsExhausted,
    /// The connection to the agent failed.
    AgentUnreachable,
}

impl InviteRejectReason {
    /// The name in the log, the metric and the documentation.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ShuttingDown => "shutting_down",
            Self::ServerFull => "server_full",
            Self::UnconfirmedFull => "unconfirmed_full",
            Self::LookupsFull => "lookups_full",
            Self::ControlUnavailable => "control_unavailable",
            Self::NoEntropy => "no_entropy",
            Self::MalformedCredentials => "malformed_credentials",
            Self::UnknownUser => "unknown_user",
            Self::WrongPassword => "wrong_password",
            Self::ForeignNonce => "foreign_nonce",
            Self::ReplayedCredentials => "replayed_credentials",
            Self::UriMismatch => "uri_mismatch",
            Self::AuthThrottled => "auth_throttled",
            Self::TrunkInactive => "trunk_inactive",
            Self::NumberNotListed => "number_not_listed",
            Self::NationalNumber => "national_number",
            Self::AmbiguousNumber => "ambiguous_number",
            Self::TrunkFull => "trunk_full",
            Self::MalformedSdp => "malformed_sdp",
            Self::NoAudio => "no_audio",
            Self::RtpProfile => "rtp_profile",
            Self::SrtpOff => "srtp_off",
            Self::SrtpRequired => "srtp_required",
            Self::NoCommonSuite => "no_common_suite",
            Self::Multicast => "multicast",
            Self::NoCommonCodec => "no_common_codec",
            Self::AddressFamily => "address_family",
            Self::RtpPortsExhausted => "rtp_ports_exhausted",
            Self::AgentUnreachable => "agent_unreachable",
        }
    }

    /// What happened, for the call record.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::ShuttingDown => "the server is shutting down",
            Self::ServerFull => "the server has as many calls as it may have",
            Self::UnconfirmedFull => "too many calls of callers without digest wait for their ACK",
            Self::LookupsFull => "too many INVITEs wait for the look-up of their trunk",
            Self::ControlUnavailable => "the control plane did not respond",
            Self::NoEntropy => "the operating system returned no random bytes",
            Self::MalformedCredentials => "the Authorization header cannot be parsed",
            Self::UnknownUser => "no trunk has the user name of the credentials",
            Self::WrongPassword => "the SIP password is wrong",
            Self::ForeignNonce => "the nonce was not issued by this server",
            Self::ReplayedCredentials => "the nonce count was used before",
            Self::UriMismatch => "the digest URI names another user than the Request-URI",
            Self::AuthThrottled => "too many wrong passwords came from this address",
            Self::TrunkInactive => "the trunk is inactive",
            Self::NumberNotListed => "the dialled number is not in inbound_numbers",
            Self::NationalNumber => "the dialled number is in a national form, and so not in inbound_numbers",
            Self::AmbiguousNumber => "several trunks trust the source address and take the dialled number",
            Self::TrunkFull => "the trunk has max_concurrent_calls live calls",
            Self::MalformedSdp => "the SDP offer cannot be parsed",
            Self::NoAudio => "the SDP offer has no audio stream",
            Self::RtpProfile => {
                "the SDP offers audio with an RTP profile that the server does not support, such as DTLS-SRTP"
            }
            Self::SrtpOff => "the SDP offers audio with SRTP only, and SRTP is off for the trunk",
            Self::SrtpRequired => "the SDP offers audio without SRTP, and the trunk requires it",
            Self::NoCommonSuite => "the SDP offers SRTP without a crypto suite that the server supports",
            Self::Multicast => "the SDP offers multicast audio",
            Self::NoCommonCodec => "the SDP offer and the trunk have no codec in common",
            Self::AddressFamily => "the SDP offers media on an IP version that the server does not use",
            Self::RtpPortsExhausted => "every RTP port is in use",
            Self::AgentUnreachable => "the agent could not be reached",
        }
    }

    /// The status of the response. For 401 the caller gets a new challenge instead of a final rejection.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::ShuttingDown
            | Self::ServerFull
            | Self::UnconfirmedFull
            | Self::LookupsFull
            | Self::ControlUnavailable
            | Self::NoEntropy
            | Self::RtpPortsExhausted => StatusCode::SERVICE_UNAVAILABLE,
            Self::MalformedCredentials | Self::MalformedSdp => StatusCode::BAD_REQUEST,
            Self::UnknownUser | Self::WrongPassword | Self::ForeignNonce | Self::ReplayedCredentials => {
                StatusCode::UNAUTHORIZED
            }
            // A retry would be rejected too.
            Self::UriMismatch | Self::AuthThrottled | Self::TrunkInactive => StatusCode::FORBIDDEN,
            // Temporary: the owner or the agent can fix it at any time.
            Self::AgentUnreachable => StatusCode::TEMPORARILY_UNAVAILABLE,
            Self::NumberNotListed | Self::NationalNumber | Self::AmbiguousNumber => StatusCode::NOT_FOUND,
            Self::TrunkFull => StatusCode::BUSY_HERE,
            Self::NoAudio
            | Self::RtpProfile
            | Self::SrtpOff
            | Self::SrtpRequired
            | Self::NoCommonSuite
            | Self::Multicast
            | Self::NoCommonCodec
            | Self::AddressFamily => StatusCode::NOT_ACCEPTABLE_HERE,
        }
    }

    /// The code of the Warning (RFC 3261 section 20.43).
    fn warning_code(self) -> WarningCode {
        match self {
            Self::AddressFamily => WarningCode::IncompatibleNetworkAddressFormat,
            Self::RtpProfile | Self::SrtpOff | Self::SrtpRequired | Self::NoCommonSuite => {
                WarningCode::IncompatibleTransportProtocol
            }
            Self::NoAudio => WarningCode::MediaTypeNotAvailable,
            Self::NoCommonCodec => WarningCode::IncompatibleMediaFormat,
            Self::Multicast => WarningCode::MulticastNotAvailable,
            Self::ShuttingDown
            | Self::ServerFull
            | Self::UnconfirmedFull
            | Self::LookupsFull
            | Self::ControlUnavailable
            | Self::NoEntropy
            | Self::MalformedCredentials
            | Self::UnknownUser
            | Self::WrongPassword
            | Self::ForeignNonce
            | Self::ReplayedCredentials
            | Self::UriMismatch
            | Self::AuthThrottled
            | Self::TrunkInactive
            | Self::NumberNotListed
            | Self::NationalNumber
            | Self::AmbiguousNumber
            | Self::TrunkFull
            | Self::MalformedSdp
            | Self::RtpPortsExhausted
            | Self::AgentUnreachable => WarningCode::Miscellaneous,
        }
    }

    /// The final response: 503 has Retry-After (RFC 3261 section 21.5.4), and a Warning names the reason.
    pub(crate) fn rejection(self) -> InviteRejection {
        let status = self.status();
        let busy = status == StatusCode::SERVICE_UNAVAILABLE;
        InviteRejection {
            status,
            retry_after: busy.then_some(RetryAfter(RETRY_AFTER)),
            warning: Some(Warning { code: self.warning_code(), text: self.name() }),
            // Whoever sends many of these must not have them stored and repeated (RFC 3261 section 26.3.2.4).
            once: matches!(self, Self::AuthThrottled | Self::LookupsFull | Self::UnconfirmedFull),
        }
    }
}

impl From<NegotiationError> for InviteRejectReason {
    fn from(error: NegotiationError) -> Self {
        match error {
            NegotiationError::NoAudio => Self::NoAudio,
            NegotiationError::Profile => Self::RtpProfile,
            NegotiationError::SrtpOff => Self::SrtpOff,
            NegotiationError::SrtpRequired => Self::SrtpRequired,
            NegotiationError::NoCommonSuite => Self::NoCommonSuite,
            // Every stream needs an address (RFC 8866 section 5.7).
            NegotiationError::NoAddress => Self::MalformedSdp,
            NegotiationError::Multicast => Self::Multicast,
            NegotiationError::AddressFamily => Self::AddressFamily,
            // Only an answer can mismatch or reject a stream.
            NegotiationError::NoCommonCodec
            | NegotiationError::AnswerMismatch
            | NegotiationError::StreamRejected => Self::NoCommonCodec,
        }
    }
}

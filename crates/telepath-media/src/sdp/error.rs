//! Why a session description is rejected.

use super::{MAX_BYTES, MAX_MEDIA};

/// Why an SDP body was rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// The body is longer than [`MAX_BYTES`].
    #[error("the peer's SDP is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// A required line is missing.
    #[error("the peer's SDP has no {0}= line")]
    Missing(char),
    /// A line is malformed.
    #[error("line {line} of the peer's SDP is malformed")]
    Malformed {
        /// Line number, from 1.
        line: usize,
    },
    /// The body has more than [`MAX_MEDIA`] m-lines.
    #[error("the peer's SDP has more than {MAX_MEDIA} streams")]
    TooManyStreams,
}

/// Why negotiation failed. Of several streams, the one that comes closest to being accepted gives the reason, so the reasons
/// of an offer are in the order in which a stream is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum NegotiationError {
    /// The answer does not match the offer.
    #[error("the peer's answer does not match our offer")]
    AnswerMismatch,
    /// The answer rejects the audio stream with port 0.
    #[error("the peer's answer rejects the audio stream")]
    StreamRejected,
    /// The offer has no audio stream, or disables it with port 0.
    #[error("the peer offers no audio stream")]
    NoAudio,
    /// The RTP profile of the audio stream is not supported, for example DTLS-SRTP.
    #[error("the peer offers audio with an RTP profile that this server does not support")]
    Profile,
    /// The audio stream uses SRTP, which is off.
    #[error("the peer offers audio with SRTP only, which is off")]
    SrtpOff,
    /// The audio stream is in clear, but SRTP is required.
    #[error("the peer offers audio without SRTP, which is required")]
    SrtpRequired,
    /// The audio stream has no SRTP crypto suite in common with us.
    #[error("the peer offers no SRTP crypto suite in common")]
    NoCommonSuite,
    /// The audio stream has no `c=` line.
    #[error("the peer's SDP has no address for the audio stream")]
    NoAddress,
    /// The audio stream is multicast.
    #[error("the peer offers multicast audio")]
    Multicast,
    /// The audio stream has no codec in common with us.
    #[error("the peer offers no audio stream with a codec in common")]
    NoCommonCodec,
    /// The audio stream uses an IP version that this server does not.
    #[error("the peer's SDP has an address of an IP version that this server does not use")]
    AddressFamily,
}

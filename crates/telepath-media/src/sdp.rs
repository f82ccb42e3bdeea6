//! Session descriptions (RFC 8866) and the offer/answer rules for one audio stream (RFC 3264).
//!
//! Only what a telephone call needs is understood; everything else is skipped, and refused where an answer must
//! say something about it.

mod negotiate;
mod parse;
mod write;

pub use negotiate::{LocalMedia, Negotiated, NegotiationError, SessionId, accept_answer, answer, offer};

use crate::rtp::PayloadType;
use std::net::IpAddr;

/// Longest description that is read, in bytes.
pub const MAX_BYTES: usize = 16 * 1024;
/// Most m-lines that are read.
pub const MAX_MEDIA: usize = 16;
/// Most payload formats of one m-line that are read.
pub const MAX_FORMATS: usize = 64;

/// Who may send, seen from the writer of the description (RFC 8866 section 6.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Direction {
    /// Both.
    #[default]
    SendRecv,
    /// Only the writer sends: the writer holds the other.
    SendOnly,
    /// Only the other sends.
    RecvOnly,
    /// Nobody sends.
    Inactive,
}

impl Direction {
    /// The attribute's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    fn from_attribute(name: &str) -> Option<Self> {
        [Self::SendRecv, Self::SendOnly, Self::RecvOnly, Self::Inactive]
            .into_iter()
            .find(|direction| direction.as_str() == name)
    }

    /// Whether the writer sends.
    pub fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether the writer receives.
    pub fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    fn from_parts(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }
}

/// The address of a `c=` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectionAddress {
    /// A literal address.
    Ip(IpAddr),
    /// A host name; media cores do not resolve names, symmetric RTP finds the peer.
    Name(String),
}

/// The `o=` line: who wrote this and which version it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// User name or `-`.
    pub username: String,
    /// Session identifier; kept as text because peers write numbers of any size.
    pub session_id: String,
    /// Version; kept as text for the same reason.
    pub version: String,
    /// Address of the writer.
    pub address: ConnectionAddress,
}

/// One `a=rtpmap`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RtpMap {
    /// The number being mapped.
    pub payload_type: PayloadType,
    /// Name of the encoding.
    pub encoding: String,
    /// Clock rate in hertz.
    pub clock_rate: u32,
    /// Channels; 1 when not written.
    pub channels: u8,
}

/// One `a=fmtp`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormatParameters {
    /// The number it belongs to.
    pub payload_type: PayloadType,
    /// The parameters as written.
    pub parameters: String,
}

/// One m-line with its attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaDescription {
    /// `audio`, `video`, …
    pub kind: String,
    /// Port; 0 refuses or removes the stream.
    pub port: u16,
    /// Transport, for instance `RTP/AVP`.
    pub protocol: String,
    /// Formats as written.
    pub formats: Vec<String>,
    /// Connection of this stream.
    pub connection: Option<ConnectionAddress>,
    /// Encodings of dynamic numbers.
    pub rtpmaps: Vec<RtpMap>,
    /// Parameters of formats.
    pub fmtps: Vec<FormatParameters>,
    /// Packet time in milliseconds.
    pub ptime: Option<u16>,
    /// Longest packet time in milliseconds.
    pub maxptime: Option<u16>,
    /// Direction of this stream.
    pub direction: Option<Direction>,
}

/// A session description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionDescription {
    /// Who wrote it.
    pub origin: Origin,
    /// Connection of streams that have none of their own.
    pub connection: Option<ConnectionAddress>,
    /// Direction of streams that have none of their own.
    pub direction: Option<Direction>,
    /// The streams.
    pub media: Vec<MediaDescription>,
}

/// Why text is not a session description.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// Longer than [`MAX_BYTES`].
    #[error("the peer's SDP is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// Not UTF-8.
    #[error("the peer's SDP is not UTF-8 text")]
    NotText,
    /// A line that must be there is not.
    #[error("the peer's SDP lacks its {0}= line")]
    Missing(char),
    /// A line does not have its form.
    #[error("line {line} of the peer's SDP is malformed")]
    Malformed {
        /// Number of the line, from 1.
        line: usize,
    },
    /// More than [`MAX_MEDIA`] streams.
    #[error("the peer's SDP has more than {MAX_MEDIA} streams")]
    TooManyStreams,
}

#[cfg(test)]
mod tests;

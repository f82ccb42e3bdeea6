//! Session descriptions (RFC 8866) and offer/answer for one audio stream (RFC 3264).
//!
//! Only what a telephone call needs is supported. Unknown lines are skipped; other streams are rejected in the answer.

mod accept;
mod crypto;
mod describe;
mod error;
mod negotiate;
mod negotiated;
mod parse;
mod write;

pub use accept::{AcceptedOffer, KeyedOffer};
pub use crypto::{CryptoAttribute, MAX_CRYPTO, SrtpPolicy};
pub use error::{NegotiationError, SdpError};
pub use negotiate::{accept_answer, offer, offer_with_keys};
pub use negotiated::{Negotiated, RtcpTransport};

use crate::rtp::PayloadType;
use std::net::{IpAddr, SocketAddr};

/// Maximum length of a description, in bytes.
pub const MAX_BYTES: usize = 16 * 1024;
/// Maximum number of m-lines.
pub const MAX_MEDIA: usize = 16;
/// Maximum number of formats per m-line; further ones are ignored.
pub const MAX_FORMATS: usize = 64;

/// Media direction from the point of view of the description's author (RFC 8866 section 6.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum MediaDirection {
    /// Both sides send.
    #[default]
    SendRecv,
    /// Only the author sends; the peer is on hold.
    SendOnly,
    /// Only the peer sends.
    RecvOnly,
    /// Neither side sends.
    Inactive,
}

impl MediaDirection {
    /// The name of the attribute.
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

    /// Whether the author sends.
    pub fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether the author receives.
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
    /// An IP address.
    Ip(IpAddr),
    /// A host name. It is not resolved; symmetric RTP learns the peer's address.
    Name(String),
}

/// The `o=` line (RFC 8866 section 5.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionOrigin {
    /// User name or `-`. Bytes that are not UTF-8 are U+FFFD.
    pub username: String,
    /// Session identifier. It is text, because peers write numbers of any size.
    pub session_id: String,
    /// Session version. It is text for the same reason.
    pub version: String,
    /// Address of the author.
    pub address: ConnectionAddress,
}

/// An `a=rtpmap` attribute (RFC 8866 section 6.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RtpMap {
    /// Payload type.
    pub payload_type: PayloadType,
    /// Encoding name.
    pub encoding: String,
    /// Clock rate in hertz.
    pub clock_rate: u32,
    /// Channels; 1 if not given.
    pub channels: u8,
}

/// An `a=fmtp` attribute (RFC 8866 section 6.15).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormatParameters {
    /// Payload type.
    pub payload_type: PayloadType,
    /// The parameters, unparsed.
    pub parameters: String,
}

/// An `a=rtcp` attribute (RFC 3605).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RtcpAttribute {
    /// The port that receives RTCP.
    pub port: u16,
    /// Its address; `None` if it is that of RTP.
    pub address: Option<ConnectionAddress>,
}

/// An `m=` line with its attributes (RFC 8866 section 5.14).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MediaDescription {
    /// Media type: `audio`, `video`, …
    pub kind: String,
    /// Port; 0 rejects or removes the stream.
    pub port: u16,
    /// Transport protocol, such as `RTP/AVP`.
    pub protocol: String,
    /// Formats: for RTP, payload types in order of preference.
    pub formats: Vec<String>,
    /// The stream's own `c=` line.
    pub connection: Option<ConnectionAddress>,
    /// `a=rtpmap` attributes.
    pub rtpmaps: Vec<RtpMap>,
    /// `a=fmtp` attributes.
    pub fmtps: Vec<FormatParameters>,
    /// `a=ptime` in milliseconds.
    pub ptime: Option<u16>,
    /// `a=maxptime` in milliseconds.
    pub maxptime: Option<u16>,
    /// The stream's own direction.
    pub direction: Option<MediaDirection>,
    /// Where RTCP is received, if not at the port after that of RTP.
    pub rtcp: Option<RtcpAttribute>,
    /// Whether RTP and RTCP share a port (RFC 5761 section 5.1.1).
    pub rtcp_mux: bool,
    /// `a=crypto` attributes that this server can use, in order of preference.
    pub crypto: Vec<CryptoAttribute>,
    /// Whether there are others.
    pub has_other_crypto: bool,
}

/// A parsed session description. Lines that a telephone call does not need are not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionDescription {
    /// The `o=` line.
    pub origin: SessionOrigin,
    /// `c=` line for streams without their own.
    pub connection: Option<ConnectionAddress>,
    /// Direction for streams without their own.
    pub direction: Option<MediaDirection>,
    /// The `m=` lines in order; an answer has the same order (RFC 3264 section 6).
    pub media: Vec<MediaDescription>,
}

/// Session identifier and version of our descriptions. The version increments with each description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionId {
    /// Random, one per call.
    pub id: u32,
    /// Version of the description.
    pub version: u32,
}

/// Our side of the audio stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalMedia {
    /// Address and port at which we receive.
    pub address: SocketAddr,
    /// Session identifier and version.
    pub session: SessionId,
}

#[cfg(test)]
mod tests;

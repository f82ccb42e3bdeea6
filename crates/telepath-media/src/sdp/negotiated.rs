//! The result of an offer and its answer.

use super::MediaDirection;
use crate::codec::AudioCodec;
use crate::rtp::{PayloadType, PayloadTypes};
use crate::srtp::SrtpKeys;
use std::net::SocketAddr;

/// Where RTCP of the audio stream is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RtcpTransport {
    /// To the same port as RTP (RFC 5761).
    Muxed,
    /// To a port of its own: this one (RFC 3605), or the one after the port of RTP (RFC 3550 section 11).
    Separate(Option<SocketAddr>),
}

/// The negotiated audio stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    /// Codec in both directions.
    pub codec: AudioCodec,
    /// Payload types of the packets that we send: the numbers in the peer's description.
    pub send: PayloadTypes,
    /// Payload types of the packets that we receive: the numbers in our description.
    pub receive: PayloadTypes,
    /// Where the peer receives audio; `None` if its SDP has no usable address.
    pub remote: Option<SocketAddr>,
    /// Our direction.
    pub direction: MediaDirection,
    /// The peer's `a=ptime`, if it is between 10 and 60 ms.
    pub peer_ptime_ms: Option<u16>,
    /// Where RTCP is sent.
    pub rtcp: RtcpTransport,
    /// The keys of SRTP; `None` for audio in clear.
    pub srtp: Option<SrtpKeys>,
}

impl Negotiated {
    /// The media assumed after our offer, until the peer answers it. Nothing can be sent, because the peer's address is
    /// unknown.
    pub fn proposed(codec: AudioCodec) -> Self {
        let offered = PayloadTypes {
            audio: codec.static_payload_type(),
            telephone_event: Some(PayloadType::TELEPHONE_EVENT),
            comfort_noise: None,
        };
        Self {
            codec,
            send: offered,
            receive: offered,
            remote: None,
            direction: MediaDirection::SendRecv,
            peer_ptime_ms: None,
            rtcp: RtcpTransport::Separate(None),
            srtp: None,
        }
    }

    /// Whether the peer put us on hold, so that we must not send.
    pub fn is_held(&self) -> bool {
        !self.direction.sends()
    }
}

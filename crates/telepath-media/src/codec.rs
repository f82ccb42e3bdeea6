//! The audio codecs of the carrier leg and their names in SDP.
//!
//! The RTP clock of all of them is 8 kHz and a payload has one byte per tick, so the length of a payload is its duration.
//! This includes G.722: it samples at 16 kHz, but RFC 3551 section 4.5.2 keeps the clock rate that was once assigned by
//! mistake, and one byte holds two samples.

use crate::rtp::PayloadType;

/// An audio codec of the carrier leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AudioCodec {
    /// G.711 µ-law, static payload type 0 (RFC 3551 section 6).
    Pcmu,
    /// G.711 A-law, static payload type 8 (RFC 3551 section 6).
    Pcma,
    /// G.722 at 64 kbit/s, static payload type 9 (RFC 3551 section 6).
    G722,
}

impl AudioCodec {
    /// All codecs in the default order of preference.
    ///
    /// G.711 comes first: it passes byte for byte to agents that speak it, and a call from the telephone network has no more
    /// to give. G.722 is for trunks whose callers are wideband endpoints; their settings put it first.
    pub const ALL: [Self; 3] = [Self::Pcmu, Self::Pcma, Self::G722];

    /// The encoding name in `a=rtpmap` and in call records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::G722 => "G722",
        }
    }

    /// The codec with this encoding name; case is ignored (RFC 8866 section 6.6).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.name().eq_ignore_ascii_case(name))
    }

    /// The static payload type, which needs no `a=rtpmap` (RFC 3551 section 6).
    pub fn static_payload_type(self) -> PayloadType {
        match self {
            Self::Pcmu => PayloadType::PCMU,
            Self::Pcma => PayloadType::PCMA,
            Self::G722 => PayloadType::G722,
        }
    }

    /// The codec with this static payload type.
    pub fn from_static(payload_type: PayloadType) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.static_payload_type() == payload_type)
    }
}

impl std::fmt::Display for AudioCodec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

//! The audio codecs of the carrier leg and their names in SDP.
//!
//! Both are G.711 at 8 kHz with one byte per sample, so the length of a payload is its duration in samples.

use crate::g711;
use crate::rtp::PayloadType;

/// An audio codec of the carrier leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AudioCodec {
    /// G.711 µ-law, static payload type 0 (RFC 3551 section 6).
    Pcmu,
    /// G.711 A-law, static payload type 8 (RFC 3551 section 6).
    Pcma,
}

impl AudioCodec {
    /// All codecs in the default order of preference.
    pub const ALL: [Self; 2] = [Self::Pcmu, Self::Pcma];

    /// The encoding name in `a=rtpmap` and in call records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
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
        }
    }

    /// The codec with this static payload type.
    pub fn from_static(payload_type: PayloadType) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.static_payload_type() == payload_type)
    }

    /// Encodes one 16-bit sample.
    pub fn encode(self, sample: i16) -> u8 {
        match self {
            Self::Pcmu => g711::mu_encode(sample),
            Self::Pcma => g711::a_encode(sample),
        }
    }

    /// Decodes one byte to a 16-bit sample.
    pub fn decode(self, code: u8) -> i16 {
        match self {
            Self::Pcmu => g711::mu_decode(code),
            Self::Pcma => g711::a_decode(code),
        }
    }
}

impl std::fmt::Display for AudioCodec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

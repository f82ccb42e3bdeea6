//! Formats of the audio on an agent's WebSocket: mono, 16-bit PCM or G.711, at the sampling rate of the provider.

use crate::codec::AudioCodec;

/// How a sample is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AudioEncoding {
    /// 16-bit little-endian PCM.
    Pcm16,
    /// G.711 µ-law, 8 kHz.
    Pcmu,
    /// G.711 A-law, 8 kHz.
    Pcma,
}

/// Encoding and sampling rate of an audio stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AudioFormat {
    /// How a sample is encoded.
    pub encoding: AudioEncoding,
    /// Samples per second.
    pub rate: u32,
}

impl AudioFormat {
    /// G.711 µ-law.
    pub const PCMU: Self = Self { encoding: AudioEncoding::Pcmu, rate: 8000 };
    /// G.711 A-law.
    pub const PCMA: Self = Self { encoding: AudioEncoding::Pcma, rate: 8000 };

    /// 16-bit little-endian PCM with this many samples per second.
    pub const fn pcm16(rate: u32) -> Self {
        Self { encoding: AudioEncoding::Pcm16, rate }
    }

    /// The format whose bytes are those of the codec, so that audio passes through unchanged; `None` if no agent format is
    /// like the codec.
    pub const fn same_as(codec: AudioCodec) -> Option<Self> {
        match codec {
            AudioCodec::Pcmu => Some(Self::PCMU),
            AudioCodec::Pcma => Some(Self::PCMA),
        }
    }

    /// Bytes per second.
    pub const fn bytes_per_second(self) -> u32 {
        match self.encoding {
            AudioEncoding::Pcm16 => 2 * self.rate,
            AudioEncoding::Pcmu | AudioEncoding::Pcma => self.rate,
        }
    }

    /// The duration of this many bytes in whole milliseconds, rounded down.
    pub fn milliseconds(self, bytes: u64) -> u64 {
        bytes.saturating_mul(1000) / u64::from(self.bytes_per_second().max(1))
    }
}

impl std::fmt::Display for AudioFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let encoding = match self.encoding {
            AudioEncoding::Pcm16 => "16-bit PCM",
            AudioEncoding::Pcmu => "G.711 µ-law",
            AudioEncoding::Pcma => "G.711 A-law",
        };
        write!(f, "{encoding} at {} Hz", self.rate)
    }
}

/// The formats of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentFormats {
    /// What the agent receives: the caller's audio.
    pub to_agent: AudioFormat,
    /// What the agent sends.
    pub from_agent: AudioFormat,
}

impl AgentFormats {
    /// The same format in both directions.
    pub const fn both(format: AudioFormat) -> Self {
        Self { to_agent: format, from_agent: format }
    }
}

//! Formats of the audio on an agent's WebSocket and inside the bridge: mono, 16-bit PCM or G.711, at a sampling rate.

use crate::codec::AudioCodec;
use crate::g711;
use crate::media_clock::{FRAME_SAMPLES, SAMPLE_RATE};

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

impl AudioEncoding {
    /// Bytes of one sample.
    pub const fn bytes_per_sample(self) -> usize {
        match self {
            Self::Pcm16 => 2,
            Self::Pcmu | Self::Pcma => 1,
        }
    }

    /// The samples of audio in this encoding; an incomplete sample at the end is left out.
    pub fn samples(self, audio: &[u8]) -> impl Iterator<Item = i16> + Clone + use<'_> {
        audio.chunks_exact(self.bytes_per_sample()).map(move |sample| match (self, sample) {
            (Self::Pcm16, &[low, high]) => i16::from_le_bytes([low, high]),
            (Self::Pcmu, &[code]) => g711::mu_decode(code),
            (Self::Pcma, &[code]) => g711::a_decode(code),
            (Self::Pcm16 | Self::Pcmu | Self::Pcma, _) => 0,
        })
    }

    /// The first byte of a silent sample; the other one, if any, is equal.
    pub fn silence(self) -> u8 {
        match self {
            Self::Pcm16 => 0,
            Self::Pcmu => g711::mu_encode(0),
            Self::Pcma => g711::a_encode(0),
        }
    }

    /// Appends samples in this encoding.
    pub fn append(self, samples: impl IntoIterator<Item = i16>, audio: &mut Vec<u8>) {
        let samples = samples.into_iter();
        match self {
            Self::Pcm16 => audio.extend(samples.flat_map(i16::to_le_bytes)),
            Self::Pcmu => audio.extend(samples.map(g711::mu_encode)),
            Self::Pcma => audio.extend(samples.map(g711::a_encode)),
        }
    }
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
            AudioCodec::G722 => None,
        }
    }

    /// The format of a carrier leg's audio inside the bridge. G.711 stays as it is, so that it can pass through. G.722 is
    /// decoded when it arrives and encoded when it is sent, because its coders must see exactly what was on the wire.
    pub const fn of_leg(codec: AudioCodec) -> Self {
        match codec {
            AudioCodec::Pcmu => Self::PCMU,
            AudioCodec::Pcma => Self::PCMA,
            AudioCodec::G722 => Self::pcm16(16_000),
        }
    }

    /// Bytes per tick of the RTP clock, 1/8000 of a second, for a format of [`Self::of_leg`].
    pub const fn bytes_per_tick(self) -> usize {
        (self.bytes_per_second() / SAMPLE_RATE) as usize
    }

    /// Bytes of a frame of 20 ms, for a format of [`Self::of_leg`].
    pub const fn frame_bytes(self) -> usize {
        self.bytes_per_tick() * FRAME_SAMPLES
    }

    /// The samples of audio in this format.
    pub fn samples(self, audio: &[u8]) -> impl Iterator<Item = i16> + Clone + use<'_> {
        self.encoding.samples(audio)
    }

    /// Appends silence of this many ticks of the RTP clock, for a format of [`Self::of_leg`].
    pub fn append_silence(self, ticks: usize, audio: &mut Vec<u8>) {
        audio.resize(audio.len() + ticks * self.bytes_per_tick(), self.encoding.silence());
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

//! G.722 in mode 1: 7 kHz of audio in 64 kbit/s (ITU-T G.722).
//!
//! A quadrature mirror filter splits 16 kHz samples into two sub-bands of 8 kHz. ADPCM codes the lower one, 0–4 kHz, in
//! six bits and the higher one in two, so each pair of samples becomes one byte: the higher band in the two most
//! significant bits. Encoder and decoder adapt from the coded bits alone; they stay in step as long as every byte that
//! the encoder produced reaches the decoder, and return to step within half a second after a gap.
//!
//! Full scale of 16 bits is full scale of the codec, as in the ITU's own software and in ffmpeg. The tests compare every
//! bit with two independent implementations.
//!
//! Names in capitals in comments are those of the blocks of the computational details, sections 5.2 and 6.2.
#![expect(
    clippy::cast_possible_truncation,
    reason = "the algorithm is defined in 16-bit arithmetic; every value is limited before it is narrowed"
)]

mod band;
mod mirror_filter;
mod tables;
#[cfg(test)]
mod tests;

use band::Band;
use mirror_filter::{Analysis, Synthesis};

/// Samples in one byte, both at 16 kHz.
pub const SAMPLES_PER_BYTE: usize = 2;

/// An encoder; its state belongs to one stream.
#[derive(Debug, Clone)]
pub struct Encoder {
    filter: Analysis,
    lower: Band,
    higher: Band,
}

impl Default for Encoder {
    fn default() -> Self {
        Self { filter: Analysis::default(), lower: Band::lower(), higher: Band::higher() }
    }
}

impl Encoder {
    /// Encodes two consecutive samples at 16 kHz.
    pub fn encode(&mut self, samples: [i16; SAMPLES_PER_BYTE]) -> u8 {
        let (low, high) = self.filter.split(samples);
        let lower = self.lower.quantize_lower(low);
        let higher = self.higher.quantize_higher(high);
        self.lower.adapt_lower(lower);
        self.higher.adapt_higher(higher);
        (higher << 6) | lower
    }
}

/// A decoder; its state belongs to one stream.
#[derive(Debug, Clone)]
pub struct Decoder {
    filter: Synthesis,
    lower: Band,
    higher: Band,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { filter: Synthesis::default(), lower: Band::lower(), higher: Band::higher() }
    }
}

impl Decoder {
    /// Decodes one byte to two consecutive samples at 16 kHz.
    pub fn decode(&mut self, byte: u8) -> [i16; SAMPLES_PER_BYTE] {
        let (lower, higher) = (byte & 0x3f, byte >> 6);
        let low = self.lower.reconstruct_lower(lower);
        let high = self.higher.reconstruct_higher(higher);
        self.lower.adapt_lower(lower);
        self.higher.adapt_higher(higher);
        self.filter.join(low, high)
    }
}

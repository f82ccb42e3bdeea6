//! Conversion between the sampling rates of telephony and of voice agents: 8, 16 and 24 kHz.
//!
//! A rate changes by a fraction `up / down`. In theory, `up - 1` zeros are inserted behind each sample, a low-pass filter
//! removes what would be an image or become an alias, and every `down`-th result is kept. A polyphase filter computes
//! only these results, and skips the products with zeros.
//!
//! | conversion | passband | stopband | delay |
//! |---|---|---|---|
//! | 8 ↔ 16 kHz, 8 ↔ 24 kHz | to 3.4 kHz within 0.2 dB | from 4 kHz below -60 dB | 3 ms |
//! | 16 ↔ 24 kHz | to 7 kHz within 0.05 dB | from 8 kHz below -60 dB | 2 ms |
//!
//! The tests measure these figures. The first band is that of a telephone, the second that of G.722.

mod filter;
#[cfg(test)]
mod tests;

use filter::{Filter, MAX_TAPS};
use std::time::Duration;

/// Samples that are filtered at a time: 20 ms at 8 kHz.
const BLOCK: usize = 160;

/// A converter of one stream from one sampling rate to another.
#[derive(Debug, Clone)]
pub struct Resampler {
    /// `None` if both rates are the same.
    filter: Option<&'static Filter>,
    /// The last `taps - 1` samples of the input, then the block that is filtered.
    window: [i16; MAX_TAPS - 1 + BLOCK],
    /// The position of the next result, counted at the raised rate from the next sample of the input.
    next: usize,
}

impl Resampler {
    /// A converter between two of the rates 8000, 16,000 and 24,000 Hz; `None` for any other rate.
    ///
    /// Equal rates are converted by copying.
    pub fn new(from: u32, to: u32) -> Option<Self> {
        let filter = match (from, to) {
            (8000, 8000) | (16_000, 16_000) | (24_000, 24_000) => None,
            (8000, 16_000) => Some(&filter::FROM_8_TO_16),
            (16_000, 8000) => Some(&filter::FROM_16_TO_8),
            (8000, 24_000) => Some(&filter::FROM_8_TO_24),
            (24_000, 8000) => Some(&filter::FROM_24_TO_8),
            (16_000, 24_000) => Some(&filter::FROM_16_TO_24),
            (24_000, 16_000) => Some(&filter::FROM_24_TO_16),
            _ => return None,
        };
        Some(Self { filter, window: [0; MAX_TAPS - 1 + BLOCK], next: 0 })
    }

    /// By how much the output is behind the input.
    pub fn delay(&self) -> Duration {
        self.filter.map_or(Duration::ZERO, Filter::delay)
    }

    /// Forgets the input so far: what follows does not continue it.
    pub fn reset(&mut self) {
        self.window.fill(0);
        self.next = 0;
    }

    /// Converts the next samples of the stream, any number of them, and appends the result to `output`.
    ///
    /// Results do not depend on how the input is divided into calls. A result that is out of range is limited.
    pub fn process(&mut self, input: &[i16], output: &mut Vec<i16>) {
        let Some(filter) = self.filter else {
            output.extend_from_slice(input);
            return;
        };
        output.reserve(input.len() * filter.up / filter.down + 1);
        let history = filter.taps() - 1;
        for block in input.chunks(BLOCK) {
            let filled = history + block.len();
            self.window[history..filled].copy_from_slice(block);
            let (mut sample, mut phase) = (self.next / filter.up, self.next % filter.up);
            while sample < block.len() {
                output.push(filter.apply(phase, &self.window[sample..=sample + history]));
                phase += filter.down;
                sample += phase / filter.up;
                phase %= filter.up;
            }
            self.next = (sample - block.len()) * filter.up + phase;
            self.window.copy_within(block.len()..filled, 0);
        }
    }
}

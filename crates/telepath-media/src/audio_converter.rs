//! Conversion of a stream of audio from one format to another.

use crate::audio_format::{AudioEncoding, AudioFormat};
use crate::resample::Resampler;

/// Samples per second of G.711.
const G711_RATE: u32 = 8000;

/// The converter of one stream.
#[derive(Debug)]
pub struct AudioConverter {
    from: AudioFormat,
    to: AudioFormat,
    resampler: Option<Resampler>,
    /// The first byte of a 16-bit sample whose second byte has not arrived.
    half: Option<u8>,
    /// Samples before and after the change of the sampling rate; the memory is reused.
    samples: Vec<i16>,
    resampled: Vec<i16>,
}

impl AudioConverter {
    /// A converter for the beginning of a stream. Between formats that are not supported, see [`Self::supports`], it
    /// converts to nothing.
    pub fn new(from: AudioFormat, to: AudioFormat) -> Self {
        let resampler = Resampler::new(from.rate, to.rate);
        Self { from, to, resampler, half: None, samples: Vec::new(), resampled: Vec::new() }
    }

    /// Whether audio can be converted from and to a format: PCM at 8, 16 or 24 kHz, and G.711 at 8 kHz.
    pub fn supports(format: AudioFormat) -> bool {
        match format.encoding {
            AudioEncoding::Pcm16 => Resampler::new(format.rate, G711_RATE).is_some(),
            AudioEncoding::Pcmu | AudioEncoding::Pcma => format.rate == G711_RATE,
        }
    }

    /// The format of the input.
    pub fn from(&self) -> AudioFormat {
        self.from
    }

    /// The format of the output.
    pub fn to(&self) -> AudioFormat {
        self.to
    }

    /// What follows does not continue what came before.
    pub fn reset(&mut self) {
        self.half = None;
        if let Some(resampler) = &mut self.resampler {
            resampler.reset();
        }
    }

    /// Converts the next bytes of the stream, any number of them, and appends the result to `output`. Equal formats pass
    /// byte for byte; only an incomplete sample waits for its rest.
    pub fn convert(&mut self, bytes: &[u8], output: &mut Vec<u8>) {
        if self.from == self.to && self.from.encoding.bytes_per_sample() == 1 {
            output.extend_from_slice(bytes);
            return;
        }
        let Some(resampler) = &mut self.resampler else { return };
        self.samples.clear();
        let rest = take_samples(self.from.encoding, &mut self.half, bytes, &mut self.samples);
        self.samples.extend(self.from.samples(rest));
        if self.from.rate == self.to.rate {
            self.to.encoding.append(self.samples.iter().copied(), output);
        } else {
            self.resampled.clear();
            resampler.process(&self.samples, &mut self.resampled);
            self.to.encoding.append(self.resampled.iter().copied(), output);
        }
    }
}

/// Completes a 16-bit sample that is split across two calls, and keeps a byte whose sample is incomplete. Returns the
/// whole samples in between.
fn take_samples<'a>(
    encoding: AudioEncoding,
    half: &mut Option<u8>,
    bytes: &'a [u8],
    samples: &mut Vec<i16>,
) -> &'a [u8] {
    match encoding {
        AudioEncoding::Pcmu | AudioEncoding::Pcma => return bytes,
        AudioEncoding::Pcm16 => {}
    }
    let mut rest = bytes;
    if let (Some(low), Some((&high, after))) = (*half, bytes.split_first()) {
        samples.push(i16::from_le_bytes([low, high]));
        *half = None;
        rest = after;
    }
    match rest.split_last() {
        Some((&odd, whole)) if rest.len() % 2 == 1 => {
            *half = Some(odd);
            whole
        }
        _ => rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::g711;

    fn convert(from: AudioFormat, to: AudioFormat, bytes: &[u8]) -> Vec<u8> {
        let mut output = Vec::new();
        AudioConverter::new(from, to).convert(bytes, &mut output);
        output
    }

    #[test]
    fn the_same_g711_law_passes_every_byte_through() {
        let every: Vec<u8> = (0..=255).collect();
        for format in [AudioFormat::PCMU, AudioFormat::PCMA] {
            // That includes the two zeros of µ-law, 0xff and 0x7f.
            assert_eq!(convert(format, format, &every), every, "{format}");
        }
    }

    #[test]
    fn different_g711_laws_are_transcoded() {
        let every: Vec<u8> = (0..=255).collect();
        let to_mu: Vec<u8> = every.iter().map(|&code| g711::mu_encode(g711::a_decode(code))).collect();
        let to_a: Vec<u8> = every.iter().map(|&code| g711::a_encode(g711::mu_decode(code))).collect();
        assert_eq!(convert(AudioFormat::PCMA, AudioFormat::PCMU, &every), to_mu);
        assert_eq!(convert(AudioFormat::PCMU, AudioFormat::PCMA, &every), to_a);
    }

    #[test]
    fn pcm_split_at_any_byte_is_reassembled() {
        let samples: Vec<i16> = (0..999).map(|n| n * 31).collect();
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        for to in [AudioFormat::PCMU, AudioFormat::pcm16(8000), AudioFormat::pcm16(24_000)] {
            let expected = convert(AudioFormat::pcm16(8000), to, &bytes);
            for size in [1, 2, 3, 7, 320, 321] {
                let mut converter = AudioConverter::new(AudioFormat::pcm16(8000), to);
                let mut output = Vec::new();
                for chunk in bytes.chunks(size) {
                    converter.convert(&[], &mut output);
                    converter.convert(chunk, &mut output);
                }
                assert_eq!(output, expected, "{to} in chunks of {size}");
            }
        }
    }

    #[test]
    fn another_sampling_rate_changes_the_length_and_not_the_level() {
        for (from, to) in [
            (AudioFormat::PCMU, AudioFormat::pcm16(24_000)),
            (AudioFormat::pcm16(24_000), AudioFormat::PCMA),
            (AudioFormat::pcm16(16_000), AudioFormat::pcm16(24_000)),
            (AudioFormat::pcm16(24_000), AudioFormat::pcm16(16_000)),
            (AudioFormat::pcm16(16_000), AudioFormat::PCMU),
        ] {
            let second = from.rate as usize;
            let mut bytes = Vec::new();
            from.encoding.append(std::iter::repeat_n(8000, second), &mut bytes);
            let output = convert(from, to, &bytes);
            assert_eq!(output.len(), to.bytes_per_second() as usize, "{from} to {to}");
            let last = to.samples(&output).last().unwrap();
            assert!((7700..8300).contains(&last), "{from} to {to}: {last}");
        }
    }

    #[test]
    fn after_a_reset_nothing_of_the_stream_before_remains() {
        let (from, to) = (AudioFormat::pcm16(24_000), AudioFormat::PCMU);
        let mut converter = AudioConverter::new(from, to);
        let mut output = Vec::new();
        converter.convert(&[0x7f; 4801], &mut output);
        converter.reset();
        output.clear();
        converter.convert(&[0; 4800], &mut output);
        assert_eq!(output, [g711::mu_encode(0); 800]);
    }

    #[test]
    fn only_the_rates_of_the_resampler_are_supported() {
        for rate in [8000, 16_000, 24_000] {
            assert!(AudioConverter::supports(AudioFormat::pcm16(rate)), "{rate}");
        }
        for rate in [0, 11_025, 44_100, 48_000] {
            assert!(!AudioConverter::supports(AudioFormat::pcm16(rate)), "{rate}");
        }
        assert!(AudioConverter::supports(AudioFormat::PCMA));
        assert!(!AudioConverter::supports(AudioFormat { rate: 16_000, ..AudioFormat::PCMU }));
    }
}

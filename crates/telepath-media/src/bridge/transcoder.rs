//! Conversion between the codec of the carrier leg and the formats of the agent: the only place that knows both.
//!
//! If both sides use the same G.711 law, bytes pass through unchanged. Everything else is decoded to samples and encoded
//! again.

use crate::audio_format::{AgentFormats, AudioEncoding, AudioFormat};
use crate::codec::AudioCodec;
use crate::media_clock::SAMPLE_RATE;
use crate::playout::PayloadOctet;

/// The converter of one call, with the state of both directions.
#[derive(Debug)]
pub(super) struct Transcoder {
    leg: AudioCodec,
    formats: AgentFormats,
    /// The first byte of a 16-bit sample that is split across two messages of the agent.
    half: Option<u8>,
}

impl Transcoder {
    pub(super) fn new(leg: AudioCodec, formats: AgentFormats) -> Self {
        Self { leg, formats, half: None }
    }

    /// Whether audio can be converted from and to the format.
    pub(super) fn supports(format: AudioFormat) -> bool {
        format.rate == SAMPLE_RATE
    }

    pub(super) fn leg(&self) -> AudioCodec {
        self.leg
    }

    /// Changes the codec of the carrier leg.
    pub(super) fn set_leg(&mut self, leg: AudioCodec) {
        self.leg = leg;
    }

    /// Changes the formats of the agent.
    pub(super) fn set_formats(&mut self, formats: AgentFormats) {
        self.formats = formats;
        self.flush();
    }

    /// What follows from the agent does not continue what came before.
    pub(super) fn flush(&mut self) {
        self.half = None;
    }

    /// The samples of a payload from the caller.
    pub(super) fn decode<'a>(&self, payload: &'a [u8]) -> impl Iterator<Item = i16> + Clone + use<'a> {
        let leg = self.leg;
        payload.iter().map(move |&code| leg.decode(code))
    }

    /// A payload from the caller in the format of the agent.
    pub(super) fn convert_for_agent(&self, payload: &[u8]) -> Vec<u8> {
        let (leg, format) = (self.leg, self.formats.to_agent);
        match codec_of(format.encoding) {
            Some(codec) if codec == leg => payload.to_vec(),
            Some(codec) => payload.iter().map(|&code| codec.encode(leg.decode(code))).collect(),
            None => {
                let mut bytes = Vec::with_capacity(2 * payload.len());
                for &code in payload {
                    bytes.extend_from_slice(&leg.decode(code).to_le_bytes());
                }
                bytes
            }
        }
    }

    /// This many samples of silence, in the clock of the carrier leg, in the format of the agent.
    pub(super) fn silence_for_agent(&self, samples: usize) -> Vec<u8> {
        match codec_of(self.formats.to_agent.encoding) {
            Some(codec) => vec![codec.encode(0); samples],
            None => vec![0; 2 * samples],
        }
    }

    /// Converts bytes from the agent to octets of payloads for the caller.
    pub(super) fn convert_for_caller(&mut self, bytes: &[u8], sink: &mut dyn FnMut(PayloadOctet)) {
        let leg = self.leg;
        match codec_of(self.formats.from_agent.encoding) {
            Some(codec) if codec == leg => {
                for &code in bytes {
                    sink(PayloadOctet::new(code, leg.decode(code)));
                }
            }
            Some(codec) => {
                for &code in bytes {
                    let sample = codec.decode(code);
                    sink(PayloadOctet::new(leg.encode(sample), sample));
                }
            }
            None => self.samples_of(bytes, &mut |sample| sink(PayloadOctet::new(leg.encode(sample), sample))),
        }
    }

    /// The samples of 16-bit PCM in messages of any length; an odd byte is kept for the next message.
    fn samples_of(&mut self, bytes: &[u8], sink: &mut dyn FnMut(i16)) {
        let rest = match (self.half.take(), bytes.split_first()) {
            (Some(low), Some((&high, rest))) => {
                sink(i16::from_le_bytes([low, high]));
                rest
            }
            (half, _) => {
                self.half = half;
                bytes
            }
        };
        let pairs = rest.chunks_exact(2);
        if let [odd] = pairs.remainder() {
            self.half = Some(*odd);
        }
        pairs.for_each(|pair| sink(i16::from_le_bytes([pair[0], pair[1]])));
    }

    /// How many frames of 20 ms these bytes from the agent are.
    pub(super) fn frames_from_agent(&self, bytes: usize) -> u64 {
        self.formats.from_agent.milliseconds(bytes as u64).div_ceil(20)
    }
}

/// The codec of a G.711 encoding; `None` for PCM.
fn codec_of(encoding: AudioEncoding) -> Option<AudioCodec> {
    match encoding {
        AudioEncoding::Pcm16 => None,
        AudioEncoding::Pcmu => Some(AudioCodec::Pcmu),
        AudioEncoding::Pcma => Some(AudioCodec::Pcma),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(transcoder: &mut Transcoder, bytes: &[u8]) -> Vec<u8> {
        let mut octets = Vec::new();
        transcoder.convert_for_caller(bytes, &mut |octet| octets.push(octet.code));
        octets
    }

    #[test]
    fn the_same_g711_law_on_both_sides_passes_every_byte_through() {
        let every: Vec<u8> = (0..=255).collect();
        for codec in AudioCodec::ALL {
            let mut transcoder =
                Transcoder::new(codec, AgentFormats::both(AudioFormat::same_as(codec).unwrap()));
            // That includes the two zeros of µ-law, 0xff and 0x7f.
            assert_eq!(transcoder.convert_for_agent(&every), every, "{codec}");
            assert_eq!(converted(&mut transcoder, &every), every, "{codec}");
        }
    }

    #[test]
    fn different_g711_laws_are_transcoded() {
        let every: Vec<u8> = (0..=255).collect();
        let mut transcoder = Transcoder::new(AudioCodec::Pcma, AgentFormats::both(AudioFormat::PCMU));
        let to_mu = |&code: &u8| AudioCodec::Pcmu.encode(AudioCodec::Pcma.decode(code));
        let to_a = |&code: &u8| AudioCodec::Pcma.encode(AudioCodec::Pcmu.decode(code));
        assert_eq!(transcoder.convert_for_agent(&every), every.iter().map(to_mu).collect::<Vec<_>>());
        assert_eq!(converted(&mut transcoder, &every), every.iter().map(to_a).collect::<Vec<_>>());
    }

    #[test]
    fn pcm_split_at_any_byte_is_reassembled() {
        let samples: Vec<i16> = (0..999).map(|n| n * 31).collect();
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        let expected: Vec<u8> = samples.iter().map(|&sample| AudioCodec::Pcmu.encode(sample)).collect();
        for size in [1, 2, 3, 7, 320, 321] {
            let mut transcoder =
                Transcoder::new(AudioCodec::Pcmu, AgentFormats::both(AudioFormat::pcm16(SAMPLE_RATE)));
            let mut decoded = Vec::new();
            for chunk in bytes.chunks(size) {
                decoded.extend(converted(&mut transcoder, &[]));
                decoded.extend(converted(&mut transcoder, chunk));
            }
            assert_eq!(decoded, expected, "messages of {size}");
        }
    }

    #[test]
    fn silence_has_the_length_and_the_encoding_of_the_format() {
        for (format, expected) in [
            (AudioFormat::PCMU, vec![0xff; 3]),
            (AudioFormat::PCMA, vec![0xd5; 3]),
            (AudioFormat::pcm16(SAMPLE_RATE), vec![0; 6]),
        ] {
            let transcoder = Transcoder::new(AudioCodec::Pcmu, AgentFormats::both(format));
            assert_eq!(transcoder.silence_for_agent(3), expected, "{format}");
        }
    }
}

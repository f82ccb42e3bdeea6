//! From the payloads of a carrier leg to audio and back, with the state of the codec.
//!
//! Audio is in the format of [`AudioFormat::of_leg`]. A G.722 decoder has to see each payload that arrives, and an encoder
//! exactly the audio that is sent, once and in order. So payloads are decoded as soon as they arrive, and encoded at the
//! moment of sending.

use crate::audio_format::AudioFormat;
use crate::codec::AudioCodec;
use crate::g722;
use crate::media_clock::FRAME_SAMPLES;

/// Decodes the payloads of one stream.
#[derive(Debug)]
pub struct PayloadDecoder {
    codec: AudioCodec,
    g722: g722::Decoder,
}

impl PayloadDecoder {
    /// A decoder for the beginning of a stream.
    pub fn new(codec: AudioCodec) -> Self {
        Self { codec, g722: g722::Decoder::default() }
    }

    /// The codec of the payloads.
    pub fn codec(&self) -> AudioCodec {
        self.codec
    }

    /// What follows is the beginning of another stream.
    pub fn reset(&mut self) {
        self.g722 = g722::Decoder::default();
    }

    /// Appends the audio of the next payload.
    pub fn decode(&mut self, payload: &[u8], audio: &mut Vec<u8>) {
        match self.codec {
            AudioCodec::Pcmu | AudioCodec::Pcma => audio.extend_from_slice(payload),
            AudioCodec::G722 => {
                let encoding = AudioFormat::of_leg(self.codec).encoding;
                encoding.append(payload.iter().flat_map(|&byte| self.g722.decode(byte)), audio);
            }
        }
    }
}

/// Encodes the payloads of one stream.
#[derive(Debug)]
pub struct PayloadEncoder {
    codec: AudioCodec,
    g722: g722::Encoder,
}

impl PayloadEncoder {
    /// An encoder for the beginning of a stream.
    pub fn new(codec: AudioCodec) -> Self {
        Self { codec, g722: g722::Encoder::default() }
    }

    /// The codec of the payloads.
    pub fn codec(&self) -> AudioCodec {
        self.codec
    }

    /// The payload of the next frame of 20 ms, which is sent. Missing audio is silence.
    pub fn encode(&mut self, frame: &[u8]) -> [u8; FRAME_SAMPLES] {
        let mut payload = [0; FRAME_SAMPLES];
        match self.codec {
            AudioCodec::Pcmu | AudioCodec::Pcma => {
                let encoding = AudioFormat::of_leg(self.codec).encoding;
                let silence = encoding.silence();
                for (n, code) in payload.iter_mut().enumerate() {
                    *code = frame.get(n).copied().unwrap_or(silence);
                }
            }
            AudioCodec::G722 => {
                let mut samples = AudioFormat::of_leg(self.codec).samples(frame);
                for code in &mut payload {
                    let pair = [samples.next().unwrap_or(0), samples.next().unwrap_or(0)];
                    *code = self.g722.encode(pair);
                }
            }
        }
        payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g711_payloads_are_the_audio_itself() {
        let every: Vec<u8> = (0..=255).collect();
        for codec in [AudioCodec::Pcmu, AudioCodec::Pcma] {
            let mut audio = Vec::new();
            PayloadDecoder::new(codec).decode(&every, &mut audio);
            assert_eq!(audio, every);
            assert_eq!(PayloadEncoder::new(codec).encode(&every)[..], every[..FRAME_SAMPLES]);
        }
    }

    #[test]
    fn missing_audio_is_silence() {
        for (codec, silence) in [(AudioCodec::Pcmu, 0xff), (AudioCodec::Pcma, 0xd5)] {
            let payload = PayloadEncoder::new(codec).encode(&[1, 2, 3]);
            assert_eq!(payload[..4], [1, 2, 3, silence], "{codec}");
            assert!(payload[3..].iter().all(|&code| code == silence), "{codec}");
        }
        let mut silent = g722::Encoder::default();
        let expected: Vec<u8> = (0..FRAME_SAMPLES).map(|_| silent.encode([0; 2])).collect();
        assert_eq!(PayloadEncoder::new(AudioCodec::G722).encode(&[])[..], expected);
    }

    #[test]
    fn a_byte_of_g722_is_two_samples_at_16_khz() {
        let mut audio = Vec::new();
        PayloadDecoder::new(AudioCodec::G722).decode(&[0xfa; 160], &mut audio);
        assert_eq!(audio.len(), 640);
    }
}

//! Conversion between the codec of the carrier leg and the formats of the agent: the only place that knows both.
//!
//! If both sides use the same G.711 law, bytes pass through unchanged. Everything else is decoded to samples, brought to
//! the other sampling rate, and encoded again.

use crate::audio_converter::AudioConverter;
use crate::audio_format::{AgentFormats, AudioFormat};
use crate::codec::AudioCodec;
use crate::media_clock::FRAME_SAMPLES;
use crate::payload::PayloadDecoder;

/// The converter of one call, with the state of both directions.
#[derive(Debug)]
pub(super) struct Transcoder {
    decoder: PayloadDecoder,
    to_agent: AudioConverter,
    from_agent: AudioConverter,
    /// The latest audio from the caller, in the format of the leg.
    heard: Vec<u8>,
    /// The latest audio from the agent, in the format of the leg.
    said: Vec<u8>,
}

impl Transcoder {
    pub(super) fn new(leg: AudioCodec, formats: AgentFormats) -> Self {
        let format = AudioFormat::of_leg(leg);
        Self {
            decoder: PayloadDecoder::new(leg),
            to_agent: AudioConverter::new(format, formats.to_agent),
            from_agent: AudioConverter::new(formats.from_agent, format),
            heard: Vec::new(),
            said: Vec::new(),
        }
    }

    pub(super) fn leg(&self) -> AudioCodec {
        self.decoder.codec()
    }

    /// The format of the leg's audio.
    pub(super) fn leg_format(&self) -> AudioFormat {
        AudioFormat::of_leg(self.leg())
    }

    /// Changes the codec of the carrier leg.
    pub(super) fn set_leg(&mut self, leg: AudioCodec) {
        if leg != self.leg() {
            self.decoder = PayloadDecoder::new(leg);
            self.set_formats(AgentFormats {
                to_agent: self.to_agent.to(),
                from_agent: self.from_agent.from(),
            });
        }
    }

    /// Changes the formats of the agent.
    pub(super) fn set_formats(&mut self, formats: AgentFormats) {
        let leg = self.leg_format();
        self.to_agent = AudioConverter::new(leg, formats.to_agent);
        self.from_agent = AudioConverter::new(formats.from_agent, leg);
    }

    /// What follows from the agent does not continue what came before.
    pub(super) fn flush(&mut self) {
        self.from_agent.reset();
    }

    /// The caller's stream begins again.
    pub(super) fn restart(&mut self) {
        self.decoder.reset();
    }

    /// Decodes the next payload from the caller.
    pub(super) fn hear(&mut self, payload: &[u8]) {
        self.heard.clear();
        self.decoder.decode(payload, &mut self.heard);
    }

    /// Silence of this many ticks of the RTP clock takes the place of a payload. It also takes its place in the stream to
    /// the agent, whose sampling rate may be another, but not in the decoder, which knows only what has arrived.
    pub(super) fn hear_silence(&mut self, ticks: usize) {
        self.heard.clear();
        self.leg_format().append_silence(ticks, &mut self.heard);
    }

    /// The latest audio from the caller, in the format of the leg.
    pub(super) fn heard(&self) -> &[u8] {
        &self.heard
    }

    /// The latest audio from the caller in the format of the agent.
    pub(super) fn heard_for_agent(&mut self) -> Vec<u8> {
        convert(&mut self.to_agent, &self.heard)
    }

    /// Audio from the caller that was kept for the agent, in the format of the leg.
    pub(super) fn convert_for_agent(&mut self, audio: &[u8]) -> Vec<u8> {
        convert(&mut self.to_agent, audio)
    }

    /// Converts bytes from the agent to audio for the caller, in the format of the leg.
    pub(super) fn convert_for_caller(&mut self, bytes: &[u8]) -> &[u8] {
        self.said.clear();
        self.from_agent.convert(bytes, &mut self.said);
        &self.said
    }

    /// How many frames of 20 ms these bytes from the agent are.
    pub(super) fn frames_from_agent(&self, bytes: usize) -> u64 {
        self.from_agent.from().milliseconds(bytes as u64).div_ceil(20)
    }
}

fn convert(to_agent: &mut AudioConverter, audio: &[u8]) -> Vec<u8> {
    // The frame for the agent owns its bytes; three samples per tick is the most.
    let mut output = Vec::with_capacity(6 * FRAME_SAMPLES);
    to_agent.convert(audio, &mut output);
    output
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::PayloadEncoder;

    #[test]
    fn the_same_g711_law_on_both_sides_passes_every_byte_through() {
        let every: Vec<u8> = (0..=255).collect();
        for codec in AudioCodec::ALL {
            let Some(format) = AudioFormat::same_as(codec) else { continue };
            let mut transcoder = Transcoder::new(codec, AgentFormats::both(format));
            transcoder.hear(&every);
            assert_eq!(transcoder.heard_for_agent(), every, "{codec}");
            assert_eq!(transcoder.convert_for_caller(&every), every, "{codec}");
        }
    }

    #[test]
    fn silence_has_the_length_and_the_encoding_of_the_format() {
        for (leg, format, expected) in [
            (AudioCodec::Pcmu, AudioFormat::PCMU, vec![0xff; 3]),
            (AudioCodec::Pcmu, AudioFormat::PCMA, vec![0xd5; 3]),
            (AudioCodec::Pcma, AudioFormat::pcm16(8000), [8i16; 3].map(i16::to_le_bytes).concat()),
            (AudioCodec::G722, AudioFormat::pcm16(16_000), vec![0; 12]),
            (AudioCodec::G722, AudioFormat::pcm16(24_000), vec![0; 18]),
            (AudioCodec::G722, AudioFormat::PCMU, vec![0xff; 3]),
        ] {
            let mut transcoder = Transcoder::new(leg, AgentFormats::both(format));
            transcoder.hear_silence(3);
            assert_eq!(transcoder.heard_for_agent(), expected, "{leg} to {format}");
        }
    }

    #[test]
    fn a_restart_of_the_caller_resets_the_decoder() {
        let audio = [0x12, 0x34].repeat(320);
        let payload = PayloadEncoder::new(AudioCodec::G722).encode(&audio);
        let mut transcoder =
            Transcoder::new(AudioCodec::G722, AgentFormats::both(AudioFormat::pcm16(16_000)));
        transcoder.hear(&payload);
        let first = transcoder.heard().to_vec();
        transcoder.hear(&payload);
        assert_ne!(transcoder.heard(), first);
        transcoder.restart();
        transcoder.hear(&payload);
        assert_eq!(transcoder.heard(), first);
    }
}

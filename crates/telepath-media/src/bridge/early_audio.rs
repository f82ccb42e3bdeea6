//! What the caller says before the agent is ready: the newest part of it, within the bound of the agent's queue.
//!
//! A provider refuses audio during its handshake, and its format may not be known. So audio is kept in the format of the
//! leg and passed on when the agent is ready; the agent then hears the beginning of the first sentence.

use crate::audio_converter::AudioConverter;
use crate::audio_format::AudioFormat;
use crate::media_clock::samples_in;
use std::collections::VecDeque;
use std::time::Duration;

#[derive(Debug)]
pub(super) struct EarlyAudio {
    format: AudioFormat,
    audio: VecDeque<u8>,
    /// In ticks of the RTP clock.
    limit: usize,
}

impl EarlyAudio {
    pub(super) fn new(format: AudioFormat, limit: Duration) -> Self {
        let limit = usize::try_from(samples_in(limit)).unwrap_or(usize::MAX);
        Self { format, audio: VecDeque::new(), limit }
    }

    /// Keeps audio, and returns how many frames of 20 ms, or parts of them, were dropped for it.
    pub(super) fn push(&mut self, audio: &[u8]) -> u64 {
        let limit = self.limit.saturating_mul(self.format.bytes_per_tick());
        self.audio.extend(audio);
        let surplus = self.audio.len().saturating_sub(limit);
        self.audio.drain(..surplus);
        surplus.div_ceil(self.format.frame_bytes()) as u64
    }

    /// The codec of the carrier leg has changed.
    pub(super) fn set_format(&mut self, format: AudioFormat) {
        let mut converted = Vec::new();
        AudioConverter::new(self.format, format).convert(self.audio.make_contiguous(), &mut converted);
        self.audio = converted.into();
        self.format = format;
    }

    /// Removes everything, and gives back the memory.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.audio).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_audio_is_kept_in_any_format() {
        for format in [AudioFormat::PCMU, AudioFormat::pcm16(16_000)] {
            let mut early = EarlyAudio::new(format, Duration::from_millis(100));
            for n in 0..7 {
                assert_eq!(early.push(&vec![n; format.frame_bytes()]), u64::from(n >= 5), "{format}");
            }
            let expected: Vec<u8> = (2..7).flat_map(|n| vec![n; format.frame_bytes()]).collect();
            assert_eq!(early.take(), expected);
        }
    }

    #[test]
    fn a_change_of_the_codec_keeps_the_duration() {
        let mut early = EarlyAudio::new(AudioFormat::PCMU, Duration::from_secs(1));
        early.push(&[0x80; 1600]);
        early.set_format(AudioFormat::pcm16(16_000));
        early.set_format(AudioFormat::PCMA);
        assert_eq!(early.take().len(), 1600);
    }
}

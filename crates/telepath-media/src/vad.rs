//! A voice activity detector based on frame energy.
//!
//! Speech starts with three consecutive frames that are at least 9 dB above the noise floor and above -45 dBFS. It ends
//! after 500 ms below 6 dB above the floor or below -50 dBFS. The floor follows the signal down at once and up by about
//! 3 dB per second, during speech too: pauses in speech pull it down again, while steady noise raises it and so stops
//! counting as speech after a few seconds.

use crate::media_clock::SAMPLE_RATE;
use std::time::{Duration, Instant};

/// Consecutive loud frames that start speech.
pub const START_FRAMES: u8 = 3;
/// Silence that ends speech.
pub const HANGOVER: Duration = Duration::from_millis(500);
/// Mean square of -45 dBFS.
const START_LEVEL: f32 = 33_954.0;
/// Mean square of -50 dBFS.
const STOP_LEVEL: f32 = 10_737.0;
/// 9 dB and 6 dB as power ratios.
const START_RATIO: f32 = 8.0;
const STOP_RATIO: f32 = 4.0;
/// Growth of the noise floor per frame: about 3 dB in 50 frames.
const FLOOR_RISE: f32 = 1.014;
/// The noise floor stays between -70 dBFS and -30 dBFS.
const FLOOR_LOW: f32 = 107.0;
const FLOOR_HIGH: f32 = 1_073_742.0;

/// Start or end of speech.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpeechEvent {
    /// Speech started.
    Started {
        /// When the first loud frame was read.
        at: Instant,
    },
    /// Speech ended; this is reported [`HANGOVER`] later.
    Stopped {
        /// When the last loud frame was read.
        at: Instant,
    },
}

#[derive(Debug, Clone, Copy)]
enum SpeechState {
    Quiet { loud: u8, since: Option<Instant> },
    Speaking { last_loud: Instant },
}

/// Frames that are analysed per second.
const FRAMES_PER_SECOND: u32 = 50;

/// The detector. It accepts chunks of any length and analyses frames of 20 ms.
#[derive(Debug)]
pub struct VoiceDetector {
    /// Samples of a frame.
    frame: u64,
    state: SpeechState,
    floor: f32,
    energy: u64,
    count: u64,
}

impl Default for VoiceDetector {
    fn default() -> Self {
        let frame = u64::from(SAMPLE_RATE / FRAMES_PER_SECOND);
        Self {
            frame,
            state: SpeechState::Quiet { loud: 0, since: None },
            floor: FLOOR_LOW,
            energy: 0,
            count: 0,
        }
    }
}

impl VoiceDetector {
    /// Changes the sampling rate, in hertz; at first it is 8000. A frame that is incomplete begins again.
    pub fn set_rate(&mut self, rate: u32) {
        let frame = u64::from((rate / FRAMES_PER_SECOND).max(1));
        if frame != self.frame {
            *self = Self { frame, energy: 0, count: 0, state: self.state, floor: self.floor };
        }
    }

    /// Analyses samples read at `now` and returns the last event they caused.
    pub fn handle(&mut self, samples: impl IntoIterator<Item = i16>, now: Instant) -> Option<SpeechEvent> {
        let mut event = None;
        for sample in samples {
            let level = u64::from(sample.unsigned_abs());
            self.energy += level * level;
            self.count += 1;
            if self.count == self.frame {
                let mean = self.energy / self.frame;
                self.energy = 0;
                self.count = 0;
                event = self.classify_frame(mean, now).or(event);
            }
        }
        event
    }

    /// When the last loud frame was read; `None` outside speech.
    pub fn last_loud(&self) -> Option<Instant> {
        match self.state {
            SpeechState::Quiet { .. } => None,
            SpeechState::Speaking { last_loud } => Some(last_loud),
        }
    }

    /// Ends speech because the call was put on hold or ended.
    pub fn stop(&mut self) -> Option<SpeechEvent> {
        let last = self.last_loud();
        *self = Self { frame: self.frame, floor: self.floor, ..Self::default() };
        last.map(|at| SpeechEvent::Stopped { at })
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a mean square is below 2^30, and the thresholds need no more precision"
    )]
    fn classify_frame(&mut self, mean: u64, now: Instant) -> Option<SpeechEvent> {
        let power = mean as f32;
        let floor = self.floor;
        self.floor = (floor * FLOOR_RISE).min(power).clamp(FLOOR_LOW, FLOOR_HIGH);
        match self.state {
            SpeechState::Quiet { loud, since } => {
                if power >= START_LEVEL && power >= floor * START_RATIO {
                    let since = since.unwrap_or(now);
                    if loud + 1 >= START_FRAMES {
                        self.state = SpeechState::Speaking { last_loud: now };
                        return Some(SpeechEvent::Started { at: since });
                    }
                    self.state = SpeechState::Quiet { loud: loud + 1, since: Some(since) };
                } else {
                    self.state = SpeechState::Quiet { loud: 0, since: None };
                }
                None
            }
            SpeechState::Speaking { last_loud } => {
                if power >= STOP_LEVEL && power >= floor * STOP_RATIO {
                    self.state = SpeechState::Speaking { last_loud: now };
                    return None;
                }
                if now.saturating_duration_since(last_loud) < HANGOVER {
                    return None;
                }
                self.state = SpeechState::Quiet { loud: 0, since: None };
                Some(SpeechEvent::Stopped { at: last_loud })
            }
        }
    }
}

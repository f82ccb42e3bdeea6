//! The position of the delivered audio, in the sender's time and in local time, and the silence missing before the next
//! packet.

use super::RtpTimestamp;
use crate::media_clock::{FRAME_SAMPLES, SAMPLE_RATE, duration_of, samples_in};
use std::time::{Duration, Instant};

/// Silence is filled in after this long without audio.
const SILENCE_FILL_AFTER: Duration = Duration::from_millis(200);
const FRAME_LENGTH: u64 = FRAME_SAMPLES as u64;
/// How much longer than the wall clock the delivered audio may become through silence, in samples. Without a bound, a
/// sender whose timestamps run too fast would be stretched without end.
const MAX_LEAD: u64 = SAMPLE_RATE as u64;

/// What silence replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GapCause {
    /// Lost packets.
    Loss,
    /// A pause of the sender.
    Pause,
}

/// The silence missing before a packet.
#[derive(Debug)]
pub(super) struct Gap {
    pub(super) samples: u64,
    pub(super) cause: GapCause,
    /// Whether the packet's timestamp jumped and was not used.
    pub(super) jumped: bool,
}

#[derive(Debug, Default)]
pub(super) struct Timeline {
    next: Option<RtpTimestamp>,
    /// When the first audio arrived.
    first_audio: Option<Instant>,
    /// Samples of audio and silence since then.
    delivered: u64,
    last_audio: Option<Instant>,
    last_samples: u64,
    /// Samples of silence since the last audio.
    filled: u64,
    /// Samples of silence that the sender's timestamps have not accounted for yet.
    ahead: u64,
    lossy: bool,
}

impl Timeline {
    /// Audio was delivered.
    pub(super) fn advance(&mut self, timestamp: RtpTimestamp, samples: u64, arrival: Instant) {
        self.next = Some(timestamp.after(samples));
        self.first_audio.get_or_insert(arrival);
        self.delivered += samples;
        self.last_audio = Some(arrival);
        self.last_samples = samples;
        self.filled = 0;
        self.lossy = false;
    }

    /// Packets before the next one were lost.
    pub(super) fn mark_loss(&mut self) {
        self.lossy = true;
    }

    /// The next packet has an unrelated timestamp, because the SSRC changed.
    pub(super) fn forget_timestamp(&mut self) {
        self.next = None;
    }

    /// The silence between the last audio and the packet at `timestamp`, without what was filled in already.
    pub(super) fn gap_before(&mut self, timestamp: RtpTimestamp, arrival: Instant) -> Gap {
        let cause = if self.lossy { GapCause::Loss } else { GapCause::Pause };
        let Some(last_audio) = self.last_audio else { return Gap { samples: 0, cause, jumped: false } };
        let elapsed = samples_in(arrival.saturating_duration_since(last_audio));
        // If the timestamp is not usable, the arrival time determines the length of the gap.
        let by_clock = elapsed.saturating_sub(self.last_samples) / FRAME_LENGTH * FRAME_LENGTH;
        let (gap, jumped) = match self.next {
            None => (by_clock, false),
            Some(next) => match u64::try_from(timestamp.distance_from(next)) {
                Ok(gap) if gap <= elapsed + u64::from(SAMPLE_RATE) => (gap, false),
                Ok(_) | Err(_) => (by_clock, true),
            },
        };
        let already_filled = gap.min(self.ahead);
        self.ahead -= already_filled;
        let samples = self.bound(gap - already_filled, arrival);
        Gap { samples, cause, jumped }
    }

    /// The part of this silence that keeps the delivered audio within [`MAX_LEAD`] of the wall clock.
    fn bound(&mut self, silence: u64, now: Instant) -> u64 {
        let elapsed = self.first_audio.map_or(0, |first| samples_in(now.saturating_duration_since(first)));
        let bounded = silence.min((elapsed + MAX_LEAD).saturating_sub(self.delivered));
        self.delivered += bounded;
        bounded
    }

    /// When [`Self::fill_until`] is due.
    pub(super) fn fill_deadline(&self) -> Option<Instant> {
        let wait = SILENCE_FILL_AFTER.max(duration_of(self.filled + 2 * FRAME_LENGTH));
        self.last_audio.map(|last| last + wait)
    }

    /// The samples of silence to fill in during a pause: whole frames until one frame before `now`.
    pub(super) fn fill_until(&mut self, now: Instant) -> u64 {
        let Some(last_audio) = self.last_audio else { return 0 };
        let frames = samples_in(now.saturating_duration_since(last_audio)) / FRAME_LENGTH;
        let missing = (frames.saturating_sub(1) * FRAME_LENGTH).saturating_sub(self.filled);
        self.filled += missing;
        self.ahead += missing;
        self.bound(missing, now)
    }
}

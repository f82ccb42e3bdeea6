//! The agent's pace: follows the clock of an agent that sends in real time, whatever the length of its messages.
//!
//! An agent's clock differs from ours by up to some hundred parts per million. Over an hour that is most of a second,
//! which would become delay. For an agent that sends one frame per message, each slot moves slightly toward the arrival
//! of its frame. For longer messages, the lowest level of the queue within [`DRIFT_WINDOW`] shows what is never needed;
//! slightly shorter slots work it off. If the queue runs empty, the slots continue from the arrival of the next frame.

use super::queue::Frame;
use crate::media_clock::FRAME_DURATION;
use std::time::{Duration, Instant};

/// After this many consecutive messages of one frame each, the agent is assumed to send in real time.
const PACED_PUSHES: u8 = 10;
/// A backlog of a real-time stream is worked off up to this many frames; a longer one is taken as intended.
const BACKLOG_FRAMES: usize = 5;
/// How long the level of the queue is observed.
const DRIFT_WINDOW: Duration = Duration::from_secs(10);
/// A stream is in real time if the frames pushed and sent in a window differ by at most this many, and by one message
/// of at most [`LONGEST_MESSAGE`].
const REAL_TIME_TOLERANCE: u64 = 10;
const LONGEST_MESSAGE: u64 = 50;
/// How much one slot of 20 ms is shortened: 0.5 %.
const SHORTENING: Duration = Duration::from_micros(100);

/// What happened since the start of the window, in frames.
#[derive(Debug, Clone, Copy)]
struct Window {
    since: Instant,
    pushed: u64,
    sent: u64,
    longest_message: u64,
    lowest_level: usize,
}

#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Consecutive messages of one frame.
    single: u8,
    window: Option<Window>,
    /// The level that the agent intends, in frames.
    intended: Option<usize>,
    /// The time by which the following slots are to be shortened.
    surplus: Duration,
}

impl Pace {
    /// The agent sent a message of this many frames when `level` frames were queued.
    pub(super) fn note_pushed(&mut self, frames: u64, level: usize, now: Instant) {
        match frames {
            0 => return,
            1 => self.single = self.single.saturating_add(1),
            _ => self.single = 0,
        }
        let fresh = Window { since: now, pushed: 0, sent: 0, longest_message: 0, lowest_level: usize::MAX };
        let mut window = self.window.unwrap_or(fresh);
        if now.saturating_duration_since(window.since) >= DRIFT_WINDOW {
            self.evaluate(window);
            window = fresh;
        }
        window.pushed += frames;
        window.longest_message = window.longest_message.max(frames);
        window.lowest_level = window.lowest_level.min(level);
        self.window = Some(window);
    }

    /// A frame was sent.
    pub(super) fn note_sent(&mut self) {
        if let Some(window) = &mut self.window {
            window.sent += 1;
        }
    }

    /// The utterance has ended.
    pub(super) fn reset(&mut self) {
        *self = Self { single: self.single, ..Self::default() };
    }

    /// The slot that counts for a frame which is sent now, although it was due at `due`. `direct` means that the frame
    /// has just arrived and is the only one.
    pub(super) fn slot(
        &mut self,
        due: Instant,
        now: Instant,
        frame: &Frame,
        level: usize,
        direct: bool,
    ) -> Instant {
        if direct {
            return follow(due, now);
        }
        if self.single >= PACED_PUSHES {
            if level > BACKLOG_FRAMES {
                return due;
            }
            // Follow the time at which the frame was queued, but move the slot forward by at most one frame.
            let earliest = due.checked_sub(FRAME_DURATION).unwrap_or(due);
            return follow(due, frame.pushed_at.max(earliest).min(due));
        }
        if frame.pushed_at > due {
            return frame.pushed_at;
        }
        let shortening = self.surplus.min(SHORTENING);
        self.surplus = self.surplus.saturating_sub(shortening);
        due.checked_sub(shortening).unwrap_or(due)
    }

    /// Decides at the end of a window how much of the queue is surplus.
    fn evaluate(&mut self, window: Window) {
        let tolerance = REAL_TIME_TOLERANCE + window.longest_message.min(LONGEST_MESSAGE);
        self.surplus = Duration::ZERO;
        if window.pushed.abs_diff(window.sent) > tolerance {
            return;
        }
        let level = window.lowest_level;
        let intended = *self.intended.get_or_insert(if level <= BACKLOG_FRAMES { 1 } else { level });
        let surplus = u32::try_from(level.saturating_sub(intended)).unwrap_or(u32::MAX);
        self.surplus = FRAME_DURATION.saturating_mul(surplus);
    }
}

/// Moves a slot by 1/32 of the way toward the arrival of its frame, so that the clock follows the agent's pace.
fn follow(due: Instant, arrival: Instant) -> Instant {
    let behind = arrival.saturating_duration_since(due) / 32;
    let ahead = due.saturating_duration_since(arrival) / 32;
    (due + behind).checked_sub(ahead).unwrap_or(due)
}

//! Agent audio that waits for play-out: whole frames, an incomplete one, and the marks between them. It is kept in the
//! format of the leg and encoded when it is sent.
//!
//! When the queue is full, the newest audio is refused. The beginning of what the agent says is never dropped.

use super::event::{ItemNumber, ItemPlayback, MarkName};
use super::items::ItemTracker;
use super::{MARK_LIMIT, TAIL_WAIT};
use crate::audio_converter::AudioConverter;
use crate::audio_format::AudioFormat;
use crate::media_clock::{FRAME_DURATION, FRAME_SAMPLES};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Mean square of -50 dBFS. A frame at or above this level is audible.
const AUDIBLE: u64 = 10_737;
/// The next refusal is a new one after this many frames have found room.
const REFUSAL_ENDS: usize = 50;

/// A frame of the queue, without its audio.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub(super) read_at: Instant,
    pub(super) pushed_at: Instant,
    pub(super) audible: bool,
}

#[derive(Debug)]
struct Mark {
    /// The number of frames that must have left the queue before the mark is reported.
    position: u64,
    name: MarkName,
}

#[derive(Debug)]
struct Tail {
    /// Less than a frame.
    audio: Vec<u8>,
    read_at: Instant,
    /// A mark follows, so the utterance ends here and the tail is padded without waiting.
    marked: bool,
}

/// What became of pushed audio, in frames.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Pushed {
    pub(super) accepted: u64,
    pub(super) refused: u64,
    /// Whether this is the first refusal since the queue had room.
    pub(super) first_refusal: bool,
}

#[derive(Debug)]
pub(super) struct FrameQueue {
    format: AudioFormat,
    frames: VecDeque<Frame>,
    /// The audio of all frames.
    audio: VecDeque<u8>,
    limit: usize,
    tail: Tail,
    marks: VecDeque<Mark>,
    /// Frames that have entered the queue.
    pushed: u64,
    /// Frames that have left the queue: sent or cleared.
    left: u64,
    items: ItemTracker,
    refusing: bool,
}

impl FrameQueue {
    pub(super) fn new(format: AudioFormat, limit: Duration, origin: Instant) -> Self {
        let limit = limit.as_millis() / FRAME_DURATION.as_millis();
        Self {
            format,
            frames: VecDeque::new(),
            audio: VecDeque::new(),
            limit: usize::try_from(limit).unwrap_or(usize::MAX).max(1),
            tail: Tail { audio: Vec::new(), read_at: origin, marked: false },
            marks: VecDeque::new(),
            pushed: 0,
            left: 0,
            items: ItemTracker::default(),
            refusing: false,
        }
    }

    /// Changes the format; queued audio is converted. Another sampling rate delays it by the time that the conversion needs,
    /// and its last 3 ms are lost.
    pub(super) fn set_format(&mut self, format: AudioFormat) {
        if format == self.format {
            return;
        }
        let mut converter = AudioConverter::new(self.format, format);
        let (mut audio, mut tail) = (Vec::new(), Vec::new());
        converter.convert(self.audio.make_contiguous(), &mut audio);
        converter.convert(&self.tail.audio, &mut tail);
        // Rounding up must not complete the incomplete frame.
        tail.truncate(format.frame_bytes() - format.encoding.bytes_per_sample());
        self.audio = audio.into();
        self.tail.audio = tail;
        self.format = format;
    }

    /// Queues audio in the format of the queue. It belongs to `item`.
    pub(super) fn push(&mut self, item: Option<ItemNumber>, now: Instant, audio: &[u8]) -> Pushed {
        let start = self.end_position();
        let mut result = Pushed::default();
        let mut rest = audio;
        while !rest.is_empty() {
            if self.tail.audio.is_empty() {
                self.tail.read_at = now;
            }
            let missing = self.format.frame_bytes() - self.tail.audio.len();
            let (part, after) = rest.split_at(missing.min(rest.len()));
            self.tail.audio.extend_from_slice(part);
            self.tail.marked = false;
            rest = after;
            if self.tail.audio.len() == self.format.frame_bytes() {
                let accepted = self.complete_frame(now);
                result.accepted += u64::from(accepted);
                result.refused += u64::from(!accepted);
            }
        }
        self.items.note_pushed(item, start, self.end_position(), self.position());
        result.first_refusal = result.refused > 0 && !self.refusing;
        self.refusing |= result.refused > 0;
        result
    }

    /// The end of the queue, in ticks of the RTP clock since the first audio.
    fn end_position(&self) -> u64 {
        self.pushed * FRAME_SAMPLES as u64 + (self.tail.audio.len() / self.format.bytes_per_tick()) as u64
    }

    /// The beginning of the queue.
    fn position(&self) -> u64 {
        self.left * FRAME_SAMPLES as u64
    }

    /// What was played of the items in the queue, in order, and of the latest one. The last `pending` ticks that left
    /// the queue have not been played.
    pub(super) fn playback(&self, pending: u64) -> Vec<ItemPlayback> {
        self.items.playback(self.position().saturating_sub(pending))
    }

    /// Sets a mark after everything queued.
    ///
    /// # Errors
    /// Returns the name if [`MARK_LIMIT`] marks are already pending.
    pub(super) fn mark(&mut self, name: MarkName) -> Result<(), MarkName> {
        if self.marks.len() >= MARK_LIMIT {
            return Err(name);
        }
        self.tail.marked = !self.tail.audio.is_empty();
        let position = self.pushed + u64::from(!self.tail.audio.is_empty());
        self.marks.push_back(Mark { position, name });
        Ok(())
    }

    /// Flushes all audio and returns the number of frames.
    pub(super) fn clear(&mut self) -> u64 {
        let flushed = self.frames.len() as u64;
        self.left += flushed;
        self.frames.clear();
        self.audio.clear();
        self.items.clear();
        let tail = u64::from(!self.tail.audio.is_empty());
        self.tail.audio.clear();
        self.tail.marked = false;
        self.refusing = false;
        flushed + tail
    }

    /// Removes the first frame, whose audio is appended to `audio`.
    pub(super) fn pop(&mut self, audio: &mut Vec<u8>) -> Option<Frame> {
        let frame = self.frames.pop_front()?;
        audio.extend(self.audio.drain(..self.format.frame_bytes()));
        self.left += 1;
        self.refusing &= self.frames.len() + REFUSAL_ENDS.min(self.limit.div_ceil(4)) > self.limit;
        Some(frame)
    }

    /// Removes the next mark whose audio has left the queue.
    pub(super) fn pop_played_mark(&mut self) -> Option<MarkName> {
        self.marks.pop_front_if(|mark| mark.position <= self.left).map(|mark| mark.name)
    }

    /// Removes the next mark.
    pub(super) fn pop_mark(&mut self) -> Option<MarkName> {
        self.marks.pop_front().map(|mark| mark.name)
    }

    pub(super) fn has_played_mark(&self) -> bool {
        self.marks.front().is_some_and(|mark| mark.position <= self.left)
    }

    pub(super) fn front(&self) -> Option<&Frame> {
        self.frames.front()
    }

    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    /// When the incomplete frame was read, if there is one.
    pub(super) fn tail_read_at(&self) -> Option<Instant> {
        (!self.tail.audio.is_empty()).then_some(self.tail.read_at)
    }

    /// How long the incomplete frame waits for the rest.
    pub(super) fn tail_wait(&self) -> Duration {
        if self.tail.marked { Duration::ZERO } else { TAIL_WAIT }
    }

    /// Completes the incomplete frame with silence.
    pub(super) fn pad_tail(&mut self, now: Instant) {
        self.tail.audio.resize(self.format.frame_bytes(), self.format.encoding.silence());
        self.complete_frame(now);
    }

    /// Moves the completed frame into the queue; `false` if the queue is full.
    fn complete_frame(&mut self, now: Instant) -> bool {
        if self.frames.len() >= self.limit {
            self.tail.audio.clear();
            // A mark after refused audio is due after the last audio that was accepted.
            let waiting = self.marks.iter_mut().rev().take_while(|mark| mark.position > self.pushed);
            waiting.for_each(|mark| mark.position = self.pushed);
            return false;
        }
        let audible = mean_square(self.format.samples(&self.tail.audio)) >= AUDIBLE;
        self.frames.push_back(Frame { read_at: self.tail.read_at, pushed_at: now, audible });
        self.audio.extend(self.tail.audio.drain(..));
        self.pushed += 1;
        true
    }
}

fn mean_square(samples: impl Iterator<Item = i16>) -> u64 {
    let (mut sum, mut count) = (0, 0);
    for sample in samples {
        let level = u64::from(sample.unsigned_abs());
        sum += level * level;
        count += 1;
    }
    sum / count.max(1)
}

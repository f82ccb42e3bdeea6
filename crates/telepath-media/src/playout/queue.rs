//! Agent audio that waits for play-out: whole frames, an incomplete one, and the marks between them.
//!
//! When the queue is full, the newest audio is refused. The beginning of what the agent says is never dropped.

use super::event::{ItemNumber, ItemPlayback, MarkName, PayloadOctet};
use super::items::ItemTracker;
use super::{MARK_LIMIT, TAIL_WAIT};
use crate::codec::AudioCodec;
use crate::media_clock::{FRAME_DURATION, FRAME_SAMPLES};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Mean square of -50 dBFS. A frame at or above this level is audible.
const AUDIBLE: u64 = 10_737;
/// The next refusal is a new one after this many frames have found room.
const REFUSAL_ENDS: usize = 50;

#[derive(Debug)]
pub(super) struct Frame {
    pub(super) payload: [u8; FRAME_SAMPLES],
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
    payload: [u8; FRAME_SAMPLES],
    length: usize,
    /// Sum of the powers of its octets.
    energy: u64,
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
    codec: AudioCodec,
    frames: VecDeque<Frame>,
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
    pub(super) fn new(codec: AudioCodec, limit: Duration, origin: Instant) -> Self {
        let limit = limit.as_millis() / FRAME_DURATION.as_millis();
        Self {
            codec,
            frames: VecDeque::new(),
            limit: usize::try_from(limit).unwrap_or(usize::MAX).max(1),
            tail: Tail { payload: [0; FRAME_SAMPLES], length: 0, energy: 0, read_at: origin, marked: false },
            marks: VecDeque::new(),
            pushed: 0,
            left: 0,
            items: ItemTracker::default(),
            refusing: false,
        }
    }

    /// Changes the codec; queued audio is transcoded.
    pub(super) fn set_codec(&mut self, codec: AudioCodec) {
        if codec != self.codec {
            let tail = &mut self.tail.payload[..self.tail.length];
            let frames = self.frames.iter_mut().flat_map(|frame| &mut frame.payload);
            for code in frames.chain(tail) {
                *code = codec.encode(self.codec.decode(*code));
            }
        }
        self.codec = codec;
    }

    /// Queues the octets that `feed` passes to its argument. They belong to `item`.
    pub(super) fn push(
        &mut self,
        item: Option<ItemNumber>,
        now: Instant,
        feed: impl FnOnce(&mut dyn FnMut(PayloadOctet)),
    ) -> Pushed {
        let start = self.end_position();
        let mut result = Pushed::default();
        feed(&mut |octet| {
            if self.tail.length == 0 {
                self.tail.read_at = now;
                self.tail.energy = 0;
            }
            self.tail.payload[self.tail.length] = octet.code;
            self.tail.energy += u64::from(octet.power);
            self.tail.length += 1;
            self.tail.marked = false;
            if self.tail.length == FRAME_SAMPLES {
                let accepted = self.complete_frame(now);
                result.accepted += u64::from(accepted);
                result.refused += u64::from(!accepted);
            }
        });
        self.items.note_pushed(item, start, self.end_position(), self.position());
        result.first_refusal = result.refused > 0 && !self.refusing;
        self.refusing |= result.refused > 0;
        result
    }

    /// The number of octets that have entered the queue.
    fn end_position(&self) -> u64 {
        self.pushed * FRAME_SAMPLES as u64 + self.tail.length as u64
    }

    /// The number of octets that have left the queue.
    fn position(&self) -> u64 {
        self.left * FRAME_SAMPLES as u64
    }

    /// What was played of the items in the queue, in order, and of the latest one. The last `pending` octets that left
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
        self.tail.marked = self.tail.length > 0;
        let position = self.pushed + u64::from(self.tail.length > 0);
        self.marks.push_back(Mark { position, name });
        Ok(())
    }

    /// Flushes all audio and returns the number of frames.
    pub(super) fn clear(&mut self) -> u64 {
        let flushed = self.frames.len() as u64;
        self.left += flushed;
        self.frames.clear();
        self.items.clear();
        let tail = u64::from(self.tail.length > 0);
        self.tail.length = 0;
        self.tail.marked = false;
        self.refusing = false;
        flushed + tail
    }

    pub(super) fn pop(&mut self) -> Option<Frame> {
        let frame = self.frames.pop_front()?;
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
        (self.tail.length > 0).then_some(self.tail.read_at)
    }

    /// How long the incomplete frame waits for the rest.
    pub(super) fn tail_wait(&self) -> Duration {
        if self.tail.marked { Duration::ZERO } else { TAIL_WAIT }
    }

    /// Completes the incomplete frame with silence.
    pub(super) fn pad_tail(&mut self, now: Instant) {
        self.tail.payload[self.tail.length..].fill(self.codec.encode(0));
        self.complete_frame(now);
    }

    /// Moves the completed frame into the queue; `false` if the queue is full.
    fn complete_frame(&mut self, now: Instant) -> bool {
        self.tail.length = 0;
        if self.frames.len() >= self.limit {
            // A mark after refused audio is due after the last audio that was accepted.
            let waiting = self.marks.iter_mut().rev().take_while(|mark| mark.position > self.pushed);
            waiting.for_each(|mark| mark.position = self.pushed);
            return false;
        }
        let audible = self.tail.energy / FRAME_SAMPLES as u64 >= AUDIBLE;
        let (payload, read_at) = (self.tail.payload, self.tail.read_at);
        self.frames.push_back(Frame { payload, read_at, pushed_at: now, audible });
        self.pushed += 1;
        true
    }
}

//! Play-out toward the caller: agent audio of any chunking in, one RTP packet per 20 ms out.
//!
//! The clock starts with the first frame of an utterance, which is sent at once. A stream that the agent paces
//! itself flows through without waiting: a frame that finds the queue empty may go up to [`EARLY`] before its
//! slot or late after it, and the slot follows the agent's pace slowly. A short backlog of such a stream, left by
//! a hiccup, is worked off by slightly shorter slots. A burst waits its turn, 20 ms each.
//! Timestamps count audio inside an utterance and real time between utterances, so they never drift.

mod event;

pub use event::{MarkName, PlayOutCounters, PlayOutEvent, SentAudio, StreamStart};

use crate::codec::Codec;
use crate::dtmf::{Digit, DtmfSender, DtmfTick};
use crate::rtp::{Datagram, PayloadType, RtpHeader, RtpTimestamp, SequenceNumber, Ssrc};
use crate::{FRAME, FRAME_SAMPLES, samples_in};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How far before its slot a frame may be sent when nothing waits before it.
pub const EARLY: Duration = Duration::from_millis(10);
/// A slot that stays empty this long ends the utterance.
pub const UTTERANCE_GAP: Duration = Duration::from_millis(60);
/// An incomplete frame waits this long for the rest before it is padded with silence.
pub const TAIL_WAIT: Duration = Duration::from_millis(40);
/// Marks that may wait for their audio to be played.
pub const MARK_LIMIT: usize = 256;
/// Messages of one frame each, in a row, that tell a stream paced by the agent from chunks and bursts.
const PACED_PUSHES: u8 = 10;
/// A backlog of a paced stream up to this many frames is worked off; a longer one is the agent's wish.
const HICCUP_FRAMES: usize = 5;
/// Mean square of a frame that counts as sound: -50 dBFS.
const SOUND: u64 = 10_737;

#[derive(Debug)]
struct Frame {
    payload: [u8; FRAME_SAMPLES],
    read_at: Instant,
    pushed_at: Instant,
    sound: bool,
}

#[derive(Debug)]
struct Mark {
    position: u64,
    name: MarkName,
}

#[derive(Debug, Clone, Copy)]
enum Clock {
    Idle,
    Running { due: Instant },
}

#[derive(Debug)]
struct Tail {
    samples: [i16; FRAME_SAMPLES],
    length: usize,
    read_at: Instant,
    /// A mark stands behind it: the utterance is known to end here, so nothing more is waited for.
    marked: bool,
}

/// The play-out of one call.
#[derive(Debug)]
pub struct PlayOut {
    codec: Codec,
    audio: PayloadType,
    event: Option<PayloadType>,
    ssrc: Ssrc,
    sequence: SequenceNumber,
    base: RtpTimestamp,
    origin: Instant,
    /// Samples after the origin where the next frame may begin at the earliest.
    position: u64,
    queue: VecDeque<Frame>,
    limit: usize,
    tail: Tail,
    marks: VecDeque<Mark>,
    /// Frames ever completed, and frames that left the queue by any way.
    pushed: u64,
    left: u64,
    last_end: Option<Instant>,
    clock: Clock,
    paced: u8,
    open: bool,
    dtmf: DtmfSender,
    counters: PlayOutCounters,
}

impl PlayOut {
    /// A closed play-out (see [`Self::set_open`]) that holds at most `limit` of audio.
    pub fn new(
        codec: Codec,
        audio: PayloadType,
        event: Option<PayloadType>,
        start: StreamStart,
        limit: Duration,
        origin: Instant,
    ) -> Self {
        Self {
            codec,
            audio,
            event,
            ssrc: start.ssrc,
            sequence: start.sequence,
            base: start.timestamp,
            origin,
            position: 0,
            queue: VecDeque::new(),
            limit: usize::try_from(limit.as_millis() / FRAME.as_millis()).unwrap_or(usize::MAX).max(1),
            tail: Tail { samples: [0; FRAME_SAMPLES], length: 0, read_at: origin, marked: false },
            marks: VecDeque::new(),
            pushed: 0,
            left: 0,
            last_end: None,
            clock: Clock::Idle,
            paced: 0,
            open: false,
            dtmf: DtmfSender::default(),
            counters: PlayOutCounters::default(),
        }
    }

    /// Opens the way to the caller, or closes it (before the answer, and while the peer holds). What is queued
    /// stays queued.
    pub fn set_open(&mut self, open: bool, sink: &mut dyn FnMut(PlayOutEvent)) {
        if !open && self.open {
            self.go_idle(sink);
        }
        self.open = open;
    }

    /// Changes codec and payload types; queued audio is converted.
    pub fn set_formats(&mut self, codec: Codec, audio: PayloadType, event: Option<PayloadType>) {
        if codec != self.codec {
            for code in self.queue.iter_mut().flat_map(|frame| &mut frame.payload) {
                *code = codec.encode(self.codec.decode(*code));
            }
        }
        self.codec = codec;
        self.audio = audio;
        self.event = event;
    }

    /// Queues samples read from the agent at `now`.
    pub fn push(&mut self, samples: impl IntoIterator<Item = i16>, now: Instant) {
        let before = self.pushed;
        for sample in samples {
            if self.tail.length == 0 {
                self.tail.read_at = now;
            }
            self.tail.samples[self.tail.length] = sample;
            self.tail.length += 1;
            self.tail.marked = false;
            if self.tail.length == FRAME_SAMPLES {
                self.complete_frame(now);
            }
        }
        match self.pushed - before {
            0 => {}
            1 => self.paced = self.paced.saturating_add(1),
            _ => self.paced = 0,
        }
    }

    /// Sets a mark behind everything queued. Gives the name back when [`MARK_LIMIT`] marks wait already.
    pub fn mark(&mut self, name: MarkName) -> Result<(), MarkName> {
        if self.marks.len() >= MARK_LIMIT {
            return Err(name);
        }
        self.tail.marked = self.tail.length > 0;
        let position = self.pushed + u64::from(self.tail.length > 0);
        self.marks.push_back(Mark { position, name });
        Ok(())
    }

    /// Flushes everything queued; every waiting mark is reported. The frame under way ends within 20 ms.
    pub fn clear(&mut self, sink: &mut dyn FnMut(PlayOutEvent)) {
        let flushed = self.queue.len() as u64;
        self.counters.cleared += flushed + u64::from(self.tail.length > 0);
        self.left += flushed;
        self.queue.clear();
        self.tail.length = 0;
        self.tail.marked = false;
        for mark in self.marks.drain(..) {
            sink(PlayOutEvent::Played(mark.name));
        }
        if !self.dtmf.is_busy() {
            self.go_idle(sink);
        }
    }

    /// Queues a digit. `false` when telephone-event was not negotiated or too many wait.
    pub fn send_digit(&mut self, digit: Digit) -> bool {
        self.event.is_some() && self.dtmf.push(digit)
    }

    /// Sends what is due at `now`.
    pub fn run(&mut self, now: Instant, sink: &mut dyn FnMut(PlayOutEvent)) {
        if !self.open {
            return;
        }
        if self.last_end.is_none_or(|end| now >= end) {
            self.report_marks(sink);
        }
        while self.step(now, sink) {}
        if matches!(self.clock, Clock::Idle) && self.last_end.is_none_or(|end| now >= end) {
            self.report_marks(sink);
        }
    }

    /// When [`Self::run`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if !self.open {
            return None;
        }
        let mark = self.marks.front().filter(|mark| mark.position <= self.left).and(self.last_end);
        let ready = self.is_ready();
        let clock = match self.clock {
            Clock::Running { due } if ready => Some(due),
            Clock::Running { due } if self.tail.length > 0 => Some(due + self.tail_wait()),
            Clock::Running { due } => Some(due + UTTERANCE_GAP),
            Clock::Idle if ready => self.queue.front().map(|frame| frame.pushed_at).or(Some(self.origin)),
            Clock::Idle if self.tail.length > 0 => Some(self.tail.read_at + self.tail_wait()),
            Clock::Idle => None,
        };
        [mark, clock].into_iter().flatten().min()
    }

    /// Audio that waits to be played.
    pub fn queued(&self) -> Duration {
        FRAME * u32::try_from(self.queue.len()).unwrap_or(u32::MAX)
    }

    /// Counters so far.
    pub fn counters(&self) -> PlayOutCounters {
        self.counters
    }

    fn is_ready(&self) -> bool {
        !self.queue.is_empty() || self.dtmf.is_busy()
    }

    fn tail_wait(&self) -> Duration {
        if self.tail.marked { Duration::ZERO } else { TAIL_WAIT }
    }

    /// Does at most one thing; `false` when nothing is due.
    fn step(&mut self, now: Instant, sink: &mut dyn FnMut(PlayOutEvent)) -> bool {
        let due = match self.clock {
            Clock::Idle if self.is_ready() => {
                self.position = self.position.max(samples_in(now.saturating_duration_since(self.origin)));
                self.send(now, true, sink);
                self.clock = Clock::Running { due: now + FRAME };
                return true;
            }
            Clock::Idle => {
                return self.tail.length > 0
                    && now >= self.tail.read_at + self.tail_wait()
                    && self.pad_tail(now);
            }
            Clock::Running { due } => due,
        };
        if !self.is_ready() {
            if self.tail.length > 0 {
                return now >= due + self.tail_wait() && self.pad_tail(now);
            }
            if now >= due + UTTERANCE_GAP {
                self.go_idle(sink);
            }
            return false;
        }
        if now > due + UTTERANCE_GAP {
            // Too late to catch up: what comes now is a new utterance as far as time is concerned.
            self.counters.stalls += u64::from(self.queue.front().is_some_and(|frame| frame.pushed_at < due));
            self.go_idle(sink);
            return true;
        }
        let direct = self.queue.len() == 1
            && !self.dtmf.is_busy()
            && self.queue.front().is_some_and(|frame| frame.pushed_at == now);
        if now < due && !(direct && now + EARLY >= due) {
            return false;
        }
        let hiccup = self.paced >= PACED_PUSHES && self.queue.len() <= HICCUP_FRAMES;
        let slot = match self.queue.front() {
            Some(_) if direct => follow(due, now),
            // As if it had come when it was queued, but by no more than a frame.
            Some(frame) if hiccup => {
                follow(due, frame.pushed_at.max(due.checked_sub(FRAME).unwrap_or(due)).min(due))
            }
            Some(_) | None => due,
        };
        self.send(now, false, sink);
        self.clock = Clock::Running { due: slot + FRAME };
        true
    }

    fn complete_frame(&mut self, now: Instant) {
        let mut payload = [0; FRAME_SAMPLES];
        let mut energy = 0u64;
        for (code, &sample) in payload.iter_mut().zip(&self.tail.samples) {
            *code = self.codec.encode(sample);
            let level = u64::from(sample.unsigned_abs());
            energy += level * level;
        }
        self.tail.length = 0;
        if self.queue.len() >= self.limit {
            self.queue.pop_front();
            self.left += 1;
            self.counters.overflowed += 1;
        }
        let sound = energy / FRAME_SAMPLES as u64 >= SOUND;
        self.queue.push_back(Frame { payload, read_at: self.tail.read_at, pushed_at: now, sound });
        self.pushed += 1;
    }

    fn pad_tail(&mut self, now: Instant) -> bool {
        self.tail.samples[self.tail.length..].fill(0);
        self.complete_frame(now);
        true
    }

    /// Sends one tick: a DTMF step goes before audio, which waits for it.
    fn send(&mut self, now: Instant, first: bool, sink: &mut dyn FnMut(PlayOutEvent)) {
        self.report_marks(sink);
        match (self.dtmf.next_tick(), self.event) {
            (Some(DtmfTick::Event { payload, age }), Some(event)) => {
                let back = u64::from(age) * FRAME_SAMPLES as u64;
                let start = self.position.saturating_sub(back);
                let datagram = self.packet(event, age == 0, start, &payload);
                sink(PlayOutEvent::Packet { datagram, audio: None });
            }
            (Some(_), _) => {}
            (None, _) => {
                if let Some(frame) = self.queue.pop_front() {
                    self.left += 1;
                    self.counters.sent += 1;
                    let audio = SentAudio { read_at: frame.read_at, first, sound: frame.sound };
                    let datagram = self.packet(self.audio, first, self.position, &frame.payload);
                    sink(PlayOutEvent::Packet { datagram, audio: Some(audio) });
                }
            }
        }
        self.position += FRAME_SAMPLES as u64;
        self.last_end = Some(now + FRAME);
    }

    fn packet(&mut self, kind: PayloadType, marker: bool, position: u64, payload: &[u8]) -> Datagram {
        let header = RtpHeader {
            marker,
            payload_type: kind,
            sequence: self.sequence,
            timestamp: self.base.after(position),
            ssrc: self.ssrc,
        };
        self.sequence = self.sequence.next();
        Datagram::new(header, payload)
    }

    fn report_marks(&mut self, sink: &mut dyn FnMut(PlayOutEvent)) {
        while self.marks.front().is_some_and(|mark| mark.position <= self.left) {
            if let Some(mark) = self.marks.pop_front() {
                sink(PlayOutEvent::Played(mark.name));
            }
        }
    }

    fn go_idle(&mut self, sink: &mut dyn FnMut(PlayOutEvent)) {
        if matches!(self.clock, Clock::Running { .. }) {
            self.clock = Clock::Idle;
            sink(PlayOutEvent::Idle);
        }
    }
}

/// Moves a slot a little toward the moment its frame really came, so that the clock follows the agent's pace.
fn follow(due: Instant, came: Instant) -> Instant {
    let behind = came.saturating_duration_since(due) / 32;
    let ahead = due.saturating_duration_since(came) / 32;
    (due + behind).checked_sub(ahead).unwrap_or(due)
}

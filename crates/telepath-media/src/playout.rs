//! Play-out to the caller: agent audio in chunks of any length in, one RTP packet every 20 ms out.
//!
//! The first frame of an utterance is sent at once and starts the clock. A stream that the agent sends in real time
//! passes through without delay: a frame that arrives at an empty queue may be sent up to [`EARLY`] before its slot or
//! late, and the slots slowly follow the agent's pace. If such a stream has built up a short backlog, slightly shorter
//! slots work it off. A burst is sent at one frame per 20 ms. Within an utterance, timestamps count samples; between
//! utterances they follow real time, so they never drift.

mod event;

pub use event::{MarkName, PlayOutCounters, PlayOutEvent, SentAudio, StreamStart};

use crate::codec::AudioCodec;
use crate::dtmf::{Digit, DtmfSender, DtmfTick};
use crate::media_clock::{FRAME_DURATION, FRAME_SAMPLES, samples_in};
use crate::rtp::{Datagram, PayloadType, PayloadTypes, RtpHeader, RtpTimestamp, SequenceNumber, Ssrc};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long before its slot a frame may be sent if no other frame is queued.
pub const EARLY: Duration = Duration::from_millis(10);
/// An utterance ends when its next slot stays empty for this long.
pub const UTTERANCE_GAP: Duration = Duration::from_millis(60);
/// An incomplete frame waits this long for the rest before it is padded with silence.
pub const TAIL_WAIT: Duration = Duration::from_millis(40);
/// Maximum number of pending marks.
pub const MARK_LIMIT: usize = 256;
/// After this many consecutive messages of one frame each, the agent is assumed to send in real time.
const PACED_PUSHES: u8 = 10;
/// A backlog of a real-time stream is worked off up to this many frames; a longer one is taken as intended.
const BACKLOG_FRAMES: usize = 5;
/// Mean square of -50 dBFS. A frame at or above this level is audible.
const AUDIBLE: u64 = 10_737;

#[derive(Debug)]
struct Frame {
    payload: [u8; FRAME_SAMPLES],
    read_at: Instant,
    pushed_at: Instant,
    audible: bool,
}

#[derive(Debug)]
struct Mark {
    /// The number of frames that must have left the queue before the mark is reported.
    position: u64,
    name: MarkName,
}

#[derive(Debug, Clone, Copy)]
enum PlayOutClock {
    Idle,
    Running { due: Instant },
}

#[derive(Debug)]
struct Tail {
    samples: [i16; FRAME_SAMPLES],
    length: usize,
    read_at: Instant,
    /// A mark follows, so the utterance ends here and the tail is padded without waiting.
    marked: bool,
}

/// Play-out of one call.
#[derive(Debug)]
pub struct PlayOut {
    codec: AudioCodec,
    payload_types: PayloadTypes,
    ssrc: Ssrc,
    sequence: SequenceNumber,
    base: RtpTimestamp,
    origin: Instant,
    /// Earliest start of the next frame, in samples after the origin.
    position: u64,
    queue: VecDeque<Frame>,
    limit: usize,
    tail: Tail,
    marks: VecDeque<Mark>,
    /// Frames that have entered the queue.
    pushed: u64,
    /// Frames that have left the queue: sent, dropped or cleared.
    left: u64,
    last_end: Option<Instant>,
    clock: PlayOutClock,
    paced: u8,
    open: bool,
    dtmf: DtmfSender,
    counters: PlayOutCounters,
}

impl PlayOut {
    /// Creates a closed play-out (see [`Self::set_open`]) with a queue for `limit` of audio.
    pub fn new(
        codec: AudioCodec,
        payload_types: PayloadTypes,
        start: StreamStart,
        limit: Duration,
        origin: Instant,
    ) -> Self {
        Self {
            codec,
            payload_types,
            ssrc: start.ssrc,
            sequence: start.sequence,
            base: start.timestamp,
            origin,
            position: 0,
            queue: VecDeque::new(),
            limit: usize::try_from(limit.as_millis() / FRAME_DURATION.as_millis())
                .unwrap_or(usize::MAX)
                .max(1),
            tail: Tail { samples: [0; FRAME_SAMPLES], length: 0, read_at: origin, marked: false },
            marks: VecDeque::new(),
            pushed: 0,
            left: 0,
            last_end: None,
            clock: PlayOutClock::Idle,
            paced: 0,
            open: false,
            dtmf: DtmfSender::default(),
            counters: PlayOutCounters::default(),
        }
    }

    /// Starts or stops sending. Play-out is closed before the answer and while the call is on hold; queued audio stays
    /// queued.
    pub fn set_open(&mut self, open: bool, sink: &mut dyn FnMut(PlayOutEvent)) {
        if !open && self.open {
            self.go_idle(sink);
        }
        self.open = open;
    }

    /// Whether packets are sent, see [`Self::set_open`].
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Changes the codec and payload types; queued audio is transcoded.
    pub fn set_formats(&mut self, codec: AudioCodec, payload_types: PayloadTypes) {
        if codec != self.codec {
            for code in self.queue.iter_mut().flat_map(|frame| &mut frame.payload) {
                *code = codec.encode(self.codec.decode(*code));
            }
        }
        self.codec = codec;
        self.payload_types = payload_types;
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

    /// Sets a mark after everything queued.
    ///
    /// # Errors
    /// Returns the name if [`MARK_LIMIT`] marks are already pending.
    pub fn mark(&mut self, name: MarkName) -> Result<(), MarkName> {
        if self.marks.len() >= MARK_LIMIT {
            return Err(name);
        }
        self.tail.marked = self.tail.length > 0;
        let position = self.pushed + u64::from(self.tail.length > 0);
        self.marks.push_back(Mark { position, name });
        Ok(())
    }

    /// Flushes the queued audio and reports every pending mark. The frame being played ends within 20 ms.
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

    /// Queues a digit; `false` if telephone-event was not negotiated or the queue is full.
    pub fn send_digit(&mut self, digit: Digit) -> bool {
        self.payload_types.telephone_event.is_some() && self.dtmf.push(digit)
    }

    /// Sends everything that is due at `now`.
    pub fn run(&mut self, now: Instant, sink: &mut dyn FnMut(PlayOutEvent)) {
        if !self.open {
            return;
        }
        if self.last_end.is_none_or(|end| now >= end) {
            self.report_marks(sink);
        }
        while self.step(now, sink) {}
        if matches!(self.clock, PlayOutClock::Idle) && self.last_end.is_none_or(|end| now >= end) {
            self.report_marks(sink);
        }
    }

    /// When to call [`Self::run`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        if !self.open {
            return None;
        }
        let mark = self.marks.front().filter(|mark| mark.position <= self.left).and(self.last_end);
        let ready = self.is_ready();
        let clock = match self.clock {
            PlayOutClock::Running { due } if ready => Some(due),
            PlayOutClock::Running { due } if self.tail.length > 0 => Some(due + self.tail_wait()),
            PlayOutClock::Running { due } => Some(due + UTTERANCE_GAP),
            PlayOutClock::Idle if ready => {
                self.queue.front().map(|frame| frame.pushed_at).or(Some(self.origin))
            }
            PlayOutClock::Idle if self.tail.length > 0 => Some(self.tail.read_at + self.tail_wait()),
            PlayOutClock::Idle => None,
        };
        [mark, clock].into_iter().flatten().min()
    }

    #[cfg(test)]
    pub(crate) fn queued(&self) -> Duration {
        FRAME_DURATION * u32::try_from(self.queue.len()).unwrap_or(u32::MAX)
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

    /// Performs at most one action; `false` if nothing is due.
    fn step(&mut self, now: Instant, sink: &mut dyn FnMut(PlayOutEvent)) -> bool {
        let due = match self.clock {
            PlayOutClock::Idle if self.is_ready() => {
                self.position = self.position.max(samples_in(now.saturating_duration_since(self.origin)));
                self.send(now, true, sink);
                self.clock = PlayOutClock::Running { due: now + FRAME_DURATION };
                return true;
            }
            PlayOutClock::Idle => {
                return self.tail.length > 0
                    && now >= self.tail.read_at + self.tail_wait()
                    && self.pad_tail(now);
            }
            PlayOutClock::Running { due } => due,
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
            // Too late to catch up: the clock restarts as for a new utterance.
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
        let backlog = self.paced >= PACED_PUSHES && self.queue.len() <= BACKLOG_FRAMES;
        let slot = match self.queue.front() {
            Some(_) if direct => follow(due, now),
            // Follow the time at which the frame was queued, but move the slot forward by at most one frame.
            Some(frame) if backlog => {
                follow(due, frame.pushed_at.max(due.checked_sub(FRAME_DURATION).unwrap_or(due)).min(due))
            }
            Some(_) | None => due,
        };
        self.send(now, false, sink);
        self.clock = PlayOutClock::Running { due: slot + FRAME_DURATION };
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
        let audible = energy / FRAME_SAMPLES as u64 >= AUDIBLE;
        self.queue.push_back(Frame { payload, read_at: self.tail.read_at, pushed_at: now, audible });
        self.pushed += 1;
    }

    fn pad_tail(&mut self, now: Instant) -> bool {
        self.tail.samples[self.tail.length..].fill(0);
        self.complete_frame(now);
        true
    }

    /// Sends one packet. A telephone event takes precedence over audio, which waits.
    fn send(&mut self, now: Instant, first: bool, sink: &mut dyn FnMut(PlayOutEvent)) {
        self.report_marks(sink);
        match (self.dtmf.next_tick(), self.payload_types.telephone_event) {
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
                    let audio = SentAudio { read_at: frame.read_at, first, audible: frame.audible };
                    let datagram =
                        self.packet(self.payload_types.audio, first, self.position, &frame.payload);
                    sink(PlayOutEvent::Packet { datagram, audio: Some(audio) });
                }
            }
        }
        self.position += FRAME_SAMPLES as u64;
        self.last_end = Some(now + FRAME_DURATION);
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
        if matches!(self.clock, PlayOutClock::Running { .. }) {
            self.clock = PlayOutClock::Idle;
            sink(PlayOutEvent::Idle);
        }
    }
}

/// Moves a slot by 1/32 of the way toward the arrival of its frame, so that the clock follows the agent's pace.
fn follow(due: Instant, arrival: Instant) -> Instant {
    let behind = arrival.saturating_duration_since(due) / 32;
    let ahead = due.saturating_duration_since(arrival) / 32;
    (due + behind).checked_sub(ahead).unwrap_or(due)
}

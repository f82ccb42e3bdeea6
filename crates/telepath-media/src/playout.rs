//! Play-out to the caller: agent audio in chunks of any length in, one RTP packet every 20 ms out.
//!
//! The first frame of an utterance is sent at once and starts the clock. A stream that the agent sends in real time
//! passes through without delay: a frame that arrives at an empty queue may be sent up to [`EARLY`] before its slot or
//! late, and the slots slowly follow the agent's pace. A burst is sent at one frame per 20 ms. Within an utterance,
//! timestamps count samples; between utterances they follow real time, so they never drift.
//!
//! While the agent is silent, silence is sent, or comfort noise if it was negotiated (RFC 3389), so that NAT bindings
//! and the media timers of carriers do not expire (RFC 6263).

mod event;
mod items;
mod pace;
mod queue;

pub use event::{
    ItemNumber, ItemPlayback, MarkName, PacketContent, PlayOutCounters, PlayOutEvent, SentAudio, StreamStart,
};

use crate::audio_format::AudioFormat;
use crate::codec::AudioCodec;
use crate::dtmf::{Digit, DtmfSender, DtmfTick};
use crate::histogram::Histogram;
use crate::media_clock::{FRAME_DURATION, FRAME_SAMPLES, duration_of, samples_in};
use crate::payload::PayloadEncoder;
use crate::rtp::{Datagram, PayloadType, PayloadTypes, RtpHeader, RtpTimestamp, SequenceNumber, Ssrc};
use pace::Pace;
use queue::FrameQueue;
use std::time::{Duration, Instant};

/// How long before its slot a frame may be sent if no other frame is queued.
pub const EARLY: Duration = Duration::from_millis(10);
/// An utterance ends when its next slot stays empty for this long.
pub const UTTERANCE_GAP: Duration = Duration::from_millis(60);
/// An incomplete frame waits this long for the rest before it is padded with silence.
pub const TAIL_WAIT: Duration = Duration::from_millis(40);
/// Maximum number of pending marks.
pub const MARK_LIMIT: usize = 256;
/// Interval between comfort noise packets during silence.
pub const COMFORT_NOISE_INTERVAL: Duration = Duration::from_millis(500);
/// A packet sent this long after it was due counts as late.
pub const LATE: Duration = Duration::from_millis(20);

/// Level of comfort noise in -dBov (RFC 3389 section 3.1): barely audible.
const COMFORT_NOISE_LEVEL: u8 = 78;

#[derive(Debug, Clone, Copy)]
enum PlayOutClock {
    /// The agent is silent.
    Idle,
    Running {
        due: Instant,
    },
}

/// Play-out of one call.
#[derive(Debug)]
pub struct PlayOut {
    encoder: PayloadEncoder,
    /// The audio of the frame that is sent; the memory is reused.
    frame: Vec<u8>,
    payload_types: PayloadTypes,
    ssrc: Ssrc,
    sequence: SequenceNumber,
    base: RtpTimestamp,
    origin: Instant,
    /// Earliest start of the next frame, in samples after the origin.
    position: u64,
    queue: FrameQueue,
    last_end: Option<Instant>,
    clock: PlayOutClock,
    /// When the next packet of silence is due, unless the agent speaks.
    silence_due: Instant,
    pace: Pace,
    open: bool,
    dtmf: DtmfSender,
    counters: PlayOutCounters,
    lateness: Histogram,
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
            encoder: PayloadEncoder::new(codec),
            frame: Vec::new(),
            payload_types,
            ssrc: start.ssrc,
            sequence: start.sequence,
            base: start.timestamp,
            origin,
            position: 0,
            queue: FrameQueue::new(AudioFormat::of_leg(codec), limit, origin),
            last_end: None,
            clock: PlayOutClock::Idle,
            silence_due: origin,
            pace: Pace::default(),
            open: false,
            dtmf: DtmfSender::default(),
            counters: PlayOutCounters::default(),
            lateness: Histogram::default(),
        }
    }

    /// Starts or stops sending. Play-out is closed before the answer, while the call is on hold, and while the peer's
    /// address is unknown; queued audio stays queued.
    pub fn set_open(&mut self, open: bool, now: Instant, sink: &mut dyn FnMut(PlayOutEvent)) {
        if !open && self.open {
            self.go_idle(now, sink);
        }
        if open && !self.open {
            self.resume_silence(now);
        }
        self.open = open;
    }

    /// Whether packets are sent, see [`Self::set_open`].
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Changes the codec and payload types; queued audio is converted. An encoder continues its stream if the codec is the
    /// same.
    pub fn set_formats(&mut self, codec: AudioCodec, payload_types: PayloadTypes) {
        if codec != self.encoder.codec() {
            self.encoder = PayloadEncoder::new(codec);
            self.queue.set_format(AudioFormat::of_leg(codec));
        }
        self.payload_types = payload_types;
    }

    /// Queues audio read from the agent at `now`, in the format of [`AudioFormat::of_leg`]. It belongs to `item`. If the queue
    /// is full, the rest is refused. Returns `true` at the first refusal since the queue had room.
    pub fn push(&mut self, item: Option<ItemNumber>, now: Instant, audio: &[u8]) -> bool {
        let level = self.queue.len();
        let pushed = self.queue.push(item, now, audio);
        self.pace.note_pushed(pushed.accepted, level, now);
        self.counters.overflowed += pushed.refused;
        pushed.first_refusal
    }

    /// What has been played by `now` of the items in the queue, in order, and of the latest one.
    pub fn playback(&self, now: Instant) -> Vec<ItemPlayback> {
        let pending = self.last_end.map_or(Duration::ZERO, |end| end.saturating_duration_since(now));
        self.queue.playback(samples_in(pending))
    }

    /// Sets a mark after everything queued.
    ///
    /// # Errors
    /// Returns the name if [`MARK_LIMIT`] marks are already pending.
    pub fn mark(&mut self, name: MarkName) -> Result<(), MarkName> {
        self.queue.mark(name)
    }

    /// Flushes the queued audio and reports every pending mark. The frame being played ends within 20 ms.
    pub fn clear(&mut self, now: Instant, sink: &mut dyn FnMut(PlayOutEvent)) {
        self.report_marks(sink);
        self.counters.cleared += self.queue.clear();
        while let Some(name) = self.queue.pop_mark() {
            sink(PlayOutEvent::Mark { name, cleared: true });
        }
        if !self.dtmf.is_busy() {
            self.go_idle(now, sink);
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
        let mark = self.last_end.filter(|_| self.queue.has_played_mark());
        let tail = self.queue.tail_read_at();
        let clock = match self.clock {
            PlayOutClock::Running { due } if self.is_ready() => due,
            PlayOutClock::Running { due } if tail.is_some() => due + self.queue.tail_wait(),
            PlayOutClock::Running { due } => due + UTTERANCE_GAP,
            PlayOutClock::Idle if self.is_ready() => {
                self.queue.front().map_or(self.origin, |frame| frame.pushed_at)
            }
            PlayOutClock::Idle => {
                tail.map_or(self.silence_due, |read| self.silence_due.min(read + self.queue.tail_wait()))
            }
        };
        Some(mark.map_or(clock, |mark| mark.min(clock)))
    }

    /// Whether audio is queued or the last packet is still being played.
    pub fn has_audio(&self, now: Instant) -> bool {
        self.is_ready() || self.queue.tail_read_at().is_some() || self.last_end.is_some_and(|end| now < end)
    }

    #[cfg(test)]
    pub(crate) fn queued(&self) -> Duration {
        FRAME_DURATION * u32::try_from(self.queue.len()).unwrap_or(u32::MAX)
    }

    /// Counters so far.
    pub fn counters(&self) -> PlayOutCounters {
        self.counters
    }

    /// How long after they were due packets were sent.
    pub fn lateness(&self) -> &Histogram {
        &self.lateness
    }

    fn is_ready(&self) -> bool {
        self.queue.len() > 0 || self.dtmf.is_busy()
    }

    /// Performs at most one action; `false` if nothing is due.
    fn step(&mut self, now: Instant, sink: &mut dyn FnMut(PlayOutEvent)) -> bool {
        let due = match self.clock {
            PlayOutClock::Idle => return self.step_idle(now, sink),
            PlayOutClock::Running { due } => due,
        };
        if !self.is_ready() {
            if self.queue.tail_read_at().is_some() {
                return now >= due + self.queue.tail_wait() && self.pad_tail(now);
            }
            if now >= due + UTTERANCE_GAP {
                self.go_idle(now, sink);
                return true;
            }
            return false;
        }
        if now > due + UTTERANCE_GAP {
            // Too late to catch up: the clock restarts as for a new utterance.
            self.counters.stalls += u64::from(self.queue.front().is_some_and(|frame| frame.pushed_at < due));
            self.go_idle(now, sink);
            return true;
        }
        let direct = self.queue.len() == 1
            && !self.dtmf.is_busy()
            && self.queue.front().is_some_and(|frame| frame.pushed_at == now);
        if now < due && !(direct && now + EARLY >= due) {
            return false;
        }
        let level = self.queue.len();
        let slot = self.queue.front().map_or(due, |frame| self.pace.slot(due, now, frame, level, direct));
        self.send(now, due, false, sink);
        self.clock = PlayOutClock::Running { due: slot + FRAME_DURATION };
        true
    }

    /// Starts an utterance, or sends silence.
    fn step_idle(&mut self, now: Instant, sink: &mut dyn FnMut(PlayOutEvent)) -> bool {
        if self.is_ready() {
            self.skip_to(now);
            self.send(now, now, true, sink);
            self.clock = PlayOutClock::Running { due: now + FRAME_DURATION };
            return true;
        }
        if self.queue.tail_read_at().is_some_and(|read| now >= read + self.queue.tail_wait()) {
            return self.pad_tail(now);
        }
        if now < self.silence_due {
            return false;
        }
        self.send_silence(now, sink);
        true
    }

    fn pad_tail(&mut self, now: Instant) -> bool {
        self.queue.pad_tail(now);
        true
    }

    /// Sends one packet that was due at `due`. A telephone event takes precedence over audio, which waits.
    fn send(&mut self, now: Instant, due: Instant, first: bool, sink: &mut dyn FnMut(PlayOutEvent)) {
        self.report_marks(sink);
        match (self.dtmf.next_tick(), self.payload_types.telephone_event) {
            (Some(DtmfTick::Event { payload, age }), Some(event)) => {
                let back = u64::from(age) * FRAME_SAMPLES as u64;
                let start = self.position.saturating_sub(back);
                let datagram = self.packet(event, age == 0, start, &payload);
                self.note_lateness(due, now);
                sink(PlayOutEvent::Packet { datagram, content: PacketContent::TelephoneEvent });
            }
            (Some(_), _) => {}
            (None, _) => {
                self.frame.clear();
                if let Some(frame) = self.queue.pop(&mut self.frame) {
                    self.pace.note_sent();
                    self.counters.sent += 1;
                    self.note_lateness(due.max(frame.pushed_at), now);
                    let audio = SentAudio { read_at: frame.read_at, first, audible: frame.audible };
                    let payload = self.encoder.encode(&self.frame);
                    let datagram = self.packet(self.payload_types.audio, first, self.position, &payload);
                    sink(PlayOutEvent::Packet { datagram, content: PacketContent::Audio(audio) });
                }
            }
        }
        self.position += FRAME_SAMPLES as u64;
        self.last_end = Some(now + FRAME_DURATION);
    }

    /// Sends a frame of silence, or comfort noise if it was negotiated.
    fn send_silence(&mut self, now: Instant, sink: &mut dyn FnMut(PlayOutEvent)) {
        self.note_lateness(self.silence_due, now);
        if now > self.silence_due + UTTERANCE_GAP {
            self.skip_to(now);
        }
        let datagram = if let Some(kind) = self.payload_types.comfort_noise {
            self.skip_to(now);
            self.packet(kind, false, self.position, &[COMFORT_NOISE_LEVEL])
        } else {
            let silence = self.encoder.encode(&[]);
            self.packet(self.payload_types.audio, false, self.position, &silence)
        };
        self.counters.silent += 1;
        sink(PlayOutEvent::Packet { datagram, content: PacketContent::Silence });
        self.position += FRAME_SAMPLES as u64;
        self.silence_due = match self.payload_types.comfort_noise {
            Some(_) => now + COMFORT_NOISE_INTERVAL,
            None => self.origin + duration_of(self.position),
        };
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

    fn note_lateness(&mut self, due: Instant, now: Instant) {
        let late = now.saturating_duration_since(due);
        self.lateness.record(late);
        self.counters.late += u64::from(late > LATE);
    }

    fn report_marks(&mut self, sink: &mut dyn FnMut(PlayOutEvent)) {
        while let Some(name) = self.queue.pop_played_mark() {
            sink(PlayOutEvent::Mark { name, cleared: false });
        }
    }

    fn go_idle(&mut self, now: Instant, sink: &mut dyn FnMut(PlayOutEvent)) {
        if matches!(self.clock, PlayOutClock::Running { .. }) {
            self.clock = PlayOutClock::Idle;
            self.pace.reset();
            self.resume_silence(now);
            sink(PlayOutEvent::Idle);
        }
    }

    /// Silence continues where the timestamps are, at `now` at the earliest.
    fn resume_silence(&mut self, now: Instant) {
        self.skip_to(now);
        self.silence_due = now.max(self.origin + duration_of(self.position));
    }

    /// Moves the timestamps forward to real time.
    fn skip_to(&mut self, now: Instant) {
        self.position = self.position.max(samples_in(now.saturating_duration_since(self.origin)));
    }
}

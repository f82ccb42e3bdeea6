//! The reorder window: packets in, audio in order and true in time out.
//!
//! A packet that is next in sequence passes at once. Behind a gap packets wait, but only a few and not for
//! long; then the gap is closed with silence of exactly the missing length. Pauses of the sender (silence
//! suppression, DTMF events) are filled as well, while they last, because an agent's own speech detection
//! needs to hear silence to know that the caller has finished.

use super::statistics::{Extender, ReceptionStatistics};
use super::{PayloadType, RtpHeader, RtpPacket, RtpTimestamp, SequenceNumber, Ssrc};
use crate::{FRAME_SAMPLES, SAMPLE_RATE, duration_of, samples_in};
use std::cmp::Ordering;
use std::time::{Duration, Instant};

/// Packets that may wait behind a gap before it is given up.
pub const REORDER_PACKETS: usize = 3;
/// Time packets may wait behind a gap before it is given up. Together with the 20 ms after which a gap is seen
/// it stays within [`crate::playout::UTTERANCE_GAP`], so that a lost packet does not break an echo's utterance.
pub const REORDER_TIME: Duration = Duration::from_millis(40);
/// Silence is made up when no audio came for this long.
pub const COVER_AFTER: Duration = Duration::from_millis(200);
/// A sequence number this far ahead is a restart of the sender rather than loss (RFC 3550 A.1).
const MAX_DROPOUT: u64 = 3000;
/// A packet this far behind is a restart of the sender rather than late.
const MAX_MISORDER: u64 = 100;
/// A new SSRC is believed at once when the old one was silent for this long.
const SOURCE_QUIET: Duration = Duration::from_millis(100);
const FRAME_LENGTH: u64 = FRAME_SAMPLES as u64;

/// Why silence was put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GapCause {
    /// Packets never arrived.
    Loss,
    /// The sender paused, or nothing arrives at present.
    Pause,
}

/// What the receiver hands on, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery<'a> {
    /// Encoded audio and the time its packet was read.
    Audio {
        /// The codec's bytes.
        payload: &'a [u8],
        /// When the packet was read.
        arrival: Instant,
    },
    /// A telephone-event payload (RFC 4733).
    Event {
        /// The four bytes of the event.
        payload: &'a [u8],
        /// The event's start, which identifies it.
        timestamp: RtpTimestamp,
    },
    /// Nothing was there; silence of this length keeps time true.
    Silence {
        /// Length at 8 kHz.
        samples: u64,
        /// Why.
        cause: GapCause,
    },
}

/// What was not passed on, by cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReceiverCounters {
    /// Same sequence number again.
    pub duplicates: u64,
    /// Arrived after its gap had been given up.
    pub late: u64,
    /// Payload type that was not negotiated (comfort noise among them).
    pub unknown_payload: u64,
    /// From another SSRC that was not (yet) believed.
    pub foreign_source: u64,
    /// Times the SSRC changed.
    pub source_changes: u64,
    /// Times the sequence numbers or timestamps jumped without explanation.
    pub jumps: u64,
    /// Samples of silence put in for lost packets.
    pub concealed_samples: u64,
    /// Samples of silence put in for pauses.
    pub paused_samples: u64,
}

#[derive(Debug)]
struct Held {
    extended: u64,
    header: RtpHeader,
    payload: Vec<u8>,
    arrival: Instant,
}

#[derive(Debug)]
struct Source {
    ssrc: Ssrc,
    extender: Extender,
    next: u64,
    /// Bit n: the packet n + 1 before `next` was delivered. Tells a duplicate from a late packet.
    seen: u64,
    last_heard: Instant,
    /// The sequence number after one that jumped; two in a row are believed.
    jumped_to: Option<SequenceNumber>,
}

/// Position of the audio handed on, in the sender's time and in ours.
#[derive(Debug, Default)]
struct Timeline {
    next: Option<RtpTimestamp>,
    last_audio: Option<Instant>,
    last_samples: u64,
    /// Silence put in since the last audio.
    covered: u64,
    /// Silence put in beyond what the sender's timestamps have accounted for so far.
    ahead: u64,
    lossy: bool,
}

/// The receiving side of one RTP stream.
#[derive(Debug)]
pub struct RtpReceiver {
    audio: PayloadType,
    event: Option<PayloadType>,
    source: Option<Source>,
    candidate: Option<Ssrc>,
    window: Vec<Held>,
    gap_since: Option<Instant>,
    timeline: Timeline,
    statistics: ReceptionStatistics,
    counters: ReceiverCounters,
}

impl RtpReceiver {
    /// A receiver for one audio format and, when negotiated, telephone events.
    pub fn new(audio: PayloadType, event: Option<PayloadType>) -> Self {
        Self {
            audio,
            event,
            source: None,
            candidate: None,
            window: Vec::with_capacity(REORDER_PACKETS + 1),
            gap_since: None,
            timeline: Timeline::default(),
            statistics: ReceptionStatistics::default(),
            counters: ReceiverCounters::default(),
        }
    }

    /// Changes the expected payload types after a new negotiation.
    pub fn set_formats(&mut self, audio: PayloadType, event: Option<PayloadType>) {
        self.audio = audio;
        self.event = event;
    }

    /// Forgets the position in time, so that a hold is not filled with silence when it ends.
    pub fn reset_timeline(&mut self) {
        self.timeline = Timeline::default();
    }

    /// Reception statistics so far.
    pub fn statistics(&self) -> &ReceptionStatistics {
        &self.statistics
    }

    /// Counters so far.
    pub fn counters(&self) -> ReceiverCounters {
        self.counters
    }

    /// Packets waiting behind a gap; never more than [`REORDER_PACKETS`].
    pub fn waiting(&self) -> usize {
        self.window.len()
    }

    /// Takes in a packet read at `now` and hands on whatever is in order.
    pub fn handle(&mut self, packet: RtpPacket<'_>, now: Instant, sink: &mut impl FnMut(Delivery<'_>)) {
        if !self.admit(packet.header, now, sink) {
            return;
        }
        let Some(source) = &mut self.source else { return };
        let extended = source.extender.extend(packet.header.sequence);
        match extended.cmp(&source.next) {
            Ordering::Less => self.take_late(extended),
            Ordering::Equal => {
                self.statistics.count(extended);
                self.deliver(extended, packet.header, packet.payload, now, sink);
                self.drain(sink);
            }
            Ordering::Greater => self.hold(extended, packet, now, sink),
        }
    }

    /// Gives up gaps whose time is over and covers silence.
    pub fn handle_timeout(&mut self, now: Instant, sink: &mut impl FnMut(Delivery<'_>)) {
        if self.gap_since.is_some_and(|since| now >= since + REORDER_TIME) {
            self.skip_gap(sink);
        }
        if self.cover_due().is_some_and(|due| now >= due) {
            self.cover(now, sink);
        }
    }

    /// Hands on everything that still waits, at the end of a stream.
    pub fn finish(&mut self, sink: &mut impl FnMut(Delivery<'_>)) {
        self.flush(sink);
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let gap = self.gap_since.map(|since| since + REORDER_TIME);
        [gap, self.cover_due()].into_iter().flatten().min()
    }

    /// Decides whether the packet's source is the one we listen to, and follows jumps of its numbers.
    fn admit(&mut self, header: RtpHeader, now: Instant, sink: &mut impl FnMut(Delivery<'_>)) -> bool {
        let Some(source) = &mut self.source else {
            self.start(header, now);
            return true;
        };
        if source.ssrc != header.ssrc {
            let quiet = now.saturating_duration_since(source.last_heard) >= SOURCE_QUIET;
            if !quiet && self.candidate != Some(header.ssrc) {
                self.candidate = Some(header.ssrc);
                self.counters.foreign_source += 1;
                return false;
            }
            self.flush(sink);
            self.counters.source_changes += 1;
            self.timeline.next = None;
            self.start(header, now);
            return true;
        }
        self.candidate = None;
        source.last_heard = now;
        let extended = source.extender.extend(header.sequence);
        if extended <= source.next + MAX_DROPOUT && extended + MAX_MISORDER >= source.next {
            source.jumped_to = None;
            return true;
        }
        if source.jumped_to != Some(header.sequence) {
            source.jumped_to = Some(header.sequence.next());
            return false;
        }
        self.flush(sink);
        self.counters.jumps += 1;
        self.start(header, now);
        true
    }

    fn start(&mut self, header: RtpHeader, now: Instant) {
        let extender = Extender::new(header.sequence);
        let next = extender.extend(header.sequence);
        self.candidate = None;
        self.statistics.restart();
        self.source =
            Some(Source { ssrc: header.ssrc, extender, next, seen: 0, last_heard: now, jumped_to: None });
    }

    fn take_late(&mut self, extended: u64) {
        let Some(source) = &mut self.source else { return };
        let behind = source.next - extended - 1;
        let bit = if behind < 64 { 1 << behind } else { 0 };
        if source.seen & bit != 0 {
            self.counters.duplicates += 1;
        } else {
            source.seen |= bit;
            self.counters.late += 1;
            self.statistics.count(extended);
        }
    }

    fn hold(
        &mut self,
        extended: u64,
        packet: RtpPacket<'_>,
        now: Instant,
        sink: &mut impl FnMut(Delivery<'_>),
    ) {
        let position = self.window.partition_point(|held| held.extended < extended);
        if self.window.get(position).is_some_and(|held| held.extended == extended) {
            self.counters.duplicates += 1;
            return;
        }
        self.statistics.count(extended);
        let held = Held { extended, header: packet.header, payload: packet.payload.to_vec(), arrival: now };
        self.window.insert(position, held);
        self.gap_since.get_or_insert(now);
        if self.window.len() > REORDER_PACKETS {
            self.skip_gap(sink);
        }
    }

    /// Gives up what is missing before the first waiting packet.
    fn skip_gap(&mut self, sink: &mut impl FnMut(Delivery<'_>)) {
        if let (Some(source), Some(first)) = (&mut self.source, self.window.first()) {
            let missing = first.extended - source.next;
            source.seen = u32::try_from(missing).ok().and_then(|by| source.seen.checked_shl(by)).unwrap_or(0);
            source.next = first.extended;
            self.timeline.lossy = true;
        }
        self.drain(sink);
    }

    /// Hands on waiting packets as long as they are in sequence.
    fn drain(&mut self, sink: &mut impl FnMut(Delivery<'_>)) {
        while let (Some(first), Some(source)) = (self.window.first(), &self.source)
            && first.extended == source.next
        {
            let held = self.window.remove(0);
            self.deliver(held.extended, held.header, &held.payload, held.arrival, sink);
        }
        self.gap_since = self.window.first().map(|held| held.arrival);
    }

    fn flush(&mut self, sink: &mut impl FnMut(Delivery<'_>)) {
        while !self.window.is_empty() {
            self.skip_gap(sink);
        }
    }

    fn deliver(
        &mut self,
        extended: u64,
        header: RtpHeader,
        payload: &[u8],
        arrival: Instant,
        sink: &mut impl FnMut(Delivery<'_>),
    ) {
        if let Some(source) = &mut self.source {
            source.next = extended + 1;
            source.seen = source.seen << 1 | 1;
            source.extender.advance(extended);
        }
        if Some(header.payload_type) == self.event {
            sink(Delivery::Event { payload, timestamp: header.timestamp });
        } else if header.payload_type != self.audio {
            self.counters.unknown_payload += 1;
        } else if !payload.is_empty() {
            self.statistics.time(header.timestamp, arrival);
            self.fill(header.timestamp, arrival, sink);
            sink(Delivery::Audio { payload, arrival });
            let samples = payload.len() as u64;
            self.timeline.next = Some(header.timestamp.after(samples));
            self.timeline.last_audio = Some(arrival);
            self.timeline.last_samples = samples;
            self.timeline.covered = 0;
            self.timeline.lossy = false;
        }
    }

    /// Puts in the silence between the audio before and the packet at `timestamp`.
    fn fill(&mut self, timestamp: RtpTimestamp, arrival: Instant, sink: &mut impl FnMut(Delivery<'_>)) {
        let Some(last_audio) = self.timeline.last_audio else { return };
        let elapsed = samples_in(arrival.saturating_duration_since(last_audio));
        // Without a usable timestamp our own clock says how much is missing.
        let by_clock = elapsed.saturating_sub(self.timeline.last_samples) / FRAME_LENGTH * FRAME_LENGTH;
        let gap = match self.timeline.next {
            None => by_clock,
            Some(next) => match u64::try_from(timestamp.distance_from(next)) {
                Ok(gap) if gap <= elapsed + u64::from(SAMPLE_RATE) => gap,
                Ok(_) | Err(_) => {
                    self.counters.jumps += 1;
                    by_clock
                }
            },
        };
        let already = gap.min(self.timeline.ahead);
        self.timeline.ahead -= already;
        let cause = if self.timeline.lossy { GapCause::Loss } else { GapCause::Pause };
        self.silence(gap - already, cause, sink);
    }

    fn cover_due(&self) -> Option<Instant> {
        let wait = COVER_AFTER.max(duration_of(self.timeline.covered + 2 * FRAME_LENGTH));
        self.timeline.last_audio.map(|last| last + wait)
    }

    /// Makes up silence up to one frame before now, whole frames only.
    fn cover(&mut self, now: Instant, sink: &mut impl FnMut(Delivery<'_>)) {
        let Some(last_audio) = self.timeline.last_audio else { return };
        let frames = samples_in(now.saturating_duration_since(last_audio)) / FRAME_LENGTH;
        let missing = (frames.saturating_sub(1) * FRAME_LENGTH).saturating_sub(self.timeline.covered);
        self.timeline.covered += missing;
        self.timeline.ahead += missing;
        self.silence(missing, GapCause::Pause, sink);
    }

    fn silence(&mut self, samples: u64, cause: GapCause, sink: &mut impl FnMut(Delivery<'_>)) {
        if samples == 0 {
            return;
        }
        match cause {
            GapCause::Loss => self.counters.concealed_samples += samples,
            GapCause::Pause => self.counters.paused_samples += samples,
        }
        sink(Delivery::Silence { samples, cause });
    }
}

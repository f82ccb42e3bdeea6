//! The receiving side of an RTP stream: a reorder window whose output is in order and has no gaps in time.
//!
//! The next packet in sequence is delivered at once. Packets behind a gap wait, for a bounded number of packets and a
//! bounded time; then silence replaces exactly what is missing. Pauses of the sender (silence suppression, telephone
//! events) are filled with silence while they last, because an agent's own speech detection needs silence to recognize
//! that the caller has finished.

use super::statistics::{Extender, ReceptionReport, ReceptionStatistics};
use super::timeline::{GapCause, Timeline};
use super::{PayloadType, PayloadTypes, RtpHeader, RtpPacket, RtpTimestamp, SequenceNumber, Ssrc};
use std::cmp::Ordering;
use std::time::{Duration, Instant};

/// Maximum number of packets that wait behind a gap.
pub const REORDER_PACKETS: usize = 3;
/// Maximum time that packets wait behind a gap. A gap is noticed after 20 ms; the sum stays within
/// [`crate::playout::UTTERANCE_GAP`], so that a lost packet does not split the utterance of an agent that echoes.
pub const REORDER_TIME: Duration = Duration::from_millis(40);
/// A larger jump ahead is a restart of the sender, not loss (`MAX_DROPOUT` in RFC 3550 appendix A.1).
const MAX_DROPOUT: u64 = 3000;
/// A packet further behind is a restart of the sender, not late (`MAX_MISORDER` in RFC 3550 appendix A.1).
const MAX_MISORDER: u64 = 100;
/// The same for the events of a separate SSRC, whose packets are not kept in order.
const SEPARATE_MISORDER: i16 = 100;
/// A new SSRC is accepted at its first packet if the old one was silent for this long, otherwise at its second.
const SOURCE_QUIET: Duration = Duration::from_millis(100);

/// What the receiver delivers, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery<'a> {
    /// Encoded audio.
    Audio {
        /// The RTP payload.
        payload: &'a [u8],
        /// When the packet was read.
        arrival: Instant,
    },
    /// A telephone event (RFC 4733).
    Event {
        /// The event payload (RFC 4733 section 2.3).
        payload: &'a [u8],
        /// The start of the event, which identifies it.
        timestamp: RtpTimestamp,
    },
    /// Silence in place of missing audio.
    Silence {
        /// Length in samples.
        samples: u64,
        /// What the silence replaces.
        cause: GapCause,
    },
    /// The sender restarted: what follows has another SSRC, or unrelated sequence numbers and timestamps.
    SourceChanged,
}

/// What was not delivered, and what was filled in, by cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReceiverCounters {
    /// Packets with a sequence number that was already received.
    pub duplicates: u64,
    /// Packets that arrived after silence had replaced them.
    pub late: u64,
    /// Packets with a payload type that was not negotiated.
    pub unknown_payload: u64,
    /// Comfort noise packets (RFC 3389). They are not audio; silence fills the pause.
    pub comfort_noise: u64,
    /// Packets of another SSRC that was not accepted.
    pub foreign_source: u64,
    /// Changes of the SSRC.
    pub source_changes: u64,
    /// Jumps of the sequence number or timestamp.
    pub jumps: u64,
    /// Packets after a jump of the sequence number, dropped because the next packet has to confirm the jump.
    pub unconfirmed_jumps: u64,
    /// Samples of silence in place of lost packets.
    pub concealed_samples: u64,
    /// Samples of silence during pauses.
    pub paused_samples: u64,
}

#[derive(Debug)]
struct BufferedPacket {
    extended: u64,
    header: RtpHeader,
    payload: Vec<u8>,
    arrival: Instant,
}

#[derive(Debug)]
struct SyncSource {
    ssrc: Ssrc,
    extender: Extender,
    next: u64,
    /// Bit n is set if packet `next - n - 1` was received. Distinguishes duplicates from late packets.
    seen: u64,
    last_packet: Instant,
    /// The sequence number that follows a jump. If it comes next, the jump is a restart of the sender.
    jumped_to: Option<SequenceNumber>,
}

/// The receiving side of one RTP stream.
#[derive(Debug)]
pub struct RtpReceiver {
    payload_types: PayloadTypes,
    source: Option<SyncSource>,
    candidate: Option<Ssrc>,
    /// The latest packet of an SSRC that carries only telephone events beside the audio of another one.
    events: Option<(Ssrc, SequenceNumber)>,
    window: Vec<BufferedPacket>,
    gap_since: Option<Instant>,
    timeline: Timeline,
    statistics: ReceptionStatistics,
    counters: ReceiverCounters,
}

impl RtpReceiver {
    /// Creates a receiver for these payload types.
    pub fn new(payload_types: PayloadTypes) -> Self {
        Self {
            payload_types,
            source: None,
            candidate: None,
            events: None,
            window: Vec::with_capacity(REORDER_PACKETS + 1),
            gap_since: None,
            timeline: Timeline::default(),
            statistics: ReceptionStatistics::default(),
            counters: ReceiverCounters::default(),
        }
    }

    /// Sets the payload types after renegotiation.
    pub fn set_payload_types(&mut self, payload_types: PayloadTypes) {
        self.payload_types = payload_types;
    }

    /// Whether the payload type was negotiated.
    pub fn expects(&self, payload_type: PayloadType) -> bool {
        self.payload_types.contains(payload_type)
    }

    /// Forgets the position in time, so that a hold is not filled with silence.
    pub fn reset_timeline(&mut self) {
        self.timeline = Timeline::default();
    }

    /// Reception statistics so far.
    pub fn statistics(&self) -> &ReceptionStatistics {
        &self.statistics
    }

    /// What RTCP reports of the current source, since the last report; `None` before its first packet.
    pub fn report(&mut self) -> Option<ReceptionReport> {
        self.source.as_ref().and_then(|source| self.statistics.report(source.ssrc))
    }

    /// Counters so far.
    pub fn counters(&self) -> ReceiverCounters {
        self.counters
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.window.len()
    }

    /// Handles a packet read at `now` and delivers all packets that are in order.
    pub fn handle(&mut self, packet: RtpPacket<'_>, now: Instant, sink: &mut impl FnMut(Delivery<'_>)) {
        if self.is_separate_event(packet.header, now) {
            return self.deliver_separate_event(packet, sink);
        }
        if !self.admit(packet.header, now, sink) {
            return;
        }
        let Some(source) = &mut self.source else { return };
        let extended = source.extender.extend(packet.header.sequence);
        match extended.cmp(&source.next) {
            Ordering::Less => self.count_late(extended),
            Ordering::Equal => {
                self.statistics.count(extended);
                self.deliver(extended, packet.header, packet.payload, now, sink);
                self.drain(sink);
            }
            Ordering::Greater => self.buffer(extended, packet, now, sink),
        }
    }

    /// Skips gaps that have waited long enough and fills pauses with silence.
    pub fn handle_timeout(&mut self, now: Instant, sink: &mut impl FnMut(Delivery<'_>)) {
        if self.gap_since.is_some_and(|since| now >= since + REORDER_TIME) {
            self.skip_gap(sink);
        }
        if self.timeline.fill_deadline().is_some_and(|due| now >= due) {
            self.fill_pause(now, sink);
        }
    }

    /// When to call [`Self::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        let gap = self.gap_since.map(|since| since + REORDER_TIME);
        [gap, self.timeline.fill_deadline()].into_iter().flatten().min()
    }

    /// Whether this is a telephone event on another SSRC than the audio, which goes on. Some gateways send events so.
    fn is_separate_event(&self, header: RtpHeader, now: Instant) -> bool {
        let event = Some(header.payload_type) == self.payload_types.telephone_event;
        event
            && self.source.as_ref().is_some_and(|audio| {
                let quiet = now.saturating_duration_since(audio.last_packet) >= SOURCE_QUIET;
                audio.ssrc != header.ssrc && !quiet
            })
    }

    /// Delivers the events of a separate SSRC without a reorder window: each packet repeats the event, so that one that
    /// comes late is not needed.
    fn deliver_separate_event(&mut self, packet: RtpPacket<'_>, sink: &mut impl FnMut(Delivery<'_>)) {
        let RtpHeader { ssrc, sequence, timestamp, .. } = packet.header;
        let behind = |latest| (-SEPARATE_MISORDER..=0).contains(&sequence.distance_from(latest));
        if self.events.is_some_and(|(of, latest)| of == ssrc && behind(latest)) {
            self.counters.late += 1;
            return;
        }
        self.events = Some((ssrc, sequence));
        sink(Delivery::Event { payload: packet.payload, timestamp });
    }

    /// Decides whether to accept the packet's source, and handles restarts of the sender.
    fn admit(&mut self, header: RtpHeader, now: Instant, sink: &mut impl FnMut(Delivery<'_>)) -> bool {
        let Some(source) = &mut self.source else {
            self.start(header, now);
            return true;
        };
        if source.ssrc != header.ssrc {
            let quiet = now.saturating_duration_since(source.last_packet) >= SOURCE_QUIET;
            if !quiet && self.candidate != Some(header.ssrc) {
                self.candidate = Some(header.ssrc);
                self.counters.foreign_source += 1;
                return false;
            }
            self.flush(sink);
            self.counters.source_changes += 1;
            self.timeline.forget_timestamp();
            sink(Delivery::SourceChanged);
            self.start(header, now);
            return true;
        }
        self.candidate = None;
        source.last_packet = now;
        let extended = source.extender.extend(header.sequence);
        if extended <= source.next + MAX_DROPOUT && extended + MAX_MISORDER >= source.next {
            source.jumped_to = None;
            return true;
        }
        if source.jumped_to != Some(header.sequence) {
            source.jumped_to = Some(header.sequence.next());
            self.counters.unconfirmed_jumps += 1;
            return false;
        }
        self.flush(sink);
        self.counters.jumps += 1;
        sink(Delivery::SourceChanged);
        self.start(header, now);
        true
    }

    fn start(&mut self, header: RtpHeader, now: Instant) {
        let extender = Extender::new(header.sequence);
        let next = extender.extend(header.sequence);
        self.candidate = None;
        self.statistics.restart();
        self.source = Some(SyncSource {
            ssrc: header.ssrc,
            extender,
            next,
            seen: 0,
            last_packet: now,
            jumped_to: None,
        });
    }

    fn count_late(&mut self, extended: u64) {
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

    fn buffer(
        &mut self,
        extended: u64,
        packet: RtpPacket<'_>,
        now: Instant,
        sink: &mut impl FnMut(Delivery<'_>),
    ) {
        let position = self.window.partition_point(|waiting| waiting.extended < extended);
        if self.window.get(position).is_some_and(|waiting| waiting.extended == extended) {
            self.counters.duplicates += 1;
            return;
        }
        self.statistics.count(extended);
        let buffered = BufferedPacket {
            extended,
            header: packet.header,
            payload: packet.payload.to_vec(),
            arrival: now,
        };
        self.window.insert(position, buffered);
        self.gap_since.get_or_insert(now);
        if self.window.len() > REORDER_PACKETS {
            self.skip_gap(sink);
        }
    }

    /// Gives up the packets that are missing before the first waiting one.
    fn skip_gap(&mut self, sink: &mut impl FnMut(Delivery<'_>)) {
        if let (Some(source), Some(first)) = (&mut self.source, self.window.first()) {
            let missing = first.extended - source.next;
            source.seen = u32::try_from(missing).ok().and_then(|by| source.seen.checked_shl(by)).unwrap_or(0);
            source.next = first.extended;
            self.timeline.mark_loss();
        }
        self.drain(sink);
    }

    /// Delivers waiting packets that are next in sequence.
    fn drain(&mut self, sink: &mut impl FnMut(Delivery<'_>)) {
        while let (Some(first), Some(source)) = (self.window.first(), &self.source)
            && first.extended == source.next
        {
            let next = self.window.remove(0);
            self.deliver(next.extended, next.header, &next.payload, next.arrival, sink);
        }
        self.gap_since = self.window.first().map(|waiting| waiting.arrival);
    }

    /// Delivers all waiting packets, for the end of a stream.
    pub fn flush(&mut self, sink: &mut impl FnMut(Delivery<'_>)) {
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
        if Some(header.payload_type) == self.payload_types.telephone_event {
            sink(Delivery::Event { payload, timestamp: header.timestamp });
        } else if Some(header.payload_type) == self.payload_types.comfort_noise {
            self.counters.comfort_noise += 1;
        } else if header.payload_type != self.payload_types.audio {
            self.counters.unknown_payload += 1;
        } else if !payload.is_empty() {
            self.statistics.update_jitter(header.timestamp, arrival);
            self.fill_gap(header.timestamp, arrival, sink);
            sink(Delivery::Audio { payload, arrival });
            let samples = payload.len() as u64;
            self.timeline.advance(header.timestamp, samples, arrival);
        }
    }

    /// Fills the time between the last audio and the packet at `timestamp` with silence.
    fn fill_gap(&mut self, timestamp: RtpTimestamp, arrival: Instant, sink: &mut impl FnMut(Delivery<'_>)) {
        let gap = self.timeline.gap_before(timestamp, arrival);
        self.counters.jumps += u64::from(gap.jumped);
        self.silence(gap.samples, gap.cause, sink);
    }

    /// Fills a pause that still lasts with silence.
    fn fill_pause(&mut self, now: Instant, sink: &mut impl FnMut(Delivery<'_>)) {
        let samples = self.timeline.fill_until(now);
        self.silence(samples, GapCause::Pause, sink);
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

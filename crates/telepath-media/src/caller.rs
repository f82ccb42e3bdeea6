//! The media of a test caller: plays samples at a true pace, records what comes back, measures the echo.
//!
//! The delay of an echo is measured packet by packet: every payload that was sent once and only once is known
//! by its hash, so the packet that brings it back tells the exact delay, even over G.711, whose codes survive
//! decoding and encoding.

use crate::codec::Codec;
use crate::figures::Histogram;
use crate::playout::StreamStart;
use crate::rtp::{Datagram, Delivery, RtpHeader, RtpPacket, RtpReceiver};
use crate::sdp::Negotiated;
use crate::{FRAME, FRAME_SAMPLES};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};
use std::time::{Duration, Instant};

/// Longest recording kept.
pub const RECORDING_LIMIT: Duration = Duration::from_hours(1);

/// What is known of the echo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EchoFigures {
    /// Packets sent whose payload is like no other, so that their echo can be known.
    pub distinct: u64,
    /// Those that came back.
    pub matched: u64,
    /// Median of the time from sending to receiving, within an eighth.
    pub p50: Option<Duration>,
    /// 99th percentile of it.
    pub p99: Option<Duration>,
    /// Longest.
    pub max: Option<Duration>,
}

#[derive(Debug, Clone, Copy)]
enum Sent {
    Once(Instant),
    Matched,
    Often,
}

/// Knows sent payloads again when they come back.
#[derive(Debug, Default)]
struct EchoMeter {
    sent: HashMap<u64, Sent>,
    delays: Histogram,
    longest: Option<Duration>,
}

impl EchoMeter {
    fn sent(&mut self, codec: Codec, payload: &[u8], now: Instant) {
        let seen = self.sent.entry(fingerprint(codec, payload));
        seen.and_modify(|sent| *sent = Sent::Often).or_insert(Sent::Once(now));
    }

    fn received(&mut self, codec: Codec, payload: &[u8], now: Instant) {
        if let Some(sent) = self.sent.get_mut(&fingerprint(codec, payload))
            && let Sent::Once(at) = *sent
        {
            let delay = now.saturating_duration_since(at);
            *sent = Sent::Matched;
            self.delays.record(delay);
            self.longest = self.longest.max(Some(delay));
        }
    }

    fn figures(&self) -> EchoFigures {
        let distinct = self.sent.values().filter(|sent| !matches!(sent, Sent::Often)).count() as u64;
        EchoFigures {
            distinct,
            matched: self.delays.count(),
            p50: self.delays.median(),
            p99: self.delays.percentile(99),
            max: self.longest,
        }
    }
}

/// A hash of what the payload sounds like: codes that decode alike (the two zeros of µ-law) hash alike.
fn fingerprint(codec: Codec, payload: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for &code in payload {
        hasher.write_u8(codec.encode(codec.decode(code)));
    }
    hasher.finish()
}

/// The media side of a test caller.
#[derive(Debug)]
pub struct TestCaller {
    codec: Codec,
    header: RtpHeader,
    samples: Vec<i16>,
    /// Frames sent so far.
    frames: u32,
    origin: Instant,
    receiver: RtpReceiver,
    recording: Vec<i16>,
    meter: EchoMeter,
}

impl TestCaller {
    /// Plays `samples` from `origin` on, one packet each 20 ms, the last one padded with silence.
    pub fn new(media: &Negotiated, start: StreamStart, samples: Vec<i16>, origin: Instant) -> Self {
        Self {
            codec: media.codec,
            header: RtpHeader {
                marker: true,
                payload_type: media.payload_type,
                sequence: start.sequence,
                timestamp: start.timestamp,
                ssrc: start.ssrc,
            },
            samples,
            frames: 0,
            origin,
            receiver: RtpReceiver::new(media.payload_type, media.telephone_event),
            recording: Vec::new(),
            meter: EchoMeter::default(),
        }
    }

    /// When the next packet is due; `None` when everything was sent. Counted from the origin, so a late packet
    /// does not delay those after it.
    pub fn poll_timeout(&self) -> Option<Instant> {
        (self.position() < self.samples.len()).then(|| self.origin + FRAME * self.frames)
    }

    /// The packet due at `now`, if any; ask again until `None`.
    pub fn poll_packet(&mut self, now: Instant) -> Option<Datagram> {
        self.poll_timeout().filter(|&due| now >= due)?;
        let rest = &self.samples[self.position()..];
        let mut payload = [self.codec.encode(0); FRAME_SAMPLES];
        payload.iter_mut().zip(rest).for_each(|(code, &sample)| *code = self.codec.encode(sample));
        let datagram = Datagram::new(self.header, &payload);
        self.meter.sent(self.codec, &payload, now);
        self.frames += 1;
        self.header.marker = false;
        self.header.sequence = self.header.sequence.next();
        self.header.timestamp = self.header.timestamp.after(FRAME_SAMPLES as u64);
        Some(datagram)
    }

    /// A datagram was read. Anything but RTP is ignored.
    pub fn handle_rtp(&mut self, bytes: &[u8], now: Instant) {
        let Ok(packet) = RtpPacket::parse(bytes) else { return };
        if packet.header.payload_type == self.header.payload_type {
            self.meter.received(self.codec, packet.payload, now);
        }
        let (codec, recording) = (self.codec, &mut self.recording);
        self.receiver.handle(packet, now, &mut |delivery| record(codec, recording, delivery));
    }

    /// Ends recording: packets behind a gap are taken in.
    pub fn finish(&mut self) {
        let (codec, recording) = (self.codec, &mut self.recording);
        self.receiver.finish(&mut |delivery| record(codec, recording, delivery));
    }

    /// What was heard so far, with silence where nothing was.
    pub fn recording(&self) -> &[i16] {
        &self.recording
    }

    /// Packets received and lost so far.
    pub fn statistics(&self) -> &crate::rtp::ReceptionStatistics {
        self.receiver.statistics()
    }

    /// The echo so far.
    pub fn echo(&self) -> EchoFigures {
        self.meter.figures()
    }

    fn position(&self) -> usize {
        self.frames as usize * FRAME_SAMPLES
    }
}

fn record(codec: Codec, recording: &mut Vec<i16>, delivery: Delivery<'_>) {
    let limit = usize::try_from(crate::samples_in(RECORDING_LIMIT)).unwrap_or(usize::MAX);
    let room = limit.saturating_sub(recording.len());
    match delivery {
        Delivery::Audio { payload, arrival: _ } => {
            recording.extend(payload.iter().take(room).map(|&code| codec.decode(code)));
        }
        Delivery::Silence { samples, cause: _ } => {
            let count = usize::try_from(samples).unwrap_or(usize::MAX).min(room);
            recording.extend(std::iter::repeat_n(0, count));
        }
        Delivery::Event { .. } => {}
    }
}

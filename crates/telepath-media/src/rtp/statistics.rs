//! Reception statistics: expected and lost packets, interarrival jitter (RFC 3550 appendices A.1, A.3, A.8).
//!
//! The statistics cover the whole call: when the peer changes its SSRC, the sequence starts again, but earlier losses
//! still count.

use super::{RtpTimestamp, SequenceNumber, Ssrc};
use crate::media_clock::{SAMPLE_RATE, samples_in};
use std::time::{Duration, Instant};

/// What RTCP reports of the current source (RFC 3550 section 6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceptionReport {
    /// The source.
    pub ssrc: Ssrc,
    /// Packets lost since the last report, in 1/256 of those expected.
    pub fraction_lost: u8,
    /// Packets lost since the first packet of the source.
    pub cumulative_lost: i32,
    /// Highest sequence number received, below the number of its cycles.
    pub highest_sequence: u32,
    /// Interarrival jitter in samples.
    pub jitter: u32,
}

/// Reception statistics of one call.
#[derive(Debug, Clone, Default)]
pub struct ReceptionStatistics {
    received: u64,
    received_before: u64,
    expected_before: u64,
    current: Option<Sequence>,
    /// Expected and received packets at the last report.
    reported: (u64, u64),
    transit: Option<Transit>,
    /// Jitter in 1/16 sample (RFC 3550 appendix A.8).
    jitter_16: u64,
    jitter_max_16: u64,
}

#[derive(Debug, Clone, Copy)]
struct Sequence {
    base: u64,
    highest: u64,
}

#[derive(Debug, Clone, Copy)]
struct Transit {
    arrival: Instant,
    timestamp: RtpTimestamp,
}

impl ReceptionStatistics {
    /// Starts a new source with unrelated sequence numbers and timestamps.
    pub fn restart(&mut self) {
        self.expected_before = self.expected();
        self.received_before = self.received;
        self.current = None;
        self.reported = (self.expected_before, self.received);
        self.transit = None;
    }

    /// Counts a packet by its extended sequence number. Duplicates must not be counted.
    pub(crate) fn count(&mut self, extended: u64) {
        self.received += 1;
        let sequence = self.current.get_or_insert(Sequence { base: extended, highest: extended });
        sequence.base = sequence.base.min(extended);
        sequence.highest = sequence.highest.max(extended);
    }

    /// Updates the jitter with an audio packet. Event packets must not be passed: they repeat their timestamp.
    pub(crate) fn update_jitter(&mut self, timestamp: RtpTimestamp, arrival: Instant) {
        if let Some(last) = self.transit {
            let elapsed = samples_in(arrival.saturating_duration_since(last.arrival)).cast_signed();
            let difference = (elapsed - i64::from(timestamp.distance_from(last.timestamp))).unsigned_abs();
            // More than a second is a pause or a new timestamp origin, not jitter.
            if difference < u64::from(SAMPLE_RATE) {
                self.jitter_16 = self.jitter_16 + difference - ((self.jitter_16 + 8) >> 4);
                self.jitter_max_16 = self.jitter_max_16.max(self.jitter_16);
            }
        }
        self.transit = Some(Transit { arrival, timestamp });
    }

    /// The report on the current source; the next one counts from here. `None` before its first packet.
    pub(crate) fn report(&mut self, ssrc: Ssrc) -> Option<ReceptionReport> {
        let sequence = self.current?;
        let (expected, received) = (self.expected(), self.received);
        let (expected_before, received_before) = std::mem::replace(&mut self.reported, (expected, received));
        let interval = expected - expected_before;
        let lost = interval.saturating_sub(received - received_before);
        let fraction = (lost << 8).checked_div(interval).unwrap_or(0);
        let total = (expected - self.expected_before).saturating_sub(received - self.received_before);
        Some(ReceptionReport {
            ssrc,
            fraction_lost: u8::try_from(fraction).unwrap_or(u8::MAX),
            cumulative_lost: i32::try_from(total).unwrap_or(i32::MAX),
            highest_sequence: (sequence.highest.wrapping_sub(Extender::FIRST_CYCLE) & 0xffff_ffff) as u32,
            jitter: u32::try_from(self.jitter_16 >> 4).unwrap_or(u32::MAX),
        })
    }

    /// Received packets, without duplicates.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Expected packets over all sources of the call.
    pub fn expected(&self) -> u64 {
        self.expected_before + self.current.map_or(0, |sequence| sequence.highest - sequence.base + 1)
    }

    /// Lost packets. Never negative, because duplicates do not count as received.
    pub fn lost(&self) -> u64 {
        self.expected().saturating_sub(self.received)
    }

    /// Lost packets in percent of the expected ones.
    pub fn loss_percent(&self) -> f64 {
        if self.expected() == 0 { 0.0 } else { ratio(self.lost(), self.expected()) * 100.0 }
    }

    /// The current interarrival jitter.
    pub fn jitter(&self) -> Duration {
        Duration::from_nanos((self.jitter_16 * 125_000) >> 4)
    }

    /// The maximum interarrival jitter.
    pub fn jitter_max(&self) -> Duration {
        Duration::from_nanos((self.jitter_max_16 * 125_000) >> 4)
    }
}

/// Quotient of two counts.
#[expect(clippy::cast_precision_loss, reason = "packet counts of a call are far below 2^52")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

/// Extends 16-bit sequence numbers to 64 bits relative to the last one (RFC 3550 appendix A.1, without its limits).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extender {
    reference: u64,
}

impl Extender {
    /// Where the numbers of a source start.
    const FIRST_CYCLE: u64 = 0x1_0000;

    /// Starts one cycle up, so that a packet from before the first one has a positive number.
    pub(crate) fn new(first: SequenceNumber) -> Self {
        Self { reference: Self::FIRST_CYCLE + u64::from(first.0) }
    }

    /// The extended number closest to the reference.
    pub(crate) fn extend(self, sequence: SequenceNumber) -> u64 {
        let near = SequenceNumber((self.reference & 0xffff) as u16);
        self.reference.saturating_add_signed(i64::from(sequence.distance_from(near)))
    }

    /// Moves the reference forward.
    pub(crate) fn advance(&mut self, extended: u64) {
        self.reference = self.reference.max(extended);
    }
}

//! The reports of one call.

use super::cname::CanonicalName;
use super::interval::ReportInterval;
use super::packet::{
    CompoundPacket, NtpTime, ReportBlock, RtcpError, RtcpPacket, SenderInfo, duration_of, units_in,
};
use super::write;
use crate::media_clock::{duration_of as duration_of_samples, samples_in};
use crate::rtp::{ReceptionReport, RtpHeader, RtpTimestamp, Ssrc};
use std::time::{Duration, Instant};

/// A longer round trip is a faulty report: no call is possible with it.
const MAX_ROUND_TRIP: Duration = Duration::from_secs(10);
/// A round trip may come out negative by as much as the peer's clock is coarse; it then counts as 0.
const MAX_CLOCK_ERROR: u32 = 65_536 / 20;
/// Reports for which an endpoint is a sender after it sent a packet.
const SENDER_REPORTS: u8 = 2;
/// Our time begins here and not at 0, because 0 means that there was no report (RFC 3550 section 6.4.1).
const EPOCH: Duration = Duration::from_secs(1);

/// How well the peer receives our stream, from its latest report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerReception {
    /// Packets lost since the beginning; never negative.
    pub lost: u64,
    /// Packets that the peer expected since the beginning, by its highest sequence number.
    pub expected: u64,
    /// Interarrival jitter in samples.
    pub jitter: u32,
}

impl PeerReception {
    /// Lost packets in percent of the expected ones; `None` if the peer expected none.
    pub fn loss_percent(self) -> Option<f64> {
        let lost = self.lost.min(self.expected);
        let percent = u32::try_from((lost * 10_000).checked_div(self.expected)?).ok()?;
        Some(f64::from(percent) / 100.0)
    }

    /// Interarrival jitter as a time.
    pub fn jitter(self) -> Duration {
        duration_of_samples(self.jitter.into())
    }
}

/// What was measured by RTCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RtcpFigures {
    /// Mean time of a round trip; `None` if the peer answered no report of ours.
    pub round_trip: Option<Duration>,
    /// How well the peer receives; `None` if it did not report.
    pub peer: Option<PeerReception>,
}

/// The stream that we send.
#[derive(Debug, Clone, Copy)]
struct SentStream {
    first_sequence: u16,
    timestamp: RtpTimestamp,
    sent_at: Instant,
    packets: u32,
    octets: u32,
    /// For how many more reports we are a sender: the next two after a packet (RFC 3550 section 6.4).
    reports: u8,
}

/// RTCP of one call. It starts when the call is answered.
#[derive(Debug)]
pub struct RtcpSession {
    ssrc: Ssrc,
    cname: CanonicalName,
    interval: ReportInterval,
    origin: Instant,
    next_report: Option<Instant>,
    sent: Option<SentStream>,
    /// The peer's last sender report: its source, the middle of its time, and when it arrived.
    last_report: Option<(Ssrc, u32, Instant)>,
    round_trips: u32,
    round_trip_total: Duration,
    peer: Option<PeerReception>,
}

impl RtcpSession {
    /// Creates the session of the stream with this SSRC. `seed` decides the intervals between reports.
    pub fn new(ssrc: Ssrc, cname: CanonicalName, seed: u64, now: Instant) -> Self {
        Self {
            ssrc,
            cname,
            interval: ReportInterval::new(seed),
            origin: now,
            next_report: None,
            sent: None,
            last_report: None,
            round_trips: 0,
            round_trip_total: Duration::ZERO,
            peer: None,
        }
    }

    /// The call was answered: reports may be sent.
    pub fn start(&mut self, now: Instant) {
        if self.next_report.is_none() {
            self.next_report = Some(now + self.interval.first());
        }
    }

    /// An RTP packet is sent.
    pub fn note_sent(&mut self, header: RtpHeader, payload: usize, now: Instant) {
        let sent = self.sent.get_or_insert(SentStream {
            first_sequence: header.sequence.0,
            timestamp: header.timestamp,
            sent_at: now,
            packets: 0,
            octets: 0,
            reports: SENDER_REPORTS,
        });
        (sent.timestamp, sent.sent_at, sent.reports) = (header.timestamp, now, SENDER_REPORTS);
        sent.packets = sent.packets.wrapping_add(1);
        sent.octets = sent.octets.wrapping_add(u32::try_from(payload).unwrap_or(u32::MAX));
    }

    /// Handles a compound packet of the peer.
    ///
    /// # Errors
    /// [`RtcpError`] if the datagram is not one.
    pub fn handle(&mut self, bytes: &[u8], now: Instant) -> Result<(), RtcpError> {
        for packet in CompoundPacket::parse(bytes)?.packets() {
            if let RtcpPacket::Report { ssrc, info: Some(info), .. } = packet {
                self.last_report = Some((ssrc, info.sent_at.middle(), now));
            }
            let ours = packet.blocks().find(|block| block.ssrc == self.ssrc);
            if let Some(block) = ours {
                self.handle_block(block, now);
            }
        }
        Ok(())
    }

    /// When [`Self::poll_report`] has a report.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next_report
    }

    /// The report that is due, with what was received since the last one.
    pub fn poll_report(
        &mut self,
        reception: impl FnOnce() -> Option<ReceptionReport>,
        now: Instant,
    ) -> Option<Vec<u8>> {
        self.next_report.filter(|&due| now >= due)?;
        self.next_report = Some(now + self.interval.next());
        Some(self.report(reception(), now))
    }

    /// The last report with a BYE (RFC 3550 section 6.3.7); `None` if the call was never answered. No report follows.
    pub fn finish(&mut self, reception: Option<ReceptionReport>, now: Instant) -> Option<Vec<u8>> {
        self.next_report.take()?;
        let mut packet = self.report(reception, now);
        write::bye(&mut packet, self.ssrc);
        Some(packet)
    }

    /// What was measured so far.
    pub fn figures(&self) -> RtcpFigures {
        let round_trip = self.round_trip_total.checked_div(self.round_trips);
        RtcpFigures { round_trip, peer: self.peer }
    }

    fn report(&mut self, reception: Option<ReceptionReport>, now: Instant) -> Vec<u8> {
        let sent_at = self.time(now);
        let info = self.sent.as_mut().filter(|sent| sent.reports > 0).map(|sent| {
            sent.reports -= 1;
            let since = samples_in(now.saturating_duration_since(sent.sent_at));
            SenderInfo {
                sent_at,
                timestamp: sent.timestamp.after(since),
                packets: sent.packets,
                octets: sent.octets,
            }
        });
        let block = reception.map(|reception| {
            let last = self.last_report.filter(|(ssrc, ..)| *ssrc == reception.ssrc);
            ReportBlock {
                ssrc: reception.ssrc,
                fraction_lost: reception.fraction_lost,
                cumulative_lost: reception.cumulative_lost,
                highest_sequence: reception.highest_sequence,
                jitter: reception.jitter,
                last_report: last.map_or(0, |(_, middle, _)| middle),
                delay: last.map_or(0, |(.., arrival)| units_in(now.saturating_duration_since(arrival))),
            }
        });
        write::report(self.ssrc, info, block, &self.cname)
    }

    fn handle_block(&mut self, block: ReportBlock, now: Instant) {
        let Some(sent) = self.sent else { return };
        let expected = block.highest_sequence.wrapping_sub(sent.first_sequence.into()).wrapping_add(1);
        self.peer = Some(PeerReception {
            lost: u64::try_from(block.cumulative_lost).unwrap_or(0),
            expected: expected.min(sent.packets).into(),
            jitter: block.jitter,
        });
        if block.last_report == 0 {
            return;
        }
        // Arrival - LSR - DLSR (RFC 3550 section 6.4.1).
        let units = self.time(now).middle().wrapping_sub(block.last_report).wrapping_sub(block.delay);
        let round_trip =
            if units.wrapping_neg() <= MAX_CLOCK_ERROR { Duration::ZERO } else { duration_of(units) };
        if round_trip <= MAX_ROUND_TRIP {
            self.round_trips = self.round_trips.saturating_add(1);
            self.round_trip_total += round_trip;
        }
    }

    fn time(&self, now: Instant) -> NtpTime {
        NtpTime::after(EPOCH + now.saturating_duration_since(self.origin))
    }
}

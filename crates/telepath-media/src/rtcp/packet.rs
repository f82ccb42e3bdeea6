//! RTCP packets (RFC 3550 sections 6.4 to 6.7). A compound packet is checked as a whole before its parts are read.

use crate::rtp::{RtpTimestamp, Ssrc, is_rtcp};
use std::time::Duration;

/// The most report blocks in one report: the count has five bits.
pub const MAX_REPORT_BLOCKS: usize = 31;

pub(super) const SENDER_REPORT: u8 = 200;
pub(super) const RECEIVER_REPORT: u8 = 201;
pub(super) const SOURCE_DESCRIPTION: u8 = 202;
pub(super) const BYE: u8 = 203;
const SENDER_INFO: usize = 20;
const BLOCK: usize = 24;

/// Why a datagram is not a compound RTCP packet (RFC 3550 appendix A.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RtcpError {
    /// A packet is longer than the datagram, or shorter than its contents.
    #[error("an RTCP packet is truncated")]
    Truncated,
    /// The version is not 2.
    #[error("the datagram is not RTCP version 2")]
    Version,
    /// The type of the first packet is not one of RTCP.
    #[error("the datagram does not begin with an RTCP packet")]
    NotRtcp,
    /// A packet before the last has padding, or there is more padding than packet.
    #[error("the RTCP padding is invalid")]
    Padding,
}

/// A time in the 64-bit format of NTP. Only differences matter: an endpoint may count from any moment (RFC 3550 section
/// 6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NtpTime(pub u64);

impl NtpTime {
    /// The time after so much has passed.
    pub fn after(elapsed: Duration) -> Self {
        let fraction = (u64::from(elapsed.subsec_nanos()) << 32) / 1_000_000_000;
        Self(elapsed.as_secs() << 32 | fraction)
    }

    /// The middle 32 bits: seconds and fraction with 16 bits each.
    pub fn middle(self) -> u32 {
        (self.0 >> 16 & 0xffff_ffff) as u32
    }
}

/// A number of 1/65536 seconds as a duration.
pub(super) fn duration_of(units: u32) -> Duration {
    Duration::from_nanos((u64::from(units) * 1_000_000_000) >> 16)
}

/// A duration in 1/65536 seconds, at most 18 hours.
pub(super) fn units_in(duration: Duration) -> u32 {
    u32::try_from((duration.as_nanos() << 16) / 1_000_000_000).unwrap_or(u32::MAX)
}

/// What a sender reports about its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderInfo {
    /// When the report was sent.
    pub sent_at: NtpTime,
    /// The same moment in the time of the stream.
    pub timestamp: RtpTimestamp,
    /// Packets sent; wraps.
    pub packets: u32,
    /// Bytes of payload sent; wraps.
    pub octets: u32,
}

/// What a receiver reports about a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportBlock {
    /// Source of the stream.
    pub ssrc: Ssrc,
    /// Packets lost since the last report, in 1/256 of those expected.
    pub fraction_lost: u8,
    /// Packets lost since the beginning; negative if duplicates outnumber losses. 24 bits are sent.
    pub cumulative_lost: i32,
    /// Highest sequence number received, below the number of its cycles.
    pub highest_sequence: u32,
    /// Interarrival jitter in units of the stream's timestamp.
    pub jitter: u32,
    /// [`NtpTime::middle`] of the last sender report; 0 if none was received.
    pub last_report: u32,
    /// Time since then, in 1/65536 seconds.
    pub delay: u32,
}

impl ReportBlock {
    fn read(bytes: &[u8]) -> Option<Self> {
        let (words, []) = bytes.as_chunks::<4>() else { return None };
        let [ssrc, loss, highest_sequence, jitter, last_report, delay] = *words else { return None };
        let [fraction_lost, l0, l1, l2] = loss;
        // Sign extension of 24 bits.
        let cumulative_lost = i32::from_be_bytes([l0, l1, l2, 0]) >> 8;
        Some(Self {
            ssrc: Ssrc(u32::from_be_bytes(ssrc)),
            fraction_lost,
            cumulative_lost,
            highest_sequence: u32::from_be_bytes(highest_sequence),
            jitter: u32::from_be_bytes(jitter),
            last_report: u32::from_be_bytes(last_report),
            delay: u32::from_be_bytes(delay),
        })
    }
}

/// A packet within a compound packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RtcpPacket<'a> {
    /// A sender report, or a receiver report without `info`.
    Report {
        /// Who reports.
        ssrc: Ssrc,
        /// What it reports of its own stream.
        info: Option<SenderInfo>,
        /// What it reports of others, see [`Self::blocks`].
        blocks: &'a [u8],
    },
    /// The end of a source.
    Bye {
        /// Which source; `None` if the packet names none.
        ssrc: Option<Ssrc>,
    },
    /// Source descriptions, feedback and everything else that a call does not need.
    Other,
}

impl RtcpPacket<'_> {
    /// The report blocks, at most [`MAX_REPORT_BLOCKS`].
    pub fn blocks(&self) -> impl Iterator<Item = ReportBlock> {
        let blocks = match self {
            Self::Report { blocks, .. } => blocks,
            Self::Bye { .. } | Self::Other => &[][..],
        };
        blocks.chunks_exact(BLOCK).filter_map(ReportBlock::read)
    }
}

/// A compound packet whose structure was checked.
#[derive(Debug, Clone, Copy)]
pub struct CompoundPacket<'a>(&'a [u8]);

impl<'a> CompoundPacket<'a> {
    /// Checks the packets of a datagram.
    ///
    /// # Errors
    /// See [`RtcpError`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RtcpError> {
        // Some peers begin with another packet: one that opens a path through NAT, or the end of a source (RFC 5506).
        match bytes {
            [] | [_] => return Err(RtcpError::Truncated),
            [flags, ..] if flags >> 6 != 2 => return Err(RtcpError::Version),
            _ if !is_rtcp(bytes) => return Err(RtcpError::NotRtcp),
            _ => {}
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let (packet, after) = split(rest).ok_or(RtcpError::Truncated)?;
            let [flags, ..] = *packet else { return Err(RtcpError::Truncated) };
            if flags >> 6 != 2 {
                return Err(RtcpError::Version);
            }
            if flags & 0x20 != 0 && !after.is_empty() {
                return Err(RtcpError::Padding);
            }
            let content = without_padding(packet).ok_or(RtcpError::Padding)?;
            read(content).ok_or(RtcpError::Truncated)?;
            rest = after;
        }
        Ok(Self(bytes))
    }

    /// The packets in order.
    pub fn packets(&self) -> impl Iterator<Item = RtcpPacket<'a>> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (packet, after) = split(rest)?;
            rest = after;
            without_padding(packet).and_then(read)
        })
    }
}

/// Splits off the first packet.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let [_, _, high, low] = *bytes.first_chunk::<4>()?;
    bytes.split_at_checked((usize::from(u16::from_be_bytes([high, low])) + 1) * 4)
}

fn without_padding(packet: &[u8]) -> Option<&[u8]> {
    let padded = packet.first()? & 0x20 != 0;
    let padding = if padded { usize::from(*packet.last()?) } else { 0 };
    let sound = !padded || (padding > 0 && padding.is_multiple_of(4));
    packet.get(..packet.len().checked_sub(padding)?).filter(|content| sound && content.len() >= 4)
}

/// Reads a packet; `None` if it is shorter than its contents.
fn read(packet: &[u8]) -> Option<RtcpPacket<'_>> {
    let ([flags, kind, _, _], body) = packet.split_first_chunk::<4>()?;
    let count = usize::from(flags & 0x1f);
    match *kind {
        SENDER_REPORT => {
            let (ssrc, rest) = split_ssrc(body)?;
            let (info, rest) = rest.split_first_chunk::<SENDER_INFO>()?;
            Some(RtcpPacket::Report {
                ssrc,
                info: Some(sender_info(info)),
                blocks: rest.get(..count * BLOCK)?,
            })
        }
        RECEIVER_REPORT => {
            let (ssrc, rest) = split_ssrc(body)?;
            Some(RtcpPacket::Report { ssrc, info: None, blocks: rest.get(..count * BLOCK)? })
        }
        BYE => {
            body.get(..count * 4)?;
            let ssrc = if count > 0 { split_ssrc(body).map(|(ssrc, _)| ssrc) } else { None };
            Some(RtcpPacket::Bye { ssrc })
        }
        _ => Some(RtcpPacket::Other),
    }
}

fn split_ssrc(bytes: &[u8]) -> Option<(Ssrc, &[u8])> {
    let (ssrc, rest) = bytes.split_first_chunk::<4>()?;
    Some((Ssrc(u32::from_be_bytes(*ssrc)), rest))
}

fn sender_info(bytes: &[u8; SENDER_INFO]) -> SenderInfo {
    let [s0, s1, s2, s3, f0, f1, f2, f3, t0, t1, t2, t3, p0, p1, p2, p3, o0, o1, o2, o3] = *bytes;
    SenderInfo {
        // Seconds, then the fraction of a second.
        sent_at: NtpTime(u64::from_be_bytes([s0, s1, s2, s3, f0, f1, f2, f3])),
        timestamp: RtpTimestamp(u32::from_be_bytes([t0, t1, t2, t3])),
        packets: u32::from_be_bytes([p0, p1, p2, p3]),
        octets: u32::from_be_bytes([o0, o1, o2, o3]),
    }
}

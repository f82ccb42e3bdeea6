//! The RTP packet on the wire (RFC 3550 section 5.1).
//!
//! Parsing borrows the payload and checks every length before it is used; writing goes into a fixed buffer, so
//! that a packet toward the caller costs no allocation.

use crate::FRAME_SAMPLES;

const FIXED_HEADER: usize = 12;

/// A payload type, 0 to 127.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PayloadType(u8);

impl PayloadType {
    /// Static payload type of G.711 µ-law.
    pub const PCMU: Self = Self(0);
    /// Static payload type of G.711 A-law.
    pub const PCMA: Self = Self(8);
    /// The number this house offers for telephone-event.
    pub const TELEPHONE_EVENT: Self = Self(101);

    /// Makes a payload type; `None` above 127.
    pub fn new(number: u8) -> Option<Self> {
        (number < 128).then_some(Self(number))
    }

    /// The number.
    pub fn get(self) -> u8 {
        self.0
    }
}

impl std::fmt::Display for PayloadType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A synchronization source identifier; random per stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ssrc(pub u32);

/// A 16-bit sequence number that wraps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SequenceNumber(pub u16);

impl SequenceNumber {
    /// The number that follows.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }

    /// Signed distance from `other` to `self` on the shortest way around.
    pub fn distance_from(self, other: Self) -> i16 {
        self.0.wrapping_sub(other.0).cast_signed()
    }
}

/// A media timestamp in samples that wraps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RtpTimestamp(pub u32);

impl RtpTimestamp {
    /// The timestamp a number of samples later; wraps as RTP does.
    #[must_use]
    pub fn after(self, samples: u64) -> Self {
        Self(self.0.wrapping_add((samples & 0xffff_ffff) as u32))
    }

    /// Signed distance in samples from `other` to `self` on the shortest way around.
    pub fn distance_from(self, other: Self) -> i32 {
        self.0.wrapping_sub(other.0).cast_signed()
    }
}

/// Why bytes are not an RTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RtpError {
    /// Shorter than its own header says.
    #[error("RTP packet from the caller ends inside its header")]
    Truncated,
    /// A control packet (RTCP) on the media port; not used yet.
    #[error("datagram from the caller is RTCP")]
    Control,
    /// Not version 2.
    #[error("datagram from the caller is not RTP version 2")]
    Version,
    /// The padding length is zero or longer than the payload.
    #[error("RTP packet from the caller has impossible padding")]
    Padding,
}

/// The fixed part of an RTP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtpHeader {
    /// Set on the first packet of a talk spurt (RFC 3551 section 4.1).
    pub marker: bool,
    /// What the payload is.
    pub payload_type: PayloadType,
    /// Position in the stream of packets.
    pub sequence: SequenceNumber,
    /// Position in media time.
    pub timestamp: RtpTimestamp,
    /// Whose stream it is.
    pub ssrc: Ssrc,
}

/// A parsed packet; the payload is borrowed from the datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtpPacket<'a> {
    /// The fixed header.
    pub header: RtpHeader,
    /// The payload without padding.
    pub payload: &'a [u8],
}

impl<'a> RtpPacket<'a> {
    /// Parses a datagram. Contributing sources and a header extension are skipped, padding is cut off.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RtpError> {
        let (fixed, rest) = bytes.split_first_chunk::<FIXED_HEADER>().ok_or(RtpError::Truncated)?;
        let [flags, kind, s0, s1, t0, t1, t2, t3, r0, r1, r2, r3] = *fixed;
        if flags >> 6 != 2 {
            return Err(RtpError::Version);
        }
        // Where both share a port these second bytes are RTCP's (RFC 5761 section 4).
        if (192..=223).contains(&kind) {
            return Err(RtpError::Control);
        }
        let sources = usize::from(flags & 0x0f) * 4;
        let mut payload = rest.get(sources..).ok_or(RtpError::Truncated)?;
        if flags & 0x10 != 0 {
            let (extension, after) = payload.split_first_chunk::<4>().ok_or(RtpError::Truncated)?;
            let words = usize::from(u16::from_be_bytes([extension[2], extension[3]]));
            payload = after.get(words * 4..).ok_or(RtpError::Truncated)?;
        }
        if flags & 0x20 != 0 {
            let padding = usize::from(*payload.last().ok_or(RtpError::Padding)?);
            let kept = payload.len().checked_sub(padding).filter(|_| padding > 0).ok_or(RtpError::Padding)?;
            payload = &payload[..kept];
        }
        let header = RtpHeader {
            marker: kind & 0x80 != 0,
            payload_type: PayloadType(kind & 0x7f),
            sequence: SequenceNumber(u16::from_be_bytes([s0, s1])),
            timestamp: RtpTimestamp(u32::from_be_bytes([t0, t1, t2, t3])),
            ssrc: Ssrc(u32::from_be_bytes([r0, r1, r2, r3])),
        };
        Ok(Self { header, payload })
    }
}

/// A packet ready to be sent, in a fixed buffer of at most one G.711 frame.
#[derive(Clone, PartialEq, Eq)]
pub struct Datagram {
    length: usize,
    bytes: [u8; FIXED_HEADER + FRAME_SAMPLES],
}

impl Datagram {
    /// Writes a packet. A payload beyond one frame (160 bytes) is cut; no caller in this crate makes one.
    pub fn new(header: RtpHeader, payload: &[u8]) -> Self {
        let mut bytes = [0; FIXED_HEADER + FRAME_SAMPLES];
        bytes[0] = 0x80;
        bytes[1] = header.payload_type.0 | if header.marker { 0x80 } else { 0 };
        bytes[2..4].copy_from_slice(&header.sequence.0.to_be_bytes());
        bytes[4..8].copy_from_slice(&header.timestamp.0.to_be_bytes());
        bytes[8..12].copy_from_slice(&header.ssrc.0.to_be_bytes());
        let size = payload.len().min(FRAME_SAMPLES);
        bytes[FIXED_HEADER..FIXED_HEADER + size].copy_from_slice(&payload[..size]);
        Self { length: FIXED_HEADER + size, bytes }
    }

    /// The bytes to send.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl std::fmt::Debug for Datagram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Datagram({} bytes)", self.length)
    }
}

//! The RTP packet format (RFC 3550 section 5.1).
//!
//! A parsed packet borrows its payload, and every length is checked before use. A packet to send is written into a
//! fixed buffer without allocation.

use crate::media_clock::FRAME_SAMPLES;

const FIXED_HEADER: usize = 12;
/// Room behind the payload for the authentication tag of SRTP.
const TRAILER: usize = 16;

/// A payload type number, 0 to 127.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PayloadType(u8);

impl PayloadType {
    /// Static payload type of G.711 µ-law.
    pub const PCMU: Self = Self(0);
    /// Static payload type of G.711 A-law.
    pub const PCMA: Self = Self(8);
    /// Static payload type of G.722.
    pub const G722: Self = Self(9);
    /// Static payload type of comfort noise (RFC 3389).
    pub const COMFORT_NOISE: Self = Self(13);
    /// The dynamic payload type that our offers use for telephone-event.
    pub const TELEPHONE_EVENT: Self = Self(101);

    /// Returns `None` for numbers above 127.
    pub fn new(number: u8) -> Option<Self> {
        (number < 128).then_some(Self(number))
    }

    /// The number, 0 to 127.
    pub fn get(self) -> u8 {
        self.0
    }
}

impl std::fmt::Display for PayloadType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The payload types of one direction. The two directions may use different numbers (RFC 3264 section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayloadTypes {
    /// The audio codec.
    pub audio: PayloadType,
    /// telephone-event (RFC 4733), if both sides support it.
    pub telephone_event: Option<PayloadType>,
    /// Comfort noise (RFC 3389), if both sides support it.
    pub comfort_noise: Option<PayloadType>,
}

impl PayloadTypes {
    /// Whether the payload type was negotiated.
    pub fn contains(&self, payload_type: PayloadType) -> bool {
        payload_type == self.audio
            || Some(payload_type) == self.telephone_event
            || Some(payload_type) == self.comfort_noise
    }
}

/// A synchronization source identifier (SSRC).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ssrc(pub u32);

/// A sequence number; wraps at 16 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SequenceNumber(pub u16);

impl SequenceNumber {
    /// The following sequence number.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }

    /// Signed distance from `other` to `self` modulo 2^16.
    pub fn distance_from(self, other: Self) -> i16 {
        self.0.wrapping_sub(other.0).cast_signed()
    }
}

/// An RTP timestamp in samples; wraps at 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RtpTimestamp(pub u32);

impl RtpTimestamp {
    /// The timestamp a number of samples later.
    #[must_use]
    pub fn after(self, samples: u64) -> Self {
        Self(self.0.wrapping_add((samples & 0xffff_ffff) as u32))
    }

    /// Signed distance in samples from `other` to `self` modulo 2^32.
    pub fn distance_from(self, other: Self) -> i32 {
        self.0.wrapping_sub(other.0).cast_signed()
    }
}

/// Why a datagram is not an RTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RtpError {
    /// The datagram is shorter than its header.
    #[error("the RTP header is truncated")]
    Truncated,
    /// The datagram is RTCP on the RTP port (RFC 5761).
    #[error("the datagram is RTCP")]
    Control,
    /// The version is not 2.
    #[error("the datagram is not RTP version 2")]
    Version,
    /// The padding length is zero or longer than the payload.
    #[error("the RTP padding is invalid")]
    Padding,
}

/// The fixed RTP header, without contributing sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtpHeader {
    /// Set on the first packet of a talk spurt (RFC 3551 section 4.1).
    pub marker: bool,
    /// Format of the payload.
    pub payload_type: PayloadType,
    /// Increments by one per packet.
    pub sequence: SequenceNumber,
    /// Sampling instant of the first sample.
    pub timestamp: RtpTimestamp,
    /// Source of the stream.
    pub ssrc: Ssrc,
}

/// A parsed packet; the payload is borrowed from the datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtpPacket<'a> {
    /// The header without contributing sources and extension.
    pub header: RtpHeader,
    /// The payload without padding.
    pub payload: &'a [u8],
}

impl<'a> RtpPacket<'a> {
    /// Parses a datagram. Contributing sources and a header extension are skipped; padding is removed.
    ///
    /// # Errors
    /// See [`RtpError`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RtpError> {
        if is_rtcp(bytes) {
            return Err(RtpError::Control);
        }
        let fixed = bytes.first_chunk::<FIXED_HEADER>().ok_or(RtpError::Truncated)?;
        let [flags, kind, s0, s1, t0, t1, t2, t3, r0, r1, r2, r3] = *fixed;
        if flags >> 6 != 2 {
            return Err(RtpError::Version);
        }
        let offset = payload_offset(bytes).ok_or(RtpError::Truncated)?;
        let mut payload = bytes.get(offset..).ok_or(RtpError::Truncated)?;
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

/// Whether a datagram is RTCP rather than RTP, by its packet type (RFC 5761 section 4). SRTP and SRTCP do not encrypt the
/// type. A report may be shorter than an RTP header.
pub fn is_rtcp(bytes: &[u8]) -> bool {
    matches!(bytes, [flags, 192..=223, ..] if flags >> 6 == 2)
}

/// Where the payload of a packet begins: behind the header, the contributing sources and the header extension. `None` if
/// the packet is shorter.
pub(crate) fn payload_offset(bytes: &[u8]) -> Option<usize> {
    let flags = *bytes.first()?;
    let mut offset = FIXED_HEADER + usize::from(flags & 0x0f) * 4;
    if flags & 0x10 != 0 {
        let [_, _, high, low] = *bytes.get(offset..)?.first_chunk::<4>()?;
        offset += 4 + usize::from(u16::from_be_bytes([high, low])) * 4;
    }
    (offset <= bytes.len()).then_some(offset)
}

/// An encoded packet with at most one frame of 20 ms.
#[derive(Clone, PartialEq, Eq)]
pub struct Datagram {
    length: usize,
    bytes: [u8; FIXED_HEADER + FRAME_SAMPLES + TRAILER],
}

impl Datagram {
    /// Encodes a packet. A payload longer than one frame (160 bytes) is truncated.
    pub fn new(header: RtpHeader, payload: &[u8]) -> Self {
        let mut bytes = [0; FIXED_HEADER + FRAME_SAMPLES + TRAILER];
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

    /// The same, to be decrypted in place.
    pub fn as_mut_bytes(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.length]
    }

    /// Appends bytes, at most [`TRAILER`] in all, and returns the whole packet.
    pub(crate) fn extend(&mut self, by: usize) -> &mut [u8] {
        self.length = (self.length + by).min(self.bytes.len());
        self.as_mut_bytes()
    }
}

impl std::fmt::Debug for Datagram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Datagram({} bytes)", self.length)
    }
}

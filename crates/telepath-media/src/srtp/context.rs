//! The cryptographic contexts of both directions (RFC 3711 section 3.2): session keys, rollover counters, replay windows.

use super::cipher::{ENCRYPTED, RTCP_HEADER, SessionCipher};
use super::master_key::{KeyIdentifier, MasterKey, PeerKey};
use super::replay::{ReplayWindow, estimate_index};
use crate::rtp::{Datagram, SequenceNumber, Ssrc, payload_offset};
use aws_lc_rs::error::Unspecified;

/// Maximum number of SSRCs whose packets one key protects. A source is never forgotten, because its packets could then be
/// replayed; so further ones are refused.
pub const MAX_SOURCES: usize = 64;
/// The packets that one key may protect: 2^48 of SRTP and 2^31 of SRTCP (RFC 3711 section 9.2).
const MAX_INDEX: u64 = (1 << 48) - 1;
const MAX_RTCP_INDEX: u32 = ENCRYPTED - 1;

/// Why a packet was not protected, or not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SrtpError {
    /// The packet is too short.
    #[error("the SRTP packet is truncated")]
    Truncated,
    /// The packet was received before, or is older than the replay window.
    #[error("the SRTP packet was received before or is too old")]
    Replayed,
    /// The authentication tag is wrong, or the packet is not encrypted.
    #[error("the SRTP packet could not be authenticated")]
    Unauthenticated,
    /// The key has protected [`MAX_SOURCES`] sources.
    #[error("the SRTP key protects too many sources")]
    TooManySources,
    /// The key has protected as many packets as it may.
    #[error("the SRTP key has protected as many packets as it may")]
    KeyExhausted,
    /// The cryptographic library refused the key.
    #[error("the SRTP key cannot be used")]
    NoContext,
}

impl From<Unspecified> for SrtpError {
    fn from(_: Unspecified) -> Self {
        Self::Unauthenticated
    }
}

/// Protects what we send.
#[derive(Debug)]
pub(super) struct OutboundContext {
    rtp: SessionCipher,
    rtcp: SessionCipher,
    /// The last packet. We send one SSRC per call.
    last: Option<(Ssrc, u64)>,
    next_rtcp: u32,
}

impl OutboundContext {
    pub(super) fn new(key: &MasterKey) -> Result<Self, SrtpError> {
        let (rtp, rtcp) = (SessionCipher::for_rtp(key)?, SessionCipher::for_rtcp(key)?);
        Ok(Self { rtp, rtcp, last: None, next_rtcp: 0 })
    }

    pub(super) fn protect(&mut self, packet: &mut Datagram) -> Result<(), SrtpError> {
        let Some((ssrc, sequence)) = source_of(packet.as_bytes()) else { return Err(SrtpError::Truncated) };
        let header = payload_offset(packet.as_bytes()).ok_or(SrtpError::Truncated)?;
        let index = match self.last {
            Some((last_ssrc, last)) if last_ssrc == ssrc => {
                // An index must not be used twice (RFC 3711 section 9.1).
                estimate_index(last, sequence).filter(|&index| index > last).ok_or(SrtpError::Replayed)?
            }
            Some(_) | None => sequence.0.into(),
        };
        if index > MAX_INDEX {
            return Err(SrtpError::KeyExhausted);
        }
        self.rtp.seal_rtp(packet.extend(self.rtp.tag_length()), header, ssrc, index)?;
        self.last = Some((ssrc, index));
        Ok(())
    }

    pub(super) fn protect_rtcp(&mut self, packet: &mut Vec<u8>) -> Result<(), SrtpError> {
        let ssrc = rtcp_source_of(packet).ok_or(SrtpError::Truncated)?;
        let index = self.next_rtcp;
        if index > MAX_RTCP_INDEX {
            return Err(SrtpError::KeyExhausted);
        }
        self.rtcp.seal_rtcp(packet, ssrc, index)?;
        self.next_rtcp = index + 1;
        Ok(())
    }
}

/// One SSRC of the peer.
#[derive(Debug, Clone, Copy)]
struct Source {
    ssrc: Ssrc,
    rtp: Option<ReplayWindow>,
    rtcp: Option<ReplayWindow>,
}

/// Accepts what the peer sends.
#[derive(Debug)]
pub(super) struct InboundContext {
    rtp: SessionCipher,
    rtcp: SessionCipher,
    identifier: Option<KeyIdentifier>,
    /// Only sources with a packet that was authenticated.
    sources: Vec<Source>,
}

impl InboundContext {
    pub(super) fn new(peer: &PeerKey) -> Result<Self, SrtpError> {
        let (rtp, rtcp) = (SessionCipher::for_rtp(&peer.key)?, SessionCipher::for_rtcp(&peer.key)?);
        Ok(Self { rtp, rtcp, identifier: peer.identifier, sources: Vec::new() })
    }

    /// Returns the length of the RTP packet.
    pub(super) fn unprotect(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let packet = strip_identifier(&self.rtp, self.identifier, packet)?;
        let (ssrc, sequence) = source_of(packet).ok_or(SrtpError::Truncated)?;
        let header = payload_offset(packet).ok_or(SrtpError::Truncated)?;
        let window = self.source(ssrc).and_then(|source| source.rtp);
        let index = match window {
            // A stream starts with the rollover counter 0 (RFC 3711 section 3.3.1).
            None => u64::from(sequence.0),
            Some(window) => {
                let index = estimate_index(window.newest(), sequence).ok_or(SrtpError::Replayed)?;
                if !window.is_new(index) {
                    return Err(SrtpError::Replayed);
                }
                index
            }
        };
        if index > MAX_INDEX {
            return Err(SrtpError::KeyExhausted);
        }
        let length = self.rtp.open_rtp(packet, header, ssrc, index)?;
        accept(&mut self.source_mut(ssrc)?.rtp, index);
        Ok(length)
    }

    /// Returns the length of the RTCP packet.
    pub(super) fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let packet = strip_identifier(&self.rtcp, self.identifier, packet)?;
        let ssrc = rtcp_source_of(packet).ok_or(SrtpError::Truncated)?;
        let word = self.rtcp.index_word(packet).ok_or(SrtpError::Truncated)?;
        // Encryption was negotiated, so a packet without it is not the peer's.
        if word & ENCRYPTED == 0 {
            return Err(SrtpError::Unauthenticated);
        }
        let index = word & !ENCRYPTED;
        let window = self.source(ssrc).and_then(|source| source.rtcp);
        if window.is_some_and(|window| !window.is_new(index.into())) {
            return Err(SrtpError::Replayed);
        }
        let length = self.rtcp.open_rtcp(packet, ssrc, index)?;
        accept(&mut self.source_mut(ssrc)?.rtcp, index.into());
        Ok(length)
    }

    fn source(&self, ssrc: Ssrc) -> Option<&Source> {
        self.sources.iter().find(|source| source.ssrc == ssrc)
    }

    /// The state of a source whose packet was authenticated.
    fn source_mut(&mut self, ssrc: Ssrc) -> Result<&mut Source, SrtpError> {
        let known = self.sources.iter().position(|source| source.ssrc == ssrc);
        if known.is_none() {
            if self.sources.len() >= MAX_SOURCES {
                return Err(SrtpError::TooManySources);
            }
            self.sources.push(Source { ssrc, rtp: None, rtcp: None });
        }
        let position = known.unwrap_or(self.sources.len() - 1);
        self.sources.get_mut(position).ok_or(SrtpError::TooManySources)
    }
}

fn accept(window: &mut Option<ReplayWindow>, index: u64) {
    match window {
        Some(window) => window.accept(index),
        None => *window = Some(ReplayWindow::new(index)),
    }
}

/// Removes the master key identifier, which is not authenticated, so that the packet looks as it would without one.
fn strip_identifier<'a>(
    cipher: &SessionCipher,
    identifier: Option<KeyIdentifier>,
    packet: &'a mut [u8],
) -> Result<&'a mut [u8], SrtpError> {
    let Some(identifier) = identifier else { return Ok(packet) };
    let behind = if cipher.ends_with_tag() { cipher.tag_length() } else { 0 };
    let end = packet.len().checked_sub(behind).ok_or(SrtpError::Truncated)?;
    let start = end.checked_sub(identifier.length()).ok_or(SrtpError::Truncated)?;
    if !packet.get(start..end).is_some_and(|bytes| identifier.matches(bytes)) {
        return Err(SrtpError::Unauthenticated);
    }
    packet.copy_within(end.., start);
    packet.get_mut(..start + behind).ok_or(SrtpError::Truncated)
}

/// SSRC and sequence number of an RTP packet.
fn source_of(packet: &[u8]) -> Option<(Ssrc, SequenceNumber)> {
    let [_, _, s0, s1, _, _, _, _, r0, r1, r2, r3] = *packet.first_chunk::<12>()?;
    Some((Ssrc(u32::from_be_bytes([r0, r1, r2, r3])), SequenceNumber(u16::from_be_bytes([s0, s1]))))
}

/// SSRC of the first report of an RTCP packet.
fn rtcp_source_of(packet: &[u8]) -> Option<Ssrc> {
    let [_, _, _, _, r0, r1, r2, r3] = *packet.first_chunk::<RTCP_HEADER>()?;
    Some(Ssrc(u32::from_be_bytes([r0, r1, r2, r3])))
}

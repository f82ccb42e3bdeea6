//! Symmetric RTP (RFC 4961): which source addresses to accept, and where to send.
//!
//! Behind NAT the address in SDP is often wrong, so packets go to the address that packets arrive from. Anyone who
//! guesses the port could take over a call that way, so only the signalled address is trusted at once:
//!
//! - Nothing is accepted before the answer.
//! - The signalled address always wins.
//! - The accepted source may change its port at any time, if its IP address and SSRC stay the same.
//! - Another source is accepted only if the signalled address is private or unknown, or if the peer is silent, and
//!   only after [`PROBATION_PACKETS`] consecutive packets of one SSRC with a negotiated payload type.
//! - After a re-INVITE to a new address, the old address is not accepted for [`STRAGGLER_TIME`].

use super::{SequenceNumber, Ssrc};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Consecutive packets that another source must send before it is accepted.
pub const PROBATION_PACKETS: u8 = 4;
/// A public signalled address counts as silent if it sends nothing for this long after the answer, after a re-INVITE,
/// or after the end of a hold.
pub const FIRST_PACKET_WAIT: Duration = Duration::from_millis(500);
/// A source that was heard counts as silent after this long without a packet.
pub const SOURCE_SILENCE: Duration = Duration::from_secs(2);
/// How long packets from the address before a re-INVITE are ignored.
pub const STRAGGLER_TIME: Duration = Duration::from_secs(5);
/// Maximum number of sources on probation.
const CANDIDATES: usize = 4;
/// A source on probation is forgotten after this long without a packet.
const CANDIDATE_LIFETIME: Duration = Duration::from_secs(1);

/// Whether to accept a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LatchDecision {
    /// The datagram comes from the peer.
    Accept,
    /// The datagram comes from another address, or before the answer: drop and count it.
    Ignore,
}

/// What identifies a packet as part of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamPacket {
    /// Source of the stream.
    pub ssrc: Ssrc,
    /// Sequence number.
    pub sequence: SequenceNumber,
    /// Whether the payload type was negotiated.
    pub negotiated: bool,
}

/// The source whose packets are accepted.
#[derive(Debug, Clone, Copy)]
struct AcceptedSource {
    address: SocketAddr,
    ssrc: Ssrc,
    last_packet: Instant,
}

/// A source on probation.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    address: SocketAddr,
    ssrc: Ssrc,
    sequence: SequenceNumber,
    packets: u8,
    last_packet: Instant,
}

/// The remote media address of a call.
#[derive(Debug, Clone)]
pub struct SymmetricLatch {
    signalled: Option<SocketAddr>,
    source: Option<AcceptedSource>,
    candidates: Vec<Candidate>,
    /// The start of the wait for the peer's first packet; `None` before the answer.
    opened: Option<Instant>,
    /// The addresses before the last re-INVITE, and until when they are ignored.
    superseded: Option<([Option<SocketAddr>; 2], Instant)>,
}

impl SymmetricLatch {
    /// Starts with the address from SDP; `None` if SDP has no usable one. Nothing is accepted before [`Self::open`].
    pub fn new(signalled: Option<SocketAddr>) -> Self {
        Self { signalled, source: None, candidates: Vec::new(), opened: None, superseded: None }
    }

    /// The call was answered, or a hold ended: the wait for the peer's first packet starts.
    pub fn open(&mut self, now: Instant) {
        self.opened = Some(now);
        self.candidates.clear();
    }

    /// Sets the address from a new SDP (re-INVITE, UPDATE, answer in the ACK). A different address discards the
    /// accepted source.
    pub fn set_signalled(&mut self, signalled: Option<SocketAddr>, now: Instant) {
        if signalled == self.signalled {
            return;
        }
        if self.signalled.is_some() {
            let source = self.source.map(|source| source.address);
            self.superseded = Some(([self.signalled, source], now + STRAGGLER_TIME));
        }
        self.signalled = signalled;
        self.source = None;
        self.candidates.clear();
        self.opened = self.opened.map(|_| now);
    }

    /// Checks the source address of an RTP packet and learns from it.
    pub fn check_source(&mut self, from: SocketAddr, packet: StreamPacket, now: Instant) -> LatchDecision {
        let Some(opened) = self.opened else { return LatchDecision::Ignore };
        if self.signalled == Some(from) {
            return self.accept(from, packet.ssrc, now);
        }
        if self.is_superseded(from, now) {
            return LatchDecision::Ignore;
        }
        if self.is_accepted(from, packet) {
            return self.accept(from, packet.ssrc, now);
        }
        if !packet.negotiated || !self.may_learn(opened, now) {
            return LatchDecision::Ignore;
        }
        if self.count_candidate(from, packet, now) < PROBATION_PACKETS {
            return LatchDecision::Ignore;
        }
        self.accept(from, packet.ssrc, now)
    }

    /// Whether a datagram without SSRC and payload type, such as RTCP, comes from the peer.
    pub fn is_peer(&self, ip: IpAddr) -> bool {
        let source = self.source.map(|source| source.address);
        self.opened.is_some()
            && [self.signalled, source].into_iter().flatten().any(|address| address.ip() == ip)
    }

    /// Where to send: the accepted source, else the signalled address; `None` if neither is known.
    pub fn target(&self) -> Option<SocketAddr> {
        self.source.as_ref().map(|source| source.address).or(self.signalled)
    }

    fn is_accepted(&self, from: SocketAddr, packet: StreamPacket) -> bool {
        self.source.is_some_and(|source| {
            let new_port =
                packet.negotiated && source.address.ip() == from.ip() && source.ssrc == packet.ssrc;
            source.address == from || new_port
        })
    }

    fn accept(&mut self, address: SocketAddr, ssrc: Ssrc, now: Instant) -> LatchDecision {
        self.source = Some(AcceptedSource { address, ssrc, last_packet: now });
        self.candidates.clear();
        LatchDecision::Accept
    }

    fn is_superseded(&self, from: SocketAddr, now: Instant) -> bool {
        self.superseded.is_some_and(|(addresses, until)| now < until && addresses.contains(&Some(from)))
    }

    /// Whether the signalled address is private or unknown, or the peer is silent.
    fn may_learn(&self, opened: Instant, now: Instant) -> bool {
        match self.source.filter(|source| source.last_packet >= opened) {
            Some(source) => now.saturating_duration_since(source.last_packet) >= SOURCE_SILENCE,
            None => {
                self.signalled.is_none_or(|address| is_private(address.ip()))
                    || now.saturating_duration_since(opened) >= FIRST_PACKET_WAIT
            }
        }
    }

    /// Counts a packet of a source on probation and returns its number of consecutive packets.
    fn count_candidate(&mut self, address: SocketAddr, packet: StreamPacket, now: Instant) -> u8 {
        self.candidates.retain(|known| now.saturating_duration_since(known.last_packet) < CANDIDATE_LIFETIME);
        let StreamPacket { ssrc, sequence, .. } = packet;
        let known = self.candidates.iter_mut().find(|known| known.address == address && known.ssrc == ssrc);
        if let Some(known) = known {
            match sequence.distance_from(known.sequence) {
                0 => {}
                1 => known.packets = known.packets.saturating_add(1),
                _ => known.packets = 1,
            }
            known.sequence = sequence;
            known.last_packet = now;
            return known.packets;
        }
        if self.candidates.len() >= CANDIDATES {
            // The newest source with the fewest packets makes room, so that a flood from many addresses displaces no
            // stream that has begun.
            let weakest = self.candidates.iter().enumerate().rev().min_by_key(|(_, known)| known.packets);
            if let Some((index, _)) = weakest {
                self.candidates.remove(index);
            }
        }
        self.candidates.push(Candidate { address, ssrc, sequence, packets: 1, last_packet: now });
        1
    }
}

/// Whether an address is not reachable from the Internet, so that NAT has probably replaced it.
fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            // 100.64.0.0/10 is the shared space of carrier-grade NAT (RFC 6598).
            let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified() || shared
        }
        IpAddr::V6(ip) => {
            ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_loopback() || ip.is_unspecified()
        }
    }
}

#[cfg(test)]
mod tests;

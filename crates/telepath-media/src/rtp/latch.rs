//! Symmetric RTP (RFC 4961): learns where to send from where packets come from.
//!
//! Behind NAT the address in SDP is often wrong, so packets go to the address that packets arrive from. That address
//! may change in the first seconds (early media, a late NAT binding) and is then locked: if it could change at any
//! time, anyone who guesses the port could take over the stream.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long after its first packet the learnt address may still change.
pub const LEARNING: Duration = Duration::from_secs(3);
/// While learning, an address that is silent for this long may be replaced.
const QUIET: Duration = Duration::from_millis(500);

/// Whether to accept a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LatchDecision {
    /// The datagram comes from the peer.
    Accept,
    /// The datagram comes from another address: drop and count it.
    Ignore,
}

#[derive(Debug, Clone, Copy)]
struct LearntAddress {
    address: SocketAddr,
    last_packet: Instant,
    first_packet: Instant,
}

/// The remote media address of a call.
#[derive(Debug, Clone)]
pub struct SymmetricLatch {
    signalled: Option<SocketAddr>,
    learnt: Option<LearntAddress>,
}

impl SymmetricLatch {
    /// Starts with the address from SDP; `None` if SDP has no usable one.
    pub fn new(signalled: Option<SocketAddr>) -> Self {
        Self { signalled, learnt: None }
    }

    /// Sets the address from a new SDP (re-INVITE, UPDATE, answer in the ACK). A different address discards the
    /// learnt one.
    pub fn set_signalled(&mut self, signalled: Option<SocketAddr>) {
        if signalled != self.signalled {
            self.signalled = signalled;
            self.learnt = None;
        }
    }

    /// Checks the source address of an RTP packet and learns from it.
    pub fn check_source(&mut self, from: SocketAddr, now: Instant) -> LatchDecision {
        let Some(learnt) = &mut self.learnt else {
            self.learnt = Some(LearntAddress { address: from, last_packet: now, first_packet: now });
            return LatchDecision::Accept;
        };
        if learnt.address == from {
            learnt.last_packet = now;
            return LatchDecision::Accept;
        }
        let learning = now.saturating_duration_since(learnt.first_packet) < LEARNING;
        let quiet = now.saturating_duration_since(learnt.last_packet) >= QUIET;
        // The signalled address replaces a stray one; any address replaces one that fell silent.
        if learning && (quiet || self.signalled == Some(from)) {
            learnt.address = from;
            learnt.last_packet = now;
            return LatchDecision::Accept;
        }
        LatchDecision::Ignore
    }

    /// Where to send: the learnt address, else the signalled one; `None` if neither is known.
    pub fn target(&self) -> Option<SocketAddr> {
        self.learnt.as_ref().map(|learnt| learnt.address).or(self.signalled)
    }
}

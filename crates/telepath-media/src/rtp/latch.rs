//! Symmetric RTP: where to send, learnt from where packets come from.
//!
//! Behind NAT the address in SDP is often wrong, so we answer to the address we hear. The address may still
//! move in the first seconds (early media, a late NAT binding); then it locks, because a stream that can be
//! moved at any time can be stolen by anyone who guesses the port.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long after the first packet the source may still move.
pub const LEARNING: Duration = Duration::from_secs(3);
/// While learning, a source this long silent gives way to another.
const QUIET: Duration = Duration::from_millis(500);

/// What to do with a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LatchDecision {
    /// It comes from the peer we talk to.
    Accept,
    /// It comes from somewhere else; drop and count it.
    Ignore,
}

#[derive(Debug, Clone, Copy)]
struct Source {
    address: SocketAddr,
    last_heard: Instant,
    first_heard: Instant,
}

/// The decision which remote address a call talks to.
#[derive(Debug, Clone)]
pub struct SymmetricLatch {
    signalled: Option<SocketAddr>,
    source: Option<Source>,
}

impl SymmetricLatch {
    /// Starts with the address that SDP named, if it named a usable one.
    pub fn new(signalled: Option<SocketAddr>) -> Self {
        Self { signalled, source: None }
    }

    /// Opens the lock again because signalling named an address anew (re-INVITE, UPDATE, answer in ACK).
    /// The same address keeps what was learnt.
    pub fn resignal(&mut self, signalled: Option<SocketAddr>) {
        if signalled != self.signalled {
            self.signalled = signalled;
            self.source = None;
        }
    }

    /// Judges the sender of a datagram that parsed as RTP.
    pub fn judge(&mut self, from: SocketAddr, now: Instant) -> LatchDecision {
        let Some(source) = &mut self.source else {
            self.source = Some(Source { address: from, last_heard: now, first_heard: now });
            return LatchDecision::Accept;
        };
        if source.address == from {
            source.last_heard = now;
            return LatchDecision::Accept;
        }
        let learning = now.saturating_duration_since(source.first_heard) < LEARNING;
        let quiet = now.saturating_duration_since(source.last_heard) >= QUIET;
        // The signalled address wins over a stray one; any address wins over one that fell silent.
        if learning && (quiet || self.signalled == Some(from)) {
            source.address = from;
            source.last_heard = now;
            return LatchDecision::Accept;
        }
        LatchDecision::Ignore
    }

    /// Where to send: the learnt source, else the signalled address, else nowhere yet.
    pub fn target(&self) -> Option<SocketAddr> {
        self.source.as_ref().map(|source| source.address).or(self.signalled)
    }
}

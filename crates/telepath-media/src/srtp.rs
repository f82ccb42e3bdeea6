//! SRTP and SRTCP (RFC 3711) with the suites of SDP security descriptions (RFC 4568, RFC 7714).
//!
//! A session has one context per direction, each with its own master key. A packet is protected and unprotected in place,
//! without allocation. A context keeps its rollover counters and replay windows as long as its key stays the same, also
//! over a re-INVITE (RFC 3711 section 3.2.1); a new key starts a new context.

mod cipher;
mod context;
mod derivation;
mod master_key;
mod replay;
mod suite;

pub use context::{MAX_SOURCES, SrtpError};
pub use master_key::{KeyIdentifier, MasterKey, PeerKey};
pub use suite::{CryptoSuite, MAX_KEY_BYTES};

use crate::rtp::Datagram;
use context::{InboundContext, OutboundContext};

/// The keys of both directions (RFC 4568 section 6.1): each side chooses the key of what it sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SrtpKeys {
    /// Protects what we send.
    pub local: MasterKey,
    /// Protects what the peer sends.
    pub remote: PeerKey,
}

/// What was received and not accepted, by cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SrtpCounters {
    /// Packets whose authentication failed, or that are no SRTP at all.
    pub unauthenticated: u64,
    /// Packets that were received before, or are older than the replay window.
    pub replayed: u64,
    /// Packets that could not be encrypted and were not sent.
    pub unprotected: u64,
}

/// The SRTP session of one call.
#[derive(Debug)]
pub struct SrtpSession {
    keys: SrtpKeys,
    /// `None` if the cryptographic library refused the key; then nothing is sent or accepted.
    outbound: Option<OutboundContext>,
    inbound: Option<InboundContext>,
    counters: SrtpCounters,
}

impl SrtpSession {
    /// Starts a session with these keys.
    pub fn new(keys: SrtpKeys) -> Self {
        let (outbound, inbound) = (OutboundContext::new(&keys.local), InboundContext::new(&keys.remote));
        Self { keys, outbound: outbound.ok(), inbound: inbound.ok(), counters: SrtpCounters::default() }
    }

    /// Applies renegotiated keys. A direction whose key stays the same continues.
    pub fn set_keys(&mut self, keys: SrtpKeys) {
        if keys.local != self.keys.local {
            self.outbound = OutboundContext::new(&keys.local).ok();
        }
        if keys.remote != self.keys.remote {
            self.inbound = InboundContext::new(&keys.remote).ok();
        }
        self.keys = keys;
    }

    /// The suite of the packets that we send.
    pub fn suite(&self) -> CryptoSuite {
        self.keys.local.suite()
    }

    /// Counters so far.
    pub fn counters(&self) -> SrtpCounters {
        self.counters
    }

    /// Encrypts an RTP packet and adds its authentication tag; `false` if it must not be sent.
    #[must_use]
    pub fn protect(&mut self, packet: &mut Datagram) -> bool {
        let done = match &mut self.outbound {
            Some(context) => context.protect(packet),
            None => Err(SrtpError::NoContext),
        };
        self.counters.unprotected += u64::from(done.is_err());
        done.is_ok()
    }

    /// The same for a compound RTCP packet.
    #[must_use]
    pub fn protect_rtcp(&mut self, packet: &mut Vec<u8>) -> bool {
        let done = match &mut self.outbound {
            Some(context) => context.protect_rtcp(packet),
            None => Err(SrtpError::NoContext),
        };
        self.counters.unprotected += u64::from(done.is_err());
        done.is_ok()
    }

    /// Authenticates and decrypts an SRTP packet in place and returns the RTP packet.
    ///
    /// # Errors
    /// See [`SrtpError`]. The contents of `packet` are undefined then.
    pub fn unprotect<'a>(&mut self, packet: &'a mut [u8]) -> Result<&'a [u8], SrtpError> {
        let result = match &mut self.inbound {
            Some(context) => context.unprotect(packet),
            None => Err(SrtpError::NoContext),
        };
        self.count(result).map(|length| packet.get(..length).unwrap_or_default())
    }

    /// Authenticates and decrypts an SRTCP packet in place and returns the compound RTCP packet.
    ///
    /// # Errors
    /// See [`SrtpError`]. The contents of `packet` are undefined then.
    pub fn unprotect_rtcp<'a>(&mut self, packet: &'a mut [u8]) -> Result<&'a [u8], SrtpError> {
        let result = match &mut self.inbound {
            Some(context) => context.unprotect_rtcp(packet),
            None => Err(SrtpError::NoContext),
        };
        self.count(result).map(|length| packet.get(..length).unwrap_or_default())
    }

    fn count(&mut self, result: Result<usize, SrtpError>) -> Result<usize, SrtpError> {
        match result {
            Ok(_) => {}
            Err(SrtpError::Replayed) => self.counters.replayed += 1,
            Err(
                SrtpError::Truncated
                | SrtpError::Unauthenticated
                | SrtpError::NoContext
                | SrtpError::KeyExhausted
                | SrtpError::TooManySources,
            ) => self.counters.unauthenticated += 1,
        }
        result
    }
}

#[cfg(test)]
mod tests;

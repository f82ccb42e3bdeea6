//! Self-validating nonces (RFC 7616 section 3.3): each contains its time of issue, its issuer and a serial number, protected by
//! a MAC over them and the address that it was issued to, so issuing one creates no state, and whoever presents one has
//! received our response. Only the nonce counts (`nc`) that were used are stored, in a bounded table of the issuer; a nonce
//! that was evicted from it, or that another server issued, is never accepted: its counts are not known here.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use super::hash::{hex, hmac_sha256};

/// The parts of a nonce in hexadecimal digits: time, issuer, serial number and MAC.
const TIME_DIGITS: usize = 16;
const ISSUER_DIGITS: usize = 8;
const SERIAL_DIGITS: usize = 8;
const BODY_DIGITS: usize = TIME_DIGITS + ISSUER_DIGITS + SERIAL_DIGITS;
const MAC_DIGITS: usize = 32;

/// Nonce counts below the highest used one that are remembered, so that reordered requests are accepted once each.
const WINDOW: u32 = 64;

/// Seconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EpochSeconds(pub u64);

/// The MAC key of nonces. Servers with the same key recognize each other's nonces as proof of the source address.
pub struct NonceSecret([u8; 32]);

impl NonceSecret {
    /// Wraps 32 random bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(crate) fn mac(&self, purpose: &str, text: &str) -> [u8; 32] {
        hmac_sha256(&self.0, &[purpose.as_bytes(), b"\0", text.as_bytes()])
    }
}

impl Drop for NonceSecret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// A nonce with a valid MAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ValidNonce {
    pub(super) issued: EpochSeconds,
    /// One life of one server.
    pub(super) issuer: u32,
    serial: u32,
}

impl ValidNonce {
    pub(super) fn new(issued: EpochSeconds, issuer: u32, serial: u32) -> Self {
        Self { issued, issuer, serial }
    }

    pub(super) fn to_text(self, source: IpAddr, secret: &NonceSecret) -> String {
        let body = format!("{:016x}{:08x}{:08x}", self.issued.0, self.issuer, self.serial);
        let mac = sign(&body, source, secret);
        format!("{body}{}", &mac[..MAC_DIGITS])
    }

    /// The nonce of a text, if it was issued with this secret to this source.
    pub(super) fn parse(text: &str, source: IpAddr, secret: &NonceSecret) -> Option<Self> {
        if text.len() != BODY_DIGITS + MAC_DIGITS || !text.is_ascii() {
            return None;
        }
        let (body, mac) = text.split_at(BODY_DIGITS);
        let expected = sign(body, source, secret);
        if !bool::from(expected.as_bytes()[..MAC_DIGITS].ct_eq(mac.as_bytes())) {
            return None;
        }
        let (time, rest) = body.split_at(TIME_DIGITS);
        let (issuer, serial) = rest.split_at(ISSUER_DIGITS);
        Some(Self {
            issued: EpochSeconds(u64::from_str_radix(time, 16).ok()?),
            issuer: u32::from_str_radix(issuer, 16).ok()?,
            serial: u32::from_str_radix(serial, 16).ok()?,
        })
    }
}

fn sign(body: &str, source: IpAddr, secret: &NonceSecret) -> String {
    hex(&secret.mac("nonce", &format!("{body}@{}", block(source))))
}

/// An IPv4 address, or the /64 of an IPv6 address, whose host may change its address at any time.
fn block(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        v4 @ IpAddr::V4(_) => v4,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !0 << 64)),
    }
}

/// The result of using a nonce count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NonceCountUse {
    Fresh,
    Replayed,
    /// The nonce may have been evicted, so its used counts are unknown.
    Evicted,
}

#[derive(Clone, Copy)]
struct UsedCounts {
    highest: u32,
    /// Bit n is set if the count `highest - n` was used.
    used: u64,
}

/// The used counts of each nonce. When there are `capacity` nonces, the oldest is evicted.
pub(super) struct NonceTable {
    nonces: BTreeMap<ValidNonce, UsedCounts>,
    capacity: usize,
    /// Nonces issued until this time may have been evicted.
    evicted_until: Option<EpochSeconds>,
}

impl NonceTable {
    pub(super) fn new(capacity: usize) -> Self {
        Self { nonces: BTreeMap::new(), capacity: capacity.max(1), evicted_until: None }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.nonces.len()
    }

    pub(super) fn use_count(&mut self, nonce: ValidNonce, count: u32) -> NonceCountUse {
        if let Some(counts) = self.nonces.get_mut(&nonce) {
            return counts.use_count(count);
        }
        if self.evicted_until.is_some_and(|until| nonce.issued <= until) {
            return NonceCountUse::Evicted;
        }
        if self.nonces.len() >= self.capacity
            && let Some((oldest, _)) = self.nonces.pop_first()
        {
            self.evicted_until = Some(oldest.issued);
            if nonce.issued <= oldest.issued {
                return NonceCountUse::Evicted;
            }
        }
        self.nonces.insert(nonce, UsedCounts { highest: count, used: 1 });
        NonceCountUse::Fresh
    }

    /// Removes nonces that have expired.
    pub(super) fn expire(&mut self, before: EpochSeconds) {
        while let Some(entry) = self.nonces.first_entry() {
            if entry.key().issued >= before {
                return;
            }
            entry.remove();
        }
    }
}

impl UsedCounts {
    fn use_count(&mut self, count: u32) -> NonceCountUse {
        if count > self.highest {
            let step = count - self.highest;
            self.used = if step >= WINDOW { 1 } else { self.used << step | 1 };
            self.highest = count;
            return NonceCountUse::Fresh;
        }
        let back = self.highest - count;
        if back >= WINDOW || self.used & (1 << back) != 0 {
            return NonceCountUse::Replayed;
        }
        self.used |= 1 << back;
        NonceCountUse::Fresh
    }
}

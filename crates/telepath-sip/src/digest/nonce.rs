//! Nonces that need no memory to be recognized: each carries its time of issue and a salt under a MAC. Memory
//! is needed only for the counts a client has used with one, and that table is bounded: what it forgets is
//! never accepted again (RFC 7616 section 3.3, `nonce` and `nc`).

use std::collections::BTreeMap;

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use super::hash::{hex, hmac_sha256};

/// Hexadecimal digits of the time, the salt and the MAC in a nonce.
const TIME_DIGITS: usize = 16;
const SALT_DIGITS: usize = 16;
const MAC_DIGITS: usize = 32;

/// How many counts below the highest one seen are remembered, so that requests that overtook each other on
/// the network still pass once each.
const WINDOW: u32 = 64;

/// Seconds since the Unix epoch, told by the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EpochSeconds(pub u64);

/// The key under which nonces are made; nodes that share it accept each other's nonces.
pub struct NonceSecret([u8; 32]);

impl NonceSecret {
    /// Takes 32 random bytes.
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

/// A nonce of ours, recognized by its MAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct KnownNonce {
    pub(super) issued: EpochSeconds,
    salt: u64,
}

impl KnownNonce {
    pub(super) fn new(issued: EpochSeconds, salt: u64) -> Self {
        Self { issued, salt }
    }

    pub(super) fn write(self, secret: &NonceSecret) -> String {
        let body = format!("{:016x}{:016x}", self.issued.0, self.salt);
        let mac = hex(&secret.mac("nonce", &body));
        format!("{body}{}", &mac[..MAC_DIGITS])
    }

    pub(super) fn read(text: &str, secret: &NonceSecret) -> Option<Self> {
        if text.len() != TIME_DIGITS + SALT_DIGITS + MAC_DIGITS || !text.is_ascii() {
            return None;
        }
        let (body, mac) = text.split_at(TIME_DIGITS + SALT_DIGITS);
        let expected = hex(&secret.mac("nonce", body));
        if !bool::from(expected.as_bytes()[..MAC_DIGITS].ct_eq(mac.as_bytes())) {
            return None;
        }
        let (time, salt) = body.split_at(TIME_DIGITS);
        Some(Self {
            issued: EpochSeconds(u64::from_str_radix(time, 16).ok()?),
            salt: u64::from_str_radix(salt, 16).ok()?,
        })
    }
}

/// What came of using a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CountUse {
    Fresh,
    Replayed,
    /// The table may have forgotten this nonce, so it cannot tell.
    Forgotten,
}

#[derive(Clone, Copy)]
struct Counts {
    highest: u32,
    /// Bit n: count `highest - n` was used.
    used: u64,
}

/// The counts used with each nonce, at most `capacity` nonces; the oldest makes room.
pub(super) struct CountTable {
    nonces: BTreeMap<KnownNonce, Counts>,
    capacity: usize,
    /// Nonces up to this time that are not in the table may once have been.
    forgotten_until: Option<EpochSeconds>,
}

impl CountTable {
    pub(super) fn new(capacity: usize) -> Self {
        Self { nonces: BTreeMap::new(), capacity: capacity.max(1), forgotten_until: None }
    }

    pub(super) fn len(&self) -> usize {
        self.nonces.len()
    }

    pub(super) fn spend(&mut self, nonce: KnownNonce, count: u32) -> CountUse {
        if let Some(counts) = self.nonces.get_mut(&nonce) {
            return counts.spend(count);
        }
        if self.forgotten_until.is_some_and(|until| nonce.issued <= until) {
            return CountUse::Forgotten;
        }
        if self.nonces.len() >= self.capacity
            && let Some((oldest, _)) = self.nonces.pop_first()
        {
            self.forgotten_until = Some(oldest.issued);
            if nonce.issued <= oldest.issued {
                return CountUse::Forgotten;
            }
        }
        self.nonces.insert(nonce, Counts { highest: count, used: 1 });
        CountUse::Fresh
    }

    /// Forgets nonces that are refused for their age anyway.
    pub(super) fn expire(&mut self, before: EpochSeconds) {
        while let Some(entry) = self.nonces.first_entry() {
            if entry.key().issued >= before {
                return;
            }
            entry.remove();
        }
    }
}

impl Counts {
    fn spend(&mut self, count: u32) -> CountUse {
        if count > self.highest {
            let step = count - self.highest;
            self.used = if step >= WINDOW { 1 } else { self.used << step | 1 };
            self.highest = count;
            return CountUse::Fresh;
        }
        let back = self.highest - count;
        if back >= WINDOW || self.used & (1 << back) != 0 {
            return CountUse::Replayed;
        }
        self.used |= 1 << back;
        CountUse::Fresh
    }
}

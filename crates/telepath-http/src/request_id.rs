//! Request ids. They identify requests in logs and need not be secret, so they are derived from the time and a counter that
//! a fixed bijection scatters. They are unique within a process, almost certainly unique across processes, and no request
//! has to draw random bytes.

use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;
use http::HeaderName;
use telepath_core::clock::Timestamp;
use telepath_core::entropy::{Entropy, EntropyError, random_bytes};
use telepath_core::id::{Id as _, RequestId};

/// The header that carries the id of a request.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Generates request ids.
#[derive(Debug)]
pub struct RequestIds {
    salt: u64,
    /// On a cache line of its own, because every request writes to it.
    count: CachePadded<AtomicU64>,
}

impl RequestIds {
    /// Starts a sequence for this process.
    pub fn new(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        Ok(Self {
            salt: u64::from_le_bytes(random_bytes(entropy)?),
            count: CachePadded::new(AtomicU64::new(0)),
        })
    }

    /// The next id: a `UUIDv7` (RFC 9562 section 5.7) whose 62 free low bits are the scattered counter.
    pub fn next(&self, now: Timestamp) -> RequestId {
        const LOW_62: u64 = (1 << 62) - 1;
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let ms = u64::try_from(now.unix_ms()).unwrap_or(0) & 0xffff_ffff_ffff;
        let high = ms << 16 | 7 << 12 | (self.salt >> 52);
        let low = 0b10 << 62 | (scatter(count) ^ self.salt) & LOW_62;
        RequestId::from_bytes((u128::from(high) << 64 | u128::from(low)).to_be_bytes())
    }
}

/// A bijection on 62 bits: multiplying by an odd number and folding the high half down are both invertible.
const fn scatter(count: u64) -> u64 {
    const LOW_62: u64 = (1 << 62) - 1;
    let spread = count.wrapping_mul(0x9e37_79b9_7f4a_7c15) & LOW_62;
    (spread ^ spread >> 31).wrapping_mul(0xbf58_476d_1ce4_e5b9) & LOW_62
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use telepath_core::entropy::SystemEntropy;

    use super::*;

    #[test]
    fn ids_are_unique_within_one_millisecond() {
        let ids = RequestIds::new(&SystemEntropy::default()).unwrap();
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        let made: HashSet<_> = (0..50_000).map(|_| ids.next(now)).collect();
        assert_eq!(made.len(), 50_000);
    }

    #[test]
    fn ids_are_version_seven_and_sort_by_time() {
        let ids = RequestIds::new(&SystemEntropy::default()).unwrap();
        let early = ids.next(Timestamp::from_unix_ms(1_800_000_000_000));
        let late = ids.next(Timestamp::from_unix_ms(1_800_000_000_001));
        assert!(early.to_string() < late.to_string());
        assert_eq!(early.as_bytes()[6] >> 4, 7);
        assert_eq!(early.as_bytes()[8] >> 6, 0b10);
    }
}

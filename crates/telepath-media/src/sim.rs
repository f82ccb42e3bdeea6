//! A simulated lossy network with virtual time, for tests.
//!
//! The seed decides everything, so a failure can be reproduced from its seed alone.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// A pseudo-random number generator (splitmix64).
#[derive(Debug, Clone)]
struct Rng(u64);

impl Rng {
    fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 if the bound is 0.
    fn below(&mut self, bound: u64) -> u64 {
        self.next_u64().checked_rem(bound).unwrap_or(0)
    }

    /// True with a probability of `permille` in a thousand.
    fn chance(&mut self, permille: u16) -> bool {
        self.below(1000) < u64::from(permille)
    }
}

/// Properties of a link.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LinkConditions {
    /// Lost packets per thousand.
    pub(crate) loss: u16,
    /// Duplicated packets per thousand.
    pub(crate) duplicate: u16,
    /// Packets per thousand that are delayed by another 30 ms, so that later ones overtake them.
    pub(crate) reorder: u16,
    /// Delay of every packet.
    pub(crate) delay: Duration,
    /// Maximum additional random delay.
    pub(crate) jitter: Duration,
}

/// A one-way link.
#[derive(Debug)]
pub(crate) struct LossyLink {
    rng: Rng,
    conditions: LinkConditions,
    in_flight: BinaryHeap<Reverse<(Instant, u64, Vec<u8>)>>,
    order: u64,
    lost: u64,
}

impl LossyLink {
    pub(crate) fn new(seed: u64, conditions: LinkConditions) -> Self {
        Self { rng: Rng::new(seed), conditions, in_flight: BinaryHeap::new(), order: 0, lost: 0 }
    }

    pub(crate) fn send(&mut self, bytes: &[u8], now: Instant) {
        if self.rng.chance(self.conditions.loss) {
            self.lost += 1;
            return;
        }
        let copies = 1 + u8::from(self.rng.chance(self.conditions.duplicate));
        for _ in 0..copies {
            let jitter = u64::try_from(self.conditions.jitter.as_micros()).unwrap_or(u64::MAX);
            let mut delay = self.conditions.delay + Duration::from_micros(self.rng.below(jitter));
            if self.rng.chance(self.conditions.reorder) {
                delay += Duration::from_millis(30);
            }
            self.order += 1;
            self.in_flight.push(Reverse((now + delay, self.order, bytes.to_vec())));
        }
    }

    /// Sends a packet that arrives at `at` regardless of the conditions.
    pub(crate) fn send_reliably(&mut self, bytes: &[u8], at: Instant) {
        self.order += 1;
        self.in_flight.push(Reverse((at, self.order, bytes.to_vec())));
    }

    /// When the next packet arrives.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.in_flight.peek().map(|Reverse((at, ..))| *at)
    }

    /// A packet that has arrived by `now`.
    pub(crate) fn receive(&mut self, now: Instant) -> Option<Vec<u8>> {
        self.poll_timeout().filter(|&at| at <= now)?;
        self.in_flight.pop().map(|Reverse((_, _, bytes))| bytes)
    }

    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }
}

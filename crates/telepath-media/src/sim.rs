//! A seeded bad network under virtual time, for tests.
//!
//! Every decision comes from the seed, so a failure can be played again by its seed alone.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// A small generator of pseudo-random numbers (splitmix64). Not for secrets.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Starts from a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 when the bound is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.draw().checked_rem(bound).unwrap_or(0)
    }

    /// True with a chance of `permille` in a thousand.
    pub fn chance(&mut self, permille: u16) -> bool {
        self.below(1000) < u64::from(permille)
    }
}

/// How bad the network is.
#[derive(Debug, Clone, Copy)]
pub struct Conditions {
    /// Packets lost, in a thousand.
    pub loss: u16,
    /// Packets that come twice, in a thousand.
    pub duplicate: u16,
    /// Packets held back by a further 30 ms so that others overtake them, in a thousand.
    pub reorder: u16,
    /// Delay of every packet.
    pub delay: Duration,
    /// Largest random delay on top.
    pub jitter: Duration,
}

/// A one-way link.
#[derive(Debug)]
pub struct BadNetwork {
    random: Random,
    conditions: Conditions,
    flying: BinaryHeap<Reverse<(Instant, u64, Vec<u8>)>>,
    order: u64,
    lost: u64,
}

impl BadNetwork {
    /// A link with its own seed.
    pub fn new(seed: u64, conditions: Conditions) -> Self {
        Self { random: Random::new(seed), conditions, flying: BinaryHeap::new(), order: 0, lost: 0 }
    }

    /// Puts a packet on the link.
    pub fn send(&mut self, bytes: &[u8], now: Instant) {
        if self.random.chance(self.conditions.loss) {
            self.lost += 1;
            return;
        }
        let copies = 1 + u8::from(self.random.chance(self.conditions.duplicate));
        for _ in 0..copies {
            let jitter = u64::try_from(self.conditions.jitter.as_micros()).unwrap_or(u64::MAX);
            let mut delay = self.conditions.delay + Duration::from_micros(self.random.below(jitter));
            if self.random.chance(self.conditions.reorder) {
                delay += Duration::from_millis(30);
            }
            self.order += 1;
            self.flying.push(Reverse((now + delay, self.order, bytes.to_vec())));
        }
    }

    /// Puts a packet on the link that arrives at `at` whatever the conditions.
    pub fn send_surely(&mut self, bytes: &[u8], at: Instant) {
        self.order += 1;
        self.flying.push(Reverse((at, self.order, bytes.to_vec())));
    }

    /// When the next packet arrives.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.flying.peek().map(|Reverse((at, ..))| *at)
    }

    /// A packet that has arrived by `now`.
    pub fn receive(&mut self, now: Instant) -> Option<Vec<u8>> {
        self.poll_timeout().filter(|&at| at <= now)?;
        self.flying.pop().map(|Reverse((_, _, bytes))| bytes)
    }

    /// Packets lost so far.
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

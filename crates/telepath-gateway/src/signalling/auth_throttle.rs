//! Counts failed digest authentications per address block and minute, so that passwords cannot be guessed at line
//! speed. The table is bounded: when it is full, blocks whose minute has passed are removed, and if there are none, a
//! new block is not counted. It is swept at most once a second, so that a flood from many addresses stays cheap.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use telepath_core::address::AddressBlock;

/// Address blocks counted at the same time.
const MAX_BLOCKS: usize = 8_192;
const WINDOW: Duration = Duration::from_mins(1);
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct AuthThrottle {
    limit: u32,
    blocks: HashMap<AddressBlock, FailureWindow>,
    last_sweep: Option<Instant>,
}

#[derive(Debug)]
struct FailureWindow {
    since: Instant,
    count: u32,
}

impl AuthThrottle {
    /// `limit` is the number of failures per block and minute.
    pub(super) fn new(limit: u32) -> Self {
        Self { limit, blocks: HashMap::new(), last_sweep: None }
    }

    pub(super) fn is_throttled(&self, block: AddressBlock, now: Instant) -> bool {
        self.blocks.get(&block).is_some_and(|window| window.is_current(now) && window.count >= self.limit)
    }

    /// Whether a digest of the block was rejected in this minute, for whatever reason.
    pub(super) fn has_failed(&self, block: AddressBlock, now: Instant) -> bool {
        self.blocks.get(&block).is_some_and(|window| window.is_current(now))
    }

    /// Counts a wrong password.
    pub(super) fn record_failure(&mut self, block: AddressBlock, now: Instant) {
        self.record(block, 1, now);
    }

    /// Notes a digest that was rejected although its sender may know the password. It does not count towards the limit.
    pub(super) fn note_rejection(&mut self, block: AddressBlock, now: Instant) {
        self.record(block, 0, now);
    }

    fn record(&mut self, block: AddressBlock, failures: u32, now: Instant) {
        if let Some(window) = self.blocks.get_mut(&block) {
            if !window.is_current(now) {
                *window = FailureWindow { since: now, count: 0 };
            }
            window.count = window.count.saturating_add(failures);
            return;
        }
        let sweep_due =
            self.last_sweep.is_none_or(|last| now.saturating_duration_since(last) >= SWEEP_INTERVAL);
        if self.blocks.len() >= MAX_BLOCKS && sweep_due {
            self.last_sweep = Some(now);
            self.blocks.retain(|_, window| window.is_current(now));
        }
        if self.blocks.len() < MAX_BLOCKS {
            self.blocks.insert(block, FailureWindow { since: now, count: failures });
        }
    }
}

impl FailureWindow {
    fn is_current(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) < WINDOW
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(last: u8) -> AddressBlock {
        AddressBlock::of([192, 0, 2, last].into())
    }

    #[test]
    fn a_block_is_throttled_at_its_limit_until_the_minute_has_passed() {
        let mut throttle = AuthThrottle::new(2);
        let now = Instant::now();
        throttle.record_failure(block(1), now);
        assert!(!throttle.is_throttled(block(1), now));
        throttle.record_failure(block(1), now);
        assert!(throttle.is_throttled(block(1), now) && !throttle.is_throttled(block(2), now));
        assert!(!throttle.is_throttled(block(1), now + WINDOW));
        throttle.record_failure(block(1), now + WINDOW);
        assert!(!throttle.is_throttled(block(1), now + WINDOW), "the count starts again");
    }

    #[test]
    fn a_rejection_is_remembered_for_a_minute_and_does_not_count() {
        let mut throttle = AuthThrottle::new(1);
        let now = Instant::now();
        throttle.note_rejection(block(1), now);
        assert!(throttle.has_failed(block(1), now) && !throttle.has_failed(block(2), now));
        assert!(!throttle.is_throttled(block(1), now));
        assert!(!throttle.has_failed(block(1), now + WINDOW));
        throttle.record_failure(block(1), now);
        assert!(throttle.has_failed(block(1), now) && throttle.is_throttled(block(1), now));
    }

    #[test]
    fn the_number_of_blocks_is_bounded() {
        let mut throttle = AuthThrottle::new(1);
        let now = Instant::now();
        for n in 0..=u16::MAX {
            let [a, b] = n.to_be_bytes();
            throttle.record_failure(AddressBlock::of([10, 0, a, b].into()), now);
        }
        assert_eq!(throttle.blocks.len(), MAX_BLOCKS);
    }
}

//! Counts refused digests per address block, so that passwords cannot be guessed at line speed. The table is bounded:
//! when it is full, blocks whose minute is over make room, and if none is, the newcomer is not counted. It is swept at
//! most once a second, so that a flood from many addresses cannot buy work with packets.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use telepath_core::address::AddressBlock;

/// Address blocks remembered at once.
const MAX_BLOCKS: usize = 8_192;
const WINDOW: Duration = Duration::from_mins(1);
const SWEEP_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Throttle {
    limit: u32,
    blocks: HashMap<AddressBlock, Failures>,
    swept: Option<Instant>,
}

#[derive(Debug)]
struct Failures {
    since: Instant,
    count: u32,
}

impl Throttle {
    pub(super) fn new(limit: u32) -> Self {
        Self { limit, blocks: HashMap::new(), swept: None }
    }

    pub(super) fn is_over(&self, block: AddressBlock, now: Instant) -> bool {
        self.blocks
            .get(&block)
            .is_some_and(|failures| failures.is_current(now) && failures.count >= self.limit)
    }

    pub(super) fn failed(&mut self, block: AddressBlock, now: Instant) {
        if let Some(failures) = self.blocks.get_mut(&block) {
            if !failures.is_current(now) {
                *failures = Failures { since: now, count: 0 };
            }
            failures.count = failures.count.saturating_add(1);
            return;
        }
        let rested = self.swept.is_none_or(|swept| now.saturating_duration_since(swept) >= SWEEP_EVERY);
        if self.blocks.len() >= MAX_BLOCKS && rested {
            self.swept = Some(now);
            self.blocks.retain(|_, failures| failures.is_current(now));
        }
        if self.blocks.len() < MAX_BLOCKS {
            self.blocks.insert(block, Failures { since: now, count: 1 });
        }
    }
}

impl Failures {
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
    fn a_block_is_over_after_its_limit_and_free_again_after_a_minute() {
        let mut throttle = Throttle::new(2);
        let now = Instant::now();
        throttle.failed(block(1), now);
        assert!(!throttle.is_over(block(1), now));
        throttle.failed(block(1), now);
        assert!(throttle.is_over(block(1), now) && !throttle.is_over(block(2), now));
        assert!(!throttle.is_over(block(1), now + WINDOW));
        throttle.failed(block(1), now + WINDOW);
        assert!(!throttle.is_over(block(1), now + WINDOW), "counted anew");
    }

    #[test]
    fn the_table_is_bounded() {
        let mut throttle = Throttle::new(1);
        let now = Instant::now();
        for n in 0..=u16::MAX {
            let [a, b] = n.to_be_bytes();
            throttle.failed(AddressBlock::of([10, 0, a, b].into()), now);
        }
        assert_eq!(throttle.blocks.len(), MAX_BLOCKS);
    }
}

//! Bounds the records of refused calls, and the look-ups that decide whether there is one: a caller whose calls are refused,
//! or who forges the address of a carrier, must neither fill the database nor occupy it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use telepath_core::address::AddressBlock;
use telepath_core::id::TrunkId;

/// Records of refused calls that one trunk may have in a minute.
const PER_TRUNK: u32 = 60;
/// Records of refused calls of all trunks in a minute.
const TOTAL: u32 = 600;
/// Look-ups for such records that one source may cause in a minute.
const LOOKUPS_PER_BLOCK: u32 = 60;
const WINDOW: Duration = Duration::from_mins(1);

#[derive(Debug, Default)]
pub(super) struct RefusalBudget {
    since: Option<Instant>,
    total: u32,
    /// At most [`TOTAL`] trunks.
    per_trunk: HashMap<TrunkId, u32>,
    lookups: u32,
    /// At most [`TOTAL`] blocks.
    lookups_per_block: HashMap<AddressBlock, u32>,
}

impl RefusalBudget {
    /// Whether a trunk may be looked up now for the record of a refused call of this source; counts the look-up if so.
    pub(super) fn take_lookup(&mut self, block: AddressBlock, now: Instant) -> bool {
        self.begin_window(now);
        let used = self.lookups_per_block.get(&block).copied().unwrap_or(0);
        if self.total >= TOTAL || self.lookups >= TOTAL || used >= LOOKUPS_PER_BLOCK {
            return false;
        }
        self.lookups += 1;
        self.lookups_per_block.insert(block, used + 1);
        true
    }

    /// Whether a refused call of this trunk may be recorded now; counts it if so.
    pub(super) fn take(&mut self, trunk: TrunkId, now: Instant) -> bool {
        self.begin_window(now);
        let used = self.per_trunk.get(&trunk).copied().unwrap_or(0);
        if self.total >= TOTAL || used >= PER_TRUNK {
            metrics::counter!("telepath_sip_unrecorded_rejections_total").increment(1);
            return false;
        }
        self.total += 1;
        self.per_trunk.insert(trunk, used + 1);
        true
    }

    fn begin_window(&mut self, now: Instant) {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= WINDOW) {
            *self = Self { since: Some(now), ..Self::default() };
        }
    }
}

#[cfg(test)]
mod tests {
    use telepath_core::id::Id as _;

    use super::*;

    #[test]
    fn refused_calls_are_recorded_up_to_a_bound_per_trunk_and_in_total_each_minute() {
        let mut budget = RefusalBudget::default();
        let now = Instant::now();
        let trunk = |number: u8| TrunkId::from_bytes([number; 16]);
        let taken = (0..100).filter(|_| budget.take(trunk(1), now)).count();
        assert_eq!(taken, 60);
        let of_others: usize = (2..20).map(|n| (0..100).filter(|_| budget.take(trunk(n), now)).count()).sum();
        assert_eq!(of_others, 540);
        let block = AddressBlock::of([192, 0, 2, 1].into());
        assert!(!budget.take_lookup(block, now), "there is no room for its record");
        assert!(!budget.take(trunk(1), now + WINDOW / 2));
        assert!(budget.take(trunk(1), now + WINDOW));
        assert!(budget.per_trunk.len() <= 600);
    }

    #[test]
    fn look_ups_for_records_are_bounded_per_source_and_in_total_each_minute() {
        let mut budget = RefusalBudget::default();
        let now = Instant::now();
        let block = |number: u8| AddressBlock::of([192, 0, 2, number].into());
        let taken = (0..100).filter(|_| budget.take_lookup(block(1), now)).count();
        assert_eq!(taken, 60);
        let others: usize =
            (2..20).map(|n| (0..100).filter(|_| budget.take_lookup(block(n), now)).count()).sum();
        assert_eq!(others, 540);
        assert!(budget.take_lookup(block(1), now + WINDOW));
    }
}

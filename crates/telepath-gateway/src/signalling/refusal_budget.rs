//! Bounds the records of refused calls: a caller whose calls are refused, or who forges the address of a carrier, must not
//! fill the database.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use telepath_core::id::TrunkId;

/// Records of refused calls that one trunk may have in a minute.
const PER_TRUNK: u32 = 60;
/// Records of refused calls of all trunks in a minute.
const TOTAL: u32 = 600;
const WINDOW: Duration = Duration::from_mins(1);

#[derive(Debug, Default)]
pub(super) struct RefusalBudget {
    since: Option<Instant>,
    total: u32,
    /// At most [`TOTAL`] trunks.
    per_trunk: HashMap<TrunkId, u32>,
}

impl RefusalBudget {
    /// Whether the refused call of some trunk may be recorded now.
    pub(super) fn has_room(&self, now: Instant) -> bool {
        self.total < TOTAL || self.since.is_none_or(|since| now.saturating_duration_since(since) >= WINDOW)
    }

    /// Whether a refused call of this trunk may be recorded now; counts it if so.
    pub(super) fn take(&mut self, trunk: TrunkId, now: Instant) -> bool {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= WINDOW) {
            *self = Self { since: Some(now), ..Self::default() };
        }
        let used = self.per_trunk.get(&trunk).copied().unwrap_or(0);
        if self.total >= TOTAL || used >= PER_TRUNK {
            metrics::counter!("telepath_sip_unrecorded_rejections_total").increment(1);
            return false;
        }
        self.total += 1;
        self.per_trunk.insert(trunk, used + 1);
        true
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
        assert!(!budget.has_room(now) && budget.has_room(now + WINDOW));
        assert!(!budget.take(trunk(1), now + WINDOW / 2));
        assert!(budget.take(trunk(1), now + WINDOW));
        assert!(budget.per_trunk.len() <= 600);
    }
}

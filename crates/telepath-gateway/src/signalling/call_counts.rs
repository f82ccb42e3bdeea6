//! Counts the admitted calls of each trunk, and those among them whose caller has not proved its return path: it has no nonce
//! of ours, and its ACK has not arrived. Whoever forges the address of a carrier makes such calls, so they may hold only a
//! share of the places.

use std::collections::HashMap;

use telepath_core::id::TrunkId;

/// The places that unproved calls may hold on a server or trunk with few places.
const MIN_UNPROVED: usize = 4;

#[derive(Debug, Default)]
pub(super) struct CallCounts {
    per_trunk: HashMap<TrunkId, TrunkCalls>,
    unproved: usize,
}

#[derive(Debug, Default)]
struct TrunkCalls {
    live: usize,
    unproved: usize,
}

impl CallCounts {
    /// The admitted calls of a trunk.
    pub(super) fn of(&self, trunk: TrunkId) -> usize {
        self.per_trunk.get(&trunk).map_or(0, |calls| calls.live)
    }

    /// Whether a trunk may have another unproved call: unproved calls hold at most a quarter of the places of the server, and
    /// those of one trunk half of that and half of the places of the trunk.
    pub(super) fn have_room_for_unproved(
        &self,
        trunk: TrunkId,
        max_calls: usize,
        max_of_trunk: Option<usize>,
    ) -> bool {
        let of_server = (max_calls / 4).max(MIN_UNPROVED);
        let share = (of_server / 2).max(MIN_UNPROVED);
        let of_trunk = max_of_trunk.map_or(share, |max| share.min(max.div_ceil(2)));
        let used = self.per_trunk.get(&trunk).map_or(0, |calls| calls.unproved);
        self.unproved < of_server && used < of_trunk
    }

    pub(super) fn add(&mut self, trunk: TrunkId, proved: bool) {
        let calls = self.per_trunk.entry(trunk).or_default();
        calls.live += 1;
        if !proved {
            calls.unproved += 1;
            self.unproved += 1;
        }
    }

    /// The ACK of an unproved call has arrived.
    pub(super) fn prove(&mut self, trunk: TrunkId) {
        self.unproved = self.unproved.saturating_sub(1);
        if let Some(calls) = self.per_trunk.get_mut(&trunk) {
            calls.unproved = calls.unproved.saturating_sub(1);
        }
    }

    pub(super) fn remove(&mut self, trunk: TrunkId, proved: bool) {
        if !proved {
            self.prove(trunk);
        }
        let Some(calls) = self.per_trunk.get_mut(&trunk) else { return };
        calls.live = calls.live.saturating_sub(1);
        if calls.live == 0 {
            self.per_trunk.remove(&trunk);
        }
    }
}

#[cfg(test)]
mod tests {
    use telepath_core::id::Id as _;

    use super::*;

    fn trunk(number: u8) -> TrunkId {
        TrunkId::from_bytes([number; 16])
    }

    /// Admits unproved calls of a trunk until there is no room, and returns their number.
    fn fill(counts: &mut CallCounts, trunk: TrunkId, max_calls: usize, max_of_trunk: Option<usize>) -> usize {
        let mut admitted = 0;
        while counts.have_room_for_unproved(trunk, max_calls, max_of_trunk) {
            counts.add(trunk, false);
            admitted += 1;
        }
        admitted
    }

    #[test]
    fn unproved_calls_hold_a_quarter_of_the_places_and_those_of_one_trunk_half_of_it() {
        let mut counts = CallCounts::default();
        let admitted: Vec<_> = (1..=4).map(|n| fill(&mut counts, trunk(n), 1_000, None)).collect();
        assert_eq!(admitted, [125, 125, 0, 0]);
        counts.prove(trunk(1));
        assert_eq!(fill(&mut counts, trunk(3), 1_000, None), 1, "an ACK makes room");
        counts.remove(trunk(2), false);
        assert_eq!(fill(&mut counts, trunk(3), 1_000, None), 1);
        assert_eq!((counts.of(trunk(1)), counts.of(trunk(2))), (125, 124));
        for _ in 0..124 {
            counts.remove(trunk(2), false);
        }
        assert!(!counts.per_trunk.contains_key(&trunk(2)));
    }

    #[test]
    fn unproved_calls_hold_half_of_the_places_of_a_trunk() {
        for (max, unproved) in [(1, 1), (2, 1), (4, 2), (30, 15), (1_000, 125)] {
            assert_eq!(fill(&mut CallCounts::default(), trunk(1), 1_000, Some(max)), unproved, "{max}");
        }
        assert_eq!(fill(&mut CallCounts::default(), trunk(1), 5, None), 4, "a small server");
    }
}

//! Bounds the INVITEs whose trunk is being looked up, per source and in total, so that no source can occupy the control plane
//! or the memory of the server, and others always find room.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use telepath_core::address::AddressBlock;

/// Look-ups in a second for sources whose digests were rejected: without a bound, a flood of them would keep the control plane
/// busy, and the audio of calls waiting.
const REJECTED_BEFORE_PER_SECOND: u32 = 200;
const SECOND: Duration = Duration::from_secs(1);

/// Why a trunk is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LookupKind {
    /// A trunk may trust the source of the INVITE.
    TrustedSource,
    /// The INVITE has one of our live nonces.
    LiveNonce,
    /// The same, but the digest of another INVITE of its source has just been rejected.
    RejectedBefore,
    /// The INVITE has been rejected and may need a record.
    Rejected,
}

/// The place of one look-up, to be given back when it is over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LookupPlace {
    kind: LookupKind,
    block: AddressBlock,
}

/// The look-ups that are under way.
#[derive(Debug)]
pub(crate) struct PendingLookups {
    /// A carrier sends many calls from one address.
    trusted: Places,
    nonce: Places,
    rejected_before: Places,
    rejected: Places,
}

impl Default for PendingLookups {
    fn default() -> Self {
        Self {
            trusted: Places::new(256, 512),
            nonce: Places::new(32, 512),
            // Many sources that flood with wrong digests must not keep others waiting.
            rejected_before: Places { per_second: Some(REJECTED_BEFORE_PER_SECOND), ..Places::new(8, 64) },
            rejected: Places::new(8, 64),
        }
    }
}

impl PendingLookups {
    /// Whether another INVITE of this source may be looked up now.
    pub(crate) fn have_room(&self, kind: LookupKind, source: IpAddr, now: Instant) -> bool {
        self.of(kind).has_room(AddressBlock::of(source), now)
    }

    /// Takes a place; `None` if there is no room.
    pub(crate) fn begin(&mut self, kind: LookupKind, source: IpAddr, now: Instant) -> Option<LookupPlace> {
        let block = AddressBlock::of(source);
        self.of_mut(kind).begin(block, now).then_some(LookupPlace { kind, block })
    }

    /// Gives a place back.
    pub(crate) fn end(&mut self, place: LookupPlace) {
        self.of_mut(place.kind).end(place.block);
    }

    /// Whether any look-up is under way.
    #[cfg(test)]
    pub(crate) fn are_under_way(&self) -> bool {
        [&self.trusted, &self.nonce, &self.rejected_before, &self.rejected]
            .iter()
            .any(|places| places.taken > 0)
    }

    fn of(&self, kind: LookupKind) -> &Places {
        match kind {
            LookupKind::TrustedSource => &self.trusted,
            LookupKind::LiveNonce => &self.nonce,
            LookupKind::RejectedBefore => &self.rejected_before,
            LookupKind::Rejected => &self.rejected,
        }
    }

    fn of_mut(&mut self, kind: LookupKind) -> &mut Places {
        match kind {
            LookupKind::TrustedSource => &mut self.trusted,
            LookupKind::LiveNonce => &mut self.nonce,
            LookupKind::RejectedBefore => &mut self.rejected_before,
            LookupKind::Rejected => &mut self.rejected,
        }
    }
}

#[derive(Debug)]
struct Places {
    max_per_block: usize,
    max: usize,
    taken: usize,
    /// At most `max` blocks, none with 0.
    per_block: HashMap<AddressBlock, usize>,
    /// Look-ups that may begin in a second; `None` if only their number at the same time is bounded.
    per_second: Option<u32>,
    second: Option<Instant>,
    begun: u32,
}

impl Places {
    fn new(max_per_block: usize, max: usize) -> Self {
        Self {
            max_per_block,
            max,
            taken: 0,
            per_block: HashMap::new(),
            per_second: None,
            second: None,
            begun: 0,
        }
    }

    fn has_room(&self, block: AddressBlock, now: Instant) -> bool {
        let in_time = self.per_second.is_none_or(|max| self.begun < max || !self.is_same_second(now));
        in_time
            && self.taken < self.max
            && self.per_block.get(&block).is_none_or(|taken| *taken < self.max_per_block)
    }

    fn is_same_second(&self, now: Instant) -> bool {
        self.second.is_some_and(|since| now.saturating_duration_since(since) < SECOND)
    }

    fn begin(&mut self, block: AddressBlock, now: Instant) -> bool {
        let room = self.has_room(block, now);
        if room {
            if !self.is_same_second(now) {
                (self.second, self.begun) = (Some(now), 0);
            }
            self.begun = self.begun.saturating_add(1);
            self.taken += 1;
            *self.per_block.entry(block).or_default() += 1;
        }
        room
    }

    fn end(&mut self, block: AddressBlock) {
        self.taken = self.taken.saturating_sub(1);
        if let Some(taken) = self.per_block.get_mut(&block) {
            *taken = taken.saturating_sub(1);
            if *taken == 0 {
                self.per_block.remove(&block);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(number: u16) -> IpAddr {
        let [high, low] = number.to_be_bytes();
        [192, 0, high, low].into()
    }

    #[test]
    fn look_ups_are_bounded_per_source_and_in_total_and_kinds_do_not_share_places() {
        let mut lookups = PendingLookups::default();
        let now = Instant::now();
        let kind = LookupKind::LiveNonce;
        let of_one: Vec<_> = (0..100).filter_map(|_| lookups.begin(kind, source(1), now)).collect();
        assert_eq!(of_one.len(), 32);
        assert!(!lookups.have_room(kind, source(1), now) && lookups.have_room(kind, source(2), now));
        let of_others: Vec<_> = (2..1_000).filter_map(|n| lookups.begin(kind, source(n), now)).collect();
        assert_eq!(of_one.len() + of_others.len(), 512);
        assert!(!lookups.have_room(kind, source(1_001), now));
        for kind in [LookupKind::TrustedSource, LookupKind::RejectedBefore, LookupKind::Rejected] {
            assert!(lookups.have_room(kind, source(1), now), "{kind:?}");
        }
        for place in of_one.into_iter().chain(of_others) {
            lookups.end(place);
        }
        assert!(lookups.have_room(kind, source(1), now) && lookups.nonce.per_block.is_empty());
    }

    #[test]
    fn look_ups_of_sources_that_were_rejected_are_bounded_in_each_second() {
        let mut lookups = PendingLookups::default();
        let now = Instant::now();
        let kind = LookupKind::RejectedBefore;
        let begun = |lookups: &mut PendingLookups, at| {
            (0..1_000)
                .filter(|n| lookups.begin(kind, source(*n), at).map(|place| lookups.end(place)).is_some())
                .count()
        };
        assert_eq!(begun(&mut lookups, now), 200);
        assert_eq!(begun(&mut lookups, now + SECOND / 2), 0);
        assert!(lookups.begin(LookupKind::LiveNonce, source(1), now).is_some(), "others are looked up");
        assert_eq!(begun(&mut lookups, now + SECOND), 200);
    }
}

//! Windows of addresses that present no valid key, in memory of a fixed size. Addresses share small sets. When a set
//! is full, the address with the lowest count is evicted, so a flood of addresses cannot evict the heaviest ones.

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use telepath_core::address::AddressBlock;
use telepath_core::clock::SteadyTime;
use telepath_core::limit::{Phase, RateLimit, Take, Window, WindowState};

/// Sets; a power of two.
const SETS: usize = 8192;
/// Addresses per set.
const WAYS: usize = 8;

#[derive(Clone, Copy)]
struct Slot {
    block: AddressBlock,
    window: Window,
}

type Set = [Option<Slot>; WAYS];

/// The windows of at most 65,536 addresses (IPv6 by /64) at a time.
pub struct AddressWindows {
    limit: RateLimit,
    // A random seed per process, so that nobody can aim addresses at one set.
    hasher: RandomState,
    sets: Box<[Mutex<Set>]>,
}

impl AddressWindows {
    /// No addresses counted yet.
    pub fn new(limit: RateLimit) -> Self {
        Self::with_sets(limit, SETS)
    }

    fn with_sets(limit: RateLimit, sets: usize) -> Self {
        let sets = (0..sets.max(1)).map(|_| Mutex::new([None; WAYS])).collect();
        Self { limit, hasher: RandomState::new(), sets }
    }

    /// Counts one request of an address if its window has room.
    pub fn take(&self, address: IpAddr, now: SteadyTime) -> Take {
        let block = AddressBlock::of(address);
        let mut set = self.set_of(block);
        let place = slot_index(&mut set, block, now);
        let slot = set[place].get_or_insert(Slot { block, window: Window::default() });
        slot.window.take(self.limit, Phase::default(), now)
    }

    /// The window for the response headers; counts nothing.
    pub fn peek(&self, address: IpAddr, now: SteadyTime) -> WindowState {
        let block = AddressBlock::of(address);
        let set = self.set_of(block);
        let mut window = set
            .iter()
            .flatten()
            .find(|slot| slot.block == block)
            .map_or_else(Window::default, |slot| slot.window);
        window.peek(self.limit, Phase::default(), now)
    }

    fn set_of(&self, block: AddressBlock) -> MutexGuard<'_, Set> {
        let spread = self.hasher.hash_one(block);
        // The remainder fits because the number of sets does.
        let place = usize::try_from(spread % self.sets.len() as u64).unwrap_or(0);
        self.sets[place].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The block's slot in its set; evicts the lightest slot if it has none. A window of an earlier minute weighs
/// nothing.
fn slot_index(set: &mut Set, block: AddressBlock, now: SteadyTime) -> usize {
    if let Some(place) = set.iter().position(|slot| slot.is_some_and(|slot| slot.block == block)) {
        return place;
    }
    let mut lightest = (0, u64::MAX);
    for (place, slot) in set.iter().enumerate() {
        let weight = slot.map_or(0, |slot| 1 + weight_of(slot.window, now));
        if weight < lightest.1 {
            lightest = (place, weight);
        }
    }
    set[lightest.0] = None;
    lightest.0
}

fn weight_of(window: Window, now: SteadyTime) -> u64 {
    if window.is_open(now) { u64::from(window.used()) } else { 0 }
}

#[cfg(test)]
mod tests;

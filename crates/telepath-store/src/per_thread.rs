//! Per-thread copies of data that every request writes. A counter written by two processors moves between their
//! caches with each request, along with its cache line; so each thread has its own copy on its own cache lines.

use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_utils::CachePadded;

/// Number of copies; a power of two. With more threads, some share a copy, which is slower but correct.
pub(crate) const COPIES: usize = 8;

/// One copy of a value per thread.
#[derive(Debug)]
pub struct PerThread<T>(Box<[CachePadded<T>]>);

impl<T: Default> Default for PerThread<T> {
    fn default() -> Self {
        Self((0..COPIES).map(|_| CachePadded::default()).collect())
    }
}

impl<T> PerThread<T> {
    /// This thread's copy first, then the others.
    pub fn own_first(&self) -> impl Iterator<Item = &T> {
        let (before, rest) = self.0.split_at(own_place());
        rest.iter().chain(before).map(|copy| &**copy)
    }

    /// This thread's copy.
    pub fn own(&self) -> &T {
        &self.0[own_place()]
    }

    /// Every copy, in a fixed order.
    pub fn all(&self) -> impl Iterator<Item = &T> + Clone {
        self.0.iter().map(|copy| &**copy)
    }
}

fn own_place() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static PLACE: usize = NEXT.fetch_add(1, Ordering::Relaxed) % COPIES;
    }
    PLACE.with(|place| *place)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    #[test]
    fn per_thread_counts_add_up() {
        let counts = PerThread::<AtomicU64>::default();
        std::thread::scope(|scope| {
            for _ in 0..2 * COPIES {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        counts.own().fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        let each: Vec<u64> = counts.all().map(|count| count.load(Ordering::Relaxed)).collect();
        assert_eq!(each.iter().sum::<u64>(), 16_000);
        assert!(each.iter().filter(|count| **count > 0).count() > 1, "{each:?}");
    }

    #[test]
    fn own_first_yields_every_copy_starting_with_this_threads() {
        let copies = PerThread::<AtomicU64>::default();
        copies.own().store(1, Ordering::Relaxed);
        let all: Vec<u64> = copies.own_first().map(|copy| copy.load(Ordering::Relaxed)).collect();
        assert_eq!((all.len(), all[0], all.iter().sum::<u64>()), (COPIES, 1, 1));
    }
}

//! Who gets the free places. A dead or slow endpoint holds what it holds; every free place goes to the endpoint that has
//! the fewest, so no backlog of one keeps the events of another waiting.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// An endpoint with deliveries that are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanting {
    /// Deliveries under way.
    pub in_flight: u32,
    /// How many may be.
    pub allowed: u32,
}

/// How many deliveries of each endpoint to take, `free` in all. Among endpoints that have equally many under way, those
/// from `first` on come first; moving it on with each round gives everyone a turn.
pub fn share(wanting: &[Wanting], free: u32, first: usize) -> Vec<u32> {
    let mut granted = vec![0; wanting.len()];
    let count = wanting.len();
    let mut queue: BinaryHeap<_> = (0..count)
        .filter(|place| wanting[*place].in_flight < wanting[*place].allowed)
        .map(|place| Reverse((wanting[place].in_flight, (place + count - first % count) % count, place)))
        .collect();
    for _ in 0..free {
        let Some(Reverse((has, turn, place))) = queue.pop() else { break };
        granted[place] += 1;
        if has + 1 < wanting[place].allowed {
            queue.push(Reverse((has + 1, turn, place)));
        }
    }
    granted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanting(in_flight: u32, allowed: u32) -> Wanting {
        Wanting { in_flight, allowed }
    }

    #[test]
    fn places_go_to_those_who_have_the_fewest() {
        let endpoints = [wanting(10, 10), wanting(0, 10), wanting(2, 10), wanting(0, 1)];
        assert_eq!(share(&endpoints, 100, 0), [0, 10, 8, 1]);
        assert_eq!(share(&endpoints, 4, 0), [0, 3, 0, 1]);
        assert_eq!(share(&[], 4, 7), [] as [u32; 0]);
    }

    #[test]
    fn too_few_places_go_round() {
        let endpoints = [wanting(0, 10); 5];
        let mut sums = [0; 5];
        for first in 0..5 {
            for (sum, granted) in sums.iter_mut().zip(share(&endpoints, 2, first)) {
                *sum += granted;
            }
        }
        assert_eq!(sums, [2; 5]);
    }

    #[test]
    fn one_that_holds_its_places_for_long_takes_none_of_the_others() {
        let mut endpoints = vec![wanting(10, 10)];
        endpoints.resize(100, wanting(0, 10));
        let granted = share(&endpoints, 502, 0);
        assert_eq!(granted[0], 0);
        assert!(granted[1..].iter().all(|granted| (5..=6).contains(granted)));
    }
}

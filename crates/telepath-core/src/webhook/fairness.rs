//! Allocates delivery slots to endpoints. A slow endpoint keeps the slots it occupies; each free slot goes to the endpoint
//! with the fewest, so the backlog of one endpoint does not delay the events of another.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// An endpoint with deliveries that are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// Deliveries in flight.
    pub in_flight: u32,
    /// The limit of deliveries in flight.
    pub allowed: u32,
}

/// The number of deliveries to start for each endpoint, `free` in total. Among endpoints with equally many in flight, those
/// from index `first` on come first; advance `first` with each round so that every endpoint gets a turn.
pub fn allocate(demands: &[Demand], free: u32, first: usize) -> Vec<u32> {
    let mut granted = vec![0; demands.len()];
    let count = demands.len();
    let mut queue: BinaryHeap<_> = (0..count)
        .filter(|index| demands[*index].in_flight < demands[*index].allowed)
        .map(|index| Reverse((demands[index].in_flight, (index + count - first % count) % count, index)))
        .collect();
    for _ in 0..free {
        let Some(Reverse((has, turn, index))) = queue.pop() else { break };
        granted[index] += 1;
        if has + 1 < demands[index].allowed {
            queue.push(Reverse((has + 1, turn, index)));
        }
    }
    granted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demand(in_flight: u32, allowed: u32) -> Demand {
        Demand { in_flight, allowed }
    }

    #[test]
    fn slots_go_to_the_endpoints_with_the_fewest_in_flight() {
        let endpoints = [demand(10, 10), demand(0, 10), demand(2, 10), demand(0, 1)];
        assert_eq!(allocate(&endpoints, 100, 0), [0, 10, 8, 1]);
        assert_eq!(allocate(&endpoints, 4, 0), [0, 3, 0, 1]);
        assert_eq!(allocate(&[], 4, 7), [] as [u32; 0]);
    }

    #[test]
    fn scarce_slots_rotate_over_all_endpoints() {
        let endpoints = [demand(0, 10); 5];
        let mut sums = [0; 5];
        for first in 0..5 {
            for (sum, granted) in sums.iter_mut().zip(allocate(&endpoints, 2, first)) {
                *sum += granted;
            }
        }
        assert_eq!(sums, [2; 5]);
    }

    #[test]
    fn a_slow_endpoint_does_not_reduce_the_slots_of_others() {
        let mut endpoints = vec![demand(10, 10)];
        endpoints.resize(100, demand(0, 10));
        let granted = allocate(&endpoints, 502, 0);
        assert_eq!(granted[0], 0);
        assert!(granted[1..].iter().all(|granted| (5..=6).contains(granted)));
    }
}

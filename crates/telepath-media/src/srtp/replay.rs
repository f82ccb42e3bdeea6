//! Packet indices: how one follows from a sequence number (RFC 3711 section 3.3.1), and which were received before
//! (section 3.3.2).

use crate::rtp::SequenceNumber;

/// The number of packets behind the newest one that are still accepted.
const WINDOW: u64 = 64;

/// The index of the packet with this sequence number, closest to the index of another packet of its source. The rollover
/// counter is above the lower 16 bits. `None` if it would be negative.
pub(super) fn estimate_index(near: u64, sequence: SequenceNumber) -> Option<u64> {
    let newest = SequenceNumber((near & 0xffff) as u16);
    near.checked_add_signed(i64::from(sequence.distance_from(newest)))
}

/// The indices received from one source.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReplayWindow {
    newest: u64,
    /// Bit n is set if the packet `newest - n` was received.
    seen: u64,
}

impl ReplayWindow {
    /// Starts with the first packet that was authenticated.
    pub(super) fn new(index: u64) -> Self {
        Self { newest: index, seen: 1 }
    }

    /// The newest index.
    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    /// Whether a packet is new.
    pub(super) fn is_new(&self, index: u64) -> bool {
        match self.newest.checked_sub(index) {
            None => true,
            Some(behind) => behind < WINDOW && self.seen & 1 << behind == 0,
        }
    }

    /// Notes a packet that was authenticated.
    pub(super) fn accept(&mut self, index: u64) {
        if let Some(ahead) = index.checked_sub(self.newest) {
            let shift = u32::try_from(ahead).ok();
            self.seen = shift.and_then(|by| self.seen.checked_shl(by)).unwrap_or(0) | 1;
            self.newest = index;
        } else {
            let behind = self.newest - index;
            if behind < WINDOW {
                self.seen |= 1 << behind;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rollover_counter_follows_the_sequence_number_in_both_directions() {
        assert_eq!(estimate_index(0xfffe, SequenceNumber(1)), Some(0x1_0001));
        assert_eq!(estimate_index(0x1_0001, SequenceNumber(0xfffe)), Some(0xfffe));
        assert_eq!(estimate_index(0x5_8000, SequenceNumber(0x0001)), Some(0x5_0001));
        assert_eq!(estimate_index(0x5_8001, SequenceNumber(0x0000)), Some(0x6_0000));
        assert_eq!(estimate_index(3, SequenceNumber(0xffff)), None, "before the first packet");
    }

    #[test]
    fn a_packet_is_accepted_once_and_only_within_the_window() {
        let mut window = ReplayWindow::new(100);
        assert!(!window.is_new(100) && window.is_new(101) && window.is_new(99));
        window.accept(99);
        assert!(!window.is_new(99));
        window.accept(163);
        assert!(!window.is_new(100) && !window.is_new(99), "100 is in the window, 99 behind it");
        assert!(window.is_new(101));
        window.accept(10_000);
        assert!(window.is_new(9_999) && !window.is_new(163) && !window.is_new(10_000));
    }
}

//! Which part of the queued audio belongs to which item of the agent, and how much of an item was played.
//!
//! Positions count octets of payload that have entered the queue, including the silence that completes a frame. Silence
//! in the middle of an item is not part of it, so an item may have several spans.

use super::event::{ItemNumber, ItemPlayback};
use crate::media_clock::duration_of;
use std::collections::VecDeque;

/// Maximum number of spans; further audio is added to the last one.
const SPAN_LIMIT: usize = 256;

#[derive(Debug, Clone, Copy)]
struct ItemSpan {
    item: ItemNumber,
    start: u64,
    end: u64,
    /// Octets of the item in spans before this one.
    before: u64,
}

impl ItemSpan {
    fn played(&self, position: u64) -> u64 {
        self.before + position.clamp(self.start, self.end) - self.start
    }
}

#[derive(Debug, Default)]
pub(super) struct ItemTracker {
    spans: VecDeque<ItemSpan>,
}

impl ItemTracker {
    /// Octets from `start` to `end` were pushed, and everything before `played` has been played.
    pub(super) fn note_pushed(&mut self, item: Option<ItemNumber>, start: u64, end: u64, played: u64) {
        // Audio that was refused does not take a place.
        self.spans.iter_mut().rev().take_while(|span| span.end > end).for_each(|span| {
            span.end = end.max(span.start);
        });
        let Some(item) = item.filter(|_| end > start) else { return };
        let is_full = self.spans.len() >= SPAN_LIMIT;
        match self.spans.back_mut() {
            Some(last) if is_full || (last.item == item && last.end >= start) => last.end = end,
            last => {
                let before = last.filter(|last| last.item == item).map(|last| last.played(u64::MAX));
                self.spans.push_back(ItemSpan { item, start, end, before: before.unwrap_or(0) });
            }
        }
        while self.spans.len() > 1 && self.spans.front().is_some_and(|first| first.end <= played) {
            self.spans.pop_front();
        }
    }

    /// What was played of the items in the queue, in order, and of the latest one.
    pub(super) fn playback(&self, position: u64) -> Vec<ItemPlayback> {
        let mut items: Vec<ItemPlayback> = Vec::new();
        for span in &self.spans {
            let played = duration_of(span.played(position));
            match items.last_mut() {
                Some(last) if last.item == span.item => {
                    if position > span.start {
                        last.played = played;
                    }
                }
                _ => items.push(ItemPlayback { item: span.item, played }),
            }
        }
        items
    }

    /// The queue was flushed.
    pub(super) fn clear(&mut self) {
        self.spans.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const A: ItemNumber = ItemNumber(1);
    const B: ItemNumber = ItemNumber(2);

    fn played(tracker: &ItemTracker, position: u64) -> Vec<(u64, u128)> {
        tracker.playback(position).iter().map(|item| (item.item.0, item.played.as_millis())).collect()
    }

    #[test]
    fn an_item_is_played_up_to_the_position_of_the_queue() {
        let mut tracker = ItemTracker::default();
        tracker.note_pushed(None, 0, 800, 0);
        tracker.note_pushed(Some(A), 800, 1600, 0);
        tracker.note_pushed(Some(A), 1600, 2400, 0);
        tracker.note_pushed(Some(B), 2400, 3200, 0);
        assert_eq!(played(&tracker, 0), [(1, 0), (2, 0)]);
        assert_eq!(played(&tracker, 1208), [(1, 51), (2, 0)]);
        assert_eq!(played(&tracker, 9999), [(1, 200), (2, 100)]);
        tracker.clear();
        assert!(played(&tracker, 9999).is_empty());
    }

    #[test]
    fn silence_in_the_middle_of_an_item_is_not_part_of_it() {
        let mut tracker = ItemTracker::default();
        tracker.note_pushed(Some(A), 0, 200, 0);
        // The second frame was completed with 120 octets of silence.
        tracker.note_pushed(Some(A), 320, 480, 0);
        assert_eq!(played(&tracker, 320), [(1, 25)]);
        assert_eq!(played(&tracker, 400), [(1, 35)]);
        assert_eq!(played(&tracker, 480), [(1, 45)]);
    }

    #[test]
    fn items_that_were_played_are_forgotten_except_for_the_latest() {
        let mut tracker = ItemTracker::default();
        for n in 0..10_000u64 {
            tracker.note_pushed(Some(ItemNumber(n)), n * 160, (n + 1) * 160, n * 160);
        }
        assert_eq!(played(&tracker, 10_000 * 160), [(9999, 20)]);
    }

    #[test]
    fn refused_audio_is_not_counted_as_played() {
        let mut tracker = ItemTracker::default();
        tracker.note_pushed(Some(A), 0, 1600, 0);
        // 100 octets waited for the rest of their frame when the queue was full.
        tracker.note_pushed(Some(A), 1600, 1700, 0);
        tracker.note_pushed(Some(B), 1700, 1600, 0);
        assert_eq!(tracker.playback(u64::MAX)[0].played, Duration::from_millis(200));
    }

    #[test]
    fn the_number_of_spans_is_bounded() {
        let mut tracker = ItemTracker::default();
        for n in 0..10_000u64 {
            tracker.note_pushed(Some(ItemNumber(n)), n, n + 1, 0);
        }
        assert_eq!(tracker.spans.len(), SPAN_LIMIT);
    }
}

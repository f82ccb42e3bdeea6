//! The answers of the model: which audio belongs to which item, what was cut, and whether a response is active.

use crate::playout::{ItemNumber, ItemPlayback};
use std::collections::VecDeque;
use std::time::Duration;

/// Items with audio that are remembered. The oldest one has long been played.
const ITEM_LIMIT: usize = 32;
/// Responses that were cut and are remembered, because their audio may still arrive.
const CUT_LIMIT: usize = 8;

#[derive(Debug)]
struct AudioItem {
    number: ItemNumber,
    id: String,
    response: String,
    bytes: u64,
    is_complete: bool,
}

/// An item that was cut.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Heard {
    /// The provider's identifier of the item.
    pub(super) item: String,
    /// Bytes of audio that had arrived.
    pub(super) bytes_received: u64,
    /// Whether the item has no more audio.
    pub(super) is_complete: bool,
    /// What the caller heard of it.
    pub(super) played: Duration,
}

#[derive(Debug, Default)]
pub(super) struct Answers {
    items: VecDeque<AudioItem>,
    last_number: u64,
    /// The response that is active.
    active: Option<String>,
    /// Responses that were cut.
    cut: VecDeque<String>,
}

impl Answers {
    /// The number of an item whose audio has arrived; `None` if its response was cut.
    pub(super) fn item(&mut self, response: &str, id: &str) -> Option<ItemNumber> {
        if self.cut.iter().any(|cut| cut == response) {
            return None;
        }
        if let Some(known) = self.items.iter().rev().find(|item| item.id == id) {
            return Some(known.number);
        }
        self.last_number += 1;
        let number = ItemNumber(self.last_number);
        if self.items.len() >= ITEM_LIMIT {
            self.items.pop_front();
        }
        let (id, response) = (id.to_owned(), response.to_owned());
        self.items.push_back(AudioItem { number, id, response, bytes: 0, is_complete: false });
        Some(number)
    }

    pub(super) fn note_received(&mut self, number: ItemNumber, bytes: usize) {
        if let Some(item) = self.items.iter_mut().rev().find(|item| item.number == number) {
            item.bytes += bytes as u64;
        }
    }

    pub(super) fn audio_done(&mut self, id: &str) {
        if let Some(item) = self.items.iter_mut().rev().find(|item| item.id == id) {
            item.is_complete = true;
        }
    }

    pub(super) fn response_created(&mut self, id: &str) {
        self.active = Some(id.to_owned());
    }

    pub(super) fn response_done(&mut self, id: &str) {
        self.active.take_if(|active| id.is_empty() || active == id);
    }

    /// The session is over, and another one continues. What arrived is still played.
    pub(super) fn forget(&mut self) {
        *self = Self { last_number: self.last_number, ..Self::default() };
    }

    pub(super) fn is_responding(&self) -> bool {
        self.active.is_some()
    }

    /// The queue was flushed. The rest of what was in it is dropped when it arrives, and so is the rest of the active
    /// response.
    pub(super) fn cut(&mut self, playback: &[ItemPlayback]) -> Vec<Heard> {
        let mut heard = Vec::new();
        let mut responses: Vec<String> = self.active.iter().cloned().collect();
        for item in self.items.drain(..) {
            if let Some(part) = playback.iter().find(|part| part.item == item.number) {
                responses.push(item.response);
                let AudioItem { id, bytes, is_complete, .. } = item;
                heard.push(Heard { item: id, bytes_received: bytes, is_complete, played: part.played });
            }
        }
        for response in responses {
            if !self.cut.contains(&response) {
                self.cut.push_back(response);
            }
        }
        let surplus = self.cut.len().saturating_sub(CUT_LIMIT);
        self.cut.drain(..surplus);
        heard
    }
}

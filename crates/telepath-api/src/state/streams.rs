//! How many streams are open: in total, and by one key.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use telepath_core::account::Actor;

/// The most open streams of this server.
const MAX_STREAMS: usize = 200;
/// The most open streams of one key on this server.
pub(crate) const MAX_STREAMS_OF_KEY: usize = 4;

/// Why a stream is not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TooManyStreams {
    OfKey,
    OfServer,
}

/// The open streams, by who opened them.
#[derive(Debug, Clone, Default)]
pub(crate) struct StreamSlots(Arc<Mutex<HashMap<String, usize>>>);

/// An open stream. Dropping it frees its place.
#[derive(Debug)]
pub(crate) struct StreamSlot {
    slots: StreamSlots,
    owner: String,
}

impl StreamSlots {
    fn open(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place.
    pub(crate) fn try_open(&self, owner: Actor) -> Result<StreamSlot, TooManyStreams> {
        let owner = owner.to_string();
        let mut open = self.open();
        if open.values().sum::<usize>() >= MAX_STREAMS {
            return Err(TooManyStreams::OfServer);
        }
        let own = open.entry(owner.clone()).or_default();
        if *own >= MAX_STREAMS_OF_KEY {
            return Err(TooManyStreams::OfKey);
        }
        *own += 1;
        drop(open);
        Ok(StreamSlot { slots: self.clone(), owner })
    }
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        let mut open = self.slots.open();
        if let Some(own) = open.get_mut(&self.owner) {
            *own -= 1;
            if *own == 0 {
                open.remove(&self.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use telepath_core::id::{Id as _, KeyId};

    use super::*;

    fn key(number: u8) -> Actor {
        Actor::Key(KeyId::from_bytes([number; 16]))
    }

    #[test]
    fn a_key_has_few_streams_and_a_closed_one_frees_its_place() {
        let slots = StreamSlots::default();
        let mut open: Vec<_> = (0..MAX_STREAMS_OF_KEY).map(|_| slots.try_open(key(1)).unwrap()).collect();
        assert_eq!(slots.try_open(key(1)).unwrap_err(), TooManyStreams::OfKey);
        let other = slots.try_open(key(2)).unwrap();
        open.pop();
        open.push(slots.try_open(key(1)).unwrap());
        drop((open, other));
        assert!(slots.open().is_empty());
    }

    #[test]
    fn the_streams_of_a_server_are_bounded() {
        let slots = StreamSlots::default();
        let open: Vec<_> = (0..MAX_STREAMS)
            .map(|number| slots.try_open(key(u8::try_from(number).unwrap())).unwrap())
            .collect();
        assert_eq!(slots.try_open(key(255)).unwrap_err(), TooManyStreams::OfServer);
        drop(open);
        slots.try_open(key(255)).unwrap();
    }
}

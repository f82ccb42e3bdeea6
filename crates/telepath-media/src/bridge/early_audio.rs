//! What the caller says before the agent is ready: the newest part of it, within the bound of the agent's queue.
//!
//! A provider refuses audio during its handshake, and its format may not be known. So payloads are kept as they came and
//! passed on when the agent is ready; the agent then hears the beginning of the first sentence.

use crate::codec::AudioCodec;
use crate::media_clock::{FRAME_SAMPLES, samples_in};
use std::collections::VecDeque;
use std::time::Duration;

#[derive(Debug)]
pub(super) struct EarlyAudio {
    octets: VecDeque<u8>,
    limit: usize,
}

impl EarlyAudio {
    pub(super) fn new(limit: Duration) -> Self {
        Self { octets: VecDeque::new(), limit: usize::try_from(samples_in(limit)).unwrap_or(usize::MAX) }
    }

    /// Keeps a payload, and returns how many frames of 20 ms, or parts of them, were dropped for it.
    pub(super) fn push(&mut self, payload: impl ExactSizeIterator<Item = u8>) -> u64 {
        let surplus = (self.octets.len() + payload.len()).saturating_sub(self.limit);
        self.octets.extend(payload);
        self.octets.drain(..surplus);
        surplus.div_ceil(FRAME_SAMPLES) as u64
    }

    /// The codec of the carrier leg has changed.
    pub(super) fn transcode(&mut self, from: AudioCodec, to: AudioCodec) {
        if from != to {
            self.octets.iter_mut().for_each(|code| *code = to.encode(from.decode(*code)));
        }
    }

    /// Removes everything, and gives back the memory.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.octets).into()
    }
}

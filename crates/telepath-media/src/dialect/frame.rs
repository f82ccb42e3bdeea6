//! WebSocket frames, and what a dialect does with one.

use super::from_agent::FromAgent;
use crate::playout::ItemNumber;
use std::ops::Range;

/// A frame to write to the agent's socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentFrame {
    /// A text frame.
    Text(String),
    /// A binary frame.
    Binary(Vec<u8>),
}

/// A frame read from the agent's socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentMessage<'a> {
    /// A text frame.
    Text(&'a str),
    /// A binary frame.
    Binary(&'a [u8]),
}

/// What a provider sends in binary frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BinaryContent {
    /// Audio in the format of the dialect.
    Audio,
    /// The same events as in text frames.
    Events,
    /// Nothing: the dialect has no binary frames.
    Nothing,
}

/// Maximum number of frames and of events that one received frame causes; further ones are dropped and counted.
pub const MAX_RESULTS: usize = 256;

/// A longer buffer of decoded audio is given back to the allocator after use, in bytes.
const KEPT_AUDIO: usize = 64 * 1024;

/// Where a dialect puts its results: frames for the agent, events for the bridge, and decoded audio. The bridge reuses
/// one for all frames of a call.
#[derive(Debug, Default)]
pub struct DialectOutput {
    frames: Vec<AgentFrame>,
    events: Vec<FromAgent>,
    audio: Vec<u8>,
    dropped: u64,
}

impl DialectOutput {
    /// Writes a text frame to the agent.
    pub(super) fn send(&mut self, text: String) {
        if self.frames.len() < MAX_RESULTS {
            self.frames.push(AgentFrame::Text(text));
        } else {
            self.dropped += 1;
        }
    }

    /// Passes an event to the bridge.
    pub(super) fn emit(&mut self, event: FromAgent) {
        if self.events.len() < MAX_RESULTS {
            self.events.push(event);
        } else {
            self.dropped += 1;
        }
    }

    /// Passes audio to the bridge. `decode` appends the bytes to the buffer.
    ///
    /// # Errors
    /// Returns the error of `decode`; then no audio is passed.
    pub(super) fn emit_audio<E>(
        &mut self,
        item: Option<ItemNumber>,
        decode: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<usize, E> {
        let start = self.audio.len();
        if let Err(error) = decode(&mut self.audio) {
            self.audio.truncate(start);
            return Err(error);
        }
        let bytes = start..self.audio.len();
        let length = bytes.len();
        if length > 0 {
            self.emit(FromAgent::Audio { bytes, item });
        }
        Ok(length)
    }

    /// The decoded bytes of [`FromAgent::Audio`].
    pub fn audio(&self, bytes: Range<usize>) -> &[u8] {
        self.audio.get(bytes).unwrap_or_default()
    }

    /// Removes the frames for the agent, in order.
    pub fn take_frames(&mut self) -> impl Iterator<Item = AgentFrame> + use<'_> {
        self.frames.drain(..)
    }

    /// Removes the events for the bridge, in order. Their audio stays until [`Self::reset`].
    pub(crate) fn take_events(&mut self) -> Vec<FromAgent> {
        std::mem::take(&mut self.events)
    }

    /// Gives back an emptied list of events, so that its memory is used again.
    pub(crate) fn reuse_events(&mut self, mut events: Vec<FromAgent>) {
        events.clear();
        if self.events.is_empty() {
            self.events = events;
        }
    }

    /// Removes everything, and returns how many results were beyond [`MAX_RESULTS`].
    pub(crate) fn reset(&mut self) -> u64 {
        self.frames.clear();
        self.events.clear();
        self.audio.clear();
        self.audio.shrink_to(KEPT_AUDIO);
        std::mem::take(&mut self.dropped)
    }
}

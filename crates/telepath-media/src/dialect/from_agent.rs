//! Events from an agent, in terms that all dialects share.

use super::provider_error::ProviderError;
use super::tools::{ToolCall, ToolCallId};
use crate::dtmf::Digit;
use crate::playout::{ItemNumber, MarkName};
use std::ops::Range;

/// The target of a transfer: a `sip:`, `sips:` or `tel:` URI, or a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferTarget(String);

impl TransferTarget {
    /// Maximum length in bytes.
    pub const LIMIT: usize = 512;

    /// Checks a target; `None` if it is empty, too long, or contains whitespace, control characters or any of `<>"`.
    pub fn new(text: String) -> Option<Self> {
        let clean = !text.is_empty()
            && text.len() <= Self::LIMIT
            && text.chars().all(|c| !c.is_whitespace() && !c.is_control() && !matches!(c, '<' | '>' | '"'));
        clean.then_some(Self(text))
    }

    /// The target as the agent wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An event from the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromAgent {
    /// Audio to play, in the format of the dialect.
    Audio {
        /// Its place in [`super::DialectOutput::audio`].
        bytes: Range<usize>,
        /// What the audio belongs to, if the dialect wants to know how much of it was played.
        item: Option<ItemNumber>,
    },
    /// Audio of an item that was cut. It was dropped.
    LateAudio,
    /// Report when the audio sent so far has been played.
    Mark(MarkName),
    /// Flush the queued audio: the agent clears it.
    Clear,
    /// Flush the queued audio: the provider has detected that the caller interrupts the agent.
    Interrupted,
    /// The caller started speaking, according to the provider.
    SpeechStarted,
    /// The caller stopped speaking, according to the provider.
    SpeechStopped,
    /// The agent calls a tool.
    ToolCall(ToolCall),
    /// The agent no longer needs the result of a tool call.
    ToolCallCancelled(ToolCallId),
    /// End the call.
    Hangup,
    /// Transfer the call.
    Transfer(TransferTarget),
    /// Send DTMF digits to the caller.
    SendDtmf(Vec<Digit>),
    /// The provider reports an error.
    Error(ProviderError),
    /// An event of an unknown type. It is ignored.
    Unknown,
}

//! What each dialect implements.

use super::fault::AgentFault;
use super::frame::{AgentFrame, BinaryContent, DialectOutput};
use super::to_agent::ToAgent;
use crate::audio_format::AgentFormats;
use std::fmt::{self, Debug};
use std::time::Instant;

/// Who decides when the caller speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnDetection {
    /// The provider reports start and end of the caller's speech, and interruptions.
    Provider,
    /// The built-in detector measures turns, and the provider reports interruptions.
    ProviderInterrupts,
    /// The built-in detector. The agent, or the bridge for it, clears queued audio.
    BuiltIn,
}

/// How an agent closed its WebSocket (RFC 6455 section 5.5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentClose<'a> {
    /// The status code; 1005 if the close frame has none.
    pub code: u16,
    /// The text beside it.
    pub reason: &'a str,
}

impl fmt::Display for AgentClose<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the agent closed the WebSocket with code {}", self.code)?;
        let reason: String = self.reason.chars().filter(|c| !c.is_control()).collect();
        if reason.is_empty() { Ok(()) } else { write!(f, ": {reason}") }
    }
}

/// How the end of the agent's connection is to be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseMeaning {
    /// The agent has ended the conversation, and queued audio is no longer wanted.
    Hangup,
    /// The agent has ended the conversation. What it said last is still to be played.
    HangupAfterPlayOut,
    /// The agent has failed.
    Failure,
}

/// The wire protocol of one connection, with its state.
pub(super) trait Protocol: Debug + Send + Sync {
    /// The WebSocket subprotocol to request.
    fn subprotocol(&self) -> Option<&'static str> {
        None
    }

    /// Whether the agent accepts audio.
    fn is_ready(&self) -> bool;

    /// The formats of the audio; final once the agent is ready.
    fn formats(&self) -> AgentFormats;

    /// Who decides when the caller speaks.
    fn turn_detection(&self) -> TurnDetection;

    /// The length of every audio frame in bytes, if the provider expects one; otherwise frames are as long as the caller's
    /// packets.
    fn audio_chunk(&self) -> Option<usize> {
        None
    }

    /// What binary frames contain.
    fn binary_content(&self) -> BinaryContent {
        BinaryContent::Nothing
    }

    /// What it means that the agent closes the WebSocket with this code (RFC 6455 section 7.4).
    fn close_meaning(&self, code: Option<u16>) -> CloseMeaning;

    /// Prepares for a new connection after the old one was lost, beginning with its `Start` event; `false` if a call cannot
    /// continue on a new connection.
    fn reconnect(&mut self) -> bool {
        false
    }

    /// Writes the frames of an event, if the dialect has any for it.
    fn encode(&mut self, event: &ToAgent<'_>, output: &mut DialectOutput);

    /// Whether the agent receives each key that the caller presses, as [`ToAgent::Dtmf`]. Otherwise the keys that belong
    /// together are one sentence for [`Self::encode_input`].
    fn receives_digits(&self) -> bool {
        false
    }

    /// Writes a sentence about the keys that the caller pressed. The agent is ready.
    fn encode_input(&mut self, _text: &str, _output: &mut DialectOutput) {}

    /// A frame of the caller's audio, in the format of [`Self::formats`].
    fn encode_audio(&mut self, audio: Vec<u8>) -> AgentFrame;

    /// Handles a text frame.
    ///
    /// # Errors
    /// Returns why the frame, or a part of it, was not carried out.
    fn handle_text(&mut self, text: &str, now: Instant, output: &mut DialectOutput)
    -> Result<(), AgentFault>;

    /// When to call [`Self::handle_timeout`].
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// The deadline of [`Self::poll_timeout`] has passed.
    fn handle_timeout(&mut self, _now: Instant, _output: &mut DialectOutput) {}
}

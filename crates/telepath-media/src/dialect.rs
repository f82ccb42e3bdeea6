//! Agent dialects: what an agent's socket carries, encoded and decoded without I/O.
//!
//! The bridge speaks in [`ToAgent`] and [`FromAgent`]; a dialect turns them into frames and back. Each dialect
//! has its own file.

mod telepath_v1;

pub use telepath_v1::{SUBPROTOCOL, TelepathV1};

use crate::codec::Codec;
use crate::dtmf::Digit;
use crate::playout::MarkName;
use crate::reason::EndReason;
use std::collections::BTreeMap;

/// Longest text frame an agent may send, in bytes.
pub const MAX_TEXT: usize = 64 * 1024;

macro_rules! text_types {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
        pub struct $name(pub String);
    )*};
}

text_types! {
    /// Identifier of the call.
    CallId,
    /// Identifier of the trunk.
    TrunkId,
    /// A calling or called number or address.
    Party,
    /// The trunk's instructions to the agent.
    SystemPrompt,
}

/// What the agent is told when the call begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallStart {
    /// Identifier of the call.
    pub call_id: CallId,
    /// Identifier of the trunk.
    pub trunk_id: TrunkId,
    /// Who calls.
    pub from: Party,
    /// Who is called.
    pub to: Party,
    /// The trunk's instructions, when it has some.
    pub system_prompt: Option<SystemPrompt>,
    /// The trunk's own key-value pairs.
    pub metadata: BTreeMap<String, String>,
}

/// A frame of the agent's socket, owned.
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

/// An event for the agent.
#[derive(Debug)]
pub enum ToAgent<'a> {
    /// The call begins.
    Start {
        /// What is known of the call.
        call: &'a CallStart,
        /// Codec of the carrier leg.
        codec: Codec,
    },
    /// The caller began to speak.
    SpeechStarted,
    /// The caller stopped speaking.
    SpeechStopped,
    /// The caller pressed a key.
    Dtmf(Digit),
    /// Audio before the mark has been played or cleared.
    Mark(&'a MarkName),
    /// The caller holds.
    Hold,
    /// The hold is over.
    Resume,
    /// The call is over.
    Stop(EndReason),
    /// Something the agent sent cannot be done.
    Error(AgentFault),
}

/// Where a call shall be transferred to: a `sip:`, `sips:` or `tel:` URI, or a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferTarget(String);

impl TransferTarget {
    /// Longest target in bytes.
    pub const LIMIT: usize = 512;

    /// Takes a target; `None` when it is empty, too long or has spaces or control characters.
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

/// What an agent's text frame asks for. Audio is handled apart, as samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromAgent {
    /// Tell when the audio so far has been played.
    Mark(MarkName),
    /// Flush what is queued.
    Clear,
    /// End the call.
    Hangup,
    /// Transfer the call.
    Transfer(TransferTarget),
    /// Press keys.
    SendDtmf(Vec<Digit>),
    /// An event this version does not know; ignored.
    Unknown,
}

/// Something the agent sent that cannot be done, with a stable code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AgentFault {
    /// Not a JSON object with a text member `type`.
    #[error("the frame is not a JSON object with a text member \"type\"")]
    NotAnEvent,
    /// Longer than [`MAX_TEXT`].
    #[error("the text frame is longer than 65536 bytes")]
    TooLong,
    /// `mark` without a usable `name`.
    #[error("mark needs a \"name\" of at most 256 bytes")]
    BadMark,
    /// `transfer` without a usable `to`.
    #[error("transfer needs \"to\": a SIP or tel URI or a number, without spaces")]
    BadTransfer,
    /// `send_dtmf` without usable `digits`.
    #[error("send_dtmf needs \"digits\": 1 to 64 of 0-9, *, #, A-D")]
    BadDigits,
    /// Too many marks wait.
    #[error("256 marks wait already; this one is not kept")]
    TooManyMarks,
    /// The caller's side has no telephone-event, or too many digits wait.
    #[error(
        "the digits cannot be sent: the caller's side does not take telephone events, or 64 wait already"
    )]
    DigitsNotSent,
}

impl AgentFault {
    /// The code an agent may test for.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotAnEvent | Self::TooLong | Self::BadMark | Self::BadTransfer | Self::BadDigits => {
                "malformed"
            }
            Self::TooManyMarks => "too_many_marks",
            Self::DigitsNotSent => "dtmf_not_sent",
        }
    }
}

/// The dialects an agent may speak.
#[derive(Debug)]
pub enum Dialect {
    /// Telepath's own.
    TelepathV1(TelepathV1),
}

impl Dialect {
    /// Telepath's own dialect, from its start.
    pub fn telepath_v1() -> Self {
        Self::TelepathV1(TelepathV1::default())
    }

    /// The WebSocket subprotocol to ask for.
    pub fn subprotocol(&self) -> &'static str {
        match self {
            Self::TelepathV1(_) => SUBPROTOCOL,
        }
    }

    /// Encodes an event.
    pub fn encode(&self, event: &ToAgent<'_>) -> AgentFrame {
        match self {
            Self::TelepathV1(_) => telepath_v1::encode(event),
        }
    }

    /// Encodes audio.
    pub fn encode_audio(&self, samples: impl ExactSizeIterator<Item = i16>) -> AgentFrame {
        match self {
            Self::TelepathV1(_) => telepath_v1::encode_audio(samples),
        }
    }

    /// Decodes a text frame.
    pub fn decode_text(&self, text: &str) -> Result<FromAgent, AgentFault> {
        match self {
            Self::TelepathV1(_) => telepath_v1::decode_text(text),
        }
    }

    /// Decodes a binary frame into samples.
    pub fn decode_audio<'a>(&mut self, bytes: &'a [u8]) -> impl Iterator<Item = i16> + use<'a> {
        match self {
            Self::TelepathV1(state) => state.decode_audio(bytes),
        }
    }
}

#[cfg(test)]
mod tests;

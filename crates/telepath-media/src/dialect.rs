//! Agent dialects: encoding and decoding of the frames on an agent's WebSocket.
//!
//! The bridge uses [`ToAgent`] and [`FromAgent`]; a dialect converts them to frames and back. Each dialect has its own
//! file.

mod telepath_v1;

pub use telepath_v1::{SUBPROTOCOL, TelepathV1};

use crate::codec::AudioCodec;
use crate::dtmf::Digit;
use crate::playout::MarkName;
use std::collections::BTreeMap;

/// Maximum length of a text frame from an agent, in bytes.
pub const MAX_TEXT: usize = 64 * 1024;

/// What the `start` event tells the agent about the call. The values are sent as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallContext {
    /// Identifier of the call, such as `call_…`.
    pub call_id: String,
    /// Identifier of the trunk, such as `trunk_…`.
    pub trunk_id: String,
    /// The caller's number or SIP user name.
    pub from: String,
    /// The called number or SIP user name.
    pub to: String,
    /// The trunk's instructions to the agent.
    pub system_prompt: Option<String>,
    /// The trunk's own key-value pairs.
    pub metadata: BTreeMap<String, String>,
    /// Headers of the INVITE, such as `P-Asserted-Identity`.
    pub sip_headers: BTreeMap<String, String>,
}

/// The `reason` of the `stop` event: one of those in the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopReason(pub &'static str);

/// A frame to write to the agent's socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentFrame {
    /// An event.
    Text(String),
    /// Audio.
    Binary(Vec<u8>),
}

/// A frame read from the agent's socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentMessage<'a> {
    /// An event.
    Text(&'a str),
    /// Audio.
    Binary(&'a [u8]),
}

/// An event for the agent.
#[derive(Debug)]
pub enum ToAgent<'a> {
    /// The first event on the socket.
    Start {
        /// Identity and settings of the call.
        call: &'a CallContext,
        /// Codec of the carrier leg.
        codec: AudioCodec,
    },
    /// The caller started speaking.
    SpeechStarted,
    /// The caller stopped speaking.
    SpeechStopped,
    /// The caller pressed a key.
    Dtmf(Digit),
    /// The audio before a mark has been played or cleared.
    Mark {
        /// The agent's name for the mark.
        name: &'a MarkName,
        /// Whether audio before the mark was cleared.
        cleared: bool,
    },
    /// The caller put the call on hold.
    Hold,
    /// The caller resumed the call.
    Resume,
    /// The call is over. The last event on the socket.
    Stop(StopReason),
    /// A frame from the agent was malformed or could not be carried out.
    Error(AgentFault),
}

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

/// An event from the agent. Audio is decoded separately, to samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromAgent {
    /// Report when the audio sent so far has been played.
    Mark(MarkName),
    /// Flush the queued audio.
    Clear,
    /// End the call.
    Hangup,
    /// Transfer the call.
    Transfer(TransferTarget),
    /// Send DTMF digits to the caller.
    SendDtmf(Vec<Digit>),
    /// An event of an unknown type. It is ignored.
    Unknown,
}

/// Why a frame from the agent was not carried out. Each fault has a stable code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AgentFault {
    /// The frame is not a JSON object with a string member `type`.
    #[error("the frame is not a JSON object with a string member \"type\"")]
    NotAnEvent,
    /// The frame is longer than [`MAX_TEXT`].
    #[error("the text frame is longer than 65536 bytes")]
    TooLong,
    /// `mark` without a valid `name`.
    #[error("mark needs a \"name\" of at most 256 bytes")]
    BadMark,
    /// `transfer` without a valid `to`.
    #[error("transfer needs \"to\": a SIP or tel URI or a number, without spaces")]
    BadTransfer,
    /// `send_dtmf` without valid `digits`.
    #[error("send_dtmf needs \"digits\": 1 to 64 of 0-9, *, #, A-D")]
    BadDigits,
    /// [`crate::playout::MARK_LIMIT`] marks are already pending.
    #[error("256 marks are already pending; this one was dropped")]
    TooManyMarks,
    /// The play-out queue is full.
    #[error("the queue of audio for the caller is full; the newest audio is dropped until there is room")]
    PlayoutFull,
    /// telephone-event was not negotiated, or [`crate::dtmf::SEND_LIMIT`] digits are already queued.
    #[error(
        "the digits cannot be sent: the caller did not negotiate telephone-event, or 64 digits are already queued"
    )]
    DigitsNotSent,
}

impl AgentFault {
    /// The stable `code` of the `error` event.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotAnEvent | Self::TooLong | Self::BadMark | Self::BadTransfer | Self::BadDigits => {
                "malformed"
            }
            Self::TooManyMarks => "too_many_marks",
            Self::PlayoutFull => "playout_full",
            Self::DigitsNotSent => "dtmf_not_sent",
        }
    }
}

/// The dialect of one connection, with its decoder state.
#[derive(Debug)]
pub enum Dialect {
    /// `telepath.v1`.
    TelepathV1(TelepathV1),
}

impl Dialect {
    /// `telepath.v1` for a new connection.
    pub fn telepath_v1() -> Self {
        Self::TelepathV1(TelepathV1::default())
    }

    /// The WebSocket subprotocol to request.
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

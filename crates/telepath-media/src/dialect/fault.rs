//! Why a frame from an agent was not carried out.

use super::tools::{MAX_TOOL_ARGUMENTS, MAX_TOOL_NAME};

/// Why a frame from the agent was not carried out. Each fault has a stable code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AgentFault {
    /// The frame is not a JSON object with a string member `type`.
    #[error("the frame is not a JSON object with a string member \"type\"")]
    NotAnEvent,
    /// The event lacks a member, or a member has the wrong type.
    #[error("the event lacks a member, or a member has the wrong type")]
    BadEvent,
    /// The audio in the event is not base64.
    #[error("the audio in the event is not base64")]
    BadAudio,
    /// A binary frame in a dialect that has none.
    #[error("this protocol has no binary frames")]
    UnexpectedBinary,
    /// The frame is longer than [`super::MAX_TEXT`].
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
    /// A tool call without name or identifier, or a longer one than [`MAX_TOOL_NAME`] and [`MAX_TOOL_ARGUMENTS`] permit.
    #[error(
        "a tool call needs an identifier and a name of at most {MAX_TOOL_NAME} bytes, and at most {MAX_TOOL_ARGUMENTS} \
         bytes of arguments"
    )]
    BadToolCall,
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
            Self::NotAnEvent
            | Self::BadEvent
            | Self::BadAudio
            | Self::UnexpectedBinary
            | Self::TooLong
            | Self::BadMark
            | Self::BadTransfer
            | Self::BadDigits
            | Self::BadToolCall => "malformed",
            Self::TooManyMarks => "too_many_marks",
            Self::PlayoutFull => "playout_full",
            Self::DigitsNotSent => "dtmf_not_sent",
        }
    }
}

/// Why a transfer that the agent asked for did not take place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferFailure {
    /// The rules of the trunk do not permit it.
    NotAllowed,
    /// It was tried, or could not be tried.
    Failed,
}

impl TransferFailure {
    /// All failures.
    pub const ALL: [Self; 2] = [Self::NotAllowed, Self::Failed];

    /// The stable `code` of the `error` event.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotAllowed => "transfer_not_allowed",
            Self::Failed => "transfer_failed",
        }
    }
}

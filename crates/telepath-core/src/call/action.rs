//! What a caller does beside speaking, for the call record.

use serde::{Deserialize, Serialize};

use crate::named::named_enum;

/// The most actions kept of a call.
pub const MAX_CALLER_ACTIONS: usize = 500;

named_enum! {
    /// What the caller did.
    pub enum CallerActionKind {
        /// Pressed a key.
        Dtmf = "dtmf",
        /// Put the call on hold.
        Hold = "hold",
        /// Resumed the call.
        Resume = "resume",
    }
}

named_enum! {
    /// How a DTMF digit arrived.
    pub enum DtmfMethod {
        /// As a telephone event in RTP (RFC 4733).
        Rtp = "rtp",
        /// In a SIP INFO request.
        Info = "info",
    }
}

/// An action of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallerAction {
    /// Milliseconds since the call was answered; 0 before.
    pub at_ms: u64,
    pub kind: CallerActionKind,
    /// The key, unless digits are masked: they may be a PIN or a card number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digit: Option<char>,
    /// How the digit arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<DtmfMethod>,
}

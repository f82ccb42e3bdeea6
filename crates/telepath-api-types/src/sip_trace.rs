//! `/v1/calls/{id}/sip-trace`: the SIP messages of a call, one by one.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use telepath_core::call::sip_trace;
use telepath_core::id::CallId;

#[cfg(feature = "openapi")]
use crate::enums;

/// The SIP messages of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SipTrace {
    /// The call's id.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "call_01k9v1n2xrf6t8g3m5q7w9y0za"))]
    pub call_id: CallId,
    /// In the order in which they were sent and received: the beginning and the end of a long call. Empty while the call is
    /// live.
    pub messages: Vec<SipMessage>,
}

/// A SIP message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SipMessage {
    /// Milliseconds since the INVITE.
    #[cfg_attr(feature = "openapi", schema(example = 42))]
    pub at_ms: u64,
    /// `received` from the peer, or `sent` to it.
    #[cfg_attr(feature = "openapi", schema(value_type = enums::SipDirection))]
    pub direction: String,
    /// The peer's address and port.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "198.51.100.7:5060"))]
    pub peer: SocketAddr,
    /// The method of a request, or of the request that a response answers; null if it cannot be read.
    #[cfg_attr(feature = "openapi", schema(example = "INVITE"))]
    pub method: Option<String>,
    /// The status of a response; null for a request.
    #[cfg_attr(feature = "openapi", schema(example = 200))]
    pub status: Option<u16>,
    /// The request line or the status line.
    #[cfg_attr(feature = "openapi", schema(example = "SIP/2.0 200 OK"))]
    pub first_line: String,
    /// The whole message, without credentials and DTMF digits.
    #[cfg_attr(feature = "openapi", schema(example = "SIP/2.0 200 OK\r\nCSeq: 1 INVITE"))]
    pub text: String,
    /// Whether the message was longer than its text.
    pub is_cut: bool,
    /// How many messages before this one are not in the trace.
    #[cfg_attr(feature = "openapi", schema(example = 0))]
    pub omitted_before: u64,
}

impl SipTrace {
    /// From the text of the trace.
    pub fn of(call_id: CallId, trace: &str) -> Self {
        Self { call_id, messages: sip_trace::messages_of(trace).into_iter().map(SipMessage::from).collect() }
    }
}

impl From<sip_trace::SipMessage> for SipMessage {
    fn from(message: sip_trace::SipMessage) -> Self {
        Self {
            at_ms: u64::try_from(message.at.as_millis()).unwrap_or(u64::MAX),
            direction: message.direction.name().to_owned(),
            peer: message.peer,
            method: message.method().map(str::to_owned),
            status: message.status(),
            first_line: message.first_line().to_owned(),
            is_cut: message.is_cut(),
            omitted_before: message.omitted_before,
            text: message.text,
        }
    }
}

//! The dialect `telepath.v1`: events are JSON text frames with a member `type`, audio is binary frames of 16-bit
//! little-endian mono PCM at 8 kHz.
//!
//! `schema/telepath.v1.json` in this crate is the published schema; a test validates every event written here against
//! it. Events of an unknown `type` are ignored, so an agent may be newer than the gateway.

use super::{AgentFault, AgentFrame, CallContext, FromAgent, MAX_TEXT, ToAgent, TransferTarget};
use crate::dtmf::{Digit, SEND_LIMIT};
use crate::media_clock::SAMPLE_RATE;
use crate::playout::MarkName;
use serde::Serialize;
use serde_json::Value;

/// The name of the WebSocket subprotocol.
pub const SUBPROTOCOL: &str = "telepath.v1";

/// Decoder state of one connection: the first byte of a sample that is split across two frames.
#[derive(Debug, Default)]
pub struct TelepathV1 {
    half: Option<u8>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Outgoing<'a> {
    Start {
        #[serde(flatten)]
        start: Start<'a>,
    },
    SpeechStarted,
    SpeechStopped,
    Dtmf {
        digit: char,
    },
    Mark {
        name: &'a str,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        cleared: bool,
    },
    Hold,
    Resume,
    Stop {
        reason: &'static str,
    },
    Error {
        code: &'static str,
        message: String,
    },
}

#[derive(Serialize)]
struct Start<'a> {
    call_id: &'a str,
    trunk_id: &'a str,
    from: &'a str,
    to: &'a str,
    codec: &'static str,
    sample_rate: u32,
    system_prompt: Option<&'a str>,
    metadata: &'a std::collections::BTreeMap<String, String>,
    sip_headers: &'a std::collections::BTreeMap<String, String>,
}

impl<'a> Start<'a> {
    fn new(call: &'a CallContext, codec: &'static str) -> Self {
        Self {
            call_id: &call.call_id,
            trunk_id: &call.trunk_id,
            from: &call.from,
            to: &call.to,
            codec,
            sample_rate: SAMPLE_RATE,
            system_prompt: call.system_prompt.as_deref(),
            metadata: &call.metadata,
            sip_headers: &call.sip_headers,
        }
    }
}

pub(super) fn encode(event: &ToAgent<'_>) -> AgentFrame {
    let message = match event {
        ToAgent::Start { call, codec } => Outgoing::Start { start: Start::new(call, codec.name()) },
        ToAgent::SpeechStarted => Outgoing::SpeechStarted,
        ToAgent::SpeechStopped => Outgoing::SpeechStopped,
        ToAgent::Dtmf(digit) => Outgoing::Dtmf { digit: digit.to_char() },
        ToAgent::Mark { name, cleared } => Outgoing::Mark { name: name.as_str(), cleared: *cleared },
        ToAgent::Hold => Outgoing::Hold,
        ToAgent::Resume => Outgoing::Resume,
        ToAgent::Stop(reason) => Outgoing::Stop { reason: reason.0 },
        ToAgent::Error(fault) => Outgoing::Error { code: fault.code(), message: fault.to_string() },
    };
    // Serializing strings and numbers to memory cannot fail.
    AgentFrame::Text(serde_json::to_string(&message).unwrap_or_default())
}

pub(super) fn encode_audio(samples: impl ExactSizeIterator<Item = i16>) -> AgentFrame {
    let mut bytes = Vec::with_capacity(samples.len() * 2);
    samples.for_each(|sample| bytes.extend_from_slice(&sample.to_le_bytes()));
    AgentFrame::Binary(bytes)
}

pub(super) fn decode_text(text: &str) -> Result<FromAgent, AgentFault> {
    if text.len() > MAX_TEXT {
        return Err(AgentFault::TooLong);
    }
    let value: Value = serde_json::from_str(text).map_err(|_| AgentFault::NotAnEvent)?;
    let kind = value.get("type").and_then(Value::as_str).ok_or(AgentFault::NotAnEvent)?;
    let member = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    match kind {
        "mark" => member("name").and_then(MarkName::new).map(FromAgent::Mark).ok_or(AgentFault::BadMark),
        "clear" => Ok(FromAgent::Clear),
        "hangup" => Ok(FromAgent::Hangup),
        "transfer" => {
            member("to").and_then(TransferTarget::new).map(FromAgent::Transfer).ok_or(AgentFault::BadTransfer)
        }
        "send_dtmf" => member("digits").as_deref().and_then(digits).ok_or(AgentFault::BadDigits),
        _ => Ok(FromAgent::Unknown),
    }
}

fn digits(text: &str) -> Option<FromAgent> {
    let digits: Option<Vec<Digit>> = text.chars().take(SEND_LIMIT + 1).map(Digit::from_char).collect();
    digits.filter(|digits| (1..=SEND_LIMIT).contains(&digits.len())).map(FromAgent::SendDtmf)
}

impl TelepathV1 {
    /// Decodes a binary frame of any length; an odd byte is kept for the next frame.
    pub(super) fn decode_audio<'a>(&mut self, bytes: &'a [u8]) -> impl Iterator<Item = i16> + use<'a> {
        let (first, rest) = match (self.half.take(), bytes.split_first()) {
            (Some(low), Some((&high, rest))) => (Some(i16::from_le_bytes([low, high])), rest),
            (Some(low), None) => {
                self.half = Some(low);
                (None, bytes)
            }
            (None, _) => (None, bytes),
        };
        let pairs = rest.chunks_exact(2);
        if let [odd] = pairs.remainder() {
            self.half = Some(*odd);
        }
        first.into_iter().chain(pairs.map(|pair| i16::from_le_bytes([pair[0], pair[1]])))
    }
}

//! The dialect `telepath.v1`: JSON text frames with a member `type`, binary frames of PCM16LE mono at 8 kHz.
//!
//! The schema beside this crate (`schema/telepath.v1.json`) is the published description; a test holds every
//! message written here against it. Events with an unknown `type` are ignored, so that agents may be newer.

use super::{AgentFault, AgentFrame, CallStart, FromAgent, MAX_TEXT, ToAgent, TransferTarget};
use crate::SAMPLE_RATE;
use crate::dtmf::{Digit, SEND_LIMIT};
use crate::playout::MarkName;
use serde::Serialize;
use serde_json::Value;

/// The WebSocket subprotocol of this dialect.
pub const SUBPROTOCOL: &str = "telepath.v1";

/// The state of one connection: a sample may be cut in two by the frames that carry it.
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
}

impl<'a> Start<'a> {
    fn new(call: &'a CallStart, codec: &'static str) -> Self {
        Self {
            call_id: &call.call_id.0,
            trunk_id: &call.trunk_id.0,
            from: &call.from.0,
            to: &call.to.0,
            codec,
            sample_rate: SAMPLE_RATE,
            system_prompt: call.system_prompt.as_ref().map(|prompt| prompt.0.as_str()),
            metadata: &call.metadata,
        }
    }
}

pub(super) fn encode(event: &ToAgent<'_>) -> AgentFrame {
    let message = match event {
        ToAgent::Start { call, codec } => Outgoing::Start { start: Start::new(call, codec.name()) },
        ToAgent::SpeechStarted => Outgoing::SpeechStarted,
        ToAgent::SpeechStopped => Outgoing::SpeechStopped,
        ToAgent::Dtmf(digit) => Outgoing::Dtmf { digit: digit.to_char() },
        ToAgent::Mark(name) => Outgoing::Mark { name: name.as_str() },
        ToAgent::Hold => Outgoing::Hold,
        ToAgent::Resume => Outgoing::Resume,
        ToAgent::Stop(reason) => Outgoing::Stop { reason: reason.as_str() },
        ToAgent::Error(fault) => Outgoing::Error { code: fault.code(), message: fault.to_string() },
    };
    // Serializing text and numbers into memory has no way to fail.
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
    /// Reads samples out of a binary frame of any length; an odd byte waits for the next frame.
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

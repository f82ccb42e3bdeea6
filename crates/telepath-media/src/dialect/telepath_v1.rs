//! The dialect `telepath.v1`: events are JSON text frames with a member `type`, audio is binary frames of 16-bit
//! little-endian mono PCM, at 16 kHz if the call begins with G.722 and else at 8 kHz.
//!
//! `schema/telepath.v1.json` in this crate is the published schema; a test validates every event written here against
//! it. Events of an unknown `type` are ignored, so an agent may be newer than the gateway.

use super::call_context::CallContext;
use super::fault::AgentFault;
use super::frame::{AgentFrame, BinaryContent, DialectOutput};
use super::from_agent::{FromAgent, TransferTarget};
use super::protocol::{CloseMeaning, Protocol, TurnDetection};
use super::to_agent::ToAgent;
use crate::audio_format::{AgentFormats, AudioFormat};
use crate::codec::AudioCodec;
use crate::dtmf::{Digit, SEND_LIMIT};
use crate::media_clock::SAMPLE_RATE;
use crate::playout::MarkName;
use serde::Serialize;
use serde_json::Value;
use std::time::Instant;

/// The name of the WebSocket subprotocol.
pub const SUBPROTOCOL: &str = "telepath.v1";
/// Maximum length of a text frame from an agent, in bytes.
pub const MAX_TEXT: usize = 64 * 1024;

/// The dialect has no handshake: both sides may send at any time. The sampling rate is that of the carrier leg at the start
/// of the call, and stays when the codec changes, because an agent could not tell where in its audio it did.
#[derive(Debug)]
pub(super) struct TelepathV1 {
    rate: u32,
}

impl Default for TelepathV1 {
    fn default() -> Self {
        Self { rate: SAMPLE_RATE }
    }
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
    fn new(call: &'a CallContext, codec: AudioCodec, sample_rate: u32) -> Self {
        Self {
            call_id: &call.call_id,
            trunk_id: &call.trunk_id,
            from: &call.from,
            to: &call.to,
            codec: codec.name(),
            sample_rate,
            system_prompt: call.system_prompt.as_deref(),
            metadata: &call.metadata,
            sip_headers: &call.sip_headers,
        }
    }
}

impl Protocol for TelepathV1 {
    fn subprotocol(&self) -> Option<&'static str> {
        Some(SUBPROTOCOL)
    }

    fn is_ready(&self) -> bool {
        true
    }

    fn formats(&self) -> AgentFormats {
        AgentFormats::both(AudioFormat::pcm16(self.rate))
    }

    fn turn_detection(&self) -> TurnDetection {
        TurnDetection::BuiltIn
    }

    fn binary_content(&self) -> BinaryContent {
        BinaryContent::Audio
    }

    fn close_meaning(&self, _code: Option<u16>) -> CloseMeaning {
        // An agent ends a call with `hangup`.
        CloseMeaning::Failure
    }

    fn receives_digits(&self) -> bool {
        true
    }

    fn encode(&mut self, event: &ToAgent<'_>, output: &mut DialectOutput) {
        let message = match event {
            ToAgent::Start { call, codec } => {
                self.rate = AudioFormat::of_leg(*codec).rate;
                Outgoing::Start { start: Start::new(call, *codec, self.rate) }
            }
            ToAgent::SpeechStarted => Outgoing::SpeechStarted,
            ToAgent::SpeechStopped => Outgoing::SpeechStopped,
            ToAgent::Dtmf(digit) => Outgoing::Dtmf { digit: digit.to_char() },
            ToAgent::Mark { name, cleared } => Outgoing::Mark { name: name.as_str(), cleared: *cleared },
            ToAgent::Hold => Outgoing::Hold,
            ToAgent::Resume => Outgoing::Resume,
            ToAgent::Stop(reason) => Outgoing::Stop { reason: reason.0 },
            ToAgent::Error(fault) => Outgoing::Error { code: fault.code(), message: fault.to_string() },
            ToAgent::TransferFailed { failure, message } => {
                Outgoing::Error { code: failure.code(), message: (*message).to_owned() }
            }
            // Marks tell the agent what was played, and it has no tools.
            ToAgent::Flushed(_) | ToAgent::ToolResult(_) => return,
        };
        // Serializing strings and numbers to memory cannot fail.
        output.send(serde_json::to_string(&message).unwrap_or_default());
    }

    fn encode_audio(&mut self, audio: Vec<u8>) -> AgentFrame {
        AgentFrame::Binary(audio)
    }

    fn handle_text(
        &mut self,
        text: &str,
        _now: Instant,
        output: &mut DialectOutput,
    ) -> Result<(), AgentFault> {
        output.emit(decode(text)?);
        Ok(())
    }
}

fn decode(text: &str) -> Result<FromAgent, AgentFault> {
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

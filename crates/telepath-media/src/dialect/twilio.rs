//! The wire of Twilio Media Streams, with Telepath in the place of Twilio: agents written for `<Connect><Stream>` work
//! unchanged.
//!
//! All frames are JSON text. Numbers in `sequenceNumber`, `chunk` and `timestamp` are decimal strings. Audio is µ-law at
//! 8 kHz, 20 ms per `media` event toward the agent, and of any length from it. The agent detects speech itself and sends
//! `clear`; a mark is returned when the audio before it was really played, or cleared.

use super::call_context::CallContext;
use super::fault::AgentFault;
use super::frame::{AgentFrame, DialectOutput};
use super::from_agent::FromAgent;
use super::json::{Text, audio_frame, decode_base64, parse};
use super::protocol::{CloseMeaning, Protocol, TurnDetection};
use super::to_agent::ToAgent;
use crate::audio_format::{AgentFormats, AudioFormat};
use crate::media_clock::{FRAME_SAMPLES, SAMPLE_RATE};
use crate::playout::MarkName;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Instant;

/// Close codes with which an agent says that it failed (RFC 6455 section 7.4.1).
const FAILURES: [u16; 5] = [1002, 1003, 1007, 1009, 1011];

/// State of one stream.
#[derive(Debug, Default)]
pub(super) struct Twilio {
    stream_sid: String,
    call_sid: String,
    account_sid: String,
    /// Messages sent, from `start` on.
    sequence: u64,
    /// `media` messages sent.
    chunks: u64,
}

/// The identifier that an agent sees for a call: `CA` and 32 hexadecimal digits, as Twilio's are.
pub fn twilio_call_sid(call_id: &str) -> String {
    sid("CA", call_id)
}

fn sid(prefix: &str, text: &str) -> String {
    format!("{prefix}{:032x}", fnv1a(prefix.bytes().chain(text.bytes())))
}

/// The hash FNV-1a with 128 bits. Identifiers must differ, not be secret.
fn fnv1a(bytes: impl Iterator<Item = u8>) -> u128 {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    bytes.fold(OFFSET, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME))
}

#[derive(Deserialize)]
struct Received<'a> {
    #[serde(borrow)]
    event: Text<'a>,
    #[serde(borrow)]
    media: Option<ReceivedMedia<'a>>,
    #[serde(borrow)]
    mark: Option<ReceivedMark<'a>>,
}

#[derive(Deserialize)]
struct ReceivedMedia<'a> {
    #[serde(borrow)]
    payload: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct ReceivedMark<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
}

impl Twilio {
    fn start(&mut self, call: &CallContext, output: &mut DialectOutput) {
        self.stream_sid = sid("MZ", &call.call_id);
        self.call_sid = twilio_call_sid(&call.call_id);
        self.account_sid = sid("AC", &call.trunk_id);
        output.send(json!({"event": "connected", "protocol": "Call", "version": "1.0.0"}).to_string());
        let start = json!({
            "streamSid": self.stream_sid,
            "accountSid": self.account_sid,
            "callSid": self.call_sid,
            "tracks": ["inbound"],
            "customParameters": custom_parameters(call),
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": SAMPLE_RATE, "channels": 1},
        });
        self.send("start", start, output);
    }

    /// Sends a message whose event has the same name as its member.
    fn send(&mut self, event: &str, body: Value, output: &mut DialectOutput) {
        let mut message = json!({
            "event": event,
            "sequenceNumber": self.next_sequence(),
            "streamSid": self.stream_sid,
        });
        message[event] = body;
        output.send(message.to_string());
    }

    fn next_sequence(&mut self) -> String {
        self.sequence += 1;
        self.sequence.to_string()
    }
}

/// What the agent learns about the call: the trunk's metadata, and what a `TwiML` document would pass as `<Parameter>`.
fn custom_parameters(call: &CallContext) -> BTreeMap<String, &str> {
    let mut parameters = BTreeMap::from(call.parameters().map(|(name, value)| (name.to_owned(), value)));
    if let Some(prompt) = &call.system_prompt {
        parameters.insert("system_prompt".to_owned(), prompt);
    }
    for (name, value) in &call.sip_headers {
        parameters.insert(format!("SipHeader_{name}"), value);
    }
    for (name, value) in &call.metadata {
        parameters.insert(name.clone(), value);
    }
    parameters
}

impl Protocol for Twilio {
    fn is_ready(&self) -> bool {
        true
    }

    fn formats(&self) -> AgentFormats {
        AgentFormats::both(AudioFormat::PCMU)
    }

    fn turn_detection(&self) -> TurnDetection {
        TurnDetection::BuiltIn
    }

    fn audio_chunk(&self) -> Option<usize> {
        Some(FRAME_SAMPLES)
    }

    fn close_meaning(&self, code: Option<u16>) -> CloseMeaning {
        match code {
            // Closing the stream continues with the next TwiML verb; without one, Twilio hangs up.
            Some(code) if !FAILURES.contains(&code) => CloseMeaning::Hangup,
            Some(_) | None => CloseMeaning::Failure,
        }
    }

    fn receives_digits(&self) -> bool {
        true
    }

    fn encode(&mut self, event: &ToAgent<'_>, output: &mut DialectOutput) {
        match event {
            ToAgent::Start { call, codec: _ } => self.start(call, output),
            ToAgent::Dtmf(digit) => {
                let dtmf = json!({"track": "inbound_track", "digit": digit.to_char().to_string()});
                self.send("dtmf", dtmf, output);
            }
            ToAgent::Mark { name, cleared: _ } => self.send("mark", json!({"name": name.as_str()}), output),
            ToAgent::Stop(_) => {
                let stop = json!({"accountSid": self.account_sid, "callSid": self.call_sid});
                self.send("stop", stop, output);
            }
            // Twilio has no such messages.
            ToAgent::SpeechStarted
            | ToAgent::SpeechStopped
            | ToAgent::Flushed(_)
            | ToAgent::ToolResult(_)
            | ToAgent::Hold
            | ToAgent::Resume
            | ToAgent::Error(_)
            | ToAgent::TransferFailed { .. } => {}
        }
    }

    fn encode_audio(&mut self, audio: Vec<u8>) -> AgentFrame {
        self.chunks += 1;
        let (sequence, chunk) = (self.next_sequence(), self.chunks);
        let milliseconds = (self.chunks - 1) * 20;
        let before = format!(
            r#"{{"event":"media","sequenceNumber":"{sequence}","media":{{"track":"inbound","chunk":"{chunk}","timestamp":"{milliseconds}","payload":""#
        );
        let after = format!(r#""}},"streamSid":"{}"}}"#, self.stream_sid);
        audio_frame(&before, &audio, &after)
    }

    fn handle_text(
        &mut self,
        text: &str,
        _now: Instant,
        output: &mut DialectOutput,
    ) -> Result<(), AgentFault> {
        // Missing members and an unknown `streamSid` are ignored: agents differ in what they send.
        let received: Received<'_> = parse(text).map_err(|_| AgentFault::NotAnEvent)?;
        match received.event.as_str() {
            "media" => {
                let payload = received.media.and_then(|media| media.payload).ok_or(AgentFault::BadEvent)?;
                output.emit_audio(None, |bytes| decode_base64(&payload, bytes))?;
            }
            "mark" => {
                let name = received.mark.and_then(|mark| mark.name).ok_or(AgentFault::BadMark)?;
                let name = MarkName::new(name.as_str().to_owned()).ok_or(AgentFault::BadMark)?;
                output.emit(FromAgent::Mark(name));
            }
            "clear" => output.emit(FromAgent::Clear),
            _ => output.emit(FromAgent::Unknown),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_have_the_form_of_twilios_and_differ_between_calls() {
        let first = twilio_call_sid("call_1");
        assert_eq!(first.len(), 34);
        assert!(first.starts_with("CA") && first[2..].bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_ne!(first, twilio_call_sid("call_2"));
        assert_ne!(first[2..], sid("MZ", "call_1")[2..]);
        // The published test vector of FNV-1a with 128 bits for "a".
        assert_eq!(fnv1a(b"a".iter().copied()), 0xd228_cb69_6f1a_8caf_7891_2b70_4e4a_8964);
    }
}

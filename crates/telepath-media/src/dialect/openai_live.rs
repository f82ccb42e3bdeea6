//! OpenAI Live (GPT-Live): JSON text frames, audio as base64 inside them.
//!
//! `session.start` is the first frame; the agent is ready at `session.started`. The model listens while it speaks and stops
//! by itself, so there is no event for an interruption and nothing to truncate. It delegates work: to a Responses model with
//! tools, if the trunk has one, otherwise to this side, which declines. The server rejects unknown members, so only what is
//! set is sent.

use super::call_context::CallContext;
use super::fault::AgentFault;
use super::frame::{AgentFrame, DialectOutput};
use super::from_agent::FromAgent;
use super::json::{Text, audio_frame, decode_base64, event_type, or_empty, parse};
use super::openai_function::{function, function_call_output};
use super::protocol::{CloseMeaning, Protocol, TurnDetection};
use super::provider_error::ProviderError;
use super::settings::OpenAiLiveSettings;
use super::to_agent::ToAgent;
use super::tools::{ToolCall, ToolResult};
use crate::audio_format::{AgentFormats, AudioEncoding, AudioFormat};
use crate::codec::AudioCodec;
use serde::Deserialize;
use serde_json::json;
use std::time::Instant;

/// The format if the codec of the leg is not one of the provider's.
const PCM: AudioFormat = AudioFormat::pcm16(16_000);
/// Families of events that say nothing a telephone call needs.
const IGNORED: [&str; 3] = ["session.", "transport.", "info"];

/// State of one session.
#[derive(Debug)]
pub(super) struct OpenAiLive {
    settings: OpenAiLiveSettings,
    format: AudioFormat,
    ready: bool,
    /// Tool calls without a result.
    open_tool_calls: usize,
}

#[derive(Deserialize)]
struct AudioDelta<'a> {
    #[serde(borrow)]
    delta: Text<'a>,
}

#[derive(Deserialize)]
struct DelegationCreated<'a> {
    #[serde(borrow)]
    delegation: Delegation<'a>,
}

#[derive(Deserialize)]
struct Delegation<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    target: Option<Text<'a>>,
}

/// An event of the Responses API inside `response.event`.
#[derive(Deserialize)]
struct ResponseEvent<'a> {
    #[serde(borrow)]
    event: NestedEvent<'a>,
}

#[derive(Deserialize)]
struct NestedEvent<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    item: Option<OutputItem<'a>>,
}

#[derive(Deserialize)]
struct OutputItem<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    call_id: Option<Text<'a>>,
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    arguments: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct SessionClosed<'a> {
    #[serde(borrow)]
    reason: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct ErrorEvent<'a> {
    #[serde(borrow)]
    error: ErrorBody<'a>,
}

#[derive(Deserialize)]
struct ErrorBody<'a> {
    #[serde(borrow)]
    code: Option<Text<'a>>,
    #[serde(borrow)]
    message: Option<Text<'a>>,
}

impl OpenAiLive {
    pub(super) fn new(settings: OpenAiLiveSettings) -> Self {
        Self { settings, format: AudioFormat::PCMU, ready: false, open_tool_calls: 0 }
    }

    fn start(&mut self, call: &CallContext, codec: AudioCodec, output: &mut DialectOutput) {
        self.format = AudioFormat::same_as(codec).unwrap_or(PCM);
        let encoding = match self.format.encoding {
            AudioEncoding::Pcm16 => "audio/pcm",
            AudioEncoding::Pcmu => "audio/pcmu",
            AudioEncoding::Pcma => "audio/pcma",
        };
        let mut audio = json!({"format": {"type": encoding, "rate": self.format.rate}});
        if let Some(voice) = &self.settings.voice {
            audio["output"] = json!({"voice": voice});
        }
        let mut session = json!({"model": self.settings.model, "audio": audio});
        if let Some(instructions) = &call.system_prompt {
            session["instructions"] = json!(instructions);
        }
        if let Some(backend) = &self.settings.backend {
            let mut responses = json!({"model": backend.model});
            if let Some(instructions) = &backend.instructions {
                responses["instructions"] = json!(instructions);
            }
            if !backend.tools.is_empty() {
                responses["tools"] = backend.tools.iter().map(function).collect();
            }
            session["delegation"] = json!({"type": "responses", "responses": responses});
        }
        output.send(json!({"type": "session.start", "session": session}).to_string());
    }

    fn session_started(&mut self, output: &mut DialectOutput) {
        if std::mem::replace(&mut self.ready, true) {
            return;
        }
        if let Some(greeting) = &self.settings.greeting {
            let text =
                format!("The call has just been answered. Greet the caller with these words: {greeting}");
            output.send(append("session.commentary.append", &text, None));
        }
    }

    fn response_event(&mut self, text: &str, output: &mut DialectOutput) -> Result<(), AgentFault> {
        let event = parse::<ResponseEvent<'_>>(text)?.event;
        let is_done = or_empty(event.kind.as_ref()) == "response.output_item.done";
        let Some(item) = event.item.filter(|item| is_done && or_empty(item.kind.as_ref()) == "function_call")
        else {
            return Ok(());
        };
        let (id, name) = (or_empty(item.call_id.as_ref()), or_empty(item.name.as_ref()));
        let call =
            ToolCall::new(id, name, or_empty(item.arguments.as_ref())).ok_or(AgentFault::BadToolCall)?;
        self.open_tool_calls += 1;
        output.emit(FromAgent::ToolCall(call));
        Ok(())
    }

    fn tool_result(&mut self, result: &ToolResult, output: &mut DialectOutput) {
        let item = function_call_output(result);
        output.send(json!({"type": "response.item.create", "item": item}).to_string());
        self.open_tool_calls = self.open_tool_calls.saturating_sub(1);
        if self.open_tool_calls == 0 {
            output.send(json!({"type": "response.create"}).to_string());
        }
    }
}

/// Adds a text to the conversation. The member `delegation_id` is required, even if it is null.
fn append(kind: &str, text: &str, delegation: Option<&str>) -> String {
    json!({"type": kind, "content": text, "delegation_id": delegation}).to_string()
}

/// Declines work that the model delegates to this side.
fn delegation_created(text: &str, output: &mut DialectOutput) -> Result<(), AgentFault> {
    let delegation = parse::<DelegationCreated<'_>>(text)?.delegation;
    if or_empty(delegation.target.as_ref()) == "client" {
        let refusal = "This task cannot be carried out in this call. Continue without it.";
        output.send(append("session.commentary.append", refusal, Some(delegation.id.as_str())));
    }
    Ok(())
}

fn session_closed(text: &str, output: &mut DialectOutput) -> Result<(), AgentFault> {
    let closed: SessionClosed<'_> = parse(text)?;
    output.emit(match or_empty(closed.reason.as_ref()) {
        "close_requested" | "remote_hangup" => FromAgent::Hangup,
        reason => FromAgent::Error(ProviderError::new(reason, "the provider closed the session", true)),
    });
    Ok(())
}

impl Protocol for OpenAiLive {
    fn is_ready(&self) -> bool {
        self.ready
    }

    fn formats(&self) -> AgentFormats {
        AgentFormats::both(self.format)
    }

    fn turn_detection(&self) -> TurnDetection {
        TurnDetection::ProviderInterrupts
    }

    fn close_meaning(&self, _code: Option<u16>) -> CloseMeaning {
        // A session that ends as intended says so before.
        CloseMeaning::Failure
    }

    fn encode(&mut self, event: &ToAgent<'_>, output: &mut DialectOutput) {
        match event {
            ToAgent::Start { call, codec } => self.start(call, *codec, output),
            ToAgent::ToolResult(result) => self.tool_result(result, output),
            ToAgent::Stop(_) => output.send(json!({"type": "session.close"}).to_string()),
            // The model listens all the time, and has no events for the rest.
            ToAgent::SpeechStarted
            | ToAgent::SpeechStopped
            | ToAgent::Dtmf(_)
            | ToAgent::Mark { .. }
            | ToAgent::Flushed(_)
            | ToAgent::Hold
            | ToAgent::Resume
            | ToAgent::Error(_)
            | ToAgent::TransferFailed { .. } => {}
        }
    }

    fn encode_audio(&mut self, audio: Vec<u8>) -> AgentFrame {
        audio_frame(r#"{"type":"session.input_audio.append","audio":""#, &audio, r#""}"#)
    }

    fn handle_text(
        &mut self,
        text: &str,
        _now: Instant,
        output: &mut DialectOutput,
    ) -> Result<(), AgentFault> {
        let kind = event_type(text)?;
        match kind.as_str() {
            "session.output_audio.delta" => {
                let event: AudioDelta<'_> = parse(text)?;
                output.emit_audio(None, |bytes| decode_base64(&event.delta, bytes))?;
            }
            "response.event" => return self.response_event(text, output),
            "session.started" => self.session_started(output),
            "session.delegation.created" => return delegation_created(text, output),
            "session.closed" => return session_closed(text, output),
            "error" => {
                let error = parse::<ErrorEvent<'_>>(text)?.error;
                let (code, message) = (or_empty(error.code.as_ref()), or_empty(error.message.as_ref()));
                output.emit(FromAgent::Error(ProviderError::new(code, message, !self.ready)));
            }
            other if IGNORED.iter().any(|family| other.starts_with(family)) => {}
            _ => output.emit(FromAgent::Unknown),
        }
        Ok(())
    }

    fn encode_input(&mut self, text: &str, output: &mut DialectOutput) {
        output.send(append("session.instructions.append", text, None));
    }
}

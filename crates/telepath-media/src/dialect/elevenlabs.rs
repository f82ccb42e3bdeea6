//! `ElevenLabs` Agents: JSON text frames, audio as base64 inside them.
//!
//! The agent is ready at `conversation_initiation_metadata`, which names the audio formats: they belong to the agent and
//! cannot be chosen per call. After an interruption, audio of that event and earlier ones is dropped, as the official
//! client does. The agent ends a conversation by closing the socket.

use super::call_context::CallContext;
use super::fault::AgentFault;
use super::frame::{AgentFrame, DialectOutput};
use super::from_agent::FromAgent;
use super::json::{Text, audio_frame, decode_base64, event_type, or_empty, parse};
use super::protocol::{CloseMeaning, Protocol, TurnDetection};
use super::provider_error::ProviderError;
use super::settings::ElevenLabsSettings;
use super::to_agent::ToAgent;
use super::tools::{ToolCall, ToolResult};
use crate::audio_format::{AgentFormats, AudioFormat};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Instant;

/// The format if the metadata name none.
const DEFAULT_FORMAT: &str = "pcm_16000";
/// What is asked for if the agent calls tools: the events that it sends anyway, and tool calls.
const EVENTS_WITH_TOOLS: [&str; 5] =
    ["audio", "interruption", "conversation_initiation_metadata", "ping", "client_tool_call"];
/// Events that say nothing a telephone call needs.
const IGNORED: [&str; 17] = [
    "agent_chat_response_part",
    "agent_response",
    "agent_response_complete",
    "agent_response_correction",
    "agent_response_metadata",
    "agent_tool_request",
    "agent_tool_response",
    "asr_initiation_metadata",
    "context_usage",
    "guardrail_triggered",
    "internal_tentative_agent_response",
    "internal_turn_probability",
    "mcp_connection_status",
    "mcp_tool_call",
    "tentative_user_transcript",
    "user_transcript",
    "vad_score",
];
/// Close codes of a conversation that ended as intended (RFC 6455 section 7.4.1).
const ENDED: [u16; 2] = [1000, 1005];

/// State of one conversation.
#[derive(Debug)]
pub(super) struct ElevenLabs {
    settings: ElevenLabsSettings,
    formats: AgentFormats,
    ready: bool,
    /// Audio up to this event was interrupted.
    interrupted: Option<i64>,
}

#[derive(Deserialize)]
struct MetadataEvent<'a> {
    #[serde(borrow)]
    conversation_initiation_metadata_event: Metadata<'a>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow)]
    agent_output_audio_format: Option<Text<'a>>,
    #[serde(borrow)]
    user_input_audio_format: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct AudioEvent<'a> {
    #[serde(borrow)]
    audio_event: Audio<'a>,
}

#[derive(Deserialize)]
struct Audio<'a> {
    #[serde(borrow)]
    audio_base_64: Text<'a>,
    event_id: Option<i64>,
}

#[derive(Deserialize)]
struct InterruptionEvent {
    interruption_event: EventId,
}

#[derive(Deserialize)]
struct PingEvent {
    ping_event: EventId,
}

#[derive(Deserialize)]
struct EventId {
    event_id: i64,
}

#[derive(Deserialize)]
struct ToolCallEvent<'a> {
    #[serde(borrow)]
    client_tool_call: ClientToolCall<'a>,
}

#[derive(Deserialize)]
struct ClientToolCall<'a> {
    #[serde(borrow)]
    tool_name: Text<'a>,
    #[serde(borrow)]
    tool_call_id: Text<'a>,
    #[serde(borrow)]
    parameters: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ErrorEvent<'a> {
    #[serde(borrow)]
    error_event: ErrorBody<'a>,
}

#[derive(Deserialize)]
struct ErrorBody<'a> {
    code: Option<i64>,
    #[serde(borrow)]
    error_type: Option<Text<'a>>,
    #[serde(borrow)]
    message: Option<Text<'a>>,
    #[serde(borrow)]
    reason: Option<Text<'a>>,
}

/// The format with this name, such as `ulaw_8000`.
fn format_named(name: &str) -> Option<AudioFormat> {
    if name == "ulaw_8000" {
        return Some(AudioFormat::PCMU);
    }
    let rate = name.strip_prefix("pcm_")?.parse().ok()?;
    [8000, 16_000, 22_050, 24_000, 44_100, 48_000].contains(&rate).then(|| AudioFormat::pcm16(rate))
}

impl ElevenLabs {
    pub(super) fn new(settings: ElevenLabsSettings) -> Self {
        Self { settings, formats: AgentFormats::both(AudioFormat::PCMU), ready: false, interrupted: None }
    }

    /// The first frame. Only what is set is overridden, because each override has to be permitted in the agent.
    fn start(&self, call: &CallContext) -> String {
        let mut agent = json!({});
        if let Some(prompt) = &call.system_prompt {
            agent["prompt"] = json!({"prompt": prompt});
        }
        if let Some(message) = &self.settings.first_message {
            agent["first_message"] = json!(message);
        }
        if let Some(language) = &self.settings.language {
            agent["language"] = json!(language);
        }
        let mut overrides = json!({});
        if agent != json!({}) {
            overrides["agent"] = agent;
        }
        if let Some(voice) = &self.settings.voice_id {
            overrides["tts"] = json!({"voice_id": voice});
        }
        if self.settings.client_tools {
            overrides["conversation"] = json!({"client_events": EVENTS_WITH_TOOLS});
        }
        let mut frame = json!({
            "type": "conversation_initiation_client_data",
            "dynamic_variables": dynamic_variables(call),
        });
        if overrides != json!({}) {
            frame["conversation_config_override"] = overrides;
        }
        frame.to_string()
    }

    fn metadata(&mut self, metadata: &Metadata<'_>, output: &mut DialectOutput) {
        let format = |name: Option<&Text<'_>>| {
            let name = name.map_or(DEFAULT_FORMAT, Text::as_str);
            format_named(name).ok_or_else(|| name.to_owned())
        };
        let to_agent = format(metadata.user_input_audio_format.as_ref());
        let from_agent = format(metadata.agent_output_audio_format.as_ref());
        match (to_agent, from_agent) {
            (Ok(to_agent), Ok(from_agent)) => {
                self.formats = AgentFormats { to_agent, from_agent };
                self.ready = true;
            }
            (Err(name), _) | (_, Err(name)) => {
                let message = format!("the agent is configured for an unknown audio format: {name}");
                output.emit(FromAgent::Error(ProviderError::new("unsupported_format", &message, true)));
            }
        }
    }

    fn audio(&self, audio: &Audio<'_>, output: &mut DialectOutput) -> Result<(), AgentFault> {
        if audio.event_id.is_some_and(|id| self.interrupted.is_some_and(|interrupted| id <= interrupted)) {
            output.emit(FromAgent::LateAudio);
            return Ok(());
        }
        output.emit_audio(None, |bytes| decode_base64(&audio.audio_base_64, bytes)).map(|_| ())
    }

    fn error(&self, error: &ErrorBody<'_>, output: &mut DialectOutput) {
        let code = error.code.map(|code| code.to_string()).unwrap_or_default();
        let code = error.error_type.as_ref().map_or(code.as_str(), Text::as_str);
        let message = or_empty(error.message.as_ref().or(error.reason.as_ref()));
        // The codes are those with which the server closes the socket next.
        let is_fatal = !self.ready || error.code.is_some_and(|code| !ENDED.map(i64::from).contains(&code));
        output.emit(FromAgent::Error(ProviderError::new(code, message, is_fatal)));
    }
}

/// What prompts of the agent can refer to. The trunk's metadata may replace the values about the call.
fn dynamic_variables(call: &CallContext) -> BTreeMap<&str, &str> {
    let metadata = call.metadata.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    call.parameters().into_iter().chain(metadata).collect()
}

fn tool_result(result: &ToolResult) -> Value {
    json!({
        "type": "client_tool_result",
        "tool_call_id": result.id.as_str(),
        "result": result.text(),
        "is_error": result.output.is_err(),
    })
}

impl Protocol for ElevenLabs {
    fn is_ready(&self) -> bool {
        self.ready
    }

    fn formats(&self) -> AgentFormats {
        self.formats
    }

    fn turn_detection(&self) -> TurnDetection {
        TurnDetection::ProviderInterrupts
    }

    fn close_meaning(&self, code: Option<u16>) -> CloseMeaning {
        match code {
            Some(code) if ENDED.contains(&code) && self.ready => CloseMeaning::HangupAfterPlayOut,
            Some(_) | None => CloseMeaning::Failure,
        }
    }

    fn encode(&mut self, event: &ToAgent<'_>, output: &mut DialectOutput) {
        match event {
            ToAgent::Start { call, codec: _ } => output.send(self.start(call)),
            ToAgent::ToolResult(result) => output.send(tool_result(result).to_string()),
            // The agent detects speech itself, and has no events for the rest.
            ToAgent::SpeechStarted
            | ToAgent::SpeechStopped
            | ToAgent::Dtmf(_)
            | ToAgent::Mark { .. }
            | ToAgent::Flushed(_)
            | ToAgent::Hold
            | ToAgent::Resume
            | ToAgent::Stop(_)
            | ToAgent::Error(_)
            | ToAgent::TransferFailed { .. } => {}
        }
    }

    fn encode_audio(&mut self, audio: Vec<u8>) -> AgentFrame {
        audio_frame(r#"{"user_audio_chunk":""#, &audio, r#""}"#)
    }

    fn handle_text(
        &mut self,
        text: &str,
        _now: Instant,
        output: &mut DialectOutput,
    ) -> Result<(), AgentFault> {
        let kind = event_type(text)?;
        match kind.as_str() {
            "audio" => return self.audio(&parse::<AudioEvent<'_>>(text)?.audio_event, output),
            "ping" => {
                let id = parse::<PingEvent>(text)?.ping_event.event_id;
                output.send(json!({"type": "pong", "event_id": id}).to_string());
            }
            "interruption" => {
                let id = parse::<InterruptionEvent>(text)?.interruption_event.event_id;
                self.interrupted = self.interrupted.max(Some(id));
                output.emit(FromAgent::Interrupted);
            }
            "client_tool_call" => {
                let call = parse::<ToolCallEvent<'_>>(text)?.client_tool_call;
                let parameters = call.parameters.map_or("{}", RawValue::get);
                let call = ToolCall::new(call.tool_call_id.as_str(), call.tool_name.as_str(), parameters);
                output.emit(FromAgent::ToolCall(call.ok_or(AgentFault::BadToolCall)?));
            }
            "conversation_initiation_metadata" => {
                let event = parse::<MetadataEvent<'_>>(text)?;
                self.metadata(&event.conversation_initiation_metadata_event, output);
            }
            "error" => self.error(&parse::<ErrorEvent<'_>>(text)?.error_event, output),
            other if IGNORED.contains(&other) => {}
            _ => output.emit(FromAgent::Unknown),
        }
        Ok(())
    }

    fn encode_input(&mut self, text: &str, output: &mut DialectOutput) {
        output.send(json!({"type": "user_message", "text": text}).to_string());
    }
}

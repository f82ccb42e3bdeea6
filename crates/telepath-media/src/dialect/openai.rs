//! The OpenAI Realtime API (generally available version): JSON text frames, audio as base64 inside them.
//!
//! The server detects the caller's speech, ends its own response when the caller interrupts, and does not know what was
//! played: audio arrives faster than real time. So at `speech_started` the queue is flushed, and
//! `conversation.item.truncate` tells how many milliseconds of the answer the caller heard. The model does not speak
//! first; a greeting is requested when the session is configured.

mod answers;
mod history;
mod wire;

use super::call_context::CallContext;
use super::fault::AgentFault;
use super::frame::{AgentFrame, DialectOutput};
use super::from_agent::FromAgent;
use super::json::{audio_frame, decode_base64, event_type, or_empty, parse};
use super::protocol::{CloseMeaning, Protocol, TurnDetection};
use super::provider_error::ProviderError;
use super::settings::OpenAiSettings;
use super::to_agent::ToAgent;
use super::tools::ToolCall;
use crate::audio_format::{AgentFormats, AudioFormat};
use crate::codec::AudioCodec;
use answers::{Answers, Heard};
use history::History;
use std::time::Instant;
use wire::{AudioDelta, AudioDone, ErrorBody, ErrorEvent, Response, ResponseEvent, Transcript};

/// The only PCM format of the API.
const PCM: AudioFormat = AudioFormat::pcm16(24_000);
/// Errors after which no answer comes any more.
const FATAL: [&str; 4] =
    ["session_expired", "beta_api_shape_disabled", "insufficient_quota", "invalid_api_key"];
/// Errors that only say that something had already happened.
const HARMLESS: [&str; 2] = ["response_cancel_not_active", "conversation_already_has_active_response"];
/// Families of events that say nothing a telephone call needs.
const IGNORED: [&str; 8] = [
    "session.",
    "conversation.",
    "input_audio_buffer.",
    "output_audio_buffer.",
    "response.",
    "rate_limits.",
    "mcp_list_tools.",
    "transcription_session.",
];

/// State of one session.
#[derive(Debug)]
pub(super) struct OpenAi {
    settings: OpenAiSettings,
    instructions: Option<String>,
    format: AudioFormat,
    ready: bool,
    answers: Answers,
    /// Tool calls without a result.
    open_tool_calls: usize,
    history: History,
    /// Whether this session continues one whose connection was lost.
    continues: bool,
    /// A response is to be created as soon as none is active.
    response_due: bool,
}

impl OpenAi {
    pub(super) fn new(settings: OpenAiSettings) -> Self {
        Self {
            settings,
            instructions: None,
            format: AudioFormat::PCMU,
            ready: false,
            answers: Answers::default(),
            open_tool_calls: 0,
            history: History::default(),
            continues: false,
            response_due: false,
        }
    }

    fn start(&mut self, call: &CallContext, codec: AudioCodec, output: &mut DialectOutput) {
        self.format = AudioFormat::same_as(codec).unwrap_or(PCM);
        self.instructions.clone_from(&call.system_prompt);
        output.send(wire::session_update(self.instructions.as_deref(), &self.settings, self.format));
    }

    fn session_updated(&mut self, output: &mut DialectOutput) {
        if std::mem::replace(&mut self.ready, true) {
            return;
        }
        if self.continues {
            self.history.texts().for_each(|text| output.send(wire::assistant_message(text)));
            self.create_due_response(output);
        } else if let Some(greeting) = &self.settings.greeting {
            output.send(wire::greet(self.instructions.as_deref(), greeting));
        }
    }

    fn audio_delta(&mut self, text: &str, output: &mut DialectOutput) -> Result<(), AgentFault> {
        let event: AudioDelta<'_> = parse(text)?;
        let Some(item) = self.answers.item(event.response_id.as_str(), event.item_id.as_str()) else {
            output.emit(FromAgent::LateAudio);
            return Ok(());
        };
        let length = output.emit_audio(Some(item), |bytes| decode_base64(&event.delta, bytes))?;
        self.answers.note_received(item, length);
        Ok(())
    }

    fn response_done(
        &mut self,
        response: &Response<'_>,
        output: &mut DialectOutput,
    ) -> Result<(), AgentFault> {
        self.answers.response_done(or_empty(response.id.as_ref()));
        let mut result = Ok(());
        match or_empty(response.status.as_ref()) {
            "completed" => {
                let calls = response
                    .output
                    .iter()
                    .flatten()
                    .filter(|item| or_empty(item.kind.as_ref()) == "function_call");
                for item in calls.filter(|item| matches!(or_empty(item.status.as_ref()), "" | "completed")) {
                    let (id, name) = (or_empty(item.call_id.as_ref()), or_empty(item.name.as_ref()));
                    match ToolCall::new(id, name, or_empty(item.arguments.as_ref())) {
                        Some(call) => {
                            self.open_tool_calls += 1;
                            output.emit(FromAgent::ToolCall(call));
                        }
                        None => result = Err(AgentFault::BadToolCall),
                    }
                }
            }
            "failed" => {
                if let Some(error) =
                    response.status_details.as_ref().and_then(|details| details.error.as_ref())
                {
                    self.error(error, output);
                }
            }
            // Cancelled because the caller interrupts, or cut off by a limit.
            _ => {}
        }
        self.create_due_response(output);
        result
    }

    /// Asks for a response, unless one is active or tool results are missing; then later.
    fn request_response(&mut self, output: &mut DialectOutput) {
        self.response_due = true;
        self.create_due_response(output);
    }

    fn create_due_response(&mut self, output: &mut DialectOutput) {
        if self.response_due && self.open_tool_calls == 0 && !self.answers.is_responding() {
            self.response_due = false;
            output.send(wire::create_response());
        }
    }

    fn error(&mut self, error: &ErrorBody<'_>, output: &mut DialectOutput) {
        let code = match or_empty(error.code.as_ref()) {
            "" => or_empty(error.kind.as_ref()),
            code => code,
        };
        if !HARMLESS.contains(&code) {
            // Without its settings, the session does not begin.
            let is_fatal = FATAL.contains(&code) || !self.ready;
            output.emit(FromAgent::Error(ProviderError::new(
                code,
                or_empty(error.message.as_ref()),
                is_fatal,
            )));
        }
    }

    fn report_heard(&mut self, heard: Vec<Heard>, output: &mut DialectOutput) {
        for Heard { item, bytes_received, is_complete, played } in heard {
            let received = self.format.milliseconds(bytes_received);
            let played = u64::try_from(played.as_millis()).unwrap_or(u64::MAX).min(received);
            if played == 0 {
                // Truncating to nothing is refused, so the item is removed.
                output.send(wire::delete(&item));
            } else if !is_complete || played < received {
                output.send(wire::truncate(&item, played));
            }
        }
    }
}

impl Protocol for OpenAi {
    fn is_ready(&self) -> bool {
        self.ready
    }

    fn formats(&self) -> AgentFormats {
        AgentFormats::both(self.format)
    }

    fn turn_detection(&self) -> TurnDetection {
        TurnDetection::Provider
    }

    fn close_meaning(&self, _code: Option<u16>) -> CloseMeaning {
        // The model cannot hang up; the server closes after an error or at the longest session.
        CloseMeaning::Failure
    }

    fn reconnect(&mut self) -> bool {
        // What was being generated is lost; the model is asked to go on.
        self.response_due |= self.answers.is_responding() || self.open_tool_calls > 0;
        self.answers.forget();
        self.open_tool_calls = 0;
        self.ready = false;
        self.continues = true;
        true
    }

    fn encode(&mut self, event: &ToAgent<'_>, output: &mut DialectOutput) {
        match event {
            ToAgent::Start { call, codec } => self.start(call, *codec, output),
            ToAgent::Flushed(items) => {
                let heard = self.answers.cut(items);
                self.report_heard(heard, output);
            }
            ToAgent::ToolResult(result) => {
                self.open_tool_calls = self.open_tool_calls.saturating_sub(1);
                output.send(wire::tool_output(result));
                self.request_response(output);
            }
            // The server detects speech itself, and has no events for the rest.
            ToAgent::SpeechStarted
            | ToAgent::SpeechStopped
            | ToAgent::Dtmf(_)
            | ToAgent::Mark { .. }
            | ToAgent::Hold
            | ToAgent::Resume
            | ToAgent::Stop(_)
            | ToAgent::Error(_)
            | ToAgent::TransferFailed { .. } => {}
        }
    }

    fn encode_audio(&mut self, audio: Vec<u8>) -> AgentFrame {
        audio_frame(r#"{"type":"input_audio_buffer.append","audio":""#, &audio, r#""}"#)
    }

    fn handle_text(
        &mut self,
        text: &str,
        _now: Instant,
        output: &mut DialectOutput,
    ) -> Result<(), AgentFault> {
        let kind = event_type(text)?;
        match kind.as_str() {
            "response.output_audio.delta" => return self.audio_delta(text, output),
            "response.output_audio.done" => {
                self.answers.audio_done(parse::<AudioDone<'_>>(text)?.item_id.as_str());
            }
            "response.output_audio_transcript.done" => {
                self.history.push(or_empty(parse::<Transcript<'_>>(text)?.transcript.as_ref()));
            }
            "input_audio_buffer.speech_started" => {
                output.emit(FromAgent::SpeechStarted);
                output.emit(FromAgent::Interrupted);
            }
            "input_audio_buffer.speech_stopped" => output.emit(FromAgent::SpeechStopped),
            "response.created" => {
                let event: ResponseEvent<'_> = parse(text)?;
                self.answers.response_created(or_empty(event.response.id.as_ref()));
            }
            "response.done" => {
                let event: ResponseEvent<'_> = parse(text)?;
                return self.response_done(&event.response, output);
            }
            "session.updated" => self.session_updated(output),
            "error" => self.error(&parse::<ErrorEvent<'_>>(text)?.error, output),
            other if IGNORED.iter().any(|family| other.starts_with(family)) => {}
            _ => output.emit(FromAgent::Unknown),
        }
        Ok(())
    }

    fn encode_input(&mut self, text: &str, output: &mut DialectOutput) {
        output.send(wire::user_message(text));
        self.request_response(output);
    }
}

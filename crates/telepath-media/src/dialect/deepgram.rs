//! The Deepgram Voice Agent API: JSON events in text frames, audio in binary frames.
//!
//! `Settings` is the first frame; the agent is ready at `SettingsApplied`. G.711 of both laws passes through. The
//! provider reports when the caller starts speaking, which interrupts the agent, and expects `KeepAlive` when there is no
//! audio to send.

use super::call_context::CallContext;
use super::fault::AgentFault;
use super::frame::{AgentFrame, BinaryContent, DialectOutput};
use super::from_agent::FromAgent;
use super::json::{Text, event_type, or_empty, parse};
use super::protocol::{CloseMeaning, Protocol, TurnDetection};
use super::provider_error::ProviderError;
use super::settings::DeepgramSettings;
use super::to_agent::ToAgent;
use super::tools::{ToolCall, ToolCallId, ToolDefinition, ToolResult};
use crate::audio_format::{AgentFormats, AudioEncoding, AudioFormat};
use crate::codec::AudioCodec;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The format if the codec of the leg is not one of the provider's.
const PCM: AudioFormat = AudioFormat::pcm16(16_000);
/// `KeepAlive` is sent after this long without audio for the agent. The provider closes after 10 s.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(5);
const DEFAULT_LISTEN_MODEL: &str = "nova-3";
const DEFAULT_THINK_PROVIDER: &str = "open_ai";
const DEFAULT_THINK_MODEL: &str = "gpt-4o-mini";
const DEFAULT_VOICE: &str = "aura-2-thalia-en";
/// Events that say nothing a telephone call needs.
const IGNORED: [&str; 13] = [
    "Welcome",
    "ConversationText",
    "AgentThinking",
    "AgentStartedSpeaking",
    "AgentAudioDone",
    "LatencyReport",
    "History",
    "PromptUpdated",
    "SpeakUpdated",
    "ThinkUpdated",
    "ListenUpdated",
    "FrustrationDetected",
    // The result of a function that the provider itself has called.
    "FunctionCallResponse",
];

/// State of one conversation.
#[derive(Debug)]
pub(super) struct Deepgram {
    settings: DeepgramSettings,
    instructions: Option<String>,
    format: AudioFormat,
    ready: bool,
    /// When to look whether audio was sent.
    keep_alive_due: Option<Instant>,
    /// Whether audio was sent since the last look.
    audio_sent: bool,
}

#[derive(Deserialize)]
struct FunctionCallRequest<'a> {
    #[serde(borrow)]
    functions: Vec<FunctionCall<'a>>,
}

#[derive(Deserialize)]
struct FunctionCall<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    arguments: Option<Text<'a>>,
    client_side: Option<bool>,
}

#[derive(Deserialize)]
struct Problem<'a> {
    #[serde(borrow)]
    description: Option<Text<'a>>,
    #[serde(borrow)]
    message: Option<Text<'a>>,
    #[serde(borrow)]
    code: Option<Text<'a>>,
}

impl Deepgram {
    pub(super) fn new(settings: DeepgramSettings) -> Self {
        Self {
            settings,
            instructions: None,
            format: AudioFormat::PCMU,
            ready: false,
            keep_alive_due: None,
            audio_sent: false,
        }
    }

    fn start(&mut self, call: &CallContext, codec: AudioCodec, output: &mut DialectOutput) {
        self.format = AudioFormat::same_as(codec).unwrap_or(PCM);
        self.instructions.clone_from(&call.system_prompt);
        let encoding = match self.format.encoding {
            AudioEncoding::Pcm16 => "linear16",
            AudioEncoding::Pcmu => "mulaw",
            AudioEncoding::Pcma => "alaw",
        };
        let rate = self.format.rate;
        let agent = match &self.settings.agent_id {
            Some(id) => json!(id),
            None => self.agent(),
        };
        let settings = json!({
            "type": "Settings",
            "audio": {
                "input": {"encoding": encoding, "sample_rate": rate},
                "output": {"encoding": encoding, "sample_rate": rate, "container": "none"},
            },
            "agent": agent,
        });
        output.send(settings.to_string());
    }

    /// An agent without an identifier is described completely.
    fn agent(&self) -> Value {
        let settings = &self.settings;
        let listen_model = settings.listen_model.as_deref().unwrap_or(DEFAULT_LISTEN_MODEL);
        let mut listen =
            json!({"type": "deepgram", "version": version_of(listen_model), "model": listen_model});
        if let Some(language) = &settings.language {
            listen["language"] = json!(language);
        }
        let mut think = json!({"provider": {
            "type": settings.think_provider.as_deref().unwrap_or(DEFAULT_THINK_PROVIDER),
            "model": settings.think_model.as_deref().unwrap_or(DEFAULT_THINK_MODEL),
        }});
        if let Some(instructions) = &self.instructions {
            think["prompt"] = json!(instructions);
        }
        if !settings.tools.is_empty() {
            let function = |tool: &ToolDefinition| {
                json!({
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.parameters_object(),
                })
            };
            think["functions"] = settings.tools.iter().map(function).collect();
        }
        let voice = settings.voice.as_deref().unwrap_or(DEFAULT_VOICE);
        let mut agent = json!({
            "listen": {"provider": listen},
            "think": think,
            "speak": {"provider": {"type": "deepgram", "version": version_of(voice), "model": voice}},
        });
        if let Some(greeting) = &settings.greeting {
            agent["greeting"] = json!(greeting);
        }
        agent
    }

    fn settings_applied(&mut self, now: Instant, output: &mut DialectOutput) {
        if std::mem::replace(&mut self.ready, true) {
            return;
        }
        self.keep_alive_due = Some(now + KEEP_ALIVE_INTERVAL);
        // An agent with an identifier has a prompt of its own; the trunk's instructions are added to it.
        if let Some(instructions) = self.instructions.as_ref().filter(|_| self.settings.agent_id.is_some()) {
            output.send(json!({"type": "UpdatePrompt", "prompt": instructions}).to_string());
        }
    }
}

/// Models named `flux-…` belong to the second version of the provider's speech services.
fn version_of(model: &str) -> &'static str {
    if model.starts_with("flux") { "v2" } else { "v1" }
}

fn function_calls(text: &str, output: &mut DialectOutput) -> Result<(), AgentFault> {
    let mut result = Ok(());
    for function in parse::<FunctionCallRequest<'_>>(text)?.functions {
        if function.client_side == Some(false) {
            continue;
        }
        let arguments = function.arguments.as_ref().map_or("{}", Text::as_str);
        match ToolCall::new(function.id.as_str(), or_empty(function.name.as_ref()), arguments) {
            Some(call) => output.emit(FromAgent::ToolCall(call)),
            None => result = Err(AgentFault::BadToolCall),
        }
    }
    result
}

fn problem(text: &str, is_fatal: bool, output: &mut DialectOutput) -> Result<(), AgentFault> {
    let problem: Problem<'_> = parse(text)?;
    let message = or_empty(problem.description.as_ref().or(problem.message.as_ref()));
    output.emit(FromAgent::Error(ProviderError::new(or_empty(problem.code.as_ref()), message, is_fatal)));
    Ok(())
}

fn function_call_response(result: &ToolResult) -> String {
    json!({
        "type": "FunctionCallResponse",
        "id": result.id.as_str(),
        "name": result.name,
        "content": result.text(),
    })
    .to_string()
}

impl Protocol for Deepgram {
    fn is_ready(&self) -> bool {
        self.ready
    }

    fn formats(&self) -> AgentFormats {
        AgentFormats::both(self.format)
    }

    fn turn_detection(&self) -> TurnDetection {
        TurnDetection::ProviderInterrupts
    }

    fn binary_content(&self) -> BinaryContent {
        BinaryContent::Audio
    }

    fn close_meaning(&self, _code: Option<u16>) -> CloseMeaning {
        // The agent cannot hang up.
        CloseMeaning::Failure
    }

    fn encode(&mut self, event: &ToAgent<'_>, output: &mut DialectOutput) {
        match event {
            ToAgent::Start { call, codec } => self.start(call, *codec, output),
            ToAgent::ToolResult(result) => output.send(function_call_response(result)),
            // The provider detects speech itself, and has no events for the rest.
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
        self.audio_sent = true;
        AgentFrame::Binary(audio)
    }

    fn handle_text(
        &mut self,
        text: &str,
        now: Instant,
        output: &mut DialectOutput,
    ) -> Result<(), AgentFault> {
        let kind = event_type(text)?;
        match kind.as_str() {
            "SettingsApplied" => self.settings_applied(now, output),
            "UserStartedSpeaking" => output.emit(FromAgent::Interrupted),
            "FunctionCallRequest" => return function_calls(text, output),
            "FunctionCallCancelled" => {
                let functions = parse::<FunctionCallRequest<'_>>(text)?.functions;
                for id in functions.iter().filter_map(|function| ToolCallId::new(function.id.as_str())) {
                    output.emit(FromAgent::ToolCallCancelled(id));
                }
            }
            // After an error, the provider closes the socket.
            "Error" => return problem(text, true, output),
            "Warning" | "InjectionRefused" => return problem(text, false, output),
            other if IGNORED.contains(&other) => {}
            _ => output.emit(FromAgent::Unknown),
        }
        Ok(())
    }

    fn encode_input(&mut self, text: &str, output: &mut DialectOutput) {
        output.send(json!({"type": "InjectUserMessage", "content": text}).to_string());
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.keep_alive_due
    }

    fn handle_timeout(&mut self, now: Instant, output: &mut DialectOutput) {
        if self.keep_alive_due.is_some_and(|due| now >= due) {
            self.keep_alive_due = Some(now + KEEP_ALIVE_INTERVAL);
            if !std::mem::take(&mut self.audio_sent) {
                output.send(json!({"type": "KeepAlive"}).to_string());
            }
        }
    }
}

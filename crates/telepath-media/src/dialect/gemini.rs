//! The Gemini Live API (`BidiGenerateContent`): JSON in text or binary frames, audio as base64 inside them.
//!
//! `setup` is the first frame; the agent is ready at `setupComplete`. Audio is PCM, 16 kHz toward the provider and 24 kHz
//! from it. The provider detects interruptions, and needs no answer to them. A connection lasts about ten minutes; before
//! its end comes `goAway`, and a new connection continues the session with the latest handle.

use super::call_context::CallContext;
use super::fault::AgentFault;
use super::frame::{AgentFrame, BinaryContent, DialectOutput};
use super::from_agent::FromAgent;
use super::greeting::greeting_instruction;
use super::json::{Text, audio_frame, decode_base64, or_empty};
use super::protocol::{CloseMeaning, Protocol, TurnDetection};
use super::settings::GeminiSettings;
use super::to_agent::ToAgent;
use super::tools::{ToolCall, ToolCallId, ToolDefinition, ToolResult};
use crate::audio_format::{AgentFormats, AudioFormat};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::time::Instant;

/// What the provider receives.
const TO_AGENT: AudioFormat = AudioFormat::pcm16(16_000);
/// What the provider sends.
const FROM_AGENT: AudioFormat = AudioFormat::pcm16(24_000);
/// Maximum length of a handle of the session, in bytes; a longer one is not kept.
const MAX_HANDLE: usize = 4096;

/// State of one session.
#[derive(Debug)]
pub(super) struct Gemini {
    settings: GeminiSettings,
    ready: bool,
    /// With it, a new connection continues the session.
    handle: Option<String>,
}

/// A message of the provider. It has one of the members.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    setup_complete: Option<IgnoredAny>,
    #[serde(borrow)]
    server_content: Option<ServerContent<'a>>,
    #[serde(borrow)]
    tool_call: Option<FunctionCalls<'a>>,
    #[serde(borrow)]
    tool_call_cancellation: Option<Cancellation<'a>>,
    #[serde(borrow)]
    session_resumption_update: Option<ResumptionUpdate<'a>>,
    usage_metadata: Option<IgnoredAny>,
    go_away: Option<IgnoredAny>,
    voice_activity: Option<IgnoredAny>,
    voice_activity_detection_signal: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServerContent<'a> {
    #[serde(borrow)]
    model_turn: Option<ModelTurn<'a>>,
    interrupted: Option<bool>,
}

#[derive(Deserialize)]
struct ModelTurn<'a> {
    #[serde(borrow)]
    parts: Option<Vec<Part<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part<'a> {
    #[serde(borrow)]
    inline_data: Option<InlineData<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InlineData<'a> {
    #[serde(borrow)]
    mime_type: Option<Text<'a>>,
    #[serde(borrow)]
    data: Text<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FunctionCalls<'a> {
    #[serde(borrow)]
    function_calls: Option<Vec<FunctionCall<'a>>>,
}

#[derive(Deserialize)]
struct FunctionCall<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    args: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Cancellation<'a> {
    #[serde(borrow)]
    ids: Option<Vec<Text<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResumptionUpdate<'a> {
    #[serde(borrow)]
    new_handle: Option<Text<'a>>,
    resumable: Option<bool>,
}

impl Gemini {
    pub(super) fn new(settings: GeminiSettings) -> Self {
        Self { settings, ready: false, handle: None }
    }

    fn setup(&self, call: &CallContext) -> Value {
        let settings = &self.settings;
        let mut generation = json!({"responseModalities": ["AUDIO"]});
        let mut speech = json!({});
        if let Some(voice) = &settings.voice {
            speech["voiceConfig"] = json!({"prebuiltVoiceConfig": {"voiceName": voice}});
        }
        if let Some(language) = &settings.language {
            speech["languageCode"] = json!(language);
        }
        if speech != json!({}) {
            generation["speechConfig"] = speech;
        }
        let resumption = self.handle.as_ref().map_or_else(|| json!({}), |handle| json!({"handle": handle}));
        let mut setup = json!({
            "model": model_name(&settings.model),
            "generationConfig": generation,
            "sessionResumption": resumption,
            // Without it, a session with audio ends after 15 minutes.
            "contextWindowCompression": {"slidingWindow": {}},
        });
        if let Some(prompt) = &call.system_prompt {
            setup["systemInstruction"] = json!({"parts": [{"text": prompt}]});
        }
        if !settings.tools.is_empty() {
            let declarations: Value = settings.tools.iter().map(declaration).collect();
            setup["tools"] = json!([{"functionDeclarations": declarations}]);
        }
        json!({"setup": setup})
    }

    /// A session that cannot be resumed at this point can still be resumed at an earlier one.
    fn keep_handle(&mut self, update: &ResumptionUpdate<'_>) {
        let handle = update.new_handle.as_ref().map(Text::as_str).filter(|_| update.resumable == Some(true));
        if let Some(handle) = handle.filter(|handle| (1..=MAX_HANDLE).contains(&handle.len())) {
            self.handle = Some(handle.to_owned());
        }
    }

    fn setup_complete(&mut self, output: &mut DialectOutput) {
        let is_first = !std::mem::replace(&mut self.ready, true);
        if let Some(greeting) = self.settings.greeting.as_ref().filter(|_| is_first && self.handle.is_none())
        {
            output.send(written(&greeting_instruction(greeting)));
        }
    }
}

/// The API names models `models/NAME`.
fn model_name(model: &str) -> String {
    if model.contains('/') { model.to_owned() } else { format!("models/{model}") }
}

fn declaration(tool: &ToolDefinition) -> Value {
    json!({
        "name": tool.name,
        "description": tool.description,
        "parametersJsonSchema": tool.parameters_object(),
    })
}

/// Something that is not spoken but written to the model, which answers it.
fn written(text: &str) -> String {
    json!({"realtimeInput": {"text": text}}).to_string()
}

fn tool_response(result: &ToolResult) -> String {
    let response = match &result.output {
        Ok(text) => json!({"output": text}),
        Err(text) => json!({"error": text}),
    };
    let function = json!({"id": result.id.as_str(), "name": result.name, "response": response});
    json!({"toolResponse": {"functionResponses": [function]}}).to_string()
}

fn server_content(content: &ServerContent<'_>, output: &mut DialectOutput) -> Result<(), AgentFault> {
    if content.interrupted == Some(true) {
        output.emit(FromAgent::Interrupted);
    }
    let parts = content.model_turn.as_ref().and_then(|turn| turn.parts.as_deref()).unwrap_or_default();
    for data in parts.iter().filter_map(|part| part.inline_data.as_ref()) {
        if !is_expected(or_empty(data.mime_type.as_ref())) {
            return Err(AgentFault::BadAudio);
        }
        output.emit_audio(None, |bytes| decode_base64(&data.data, bytes))?;
    }
    Ok(())
}

/// Whether audio with this media type is 16-bit PCM at the rate of the API.
fn is_expected(media_type: &str) -> bool {
    let mut parts = media_type.split(';').map(str::trim);
    parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("audio/pcm"))
        && parts.all(|parameter| {
            parameter.strip_prefix("rate=").is_none_or(|rate| rate.parse() == Ok(FROM_AGENT.rate))
        })
}

fn function_calls(calls: &FunctionCalls<'_>, output: &mut DialectOutput) -> Result<(), AgentFault> {
    let mut result = Ok(());
    for call in calls.function_calls.as_deref().unwrap_or_default() {
        let (id, name) = (or_empty(call.id.as_ref()), or_empty(call.name.as_ref()));
        match ToolCall::new(id, name, call.args.map_or("{}", RawValue::get)) {
            Some(call) => output.emit(FromAgent::ToolCall(call)),
            None => result = Err(AgentFault::BadToolCall),
        }
    }
    result
}

impl Protocol for Gemini {
    fn is_ready(&self) -> bool {
        self.ready
    }

    fn formats(&self) -> AgentFormats {
        AgentFormats { to_agent: TO_AGENT, from_agent: FROM_AGENT }
    }

    fn turn_detection(&self) -> TurnDetection {
        TurnDetection::ProviderInterrupts
    }

    fn binary_content(&self) -> BinaryContent {
        BinaryContent::Events
    }

    fn close_meaning(&self, _code: Option<u16>) -> CloseMeaning {
        // The model cannot hang up.
        CloseMeaning::Failure
    }

    fn reconnect(&mut self) -> bool {
        self.ready &= self.handle.is_none();
        self.handle.is_some()
    }

    fn encode(&mut self, event: &ToAgent<'_>, output: &mut DialectOutput) {
        match event {
            ToAgent::Start { call, codec: _ } => output.send(self.setup(call).to_string()),
            ToAgent::ToolResult(result) => output.send(tool_response(result)),
            // The provider detects speech itself, and has no messages for the rest.
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
        let (before, after) =
            (r#"{"realtimeInput":{"audio":{"data":""#, r#"","mimeType":"audio/pcm;rate=16000"}}}"#);
        audio_frame(before, &audio, after)
    }

    fn handle_text(
        &mut self,
        text: &str,
        _now: Instant,
        output: &mut DialectOutput,
    ) -> Result<(), AgentFault> {
        let message: Message<'_> = serde_json::from_str(text).map_err(|_| AgentFault::NotAnEvent)?;
        let mut known = [
            &message.setup_complete,
            &message.usage_metadata,
            &message.go_away,
            &message.voice_activity,
            &message.voice_activity_detection_signal,
        ]
        .into_iter()
        .any(Option::is_some);
        if message.setup_complete.is_some() {
            self.setup_complete(output);
        }
        if let Some(update) = &message.session_resumption_update {
            known = true;
            self.keep_handle(update);
        }
        if let Some(cancellation) = &message.tool_call_cancellation {
            known = true;
            for id in cancellation.ids.iter().flatten().filter_map(|id| ToolCallId::new(id.as_str())) {
                output.emit(FromAgent::ToolCallCancelled(id));
            }
        }
        let mut result = Ok(());
        if let Some(content) = &message.server_content {
            known = true;
            result = server_content(content, output);
        }
        if let Some(calls) = &message.tool_call {
            known = true;
            result = result.and(function_calls(calls, output));
        }
        if !known {
            output.emit(FromAgent::Unknown);
        }
        result
    }

    fn encode_input(&mut self, text: &str, output: &mut DialectOutput) {
        output.send(written(text));
    }
}

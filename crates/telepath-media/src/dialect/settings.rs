//! What a dialect is built from. It contains no secret; the gateway adds credentials to the connection. Instructions and
//! metadata of the trunk are in [`super::CallContext`].

use super::tools::ToolDefinition;

/// The dialect of an agent, with its settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DialectConfig {
    /// `telepath.v1`.
    TelepathV1,
    /// The wire of Twilio Media Streams.
    Twilio,
    /// The OpenAI Realtime API.
    OpenAi(OpenAiSettings),
    /// OpenAI Live (GPT-Live).
    OpenAiLive(OpenAiLiveSettings),
    /// `ElevenLabs` Agents.
    ElevenLabs(ElevenLabsSettings),
    /// The Deepgram Voice Agent API.
    Deepgram(DeepgramSettings),
    /// The Gemini Live API.
    Gemini(GeminiSettings),
}

/// Settings of the OpenAI Realtime API. The model is a parameter of the URL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OpenAiSettings {
    /// The voice, such as `marin`; the provider's default if `None`.
    pub voice: Option<String>,
    /// What the agent says when the call is answered; `None` if it waits for the caller.
    pub greeting: Option<String>,
    /// Tools that the model may call.
    pub tools: Vec<ToolDefinition>,
}

/// Settings of OpenAI Live. Unlike the Realtime API, it gets the model in its first frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenAiLiveSettings {
    /// The model, such as `gpt-live-1`.
    pub model: String,
    /// The voice, such as `marin`; the provider's default if `None`.
    pub voice: Option<String>,
    /// What the agent says when the call is answered; `None` if it waits for the caller.
    pub greeting: Option<String>,
    /// The model that works on what the voice delegates. Without one, such work is declined.
    pub backend: Option<LiveBackend>,
}

/// A Responses model behind the voice of OpenAI Live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveBackend {
    /// The model.
    pub model: String,
    /// Its instructions, separate from those of the voice.
    pub instructions: Option<String>,
    /// Tools that it may call.
    pub tools: Vec<ToolDefinition>,
}

/// Settings of `ElevenLabs` Agents. The agent is a parameter of the URL, and everything else is configured in the agent.
/// What is set here overrides it, which the agent has to permit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ElevenLabsSettings {
    /// What the agent says first.
    pub first_message: Option<String>,
    /// The voice.
    pub voice_id: Option<String>,
    /// The language, such as `de`.
    pub language: Option<String>,
    /// Whether to ask for the calls of client tools, which an agent does not send by default.
    pub client_tools: bool,
}

/// Settings of the Deepgram Voice Agent API. With an agent's identifier, only the instructions of the trunk are added to
/// what is configured there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeepgramSettings {
    /// An agent that is configured at the provider; the other settings then have no effect.
    pub agent_id: Option<String>,
    /// What the agent says first; `None` if it waits for the caller.
    pub greeting: Option<String>,
    /// The model that transcribes, such as `nova-3`.
    pub listen_model: Option<String>,
    /// The caller's language, such as `de`.
    pub language: Option<String>,
    /// The provider of the language model, such as `open_ai`.
    pub think_provider: Option<String>,
    /// The language model.
    pub think_model: Option<String>,
    /// The voice, such as `aura-2-thalia-en`.
    pub voice: Option<String>,
    /// Tools that the model may call.
    pub tools: Vec<ToolDefinition>,
}

/// Settings of the Gemini Live API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeminiSettings {
    /// The model, with or without the prefix `models/`.
    pub model: String,
    /// The voice, such as `Puck`.
    pub voice: Option<String>,
    /// The language of the answers, such as `de-DE`.
    pub language: Option<String>,
    /// What the agent says when the call is answered; `None` if it waits for the caller.
    pub greeting: Option<String>,
    /// Tools that the model may call.
    pub tools: Vec<ToolDefinition>,
}

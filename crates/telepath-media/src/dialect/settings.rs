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

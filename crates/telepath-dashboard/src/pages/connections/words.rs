//! What the pages of connections call things.

use telepath_core::trunk::{AgentProtocol, AiProvider, CredentialField, Trunk, TrunkStatus};

use crate::chip::Chip;
use crate::icon;
use crate::visible::visible;

pub(super) const fn chip_of(status: TrunkStatus) -> Chip {
    match status {
        TrunkStatus::Active => Chip::new("chip-ok", icon::CHECK, word_of(status)),
        TrunkStatus::Inactive => Chip::new("", icon::PAUSE, word_of(status)),
        TrunkStatus::Error => Chip::new("chip-bad", icon::WARNING, word_of(status)),
    }
}

pub(super) const fn word_of(status: TrunkStatus) -> &'static str {
    match status {
        TrunkStatus::Active => "Active",
        TrunkStatus::Inactive => "Inactive",
        TrunkStatus::Error => "Error",
    }
}

pub(super) const fn provider(provider: AiProvider) -> &'static str {
    match provider {
        AiProvider::OpenAi => "OpenAI Realtime",
        AiProvider::ElevenLabs => "ElevenLabs Agents",
        AiProvider::Deepgram => "Deepgram Voice Agent",
        AiProvider::Gemini => "Gemini Live",
        AiProvider::Custom => "Custom agent",
    }
}

/// The provider of a trunk's agent, or how a custom one is spoken to.
pub(super) const fn agent(trunk: &Trunk) -> &'static str {
    match (trunk.ai_provider, trunk.agent_protocol) {
        (AiProvider::Custom, AgentProtocol::TelepathV1) => "Custom, telepath.v1",
        (AiProvider::Custom, AgentProtocol::Twilio) => "Custom, Twilio Media Streams",
        (
            AiProvider::OpenAi | AiProvider::ElevenLabs | AiProvider::Deepgram | AiProvider::Gemini,
            AgentProtocol::TelepathV1 | AgentProtocol::Twilio,
        ) => provider(trunk.ai_provider),
    }
}

pub(super) const fn credential(field: CredentialField) -> &'static str {
    match field {
        CredentialField::OpenAiApiKey => "OpenAI API key",
        CredentialField::ElevenLabsApiKey => "ElevenLabs API key",
        CredentialField::DeepgramApiKey => "Deepgram API key",
        CredentialField::GeminiApiKey => "Gemini API key",
        CredentialField::CustomHeaders => "HTTP headers",
    }
}

/// Where the agent is, without the query of its URL, which may hold a secret.
pub(super) fn place_of(trunk: &Trunk) -> Option<String> {
    let settings = &trunk.settings;
    let url = settings.custom_endpoint.as_ref().map(|url| url.as_str().split('?').next().unwrap_or_default());
    url.or(settings.elevenlabs_agent_id.as_deref()).map(visible)
}

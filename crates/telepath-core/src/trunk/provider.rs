//! The providers of agents: what each is called, which credential it needs, and where it is reached.

use super::{AgentUrl, HeaderName};
use crate::id::TrunkId;
use crate::named::named_enum;
use crate::secret::SecretText;

named_enum! {
    /// The provider of the AI agent.
    pub enum AiProvider {
        /// OpenAI Realtime.
        OpenAi = "openai",
        /// ElevenLabs Agents.
        ElevenLabs = "elevenlabs",
        /// Deepgram Voice Agent.
        Deepgram = "deepgram",
        /// Gemini Live.
        Gemini = "gemini",
        /// A WebSocket server of the user's own.
        Custom = "custom",
    }
}

impl AiProvider {
    /// The key that a trunk of this provider must have; a custom agent needs none.
    pub const fn api_key(self) -> Option<CredentialField> {
        match self {
            Self::OpenAi => Some(CredentialField::OpenAiApiKey),
            Self::ElevenLabs => Some(CredentialField::ElevenLabsApiKey),
            Self::Deepgram => Some(CredentialField::DeepgramApiKey),
            Self::Gemini => Some(CredentialField::GeminiApiKey),
            Self::Custom => None,
        }
    }
}

named_enum! {
    /// How the gateway and a custom agent talk.
    #[derive(Default)]
    pub enum AgentProtocol {
        /// Telepath's own protocol: JSON text frames and PCM16LE binary frames. The name is also the WebSocket subprotocol.
        #[default]
        TelepathV1 = "telepath.v1",
        /// Twilio Media Streams: agents written for Twilio run unchanged.
        Twilio = "twilio",
    }
}

named_enum! {
    /// The credentials that a trunk can hold. Values are sealed; this names the places they are sealed for.
    /// The name is the API member that sets the credential.
    #[derive(PartialOrd, Ord)]
    pub enum CredentialField {
        /// An OpenAI API key.
        OpenAiApiKey = "openai_api_key",
        /// An ElevenLabs API key.
        ElevenLabsApiKey = "elevenlabs_api_key",
        /// A Deepgram API key.
        DeepgramApiKey = "deepgram_api_key",
        /// A Gemini API key.
        GeminiApiKey = "gemini_api_key",
        /// The headers that the agent's socket is opened with, as one JSON object.
        CustomHeaders = "custom_headers",
    }
}

impl CredentialField {
    /// What a credential is sealed for, see [`crate::vault::Vault::seal`].
    pub fn place(self, trunk: TrunkId) -> String {
        format!("{trunk}/{}", self.name())
    }

    /// Whether it is a provider's key, whose last characters identify it.
    pub const fn is_api_key(self) -> bool {
        match self {
            Self::OpenAiApiKey | Self::ElevenLabsApiKey | Self::DeepgramApiKey | Self::GeminiApiKey => true,
            Self::CustomHeaders => false,
        }
    }
}

/// Where a call's audio goes, with the secrets that the connection needs.
#[derive(Debug, Clone)]
pub enum AgentTarget {
    /// A server of the user's own.
    Custom {
        /// Where it listens.
        url: AgentUrl,
        /// The protocol between gateway and agent.
        protocol: AgentProtocol,
        /// Sent when the socket is opened.
        headers: Vec<(HeaderName, SecretText)>,
    },
    /// OpenAI Realtime.
    OpenAi {
        /// The user's key.
        api_key: SecretText,
    },
    /// `ElevenLabs` Agents.
    ElevenLabs {
        /// The user's key.
        api_key: SecretText,
        /// The user's agent.
        agent_id: String,
    },
    /// Deepgram Voice Agent.
    Deepgram {
        /// The user's key.
        api_key: SecretText,
    },
    /// Gemini Live.
    Gemini {
        /// The user's key.
        api_key: SecretText,
    },
}

/// What a session with an agent is opened with, from the settings of a trunk.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AgentSession {
    /// The instructions to the agent.
    pub system_prompt: Option<String>,
    /// The provider's voice.
    pub voice_id: Option<String>,
    /// The provider's model; `None` means the default.
    pub model: Option<String>,
    /// What the agent says first.
    pub greeting: Option<String>,
}

/// Where the providers are reached: scheme, host, port, and a path that precedes the provider's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderUrls {
    pub openai: AgentUrl,
    pub elevenlabs: AgentUrl,
    pub deepgram: AgentUrl,
    pub gemini: AgentUrl,
}

impl Default for ProviderUrls {
    /// The public ones of the providers.
    fn default() -> Self {
        Self {
            openai: AgentUrl::of_provider("wss://api.openai.com"),
            elevenlabs: AgentUrl::of_provider("wss://api.elevenlabs.io"),
            deepgram: AgentUrl::of_provider("wss://agent.deepgram.com"),
            gemini: AgentUrl::of_provider("wss://generativelanguage.googleapis.com"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_urls_of_the_providers_are_valid() {
        let urls = ProviderUrls::default();
        for url in [urls.openai, urls.elevenlabs, urls.deepgram, urls.gemini] {
            assert!(url.origin().secure && AgentUrl::try_from(url.to_string()).is_ok(), "{url}");
        }
    }

    #[test]
    fn every_provider_but_custom_has_its_own_api_key() {
        for provider in AiProvider::ALL {
            let key = provider.api_key();
            assert_eq!(key.is_none(), *provider == AiProvider::Custom, "{provider}");
            assert!(key.is_none_or(CredentialField::is_api_key), "{provider}");
            let named = key.is_none_or(|key| key.name() == format!("{provider}_api_key"));
            assert!(named, "{provider}");
        }
    }
}

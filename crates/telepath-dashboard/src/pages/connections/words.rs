//! What the pages of connections call things.

use telepath_core::trunk::{AiProvider, CredentialField, Trunk, TrunkStatus};

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
        AiProvider::Custom => "Custom, telepath.v1",
    }
}

pub(super) const fn credential(field: CredentialField) -> &'static str {
    match field {
        CredentialField::OpenAiApiKey => "OpenAI API key",
        CredentialField::ElevenLabsApiKey => "ElevenLabs API key",
        CredentialField::CustomHeaders => "HTTP headers",
    }
}

/// Where the agent is, without the query of its URL, which may hold a secret.
pub(super) fn place_of(trunk: &Trunk) -> Option<String> {
    let settings = &trunk.settings;
    let url = settings.custom_endpoint.as_ref().map(|url| url.as_str().split('?').next().unwrap_or_default());
    url.or(settings.elevenlabs_agent_id.as_deref()).map(visible)
}

/// What the server says about a provider that it cannot connect to.
pub(super) const fn unsupported(provider: AiProvider) -> Option<&'static str> {
    match provider {
        AiProvider::Custom => None,
        AiProvider::OpenAi => Some(
            "This version cannot connect calls to OpenAI. The connection can be kept, and refuses calls until a version can. \
             An agent of your own that speaks telepath.v1 takes calls now.",
        ),
        AiProvider::ElevenLabs => Some(
            "This version cannot connect calls to ElevenLabs. The connection can be kept, and refuses calls until a version \
             can. An agent of your own that speaks telepath.v1 takes calls now.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_that_takes_no_calls_says_so() {
        for one in AiProvider::ALL {
            assert_eq!(unsupported(*one).is_none(), one.takes_calls(), "{one}");
        }
    }
}

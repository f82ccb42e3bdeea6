//! A request to change a trunk. Absent members stay; null removes an optional member.

use std::collections::BTreeMap;

use super::draft::{
    check_api_key, check_codecs, check_headers, check_metadata, check_numbers, check_prompt, in_call_range,
    in_range, short_text,
};
use super::{AgentUrl, AiProvider, CredentialField, Trunk, TrunkSettings, TrunkStatus};
use crate::address::NetworkList;
use crate::patch::Patch;
use crate::secret::SecretText;
use crate::validation::{Invalid, bounded_text};

/// A request to change a trunk, not yet checked.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct TrunkPatchDraft {
    /// The name, 1–100 characters.
    pub name: Option<String>,
    /// `active` or `inactive`.
    pub status: Option<String>,
    /// Only for the provider `openai`.
    pub openai_api_key: Option<SecretText>,
    /// Only for the provider `elevenlabs`.
    pub elevenlabs_api_key: Option<SecretText>,
    /// Only for the provider `elevenlabs`.
    pub elevenlabs_agent_id: Option<String>,
    /// Only for the provider `custom`.
    pub custom_endpoint: Option<String>,
    /// Only for the provider `custom`; replaces all headers, null takes them away.
    pub custom_headers: Patch<BTreeMap<String, SecretText>>,
    /// Null takes it away.
    pub system_prompt: Patch<String>,
    /// Null takes it away.
    pub voice_id: Patch<String>,
    /// Null takes it away.
    pub model: Patch<String>,
    /// Null takes it away.
    pub greeting: Patch<String>,
    /// Replaces the whole list.
    pub inbound_numbers: Option<Vec<String>>,
    /// Replaces the whole list.
    pub allowed_ips: Option<Vec<String>>,
    /// Null means as many as the server takes.
    pub max_concurrent_calls: Patch<u32>,
    /// Null means the server's own bound.
    pub max_call_seconds: Patch<u32>,
    /// Replaces the whole list.
    pub codecs: Option<Vec<String>>,
    /// Replaces all pairs.
    pub metadata: Option<BTreeMap<String, String>>,
}

/// A checked change: the trunk's new face, and the credentials to set (`Some`) or take away (`None`).
#[derive(Debug, Clone)]
pub struct TrunkPatch {
    /// The new name.
    pub name: String,
    /// The new status.
    pub status: TrunkStatus,
    /// The new carrier networks.
    pub allowed_ips: NetworkList,
    /// The new settings.
    pub settings: TrunkSettings,
    /// Credentials to set or to take away; others stay.
    pub credentials: BTreeMap<CredentialField, Option<SecretText>>,
}

impl TrunkPatchDraft {
    /// Checks the change against the trunk as it is.
    pub fn check(self, trunk: &Trunk) -> Result<TrunkPatch, Invalid> {
        let mut problems = Invalid::default();
        self.refuse_members_of_others(trunk.ai_provider, &mut problems);
        let mut credentials = BTreeMap::new();
        for (field, secret) in [
            (CredentialField::OpenAiApiKey, self.openai_api_key),
            (CredentialField::ElevenLabsApiKey, self.elevenlabs_api_key),
        ] {
            if let Some(secret) = problems.optional(field.name(), secret, check_api_key) {
                credentials.insert(field, Some(secret));
            }
        }
        match &self.custom_headers {
            Patch::Keep => {}
            Patch::Clear => {
                credentials.insert(CredentialField::CustomHeaders, None);
            }
            Patch::Set(headers) => {
                credentials.insert(CredentialField::CustomHeaders, check_headers(headers, &mut problems));
            }
        }
        let name = problems.optional("name", self.name, |name| bounded_text(name, 1, 100, &[]));
        let status = problems.optional("status", self.status, |name| check_status(&name));
        let allowed_ips =
            self.allowed_ips.and_then(|networks| NetworkList::check("allowed_ips", networks, &mut problems));
        let mut settings = trunk.settings.clone();
        change(&mut settings.system_prompt, "system_prompt", self.system_prompt, &mut problems, check_prompt);
        change(&mut settings.voice_id, "voice_id", self.voice_id, &mut problems, short_text);
        change(&mut settings.model, "model", self.model, &mut problems, short_text);
        change(&mut settings.greeting, "greeting", self.greeting, &mut problems, |text| {
            bounded_text(text, 1, 2000, &['\n', '\t'])
        });
        change(
            &mut settings.max_concurrent_calls,
            "max_concurrent_calls",
            self.max_concurrent_calls,
            &mut problems,
            |n| in_range(n, 10_000),
        );
        change(
            &mut settings.max_call_seconds,
            "max_call_seconds",
            self.max_call_seconds,
            &mut problems,
            in_call_range,
        );
        let agent_id = problems.optional("elevenlabs_agent_id", self.elevenlabs_agent_id, short_text);
        settings.elevenlabs_agent_id = agent_id.or(settings.elevenlabs_agent_id);
        let endpoint = problems.optional("custom_endpoint", self.custom_endpoint, AgentUrl::try_from);
        settings.custom_endpoint = endpoint.or(settings.custom_endpoint);
        if let Some(numbers) = self.inbound_numbers {
            settings.inbound_numbers = check_numbers(numbers, &mut problems);
        }
        if let Some(codecs) = self.codecs {
            settings.codecs = check_codecs(codecs, &mut problems);
        }
        if let Some(metadata) = self.metadata {
            settings.metadata = check_metadata(metadata, &mut problems);
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(TrunkPatch {
            name: name.unwrap_or_else(|| trunk.name.clone()),
            status: status.unwrap_or(trunk.status),
            allowed_ips: allowed_ips.unwrap_or_else(|| trunk.allowed_ips.clone()),
            settings,
            credentials,
        })
    }

    fn refuse_members_of_others(&self, provider: AiProvider, problems: &mut Invalid) {
        for (member, given, owner) in [
            ("openai_api_key", self.openai_api_key.is_some(), AiProvider::OpenAi),
            ("elevenlabs_api_key", self.elevenlabs_api_key.is_some(), AiProvider::ElevenLabs),
            ("elevenlabs_agent_id", self.elevenlabs_agent_id.is_some(), AiProvider::ElevenLabs),
            ("custom_endpoint", self.custom_endpoint.is_some(), AiProvider::Custom),
            ("custom_headers", self.custom_headers.is_given(), AiProvider::Custom),
        ] {
            if given && owner != provider {
                problems.wrong(member, format!("is only for the provider {}", owner.name()));
            }
        }
    }
}

fn check_status(name: &str) -> Result<TrunkStatus, &'static str> {
    match TrunkStatus::from_name(name) {
        Some(status @ (TrunkStatus::Active | TrunkStatus::Inactive)) => Ok(status),
        Some(TrunkStatus::Error) | None => Err("must be active or inactive"),
    }
}

/// Changes an optional member; a value is checked first.
fn change<R, T, E: std::fmt::Display>(
    member: &mut Option<T>,
    field: &str,
    given: Patch<R>,
    problems: &mut Invalid,
    check: impl FnOnce(R) -> Result<T, E>,
) {
    if let Some(checked) = problems.keep(field, given.try_map(check)) {
        *member = checked.apply(member.take());
    }
}

//! A request to change a trunk. Absent members stay; null removes an optional member.

use std::collections::BTreeMap;

use super::draft::{
    check_api_key, check_codecs, check_headers, check_numbers, check_prompt, check_protocol, check_srtp,
    in_call_range, in_range, short_text,
};
use super::{
    AgentProtocol, AgentUrl, AiProvider, CredentialField, OutboundDraft, Trunk, TrunkSettings, TrunkStatus,
};
use crate::address::NetworkList;
use crate::patch::Patch;
use crate::secret::SecretText;
use crate::validation::{Invalid, bounded_text, checked_metadata, checked_name};

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
    /// Only for the provider `deepgram`.
    pub deepgram_api_key: Option<SecretText>,
    /// Only for the provider `gemini`.
    pub gemini_api_key: Option<SecretText>,
    /// Only for the provider `custom`.
    pub custom_endpoint: Option<String>,
    /// Only for the provider `custom`.
    pub agent_protocol: Option<String>,
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
    /// `off`, `preferred` or `required`.
    pub srtp: Option<String>,
    /// Replaces all rules.
    pub outbound: Option<OutboundDraft>,
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
    /// How a custom agent is spoken to from now on.
    pub agent_protocol: AgentProtocol,
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
            (CredentialField::DeepgramApiKey, self.deepgram_api_key),
            (CredentialField::GeminiApiKey, self.gemini_api_key),
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
        let endpoint = problems.optional("custom_endpoint", self.custom_endpoint, AgentUrl::try_from);
        if let Some(endpoint) = &endpoint {
            require_credentials_again(trunk, endpoint, &credentials, &mut problems);
        }
        let agent_protocol = check_protocol(self.agent_protocol, &mut problems);
        let name = problems.optional("name", self.name, checked_name);
        let status = problems.optional("status", self.status, |name| check_status(&name));
        let allowed_ips = self
            .allowed_ips
            .and_then(|networks| NetworkList::check_trusted("allowed_ips", networks, &mut problems));
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
        settings.custom_endpoint = endpoint.or(settings.custom_endpoint);
        if let Some(numbers) = self.inbound_numbers {
            settings.inbound_numbers = check_numbers(numbers, &mut problems);
        }
        if let Some(codecs) = self.codecs {
            settings.codecs = check_codecs(codecs, &mut problems);
        }
        let srtp = problems.optional("srtp", self.srtp, |name| check_srtp(&name));
        settings.srtp = srtp.unwrap_or(settings.srtp);
        if let Some(outbound) = self.outbound {
            settings.outbound = outbound.check(&mut problems);
        }
        if let Some(metadata) = self.metadata {
            settings.metadata = checked_metadata(metadata, &mut problems);
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(TrunkPatch {
            name: name.unwrap_or_else(|| trunk.name.clone()),
            status: status.unwrap_or(trunk.status),
            agent_protocol: agent_protocol.unwrap_or(trunk.agent_protocol),
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
            ("deepgram_api_key", self.deepgram_api_key.is_some(), AiProvider::Deepgram),
            ("gemini_api_key", self.gemini_api_key.is_some(), AiProvider::Gemini),
            ("custom_endpoint", self.custom_endpoint.is_some(), AiProvider::Custom),
            ("agent_protocol", self.agent_protocol.is_some(), AiProvider::Custom),
            ("custom_headers", self.custom_headers.is_given(), AiProvider::Custom),
        ] {
            if given && owner != provider {
                problems.wrong(member, format!("is only for the provider {}", owner.name()));
            }
        }
    }
}

/// Credentials were given for one agent. Whoever may change the trunk but does not know them must not be able to send them
/// to a server of their choice, so another scheme, host or port needs them again (or null, which removes them).
fn require_credentials_again(
    trunk: &Trunk,
    endpoint: &AgentUrl,
    given: &BTreeMap<CredentialField, Option<SecretText>>,
    problems: &mut Invalid,
) {
    if trunk.settings.custom_endpoint.as_ref().is_some_and(|old| old.origin() == endpoint.origin()) {
        return;
    }
    for field in trunk.credentials.keys().filter(|field| !given.contains_key(field)) {
        problems.wrong(
            field.name(),
            "must be given again, or removed with null, because scheme, host or port of custom_endpoint changes",
        );
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::id::{AccountId, Id as _, TrunkId};
    use crate::trunk::{CredentialState, SipUsername};

    /// A trunk with an agent at `wss://agent.example/voice` and sealed headers.
    fn trunk() -> Trunk {
        let state = CredentialState { last4: None, updated_at: Timestamp::default() };
        Trunk {
            id: TrunkId::from_bytes([1; 16]),
            account_id: AccountId::from_bytes([2; 16]),
            name: "Support".to_owned(),
            status: TrunkStatus::Active,
            status_reason: None,
            ai_provider: AiProvider::Custom,
            agent_protocol: AgentProtocol::default(),
            sip_username: SipUsername::try_from("support-01".to_owned()).unwrap(),
            allowed_ips: NetworkList::default(),
            settings: TrunkSettings {
                custom_endpoint: AgentUrl::try_from("wss://agent.example/voice".to_owned()).ok(),
                ..TrunkSettings::default()
            },
            credentials: BTreeMap::from([(CredentialField::CustomHeaders, state)]),
            created_at: Timestamp::default(),
            updated_at: Timestamp::default(),
        }
    }

    fn check(json: &str) -> Result<TrunkPatch, Invalid> {
        serde_json::from_str::<TrunkPatchDraft>(json).unwrap().check(&trunk())
    }

    #[test]
    fn a_new_origin_of_the_agent_needs_the_sealed_headers_again() {
        for url in [
            "wss://attacker.example/voice",
            "wss://agent.example:8443/voice",
            "ws://localhost:443/voice",
            "wss://agent.example.attacker.example/voice",
        ] {
            let problems = check(&format!(r#"{{"custom_endpoint": "{url}"}}"#)).unwrap_err().into_details();
            assert_eq!(problems.len(), 1, "{url}");
            assert_eq!(problems[0].field, "custom_headers", "{url}");
            for headers in [r#"{"Authorization": "Bearer new"}"#, "{}", "null"] {
                let json = format!(r#"{{"custom_endpoint": "{url}", "custom_headers": {headers}}}"#);
                assert!(check(&json).is_ok(), "{json}");
            }
        }
    }

    #[test]
    fn another_path_of_the_same_origin_keeps_the_sealed_headers() {
        for url in ["wss://agent.example/v2?x=1", "wss://AGENT.example:443/voice"] {
            assert!(check(&format!(r#"{{"custom_endpoint": "{url}"}}"#)).is_ok(), "{url}");
        }
        let open = Trunk { credentials: BTreeMap::new(), ..trunk() };
        let draft = r#"{"custom_endpoint": "wss://other.example/"}"#;
        assert!(serde_json::from_str::<TrunkPatchDraft>(draft).unwrap().check(&open).is_ok());
    }
}

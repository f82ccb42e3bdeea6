//! A request to create a trunk, and the checks that validate it.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    AgentProtocol, AgentUrl, AiProvider, Codec, CredentialField, E164, HeaderName, OutboundDraft,
    SipPassword, SipUsername, SrtpMode, TrunkSettings,
};
use crate::address::NetworkList;
use crate::secret::SecretText;
use crate::validation::{Invalid, bounded_text, checked_metadata, checked_name};

/// The longest system prompt in bytes.
const MAX_PROMPT_BYTES: usize = 32 * 1024;
/// The most custom headers.
const MAX_HEADERS: usize = 16;
/// The most inbound numbers.
const MAX_NUMBERS: usize = 1000;
/// The upper bound of the maximum call duration: a day, in seconds.
const MAX_CALL_SECONDS: u32 = 86_400;

/// A request to create a trunk, not yet checked.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct TrunkDraft {
    /// The name, 1–100 characters.
    pub name: Option<String>,
    /// The name of an [`AiProvider`].
    pub ai_provider: Option<String>,
    /// 3–30 letters, digits and hyphens; unique on this server without regard to case.
    pub sip_username: Option<String>,
    /// At least 8 characters; if absent, one of 24 characters is generated and returned once.
    pub sip_password: Option<SecretText>,
    /// Required for `openai`.
    pub openai_api_key: Option<SecretText>,
    /// Required for `elevenlabs`.
    pub elevenlabs_api_key: Option<SecretText>,
    /// Required for `elevenlabs`.
    pub elevenlabs_agent_id: Option<String>,
    /// Required for `deepgram`.
    pub deepgram_api_key: Option<SecretText>,
    /// Required for `gemini`.
    pub gemini_api_key: Option<SecretText>,
    /// Required for `custom`: a `wss://` URL.
    pub custom_endpoint: Option<String>,
    /// For `custom`: headers sent when the agent's socket is opened; their values are secrets.
    pub custom_headers: Option<BTreeMap<String, SecretText>>,
    /// For `custom`: `telepath.v1` or `twilio`.
    pub agent_protocol: Option<String>,
    /// Said to the agent at the start of each call, at most 32 KiB.
    pub system_prompt: Option<String>,
    /// The provider's voice.
    pub voice_id: Option<String>,
    /// The provider's model.
    pub model: Option<String>,
    /// What the agent says first.
    pub greeting: Option<String>,
    /// Numbers in E.164 form that may be dialled; empty means any.
    pub inbound_numbers: Option<Vec<String>>,
    /// Carrier networks in CIDR form that may call without digest.
    pub allowed_ips: Option<Vec<String>>,
    /// Calls at once, 1–10000.
    pub max_concurrent_calls: Option<u32>,
    /// Seconds after which a call is ended, 1–86400.
    pub max_call_seconds: Option<u32>,
    /// `PCMU`, `PCMA` and `G722` in order of preference.
    pub codecs: Option<Vec<String>>,
    /// `off`, `preferred` (the default) or `required`.
    pub srtp: Option<String>,
    /// Where transfers may lead; by default nowhere.
    pub outbound: Option<OutboundDraft>,
    /// Up to 16 pairs of strings that mean something to you.
    pub metadata: Option<BTreeMap<String, String>>,
}

/// A checked request to create a trunk.
#[derive(Debug, Clone)]
pub struct NewTrunk {
    /// 1–100 characters.
    pub name: String,
    /// The provider of the AI agent.
    pub ai_provider: AiProvider,
    /// How a custom agent is spoken to.
    pub agent_protocol: AgentProtocol,
    /// The user part of the SIP URI.
    pub sip_username: SipUsername,
    /// The chosen password; `None` to generate one.
    pub sip_password: Option<SipPassword>,
    /// Carrier networks that need no digest.
    pub allowed_ips: NetworkList,
    /// Everything that is neither identity nor secret.
    pub settings: TrunkSettings,
    /// The secret to encrypt.
    pub credentials: BTreeMap<CredentialField, SecretText>,
}

impl TrunkDraft {
    /// Checks every member and that just the members of the chosen provider are given.
    pub fn check(mut self) -> Result<NewTrunk, Invalid> {
        let mut problems = Invalid::default();
        let name = problems.require("name", self.name.take(), checked_name);
        let ai_provider = problems.require("ai_provider", self.ai_provider.take(), |name| {
            AiProvider::from_name(&name).ok_or("must be one of openai, elevenlabs, deepgram, gemini, custom")
        });
        let sip_username = problems.require("sip_username", self.sip_username.take(), SipUsername::try_from);
        let sip_password = problems.optional("sip_password", self.sip_password.take(), SipPassword::new);
        if let Some(provider) = ai_provider {
            self.require_members_of(provider, &mut problems);
        }
        let agent_protocol = check_protocol(self.agent_protocol.take(), &mut problems).unwrap_or_default();
        let allowed_ips = NetworkList::check_trusted(
            "allowed_ips",
            self.allowed_ips.take().unwrap_or_default(),
            &mut problems,
        );
        let credentials = check_credentials(&mut self, &mut problems);
        let settings = check_settings(self, &mut problems);
        match (name, ai_provider, sip_username, allowed_ips) {
            (Some(name), Some(ai_provider), Some(sip_username), Some(allowed_ips)) if problems.is_empty() => {
                Ok(NewTrunk {
                    name,
                    ai_provider,
                    agent_protocol,
                    sip_username,
                    sip_password,
                    allowed_ips,
                    settings,
                    credentials,
                })
            }
            _ => Err(problems),
        }
    }

    fn require_members_of(&self, provider: AiProvider, problems: &mut Invalid) {
        let members = [
            ("openai_api_key", self.openai_api_key.is_some(), AiProvider::OpenAi, true),
            ("elevenlabs_api_key", self.elevenlabs_api_key.is_some(), AiProvider::ElevenLabs, true),
            ("elevenlabs_agent_id", self.elevenlabs_agent_id.is_some(), AiProvider::ElevenLabs, true),
            ("deepgram_api_key", self.deepgram_api_key.is_some(), AiProvider::Deepgram, true),
            ("gemini_api_key", self.gemini_api_key.is_some(), AiProvider::Gemini, true),
            ("custom_endpoint", self.custom_endpoint.is_some(), AiProvider::Custom, true),
            ("custom_headers", self.custom_headers.is_some(), AiProvider::Custom, false),
            ("agent_protocol", self.agent_protocol.is_some(), AiProvider::Custom, false),
        ];
        for (member, given, owner, required) in members {
            if given && owner != provider {
                problems.wrong(member, format!("is only for the provider {}", owner.name()));
            } else if !given && required && owner == provider {
                problems.missing(member);
            }
        }
    }
}

pub(super) fn check_protocol(name: Option<String>, problems: &mut Invalid) -> Option<AgentProtocol> {
    problems.optional("agent_protocol", name, |name| {
        AgentProtocol::from_name(&name).ok_or("must be telepath.v1 or twilio")
    })
}

fn check_credentials(
    draft: &mut TrunkDraft,
    problems: &mut Invalid,
) -> BTreeMap<CredentialField, SecretText> {
    let mut credentials = BTreeMap::new();
    for (field, secret) in [
        (CredentialField::OpenAiApiKey, draft.openai_api_key.take()),
        (CredentialField::ElevenLabsApiKey, draft.elevenlabs_api_key.take()),
        (CredentialField::DeepgramApiKey, draft.deepgram_api_key.take()),
        (CredentialField::GeminiApiKey, draft.gemini_api_key.take()),
    ] {
        if let Some(secret) = problems.optional(field.name(), secret, check_api_key) {
            credentials.insert(field, secret);
        }
    }
    if let Some(headers) = draft.custom_headers.take()
        && let Some(text) = check_headers(&headers, problems)
    {
        credentials.insert(CredentialField::CustomHeaders, text);
    }
    credentials
}

pub(super) fn check_api_key(secret: SecretText) -> Result<SecretText, &'static str> {
    let fits =
        (8..=512).contains(&secret.expose().len()) && secret.expose().bytes().all(|b| b.is_ascii_graphic());
    if fits { Ok(secret) } else { Err("must have 8 to 512 printable characters") }
}

/// The headers as one JSON object, the form in which they are sealed.
pub(super) fn check_headers(
    headers: &BTreeMap<String, SecretText>,
    problems: &mut Invalid,
) -> Option<SecretText> {
    if headers.len() > MAX_HEADERS {
        problems.wrong("custom_headers", format!("must hold at most {MAX_HEADERS} headers"));
        return None;
    }
    let (mut plain, mut names) = (BTreeMap::new(), BTreeSet::new());
    for (name, value) in headers {
        let field = format!("custom_headers.{name}");
        if !names.insert(name.to_ascii_lowercase()) {
            problems.wrong(&field, "is a duplicate; names are compared without case");
        }
        problems.keep(&field, HeaderName::try_from(name.clone()));
        let value = value.expose();
        if value.len() > 2048 || !value.bytes().all(|b| (b' '..=b'~').contains(&b)) {
            problems.wrong(&field, "must have at most 2048 printable ASCII characters");
        }
        plain.insert(name.as_str(), value);
    }
    serde_json::to_string(&plain).ok().map(SecretText::new)
}

fn check_settings(draft: TrunkDraft, problems: &mut Invalid) -> TrunkSettings {
    TrunkSettings {
        system_prompt: problems.optional("system_prompt", draft.system_prompt, check_prompt),
        voice_id: problems.optional("voice_id", draft.voice_id, short_text),
        model: problems.optional("model", draft.model, short_text),
        greeting: problems
            .optional("greeting", draft.greeting, |text| bounded_text(text, 1, 2000, &['\n', '\t'])),
        elevenlabs_agent_id: problems.optional("elevenlabs_agent_id", draft.elevenlabs_agent_id, short_text),
        custom_endpoint: problems.optional("custom_endpoint", draft.custom_endpoint, AgentUrl::try_from),
        inbound_numbers: check_numbers(draft.inbound_numbers.unwrap_or_default(), problems),
        max_concurrent_calls: problems
            .optional("max_concurrent_calls", draft.max_concurrent_calls, |n| in_range(n, 10_000)),
        max_call_seconds: problems
            .optional("max_call_seconds", draft.max_call_seconds, |n| in_range(n, MAX_CALL_SECONDS)),
        codecs: check_codecs(draft.codecs.unwrap_or_default(), problems),
        srtp: problems.optional("srtp", draft.srtp, |name| check_srtp(&name)).unwrap_or_default(),
        outbound: draft.outbound.unwrap_or_default().check(problems),
        metadata: checked_metadata(draft.metadata.unwrap_or_default(), problems),
    }
}

pub(super) fn check_prompt(text: String) -> Result<String, String> {
    if text.len() > MAX_PROMPT_BYTES {
        return Err("must have at most 32 KiB".to_owned());
    }
    bounded_text(text, 0, MAX_PROMPT_BYTES, &['\n', '\r', '\t'])
}

pub(super) fn short_text(text: String) -> Result<String, String> {
    bounded_text(text, 1, 200, &[])
}

pub(super) fn in_range(number: u32, most: u32) -> Result<u32, String> {
    if (1..=most).contains(&number) { Ok(number) } else { Err(format!("must be 1 to {most}")) }
}

pub(super) fn in_call_range(seconds: u32) -> Result<u32, String> {
    in_range(seconds, MAX_CALL_SECONDS)
}

pub(super) fn check_numbers(texts: Vec<String>, problems: &mut Invalid) -> Vec<E164> {
    if texts.len() > MAX_NUMBERS {
        problems.wrong("inbound_numbers", format!("must hold at most {MAX_NUMBERS} numbers"));
        return Vec::new();
    }
    check_each("inbound_numbers", texts, problems, E164::try_from)
}

pub(super) fn check_codecs(names: Vec<String>, problems: &mut Invalid) -> Vec<Codec> {
    let mut codecs = Vec::new();
    for codec in check_each("codecs", names, problems, |name| {
        Codec::from_encoding_name(&name).ok_or("must be PCMU, PCMA or G722")
    }) {
        if codecs.contains(&codec) {
            problems.wrong("codecs", "must name each codec once");
            return Vec::new();
        }
        codecs.push(codec);
    }
    codecs
}

pub(super) fn check_srtp(name: &str) -> Result<SrtpMode, &'static str> {
    SrtpMode::from_name(name).ok_or("must be off, preferred or required")
}

fn check_each<R, T, E: std::fmt::Display>(
    field: &str,
    raw: Vec<R>,
    problems: &mut Invalid,
    check: impl Fn(R) -> Result<T, E>,
) -> Vec<T> {
    raw.into_iter()
        .enumerate()
        .filter_map(|(place, item)| problems.keep(&format!("{field}[{place}]"), check(item)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str) -> Result<NewTrunk, Invalid> {
        serde_json::from_str::<TrunkDraft>(json).unwrap().check()
    }

    #[test]
    fn a_missing_provider_credential_is_named() {
        let problem =
            check(r#"{"name":"Support","ai_provider":"openai","sip_username":"support-01"}"#).unwrap_err();
        assert_eq!(problem.first_missing(), Some("openai_api_key"));
        assert_eq!(problem.summary(), "Missing required field: openai_api_key");
    }

    #[test]
    fn each_provider_needs_its_own_key() {
        for (provider, field) in [
            ("openai", "openai_api_key"),
            ("elevenlabs", "elevenlabs_api_key"),
            ("deepgram", "deepgram_api_key"),
            ("gemini", "gemini_api_key"),
        ] {
            let draft =
                format!(r#"{{"name":"Support","ai_provider":"{provider}","sip_username":"support-01"}}"#);
            assert_eq!(check(&draft).unwrap_err().summary(), format!("Missing required field: {field}"));
            let other = if field == "gemini_api_key" { "deepgram_api_key" } else { "gemini_api_key" };
            let draft = format!(
                r#"{{"name":"Support","ai_provider":"{provider}","sip_username":"support-01","elevenlabs_agent_id":"a",
                    "{field}":"secret-0123","{other}":"secret-0123"}}"#
            );
            let problems = check(&draft).unwrap_err().into_details();
            assert!(problems.iter().any(|problem| problem.field == other), "{problems:?}");
        }
    }

    #[test]
    fn every_provider_is_named_in_the_message_about_an_unknown_one() {
        let problem = check(r#"{"ai_provider":"none"}"#).unwrap_err().into_details();
        let message = &problem.iter().find(|problem| problem.field == "ai_provider").unwrap().message;
        assert!(AiProvider::ALL.iter().all(|provider| message.contains(provider.name())), "{message}");
    }

    #[test]
    fn members_of_another_provider_are_rejected() {
        let problem = check(
            r#"{"name":"Support","ai_provider":"custom","sip_username":"support-01",
                "custom_endpoint":"wss://agent.example/","openai_api_key":"sk-12345678"}"#,
        )
        .unwrap_err();
        assert_eq!(problem.into_details()[0].field, "openai_api_key");
    }

    #[test]
    fn names_of_headers_are_compared_without_case() {
        let problem = check(
            r#"{"name":"Support","ai_provider":"custom","sip_username":"support-01",
                "custom_endpoint":"wss://agent.example/","custom_headers":{"Authorization":"a","authorization":"b"}}"#,
        )
        .unwrap_err();
        let details = problem.into_details();
        assert_eq!((details.len(), details[0].field.as_str()), (1, "custom_headers.authorization"));
    }

    #[test]
    fn a_complete_draft_is_accepted() {
        let trunk = check(
            r#"{"name":"Support","ai_provider":"custom","sip_username":"support-01","sip_password":"long enough",
                "custom_endpoint":"wss://agent.example/","custom_headers":{"Authorization":"Bearer t"},
                "system_prompt":"Be kind.\n","inbound_numbers":["+15550100123"],"allowed_ips":["203.0.113.0/24"],
                "max_concurrent_calls":5,"max_call_seconds":600,"codecs":["G722","PCMA","pcmu"],"srtp":"required","metadata":{"team":"support"}}"#,
        )
        .unwrap();
        assert_eq!(trunk.settings.codecs, [Codec::G722, Codec::Pcma, Codec::Pcmu]);
        assert_eq!(trunk.settings.srtp, SrtpMode::Required);
        assert_eq!(
            trunk.credentials[&CredentialField::CustomHeaders].expose(),
            r#"{"Authorization":"Bearer t"}"#
        );
        assert!(trunk.sip_password.is_some());
    }

    #[test]
    fn values_out_of_range_are_rejected() {
        let problems = check(
            r#"{"name":"","ai_provider":"custom","sip_username":"x","custom_endpoint":"ws://agent.example/",
                "sip_password":"short","max_call_seconds":0,"codecs":["PCMU","PCMU"],"srtp":"always","custom_headers":{"Host":"h"}}"#,
        )
        .unwrap_err()
        .into_details();
        for field in [
            "name",
            "sip_username",
            "custom_endpoint",
            "sip_password",
            "max_call_seconds",
            "codecs",
            "srtp",
            "custom_headers.Host",
        ] {
            assert!(problems.iter().any(|problem| problem.field == field), "{field}");
        }
    }
}

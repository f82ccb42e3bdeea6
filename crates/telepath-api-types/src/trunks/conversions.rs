//! Bodies of trunks, from and to the types of the domain.

use telepath_core::trunk::{
    self, CredentialField, OutboundDraft, OutboundRules, TrunkDraft, TrunkPatchDraft,
};

use super::{CreateTrunk, CredentialState, Outbound, Trunk, TrunkMetrics, UpdateTrunk};
use crate::text::network_texts;

impl From<OutboundRules> for Outbound {
    fn from(rules: OutboundRules) -> Self {
        Self {
            allowed_prefixes: rules.allowed_prefixes.into_iter().map(String::from).collect(),
            allowed_hosts: rules.allowed_hosts.into_iter().map(String::from).collect(),
            max_concurrent: rules.max_concurrent,
            max_per_minute: rules.max_per_minute,
        }
    }
}

impl From<Outbound> for OutboundDraft {
    fn from(body: Outbound) -> Self {
        Self {
            allowed_prefixes: Some(body.allowed_prefixes),
            allowed_hosts: Some(body.allowed_hosts),
            max_concurrent: body.max_concurrent,
            max_per_minute: body.max_per_minute,
        }
    }
}

impl Trunk {
    /// A trunk whose SIP URI is on `sip_host`.
    pub fn new(trunk: trunk::Trunk, metrics: trunk::TrunkMetrics, sip_host: &str) -> Self {
        let trunk::Trunk { settings, mut credentials, .. } = trunk;
        let mut credential = |field| credentials.remove(&field).map(CredentialState::from);
        Self {
            id: trunk.id,
            name: trunk.name,
            status: trunk.status.name().to_owned(),
            status_reason: trunk.status_reason,
            ai_provider: trunk.ai_provider.name().to_owned(),
            sip_endpoint: format!("sip:{}@{sip_host}", trunk.sip_username),
            sip_username: trunk.sip_username.into(),
            agent_protocol: trunk.agent_protocol.name().to_owned(),
            openai_api_key: credential(CredentialField::OpenAiApiKey),
            elevenlabs_api_key: credential(CredentialField::ElevenLabsApiKey),
            deepgram_api_key: credential(CredentialField::DeepgramApiKey),
            gemini_api_key: credential(CredentialField::GeminiApiKey),
            custom_headers: credential(CredentialField::CustomHeaders),
            elevenlabs_agent_id: settings.elevenlabs_agent_id,
            custom_endpoint: settings.custom_endpoint.map(String::from),
            system_prompt: settings.system_prompt,
            voice_id: settings.voice_id,
            model: settings.model,
            greeting: settings.greeting,
            inbound_numbers: settings.inbound_numbers.into_iter().map(String::from).collect(),
            allowed_ips: network_texts(&trunk.allowed_ips),
            max_concurrent_calls: settings.max_concurrent_calls,
            max_call_seconds: settings.max_call_seconds,
            codecs: settings.codecs.iter().map(ToString::to_string).collect(),
            srtp: settings.srtp.name().to_owned(),
            outbound: settings.outbound.into(),
            metadata: settings.metadata,
            created_at: trunk.created_at,
            updated_at: trunk.updated_at,
            metrics: metrics.into(),
        }
    }

    /// The credentials that are set, each with the name of the member that changes it.
    pub fn credentials(&self) -> impl Iterator<Item = (&'static str, &CredentialState)> {
        [
            ("openai_api_key", &self.openai_api_key),
            ("elevenlabs_api_key", &self.elevenlabs_api_key),
            ("deepgram_api_key", &self.deepgram_api_key),
            ("gemini_api_key", &self.gemini_api_key),
            ("custom_headers", &self.custom_headers),
        ]
        .into_iter()
        .filter_map(|(name, credential)| credential.as_ref().map(|credential| (name, credential)))
    }
}

impl From<trunk::CredentialState> for CredentialState {
    fn from(state: trunk::CredentialState) -> Self {
        let trunk::CredentialState { last4, updated_at } = state;
        Self { set: true, last4, updated_at }
    }
}

impl From<trunk::TrunkMetrics> for TrunkMetrics {
    fn from(metrics: trunk::TrunkMetrics) -> Self {
        let trunk::TrunkMetrics { calls_today, success_rate, avg_latency_ms } = metrics;
        Self { calls_today, success_rate, avg_latency_ms }
    }
}

impl From<CreateTrunk> for TrunkDraft {
    fn from(body: CreateTrunk) -> Self {
        Self {
            name: body.name,
            ai_provider: body.ai_provider,
            sip_username: body.sip_username,
            sip_password: body.sip_password,
            openai_api_key: body.openai_api_key,
            elevenlabs_api_key: body.elevenlabs_api_key,
            elevenlabs_agent_id: body.elevenlabs_agent_id,
            deepgram_api_key: body.deepgram_api_key,
            gemini_api_key: body.gemini_api_key,
            custom_endpoint: body.custom_endpoint,
            custom_headers: body.custom_headers,
            agent_protocol: body.agent_protocol,
            system_prompt: body.system_prompt,
            voice_id: body.voice_id,
            model: body.model,
            greeting: body.greeting,
            inbound_numbers: body.inbound_numbers,
            allowed_ips: body.allowed_ips,
            max_concurrent_calls: body.max_concurrent_calls,
            max_call_seconds: body.max_call_seconds,
            codecs: body.codecs,
            srtp: body.srtp,
            outbound: body.outbound.map(Into::into),
            metadata: body.metadata,
        }
    }
}

impl From<UpdateTrunk> for TrunkPatchDraft {
    fn from(body: UpdateTrunk) -> Self {
        Self {
            name: body.name,
            status: body.status,
            openai_api_key: body.openai_api_key,
            elevenlabs_api_key: body.elevenlabs_api_key,
            elevenlabs_agent_id: body.elevenlabs_agent_id,
            deepgram_api_key: body.deepgram_api_key,
            gemini_api_key: body.gemini_api_key,
            custom_endpoint: body.custom_endpoint,
            custom_headers: body.custom_headers,
            agent_protocol: body.agent_protocol,
            system_prompt: body.system_prompt,
            voice_id: body.voice_id,
            model: body.model,
            greeting: body.greeting,
            inbound_numbers: body.inbound_numbers,
            allowed_ips: body.allowed_ips,
            max_concurrent_calls: body.max_concurrent_calls,
            max_call_seconds: body.max_call_seconds,
            codecs: body.codecs,
            srtp: body.srtp,
            outbound: body.outbound.map(Into::into),
            metadata: body.metadata,
        }
    }
}

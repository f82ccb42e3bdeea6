//! `/v1/trunks`: SIP usernames that carriers call, and the agents that answer. Credentials are write-only.

mod conversions;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use telepath_core::clock::Timestamp;
use telepath_core::id::TrunkId;
use telepath_core::patch::Patch;
use telepath_core::secret::SecretText;

#[cfg(feature = "openapi")]
use crate::enums;
use crate::page::Pagination;
use crate::secret;

/// A trunk. Credentials are shown only as set or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Trunk {
    /// The id.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "conn_01k9v1n2xrf6t8g3m5q7w9y0za"))]
    pub id: TrunkId,
    /// A name for people.
    #[cfg_attr(feature = "openapi", schema(example = "Support"))]
    pub name: String,
    /// `active`, `inactive` or `error`.
    #[cfg_attr(feature = "openapi", schema(value_type = enums::TrunkStatus, example = "active"))]
    pub status: String,
    /// Why the status is `error`; null otherwise. The first call that reaches the agent clears it.
    #[cfg_attr(feature = "openapi", schema(example = json!(null)))]
    pub status_reason: Option<String>,
    /// `openai`, `elevenlabs`, `deepgram`, `gemini` or `custom`.
    #[cfg_attr(feature = "openapi", schema(value_type = enums::AiProvider, example = "custom"))]
    pub ai_provider: String,
    /// The user part of its SIP URI.
    #[cfg_attr(feature = "openapi", schema(example = "support-01"))]
    pub sip_username: String,
    /// The SIP URI to which carriers send calls.
    #[cfg_attr(feature = "openapi", schema(example = "sip:support-01@sip.example.com"))]
    pub sip_endpoint: String,
    /// The protocol between the gateway and a custom agent: `telepath.v1` or `twilio`.
    #[cfg_attr(feature = "openapi", schema(value_type = enums::AgentProtocol, example = "telepath.v1"))]
    pub agent_protocol: String,
    /// The OpenAI API key, never in full.
    pub openai_api_key: Option<CredentialState>,
    /// The ElevenLabs API key, never in full.
    pub elevenlabs_api_key: Option<CredentialState>,
    /// The Deepgram API key, never in full.
    pub deepgram_api_key: Option<CredentialState>,
    /// The Gemini API key, never in full.
    pub gemini_api_key: Option<CredentialState>,
    /// The headers for a custom agent, never in full.
    pub custom_headers: Option<CredentialState>,
    /// The id of the ElevenLabs agent.
    pub elevenlabs_agent_id: Option<String>,
    /// The URL of a custom agent.
    #[cfg_attr(feature = "openapi", schema(example = "wss://agent.example/voice"))]
    pub custom_endpoint: Option<String>,
    /// Sent to the agent at the start of each call.
    #[cfg_attr(feature = "openapi", schema(example = "You answer calls for the support team."))]
    pub system_prompt: Option<String>,
    /// The provider's voice.
    pub voice_id: Option<String>,
    /// The provider's model.
    pub model: Option<String>,
    /// What the agent says first.
    #[cfg_attr(feature = "openapi", schema(example = "Hello, how can I help?"))]
    pub greeting: Option<String>,
    /// Numbers that callers may dial; empty means any.
    #[cfg_attr(feature = "openapi", schema(example = json!(["+15550100123"])))]
    pub inbound_numbers: Vec<String>,
    /// Carrier networks that may call without digest authentication.
    #[cfg_attr(feature = "openapi", schema(example = json!(["203.0.113.0/24"])))]
    pub allowed_ips: Vec<String>,
    /// Concurrent calls; null means up to the server's limit.
    pub max_concurrent_calls: Option<u32>,
    /// Maximum length of a call in seconds; null means the server's limit.
    pub max_call_seconds: Option<u32>,
    /// Codecs in order of preference; empty means the server's order.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<enums::Codec>, example = json!(["PCMU", "PCMA"])))]
    pub codecs: Vec<String>,
    /// `off`, `preferred` or `required`: whether the audio between carrier and server is encrypted with SRTP.
    #[cfg_attr(feature = "openapi", schema(value_type = enums::SrtpMode, example = "preferred", required = true))]
    #[serde(default = "of_servers_without_srtp")]
    pub srtp: String,
    /// Where transfers may lead.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    #[serde(default)]
    pub outbound: Outbound,
    /// Your own key-value pairs.
    #[cfg_attr(feature = "openapi", schema(example = json!({"team": "support"})))]
    pub metadata: BTreeMap<String, String>,
    /// When it was created.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
    /// When it was last changed.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub updated_at: Timestamp,
    /// Today's calls.
    pub metrics: TrunkMetrics,
}

/// What older servers do, which do not say it.
fn of_servers_without_srtp() -> String {
    "off".to_owned()
}

/// Where a trunk may transfer calls to. Without rules, no transfer is permitted, whoever asks for it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Outbound {
    /// First digits, in E.164 form, of the numbers that may be called; empty means none.
    #[cfg_attr(feature = "openapi", schema(example = json!(["+1555"])))]
    pub allowed_prefixes: Vec<String>,
    /// Hosts of `sip:` URIs that may be called; empty means none. A number in such a URI needs a prefix too.
    #[cfg_attr(feature = "openapi", schema(example = json!(["pbx.example.com"])))]
    pub allowed_hosts: Vec<String>,
    /// Transfers that may be pending at once, 1–10000; null means 10.
    #[cfg_attr(feature = "openapi", schema(example = 5))]
    pub max_concurrent: Option<u32>,
    /// Transfers within a minute, 1–10000; null means 30.
    #[cfg_attr(feature = "openapi", schema(example = 10))]
    pub max_per_minute: Option<u32>,
}

/// A stored credential without its value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CredentialState {
    /// Always true: a credential that is not set is null.
    #[cfg_attr(feature = "openapi", schema(example = true))]
    pub set: bool,
    /// Its last four characters; null when it is too short to reveal any.
    #[cfg_attr(feature = "openapi", schema(example = "x7Qp"))]
    pub last4: Option<String>,
    /// When it was set.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub updated_at: Timestamp,
}

/// Figures of today's calls (UTC); null without calls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TrunkMetrics {
    /// Calls since midnight.
    #[cfg_attr(feature = "openapi", schema(example = 128))]
    pub calls_today: u64,
    /// Percentage of ended calls that reached the agent, 0–100.
    #[cfg_attr(feature = "openapi", schema(example = 99.2))]
    pub success_rate: Option<f64>,
    /// Mean AI latency in milliseconds.
    #[cfg_attr(feature = "openapi", schema(example = 412.5))]
    pub avg_latency_ms: Option<f64>,
}

/// A new trunk.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CreatedTrunk {
    #[serde(flatten)]
    pub trunk: Trunk,
    /// The generated password, if the request had none. Shown only once.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "secret::reveal")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = Password, example = "3fJ9kLq2Xw7Zt5Rb8Nc4Vm6P"))]
    pub sip_password: Option<SecretText>,
}

/// A page of trunks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TrunkList {
    /// The newest first by default.
    pub trunks: Vec<Trunk>,
    pub pagination: Pagination,
}

/// A new SIP password. The previous one no longer works.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RotatedSipPassword {
    /// The trunk's id.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "conn_01k9v1n2xrf6t8g3m5q7w9y0za"))]
    pub id: TrunkId,
    /// The user part of its SIP URI.
    #[cfg_attr(feature = "openapi", schema(example = "support-01"))]
    pub sip_username: String,
    /// The new password. Shown only once.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "secret::reveal")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Password, example = "3fJ9kLq2Xw7Zt5Rb8Nc4Vm6P"))]
    pub sip_password: Option<SecretText>,
    /// When it was created.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub rotated_at: Timestamp,
}

/// A request to create a trunk.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"name": "Support", "ai_provider": "custom", "sip_username": "support-01", "custom_endpoint": "wss://agent.example/voice", "custom_headers": {"Authorization": "Bearer …"}, "system_prompt": "You answer calls for the support team.", "inbound_numbers": ["+15550100123"], "metadata": {"team": "support"}})))]
#[serde(deny_unknown_fields)]
pub struct CreateTrunk {
    /// A name for people, 1–100 characters.
    #[cfg_attr(feature = "openapi", schema(required))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `openai`, `elevenlabs`, `deepgram`, `gemini` or `custom`.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<enums::AiProvider>, required))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ai_provider: Option<String>,
    /// 3–30 letters, digits and hyphens; unique on this server, ignoring case.
    #[cfg_attr(feature = "openapi", schema(required))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sip_username: Option<String>,
    /// At least 8 characters. Default: a generated one of 24 characters, returned once.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "secret::reveal")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = Password))]
    pub sip_password: Option<SecretText>,
    /// Required for `openai`.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "secret::reveal")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = Password))]
    pub openai_api_key: Option<SecretText>,
    /// Required for `elevenlabs`.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "secret::reveal")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = Password))]
    pub elevenlabs_api_key: Option<SecretText>,
    /// Required for `elevenlabs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elevenlabs_agent_id: Option<String>,
    /// Required for `deepgram`.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "secret::reveal")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = Password))]
    pub deepgram_api_key: Option<SecretText>,
    /// Required for `gemini`.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "secret::reveal")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = Password))]
    pub gemini_api_key: Option<SecretText>,
    /// Required for `custom`: a `wss://` URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_endpoint: Option<String>,
    /// For `custom`: headers sent when the agent's socket opens; their values are secrets.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "secret::reveal_map")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<BTreeMap<String, String>>))]
    pub custom_headers: Option<BTreeMap<String, SecretText>>,
    /// For `custom`: `telepath.v1` (default) or `twilio`.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<enums::AgentProtocol>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_protocol: Option<String>,
    /// Sent to the agent at the start of each call, at most 32 KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<String>,
    /// The provider's voice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voice_id: Option<String>,
    /// The provider's model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What the agent says first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub greeting: Option<String>,
    /// Numbers in E.164 form that callers may dial; empty means any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inbound_numbers: Option<Vec<String>>,
    /// Carrier networks in CIDR form that may call without digest authentication.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_ips: Option<Vec<String>>,
    /// Concurrent calls, 1–10000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent_calls: Option<u32>,
    /// Maximum length of a call in seconds, 1–86400.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_call_seconds: Option<u32>,
    /// `PCMU`, `PCMA` and `G722` in order of preference.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<enums::Codec>>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub codecs: Option<Vec<String>>,
    /// Whether the audio between carrier and server is encrypted with SRTP: `off` refuses calls that offer nothing else,
    /// `preferred` (the default) uses it when offered, `required` refuses calls without it.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<enums::SrtpMode>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub srtp: Option<String>,
    /// Where transfers may lead; by default nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outbound: Option<Outbound>,
    /// Up to 16 key-value pairs of your own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<BTreeMap<String, String>>,
}

/// A request to change a trunk. Members that are left out keep their value.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"status": "inactive", "max_concurrent_calls": 20})))]
#[serde(deny_unknown_fields)]
pub struct UpdateTrunk {
    /// A name for people, 1–100 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `active` or `inactive`.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<enums::SettableTrunkStatus>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Only for the provider `openai`.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "secret::reveal")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = Password))]
    pub openai_api_key: Option<SecretText>,
    /// Only for the provider `elevenlabs`.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "secret::reveal")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = Password))]
    pub elevenlabs_api_key: Option<SecretText>,
    /// Only for the provider `elevenlabs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elevenlabs_agent_id: Option<String>,
    /// Only for the provider `deepgram`.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "secret::reveal")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = Password))]
    pub deepgram_api_key: Option<SecretText>,
    /// Only for the provider `gemini`.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "secret::reveal")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = Password))]
    pub gemini_api_key: Option<SecretText>,
    /// Only for the provider `custom`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_endpoint: Option<String>,
    /// Only for the provider `custom`.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<enums::AgentProtocol>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_protocol: Option<String>,
    /// Only for the provider `custom`; replaces all headers, null removes them.
    #[serde(default, skip_serializing_if = "Patch::is_kept", serialize_with = "secret::reveal_patch")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<BTreeMap<String, String>>))]
    pub custom_headers: Patch<BTreeMap<String, SecretText>>,
    /// Null removes it.
    #[serde(default, skip_serializing_if = "Patch::is_kept")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub system_prompt: Patch<String>,
    /// Null removes it.
    #[serde(default, skip_serializing_if = "Patch::is_kept")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub voice_id: Patch<String>,
    /// Null removes it.
    #[serde(default, skip_serializing_if = "Patch::is_kept")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub model: Patch<String>,
    /// Null removes it.
    #[serde(default, skip_serializing_if = "Patch::is_kept")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub greeting: Patch<String>,
    /// Replaces the whole list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inbound_numbers: Option<Vec<String>>,
    /// Replaces the whole list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_ips: Option<Vec<String>>,
    /// Concurrent calls, 1–10000; null means up to the server's limit.
    #[serde(default, skip_serializing_if = "Patch::is_kept")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u32>))]
    pub max_concurrent_calls: Patch<u32>,
    /// Maximum length of a call in seconds, 1–86400; null means the server's limit.
    #[serde(default, skip_serializing_if = "Patch::is_kept")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u32>))]
    pub max_call_seconds: Patch<u32>,
    /// Replaces the whole list.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<enums::Codec>>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub codecs: Option<Vec<String>>,
    /// `off`, `preferred` or `required`.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<enums::SrtpMode>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub srtp: Option<String>,
    /// Replaces all rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outbound: Option<Outbound>,
    /// Replaces all pairs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<BTreeMap<String, String>>,
}

//! Trunks, which the dashboard calls connections: a SIP username that carriers call, and the AI agent that answers.

mod draft;
mod lookup;
mod names;
mod outbound;
mod patch;

use std::collections::BTreeMap;

pub use draft::{NewTrunk, TrunkDraft};
pub use lookup::{NumberCandidate, NumberChoice, TrunkLookup, TrunkMatch, TrunkNumbers, TrunkOwner};
pub use names::{AgentOrigin, AgentUrl, Codec, E164, HeaderName, SipPassword, SipUsername};
pub use outbound::{
    CallTarget, InvalidTarget, NumberPrefix, OutboundDraft, OutboundRules, SipHost, TargetNotAllowed,
};
pub use patch::{TrunkPatch, TrunkPatchDraft};
use serde::{Deserialize, Serialize};

use crate::address::NetworkList;
use crate::clock::Timestamp;
use crate::digest_hash::DigestHashes;
use crate::id::{AccountId, TrunkId};
use crate::named::named_enum;
use crate::secret::SecretText;

named_enum! {
    /// The provider of the AI agent.
    pub enum AiProvider {
        /// OpenAI Realtime.
        OpenAi = "openai",
        /// ElevenLabs Agents.
        ElevenLabs = "elevenlabs",
        /// A WebSocket server of the user's own.
        Custom = "custom",
    }
}

impl AiProvider {
    /// Whether calls can reach agents of this provider. Trunks with other providers can be kept, and refuse calls.
    pub const fn takes_calls(self) -> bool {
        match self {
            Self::Custom => true,
            Self::OpenAi | Self::ElevenLabs => false,
        }
    }
}

named_enum! {
    /// Whether a trunk takes calls.
    pub enum TrunkStatus {
        /// Takes calls.
        Active = "active",
        /// Switched off by the user.
        Inactive = "inactive",
        /// Cannot take calls until something is put right.
        Error = "error",
    }
}

named_enum! {
    /// How the gateway and a custom agent talk.
    /// The name is also the WebSocket subprotocol.
    #[derive(Default)]
    pub enum AgentProtocol {
        /// Telepath's own protocol: JSON text frames and PCM16LE binary frames.
        #[default]
        TelepathV1 = "telepath.v1",
    }
}

named_enum! {
    /// Whether the audio of a trunk's calls is encrypted with SRTP (RFC 3711), with keys in SDP (RFC 4568).
    #[derive(Default)]
    pub enum SrtpMode {
        /// Never; calls that offer nothing else are refused.
        Off = "off",
        /// If the carrier offers it.
        #[default]
        Preferred = "preferred",
        /// Always; calls without it are refused.
        Required = "required",
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
        /// The headers that the agent's socket is opened with, as one JSON object.
        CustomHeaders = "custom_headers",
    }
}

impl CredentialField {
    /// What a credential is sealed for, see [`crate::vault::Vault::seal`].
    pub fn place(self, trunk: TrunkId) -> String {
        format!("{trunk}/{}", self.name())
    }
}

/// What may be shown of a stored credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialState {
    /// Its last four characters; null when it is too short to show any.
    pub last4: Option<String>,
    pub updated_at: Timestamp,
}

/// The settings of a trunk that are neither its identity nor secret. Stored as one JSON column: nothing is searched by
/// them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TrunkSettings {
    /// Said to the agent at the start of each call, at most 32 KiB.
    #[serde(default)]
    pub system_prompt: Option<String>,
    /// The provider's voice.
    #[serde(default)]
    pub voice_id: Option<String>,
    /// The provider's model.
    #[serde(default)]
    pub model: Option<String>,
    /// What the agent says first.
    #[serde(default)]
    pub greeting: Option<String>,
    /// The `ElevenLabs` agent.
    #[serde(default)]
    pub elevenlabs_agent_id: Option<String>,
    /// The user's own agent.
    #[serde(default)]
    pub custom_endpoint: Option<AgentUrl>,
    /// Numbers that may be dialled; empty means any.
    #[serde(default)]
    pub inbound_numbers: Vec<E164>,
    /// Calls at once; `None` means as many as the server takes.
    #[serde(default)]
    pub max_concurrent_calls: Option<u32>,
    /// Seconds after which a call is ended; `None` means the server's own bound.
    #[serde(default)]
    pub max_call_seconds: Option<u32>,
    /// Codecs in order of preference; empty means the server's order.
    #[serde(default)]
    pub codecs: Vec<Codec>,
    /// Whether audio is encrypted.
    #[serde(default)]
    pub srtp: SrtpMode,
    /// Where transfers may lead.
    #[serde(default)]
    pub outbound: OutboundRules,
    /// Up to 16 pairs that mean something to the user.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}

/// A trunk without its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trunk {
    pub id: TrunkId,
    /// The account that owns it.
    pub account_id: AccountId,
    /// The name.
    pub name: String,
    /// Whether it takes calls.
    pub status: TrunkStatus,
    /// The provider of the AI agent.
    pub ai_provider: AiProvider,
    /// How a custom agent is spoken to.
    pub agent_protocol: AgentProtocol,
    /// The user part of its SIP URI.
    pub sip_username: SipUsername,
    /// Carrier networks that need no digest.
    pub allowed_ips: NetworkList,
    /// Everything else.
    pub settings: TrunkSettings,
    /// The credentials that are set.
    pub credentials: BTreeMap<CredentialField, CredentialState>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// What a list of trunks shows of today's calls; `None` where there were no calls, never an invented figure.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct TrunkMetrics {
    /// Calls since midnight UTC.
    pub calls_today: u64,
    /// Percentage of today's ended calls that reached the agent, 0–100.
    pub success_rate: Option<f64>,
    /// Mean AI latency of today's calls in milliseconds.
    pub avg_latency_ms: Option<f64>,
}

/// Which trunks a list shows, and in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TrunkFilter {
    /// Only trunks in this state.
    pub status: Option<TrunkStatus>,
    /// Oldest first; otherwise newest first.
    pub oldest_first: bool,
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
}

/// Everything that the gateway needs to take a call on a trunk.
#[derive(Debug, Clone)]
pub struct TrunkForCall {
    /// The trunk.
    pub trunk: Trunk,
    /// Against which a caller's digest is checked.
    pub digest: DigestHashes,
    pub agent: AgentTarget,
}

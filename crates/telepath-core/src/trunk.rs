//! Trunks, which the dashboard calls connections: a SIP username that carriers call, and the AI agent that answers.

mod draft;
mod lookup;
mod names;
mod outbound;
mod patch;
mod provider;

use std::collections::BTreeMap;

pub use draft::{NewTrunk, TrunkDraft};
pub use lookup::{NumberCandidate, NumberChoice, TrunkLookup, TrunkMatch, TrunkNumbers, TrunkOwner};
pub use names::{AgentOrigin, AgentUrl, Codec, E164, HeaderName, SipPassword, SipUsername};
pub use outbound::{
    CallTarget, InvalidTarget, NumberPrefix, OutboundDraft, OutboundRules, SipHost, TargetNotAllowed,
};
pub use patch::{TrunkPatch, TrunkPatchDraft};
pub use provider::{AgentProtocol, AgentSession, AgentTarget, AiProvider, CredentialField, ProviderUrls};
use serde::{Deserialize, Serialize};

use crate::address::NetworkList;
use crate::clock::Timestamp;
use crate::digest_hash::DigestHashes;
use crate::id::{AccountId, TrunkId};
use crate::named::named_enum;

named_enum! {
    /// Whether a trunk takes calls.
    pub enum TrunkStatus {
        /// Takes calls.
        Active = "active",
        /// Switched off by the user.
        Inactive = "inactive",
        /// The latest calls did not reach the agent. Takes calls, so that the first success puts it right.
        Error = "error",
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

impl TrunkStatus {
    /// Whether calls are accepted.
    pub const fn takes_calls(self) -> bool {
        match self {
            Self::Active | Self::Error => true,
            Self::Inactive => false,
        }
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

impl TrunkSettings {
    /// What a session with the agent is opened with.
    pub fn session(&self) -> AgentSession {
        AgentSession {
            system_prompt: self.system_prompt.clone(),
            voice_id: self.voice_id.clone(),
            model: self.model.clone(),
            greeting: self.greeting.clone(),
        }
    }
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
    /// Why the status is [`TrunkStatus::Error`]; without secrets.
    pub status_reason: Option<String>,
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

/// Everything that the gateway needs to take a call on a trunk.
#[derive(Debug, Clone)]
pub struct TrunkForCall {
    /// The trunk.
    pub trunk: Trunk,
    /// Against which a caller's digest is checked.
    pub digest: DigestHashes,
    pub agent: AgentTarget,
}

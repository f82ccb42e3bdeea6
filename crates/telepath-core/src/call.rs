//! Calls: their states, disconnect reasons and latency figures.

mod action;
pub mod export;
mod list;
mod number;
mod sip;
pub mod sip_trace;

pub use action::{CallerAction, CallerActionKind, DtmfMethod, MAX_CALLER_ACTIONS};
pub use list::{CALL_SORTS, CallFilter, CallSortKey};
pub use number::ErasedNumber;
use serde::{Deserialize, Serialize};
pub use sip::{MAX_SIP_HEADERS, MAX_SIP_TEXT, SipFacts, SipStranger, SipStrangers};

use crate::clock::Timestamp;
use crate::id::{AccountId, CallId, TrunkId};
use crate::named::named_enum;
use crate::trunk::Codec;

/// The longest SIP trace kept of a call, in bytes.
pub const MAX_TRACE_BYTES: usize = 64 * 1024;
/// The most turns kept of a call.
pub const MAX_TURNS: usize = 2000;

named_enum! {
    /// The state of a call.
    pub enum CallStatus {
        /// Live now.
        Connected = "connected",
        /// Was connected and ended.
        Disconnected = "disconnected",
        /// Never reached the agent.
        Failed = "failed",
    }
}

named_enum! {
    /// The direction of a call.
    pub enum Direction {
        /// The carrier called Telepath.
        Inbound = "inbound",
    }
}

named_enum! {
    /// Why a call ended.
    pub enum DisconnectReason {
        /// The caller hung up.
        NormalDisconnect = "normal_disconnect",
        /// The agent hung up.
        AgentHangup = "agent_hangup",
        /// Hung up through the API.
        ApiHangup = "api_hangup",
        /// The caller gave up before the call was answered, or never confirmed the answer.
        NoAnswer = "no_answer",
        /// The agent could not be reached.
        ConnectionFailed = "connection_failed",
        /// The caller's audio stopped arriving.
        NetworkError = "network_error",
        /// The agent's socket failed or sent invalid frames.
        AiProviderError = "ai_provider_error",
        /// The carrier's signalling failed.
        CarrierError = "carrier_error",
        /// The call was transferred: the carrier connected the caller to somebody else.
        Transferred = "transferred",
        /// The maximum duration was reached.
        MaxDuration = "max_duration",
        /// The trunk was deleted.
        TrunkDeleted = "trunk_deleted",
        /// We rejected the call; `sip.rule` says by which rule.
        Rejected = "rejected",
        /// The server was shut down.
        ServerShutdown = "server_shutdown",
        /// Not known, such as after a crash.
        Unknown = "unknown",
    }
}

named_enum! {
    pub enum Speaker {
        /// The person on the telephone.
        Caller = "caller",
        /// The AI agent.
        Agent = "agent",
    }
}

named_enum! {
    /// How `carrier_lag_ms` was measured.
    pub enum CarrierLagSource {
        /// Half the RTCP round trip.
        Rtcp = "rtcp",
        /// From our 200 OK to the first RTP packet.
        FirstRtp = "first_rtp",
    }
}

named_enum! {
    /// How the audio of a call was encrypted: the crypto suite of SRTP (RFC 4568 section 6.2, RFC 7714 section 14.1).
    pub enum SrtpSuite {
        /// AES-128 in Galois/counter mode.
        AeadAes128Gcm = "AEAD_AES_128_GCM",
        /// AES-256 in Galois/counter mode.
        AeadAes256Gcm = "AEAD_AES_256_GCM",
        /// AES-128 in counter mode with HMAC-SHA1.
        AesCm128HmacSha1_80 = "AES_CM_128_HMAC_SHA1_80",
    }
}

/// One party of a call: an E.164 number where the carrier gave one, else the user part of its URI. At most 128 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party(String);

impl Party {
    /// Takes what a SIP URI's user part said; control characters are dropped and the length is bounded.
    pub fn from_sip_user(user: &str) -> Self {
        let mut text: String = user.chars().filter(|c| !c.is_control()).take(128).collect();
        while text.len() > 128 {
            text.pop();
        }
        Self(if text.is_empty() { "anonymous".to_owned() } else { text })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One stretch of speech of one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// Counted from 1.
    pub turn_number: u32,
    pub speaker: Speaker,
    /// Milliseconds since the call was answered.
    pub started_ms: u64,
    /// Length in milliseconds.
    pub duration_ms: u64,
    /// For an agent's turn: from the end of the caller's speech to its first audio. 0 for the caller.
    pub processing_time_ms: u64,
    /// Whether the other side cut it short.
    pub interrupted: bool,
}

/// What was counted of a call's media, so that no loss is silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MediaCounts {
    /// RTP packets from the caller.
    pub rtp_received: u64,
    /// RTP packets to the caller.
    pub rtp_sent: u64,
    /// Packets that never came.
    pub rtp_lost: u64,
    /// Packets that came too late to be used.
    pub rtp_late: u64,
    /// Packets that came twice.
    pub rtp_duplicate: u64,
    /// Datagrams that were not usable RTP, for one of the following causes.
    pub rtp_invalid: u64,
    /// Datagrams that are not RTP.
    #[serde(default)]
    pub rtp_malformed: u64,
    /// Packets from another address than the caller's.
    #[serde(default)]
    pub rtp_foreign_address: u64,
    /// Packets with a payload type that was not negotiated.
    #[serde(default)]
    pub rtp_unknown_payload: u64,
    /// Packets of another SSRC than the caller's.
    #[serde(default)]
    pub rtp_foreign_source: u64,
    /// Packets that jumped in sequence without a successor (RFC 3550 appendix A.1).
    #[serde(default)]
    pub rtp_unconfirmed_jumps: u64,
    /// Packets of an encrypted call whose authentication failed.
    #[serde(default)]
    pub rtp_unauthenticated: u64,
    /// Packets of an encrypted call that were received before.
    #[serde(default)]
    pub rtp_replayed: u64,
    /// Milliseconds of agent audio dropped because the play-out queue was full.
    pub playout_overflow_ms: u64,
    /// Milliseconds of agent audio dropped because the agent or the caller interrupted it.
    pub playout_cleared_ms: u64,
    /// Frames to the agent dropped because its socket was too slow.
    pub agent_frames_dropped: u64,
    /// RTP packets to the caller sent more than 20 ms after they were due.
    #[serde(default)]
    pub rtp_sent_late: u64,
    /// Telephone events of the caller that are not digits, such as flash.
    #[serde(default)]
    pub telephone_events_ignored: u64,
    /// Actions of the caller beyond [`MAX_CALLER_ACTIONS`].
    #[serde(default)]
    pub caller_actions_omitted: u64,
}

/// The figures of a call. `None` where nothing was measured; never an invented number.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct CallMetrics {
    /// Delay of the carrier's leg in milliseconds.
    pub carrier_lag_ms: Option<u32>,
    /// How `carrier_lag_ms` was measured.
    pub carrier_lag_source: Option<CarrierLagSource>,
    /// Mean time of a round trip to the carrier and back by RTCP, in milliseconds.
    #[serde(default)]
    pub rtt_ms: Option<f64>,
    /// Mean over the agent's turns: caller's speech ends to first agent audio, in milliseconds.
    pub ai_latency_ms: Option<u32>,
    /// Median time inside Telepath in whole milliseconds, rounded up.
    pub gateway_processing_ms: Option<u32>,
    /// The same in microseconds.
    pub gateway_processing_us: Option<u32>,
    /// Caller's speech ends to first RTP packet of the answer, in milliseconds; of the first turn.
    pub time_to_first_speech_ms: Option<u32>,
    /// Packets of the caller that never came, 0–100.
    pub packet_loss_percent: Option<f64>,
    /// Interarrival jitter (RFC 3550 section 6.4.1) in milliseconds.
    pub jitter_ms: Option<f64>,
    /// Our packets that never reached the carrier, 0–100, by its RTCP reports.
    #[serde(default)]
    pub remote_packet_loss_percent: Option<f64>,
    /// Interarrival jitter at the carrier in milliseconds, by its last RTCP report.
    #[serde(default)]
    pub remote_jitter_ms: Option<f64>,
    /// Estimated mean opinion score, 1.0–4.5 (ITU-T G.107).
    pub mos: Option<f64>,
    /// The carrier side's codec.
    pub codec_used: Option<Codec>,
    /// How the audio was encrypted; `None` if it was not.
    #[serde(default)]
    pub srtp_suite: Option<SrtpSuite>,
    /// The media counters.
    pub counts: MediaCounts,
}

/// A call that the gateway has answered.
#[derive(Debug, Clone)]
pub struct CallStart {
    pub id: CallId,
    /// The account that owns the call.
    pub account_id: AccountId,
    /// On which trunk.
    pub trunk_id: TrunkId,
    pub from: Party,
    /// The called party.
    pub to: Party,
    /// The direction of the call.
    pub direction: Direction,
    /// The carrier, if its `User-Agent` or address says.
    pub carrier: Option<String>,
    /// The carrier side's codec.
    pub codec: Codec,
    /// When the INVITE arrived.
    pub start_time: Timestamp,
    pub answer_time: Timestamp,
    /// What its signalling says.
    pub sip: SipFacts,
}

/// A call that is over, whether it was ever answered or not.
#[derive(Debug, Clone)]
pub struct CallEnd {
    pub id: CallId,
    /// The account that owns the call.
    pub account_id: AccountId,
    /// On which trunk.
    pub trunk_id: TrunkId,
    pub from: Party,
    /// The called party.
    pub to: Party,
    /// The direction of the call.
    pub direction: Direction,
    /// The carrier, if known.
    pub carrier: Option<String>,
    /// `disconnected` or `failed`.
    pub status: CallStatus,
    pub reason: DisconnectReason,
    /// More about the reason, for people; without secrets.
    pub reason_text: Option<String>,
    /// When the INVITE arrived.
    pub start_time: Timestamp,
    pub answer_time: Option<Timestamp>,
    pub end_time: Timestamp,
    /// The measured figures.
    pub metrics: CallMetrics,
    /// The turns of the conversation.
    pub turns: Vec<Turn>,
    /// What the caller did beside speaking, in order; at most [`MAX_CALLER_ACTIONS`].
    pub caller_actions: Vec<CallerAction>,
    /// The SIP messages of the call, without secrets, at most [`MAX_TRACE_BYTES`].
    pub sip_trace: String,
    /// What its signalling says.
    pub sip: SipFacts,
}

/// A call as the API shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct CallRecord {
    pub id: CallId,
    /// On which trunk.
    pub trunk_id: TrunkId,
    pub from: Party,
    /// The called party.
    pub to: Party,
    /// The direction of the call.
    pub direction: Direction,
    /// The carrier, if known.
    pub carrier: Option<String>,
    /// Live, over, or never reached the agent.
    pub status: CallStatus,
    /// Seconds from answer to end, rounded up; of a live call, to now; 0 when never answered.
    pub duration_seconds: u32,
    /// When the INVITE arrived.
    pub start_time: Timestamp,
    pub answer_time: Option<Timestamp>,
    pub end_time: Option<Timestamp>,
    pub disconnect_reason: Option<DisconnectReason>,
    /// More about the reason.
    pub reason_text: Option<String>,
    /// The measured figures.
    pub metrics: CallMetrics,
}

/// A call with all that was kept of it.
#[derive(Debug, Clone, PartialEq)]
pub struct CallDetails {
    /// The call.
    pub call: CallRecord,
    /// The turns of the conversation.
    pub turns: Vec<Turn>,
    /// What the caller did beside speaking.
    pub caller_actions: Vec<CallerAction>,
    /// The SIP messages of the call.
    pub sip_trace: String,
    /// What its signalling says.
    pub sip: SipFacts,
}

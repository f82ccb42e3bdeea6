//! One task per call. The task owns all state of the call and handles one event at a time. Its supervisor makes sure
//! that exactly one call record is written, even if the task panics.

mod agent_events;
mod agent_history;
mod handlers;
mod journal;
mod offer_answer;
mod pending_transfer;
mod record;
mod task;
mod transfer;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use telepath_core::call::{CallMetrics, CallStatus, CallerAction, DisconnectReason, Party, SipFacts, Turn};
use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, CallId, TrunkId};
use telepath_core::trunk::OutboundRules;
use telepath_media::codec::AudioCodec;
use telepath_media::dialect::DialectConfig;
use telepath_media::sdp::{AcceptedOffer, SrtpPolicy};
use telepath_sip::CallHandle;
use tokio::sync::{mpsc, oneshot};

use crate::agent::AgentEndpoint;
use crate::command::{CarrierEvent, Command, ReleasedCall};
use crate::live::LiveCallGuard;
use crate::media_policy::MediaPolicy;
use crate::rtp_ports::RtpLease;
use crate::shared::Shared;
use journal::Journal;

/// How long to wait for the SIP trace of a call.
const TRACE_TIMEOUT: Duration = Duration::from_secs(2);

/// Facts about a call that do not change after its INVITE.
#[derive(Debug, Clone)]
pub(crate) struct CallFacts {
    pub(crate) id: CallId,
    pub(crate) account: AccountId,
    pub(crate) trunk: TrunkId,
    pub(crate) from: Party,
    pub(crate) to: Party,
    pub(crate) carrier: Option<String>,
    pub(crate) arrived: Timestamp,
    pub(crate) sip: SipFacts,
}

/// Everything the task of a call needs to start.
#[derive(Debug)]
pub(crate) struct CallSetup {
    pub(crate) handle: CallHandle,
    pub(crate) facts: CallFacts,
    /// The caller's offer; `None` if the INVITE has none and our 200 must carry the offer.
    pub(crate) offer: Option<AcceptedOffer>,
    /// The addresses at which we receive media, in order of preference.
    pub(crate) media_addresses: Vec<IpAddr>,
    pub(crate) media_policy: MediaPolicy,
    /// In order of preference, never empty.
    pub(crate) codecs: Vec<AudioCodec>,
    pub(crate) srtp: SrtpPolicy,
    pub(crate) agent: AgentEndpoint,
    pub(crate) dialect: DialectConfig,
    /// Whether the caller has answered a challenge sent to its source address.
    pub(crate) return_path_proved: bool,
    pub(crate) system_prompt: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) max_duration: Option<Duration>,
    /// Where the call may be transferred to.
    pub(crate) outbound: OutboundRules,
    pub(crate) arrived_at: Instant,
    pub(crate) lease: RtpLease,
    pub(crate) carrier_events: mpsc::Receiver<CarrierEvent>,
    pub(crate) hang_up_requests: mpsc::Receiver<DisconnectReason>,
}

/// How a call ended and what was measured.
#[derive(Debug)]
pub(crate) struct CallSummary {
    pub(crate) status: CallStatus,
    pub(crate) reason: DisconnectReason,
    pub(crate) reason_text: Option<String>,
    pub(crate) ended: Timestamp,
    pub(crate) metrics: CallMetrics,
    pub(crate) turns: Vec<Turn>,
    pub(crate) caller_actions: Vec<CallerAction>,
}

impl CallSummary {
    /// The summary of a call without measurements.
    fn without_media(
        status: CallStatus,
        reason: DisconnectReason,
        reason_text: &str,
        ended: Timestamp,
    ) -> Self {
        Self {
            status,
            reason,
            reason_text: Some(reason_text.to_owned()),
            ended,
            metrics: CallMetrics::default(),
            turns: Vec::new(),
            caller_actions: Vec::new(),
        }
    }
}

/// Runs a call and writes its record, even if the task of the call panics.
pub(crate) async fn supervise(shared: Arc<Shared>, setup: CallSetup, guard: LiveCallGuard) {
    let handle = setup.handle;
    let journal = Journal::open(&shared, setup.facts.clone());
    let id = setup.facts.id;
    // On the heap, because the state of a call is large.
    let task = Box::pin(task::run(shared.clone(), setup, &journal));
    let result = AssertUnwindSafe(task).catch_unwind().await;
    let summary = result.unwrap_or_else(|_panic| {
        tracing::error!(call = %id, "the task of a call panicked; the call ends, other calls continue");
        let status = if journal.was_answered() { CallStatus::Disconnected } else { CallStatus::Failed };
        let text = "an internal error ended the call";
        CallSummary::without_media(status, DisconnectReason::Unknown, text, shared.clock.now())
    });
    let released = release(&shared, handle).await;
    let reason_text = summary.reason_text.or_else(|| released.peer_reason.clone());
    journal.close(CallSummary { reason_text, ..summary }, released);
    drop(guard);
}

/// Removes the call from the signalling task and returns what it knows; nothing if the signalling task has stopped.
async fn release(shared: &Shared, handle: CallHandle) -> ReleasedCall {
    let (reply, response) = oneshot::channel();
    if shared.commands.send(Command::Release(handle, reply)).await.is_err() {
        return ReleasedCall::default();
    }
    let trace = tokio::time::timeout(TRACE_TIMEOUT, response).await;
    trace.ok().and_then(Result::ok).unwrap_or_default()
}

/// Writes the record of a call that was rejected before its task started.
pub(crate) fn record_rejected(
    shared: &Arc<Shared>,
    facts: CallFacts,
    reason: DisconnectReason,
    reason_text: &str,
    trace: String,
) {
    let released = ReleasedCall { trace, peer_reason: None };
    let summary = CallSummary::without_media(CallStatus::Failed, reason, reason_text, shared.clock.now());
    Journal::open(shared, facts).close(summary, released);
}

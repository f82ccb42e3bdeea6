//! One task per call. It owns everything of the call and takes events one at a time; a supervisor around it sees to it
//! that a record is written once on every way out, a panic of the task included.

mod journal;
mod record;
mod run;
mod sdp_state;
mod steps;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use telepath_core::call::{CallMetrics, CallStatus, DisconnectReason, Party, Turn};
use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, CallId, TrunkId};
use telepath_media::codec::Codec;
use telepath_media::sdp;
use telepath_sip::CallHandle;
use tokio::sync::{mpsc, oneshot};

pub(crate) use crate::agent::AgentPlan;
use crate::command::{CarrierEvent, Command};
use crate::live::LiveCallGuard;
use crate::rtp_ports::RtpLease;
use crate::shared::Shared;
use journal::Journal;

/// How long the trace of a call is waited for.
const TRACE_PATIENCE: Duration = Duration::from_secs(2);

/// What stays true of a call from its INVITE to its record.
#[derive(Debug, Clone)]
pub(crate) struct CallFacts {
    pub(crate) id: CallId,
    pub(crate) account: AccountId,
    pub(crate) trunk: TrunkId,
    pub(crate) from: Party,
    pub(crate) to: Party,
    pub(crate) carrier: Option<String>,
    pub(crate) arrived: Timestamp,
}

/// Everything that a call's task is started with.
#[derive(Debug)]
pub(crate) struct CallSetup {
    pub(crate) handle: CallHandle,
    pub(crate) facts: CallFacts,
    /// The caller's offer; `None` when we must make one.
    pub(crate) offer: Option<sdp::SessionDescription>,
    /// In order of preference, never empty.
    pub(crate) codecs: Vec<Codec>,
    pub(crate) agent: AgentPlan,
    pub(crate) system_prompt: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) max_duration: Option<Duration>,
    pub(crate) arrived_at: Instant,
    pub(crate) lease: RtpLease,
    pub(crate) from_carrier: mpsc::Receiver<CarrierEvent>,
    pub(crate) asked: mpsc::Receiver<DisconnectReason>,
}

/// How a call went.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) status: CallStatus,
    pub(crate) reason: DisconnectReason,
    pub(crate) reason_text: Option<String>,
    pub(crate) ended: Timestamp,
    pub(crate) metrics: CallMetrics,
    pub(crate) turns: Vec<Turn>,
}

impl Outcome {
    /// Of a call of which nothing was measured.
    fn bare(status: CallStatus, reason: DisconnectReason, reason_text: &str, ended: Timestamp) -> Self {
        Self {
            status,
            reason,
            reason_text: Some(reason_text.to_owned()),
            ended,
            metrics: CallMetrics::default(),
            turns: Vec::new(),
        }
    }
}

/// Runs a call and sees to its record, whatever becomes of it.
pub(crate) async fn supervise(shared: Arc<Shared>, setup: CallSetup, place: LiveCallGuard) {
    let handle = setup.handle;
    let journal = Journal::open(&shared, setup.facts.clone());
    let id = setup.facts.id;
    let ran = AssertUnwindSafe(run::run(shared.clone(), setup, &journal)).catch_unwind().await;
    let outcome = ran.unwrap_or_else(|_panic| {
        tracing::error!(call = %id, "the task of a call broke; other calls are not touched");
        let status = if journal.was_answered() { CallStatus::Disconnected } else { CallStatus::Failed };
        Outcome::bare(
            status,
            DisconnectReason::Unknown,
            "a fault inside Telepath ended the call",
            shared.clock.now(),
        )
    });
    let trace = conclude(&shared, handle).await;
    journal.close(outcome, trace);
    drop(place);
}

async fn conclude(shared: &Shared, handle: CallHandle) -> String {
    let (reply, answer) = oneshot::channel();
    if shared.commands.send(Command::Release(handle, reply)).await.is_err() {
        return String::new();
    }
    let waited = tokio::time::timeout(TRACE_PATIENCE, answer).await;
    waited.ok().and_then(Result::ok).unwrap_or_default()
}

/// Records a call that was refused before it got a task.
pub(crate) fn record_refused(
    shared: &Arc<Shared>,
    facts: CallFacts,
    reason: DisconnectReason,
    reason_text: &str,
    trace: String,
) {
    let outcome = Outcome::bare(CallStatus::Failed, reason, reason_text, shared.clock.now());
    Journal::open(shared, facts).close(outcome, trace);
}

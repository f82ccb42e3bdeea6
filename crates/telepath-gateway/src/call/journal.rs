//! Reports a call to the control plane, in order and from a separate task, so that a slow database never delays audio.
//! Writing the final record is retried for a bounded time; the number of records being retried is bounded too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use telepath_core::call::{CallEnd, CallStart, Direction, SipFacts};
use telepath_core::clock::Timestamp;
use telepath_core::ports::{AgentEvent, ControlUnavailable, PortFuture};
use telepath_core::trunk::Codec;
use tokio::sync::mpsc;

use super::{CallFacts, CallSummary};
use crate::command::ReleasedCall;
use crate::shared::Shared;

/// A call reports its answer, its agent's connection and disconnection, and its end, each at most once.
const CAPACITY: usize = 4;
const FIRST_RETRY_DELAY: Duration = Duration::from_millis(100);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(10);

enum JournalEntry {
    Answered(Timestamp, Codec),
    Agent(AgentEvent),
    Ended(Box<CallSummary>, ReleasedCall),
}

/// The sending side, held by the task of the call.
pub(crate) struct Journal {
    entries: mpsc::Sender<JournalEntry>,
    answered: AtomicBool,
}

impl Journal {
    pub(crate) fn open(shared: &Arc<Shared>, facts: CallFacts) -> Self {
        let (entries, receiver) = mpsc::channel(CAPACITY);
        let writer = JournalWriter { shared: shared.clone(), facts, answered: None };
        shared.tasks.spawn(writer.run(receiver));
        Self { entries, answered: AtomicBool::new(false) }
    }

    pub(crate) fn record_answer(&self, at: Timestamp, codec: Codec) {
        self.answered.store(true, Ordering::Relaxed);
        self.append(JournalEntry::Answered(at, codec));
    }

    pub(crate) fn was_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    pub(crate) fn record_agent(&self, event: AgentEvent) {
        self.append(JournalEntry::Agent(event));
    }

    pub(crate) fn close(self, summary: CallSummary, released: ReleasedCall) {
        self.append(JournalEntry::Ended(Box::new(summary), released));
    }

    fn append(&self, entry: JournalEntry) {
        if self.entries.try_send(entry).is_err() {
            tracing::error!("the journal of a call is full or closed; dropped an entry");
        }
    }
}

struct JournalWriter {
    shared: Arc<Shared>,
    facts: CallFacts,
    answered: Option<Timestamp>,
}

impl JournalWriter {
    async fn run(mut self, mut entries: mpsc::Receiver<JournalEntry>) {
        while let Some(entry) = entries.recv().await {
            match entry {
                JournalEntry::Answered(at, codec) => self.write_start(at, codec).await,
                JournalEntry::Agent(event) => self.write_agent(&event).await,
                JournalEntry::Ended(summary, released) => return self.write_end(*summary, released).await,
            }
        }
    }

    /// Not retried: the final record contains everything in this one.
    async fn write_start(&mut self, at: Timestamp, codec: Codec) {
        self.answered = Some(at);
        let facts = self.facts.clone();
        let start = CallStart {
            id: facts.id,
            account_id: facts.account,
            trunk_id: facts.trunk,
            from: facts.from,
            to: facts.to,
            direction: Direction::Inbound,
            carrier: facts.carrier,
            codec,
            start_time: facts.arrived,
            answer_time: at,
            sip: facts.sip,
        };
        if let Err(error) = self.with_timeout(self.shared.control.call_started(&start)).await {
            tracing::warn!(call = %start.id, %error, "could not record the start of a call; its final record will contain it");
        }
    }

    async fn write_agent(&self, event: &AgentEvent) {
        let facts = &self.facts;
        let write = self.shared.control.agent_event(facts.account, facts.id, facts.trunk, event);
        if let Err(error) = self.with_timeout(write).await {
            tracing::warn!(call = %facts.id, %error, "could not record an agent event of a call; the event is dropped");
        }
    }

    async fn write_end(self, summary: CallSummary, released: ReleasedCall) {
        count(&summary);
        let facts = self.facts.clone();
        let end = CallEnd {
            id: facts.id,
            account_id: facts.account,
            trunk_id: facts.trunk,
            from: facts.from,
            to: facts.to,
            direction: Direction::Inbound,
            carrier: facts.carrier,
            status: summary.status,
            reason: summary.reason,
            reason_text: summary.reason_text,
            start_time: facts.arrived,
            answer_time: self.answered,
            end_time: summary.ended,
            metrics: summary.metrics,
            turns: summary.turns,
            caller_actions: summary.caller_actions,
            sip_trace: released.trace,
            sip: SipFacts { peer_reason: released.peer_reason, ..facts.sip },
        };
        let Err(error) = self.with_timeout(self.shared.control.call_ended(&end)).await else { return };
        let Ok(_permit) = self.shared.unrecorded.try_acquire() else {
            return log_dropped(&end, &error, "too many records are being retried");
        };
        tracing::warn!(call = %end.id, %error, "could not write the record of a call; retrying");
        self.retry(&end).await;
    }

    async fn retry(&self, end: &CallEnd) {
        let deadline = Instant::now() + self.shared.options.record_retry_timeout;
        let mut delay = FIRST_RETRY_DELAY;
        loop {
            let stopping = tokio::select! {
                () = self.shared.give_up.cancelled() => true,
                () = tokio::time::sleep(delay) => false,
            };
            let Err(error) = self.with_timeout(self.shared.control.call_ended(end)).await else { return };
            if stopping {
                return log_dropped(end, &error, "the server is shutting down");
            }
            if Instant::now() >= deadline {
                return log_dropped(end, &error, "the retry timeout has passed");
            }
            delay = (delay * 2).min(MAX_RETRY_DELAY);
        }
    }

    async fn with_timeout(
        &self,
        request: PortFuture<'_, Result<(), ControlUnavailable>>,
    ) -> Result<(), ControlUnavailable> {
        let timed_out = |_| Err(ControlUnavailable("the request timed out".to_owned()));
        tokio::time::timeout(self.shared.options.control_timeout, request).await.unwrap_or_else(timed_out)
    }
}

fn log_dropped(end: &CallEnd, error: &ControlUnavailable, cause: &'static str) {
    metrics::counter!("telepath_call_records_dropped_total").increment(1);
    tracing::error!(call = %end.id, trunk = %end.trunk_id, %error, cause, "dropped the record of a call");
}

fn count(summary: &CallSummary) {
    let (status, reason) = (summary.status.name(), summary.reason.name());
    metrics::counter!("telepath_calls_ended_total", "status" => status, "reason" => reason).increment(1);
    let counts = &summary.metrics.counts;
    for (name, value) in [
        ("telepath_rtp_received_total", counts.rtp_received),
        ("telepath_rtp_sent_total", counts.rtp_sent),
        ("telepath_rtp_lost_total", counts.rtp_lost),
        ("telepath_rtp_late_total", counts.rtp_late),
        ("telepath_rtp_duplicate_total", counts.rtp_duplicate),
        ("telepath_rtp_invalid_total", counts.rtp_invalid),
        ("telepath_rtp_unauthenticated_total", counts.rtp_unauthenticated),
        ("telepath_playout_overflow_milliseconds_total", counts.playout_overflow_ms),
        ("telepath_playout_cleared_milliseconds_total", counts.playout_cleared_ms),
        ("telepath_agent_frames_dropped_total", counts.agent_frames_dropped),
        ("telepath_rtp_sent_late_total", counts.rtp_sent_late),
        ("telepath_rtp_telephone_events_ignored_total", counts.telephone_events_ignored),
    ] {
        metrics::counter!(name).increment(value);
    }
    let figures = &summary.metrics;
    for (name, seconds) in [
        ("telepath_gateway_processing_seconds", figures.gateway_processing_us.map(|us| f64::from(us) / 1e6)),
        ("telepath_agent_latency_seconds", figures.ai_latency_ms.map(|ms| f64::from(ms) / 1e3)),
        ("telepath_carrier_lag_seconds", figures.carrier_lag_ms.map(|ms| f64::from(ms) / 1e3)),
    ] {
        if let Some(seconds) = seconds {
            metrics::histogram!(name).record(seconds);
        }
    }
}

//! What a call reports to the control plane, in order, from a task beside the call, so that a slow database never
//! delays audio. The record of the end is tried again for a bounded time; how many may wait at once is bounded too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use telepath_core::call::{CallEnd, CallStart, Direction};
use telepath_core::clock::Timestamp;
use telepath_core::ports::{AgentNews, ControlUnavailable, PortFuture};
use telepath_core::trunk::Codec;
use tokio::sync::mpsc;

use super::{CallFacts, Outcome};
use crate::shared::Shared;

/// A call reports its answer, its agent's coming and going, and its end: nothing else, and each once.
const ENTRIES: usize = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

enum Entry {
    Answered(Timestamp, Codec),
    Agent(AgentNews),
    Ended(Box<Outcome>, String),
}

/// The call's end of its journal.
pub(crate) struct Journal {
    entries: mpsc::Sender<Entry>,
    answered: AtomicBool,
}

impl Journal {
    pub(crate) fn open(shared: &Arc<Shared>, facts: CallFacts) -> Self {
        let (entries, written) = mpsc::channel(ENTRIES);
        let writer = Writer { shared: shared.clone(), facts, answered: None };
        shared.tasks.spawn(writer.write(written));
        Self { entries, answered: AtomicBool::new(false) }
    }

    pub(crate) fn answered(&self, at: Timestamp, codec: Codec) {
        self.answered.store(true, Ordering::Relaxed);
        self.enter(Entry::Answered(at, codec));
    }

    pub(crate) fn was_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    pub(crate) fn agent(&self, news: AgentNews) {
        self.enter(Entry::Agent(news));
    }

    pub(crate) fn close(self, outcome: Outcome, trace: String) {
        self.enter(Entry::Ended(Box::new(outcome), trace));
    }

    fn enter(&self, entry: Entry) {
        if self.entries.try_send(entry).is_err() {
            tracing::error!("an entry of a call's journal was lost");
        }
    }
}

struct Writer {
    shared: Arc<Shared>,
    facts: CallFacts,
    answered: Option<Timestamp>,
}

impl Writer {
    async fn write(mut self, mut entries: mpsc::Receiver<Entry>) {
        while let Some(entry) = entries.recv().await {
            match entry {
                Entry::Answered(at, codec) => self.write_start(at, codec).await,
                Entry::Agent(news) => self.write_agent(&news).await,
                Entry::Ended(outcome, trace) => return self.write_end(*outcome, trace).await,
            }
        }
    }

    /// Tried once: when it fails, the record of the end says everything that this one would have said.
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
        };
        if let Err(error) = self.within(self.shared.control.call_started(&start)).await {
            tracing::warn!(call = %start.id, %error, "the start of a call could not be recorded");
        }
    }

    async fn write_agent(&self, news: &AgentNews) {
        let facts = &self.facts;
        let told = self.shared.control.agent_news(facts.account, facts.id, facts.trunk, news);
        if let Err(error) = self.within(told).await {
            tracing::warn!(call = %facts.id, %error, "news of a call's agent could not be recorded");
        }
    }

    async fn write_end(self, outcome: Outcome, sip_trace: String) {
        count(&outcome);
        let facts = self.facts.clone();
        let end = CallEnd {
            id: facts.id,
            account_id: facts.account,
            trunk_id: facts.trunk,
            from: facts.from,
            to: facts.to,
            direction: Direction::Inbound,
            carrier: facts.carrier,
            status: outcome.status,
            reason: outcome.reason,
            reason_text: outcome.reason_text,
            start_time: facts.arrived,
            answer_time: self.answered,
            end_time: outcome.ended,
            metrics: outcome.metrics,
            turns: outcome.turns,
            sip_trace,
        };
        let Err(error) = self.within(self.shared.control.call_ended(&end)).await else { return };
        let Ok(_waits) = self.shared.unrecorded.try_acquire() else {
            return dropped(&end, &error, "too many records wait already");
        };
        tracing::warn!(call = %end.id, %error, "the record of a call could not be written; it is tried again");
        self.insist(&end).await;
    }

    async fn insist(&self, end: &CallEnd) {
        let until = Instant::now() + self.shared.options.record_retry_timeout;
        let mut pause = FIRST_PAUSE;
        loop {
            let stopping = tokio::select! {
                () = self.shared.give_up.cancelled() => true,
                () = tokio::time::sleep(pause) => false,
            };
            let Err(error) = self.within(self.shared.control.call_ended(end)).await else { return };
            if stopping {
                return dropped(end, &error, "the server stops");
            }
            if Instant::now() >= until {
                return dropped(end, &error, "it was tried for too long");
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn within(
        &self,
        asked: PortFuture<'_, Result<(), ControlUnavailable>>,
    ) -> Result<(), ControlUnavailable> {
        let late = |_| Err(ControlUnavailable("it took too long".to_owned()));
        tokio::time::timeout(self.shared.options.control_timeout, asked).await.unwrap_or_else(late)
    }
}

fn dropped(end: &CallEnd, error: &ControlUnavailable, why: &'static str) {
    metrics::counter!("telepath_call_records_dropped_total").increment(1);
    tracing::error!(call = %end.id, trunk = %end.trunk_id, %error, why, "the record of a call is lost");
}

fn count(outcome: &Outcome) {
    let (status, reason) = (outcome.status.name(), outcome.reason.name());
    metrics::counter!("telepath_calls_ended_total", "status" => status, "reason" => reason).increment(1);
    let counts = &outcome.metrics.counts;
    for (name, value) in [
        ("telepath_rtp_received_total", counts.rtp_received),
        ("telepath_rtp_sent_total", counts.rtp_sent),
        ("telepath_rtp_lost_total", counts.rtp_lost),
        ("telepath_rtp_late_total", counts.rtp_late),
        ("telepath_rtp_duplicate_total", counts.rtp_duplicate),
        ("telepath_rtp_invalid_total", counts.rtp_invalid),
        ("telepath_playout_overflow_milliseconds_total", counts.playout_overflow_ms),
        ("telepath_playout_cleared_milliseconds_total", counts.playout_cleared_ms),
        ("telepath_agent_frames_dropped_total", counts.agent_frames_dropped),
    ] {
        metrics::counter!(name).increment(value);
    }
    if let Some(micros) = outcome.metrics.gateway_processing_us {
        metrics::histogram!("telepath_gateway_processing_seconds").record(f64::from(micros) / 1e6);
    }
}

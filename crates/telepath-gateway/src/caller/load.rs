//! Many calls at once from one process, for measurements: each caller calls, plays, hangs up and calls again until the
//! time is over.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{CallOutcome, CallerOptions, place_call};

/// A load to make.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// What each call is.
    pub call: CallerOptions,
    /// Calls at once.
    pub calls: usize,
    /// How long new calls are begun; calls under way are ended in their own time.
    pub lasting: Duration,
    /// The time over which the first calls are spread, so that not all of them send in the same instant.
    pub ramp: Duration,
}

/// How a load went.
#[derive(Debug, Clone, Default)]
pub struct LoadReport {
    /// Calls that were answered.
    pub answered: u64,
    /// Calls that were refused.
    pub refused: u64,
    /// Calls that got no final answer.
    pub failed: u64,
    /// The first error of such a call.
    pub first_error: Option<String>,
    /// RTP packets sent.
    pub packets_sent: u64,
    /// RTP packets received.
    pub packets_received: u64,
    /// RTP packets that never came back to the caller.
    pub packets_lost: u64,
    /// Packets whose echo was recognized.
    pub echoes: u64,
    /// The median over calls of the median echo delay in each.
    pub echo_p50: Option<Duration>,
    /// The worst 99th percentile of the echo delay in any call.
    pub echo_p99_worst: Option<Duration>,
    /// The longest echo delay.
    pub echo_max: Option<Duration>,
    /// The median over calls of the time to the final answer.
    pub setup_p50: Option<Duration>,
    /// The longest time to a final answer.
    pub setup_max: Option<Duration>,
}

/// Makes the load and waits for its end.
pub async fn place_load(options: LoadOptions) -> LoadReport {
    let begun = Instant::now();
    let until = begun + options.lasting;
    let callers = u32::try_from(options.calls).unwrap_or(u32::MAX).max(1);
    let mut tasks = JoinSet::new();
    for place in 0..callers {
        let (call, start) = (options.call.clone(), begun + options.ramp * place / callers);
        tasks.spawn(async move {
            tokio::time::sleep_until(start).await;
            let mut tally = Tally::default();
            while Instant::now() < until {
                tally.add(place_call(call.clone()).await.map_err(|error| error.to_string()));
            }
            tally
        });
    }
    let mut all = Tally::default();
    while let Some(done) = tasks.join_next().await {
        match done {
            Ok(tally) => all.merge(tally),
            Err(error) => all.add(Err(error.to_string())),
        }
    }
    all.report()
}

/// What a few callers have seen. Per call two durations are kept, so a load of a million calls takes 32 MB.
#[derive(Debug, Default)]
struct Tally {
    report: LoadReport,
    setups: Vec<Duration>,
    medians: Vec<Duration>,
}

impl Tally {
    fn add(&mut self, outcome: Result<CallOutcome, String>) {
        let report = &mut self.report;
        match outcome {
            Ok(call) => {
                report.answered += u64::from(call.answered());
                report.refused += u64::from(!call.answered());
                report.packets_sent += call.packets_sent;
                report.packets_received += call.packets_received;
                report.packets_lost += call.packets_lost;
                report.echoes += call.echo.matched;
                report.echo_p99_worst = report.echo_p99_worst.max(call.echo.p99);
                report.echo_max = report.echo_max.max(call.echo.max);
                report.setup_max = report.setup_max.max(Some(call.answered_after));
                self.setups.push(call.answered_after);
                self.medians.extend(call.echo.p50);
            }
            Err(error) => {
                report.failed += 1;
                report.first_error.get_or_insert(error);
            }
        }
    }

    fn merge(&mut self, other: Self) {
        let (report, more) = (&mut self.report, other.report);
        report.answered += more.answered;
        report.refused += more.refused;
        report.failed += more.failed;
        report.packets_sent += more.packets_sent;
        report.packets_received += more.packets_received;
        report.packets_lost += more.packets_lost;
        report.echoes += more.echoes;
        report.echo_p99_worst = report.echo_p99_worst.max(more.echo_p99_worst);
        report.echo_max = report.echo_max.max(more.echo_max);
        report.setup_max = report.setup_max.max(more.setup_max);
        report.first_error = report.first_error.take().or(more.first_error);
        self.setups.extend(other.setups);
        self.medians.extend(other.medians);
    }

    fn report(mut self) -> LoadReport {
        self.report.setup_p50 = median(self.setups);
        self.report.echo_p50 = median(self.medians);
        self.report
    }
}

fn median(mut values: Vec<Duration>) -> Option<Duration> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

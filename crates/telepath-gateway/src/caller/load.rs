//! Many concurrent calls from one process, for benchmarks. Each caller places one call after another until the time is
//! over.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{CallOutcome, CallerOptions, place_call};

/// Options of a load.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// Options of each call.
    pub call: CallerOptions,
    /// Number of concurrent callers.
    pub calls: usize,
    /// How long to start new calls. Calls in progress are completed.
    pub duration: Duration,
    /// The time over which the first calls are spread, so that they do not all send at the same instant.
    pub ramp: Duration,
}

/// Results of a load.
#[derive(Debug, Clone, Default)]
pub struct LoadReport {
    /// Calls that were answered.
    pub answered: u64,
    /// Calls that were rejected.
    pub rejected: u64,
    /// Calls without a final response.
    pub failed: u64,
    /// The first error of a failed call.
    pub first_error: Option<String>,
    /// RTP packets sent.
    pub packets_sent: u64,
    /// RTP packets received.
    pub packets_received: u64,
    /// RTP packets lost on the way to the callers.
    pub packets_lost: u64,
    /// Packets whose echo was recognized.
    pub echoes: u64,
    /// Echoes that took longer than [`telepath_media::test_caller::LATE_ECHO`].
    pub late_echoes: u64,
    /// Median over all calls of each call's median echo delay.
    pub echo_p50: Option<Duration>,
    /// Maximum over all calls of each call's 99th percentile of the echo delay.
    pub echo_p99_worst: Option<Duration>,
    /// Maximum echo delay.
    pub echo_max: Option<Duration>,
    /// Median over all calls of the time to the final response.
    pub setup_p50: Option<Duration>,
    /// Maximum time to the final response.
    pub setup_max: Option<Duration>,
}

/// Places the load and waits until all calls have ended.
pub async fn place_load(options: LoadOptions) -> LoadReport {
    let start = Instant::now();
    let until = start + options.duration;
    let callers = u32::try_from(options.calls).unwrap_or(u32::MAX).max(1);
    let mut tasks = JoinSet::new();
    for index in 0..callers {
        let (call, first_call_at) = (options.call.clone(), start + options.ramp * index / callers);
        tasks.spawn(async move {
            tokio::time::sleep_until(first_call_at).await;
            let mut results = LoadResults::default();
            while Instant::now() < until {
                results.add(place_call(call.clone()).await.map_err(|error| error.to_string()));
            }
            results
        });
    }
    let mut total = LoadResults::default();
    while let Some(finished) = tasks.join_next().await {
        match finished {
            Ok(results) => total.merge(results),
            Err(error) => total.add(Err(error.to_string())),
        }
    }
    total.into_report()
}

/// Results of one or more callers. It stores two durations per call, so a million calls take 32 MB.
#[derive(Debug, Default)]
struct LoadResults {
    report: LoadReport,
    setups: Vec<Duration>,
    medians: Vec<Duration>,
}

impl LoadResults {
    fn add(&mut self, outcome: Result<CallOutcome, String>) {
        let report = &mut self.report;
        match outcome {
            Ok(call) => {
                report.answered += u64::from(call.answered());
                report.rejected += u64::from(!call.answered());
                report.packets_sent += call.packets_sent;
                report.packets_received += call.packets_received;
                report.packets_lost += call.packets_lost;
                report.echoes += call.echo.matched;
                report.late_echoes += call.echo.late;
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
        report.rejected += more.rejected;
        report.failed += more.failed;
        report.packets_sent += more.packets_sent;
        report.packets_received += more.packets_received;
        report.packets_lost += more.packets_lost;
        report.echoes += more.echoes;
        report.late_echoes += more.late_echoes;
        report.echo_p99_worst = report.echo_p99_worst.max(more.echo_p99_worst);
        report.echo_max = report.echo_max.max(more.echo_max);
        report.setup_max = report.setup_max.max(more.setup_max);
        report.first_error = report.first_error.take().or(more.first_error);
        self.setups.extend(other.setups);
        self.medians.extend(other.medians);
    }

    fn into_report(mut self) -> LoadReport {
        self.report.setup_p50 = median(self.setups);
        self.report.echo_p50 = median(self.medians);
        self.report
    }
}

fn median(mut values: Vec<Duration>) -> Option<Duration> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

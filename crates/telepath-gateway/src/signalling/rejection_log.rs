//! Counts rejected SIP messages in the metric `telepath_sip_rejected_total` and logs a summary at most every ten
//! seconds, so that scanners cannot flood the log.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The shortest time between two summaries in the log.
const SUMMARY_INTERVAL: Duration = Duration::from_secs(10);

/// Rejections since the last summary, by reason.
#[derive(Debug, Default)]
pub(super) struct RejectionLog {
    counts: BTreeMap<&'static str, u64>,
    last_summary: Option<Instant>,
}

impl RejectionLog {
    /// Counts one rejection. `reason` comes from a closed set of names, which bounds the map.
    pub(super) fn record(&mut self, reason: &'static str, now: Instant) {
        metrics::counter!("telepath_sip_rejected_total", "reason" => reason).increment(1);
        *self.counts.entry(reason).or_default() += 1;
        if self.last_summary.is_none_or(|last| now.saturating_duration_since(last) >= SUMMARY_INTERVAL) {
            self.last_summary = Some(now);
            let summary: Vec<String> = std::mem::take(&mut self.counts)
                .into_iter()
                .map(|(reason, count)| format!("{reason}={count}"))
                .collect();
            tracing::info!(reasons = summary.join(" "), "SIP messages rejected");
        }
    }
}

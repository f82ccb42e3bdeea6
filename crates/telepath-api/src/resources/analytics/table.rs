//! Statistics as comma-separated values: one line for each group, or for each bucket of each series.

use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use telepath_api_types::analytics::{AnalyticsSummary, AnalyticsTimeseries, CallStatistics, ValueStatistics};
use telepath_core::csv::{MEDIA_TYPE, append_line};

/// The columns of a value.
const OF_VALUE: [&str; 6] = ["count", "mean", "p50", "p95", "p99", "max"];

/// The columns after those that name a line.
fn head() -> Vec<String> {
    let mut head: Vec<_> = ["calls", "reached", "failed", "success_rate"].map(str::to_owned).into();
    for (name, _) in values(&CallStatistics::default()) {
        head.extend(OF_VALUE.map(|column| format!("{name}_{column}")));
    }
    head.extend(["mos_count", "mos_mean", "mos_clean", "mos_fair", "mos_poor"].map(str::to_owned));
    let interruptions =
        ["agent_turns", "agent_interrupted", "caller_turns", "caller_interrupted", "interruptions_per_call"];
    head.extend(interruptions.map(str::to_owned));
    head
}

fn values(of: &CallStatistics) -> [(&'static str, &ValueStatistics); 6] {
    [
        ("carrier_lag_ms", &of.carrier_lag_ms),
        ("gateway_processing_us", &of.gateway_processing_us),
        ("ai_latency_ms", &of.ai_latency_ms),
        ("time_to_first_speech_ms", &of.time_to_first_speech_ms),
        ("turn_wait_ms", &of.turn_wait_ms),
        ("duration_seconds", &of.duration_seconds),
    ]
}

fn cells(of: &CallStatistics) -> Vec<String> {
    let rounded = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.3}"));
    let whole = |value: Option<u64>| value.map_or_else(String::new, |value| value.to_string());
    let mut cells =
        vec![of.calls.to_string(), of.reached.to_string(), of.failed.to_string(), rounded(of.success_rate)];
    for (_, value) in values(of) {
        cells.extend([value.count.to_string(), rounded(value.mean)]);
        cells.extend([value.p50, value.p95, value.p99, value.max].map(whole));
    }
    let mos = &of.mos;
    cells.extend([mos.count.to_string(), rounded(mos.mean)]);
    cells.extend([mos.clean, mos.fair, mos.poor].map(|count| count.to_string()));
    let turns = &of.interruptions;
    let counts = [turns.agent_turns, turns.agent_interrupted, turns.caller_turns, turns.caller_interrupted];
    cells.extend(counts.map(|count| count.to_string()));
    cells.push(rounded(turns.mean_per_call));
    cells
}

fn response(text: Vec<u8>) -> Response {
    let disposition = "attachment; filename=\"analytics.csv\"";
    ([(CONTENT_TYPE, MEDIA_TYPE), (CONTENT_DISPOSITION, disposition)], text).into_response()
}

/// All calls in one line, whose group is empty, or a line for each group.
pub(super) fn of_summary(summary: &AnalyticsSummary) -> Response {
    let mut text = Vec::new();
    let head = head();
    append_line(&mut text, ["group"].into_iter().chain(head.iter().map(String::as_str)));
    let mut line = |group: &str, statistics: &CallStatistics| {
        let cells = cells(statistics);
        append_line(&mut text, [group].into_iter().chain(cells.iter().map(String::as_str)));
    };
    if summary.group_by.is_none() {
        line("", &summary.total);
    }
    for group in &summary.groups {
        line(&group.group, &group.statistics);
    }
    response(text)
}

pub(super) fn of_timeseries(timeseries: &AnalyticsTimeseries) -> Response {
    let mut text = Vec::new();
    let head = head();
    append_line(&mut text, ["start", "group"].into_iter().chain(head.iter().map(String::as_str)));
    for series in &timeseries.series {
        for bucket in &series.buckets {
            let (start, cells) = (bucket.start.to_string(), cells(&bucket.statistics));
            let named = [start.as_str(), &series.group];
            append_line(&mut text, named.into_iter().chain(cells.iter().map(String::as_str)));
        }
    }
    response(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_column_has_a_name() {
        assert_eq!(head().len(), cells(&CallStatistics::default()).len());
    }
}

//! `telepath analytics`: statistics of calls, which outlive the calls.

use clap::{Args, Subcommand};
use telepath_client::{
    AnalyticsComparison, AnalyticsQuery, CallBucket, CallStatistics, ComparedFigure, Timestamp, TrunkId,
    ValueStatistics,
};
use telepath_core::clock::{Clock as _, SystemClock};

use super::reach::{ApiArgs, with_client};
use super::{choices, expiry, output, pages, text};
use crate::exit::Failure;

const SUMMARY_EXAMPLES: &str = "\
Examples:
  telepath analytics summary --data-dir data
  telepath analytics summary --data-dir data --since 30d --group-by reason
  telepath analytics summary --data-dir data --since 7d --group-by trunk --csv > trunks.csv";

const TIMESERIES_EXAMPLES: &str = "\
Examples:
  telepath analytics timeseries --data-dir data --since 24h
  telepath analytics timeseries --data-dir data --since 30d --interval day --group-by provider --csv";

const COMPARE_EXAMPLES: &str = "\
Examples:
  telepath analytics compare conn_01k9v1n2xrf6t8g3m5q7w9y0za conn_01k9v1n2xrf6t8g3m5q7w9y0zb --data-dir data --since 7d

A trunk is called better only if the 95 % interval of the difference excludes zero and both trunks have at
least 50 calls.";

/// Subcommands of `analytics`.
#[derive(Debug, Subcommand)]
pub(crate) enum AnalyticsCommand {
    /// Show counts, success rate, latencies, quality and interruptions
    #[command(after_help = SUMMARY_EXAMPLES)]
    Summary(Box<SummaryArgs>),
    /// Show the same by minute, hour or day
    #[command(after_help = TIMESERIES_EXAMPLES)]
    Timeseries(Box<TimeseriesArgs>),
    /// Compare the calls of two trunks
    #[command(after_help = COMPARE_EXAMPLES)]
    Compare(Box<CompareArgs>),
}

/// The range of time.
#[derive(Debug, Args)]
struct RangeArgs {
    /// Start: a duration ago (24h) or an RFC 3339 date-time
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// End: a duration ago (1h) or an RFC 3339 date-time
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
}

/// What the calls have in common.
#[derive(Debug, Args)]
struct CallArgs {
    #[command(flatten)]
    range: RangeArgs,
    /// Only calls of this trunk; can be repeated
    #[arg(long, value_name = "TRUNK")]
    trunk: Vec<TrunkId>,
    /// One group for each trunk, provider, model, carrier or reason
    #[arg(long, value_parser = choices::call_groupings())]
    group_by: Option<String>,
}

/// Arguments of `analytics summary`.
#[derive(Debug, Args)]
pub(crate) struct SummaryArgs {
    #[command(flatten)]
    api: ApiArgs,
    #[command(flatten)]
    calls: CallArgs,
    /// Print comma-separated values
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Arguments of `analytics timeseries`.
#[derive(Debug, Args)]
pub(crate) struct TimeseriesArgs {
    #[command(flatten)]
    api: ApiArgs,
    #[command(flatten)]
    calls: CallArgs,
    /// Bucket size: minute, hour or day
    #[arg(long, value_parser = ["minute", "hour", "day"])]
    interval: Option<String>,
    /// Print comma-separated values
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Arguments of `analytics compare`.
#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// The first trunk, conn_…
    a: TrunkId,
    /// The second trunk, conn_…
    b: TrunkId,
    #[command(flatten)]
    range: RangeArgs,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Runs a command.
pub(crate) async fn run(command: AnalyticsCommand) -> Result<(), Failure> {
    match command {
        AnalyticsCommand::Summary(args) => summary(*args).await,
        AnalyticsCommand::Timeseries(args) => timeseries(*args).await,
        AnalyticsCommand::Compare(args) => compare(*args).await,
    }
}

impl RangeArgs {
    fn query(&self) -> Result<AnalyticsQuery, Failure> {
        let now: Timestamp = SystemClock.now();
        Ok(AnalyticsQuery {
            start_date: expiry::past("--since", self.since.as_deref(), now)?,
            end_date: expiry::past("--until", self.until.as_deref(), now)?,
            ..AnalyticsQuery::default()
        })
    }
}

impl CallArgs {
    fn query(self, interval: Option<String>) -> Result<AnalyticsQuery, Failure> {
        let range = self.range.query()?;
        Ok(AnalyticsQuery { interval, trunk_ids: self.trunk, group_by: self.group_by, ..range })
    }
}

async fn summary(args: SummaryArgs) -> Result<(), Failure> {
    let query = args.calls.query(None)?;
    if args.csv {
        let csv = with_client(&args.api, async |client| Ok(client.analytics_summary_csv(&query).await?));
        return output::raw(&csv.await?);
    }
    let summary = with_client(&args.api, async |client| Ok(client.analytics_summary(&query).await?)).await?;
    if args.json {
        return output::json(&summary);
    }
    let mut shown = format!(
        "{} from {} to {}\n\n{}",
        text::count(summary.total.calls, "call", "calls"),
        text::second(summary.start_date),
        text::second(summary.end_date),
        describe(&summary.total)
    );
    if !summary.groups.is_empty() {
        let name = summary.group_by.unwrap_or_default().to_uppercase();
        let head = [name.as_str(), "CALLS", "REACHED", "AI P50", "AI P95", "WAIT P95", "MOS"];
        shown.push('\n');
        shown.push_str(&pages::table(&summary.groups, head, |group| {
            let [calls, reached, p50, p95, wait, mos] = row(&group.statistics);
            [text::printable(&group.group), calls, reached, p50, p95, wait, mos]
        }));
    }
    output::raw(shown.as_bytes())
}

async fn timeseries(args: TimeseriesArgs) -> Result<(), Failure> {
    let query = args.calls.query(args.interval)?;
    if args.csv {
        let csv = with_client(&args.api, async |client| Ok(client.analytics_timeseries_csv(&query).await?));
        return output::raw(&csv.await?);
    }
    let timeseries =
        with_client(&args.api, async |client| Ok(client.analytics_timeseries(&query).await?)).await?;
    if args.json {
        return output::json(&timeseries);
    }
    let mut shown = String::new();
    for series in &timeseries.series {
        if timeseries.group_by.is_some() {
            shown.push_str(&text::printable(&series.group));
            shown.push('\n');
        }
        let head = ["START", "CALLS", "REACHED", "AI P50", "AI P95", "WAIT P95", "MOS"];
        shown.push_str(&pages::table(&series.buckets, head, |bucket: &CallBucket| {
            let [calls, reached, p50, p95, wait, mos] = row(&bucket.statistics);
            [text::second(bucket.start), calls, reached, p50, p95, wait, mos]
        }));
    }
    if timeseries.series.is_empty() {
        return output::line(&"No calls.");
    }
    output::raw(shown.as_bytes())
}

async fn compare(args: CompareArgs) -> Result<(), Failure> {
    let query = args.range.query()?;
    let (a, b) = (args.a, args.b);
    let compared =
        with_client(&args.api, async |client| Ok(client.analytics_comparison(a, b, &query).await?)).await?;
    if args.json {
        return output::json(&compared);
    }
    output::raw(describe_comparison(&compared).as_bytes())
}

fn describe_comparison(compared: &AnalyticsComparison) -> String {
    let side = |name: &str, trunk: TrunkId, calls: u64| {
        format!("{name}  {trunk}  {}\n", text::count(calls, "call", "calls"))
    };
    let table = pages::table(
        &compared.figures,
        ["FIGURE", "A", "B", "B - A", "95 % INTERVAL", "CALLS", "RESULT"],
        compared_row,
    );
    format!(
        "{}{}\n{table}",
        side("A", compared.a.trunk_id, compared.a.statistics.calls),
        side("B", compared.b.trunk_id, compared.b.statistics.calls)
    )
}

fn compared_row(figure: &ComparedFigure) -> [String; 7] {
    let interval = figure.low.zip(figure.high);
    [
        figure.figure.clone(),
        decimal(figure.a),
        decimal(figure.b),
        decimal(figure.difference),
        interval.map_or_else(|| "-".to_owned(), |(low, high)| format!("{low:.2} to {high:.2}")),
        format!("{} / {}", figure.a_count, figure.b_count),
        figure.outcome.replace('_', " "),
    ]
}

fn decimal(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"))
}

fn whole(value: Option<u64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

fn row(of: &CallStatistics) -> [String; 6] {
    [
        of.calls.to_string(),
        of.success_rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1} %")),
        whole(of.ai_latency_ms.p50),
        whole(of.ai_latency_ms.p95),
        whole(of.turn_wait_ms.p95),
        decimal(of.mos.mean),
    ]
}

fn describe(of: &CallStatistics) -> String {
    let turns = &of.interruptions;
    let facts = output::facts(&[
        ("Reached the agent", format!("{} of {}", of.reached, of.calls)),
        ("Success rate", of.success_rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1} %"))),
        ("MOS", decimal(of.mos.mean)),
        ("Lines", format!("{} clean, {} fair, {} poor", of.mos.clean, of.mos.fair, of.mos.poor)),
        ("Agent interrupted", format!("{} of {} turns", turns.agent_interrupted, turns.agent_turns)),
        ("Caller interrupted", format!("{} of {} turns", turns.caller_interrupted, turns.caller_turns)),
    ]);
    let values: [(&str, &ValueStatistics); 6] = [
        ("Carrier lag, ms", &of.carrier_lag_ms),
        ("Gateway, us", &of.gateway_processing_us),
        ("AI latency, ms", &of.ai_latency_ms),
        ("First speech, ms", &of.time_to_first_speech_ms),
        ("Wait per turn, ms", &of.turn_wait_ms),
        ("Duration, s", &of.duration_seconds),
    ];
    let table = pages::table(&values, ["", "COUNT", "MEAN", "P50", "P95", "P99", "MAX"], |(name, value)| {
        let [p50, p95, p99, max] = [value.p50, value.p95, value.p99, value.max].map(whole);
        [(*name).to_owned(), value.count.to_string(), decimal(value.mean), p50, p95, p99, max]
    });
    format!("{facts}\n{table}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn value(mean: f64) -> serde_json::Value {
        json!({"count": 60, "mean": mean, "p50": 580, "p95": 1180, "p99": 1520, "max": 1733})
    }

    fn statistics() -> CallStatistics {
        serde_json::from_value(json!({
            "calls": 62, "reached": 60, "failed": 2, "success_rate": 96.774,
            "carrier_lag_ms": value(38.0), "gateway_processing_us": value(700.0), "ai_latency_ms": value(602.4),
            "time_to_first_speech_ms": value(640.0), "turn_wait_ms": value(610.0), "duration_seconds": value(90.0),
            "mos": {"count": 60, "mean": 4.312, "clean": 55, "fair": 3, "poor": 2},
            "interruptions": {"agent_turns": 300, "agent_interrupted": 20, "caller_turns": 290,
                "caller_interrupted": 4, "mean_per_call": 0.33}
        }))
        .unwrap()
    }

    #[test]
    fn statistics_are_shown_with_percentiles_of_each_layer() {
        let shown = describe(&statistics());
        for part in ["60 of 62", "96.8 %", "4.31", "55 clean, 3 fair, 2 poor", "20 of 300 turns"] {
            assert!(shown.contains(part), "{part} is missing:\n{shown}");
        }
        assert!(shown.contains("AI latency, ms     60     602.40  580  1180  1520  1733"), "{shown}");
        assert!(describe(&CallStatistics::default()).contains("0 of 0"));
    }

    #[test]
    fn a_comparison_shows_the_interval_and_the_result() {
        let figure: ComparedFigure = serde_json::from_value(json!({
            "figure": "ai_latency_ms", "a": 644.1, "b": 560.0, "a_count": 212, "b_count": 198,
            "difference": -84.1, "low": -116.2, "high": -52.0, "outcome": "b_better"
        }))
        .unwrap();
        let shown = compared_row(&figure);
        assert_eq!(shown[3..], ["-84.10", "-116.20 to -52.00", "212 / 198", "b better"].map(str::to_owned));
        let nothing: ComparedFigure = serde_json::from_value(json!({
            "figure": "mos", "a": null, "b": null, "a_count": 0, "b_count": 0,
            "difference": null, "low": null, "high": null, "outcome": "too_few_calls"
        }))
        .unwrap();
        assert_eq!(compared_row(&nothing)[3..5], ["-", "-"].map(str::to_owned));
    }
}

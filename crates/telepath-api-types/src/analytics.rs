//! `/v1/analytics`: statistics of calls, which outlive the calls.

use serde::{Deserialize, Serialize};
use telepath_core::analytics::{self, CallFigures, Distribution, Measure};
use telepath_core::clock::Timestamp;
use telepath_core::id::TrunkId;

#[cfg(feature = "openapi")]
use crate::enums;

/// A value from 3.6 on is fair, and from 4.0 on clean.
const FAIR_MOS: u64 = 360;
const CLEAN_MOS: u64 = 400;

/// The statistics of some calls that ended.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CallStatistics {
    /// Calls that ended.
    #[cfg_attr(feature = "openapi", schema(example = 212))]
    pub calls: u64,
    /// Those that reached the agent.
    #[cfg_attr(feature = "openapi", schema(example = 208))]
    pub reached: u64,
    /// Those that never reached the agent, rejected ones included.
    #[cfg_attr(feature = "openapi", schema(example = 4))]
    pub failed: u64,
    /// The percentage of calls that reached the agent; null without calls.
    #[cfg_attr(feature = "openapi", schema(example = 98.1))]
    pub success_rate: Option<f64>,
    /// Delay of the carrier's leg, one value per call.
    pub carrier_lag_ms: ValueStatistics,
    /// Median time inside Telepath, one value per call.
    pub gateway_processing_us: ValueStatistics,
    /// Mean AI latency, one value per call.
    pub ai_latency_ms: ValueStatistics,
    /// From the end of the caller's speech to the first packet of the first answer, one value per call.
    pub time_to_first_speech_ms: ValueStatistics,
    /// The caller's wait before a turn of the agent, one value per turn.
    pub turn_wait_ms: ValueStatistics,
    /// The length of calls that reached the agent.
    pub duration_seconds: ValueStatistics,
    pub mos: MosStatistics,
    pub interruptions: InterruptionStatistics,
}

/// How a measured value is distributed. Percentiles are at most 3.2 % off.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ValueStatistics {
    /// The number of values.
    #[cfg_attr(feature = "openapi", schema(example = 208))]
    pub count: u64,
    /// The mean; null without values, like the following members.
    #[cfg_attr(feature = "openapi", schema(example = 602.4))]
    pub mean: Option<f64>,
    #[cfg_attr(feature = "openapi", schema(example = 580))]
    pub p50: Option<u64>,
    #[cfg_attr(feature = "openapi", schema(example = 1180))]
    pub p95: Option<u64>,
    #[cfg_attr(feature = "openapi", schema(example = 1520))]
    pub p99: Option<u64>,
    /// The largest value.
    #[cfg_attr(feature = "openapi", schema(example = 1733))]
    pub max: Option<u64>,
}

/// The estimated quality of the lines, one value per call.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MosStatistics {
    /// The number of values.
    #[cfg_attr(feature = "openapi", schema(example = 208))]
    pub count: u64,
    /// The mean opinion score, 1.0–4.5; null without values.
    #[cfg_attr(feature = "openapi", schema(example = 4.31))]
    pub mean: Option<f64>,
    /// Calls with a score of 4.0 or more.
    #[cfg_attr(feature = "openapi", schema(example = 199))]
    pub clean: u64,
    /// Calls with a score from 3.6 to below 4.0.
    #[cfg_attr(feature = "openapi", schema(example = 7))]
    pub fair: u64,
    /// Calls with a score below 3.6.
    #[cfg_attr(feature = "openapi", schema(example = 2))]
    pub poor: u64,
}

/// How often one side interrupted the other.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct InterruptionStatistics {
    /// Turns of the agent.
    #[cfg_attr(feature = "openapi", schema(example = 1804))]
    pub agent_turns: u64,
    /// Turns of the agent that the caller interrupted.
    #[cfg_attr(feature = "openapi", schema(example = 96))]
    pub agent_interrupted: u64,
    /// Turns of the caller.
    #[cfg_attr(feature = "openapi", schema(example = 1790))]
    pub caller_turns: u64,
    /// Turns of the caller that the agent interrupted.
    #[cfg_attr(feature = "openapi", schema(example = 12))]
    pub caller_interrupted: u64,
    /// How often the caller interrupted the agent in a call, on average; null without calls that reached the agent.
    #[cfg_attr(feature = "openapi", schema(example = 0.46))]
    pub mean_per_call: Option<f64>,
}

impl From<&CallFigures> for CallStatistics {
    fn from(figures: &CallFigures) -> Self {
        let of = |measure| ValueStatistics::from(figures.measure(measure));
        Self {
            calls: figures.calls(),
            reached: figures.reached,
            failed: figures.failed,
            success_rate: figures.success_rate(),
            carrier_lag_ms: of(Measure::CarrierLag),
            gateway_processing_us: of(Measure::GatewayProcessing),
            ai_latency_ms: of(Measure::AiLatency),
            time_to_first_speech_ms: of(Measure::TimeToFirstSpeech),
            turn_wait_ms: of(Measure::TurnWait),
            duration_seconds: of(Measure::Duration),
            mos: figures.measure(Measure::Mos).into(),
            interruptions: InterruptionStatistics {
                agent_turns: figures.agent_turns,
                agent_interrupted: figures.agent_interrupted,
                caller_turns: figures.caller_turns,
                caller_interrupted: figures.caller_interrupted,
                mean_per_call: figures.measure(Measure::Interruptions).mean(),
            },
        }
    }
}

impl From<&Distribution> for ValueStatistics {
    fn from(values: &Distribution) -> Self {
        Self {
            count: values.count(),
            mean: values.mean(),
            p50: values.percentile(50),
            p95: values.percentile(95),
            p99: values.percentile(99),
            max: values.extremes().map(|(_, largest)| largest),
        }
    }
}

impl From<&Distribution> for MosStatistics {
    fn from(values: &Distribution) -> Self {
        let (count, poor) = (values.count(), values.count_below(FAIR_MOS));
        let below_clean = values.count_below(CLEAN_MOS);
        Self {
            count,
            mean: values.mean().map(|mean| mean / 100.0),
            clean: count.saturating_sub(below_clean),
            fair: below_clean.saturating_sub(poor),
            poor,
        }
    }
}

/// The statistics of a range of time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AnalyticsSummary {
    /// The precision of the range: it consists of whole minutes, hours or days.
    #[cfg_attr(feature = "openapi", schema(value_type = enums::UsageInterval, example = "hour"))]
    pub interval: String,
    /// The beginning of the range.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub start_date: Timestamp,
    /// The end of the range. The interval that contains it is counted whole.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub end_date: Timestamp,
    /// What `groups` are; null without groups.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<enums::CallGrouping>))]
    pub group_by: Option<String>,
    /// All calls.
    pub total: CallStatistics,
    /// The groups with the most calls first; at most 100, of which the last one is `other` if there are more.
    pub groups: Vec<CallGroup>,
}

/// The statistics of the calls of one trunk, provider, model, carrier or reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CallGroup {
    /// The trunk's id, or the name; empty if the calls have none.
    #[cfg_attr(feature = "openapi", schema(example = "conn_01k9v1n2xrf6t8g3m5q7w9y0za"))]
    pub group: String,
    pub statistics: CallStatistics,
}

/// The statistics of a range of time by minute, hour or day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AnalyticsTimeseries {
    /// `minute`, `hour` or `day`.
    #[cfg_attr(feature = "openapi", schema(value_type = enums::UsageInterval, example = "hour"))]
    pub interval: String,
    /// The beginning of the first bucket.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub start_date: Timestamp,
    /// The end of the range.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub end_date: Timestamp,
    /// What the series are; null if there is one series of all calls.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<enums::CallGrouping>))]
    pub group_by: Option<String>,
    /// The series with the most calls first; at most 10, and a last one `other` if there are more.
    pub series: Vec<CallSeries>,
}

/// One series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CallSeries {
    /// The group; empty without `group_by`.
    #[cfg_attr(feature = "openapi", schema(example = "openai"))]
    pub group: String,
    /// All buckets in order, empty ones included.
    pub buckets: Vec<CallBucket>,
}

/// The calls that started in one minute, hour or day (UTC).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CallBucket {
    /// When it starts.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub start: Timestamp,
    pub statistics: CallStatistics,
}

/// The calls of two trunks side by side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AnalyticsComparison {
    /// The precision of the range: it consists of whole minutes, hours or days.
    #[cfg_attr(feature = "openapi", schema(value_type = enums::UsageInterval, example = "day"))]
    pub interval: String,
    /// The beginning of the range.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub start_date: Timestamp,
    /// The end of the range. The interval that contains it is counted whole.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub end_date: Timestamp,
    /// The first trunk.
    pub a: ComparedTrunk,
    /// The second trunk.
    pub b: ComparedTrunk,
    /// The compared figures.
    pub figures: Vec<ComparedFigure>,
}

/// One of two compared trunks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ComparedTrunk {
    /// The trunk's id.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "conn_01k9v1n2xrf6t8g3m5q7w9y0za"))]
    pub trunk_id: TrunkId,
    pub statistics: CallStatistics,
}

/// A figure of two trunks, and whether it differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ComparedFigure {
    /// `success_rate` in percent, `interruptions` per call, or the mean of another member of the statistics.
    #[cfg_attr(feature = "openapi", schema(example = "ai_latency_ms"))]
    pub figure: String,
    /// The first trunk's; null without values.
    #[cfg_attr(feature = "openapi", schema(example = 644.1))]
    pub a: Option<f64>,
    /// The second trunk's.
    #[cfg_attr(feature = "openapi", schema(example = 560.0))]
    pub b: Option<f64>,
    /// The number of calls with a value on the first trunk.
    #[cfg_attr(feature = "openapi", schema(example = 212))]
    pub a_count: u64,
    /// The same of the second trunk.
    #[cfg_attr(feature = "openapi", schema(example = 198))]
    pub b_count: u64,
    /// The second minus the first; null without enough values for an interval.
    #[cfg_attr(feature = "openapi", schema(example = -84.1))]
    pub difference: Option<f64>,
    /// The lower end of the 95 % confidence interval of the difference.
    #[cfg_attr(feature = "openapi", schema(example = -116.2))]
    pub low: Option<f64>,
    /// The upper end.
    #[cfg_attr(feature = "openapi", schema(example = -52.0))]
    pub high: Option<f64>,
    /// `a_better` or `b_better` if the interval excludes zero, otherwise `no_difference`; always `too_few_calls` with less than
    /// 50 values on a side.
    #[cfg_attr(feature = "openapi", schema(value_type = enums::ComparisonOutcome))]
    pub outcome: String,
}

impl From<analytics::Comparison> for ComparedFigure {
    fn from(compared: analytics::Comparison) -> Self {
        let analytics::Comparison { figure, values: [a, b], counts, difference, outcome } = compared;
        Self {
            figure: figure.to_owned(),
            a,
            b,
            a_count: counts[0],
            b_count: counts[1],
            difference: difference.map(|difference| difference.value),
            low: difference.map(|difference| difference.low),
            high: difference.map(|difference| difference.high),
            outcome: outcome.name().to_owned(),
        }
    }
}

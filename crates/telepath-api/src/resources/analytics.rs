//! `/v1/analytics`: statistics of calls, which outlive the calls.

mod table;

use std::cmp::Reverse;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use telepath_api_types::analytics::{
    AnalyticsComparison, AnalyticsSummary, AnalyticsTimeseries, CallBucket, CallGroup, CallSeries,
    CallStatistics, ComparedTrunk,
};
use telepath_api_types::enums;
use telepath_core::analytics::{self, CallFigures, CallGrouping, CallRange, OTHER, span_of_range};
use telepath_core::clock::Timestamp;
use telepath_core::id::TrunkId;
use telepath_core::reach::MAX_TRUNKS;
use telepath_core::usage::UsageSpan;
use telepath_store::{CallGroups, TooManyRows};

use crate::auth::caller::{AnalyticsRead, AuthorizedWithin, Caller};
use crate::endpoint::{Endpoints, endpoints};
use crate::error::ApiError;
use crate::extract::query::{QueryForm, QueryReader, StrictQuery};
use crate::extract::range::BucketRange;
use crate::state::{AppState, Shared};
use telepath_core::date::DayEdge;

/// The most buckets of a series; with the number of series, it bounds the response.
const MAX_BUCKETS: u32 = 200;
/// The longest range of a summary, in days.
const MAX_DAYS: u32 = 800;
/// The groups of a summary.
const MAX_GROUPS: usize = 100;
/// The series of a timeseries, besides the one of all other groups.
const MAX_SERIES: usize = 10;

pub(crate) fn endpoints() -> Endpoints {
    endpoints![analytics_summary, analytics_timeseries, analytics_comparison => [MissingRequired]]
}

/// Which calls are counted.
struct RangeQuery {
    start: Option<Timestamp>,
    end: Option<Timestamp>,
}

impl RangeQuery {
    fn read(query: &mut QueryReader) -> Self {
        Self { start: query.date("start_date", DayEdge::First), end: query.date("end_date", DayEdge::Last) }
    }

    /// The last 24 hours by default, in the buckets that suit its length.
    fn of_any_length(&self, now: Timestamp) -> Result<BucketRange, ApiError> {
        let end = self.end.unwrap_or(now);
        let start = self.start.unwrap_or_else(|| end.minus(UsageSpan::Day.length()));
        let span = span_of_range(start, end, now);
        BucketRange::of(span, Some(start), Some(end), now, MAX_DAYS)
    }
}

struct SummaryQuery {
    range: RangeQuery,
    trunks: Vec<TrunkId>,
    grouping: Option<CallGrouping>,
    as_csv: bool,
}

fn read_grouping(query: &mut QueryReader) -> Option<CallGrouping> {
    let names = CallGrouping::ALL.iter().map(|grouping| grouping.name());
    query.choice("group_by", CallGrouping::from_name, names)
}

fn read_format(query: &mut QueryReader) -> bool {
    let is_csv = |text: &str| match text {
        "json" => Some(false),
        "csv" => Some(true),
        _ => None,
    };
    query.choice("format", is_csv, ["json", "csv"]).unwrap_or_default()
}

impl QueryForm for SummaryQuery {
    fn read(query: &mut QueryReader) -> Self {
        Self {
            range: RangeQuery::read(query),
            trunks: query.ids("trunk_id", MAX_TRUNKS),
            grouping: read_grouping(query),
            as_csv: read_format(query),
        }
    }
}

struct TimeseriesQuery {
    summary: SummaryQuery,
    interval: Option<UsageSpan>,
}

impl QueryForm for TimeseriesQuery {
    fn read(query: &mut QueryReader) -> Self {
        let names = UsageSpan::ALL.iter().map(|span| span.name());
        Self {
            interval: query.choice("interval", UsageSpan::from_name, names),
            summary: SummaryQuery::read(query),
        }
    }
}

struct ComparisonQuery {
    range: RangeQuery,
    trunks: Option<(TrunkId, TrunkId)>,
}

impl QueryForm for ComparisonQuery {
    fn read(query: &mut QueryReader) -> Self {
        let (a, b) = (query.required("a", str::parse), query.required("b", str::parse));
        let trunks = a.zip(b);
        if trunks.is_some_and(|(a, b)| a == b) {
            query.refuse("b", "must be another trunk than a");
        }
        Self { range: RangeQuery::read(query), trunks }
    }
}

fn call_range(range: BucketRange, trunks: Vec<TrunkId>) -> CallRange {
    CallRange { trunks, span: range.span, start: range.start, end: range.after() }
}

fn too_many(_rows: TooManyRows) -> ApiError {
    ApiError::invalid("start_date", "selects too many figures; choose a shorter range or fewer trunks")
}

/// The groups, those with the most calls first.
fn ranked(groups: CallGroups) -> Vec<(String, CallFigures)> {
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by(|(one, figures), (other, others)| {
        Reverse(figures.calls()).cmp(&Reverse(others.calls())).then_with(|| one.cmp(other))
    });
    groups
}

fn summed<'f>(all: impl IntoIterator<Item = &'f CallFigures>) -> CallFigures {
    let mut sum = CallFigures::default();
    for figures in all {
        sum.merge(figures);
    }
    sum
}

/// Get statistics of calls
///
/// Counts, success rate, latencies, quality and interruptions of the calls that started in a range of time and have ended, in
/// all and by trunk, provider, model, carrier or reason. Percentiles cannot be averaged; to combine groups, leave `group_by` out.
#[utoipa::path(get, path = "/v1/analytics/summary", tag = "Analytics", operation_id = "getAnalyticsSummary",
    params(
        ("start_date" = Option<String>, Query, description = "From this time: a date or an RFC 3339 date-time. Default: 24 hours before the end."),
        ("end_date" = Option<String>, Query, description = "Up to this time; a date includes its whole day (UTC). Default: now."),
        ("trunk_id" = Option<Vec<String>>, Query, description = "Only calls of this trunk; can be repeated up to 100 times."),
        ("group_by" = inline(Option<enums::CallGrouping>), Query, description = "`trunk`, `provider`, `model`, `carrier` or `reason`."),
        ("format" = inline(Option<enums::TableFormat>), Query, description = "`json`, or `csv` with one line for each group.")),
    responses((status = 200, description = "The statistics.", body = AnalyticsSummary)))]
async fn analytics_summary(
    State(state): State<AppState>,
    AuthorizedWithin { caller, .. }: AuthorizedWithin<AnalyticsRead>,
    StrictQuery(query): StrictQuery<SummaryQuery>,
) -> Result<Response, ApiError> {
    let range = query.range.of_any_length(caller.at)?;
    let groups =
        state.store.call_groups(caller.reach(), &call_range(range, query.trunks), query.grouping).await?;
    let mut groups = ranked(groups.map_err(too_many)?);
    let total = summed(groups.iter().map(|(_, figures)| figures));
    if groups.len() > MAX_GROUPS {
        let rest = groups.split_off(MAX_GROUPS - 1);
        groups.push((OTHER.to_owned(), summed(rest.iter().map(|(_, figures)| figures))));
    }
    if query.grouping.is_none() {
        groups.clear();
    }
    let groups =
        groups.into_iter().map(|(group, figures)| CallGroup { group, statistics: (&figures).into() });
    let summary = AnalyticsSummary {
        interval: range.span.name().to_owned(),
        start_date: range.start,
        end_date: range.end,
        group_by: query.grouping.map(|grouping| grouping.name().to_owned()),
        total: (&total).into(),
        groups: groups.collect(),
    };
    Ok(if query.as_csv { table::of_summary(&summary) } else { Json(summary).into_response() })
}

/// Get statistics of calls over time
///
/// The same as the summary for each minute, hour or day. A call belongs to the bucket in which it started.
#[utoipa::path(get, path = "/v1/analytics/timeseries", tag = "Analytics", operation_id = "getAnalyticsTimeseries",
    params(
        ("interval" = inline(Option<enums::UsageInterval>), Query, description = "`minute` (kept for 48 hours), `hour` (90 days, the default) or `day` (two years, unless the server is set otherwise)."),
        ("start_date" = Option<String>, Query, description = "From the bucket that contains this time, at most 200 buckets before the end: a date or an RFC 3339 date-time. When left out, an hour of minutes, a day of hours or 30 days before the end."),
        ("end_date" = Option<String>, Query, description = "Up to this time; a date includes its whole day (UTC). Default: now."),
        ("trunk_id" = Option<Vec<String>>, Query, description = "Only calls of this trunk; can be repeated up to 100 times."),
        ("group_by" = inline(Option<enums::CallGrouping>), Query, description = "A series for each `trunk`, `provider`, `model`, `carrier` or `reason`."),
        ("format" = inline(Option<enums::TableFormat>), Query, description = "`json`, or `csv` with one line for each bucket of each series.")),
    responses((status = 200, description = "The statistics.", body = AnalyticsTimeseries)))]
async fn analytics_timeseries(
    State(state): State<AppState>,
    AuthorizedWithin { caller, .. }: AuthorizedWithin<AnalyticsRead>,
    StrictQuery(TimeseriesQuery { summary: query, interval }): StrictQuery<TimeseriesQuery>,
) -> Result<Response, ApiError> {
    let span = interval.unwrap_or(UsageSpan::Hour);
    let range = BucketRange::of(span, query.range.start, query.range.end, caller.at, MAX_BUCKETS)?;
    let calls = call_range(range, query.trunks);
    let timeseries = AnalyticsTimeseries {
        interval: span.name().to_owned(),
        start_date: range.start,
        end_date: range.end,
        group_by: query.grouping.map(|grouping| grouping.name().to_owned()),
        series: series(&state, &caller, range, &calls, query.grouping).await?,
    };
    Ok(if query.as_csv { table::of_timeseries(&timeseries) } else { Json(timeseries).into_response() })
}

/// The series of the groups with the most calls, and one of the others.
async fn series(
    shared: &Shared,
    caller: &Caller,
    range: BucketRange,
    calls: &CallRange,
    grouping: Option<CallGrouping>,
) -> Result<Vec<CallSeries>, ApiError> {
    let mut groups = vec![String::new()];
    if grouping.is_some() {
        let found = shared.store.call_groups(caller.reach(), calls, grouping).await?;
        groups = ranked(found.map_err(too_many)?).into_iter().map(|(group, _)| group).collect();
    }
    if groups.len() > MAX_SERIES {
        groups.retain(|group| group != OTHER);
        groups.truncate(MAX_SERIES);
    }
    let buckets = shared.store.call_buckets(caller.reach(), calls, grouping, &groups).await?;
    let buckets = buckets.map_err(too_many)?;
    // Calls of further groups, and of those that appeared since the groups were read.
    if !groups.iter().any(|group| group == OTHER) && buckets.keys().any(|(_, group)| group == OTHER) {
        groups.push(OTHER.to_owned());
    }
    let nothing = CallFigures::default();
    let one = |group: String| {
        let bucket = |start: Timestamp| {
            let figures = buckets.get(&(start, group.clone())).unwrap_or(&nothing);
            CallBucket { start, statistics: figures.into() }
        };
        CallSeries { buckets: range.starts().map(bucket).collect(), group: group.clone() }
    };
    Ok(groups.into_iter().map(one).collect())
}

/// Compare the calls of two trunks
///
/// Each figure of both trunks, with the difference and its 95 % confidence interval. A side is called better only if the interval
/// excludes zero and both sides have at least 50 calls with the figure. Differences between trunks may have other causes than their
/// agents, such as other callers or carriers.
#[utoipa::path(get, path = "/v1/analytics/comparison", tag = "Analytics", operation_id = "getAnalyticsComparison",
    params(
        ("a" = String, Query, description = "The first trunk's id."),
        ("b" = String, Query, description = "The second trunk's id."),
        ("start_date" = Option<String>, Query, description = "From this time: a date or an RFC 3339 date-time. Default: 24 hours before the end."),
        ("end_date" = Option<String>, Query, description = "Up to this time; a date includes its whole day (UTC). Default: now.")),
    responses((status = 200, description = "The comparison.", body = AnalyticsComparison)))]
async fn analytics_comparison(
    State(state): State<AppState>,
    AuthorizedWithin { caller, .. }: AuthorizedWithin<AnalyticsRead>,
    StrictQuery(query): StrictQuery<ComparisonQuery>,
) -> Result<Json<AnalyticsComparison>, ApiError> {
    let (a, b) = query.trunks.ok_or_else(|| ApiError::internal("a checked query has no trunks"))?;
    let range = query.range.of_any_length(caller.at)?;
    let calls = call_range(range, vec![a, b]);
    let groups = state.store.call_groups(caller.reach(), &calls, Some(CallGrouping::Trunk)).await?;
    let groups = groups.map_err(too_many)?;
    let of = |trunk: TrunkId| groups.get(&trunk.to_string()).cloned().unwrap_or_default();
    let (of_a, of_b) = (of(a), of(b));
    let side = |trunk_id: TrunkId, figures: &CallFigures| ComparedTrunk {
        trunk_id,
        statistics: CallStatistics::from(figures),
    };
    Ok(Json(AnalyticsComparison {
        interval: range.span.name().to_owned(),
        start_date: range.start,
        end_date: range.end,
        a: side(a, &of_a),
        b: side(b, &of_b),
        figures: analytics::compare(&of_a, &of_b).into_iter().map(Into::into).collect(),
    }))
}

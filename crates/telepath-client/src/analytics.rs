//! `/v1/analytics`: statistics of calls, which outlive the calls.

use bytes::Bytes;
use hyper::Method;
use telepath_api_types::analytics::{AnalyticsComparison, AnalyticsSummary, AnalyticsTimeseries};
use telepath_core::clock::Timestamp;
use telepath_core::id::TrunkId;

use crate::client::Client;
use crate::error::Error;
use crate::request::{ApiRequest, Query};

/// Which calls statistics are about; the server chooses members that are left out.
#[derive(Debug, Clone, Default)]
pub struct AnalyticsQuery {
    /// `minute`, `hour` or `day`; only for a timeseries.
    pub interval: Option<String>,
    /// The start of the range.
    pub start_date: Option<Timestamp>,
    /// The end of the range.
    pub end_date: Option<Timestamp>,
    /// Only calls of these trunks; empty for all.
    pub trunk_ids: Vec<TrunkId>,
    /// `trunk`, `provider`, `model`, `carrier` or `reason`.
    pub group_by: Option<String>,
}

impl AnalyticsQuery {
    fn path(&self, route: &str) -> Query {
        let path = Query::new(route)
            .add("interval", self.interval.as_deref())
            .add("start_date", self.start_date)
            .add("end_date", self.end_date)
            .add("group_by", self.group_by.as_deref());
        self.trunk_ids.iter().fold(path, |path, trunk| path.add("trunk_id", Some(trunk)))
    }
}

const SUMMARY: &str = "/v1/analytics/summary";
const TIMESERIES: &str = "/v1/analytics/timeseries";

impl Client {
    /// The statistics of a range of time.
    pub async fn analytics_summary(&self, query: &AnalyticsQuery) -> Result<AnalyticsSummary, Error> {
        self.get(&query.path(SUMMARY).finish()).await
    }

    /// The same as comma-separated values.
    pub async fn analytics_summary_csv(&self, query: &AnalyticsQuery) -> Result<Bytes, Error> {
        self.csv(query.path(SUMMARY)).await
    }

    /// The statistics of a range of time by minute, hour or day.
    pub async fn analytics_timeseries(&self, query: &AnalyticsQuery) -> Result<AnalyticsTimeseries, Error> {
        self.get(&query.path(TIMESERIES).finish()).await
    }

    /// The same as comma-separated values.
    pub async fn analytics_timeseries_csv(&self, query: &AnalyticsQuery) -> Result<Bytes, Error> {
        self.csv(query.path(TIMESERIES)).await
    }

    /// The calls of two trunks side by side; of the query, only the range counts.
    pub async fn analytics_comparison(
        &self,
        a: TrunkId,
        b: TrunkId,
        query: &AnalyticsQuery,
    ) -> Result<AnalyticsComparison, Error> {
        let path = Query::new("/v1/analytics/comparison")
            .add("a", Some(a))
            .add("b", Some(b))
            .add("start_date", query.start_date)
            .add("end_date", query.end_date);
        self.get(&path.finish()).await
    }

    async fn csv(&self, path: Query) -> Result<Bytes, Error> {
        let path = path.add("format", Some("csv")).finish();
        let response = self.send(&ApiRequest::new(Method::GET, &path).accept("text/csv")).await?;
        Ok(response.into_body())
    }
}

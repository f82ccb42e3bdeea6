//! How long agents took to respond on each of the last days.

use std::collections::BTreeMap;
use std::time::Duration;

use telepath_core::analytics::{CallFigures, CallGrouping, CallRange, Measure};
use telepath_core::id::{AccountId, TrunkId};
use telepath_core::usage::UsageSpan;

use crate::call_series::percentile_ms;
use crate::chart::sparkline::trend;
use crate::problem::Problem;
use crate::visit::Visit;

/// Days, today included.
const DAYS: usize = 7;

/// The latency of one connection.
#[derive(Debug, Default)]
struct Week {
    days: [CallFigures; DAYS],
    all: CallFigures,
}

/// The latencies of connections.
#[derive(Debug)]
pub(super) struct Latencies(BTreeMap<String, Week>);

impl Latencies {
    /// Reads the figures of connections with one statement. An account with too many of them has none here.
    pub(super) async fn read(visit: &Visit, account: AccountId, trunks: &[TrunkId]) -> Result<Self, Problem> {
        const DAY: Duration = Duration::from_hours(24);
        let mut weeks: BTreeMap<String, Week> = BTreeMap::new();
        if trunks.is_empty() {
            return Ok(Self(weeks));
        }
        let start = visit.now.start_of_utc_day().minus(DAY * 6);
        let range = CallRange {
            trunks: trunks.to_vec(),
            span: UsageSpan::Day,
            start,
            end: visit.now.plus(Duration::from_millis(1)),
        };
        let named: Vec<String> = trunks.iter().map(ToString::to_string).collect();
        let buckets = visit.store().call_buckets(account, &range, Some(CallGrouping::Trunk), &named).await?;
        for ((at, trunk), figures) in buckets.unwrap_or_default() {
            let week = weeks.entry(trunk).or_default();
            week.all.merge(&figures);
            let day = usize::try_from(at.since(start).as_secs() / DAY.as_secs()).unwrap_or(DAYS);
            if let Some(one) = week.days.get_mut(day) {
                one.merge(&figures);
            }
        }
        Ok(Self(weeks))
    }

    /// The median of the whole time in milliseconds.
    pub(super) fn median(&self, trunk: TrunkId) -> Option<u64> {
        self.0.get(&trunk.to_string()).and_then(|week| median(&week.all))
    }

    /// Markup.
    pub(super) fn spark(&self, trunk: TrunkId) -> String {
        let week = self.0.get(&trunk.to_string());
        let days: Vec<_> = (0..DAYS).map(|day| week.and_then(|week| median(week.days.get(day)?))).collect();
        trend(&days)
    }
}

fn median(figures: &CallFigures) -> Option<u64> {
    percentile_ms(figures, Measure::AiLatency, 50)
}

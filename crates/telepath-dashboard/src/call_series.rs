//! The calls of a range, slot by slot: what the charts of calls draw.

use std::collections::BTreeMap;
use std::time::Duration;

use telepath_core::analytics::{CallFigures, CallGrouping, CallRange, Measure};
use telepath_core::call::DisconnectReason;
use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, TrunkId};
use telepath_core::usage::UsageSpan;
use telepath_store::{Store, StoreError};

use crate::chart::histogram::{self, Histogram};
use crate::chart::stacked::{Class, Column, Look, Shape, Stacked};
use crate::chart::{Chart, Unit, lines};
use crate::reason;
use crate::time::Zone;

/// A range that ends now, in slots of one length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Range {
    Hour,
    Day,
    Week,
    Month,
    Quarter,
}

/// A range that a page offers.
#[derive(Debug)]
pub(crate) struct RangeLink {
    pub(crate) label: &'static str,
    pub(crate) path: String,
    pub(crate) current: bool,
}

impl Range {
    /// The ranges that a page offers, with their addresses.
    pub(crate) fn links(self, offered: &[Self], path: impl Fn(Self) -> String) -> Vec<RangeLink> {
        let link = |one: &Self| RangeLink { label: one.label(), path: path(*one), current: *one == self };
        offered.iter().map(link).collect()
    }

    /// The value of the parameter.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Month => "30d",
            Self::Quarter => "90d",
        }
    }

    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Hour => "1 h",
            Self::Day => "24 h",
            Self::Week => "7 d",
            Self::Month => "30 d",
            Self::Quarter => "90 d",
        }
    }

    /// The one with a name among some; the first one otherwise.
    pub(crate) fn named(name: Option<&str>, offered: &[Self], usual: Self) -> Self {
        offered.iter().copied().find(|range| Some(range.name()) == name).unwrap_or(usual)
    }

    /// The buckets that are read, the length of a slot, and the number of slots.
    const fn parts(self) -> (UsageSpan, Duration, u32) {
        match self {
            Self::Hour => (UsageSpan::Minute, Duration::from_mins(1), 60),
            Self::Day => (UsageSpan::Hour, Duration::from_hours(1), 24),
            Self::Week => (UsageSpan::Hour, Duration::from_hours(6), 28),
            Self::Month => (UsageSpan::Day, Duration::from_hours(24), 30),
            Self::Quarter => (UsageSpan::Day, Duration::from_hours(24), 90),
        }
    }

    pub(crate) const fn span(self) -> UsageSpan {
        self.parts().0
    }

    /// The beginning of the slot with a moment. Slots begin at multiples of their length in UTC.
    fn slot_of(self, moment: Timestamp) -> Timestamp {
        let length = i64::try_from(self.parts().1.as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_unix_ms(moment.unix_ms().div_euclid(length) * length)
    }

    /// The beginnings of the slots; the last one contains now.
    pub(crate) fn starts(self, now: Timestamp) -> Vec<Timestamp> {
        let (_, length, slots) = self.parts();
        let last = self.slot_of(now);
        (0..slots).rev().map(|back| last.minus(length * back)).collect()
    }

    pub(crate) fn start(self, now: Timestamp) -> Timestamp {
        let (_, length, slots) = self.parts();
        self.slot_of(now).minus(length * slots.saturating_sub(1))
    }

    pub(crate) fn calls(self, now: Timestamp, trunks: Vec<TrunkId>) -> CallRange {
        let end = now.plus(Duration::from_millis(1));
        CallRange { trunks, span: self.span(), start: self.start(now), end }
    }
}

/// How calls ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Outcomes {
    pub(crate) completed: u64,
    /// They reached the agent, and something broke.
    pub(crate) dropped: u64,
    /// They never reached the agent.
    pub(crate) failed: u64,
}

/// The calls of one slot.
#[derive(Debug, Clone, Default)]
struct Slot {
    outcomes: Outcomes,
    figures: CallFigures,
}

impl Slot {
    fn add(&mut self, reason: Option<DisconnectReason>, figures: &CallFigures) {
        self.figures.merge(figures);
        let reached = if reason.is_some_and(reason::is_drop) {
            &mut self.outcomes.dropped
        } else {
            &mut self.outcomes.completed
        };
        *reached = reached.saturating_add(figures.reached);
        self.outcomes.failed = self.outcomes.failed.saturating_add(figures.failed);
    }
}

/// The calls of a range.
#[derive(Debug)]
pub(crate) struct CallSeries {
    starts: Vec<Timestamp>,
    /// `None` if the range has more rows than can be added up.
    slots: Option<BTreeMap<Timestamp, Slot>>,
    total: Slot,
    reasons: BTreeMap<String, u64>,
}

const OUTCOMES: [Class; 3] = [
    Class { name: "Completed", look: Look::Plain },
    Class { name: "Dropped", look: Look::Hatched },
    Class { name: "Failed", look: Look::Solid },
];

impl CallSeries {
    /// Reads the calls with one statement.
    pub(crate) async fn read(
        store: &Store,
        account: AccountId,
        range: Range,
        now: Timestamp,
        trunks: Vec<TrunkId>,
    ) -> Result<Self, StoreError> {
        let named: Vec<String> =
            DisconnectReason::ALL.iter().map(|reason| reason.name().to_owned()).collect();
        let calls = range.calls(now, trunks);
        let buckets = store.call_buckets(account, &calls, Some(CallGrouping::Reason), &named).await?;
        let mut series =
            Self { starts: range.starts(now), slots: None, total: Slot::default(), reasons: BTreeMap::new() };
        let Ok(buckets) = buckets else { return Ok(series) };
        let slots = series.slots.insert(BTreeMap::new());
        for ((start, group), figures) in &buckets {
            let reason = DisconnectReason::from_name(group);
            slots.entry(range.slot_of(*start)).or_default().add(reason, figures);
            series.total.add(reason, figures);
            let calls = series.reasons.entry(group.clone()).or_default();
            *calls = calls.saturating_add(figures.calls());
        }
        Ok(series)
    }

    /// The figures of the whole range; `None` if it has too many.
    pub(crate) fn total(&self) -> Option<&CallFigures> {
        self.slots.is_some().then_some(&self.total.figures)
    }

    /// Why calls ended, the most common reason first.
    pub(crate) fn reasons(&self) -> Vec<(&str, u64)> {
        let mut reasons: Vec<_> =
            self.reasons.iter().map(|(reason, calls)| (reason.as_str(), *calls)).collect();
        reasons.sort_by_key(|(_, calls)| std::cmp::Reverse(*calls));
        reasons
    }

    /// The slots of the range and their figures, if there are any; `None` if the range has too many.
    pub(crate) fn slots(&self) -> Option<impl Iterator<Item = (Timestamp, Option<&CallFigures>)>> {
        let slots = self.slots.as_ref()?;
        Some(self.starts.iter().map(|start| (*start, slots.get(start).map(|slot| &slot.figures))))
    }

    fn slot(&self, start: Timestamp) -> Option<&Slot> {
        self.slots.as_ref()?.get(&start)
    }

    /// The calls by how they ended.
    pub(crate) fn outcomes(&self, zone: &Zone) -> Chart {
        let columns: Vec<Column> = self
            .starts
            .iter()
            .map(|start| {
                let outcomes = self.slot(*start).map(|slot| slot.outcomes).unwrap_or_default();
                let counts = vec![outcomes.completed, outcomes.dropped, outcomes.failed];
                Column { start: *start, counts: self.slots.as_ref().map(|_| counts), link: None }
            })
            .collect();
        let (unit, classes) = (Unit::Count("call", "calls"), &OUTCOMES[..]);
        let columns = &columns[..];
        Stacked { id: "calls", title: "Calls", unit, classes, columns, zone, shape: Shape::Full }.draw()
    }

    /// The waits that each layer causes.
    pub(crate) fn layers(&self, zone: &Zone) -> Chart {
        use lines::Look;
        let series = [
            self.percentile("Agent p50", Look::Agent, Measure::AiLatency, 50),
            self.percentile("Agent p95", Look::AgentDashed, Measure::AiLatency, 95),
            self.percentile("Carrier p50", Look::Carrier, Measure::CarrierLag, 50),
            self.percentile("Carrier p95", Look::CarrierDashed, Measure::CarrierLag, 95),
            self.percentile("Gateway p50", Look::Gateway, Measure::GatewayProcessing, 50),
            self.percentile("Gateway p95", Look::GatewayDashed, Measure::GatewayProcessing, 95),
        ];
        self.draw("layers", "Wait by layer", &series, zone)
    }

    /// The waits of callers before each turn of the agent.
    pub(crate) fn waits(&self, zone: &Zone) -> Chart {
        use lines::Look;
        let series = [
            self.percentile("p50", Look::Median, Measure::TurnWait, 50),
            self.percentile("p95", Look::High, Measure::TurnWait, 95),
            self.percentile("p99", Look::Highest, Measure::TurnWait, 99),
        ];
        self.draw("waits", "Callers’ wait", &series, zone)
    }

    /// How often each wait of a caller occurred in the whole range.
    pub(crate) fn distribution(&self) -> Chart {
        let waits = self.total.figures.measure(Measure::TurnWait);
        let percentiles = [50, 95, 99].map(|percent| waits.percentile(percent));
        let width = histogram::width_for(percentiles[2].unwrap_or_default());
        let below: Vec<u64> = histogram::starts(width).map(|start| waits.count_below(start)).collect();
        let ends = below.iter().skip(1).copied().chain([waits.count()]);
        let counts: Vec<u64> = below.iter().zip(ends).map(|(from, to)| to.saturating_sub(*from)).collect();
        let (title, unit) = ("Distribution of callers’ wait", ("turn", "turns"));
        Histogram { id: "distribution", title, unit, width, counts: &counts, percentiles }.draw()
    }

    fn draw(&self, id: &'static str, title: &str, series: &[lines::Series], zone: &Zone) -> Chart {
        lines::Lines { id, title, starts: &self.starts, series, zone }.draw()
    }

    fn percentile(
        &self,
        name: &'static str,
        look: lines::Look,
        measure: Measure,
        percent: u32,
    ) -> lines::Series {
        let of = |figures: &CallFigures| percentile_ms(figures, measure, percent);
        let values = self.starts.iter().map(|start| self.slot(*start).and_then(|slot| of(&slot.figures)));
        lines::Series { name, look, values: values.collect(), overall: of(&self.total.figures) }
    }
}

/// A percentile in milliseconds.
pub(crate) fn percentile_ms(figures: &CallFigures, measure: Measure, percent: u32) -> Option<u64> {
    let value = figures.measure(measure).percentile(percent)?;
    Some(if measure == Measure::GatewayProcessing { value.div_ceil(1000) } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-30T12:05:07Z
    const NOW: Timestamp = Timestamp::from_unix_seconds(1_796_040_307);

    #[test]
    fn the_last_slot_contains_now_and_slots_have_one_length() {
        for (range, slots, seconds) in [
            (Range::Hour, 60, 60),
            (Range::Day, 24, 3600),
            (Range::Week, 28, 21_600),
            (Range::Month, 30, 86_400),
            (Range::Quarter, 90, 86_400),
        ] {
            let starts = range.starts(NOW);
            assert_eq!((starts.len(), starts[0]), (slots, range.start(NOW)));
            let length = Duration::from_secs(seconds);
            assert!(starts.windows(2).all(|pair| pair[1].since(pair[0]) == length));
            let last = *starts.last().unwrap();
            assert!(last <= NOW && NOW < last.plus(length));
            assert!(NOW.since(starts[0]) < range.span().kept_for(), "its buckets are still kept");
        }
    }

    #[test]
    fn an_unknown_range_is_the_usual_one() {
        let offered = [Range::Hour, Range::Day];
        assert_eq!(Range::named(Some("1h"), &offered, Range::Day), Range::Hour);
        for other in [None, Some("90d"), Some("x")] {
            assert_eq!(Range::named(other, &offered, Range::Day), Range::Day);
        }
    }
}

//! What the calls of a range are split by.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use telepath_core::analytics::{CallFigures, CallGrouping, Measure};
use telepath_core::call::DisconnectReason;
use telepath_core::id::{AccountId, TrunkId};
use telepath_core::usage::UsageSpan;
use telepath_store::{Store, StoreError};

use super::{Choice, too_many};
use crate::call_series::{Range, percentile_ms};
use crate::number::{grouped, milliseconds, percent};
use crate::problem::Problem;
use crate::reason;
use crate::time::Zone;

/// The most groups in the table, and as many as a day has hours.
const GROUPS: usize = 24;

/// What calls are split by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Split {
    By(CallGrouping),
    /// The hour of the day in which they started, in the zone of the viewer.
    Hour,
}

/// The figures of a group.
pub(super) struct Group {
    pub(super) name: String,
    pub(super) figures: CallFigures,
}

/// A group as the page shows it.
pub(super) struct GroupRow {
    pub(super) name: String,
    pub(super) calls: String,
    pub(super) reached: String,
    pub(super) wait: [String; 3],
    pub(super) mos: String,
}

impl Split {
    pub(super) fn named(name: &str) -> Option<Self> {
        if name == Self::Hour.name() { Some(Self::Hour) } else { CallGrouping::from_name(name).map(Self::By) }
    }

    /// The value of the parameter.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::By(grouping) => grouping.name(),
            Self::Hour => "hour",
        }
    }

    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::By(CallGrouping::Trunk) => "Connection",
            Self::By(CallGrouping::Provider) => "Provider",
            Self::By(CallGrouping::Model) => "Model",
            Self::By(CallGrouping::Carrier) => "Carrier",
            Self::By(CallGrouping::Reason) => "Reason",
            Self::Hour => "Hour of the day",
        }
    }

    /// Every split, as a form offers it.
    pub(super) fn choices(chosen: Option<Self>) -> Vec<Choice> {
        let all = CallGrouping::ALL.iter().map(|one| Self::By(*one)).chain([Self::Hour]);
        let choice = |one: Self| Choice {
            value: one.name().to_owned(),
            label: one.label().to_owned(),
            chosen: chosen == Some(one),
        };
        all.map(choice).collect()
    }

    /// The groups, read with one statement: hours in their order, others by their number of calls.
    pub(super) async fn groups(
        self,
        store: &Store,
        account: AccountId,
        calls: Calls<'_>,
    ) -> Result<Vec<Group>, Problem> {
        match self {
            Self::By(grouping) => {
                let range = calls.range.calls(calls.now, calls.trunks);
                let found = store.call_groups(account, &range, Some(grouping)).await?;
                let mut groups: Vec<_> = found.map_err(|_| too_many())?.into_iter().collect();
                groups.sort_by_key(|(_, figures)| Reverse(figures.calls()));
                groups.truncate(GROUPS);
                let named =
                    |(group, figures)| Group { name: name_of_group(grouping, group, calls.names), figures };
                Ok(groups.into_iter().map(named).collect())
            }
            Self::Hour => hours(store, account, calls).await,
        }
    }
}

/// The calls that are split.
pub(super) struct Calls<'a> {
    pub(super) range: Range,
    pub(super) now: telepath_core::clock::Timestamp,
    pub(super) trunks: Vec<TrunkId>,
    pub(super) zone: &'a Zone,
    /// The names of connections.
    pub(super) names: &'a [(TrunkId, String)],
}

/// Days are made of hours that are not known any more, so hours are read for all ranges but the last hour.
async fn hours(store: &Store, account: AccountId, calls: Calls<'_>) -> Result<Vec<Group>, Problem> {
    let mut range = calls.range.calls(calls.now, calls.trunks);
    if range.span == UsageSpan::Day {
        range.span = UsageSpan::Hour;
    }
    let read: Result<_, StoreError> = store.call_buckets(account, &range, None, &[String::new()]).await;
    let mut hours: BTreeMap<i64, CallFigures> = BTreeMap::new();
    for ((start, _), figures) in read?.map_err(|_| too_many())? {
        let hour = calls.zone.wall_minutes(start).rem_euclid(24 * 60) / 60;
        hours.entry(hour).or_default().merge(&figures);
    }
    let group =
        |(hour, figures)| Group { name: format!("{hour:02}:00–{:02}:00", (hour + 1) % 24), figures };
    Ok(hours.into_iter().map(group).collect())
}

/// The groups as rows of a table.
pub(super) fn rows(groups: Vec<Group>) -> Vec<GroupRow> {
    let row = |Group { name, figures }: Group| {
        let wait = |percent| milliseconds(percentile_ms(&figures, Measure::TurnWait, percent));
        GroupRow {
            name,
            calls: grouped(figures.calls()),
            reached: percent(figures.reached, figures.calls()),
            wait: [50, 95, 99].map(wait),
            mos: mos(&figures),
        }
    };
    groups.into_iter().map(row).collect()
}

fn name_of_group(grouping: CallGrouping, group: String, names: &[(TrunkId, String)]) -> String {
    match grouping {
        CallGrouping::Trunk => name_of(&group, names),
        CallGrouping::Reason => words(&group),
        CallGrouping::Provider | CallGrouping::Model | CallGrouping::Carrier if group.is_empty() => {
            "Not known".to_owned()
        }
        CallGrouping::Provider | CallGrouping::Model | CallGrouping::Carrier => group,
    }
}

/// The name of a connection; its id once it is deleted.
pub(super) fn name_of(id: &str, names: &[(TrunkId, String)]) -> String {
    let found = names.iter().find(|(known, _)| known.to_string() == id);
    found.map_or_else(|| id.to_owned(), |(_, name)| name.clone())
}

pub(super) fn words(name: &str) -> String {
    DisconnectReason::from_name(name)
        .map_or_else(|| name.to_owned(), |reason| reason::in_words(reason).to_owned())
}

/// The mean opinion score, which is counted in hundredths.
pub(super) fn mos(figures: &CallFigures) -> String {
    let mean = figures.measure(Measure::Mos).mean();
    mean.map_or_else(|| "–".to_owned(), |mean| format!("{:.2}", mean / 100.0))
}

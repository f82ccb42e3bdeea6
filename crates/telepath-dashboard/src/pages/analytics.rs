//! `/analytics`: figures of calls in a range, split by what they have in common, and two connections compared.

mod compare;

use std::cmp::Reverse;
use std::fmt::Write as _;

use askama::Template;
use http::Method;
use telepath_core::analytics::{CallFigures, CallGrouping, Measure};
use telepath_core::call::DisconnectReason;
use telepath_core::id::TrunkId;
use telepath_core::scope::Scope;
use telepath_store::SignedIn;

use crate::call_series::{CallSeries, Range, RangeLink, percentile_ms};
use crate::chart::Chart;
use crate::icon;
use crate::navigation::{Entry, Group};
use crate::number::{counted, grouped, milliseconds, percent};
use crate::problem::Problem;
use crate::reason;
use crate::reply::Reply;
use crate::route::{Outcome, Route};
use crate::shell::{Crumb, Shell};
use crate::visit::Visit;
use compare::Compared;

pub(crate) const ENTRY: Entry = Entry {
    group: Group::Voice,
    place: 3,
    label: "Analytics",
    path: "/analytics",
    icon: icon::ANALYTICS,
    scope: Scope::AnalyticsRead,
};

const RANGES: [Range; 5] = [Range::Hour, Range::Day, Range::Week, Range::Month, Range::Quarter];
/// The most connections to choose from.
const CONNECTIONS: usize = 100;
/// The most groups in the table.
const GROUPS: usize = 20;

pub(crate) fn routes() -> Vec<Route> {
    vec![Route::scoped(Method::GET, "/analytics", Scope::AnalyticsRead, show)]
}

#[derive(Template)]
#[template(path = "pages/analytics.html")]
struct Page {
    shell: Shell,
    zone: String,
    range: Range,
    ranges: Vec<RangeLink>,
    as_table: bool,
    /// The address of the same with charts as tables, or the other way round.
    other_form: String,
    connections: Vec<Choice>,
    splits: Vec<Choice>,
    is_filtered: bool,
    calls: String,
    reached: String,
    interruptions: String,
    mos: String,
    outcomes: Chart,
    waits: Chart,
    layers: Chart,
    reasons: Vec<Reason>,
    split: &'static str,
    groups: Vec<GroupRow>,
    first: Vec<Choice>,
    second: Vec<Choice>,
    compared: Option<Compared>,
}

/// An option of a select.
struct Choice {
    value: String,
    label: String,
    chosen: bool,
}

/// How many calls ended for a reason.
struct Reason {
    words: String,
    calls: String,
    share: String,
}

/// The figures of a group.
struct GroupRow {
    name: String,
    calls: String,
    reached: String,
    wait: [String; 3],
    mos: String,
}

/// What the address asks for.
struct Query {
    range: Range,
    connection: Option<TrunkId>,
    split: Option<CallGrouping>,
    pair: Option<(TrunkId, TrunkId)>,
    as_table: bool,
}

impl Query {
    fn read(visit: &Visit) -> Self {
        let trunk = |name: &str| visit.query.text(name).parse().ok();
        let pair = trunk("a").zip(trunk("b")).filter(|(a, b)| a != b);
        Self {
            range: Range::named(visit.query.get("range"), &RANGES, Range::Day),
            connection: trunk("connection"),
            split: CallGrouping::from_name(visit.query.text("split")),
            pair,
            as_table: visit.query.text("as") == "table",
        }
    }

    /// The address of the page in a range and a form.
    fn path(&self, range: Range, as_table: bool) -> String {
        let mut path = format!("/analytics?range={}", range.name());
        // Writing to a string does not fail. Ids and names need no escaping.
        if let Some(connection) = self.connection {
            let _ = write!(path, "&connection={connection}");
        }
        if let Some(split) = self.split {
            let _ = write!(path, "&split={}", split.name());
        }
        if let Some((a, b)) = self.pair {
            let _ = write!(path, "&a={a}&b={b}");
        }
        if as_table {
            path.push_str("&as=table");
        }
        path
    }
}

/// At most four statements: the names of connections, the calls of the range, those by group, and those of the two that are
/// compared.
async fn show(visit: Visit, caller: SignedIn) -> Outcome {
    let (account, zone, query) = (caller.session.account, visit.zone_of(&caller), Query::read(&visit));
    let store = visit.store();
    let trunks = store.trunks_by_name(account).await?.into_iter().filter(|trunk| !trunk.deleted);
    let names: Vec<_> = trunks.take(CONNECTIONS).map(|trunk| (trunk.id, trunk.name)).collect();
    let trunks: Vec<TrunkId> = query.connection.into_iter().collect();
    let series = CallSeries::read(store, account, query.range, visit.now, trunks.clone()).await?;
    let nothing = CallFigures::default();
    let total = series.total().unwrap_or(&nothing);
    let mut groups = Vec::new();
    if let Some(split) = query.split {
        let calls = query.range.calls(visit.now, trunks);
        let found = store.call_groups(account, &calls, Some(split)).await?;
        groups = rows(split, found.map_err(|_| too_many())?.into_iter().collect(), &names);
    }
    let mut compared = None;
    if let Some((a, b)) = query.pair {
        let calls = query.range.calls(visit.now, vec![a, b]);
        let found = store.call_groups(account, &calls, Some(CallGrouping::Trunk)).await?;
        let found = found.map_err(|_| too_many())?;
        let side = |id: TrunkId| (name_of(&id.to_string(), &names), found.get(&id.to_string()));
        compared = Some(Compared::of(side(a), side(b)));
    }
    let choices = |chosen: Option<TrunkId>| names.iter().map(move |(id, name)| choice(*id, name, chosen));
    let page = Page {
        shell: Shell::new(&visit, &caller, vec![Crumb::group("Voice")], "Analytics").await?,
        zone: zone.abbreviation(visit.now),
        range: query.range,
        ranges: query.range.links(&RANGES, |one| query.path(one, query.as_table)),
        as_table: query.as_table,
        other_form: query.path(query.range, !query.as_table),
        connections: choices(query.connection).collect(),
        splits: splits(query.split),
        is_filtered: query.connection.is_some() || query.split.is_some(),
        calls: counted(total.calls(), "call", "calls"),
        reached: percent(total.reached, total.calls()),
        interruptions: percent(total.agent_interrupted, total.agent_turns),
        mos: mos(total),
        outcomes: series.outcomes(&zone),
        waits: series.waits(&zone),
        layers: series.layers(&zone),
        reasons: series.reasons().into_iter().map(|(name, calls)| reason_row(name, calls, total)).collect(),
        split: query.split.map_or("", label),
        groups,
        first: choices(query.pair.map(|(a, _)| a)).collect(),
        second: choices(query.pair.map(|(_, b)| b)).collect(),
        compared,
    };
    Reply::page(&page)
}

fn too_many() -> Problem {
    Problem::Conflict("The range has too many figures to be added up. Choose a shorter one.".to_owned())
}

fn choice(id: TrunkId, name: &str, chosen: Option<TrunkId>) -> Choice {
    Choice { value: id.to_string(), label: name.to_owned(), chosen: chosen == Some(id) }
}

fn splits(chosen: Option<CallGrouping>) -> Vec<Choice> {
    let choice = |one: &CallGrouping| Choice {
        value: one.name().to_owned(),
        label: label(*one).to_owned(),
        chosen: chosen == Some(*one),
    };
    CallGrouping::ALL.iter().map(choice).collect()
}

const fn label(split: CallGrouping) -> &'static str {
    match split {
        CallGrouping::Trunk => "Connection",
        CallGrouping::Provider => "Provider",
        CallGrouping::Model => "Model",
        CallGrouping::Carrier => "Carrier",
        CallGrouping::Reason => "Reason",
    }
}

/// The name of a connection; its id once it is deleted.
fn name_of(id: &str, names: &[(TrunkId, String)]) -> String {
    let found = names.iter().find(|(known, _)| known.to_string() == id);
    found.map_or_else(|| id.to_owned(), |(_, name)| name.clone())
}

fn rows(
    split: CallGrouping,
    mut groups: Vec<(String, CallFigures)>,
    names: &[(TrunkId, String)],
) -> Vec<GroupRow> {
    groups.sort_by_key(|(_, figures)| Reverse(figures.calls()));
    groups.truncate(GROUPS);
    let row = |(group, figures): (String, CallFigures)| {
        let wait = |percent| milliseconds(percentile_ms(&figures, Measure::TurnWait, percent));
        let name = match split {
            CallGrouping::Trunk => name_of(&group, names),
            CallGrouping::Reason => words(&group),
            CallGrouping::Provider | CallGrouping::Model | CallGrouping::Carrier if group.is_empty() => {
                "Not known".to_owned()
            }
            CallGrouping::Provider | CallGrouping::Model | CallGrouping::Carrier => group,
        };
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

fn words(name: &str) -> String {
    DisconnectReason::from_name(name)
        .map_or_else(|| name.to_owned(), |reason| reason::in_words(reason).to_owned())
}

fn reason_row(name: &str, calls: u64, total: &CallFigures) -> Reason {
    Reason { words: words(name), calls: grouped(calls), share: percent(calls, total.calls()) }
}

/// The mean opinion score, which is counted in hundredths.
fn mos(figures: &CallFigures) -> String {
    let mean = figures.measure(Measure::Mos).mean();
    mean.map_or_else(|| "–".to_owned(), |mean| format!("{:.2}", mean / 100.0))
}

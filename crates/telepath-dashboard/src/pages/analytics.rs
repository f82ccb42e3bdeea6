//! `/analytics`: figures of calls in a range, split by what they have in common, and two connections compared.

mod compare;
mod export;
mod split;

use std::fmt::Write as _;

use askama::Template;
use http::Method;
use telepath_core::analytics::{CallFigures, CallGrouping};
use telepath_core::id::{AccountId, TrunkId};
use telepath_core::scope::Scope;
use telepath_store::{SignedIn, Store};

use crate::call_series::{CallSeries, Range, RangeLink};
use crate::chart::Chart;
use crate::icon;
use crate::navigation::{Entry, Group};
use crate::number::{counted, grouped, percent};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::{Outcome, Route};
use crate::shell::{Crumb, Shell};
use crate::visit::Visit;
use compare::Compared;
use split::{Calls, GroupRow, Split, mos, name_of, rows, words};

pub(crate) const ENTRY: Entry = Entry {
    group: Group::Voice,
    place: 3,
    label: "Analytics",
    path: "/analytics",
    shortcut: 'y',
    icon: icon::ANALYTICS,
    scope: Scope::AnalyticsRead,
};

const RANGES: [Range; 5] = [Range::Hour, Range::Day, Range::Week, Range::Month, Range::Quarter];
/// The most connections to choose from.
const CONNECTIONS: usize = 100;
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::scoped(Method::GET, "/analytics", Scope::AnalyticsRead, show),
        Route::scoped(Method::GET, "/analytics/export", Scope::AnalyticsRead, export::download),
    ]
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
    distribution: Chart,
    /// Where the figures are downloaded.
    export: String,
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

/// What the address asks for.
struct Query {
    range: Range,
    connection: Option<TrunkId>,
    split: Option<Split>,
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
            split: Split::named(visit.query.text("split")),
            pair,
            as_table: visit.query.text("as") == "table",
        }
    }

    /// The address of the page in a range and a form.
    fn path(&self, range: Range, as_table: bool) -> String {
        let mut path = format!("/analytics?{}", self.parameters(range));
        if as_table {
            path.push_str("&as=table");
        }
        path
    }

    /// Where the figures are downloaded.
    fn export(&self) -> String {
        format!("/analytics/export?{}", self.parameters(self.range))
    }

    fn parameters(&self, range: Range) -> String {
        let mut path = format!("range={}", range.name());
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
        path
    }
}

/// At most four statements: the names of connections, the calls of the range, those by group, and those of the two that are
/// compared.
async fn show(visit: Visit, caller: SignedIn) -> Outcome {
    let (account, zone, query) = (caller.session.account, visit.zone_of(&caller), Query::read(&visit));
    let store = visit.store();
    let names = names(store, account).await?;
    let trunks: Vec<TrunkId> = query.connection.into_iter().collect();
    let series = CallSeries::read(store, account, query.range, visit.now, trunks.clone()).await?;
    let nothing = CallFigures::default();
    let total = series.total().unwrap_or(&nothing);
    let mut groups = Vec::new();
    if let Some(split) = query.split {
        let calls = Calls { range: query.range, now: visit.now, trunks, zone: &zone, names: &names };
        groups = rows(split.groups(store, account, calls).await?);
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
        splits: Split::choices(query.split),
        is_filtered: query.connection.is_some() || query.split.is_some(),
        calls: counted(total.calls(), "call", "calls"),
        reached: percent(total.reached, total.calls()),
        interruptions: percent(total.agent_interrupted, total.agent_turns),
        mos: mos(total),
        outcomes: series.outcomes(&zone),
        waits: series.waits(&zone),
        layers: series.layers(&zone),
        distribution: series.distribution(),
        export: query.export(),
        reasons: series.reasons().into_iter().map(|(name, calls)| reason_row(name, calls, total)).collect(),
        split: query.split.map_or("", Split::label),
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

/// The connections to choose from.
async fn names(store: &Store, account: AccountId) -> Result<Vec<(TrunkId, String)>, Problem> {
    let trunks = store.trunks_by_name(account).await?.into_iter().filter(|trunk| !trunk.deleted);
    Ok(trunks.take(CONNECTIONS).map(|trunk| (trunk.id, trunk.name)).collect())
}

fn reason_row(name: &str, calls: u64, total: &CallFigures) -> Reason {
    Reason { words: words(name), calls: grouped(calls), share: percent(calls, total.calls()) }
}

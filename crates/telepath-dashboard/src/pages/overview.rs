//! `/`: how the account is, at a glance.

mod attention;
mod figures;

use askama::Template;
use http::Method;
use telepath_core::scope::Scope;
use telepath_store::{AccountCounts, BusyKey, FailedCall, SignedIn};

use crate::call_series::{CallSeries, Range, RangeLink};
use crate::chart::Chart;
use crate::icon;
use crate::navigation::{Entry, Group};
use crate::number::{counted, grouped, percent};
use crate::reason;
use crate::reply::Reply;
use crate::route::{Outcome, Route};
use crate::shell::Shell;
use crate::time::{Shown, Zone, relative, span};
use crate::visit::Visit;
use attention::{Notice, Step};
use figures::Figures;

pub(crate) const ENTRY: Entry = Entry {
    group: Group::Top,
    place: 0,
    label: "Overview",
    path: "/",
    shortcut: 'o',
    icon: icon::OVERVIEW,
    scope: Scope::CallsRead,
};

const RANGES: [Range; 3] = [Range::Hour, Range::Day, Range::Week];

pub(crate) fn routes() -> Vec<Route> {
    vec![Route::user(Method::GET, "/", show), Route::user(Method::GET, "/overview/live", figures::live)]
}

#[derive(Template)]
#[template(path = "pages/overview.html")]
struct Page {
    shell: Shell,
    range: Range,
    ranges: Vec<RangeLink>,
    as_table: bool,
    /// The address of the same with charts as tables, or the other way round.
    other_form: String,
    zone: String,
    steps: Vec<Step>,
    steps_done: usize,
    notices: Vec<Notice>,
    open_alerts: u64,
    figures: Figures,
    calls: Chart,
    layers: Chart,
    failures: Vec<Failure>,
    keys: Vec<Key>,
    webhooks: Webhooks,
}

/// A call that did not go as it should.
struct Failure {
    id: String,
    connection: String,
    what: &'static str,
    word: &'static str,
    class: &'static str,
    at: Shown,
    ago: String,
}

/// A key with many requests.
struct Key {
    id: String,
    name: String,
    requests: String,
    errors: String,
    share: String,
    has_errors: bool,
}

/// How deliveries are.
struct Webhooks {
    exist: bool,
    active: String,
    failing: u64,
    waiting: Option<String>,
}

/// The address of this page in a range.
fn path_of(range: Range, as_table: bool) -> String {
    format!("/?range={}{}", range.name(), if as_table { "&as=table" } else { "" })
}

/// The range that the address names.
fn range_of(visit: &Visit) -> Range {
    Range::named(visit.query.get("range"), &RANGES, Range::Day)
}

/// Three statements: counts, lists, and the statistics of the range.
async fn show(visit: Visit, caller: SignedIn) -> Outcome {
    let (account, range, zone) = (caller.session.account, range_of(&visit), visit.zone_of(&caller));
    let store = visit.store();
    let counts = store.account_counts(account).await?;
    let lists = store.overview(account, range.span(), range.start(visit.now)).await?;
    let series = CallSeries::read(store, account, range, visit.now, Vec::new()).await?;
    let as_table = visit.query.text("as") == "table";
    let steps = attention::steps(&counts, caller.role);
    let failure = |call: &FailedCall| Failure::of(call, &zone, &visit);
    let page = Page {
        shell: Shell::new(&visit, &caller, Vec::new(), "Overview").await?,
        range,
        ranges: range.links(&RANGES, |one| path_of(one, as_table)),
        as_table,
        other_form: path_of(range, !as_table),
        zone: zone.abbreviation(visit.now),
        steps_done: steps.iter().filter(|step| step.done).count(),
        steps,
        notices: lists.attention.iter().map(|one| Notice::of(one, &zone, visit.now)).collect(),
        open_alerts: counts.open_alerts,
        figures: Figures::of(&counts, series.total(), range),
        calls: series.outcomes(&zone),
        layers: series.layers(&zone),
        failures: lists.failures.iter().map(failure).collect(),
        keys: lists.busiest_keys.iter().map(Key::of).collect(),
        webhooks: Webhooks::of(&counts, &visit),
    };
    Reply::page(&page)
}

impl Failure {
    fn of(call: &FailedCall, zone: &Zone, visit: &Visit) -> Self {
        let dropped = reason::is_drop(call.reason);
        Self {
            id: call.id.to_string(),
            connection: call.trunk_name.clone(),
            what: reason::in_words(call.reason),
            word: if dropped { "Dropped" } else { "Failed" },
            class: if dropped { "chip-warn" } else { "chip-bad" },
            at: zone.shown(call.start_time),
            ago: relative(call.start_time, visit.now),
        }
    }
}

impl Key {
    fn of(key: &BusyKey) -> Self {
        Self {
            id: key.id.to_string(),
            name: key.name.clone(),
            requests: grouped(key.requests),
            errors: grouped(key.errors),
            share: percent(key.errors, key.requests),
            has_errors: key.errors > 0,
        }
    }
}

impl Webhooks {
    fn of(counts: &AccountCounts, visit: &Visit) -> Self {
        let waiting = counts.oldest_due_delivery.map(|due| visit.now.since(due));
        Self {
            exist: counts.has_webhooks,
            active: counted(counts.active_webhooks, "endpoint", "endpoints"),
            failing: counts.failing_webhooks,
            // Deliveries are sent at once, so one that waits for less than a second is not late.
            waiting: waiting.and_then(span),
        }
    }
}

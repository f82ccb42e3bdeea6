//! `/requests`: the request log.

mod chart;
mod export;
mod filter;
mod group;
mod query;
mod row;
mod show;
mod tail;

use askama::Template;
use http::{Method, StatusCode};
use telepath_core::error::ErrorCode;
use telepath_core::id::KeyId;
use telepath_core::key::KeyFilter;
use telepath_core::page::PageRequest;
use telepath_core::request::{RequestFilter, RequestMethod, RequestRecord};
use telepath_core::scope::Scope;
use telepath_store::{RequestCounts, RequestCursor, RequestOrder, RequestSlots, SignedIn};

use crate::call_series::RangeLink;
use crate::chart::Chart;
use crate::form::Problems;
use crate::icon;
use crate::navigation::{Entry, Group as NavigationGroup};
use crate::number::counted;
use crate::pages::export::{self as exports, FormatLink};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::{Outcome, Route};
use crate::shell::Shell;
use crate::time::Zone;
use crate::visit::Visit;

use filter::{Field, Line};
use group::{Group, Groups};
use query::{Query, Range, View};
use row::Row;
use tail::Tail;

pub(crate) const ENTRY: Entry = Entry {
    group: NavigationGroup::Activity,
    place: 1,
    label: "Requests",
    path: query::PATH,
    shortcut: 'r',
    icon: icon::REQUESTS,
    scope: Scope::AuditRead,
};

/// Requests on a page.
const PAGE: usize = 50;
/// Requests that one grouped page counts.
const COUNTED: usize = 2000;

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::scoped(Method::GET, query::PATH, Scope::AuditRead, list),
        Route::scoped(Method::GET, query::STREAM, Scope::AuditRead, tail::follow),
        Route::scoped(Method::GET, export::PATH, Scope::AuditRead, export::download),
        Route::scoped(Method::GET, "/requests/{id}", Scope::AuditRead, show::show),
    ]
}

/// A filter that is set, with the address without it.
struct Chip {
    label: &'static str,
    value: String,
    remove: String,
}

/// A field of the form of filters.
struct Input {
    name: &'static str,
    label: &'static str,
    value: String,
    example: &'static str,
    /// The values to choose from; empty when any text can be a value.
    choices: Vec<&'static str>,
}

#[derive(Template)]
#[template(path = "pages/requests.html")]
struct Page {
    shell: Shell,
    query: Query,
    problems: Problems,
    /// What the line of text holds.
    line: String,
    has_key: bool,
    chips: Vec<Chip>,
    ranges: Vec<RangeLink>,
    inputs: Vec<Input>,
    exports: [FormatLink; 2],
    chart: Option<Chart>,
    /// How far back the chart counts, if not over all of it.
    chart_since: Option<String>,
    tail: Option<Tail>,
    rows: Vec<Row>,
    groups: Vec<Group>,
    summary: String,
    /// How far back the log was searched, if it goes on.
    searched_to: Option<String>,
    newer: Option<String>,
    older: Option<String>,
    zone: String,
}

/// What a page shows of the log.
#[derive(Default)]
struct Found {
    requests: Vec<RequestRecord>,
    /// Where older requests begin.
    next: Option<RequestCursor>,
    chart: Option<(RequestCounts, RequestSlots)>,
    tail: Option<Tail>,
}

/// Reads from the store: the key that a name means (1), the end of the log (1), the requests and their secrets (2), the counts
/// (1), the names (1).
async fn list(visit: Visit, caller: SignedIn) -> Outcome {
    let (query, line) = Query::read(&visit.query);
    let filter = filter_of(&visit, &caller, &query, &line).await?;
    let (problems, found, status) = match filter {
        Ok(filter) => (Problems::default(), find(&visit, &caller, &query, filter).await?, StatusCode::OK),
        Err(problems) => (problems, Found::default(), StatusCode::UNPROCESSABLE_ENTITY),
    };
    let counted = (query.view == View::Grouped).then(|| Groups::of(&found.requests));
    let senders = counted.as_ref().map_or_else(|| row::senders(&found.requests), Groups::senders);
    let names = visit.store().names(caller.session.account, &senders).await?;
    let (zone, now) = (visit.zone_of(&caller), visit.now);
    let summary = summary_of(&query, &found, counted.as_ref());
    let (rows, groups) = match counted {
        None => {
            let rows = found.requests.into_iter().map(|request| Row::of(request, &names, &zone, now));
            (rows.collect(), Vec::new())
        }
        Some(groups) => (Vec::new(), groups.rows(&query, &names, &zone, now)),
    };
    let since = found.chart.as_ref().and_then(|(counts, _)| counts.since);
    let page = Page {
        shell: Shell::new(&visit, &caller, Vec::new(), "Requests").await?,
        problems,
        line: query.filters.line(),
        has_key: line.has_key,
        chips: chips(&query),
        ranges: ranges(&query),
        inputs: inputs(&query),
        exports: exports::links(export::PATH, &query.path()),
        chart: found.chart.map(|(counts, slots)| chart::draw(&counts, slots, &query, &zone)),
        chart_since: since.map(|since| searched_to(&zone, since, now)),
        tail: found.tail,
        rows,
        groups,
        summary,
        searched_to: found.next.map(|next| searched_to(&zone, next.reached(), now)),
        newer: query.newer(),
        older: found.next.map(|next| query.older(next)),
        zone: zone.abbreviation(now),
        query,
    };
    Ok(Reply::page(&page)?.status(status))
}

async fn find(
    visit: &Visit,
    caller: &SignedIn,
    query: &Query,
    filter: RequestFilter,
) -> Result<Found, Problem> {
    let (store, account) = (visit.store(), caller.session.account);
    // One request needs no chart.
    let slots = chart::slots(query, &filter, visit.now).filter(|_| filter.id.is_none());
    let chart = match slots {
        Some(slots) => Some((store.count_requests(account, &filter, slots).await?, slots)),
        None => None,
    };
    if let Some(after) = query.after {
        let page = store.list_requests(account, &filter, RequestOrder::Oldest, PAGE, Some(after)).await?;
        let mut requests = page.requests;
        requests.reverse();
        let tail = Some(Tail::after(query, page.next.unwrap_or(after)));
        return Ok(Found { requests, next: None, chart, tail });
    }
    let end = if query.is_live { Some(store.request_log_end(account).await?) } else { None };
    let (filter, order, from) = (query.within(filter, visit.now), RequestOrder::Newest, end.or(query.cursor));
    let page = match query.view {
        View::List => store.list_requests(account, &filter, order, PAGE, from).await?,
        View::Grouped => store.list_requests_without_secrets(account, &filter, order, COUNTED, from).await?,
    };
    let tail = end.map(|end| Tail::after(query, end));
    Ok(Found { requests: page.requests, next: page.next, chart, tail })
}

fn searched_to(
    zone: &Zone,
    reached: telepath_core::clock::Timestamp,
    now: telepath_core::clock::Timestamp,
) -> String {
    let time = zone.moment(reached);
    if zone.date(reached) == zone.date(now) {
        return time.rsplit(' ').next().unwrap_or_default().to_owned();
    }
    time
}

fn summary_of(query: &Query, found: &Found, groups: Option<&Groups<'_>>) -> String {
    let shown = found.requests.len() as u64;
    let more = if found.next.is_some() && found.requests.len() >= PAGE { " or more" } else { "" };
    if query.is_live && query.after.is_none() {
        return "The newest 200 requests stay on the page".to_owned();
    }
    let requests = counted(shown, "request", "requests");
    match groups {
        Some(groups) if groups.has_more() => {
            format!(
                "{requests} counted in {}, of which the largest are shown",
                counted(groups.len() as u64, "group", "groups")
            )
        }
        Some(_) => format!("{requests} counted"),
        None if query.cursor.is_some() || !more.is_empty() => format!("{requests} on this page"),
        None => requests,
    }
}

fn chips(query: &Query) -> Vec<Chip> {
    let chip = |(field, value): (Field, &str)| Chip {
        label: field.label(),
        value: value.to_owned(),
        remove: query.without(field),
    };
    query.filters.iter().map(chip).collect()
}

fn ranges(query: &Query) -> Vec<RangeLink> {
    let link = |range: Range| RangeLink {
        label: range.label(),
        path: query.with_range(range),
        current: range == query.range && !query.has_dates(),
    };
    Range::ALL.into_iter().map(link).collect()
}

fn inputs(query: &Query) -> Vec<Input> {
    let input = |field: &Field| Input {
        name: field.name(),
        label: field.label(),
        value: query.filters.get(*field).to_owned(),
        example: field.example(),
        choices: match field {
            Field::Method => RequestMethod::ALL.iter().map(|method| method.name()).collect(),
            Field::Code => ErrorCode::ALL.iter().map(|code| code.name()).collect(),
            Field::Status
            | Field::Key
            | Field::Route
            | Field::Path
            | Field::Duration
            | Field::Address
            | Field::UserAgent
            | Field::Secret
            | Field::User
            | Field::Id
            | Field::Start
            | Field::End => Vec::new(),
        },
    };
    Field::ALL.iter().map(input).collect()
}

/// The filter of the store, or what is wrong with the one that was written.
async fn filter_of(
    visit: &Visit,
    caller: &SignedIn,
    query: &Query,
    line: &Line,
) -> Result<Result<RequestFilter, Problems>, Problem> {
    let mut problems = Problems::default();
    for name in &line.unknown {
        problems.add("q", format!("There is no filter \"{name}\". Filters are status, key, method, route, path, code, duration, address, agent, id, from and to"));
    }
    let key = match find_key(visit, caller, query.filters.get(Field::Key)).await? {
        Ok(key) => key,
        Err(problem) => {
            problems.add(Field::Key.name(), problem);
            None
        }
    };
    Ok(match query.filters.check(key) {
        Ok(filter) if problems.is_empty() => Ok(filter),
        Ok(_) => Err(problems),
        Err(others) => {
            for (field, problem) in others.iter() {
                problems.add(field, problem);
            }
            Err(problems)
        }
    })
}

/// The key that a text names: by its id, its name, or a part of its name that no other key has.
async fn find_key(
    visit: &Visit,
    caller: &SignedIn,
    text: &str,
) -> Result<Result<Option<KeyId>, String>, Problem> {
    if text.is_empty() {
        return Ok(Ok(None));
    }
    if let Ok(id) = text.parse::<KeyId>() {
        return Ok(Ok(Some(id)));
    }
    let filter = KeyFilter { search: Some(text.to_owned()), ..KeyFilter::default() };
    let found = visit.store().list_keys(caller.session.account, filter, PageRequest::default()).await?.items;
    let exact = found.iter().find(|key| key.name.eq_ignore_ascii_case(text));
    Ok(match (exact, found.as_slice()) {
        (Some(key), _) | (None, [key]) => Ok(Some(key.id)),
        (None, []) => Err(format!("No key is called \"{text}\"")),
        (None, several) => {
            let names = several.iter().take(3).map(|key| key.name.as_str()).collect::<Vec<_>>().join(", ");
            Err(format!("Several keys match \"{text}\": {names}. Write the whole name, or the id"))
        }
    })
}

//! The log of calls. Live calls come first.

use askama::Template;
use telepath_core::call::{CallFilter, CallRecord, CallSortKey, CallStatus, DisconnectReason};
use telepath_core::page::{PageRequest, Total};
use telepath_core::scope::Scope;
use telepath_store::{SignedIn, TrunkName};

use super::path_of;
use super::query::{Query, RANGES};
use super::words::{StatusChip, ended_by, status_word};
use crate::chart::scale::Quality;
use crate::number::{counted, grouped};
use crate::pages::export::{self as exports, FormatLink};
use crate::reply::Reply;
use crate::route::Outcome;
use crate::shell::Shell;
use crate::time::{Shown, Zone, length};
use crate::visible::visible;
use crate::visit::Visit;

/// Live calls above the others.
const LIVE: u32 = 10;

#[derive(Template)]
#[template(path = "pages/calls.html")]
struct Page {
    shell: Shell,
    done: Option<&'static str>,
    query: Query,
    exports: [FormatLink; 2],
    connections: Vec<Choice>,
    ranges: Vec<Choice>,
    statuses: Vec<Choice>,
    reasons: Vec<Choice>,
    live: Vec<Row>,
    rows: Vec<Row>,
    /// How many live calls are not shown above the others.
    more_live: Option<String>,
    total: Option<String>,
    newer: Option<String>,
    older: Option<String>,
    zone: String,
    can_hang_up: bool,
}

/// A choice of a filter.
struct Choice {
    value: String,
    label: String,
    chosen: bool,
}

struct Row {
    path: String,
    chip: StatusChip,
    is_live: bool,
    started: Shown,
    from: String,
    to: String,
    connection: String,
    duration: String,
    wait: String,
    carrier: String,
    gateway: String,
    quality: Option<(&'static str, String)>,
    ended_by: String,
}

/// Statements: two for live calls, two for the list, one for the names of connections.
pub(super) async fn show(visit: Visit, caller: SignedIn) -> Outcome {
    let account = caller.session.account;
    let query = Query::read(&visit.query);
    let filter = query.filter(visit.now);
    let names = visit.store().trunks_by_name(account).await?;
    let zone = visit.zone_of(&caller);
    let row = |call: &CallRecord| row(call, &names, &zone);
    let (mut live, mut more_live) = (Vec::new(), None);
    if query.status.is_none() && query.is_first_page() {
        let filter = CallFilter {
            status: Some(CallStatus::Connected),
            sort: CallSortKey::StartTime,
            ascending: false,
            ..filter.clone()
        };
        let page = PageRequest::new(LIVE, 0).unwrap_or_default();
        let found = visit.store().list_calls(account, filter, page).await?;
        more_live = found.position.next.as_ref().and(found.position.total).map(in_words);
        live = found.items.iter().map(row).collect();
    }
    let found = visit.store().list_calls(account, filter, query.page()).await?;
    // Those that stand above are not repeated.
    let rows = found.items.iter().map(row).filter(|row| live.iter().all(|live| live.path != row.path));
    let rows = rows.collect();
    Reply::page(&Page {
        done: match visit.query.get("done") {
            Some("erased") => Some("The call is erased."),
            Some("hung-up") => Some("The call is being ended."),
            Some(_) | None => None,
        },
        connections: connections(&names, &query),
        ranges: RANGES
            .iter()
            .map(|(value, label, _)| choice(value, label, query.range == Some(value)))
            .collect(),
        statuses: CallStatus::ALL
            .iter()
            .map(|status| choice(status.name(), status_word(*status), query.status == Some(*status)))
            .collect(),
        reasons: DisconnectReason::ALL
            .iter()
            .map(|reason| choice(reason.name(), ended_by(*reason), query.reason == Some(*reason)))
            .collect(),
        rows,
        live,
        more_live,
        total: found.position.total.map(in_words),
        exports: exports::links(super::export::PATH, &query.first_page()),
        newer: query.newer(),
        older: found.position.next.as_ref().map(|next| query.older(next)),
        zone: zone.abbreviation(visit.now),
        can_hang_up: caller.role.scopes().allows(Scope::CallsWrite),
        query,
        shell: Shell::new(&visit, &caller, Vec::new(), "Calls").await?,
    })
}

fn in_words(total: Total) -> String {
    if total.is_lower_bound {
        format!("More than {} calls", grouped(total.count))
    } else {
        counted(total.count, "call", "calls")
    }
}

fn choice(value: &str, label: &str, chosen: bool) -> Choice {
    Choice { value: value.to_owned(), label: label.to_owned(), chosen }
}

fn connections(names: &[TrunkName], query: &Query) -> Vec<Choice> {
    let of = |trunk: &TrunkName| {
        let label = if trunk.deleted { format!("{} (deleted)", trunk.name) } else { trunk.name.clone() };
        choice(&trunk.id.to_string(), &label, query.connection == Some(trunk.id))
    };
    names.iter().map(of).collect()
}

fn milliseconds(figure: Option<u32>) -> String {
    figure.map_or_else(|| "–".to_owned(), |ms| format!("{} ms", grouped(ms.into())))
}

fn row(call: &CallRecord, names: &[TrunkName], zone: &Zone) -> Row {
    let is_live = call.status == CallStatus::Connected;
    let name = names.iter().find(|trunk| trunk.id == call.trunk_id);
    let quality = call.metrics.mos.map(|mos| {
        let class = match Quality::of(mos) {
            Quality::Clean => "chip-ok",
            Quality::Fair => "chip-warn",
            Quality::Poor => "chip-bad",
        };
        (class, format!("{} {mos:.1}", Quality::of(mos).word()))
    });
    Row {
        path: path_of(call.id),
        chip: StatusChip::of(call.status),
        is_live,
        started: zone.shown_second(call.start_time),
        from: visible(call.from.as_str()),
        to: visible(call.to.as_str()),
        connection: name.map_or_else(|| call.trunk_id.to_string(), |trunk| trunk.name.clone()),
        duration: if call.answer_time.is_some() {
            length(call.duration_seconds.into())
        } else {
            "–".to_owned()
        },
        wait: milliseconds(call.metrics.ai_latency_ms),
        carrier: milliseconds(call.metrics.carrier_lag_ms),
        gateway: milliseconds(call.metrics.gateway_processing_ms),
        quality,
        ended_by: call.disconnect_reason.map_or_else(String::new, |reason| ended_by(reason).to_owned()),
    }
}

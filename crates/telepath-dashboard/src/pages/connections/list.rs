//! The list of connections.

use askama::Template;
use telepath_core::id::TrunkId;
use telepath_core::page::CREATED_AT;
use telepath_core::scope::Scope;
use telepath_core::trunk::{Trunk, TrunkFilter, TrunkMetrics, TrunkStatus};
use telepath_store::{SignedIn, TrunkActivity};

use super::latency::Latencies;
use super::words::{agent, chip_of, word_of};
use super::{PATH, path_of, uri_of};
use crate::chip::Chip;
use crate::number::{counted, grouped, milliseconds};
use crate::pager::Place;
use crate::reply::Reply;
use crate::route::Outcome;
use crate::shell::Shell;
use crate::time::relative;
use crate::visible::visible;
use crate::visit::Visit;

/// Connections of one page.
const PAGE: u32 = 25;

#[derive(Template)]
#[template(path = "pages/connections.html")]
struct Page {
    shell: Shell,
    done: Option<&'static str>,
    can_change: bool,
    tabs: Vec<Tab>,
    is_filtered: bool,
    is_first: bool,
    rows: Vec<Row>,
    total: Option<String>,
    newer: Option<String>,
    older: Option<String>,
}

/// A filter by status.
struct Tab {
    label: &'static str,
    path: String,
    current: bool,
}

struct Row {
    path: String,
    id: TrunkId,
    name: String,
    provider: &'static str,
    chip: Chip,
    /// Why the status is Error.
    why: Option<String>,
    is_active: bool,
    uri: String,
    today: String,
    /// The share of today's calls that reached the agent.
    reached: String,
    live: Option<String>,
    spark: String,
    latency: String,
    last_call: String,
}

fn tabs(chosen: Option<TrunkStatus>) -> Vec<Tab> {
    let mut tabs = vec![Tab { label: "All", path: PATH.to_owned(), current: chosen.is_none() }];
    tabs.extend(TrunkStatus::ALL.iter().map(|status| Tab {
        label: word_of(*status),
        path: format!("{PATH}?status={}", status.name()),
        current: chosen == Some(*status),
    }));
    tabs
}

/// Statements: four for the list, one each for activity and latency, and those of the shell.
pub(super) async fn show(visit: Visit, caller: SignedIn) -> Outcome {
    let account = caller.session.account;
    let status = visit.query.get("status").and_then(TrunkStatus::from_name);
    let (place, request) = Place::read::<TrunkId>(&visit.query, Some(CREATED_AT), PAGE);
    let filter = TrunkFilter { status, oldest_first: false };
    let found = visit.store().list_trunks(account, filter, request).await?;
    let ids: Vec<TrunkId> = found.items.iter().map(|(trunk, _)| trunk.id).collect();
    let activity = visit.store().trunk_activity(account, &ids).await?;
    let latencies = Latencies::read(&visit, account, &ids).await?;
    let rows = found.items.iter().map(|(trunk, metrics)| {
        let activity = activity.get(&trunk.id);
        row(trunk, metrics, activity, &latencies, &visit)
    });
    let address = status.map_or_else(|| PATH.to_owned(), |status| format!("{PATH}?status={}", status.name()));
    let newer = place.newer(&address);
    Reply::page(&Page {
        done: done(visit.query.text("done")),
        can_change: caller.role.scopes().allows(Scope::TrunksWrite),
        tabs: tabs(status),
        is_filtered: status.is_some(),
        is_first: newer.is_none(),
        rows: rows.collect(),
        total: found.position.total.map(|total| counted(total.count, "connection", "connections")),
        older: place.older(&address, found.position.next.as_ref()),
        newer,
        shell: Shell::new(&visit, &caller, Vec::new(), "Connections").await?,
    })
}

fn done(text: &str) -> Option<&'static str> {
    match text {
        "deleted" => Some("The connection is deleted. Its calls stay in the log."),
        "activated" => Some("The connection takes calls again."),
        "deactivated" => Some("The connection takes no new calls. Live calls continue."),
        _ => None,
    }
}

fn row(
    trunk: &Trunk,
    metrics: &TrunkMetrics,
    activity: Option<&TrunkActivity>,
    latencies: &Latencies,
    visit: &Visit,
) -> Row {
    let live = activity.map_or(0, |activity| activity.live_calls);
    let last_call = activity.and_then(|activity| activity.last_call);
    Row {
        path: path_of(trunk.id),
        id: trunk.id,
        name: trunk.name.clone(),
        provider: agent(trunk),
        chip: chip_of(trunk.status),
        is_active: trunk.status.takes_calls(),
        why: trunk.status_reason.as_deref().map(visible),
        uri: uri_of(visit, &trunk.sip_username),
        today: grouped(metrics.calls_today),
        reached: metrics
            .success_rate
            .map_or_else(|| "no calls".to_owned(), |rate| format!("{rate:.1}% reached the agent")),
        live: (live > 0).then(|| grouped(live)),
        spark: latencies.spark(trunk.id),
        latency: milliseconds(latencies.median(trunk.id)),
        last_call: last_call.map_or_else(|| "Never".to_owned(), |at| relative(at, visit.now)),
    }
}

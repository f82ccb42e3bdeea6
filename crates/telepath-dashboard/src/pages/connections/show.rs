//! One connection: how it is, its calls, its agent, its SIP side, and what is done to it.

use askama::Template;
use telepath_core::call::{CallFilter, CallRecord};
use telepath_core::page::PageRequest;
use telepath_core::scope::Scope;
use telepath_core::trunk::{SrtpMode, Trunk};
use telepath_store::SignedIn;

use super::verdict::{Facts, Verdict};
use super::words::{agent, chip_of, credential, place_of};
use super::{crumbs, path_of, uri_of, with_metrics};
use crate::call_series::{CallSeries, Range, RangeLink, percentile_ms};
use crate::chart::Chart;
use crate::chip::Chip;
use crate::number::{grouped, milliseconds};
use crate::pages::calls::words::{StatusChip, ended_by};
use crate::reply::Reply;
use crate::route::Outcome;
use crate::shell::Shell;
use crate::time::{Shown, Zone, length, relative};
use crate::visible::{visible, visible_lines};
use crate::visit::Visit;
use telepath_core::analytics::Measure;

const RANGES: [Range; 3] = [Range::Day, Range::Week, Range::Month];
/// Calls that the page lists.
const CALLS: u32 = 8;

#[derive(Template)]
#[template(path = "pages/connection.html")]
struct Page {
    shell: Shell,
    done: Option<&'static str>,
    path: String,
    id: String,
    name: String,
    chip: Chip,
    verdict: Verdict,
    can_change: bool,
    is_active: bool,
    ranges: Vec<RangeLink>,
    figures: Vec<Figure>,
    chart: Chart,
    as_table: bool,
    other_form: String,
    calls: Vec<CallRow>,
    uri: String,
    sip: Vec<Fact>,
    agent: Vec<Fact>,
    system_prompt: Option<String>,
    credentials: Vec<(&'static str, String, Shown)>,
    created: Shown,
    zone: String,
}

struct Figure {
    name: &'static str,
    value: String,
    note: String,
}

struct Fact {
    name: &'static str,
    value: String,
    note: String,
}

fn fact(name: &'static str, value: impl Into<String>) -> Fact {
    Fact { name, value: value.into(), note: String::new() }
}

struct CallRow {
    path: String,
    chip: StatusChip,
    parties: (String, String),
    started: Shown,
    duration: String,
    wait: String,
    ended_by: &'static str,
}

impl CallRow {
    fn of(call: &CallRecord, zone: &Zone) -> Self {
        Self {
            path: format!("/calls/{}", call.id),
            chip: StatusChip::of(call.status),
            parties: (visible(call.from.as_str()), visible(call.to.as_str())),
            started: zone.shown(call.start_time),
            duration: call
                .answer_time
                .map_or_else(|| "–".to_owned(), |_| length(call.duration_seconds.into())),
            wait: milliseconds(call.metrics.ai_latency_ms.map(u64::from)),
            ended_by: call.disconnect_reason.map_or("", ended_by),
        }
    }
}

/// Statements: three for the connection and its metrics, one each for activity, statistics and calls (and their number), and
/// those of the shell.
pub(super) async fn show(visit: Visit, caller: SignedIn) -> Outcome {
    let (trunk, metrics) = with_metrics(&visit, &caller).await?;
    let (account, zone, path) = (caller.session.account, visit.zone_of(&caller), path_of(trunk.id));
    let activity = visit.store().trunk_activity(account, &[trunk.id]).await?.remove(&trunk.id);
    let live_calls = activity.map_or(0, |activity| activity.live_calls);
    let filter = CallFilter { trunk_id: Some(trunk.id), ..CallFilter::default() };
    let page = PageRequest::new(CALLS, 0).unwrap_or_default();
    let calls = visit.store().list_calls(account, filter, page).await?.items;
    let range = Range::named(visit.query.get("range"), &RANGES, Range::Week);
    let series = CallSeries::read(visit.store(), account, range, visit.now, vec![trunk.id]).await?;
    let latency = |percent| series.total().and_then(|all| percentile_ms(all, Measure::AiLatency, percent));
    let facts = Facts {
        trunk: &trunk,
        metrics: &metrics,
        live_calls,
        last: calls.first(),
        latency: latency(50),
        now: visit.now,
    };
    let as_table = visit.query.text("as") == "table";
    let at = |range: Range, table: bool| {
        format!("{path}?range={}{}", range.name(), if table { "&as=table" } else { "" })
    };
    let figures = vec![
        Figure {
            name: "Calls today",
            value: grouped(metrics.calls_today),
            note: format!("{} live now", grouped(live_calls)),
        },
        Figure {
            name: "Reached the agent",
            value: metrics.success_rate.map_or_else(|| "–".to_owned(), |rate| format!("{rate:.1}%")),
            note: "of today’s ended calls".to_owned(),
        },
        Figure {
            name: "AI latency",
            value: milliseconds(latency(50)),
            note: format!("median of {}, p95 {}", range.label(), milliseconds(latency(95))),
        },
        Figure {
            name: "Last call",
            value: calls
                .first()
                .map_or_else(|| "Never".to_owned(), |call| relative(call.start_time, visit.now)),
            note: calls.first().map_or_else(String::new, |call| visible(call.from.as_str())),
        },
    ];
    Reply::page(&Page {
        done: done(visit.query.text("done")),
        id: trunk.id.to_string(),
        name: trunk.name.clone(),
        chip: chip_of(trunk.status),
        verdict: facts.verdict(),
        can_change: caller.role.scopes().allows(Scope::TrunksWrite),
        is_active: trunk.status.takes_calls(),
        ranges: range.links(&RANGES, |range| at(range, as_table)),
        figures,
        chart: series.layers(&zone),
        as_table,
        other_form: at(range, !as_table),
        calls: calls.iter().map(|call| CallRow::of(call, &zone)).collect(),
        uri: uri_of(&visit, &trunk.sip_username),
        sip: sip_facts(&trunk, activity.map(|activity| relative(activity.password_at, visit.now))),
        agent: agent_facts(&trunk),
        system_prompt: trunk.settings.system_prompt.as_deref().map(visible_lines),
        credentials: trunk
            .credentials
            .iter()
            .map(|(field, state)| {
                let last4 = state.last4.as_ref().map(|last4| format!("…{}", visible(last4)));
                let shown = last4.unwrap_or_else(|| "set".to_owned());
                (credential(*field), shown, zone.shown_date(state.updated_at))
            })
            .collect(),
        created: zone.shown_date(trunk.created_at),
        zone: zone.abbreviation(visit.now),
        shell: Shell::new(&visit, &caller, crumbs(), &trunk.name).await?,
        path,
    })
}

fn done(text: &str) -> Option<&'static str> {
    match text {
        "saved" => Some("Saved. Live calls keep the settings that they started with."),
        "credentials" => Some("The credentials are replaced. New calls use them; live calls continue."),
        "activated" => Some("The connection takes calls again."),
        "deactivated" => Some("The connection takes no new calls. Live calls continue."),
        "shown" => {
            Some("This form was handled before. A password is shown once; rotate it again if it is lost.")
        }
        _ => None,
    }
}

/// What is bounded by the server alone has no number.
fn bounded(limit: Option<u32>, unit: &str) -> String {
    limit.map_or_else(|| "the server’s limit".to_owned(), |limit| format!("{}{unit}", grouped(limit.into())))
}

fn listed<T: ToString>(items: &[T], none: &str) -> String {
    /// Items that are shown.
    const SHOWN: usize = 5;
    if items.is_empty() {
        return none.to_owned();
    }
    let mut shown: Vec<String> = items.iter().take(SHOWN).map(ToString::to_string).collect();
    if let Some(more) = items.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        shown.push(format!("and {more} more"));
    }
    shown.join(", ")
}

fn sip_facts(trunk: &Trunk, password_age: Option<String>) -> Vec<Fact> {
    let settings = &trunk.settings;
    let networks = trunk.allowed_ips.to_string();
    let networks: Vec<&str> = networks.split(',').filter(|network| !network.is_empty()).collect();
    vec![
        fact("User name", trunk.sip_username.as_str()),
        fact("Password", password_age.map_or_else(|| "set".to_owned(), |age| format!("set {age}"))),
        Fact {
            note: if networks.is_empty() { "" } else { "may call without the password" }.to_owned(),
            ..fact("Networks", listed(&networks, "none; the password is required"))
        },
        fact("Numbers", listed(&settings.inbound_numbers, "any")),
        fact("Codecs", listed(&settings.codecs, "PCMU, PCMA, G722")),
        fact(
            "Encryption",
            match settings.srtp {
                SrtpMode::Off => "off",
                SrtpMode::Preferred => "SRTP when the carrier offers it",
                SrtpMode::Required => "SRTP, required",
            },
        ),
        fact("Calls at once", bounded(settings.max_concurrent_calls, "")),
        fact("Longest call", bounded(settings.max_call_seconds, " s")),
    ]
}

fn agent_facts(trunk: &Trunk) -> Vec<Fact> {
    let settings = &trunk.settings;
    let mut facts = vec![fact("Agent", agent(trunk))];
    if let Some(place) = place_of(trunk) {
        facts.push(fact("Address", place));
    }
    let texts = [("Model", &settings.model), ("Voice", &settings.voice_id), ("Greeting", &settings.greeting)];
    for (name, text) in texts {
        if let Some(text) = text {
            facts.push(fact(name, visible_lines(text)));
        }
    }
    for (name, value) in &settings.metadata {
        facts.push(Fact {
            note: "metadata".to_owned(),
            ..fact("", format!("{}: {}", visible(name), visible(value)))
        });
    }
    facts
}

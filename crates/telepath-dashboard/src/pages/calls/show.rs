//! One call: what happened, from the verdict down to every count.

mod events;
mod figures;
mod signalling;
mod turns;

use askama::Template;
use http::StatusCode;
use telepath_core::call::{CallDetails, CallStatus};
use telepath_core::id::CallId;
use telepath_core::scope::Scope;
use telepath_store::SignedIn;

use super::verdict::{Part, Tone, Verdict};
use super::words::{StatusChip, how_it_ended};
use super::{NONE, crumbs, path_of};
use crate::chart::Chart;
use crate::chart::lanes::{Lanes, rows};
use crate::icon::{self, Icon};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::Outcome;
use crate::shell::Shell;
use crate::time::{Shown, length};
use crate::visible::visible;
use crate::visit::Visit;
use events::EventRow;
use figures::{Fact, Figure, Line};
use signalling::Signalling;
use turns::Turns;

#[derive(Template)]
#[template(path = "pages/call.html")]
struct Page {
    shell: Shell,
    done: Option<&'static str>,
    path: String,
    from: String,
    to: String,
    chip: StatusChip,
    started: Shown,
    zone: String,
    /// Length and end, after the start.
    outcome: String,
    is_live: bool,
    verdict: Verdict,
    badge: (&'static str, Icon),
    figures: Vec<Figure>,
    chart: Option<Chart>,
    view: View,
    turns: Turns,
    facts: Vec<Fact>,
    line: Option<Line>,
    signalling: Option<Signalling>,
    events: Vec<EventRow>,
    kept_until: Option<Shown>,
    can_change: bool,
}

/// The chart as a picture or as a table, and the address of the other.
struct View {
    /// Every turn, if the table was asked for.
    table: Option<Vec<[String; 5]>>,
    link: String,
}

impl View {
    fn of(visit: &Visit, details: &CallDetails, path: &str) -> Self {
        let as_table = visit.query.text("as") == "table";
        let link = if as_table { path.to_owned() } else { format!("{path}?as=table") };
        Self { table: as_table.then(|| rows(&details.turns)), link }
    }
}

/// Statements: one for the call, one for the name of its connection, three for its events.
pub(super) async fn show(visit: Visit, caller: SignedIn) -> Outcome {
    let id: CallId = visit.id_in_path(NONE)?;
    let account = caller.session.account;
    let details = visit.store().get_call(account, id).await?.ok_or(Problem::NotFound(NONE))?;
    let names = visit.store().trunks_by_name(account).await?;
    let events = visit.store().call_events(account, id).await?;
    let call = &details.call;
    let zone = visit.zone_of(&caller);
    let (from, to) = (visible(call.from.as_str()), visible(call.to.as_str()));
    let verdict = Verdict::of(&details);
    let scopes = caller.role.scopes();
    let can_resend = scopes.allows(Scope::WebhooksWrite);
    let is_live = call.status == CallStatus::Connected;
    let name = names.into_iter().find(|trunk| trunk.id == call.trunk_id);
    let kept = visit.shared.options.calls_kept.filter(|_| !is_live);
    Reply::page(&Page {
        shell: Shell::new(&visit, &caller, crumbs(), &format!("{from} → {to}")).await?,
        done: match visit.query.get("done") {
            Some("hung-up") => Some("The call is being ended. Load the page again to see its record."),
            Some("resent") => Some("The event is being sent again."),
            Some(_) | None => None,
        },
        path: path_of(id),
        from,
        to,
        chip: StatusChip::of(call.status),
        started: zone.shown_second(call.start_time),
        zone: zone.abbreviation(call.start_time),
        outcome: outcome(&details),
        is_live,
        badge: badge(verdict.tone),
        verdict,
        figures: figures::figures(&details),
        chart: (!details.turns.is_empty())
            .then(|| Lanes { turns: &details.turns, length_ms: figures::talk_ms(call) }.draw()),
        view: View::of(&visit, &details, &path_of(id)),
        turns: Turns::of(&details, &visit.query, &path_of(id)),
        facts: figures::facts(&details, name.as_ref()),
        line: figures::line(&details),
        signalling: Signalling::of(&details, &events),
        events: events.iter().map(|event| EventRow::of(event, &zone, visit.now, can_resend)).collect(),
        kept_until: kept.map(|kept| zone.shown(call.start_time.plus(kept))),
        can_change: scopes.allows(Scope::CallsWrite),
    })
}

fn outcome(details: &CallDetails) -> String {
    let call = &details.call;
    let ended = call.disconnect_reason.map(how_it_ended).unwrap_or_default();
    let parts = [
        call.answer_time.map(|_| length(call.duration_seconds.into())),
        (!ended.is_empty()).then(|| ended.to_owned()),
    ];
    parts.into_iter().flatten().fold(String::new(), |text, part| format!("{text} · {part}"))
}

const fn badge(tone: Tone) -> (&'static str, Icon) {
    match tone {
        Tone::Good => ("badge-ok", icon::CIRCLE_CHECK),
        Tone::Attention => ("badge-warn", icon::WARNING),
        Tone::Bad => ("badge-bad", icon::CIRCLE_ALERT),
        Tone::Neutral => ("badge-info", icon::INFO),
    }
}

/// The SIP messages of a call as they are recorded: without credentials and digits.
pub(super) async fn trace(visit: Visit, caller: SignedIn) -> Outcome {
    let id: CallId = visit.id_in_path(NONE)?;
    let found = visit.store().get_call(caller.session.account, id).await?;
    let details = found.ok_or(Problem::NotFound(NONE))?;
    Ok(Reply::plain(StatusCode::OK, details.sip_trace))
}

//! `/alerts/{id}`: one alert with what was measured, and its acknowledgement.

use std::time::Duration;

use askama::Template;
use http::StatusCode;
use serde_json::Value;
use telepath_core::account::Actor;
use telepath_core::alert::{Alert, AlertSubject, MAX_NOTE};
use telepath_core::clock::Timestamp;
use telepath_core::id::AlertId;
use telepath_core::scope::Scope;
use telepath_core::usage::UsageSpan;
use telepath_core::validation::bounded_text;
use telepath_store::SignedIn;

use super::advice::{self, Step};
use super::{Subject, chip_of};
use crate::chart::Chart;
use crate::chip::Chip;
use crate::form::{Problems, encoded};
use crate::pages::usage_chart::{self, Slots};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::Outcome;
use crate::shell::{Crumb, Shell};
use crate::time::{Shown, relative};
use crate::visit::Visit;

const NONE: &str = "This alert does not exist";
/// The most characters of a figure that are shown.
const FIGURE: usize = 300;

/// What was measured.
struct Figure {
    name: String,
    value: String,
}

/// Who acknowledged an alert, when, and why.
struct Done {
    by: String,
    at: Shown,
    note: Option<String>,
}

#[derive(Template)]
#[template(path = "pages/alert.html")]
struct Page {
    shell: Shell,
    id: AlertId,
    chip: Chip,
    subject: Subject,
    message: String,
    rule: &'static str,
    condition: String,
    raised: Shown,
    ago: String,
    figures: Vec<Figure>,
    advice: &'static str,
    steps: Vec<Step>,
    chart: Option<Chart>,
    as_table: bool,
    other_form: String,
    acknowledged: Option<Done>,
    may_acknowledge: bool,
    note: String,
    problems: Problems,
    zone: String,
}

pub(super) async fn show(visit: Visit, caller: SignedIn) -> Outcome {
    let alert = find(&visit, &caller).await?;
    page(&visit, &caller, alert, String::new(), Problems::default()).await
}

async fn find(visit: &Visit, caller: &SignedIn) -> Result<Alert, Problem> {
    let id: AlertId = visit.id_in_path(NONE)?;
    visit.store().get_alert(caller.session.account, id).await?.ok_or(Problem::NotFound(NONE))
}

/// Reads from the store: the alert (1), the requests of its key (1), the name of who acknowledged it (1).
async fn page(
    visit: &Visit,
    caller: &SignedIn,
    alert: Alert,
    note: String,
    problems: Problems,
) -> Result<Reply, Problem> {
    let zone = visit.zone_of(caller);
    let acknowledged = match &alert.acknowledged {
        Some(done) => Some(Done {
            by: actor_name(visit, caller, done.by).await?,
            at: zone.shown(done.at),
            note: done.note.clone(),
        }),
        None => None,
    };
    let path = format!("/alerts/{}", alert.id);
    let as_table = visit.query.get("as") == Some("table");
    let settings = visit.store().alert_settings();
    Reply::page(&Page {
        shell: Shell::new(visit, caller, vec![Crumb::page("Alerts", "/alerts")], alert.rule.name()).await?,
        id: alert.id,
        chip: chip_of(alert.severity),
        subject: Subject::of(&alert),
        rule: alert.rule.name(),
        condition: alert.rule.condition(settings).unwrap_or_default(),
        raised: zone.shown_second(alert.raised_at),
        ago: relative(alert.raised_at, visit.now),
        figures: alert.figures.iter().map(|(name, value)| figure(name, value)).collect(),
        advice: alert.rule.advice(),
        steps: advice::steps(&alert),
        chart: chart(visit, caller, &alert).await?,
        as_table,
        other_form: if as_table { path } else { format!("{path}?as=table") },
        may_acknowledge: acknowledged.is_none() && caller.role.scopes().allows(Scope::KeysWrite),
        acknowledged,
        note,
        problems,
        message: alert.message,
        zone: zone.abbreviation(visit.now),
    })
}

async fn actor_name(visit: &Visit, caller: &SignedIn, actor: Actor) -> Result<String, Problem> {
    let id = actor.to_string();
    let names = visit.store().names(caller.session.account, std::slice::from_ref(&id)).await?;
    Ok(names.get(&id).map_or(id, |named| named.name.clone()))
}

fn figure(name: &str, value: &Value) -> Figure {
    let text: String = shown(value).chars().take(FIGURE).collect();
    Figure { name: name.replace('_', " "), value: text }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(", "),
        Value::Number(number) => number.as_u64().map_or_else(|| number.to_string(), crate::number::grouped),
        Value::Bool(_) | Value::Object(_) => value.to_string(),
    }
}

/// The requests of the key in the hour around the alert, or in two days around it once minutes are not kept any more.
async fn chart(visit: &Visit, caller: &SignedIn, alert: &Alert) -> Result<Option<Chart>, Problem> {
    let AlertSubject::Key(key) = alert.subject else { return Ok(None) };
    let has_minutes = visit.now.since(alert.raised_at) < Duration::from_hours(46);
    let (span, before, after) = if has_minutes {
        (UsageSpan::Minute, Duration::from_mins(45), Duration::from_mins(15))
    } else {
        (UsageSpan::Hour, Duration::from_hours(36), Duration::from_hours(12))
    };
    let start = span.start_of(alert.raised_at.minus(before));
    let end = span.start_of(alert.raised_at.plus(after)).plus(span.length());
    let usage = visit.store().usage_of_keys(caller.session.account, &[key], span, start, end).await?;
    let Some(rows) = usage.get(&key) else { return Ok(None) };
    let link = |from: Timestamp, to: Timestamp| {
        let (from, to) = (encoded(&from.to_string()), encoded(&to.to_string()));
        format!("/requests?key_id={key}&start_date={from}&end_date={to}")
    };
    let (slots, zone) = (Slots { start, end, length: span.length() }, visit.zone_of(caller));
    let title = format!("Requests of {}", alert.name);
    Ok(Some(usage_chart::draw("usage", &title, rows, slots, &zone, &link)))
}

pub(super) async fn acknowledge(visit: Visit, caller: SignedIn) -> Outcome {
    let id: AlertId = visit.id_in_path(NONE)?;
    let typed = visit.form.text("note").replace("\r\n", "\n");
    let note = match typed.trim() {
        "" => None,
        text => match bounded_text(text.to_owned(), 1, MAX_NOTE, &['\n', '\t']) {
            Ok(note) => Some(note),
            Err(problem) => {
                let alert = find(&visit, &caller).await?;
                let problems = Problems::one("note", format!("The note {problem}"));
                let reply = page(&visit, &caller, alert, typed, problems).await?;
                return Ok(reply.status(StatusCode::UNPROCESSABLE_ENTITY));
            }
        },
    };
    let (account, origin) = (caller.session.account, visit.change_by(&caller));
    visit.store().acknowledge_alert(account, id, note, origin).await?.ok_or(Problem::NotFound(NONE))?;
    Ok(Reply::see_other("/alerts?done=acknowledged"))
}

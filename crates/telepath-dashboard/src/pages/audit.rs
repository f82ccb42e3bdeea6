//! `/audit`: who changed what, from where and when, and whether the trail is intact.

mod check;
mod export;
mod sentence;

use std::collections::BTreeSet;

use askama::Template;
use http::{Method, StatusCode};
use serde_json::Value;
use telepath_core::account::Actor;
use telepath_core::audit::{AuditAction, AuditFilter, AuditRecord, TRAIL_ORDER};
use telepath_core::clock::Timestamp;
use telepath_core::date::{DayEdge, parse_date};
use telepath_core::id::AuditId;
use telepath_core::page::{Page as ListPage, PagePosition, Total};
use telepath_core::scope::Scope;
use telepath_core::user::Email;
use telepath_store::{Names, SignedIn};

use crate::form::{Fields, Problems, encoded};
use crate::icon;
use crate::navigation::{Entry, Group};
use crate::number::counted;
use crate::object::page_of;
use crate::pager::Place;
use crate::pages::export::{self as exports, FormatLink};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::{Outcome, Route};
use crate::shell::Shell;
use crate::time::{Shown, Zone, relative};
use crate::visit::Visit;

use check::Chain;
pub(crate) use sentence::phrase;

pub(crate) const ENTRY: Entry = Entry {
    group: Group::Activity,
    place: 3,
    label: "Audit",
    path: "/audit",
    shortcut: 'a',
    icon: icon::AUDIT,
    scope: Scope::AuditRead,
};

/// Entries on a page.
const PAGE: u32 = 25;
/// The longest id that a change can be of, in bytes, and more.
const LONGEST_TARGET: usize = 128;
/// The most characters of a value that are shown.
const VALUE: usize = 400;

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::scoped(Method::GET, "/audit", Scope::AuditRead, list),
        Route::scoped(Method::GET, export::PATH, Scope::AuditRead, export::download),
        Route::scoped(Method::POST, "/audit/check", Scope::AuditRead, check::check),
    ]
}

/// A member of what was changed, before and after.
struct Change {
    member: String,
    before: String,
    after: String,
}

/// Somebody or something that a sentence names.
struct Part {
    name: String,
    path: Option<String>,
}

/// An entry of the list.
struct Row {
    position: String,
    actor: Part,
    phrase: String,
    /// What it was done to; `None` where the phrase says so.
    target: Option<Part>,
    /// What follows the target, such as from which value to which.
    rest: String,
    action: &'static str,
    target_id: String,
    address: String,
    at: Shown,
    ago: String,
    changes: Vec<Change>,
}

#[derive(Template)]
#[template(path = "pages/audit.html")]
struct Page {
    shell: Shell,
    chain: Option<Chain>,
    exports: [FormatLink; 2],
    form: Form,
    actions: &'static [AuditAction],
    problems: Problems,
    rows: Vec<Row>,
    total: Option<String>,
    newer: Option<String>,
    older: Option<String>,
    zone: String,
}

/// The filters as they were written.
struct Form {
    actor: String,
    action: String,
    target: String,
    start_date: String,
    end_date: String,
}

impl Form {
    fn read(query: &Fields) -> Self {
        let text = |name: &str| {
            let text = query.text(name).trim();
            text[..text.floor_char_boundary(LONGEST_TARGET)].to_owned()
        };
        Self {
            actor: text("actor"),
            action: text("action"),
            target: text("target"),
            start_date: text("start_date"),
            end_date: text("end_date"),
        }
    }

    fn fields(&self) -> [(&'static str, &str); 5] {
        [
            ("actor", &self.actor),
            ("action", &self.action),
            ("target", &self.target),
            ("start_date", &self.start_date),
            ("end_date", &self.end_date),
        ]
    }

    fn is_empty(&self) -> bool {
        self.fields().iter().all(|(_, value)| value.is_empty())
    }

    /// The address of the list with these filters.
    fn path(&self) -> String {
        let fields = self.fields().into_iter().filter(|(_, value)| !value.is_empty());
        let fields: Vec<String> = fields.map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        if fields.is_empty() { "/audit".to_owned() } else { format!("/audit?{}", fields.join("&")) }
    }
}

/// Reads from the store: the actor that an address names (at most 2), the entries (1, and their number), the names (1).
async fn list(visit: Visit, caller: SignedIn) -> Outcome {
    let form = Form::read(&visit.query);
    let (place, request) = Place::read::<AuditId>(&visit.query, Some(TRAIL_ORDER), PAGE);
    let account = caller.session.account;
    let (filter, problems) = filter_of(&visit, &caller, &form).await?;
    let (page, status) = match filter {
        Some(filter) => (visit.store().list_audit(account, filter, request).await?, StatusCode::OK),
        None => (nothing(), StatusCode::UNPROCESSABLE_ENTITY),
    };
    let names = visit.store().names(account, &ids_of(&page.items)).await?;
    let zone = visit.zone_of(&caller);
    let total = page.position.total.map(|total| {
        let more = if total.is_lower_bound { "More than " } else { "" };
        format!("{more}{}", counted(total.count, "entry", "entries"))
    });
    let address = form.path();
    let shown = Page {
        shell: Shell::new(&visit, &caller, Vec::new(), "Audit").await?,
        chain: visit.shared.checks.last(account).map(|(at, report)| Chain::of(at, &report, &zone, visit.now)),
        exports: exports::links(export::PATH, &address),
        newer: place.newer(&address),
        older: place.older(&address, page.position.next.as_ref()),
        rows: page.items.into_iter().map(|entry| row(entry, &names, &zone, visit.now)).collect(),
        actions: AuditAction::ALL,
        form,
        problems,
        total,
        zone: zone.abbreviation(visit.now),
    };
    Ok(Reply::page(&shown)?.status(status))
}

fn nothing() -> ListPage<AuditRecord> {
    let total = Some(Total { count: 0, is_lower_bound: false });
    ListPage { items: Vec::new(), position: PagePosition { limit: PAGE, offset: 0, total, next: None } }
}

/// The filter of the store; `None` with what is wrong with it.
async fn filter_of(
    visit: &Visit,
    caller: &SignedIn,
    form: &Form,
) -> Result<(Option<AuditFilter>, Problems), Problem> {
    let mut problems = Problems::default();
    let time = |name: &'static str, text: &str, edge: DayEdge, problems: &mut Problems| {
        let parsed = (!text.is_empty()).then(|| parse_date(text, edge))?;
        if parsed.is_err() {
            let example = "Write a date such as 2026-11-30, or a time such as 2026-11-30T12:05:00Z";
            problems.add(name, example);
        }
        parsed.ok()
    };
    let action = AuditAction::from_name(&form.action);
    if action.is_none() && !form.action.is_empty() {
        problems.add("action", "There is no such action");
    }
    let actor = actor_named(visit, caller, &form.actor).await?;
    if actor.is_none() && !form.actor.is_empty() {
        problems
            .add("actor", "Write the email address of a member, the id of a key or user, local or system");
    }
    let filter = AuditFilter {
        actor,
        action,
        target: (!form.target.is_empty()).then(|| form.target.clone()),
        start: time("start_date", &form.start_date, DayEdge::First, &mut problems),
        end: time("end_date", &form.end_date, DayEdge::Last, &mut problems),
    };
    Ok((problems.is_empty().then_some(filter), problems))
}

async fn actor_named(visit: &Visit, caller: &SignedIn, text: &str) -> Result<Option<Actor>, Problem> {
    if let Ok(actor) = text.parse() {
        return Ok(Some(actor));
    }
    let Ok(email) = text.parse::<Email>() else { return Ok(None) };
    let Some(user) = visit.store().find_user(&email).await? else { return Ok(None) };
    // The address of somebody who belongs to another account must not be told from one that nobody has.
    let member = visit.store().get_member(caller.session.account, user.id).await?;
    Ok(member.map(|_| Actor::User(user.id)))
}

fn ids_of(entries: &[AuditRecord]) -> Vec<String> {
    let ids = entries.iter().flat_map(|entry| [entry.origin.actor.to_string(), entry.target.clone()]);
    ids.collect::<BTreeSet<_>>().into_iter().collect()
}

fn part(id: &str, names: &Names) -> Part {
    let name = names.get(id).map_or_else(|| id.to_owned(), |named| named.name.clone());
    Part { name, path: page_of(id).map(|(_, path)| path) }
}

fn actor(actor: Actor, names: &Names) -> Part {
    match actor {
        Actor::Key(_) | Actor::User(_) => part(&actor.to_string(), names),
        Actor::Local { uid: None } => Part { name: "Local administration".to_owned(), path: None },
        Actor::Local { uid: Some(uid) } => {
            Part { name: format!("Local administration (uid {uid})"), path: None }
        }
        Actor::System => Part { name: "The server".to_owned(), path: None },
    }
}

fn row(entry: AuditRecord, names: &Names, zone: &Zone, now: Timestamp) -> Row {
    let changes = changes(&entry.before, &entry.after);
    let (phrase, has_target) = phrase(entry.action.name());
    Row {
        position: crate::number::grouped(entry.position),
        actor: actor(entry.origin.actor, names),
        rest: sentence::rest(
            &changes
                .iter()
                .map(|change| (change.member.as_str(), change.before.as_str(), change.after.as_str()))
                .collect::<Vec<_>>(),
        ),
        target: has_target.then(|| part(&entry.target, names)),
        phrase,
        action: entry.action.name(),
        address: entry.origin.address.map_or_else(String::new, |address| address.to_string()),
        at: zone.shown_second(entry.origin.at),
        ago: relative(entry.origin.at, now),
        target_id: entry.target,
        changes,
    }
}

/// Every member of both sides.
fn changes(before: &Value, after: &Value) -> Vec<Change> {
    let members = |side: &Value| side.as_object().map(|side| side.keys().cloned().collect::<Vec<_>>());
    let all: BTreeSet<String> = [before, after].into_iter().filter_map(members).flatten().collect();
    let value = |side: &Value, member: &str| side.get(member).map_or_else(|| "–".to_owned(), shown);
    let change =
        |member: String| Change { before: value(before, &member), after: value(after, &member), member };
    all.into_iter().map(change).collect()
}

fn shown(value: &Value) -> String {
    let text = match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.as_u64().map_or_else(|| number.to_string(), crate::number::grouped),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Array(_) | Value::Object(_) => value.to_string(),
    };
    if text.chars().count() > VALUE { text.chars().take(VALUE).chain(['…']).collect() } else { text }
}

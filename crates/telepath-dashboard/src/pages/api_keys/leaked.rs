//! The guide through the response to a leaked key. Its progress follows from what happened, so anyone on the team can continue.

mod report;
mod steps;

use askama::Template;
use http::StatusCode;
use telepath_core::clock::Timestamp;
use telepath_core::id::KeyId;
use telepath_core::key::{KeyFilter, KeyRecord, KeySort};
use telepath_core::page::{MAX_LIMIT, PageRequest};
use telepath_core::scope::Scope;
use telepath_core::validation::bounded_text;
use telepath_store::{LeakResponse, SignedIn};

use super::people::{names, who};
use super::rotate::graces;
use super::{NOT_FOUND, crumbs, may_change, path_of};
use crate::form::Problems;
use crate::intent;
use crate::mark::Mark;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::Outcome;
use crate::shell::Shell;
use crate::time::{Shown, Zone};
use crate::visit::Visit;
use steps::Step;

pub(super) const PATH: &str = "/settings/api-keys/leaked";
/// How long before its leak a key is thought to have been good, until somebody says otherwise.
const GOOD_BEFORE: std::time::Duration = std::time::Duration::from_hours(7 * 24);
/// The most characters of a reason.
const REASON: usize = 500;

/// The path of the guide of a key.
pub(super) fn path_for(key: KeyId) -> String {
    format!("{PATH}?key={key}")
}

#[derive(Template)]
#[template(path = "pages/leaked.html")]
struct Page {
    shell: Shell,
    problems: Problems,
    mark: Mark,
    key: String,
    key_path: String,
    name: String,
    started: Shown,
    by: String,
    steps: Vec<Step>,
    done: usize,
    may_change: bool,
    intent: String,
    graces: Vec<(u32, &'static str, bool)>,
    /// The last day on which the key was good, and the first and last that can be chosen.
    since: String,
    first: String,
    today: String,
    reason: String,
    zone: String,
}

/// The page before the guide of a key is started, or without a key.
#[derive(Template)]
#[template(path = "pages/leaked_start.html")]
struct StartPage {
    shell: Shell,
    /// The key that is asked for.
    chosen: Option<Choice>,
    /// The keys that work, the most recently used first.
    keys: Vec<Choice>,
    guides: Vec<Started>,
    may_start: bool,
}

struct Choice {
    id: String,
    name: String,
    mask: String,
}

struct Started {
    path: String,
    mark: Mark,
    name: String,
    at: Shown,
    by: String,
}

fn choice(key: &KeyRecord) -> Choice {
    Choice { id: key.id.to_string(), name: key.name.clone(), mask: super::mask_of(key).to_owned() }
}

/// The key that the address or the form names.
async fn key_named(visit: &Visit, caller: &SignedIn) -> Result<KeyRecord, Problem> {
    let text = visit.form.get("key").or_else(|| visit.query.get("key")).unwrap_or_default();
    let id: KeyId = text.trim().parse().map_err(|_| Problem::NotFound(NOT_FOUND))?;
    visit.store().get_key(caller.session.account, id).await?.ok_or(Problem::NotFound(NOT_FOUND))
}

/// The key that the form names, if the user may change it.
async fn changeable(visit: &Visit, caller: &SignedIn) -> Result<KeyRecord, Problem> {
    let key = key_named(visit, caller).await?;
    if may_change(caller, &key) { Ok(key) } else { Err(Problem::Forbidden) }
}

/// From when on the use of the key is reviewed: the day after the last good one, as the form or the address says it.
fn since(visit: &Visit, zone: &Zone, key: &KeyRecord) -> Timestamp {
    let day = visit.form.get("since").or_else(|| visit.query.get("since")).unwrap_or_default();
    let leaked_at = key.revocation.as_ref().map_or(visit.now, |revocation| revocation.at);
    let usual = zone.start_of_day(&zone.date_field(leaked_at.minus(GOOD_BEFORE)));
    let start = zone.start_of_day(day).filter(|start| *start <= visit.now).or(usual);
    start.unwrap_or(leaked_at).max(key.created_at)
}

pub(super) async fn show(visit: Visit, caller: SignedIn) -> Outcome {
    if visit.query.text("key").is_empty() {
        return start_page(&visit, &caller, None).await;
    }
    let key = key_named(&visit, &caller).await?;
    page(&visit, &caller, &key, Problems::default()).await
}

/// Reads the key (2), what happened since the leak (5 and the request log), and names (1).
async fn page(
    visit: &Visit,
    caller: &SignedIn,
    key: &KeyRecord,
    problems: Problems,
) -> Result<Reply, Problem> {
    let zone = visit.zone_of(caller);
    let since = since(visit, &zone, key);
    let Some(response) = visit.store().leak_response(key, since).await? else {
        return start_page(visit, caller, Some(key)).await;
    };
    let names = names_of(visit, caller, &response).await?;
    let facts = steps::Facts { key, response: &response, names: &names, since, now: visit.now, zone: &zone };
    let steps = facts.steps();
    Reply::page(&Page {
        shell: Shell::new(visit, caller, crumbs(), "Leaked key").await?,
        problems,
        mark: Mark::of(key.id),
        key: key.id.to_string(),
        key_path: path_of(key.id),
        name: key.name.clone(),
        started: zone.shown(response.guide.started_at),
        by: starter(&response, &names),
        done: steps.iter().filter(|step| step.done).count(),
        steps,
        may_change: may_change(caller, key),
        intent: intent::new(visit)?,
        graces: graces(0),
        since: zone.date_field(since),
        first: zone.date_field(key.created_at),
        today: zone.date_field(visit.now),
        reason: visit.form.text("reason").to_owned(),
        zone: zone.abbreviation(visit.now),
    })
}

async fn names_of(
    visit: &Visit,
    caller: &SignedIn,
    response: &LeakResponse,
) -> Result<telepath_store::Names, Problem> {
    let guide = &response.guide;
    let said = [guide.review.map(|review| review.by), guide.kept.as_ref().map(|kept| kept.by)];
    let actors = said.into_iter().flatten().chain([guide.started_by]);
    let targets = response.reviewed.changes.iter().map(|change| change.target.clone());
    names(visit, caller, actors, targets).await
}

/// Who started the guide, within a sentence.
fn starter(response: &LeakResponse, names: &telepath_store::Names) -> String {
    match response.guide.started_by {
        telepath_core::account::Actor::System => "a leak report".to_owned(),
        actor => who(actor, names),
    }
}

/// Reads the keys (2), the guides (1), and who started them (1).
async fn start_page(visit: &Visit, caller: &SignedIn, key: Option<&KeyRecord>) -> Result<Reply, Problem> {
    let (account, zone) = (caller.session.account, visit.zone_of(caller));
    let filter = KeyFilter { ended: Some(false), sort: KeySort::LastUsedAt, ..KeyFilter::default() };
    let page = PageRequest::new(MAX_LIMIT, 0).unwrap_or_default();
    let keys = visit.store().list_keys(account, filter, page).await?.items;
    let guides = visit.store().leak_guides(account).await?;
    let names = names(visit, caller, guides.iter().map(|guide| guide.started_by), []).await?;
    let started = guides.into_iter().map(|guide| Started {
        path: path_for(guide.key),
        mark: Mark::of(guide.key),
        at: zone.shown(guide.started_at),
        by: who(guide.started_by, &names),
        name: guide.name,
    });
    Reply::page(&StartPage {
        shell: Shell::new(visit, caller, crumbs(), "Leaked key").await?,
        chosen: key.map(choice),
        keys: keys.iter().filter(|key| may_change(caller, key)).map(choice).collect(),
        guides: started.collect(),
        may_start: match key {
            Some(key) => may_change(caller, key),
            None => caller.role.scopes().allows(Scope::KeysWrite),
        },
    })
}

pub(super) async fn start(visit: Visit, caller: SignedIn) -> Outcome {
    let key = changeable(&visit, &caller).await?.id;
    visit.store().start_leak_guide(caller.session.account, key, visit.change_by(&caller)).await?;
    Ok(Reply::see_other(path_for(key)))
}

pub(super) async fn review(visit: Visit, caller: SignedIn) -> Outcome {
    let key = changeable(&visit, &caller).await?;
    let since = since(&visit, &visit.zone_of(&caller), &key);
    let (account, origin) = (caller.session.account, visit.change_by(&caller));
    visit.store().review_leaked_key(account, key.id, since, origin).await?;
    Ok(Reply::see_other(path_for(key.id)))
}

/// Keeps the provider credentials, for a reason.
pub(super) async fn keep(visit: Visit, caller: SignedIn) -> Outcome {
    let key = changeable(&visit, &caller).await?;
    let Ok(reason) = bounded_text(visit.form.text("reason").trim().to_owned(), 1, REASON, &[]) else {
        let problem = format!("Enter a reason of up to {REASON} characters on one line");
        let reply = page(&visit, &caller, &key, Problems::one("reason", problem)).await?;
        return Ok(reply.status(StatusCode::UNPROCESSABLE_ENTITY));
    };
    let (account, origin) = (caller.session.account, visit.change_by(&caller));
    visit.store().keep_leaked_credentials(account, key.id, reason, origin).await?;
    Ok(Reply::see_other(path_for(key.id)))
}

/// What was done about the leak, for the records of its owner.
pub(super) async fn report(visit: Visit, caller: SignedIn) -> Outcome {
    let key = key_named(&visit, &caller).await?;
    let zone = visit.zone_of(&caller);
    let since = since(&visit, &zone, &key);
    let response = visit.store().leak_response(&key, since).await?.ok_or(Problem::NotFound(NOT_FOUND))?;
    let names = names_of(&visit, &caller, &response).await?;
    let facts =
        steps::Facts { key: &key, response: &response, names: &names, since, now: visit.now, zone: &zone };
    let text = report::markdown(&facts, &starter(&response, &names), &caller.user.email.to_string());
    let name = format!("leak-{}.md", key.id.to_string().replace('_', "-"));
    Ok(Reply::file(name, "text/markdown; charset=utf-8", text.into()))
}

//! Creating and changing an endpoint.

use askama::Template;
use http::{Method, StatusCode};
use telepath_core::event::EventKind;
use telepath_core::event::family::EventFamily;
use telepath_core::patch::Patch;
use telepath_core::scope::Scope;
use telepath_core::webhook::{DEFAULT_IN_FLIGHT, Webhook, WebhookDraft, WebhookPatchDraft, WebhookUrl};
use telepath_store::{SignedIn, WebhookChangeError};

use super::{crumbs, path_of, secret, webhook_of};
use crate::form::{Fields, Problems, given, headers};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::{Outcome, Route};
use crate::shell::{Crumb, Shell};
use crate::visit::Visit;

pub(super) fn routes() -> Vec<Route> {
    const WRITE: Scope = Scope::WebhooksWrite;
    vec![
        Route::scoped(Method::GET, "/settings/webhooks/new", WRITE, show_new),
        Route::scoped(Method::POST, "/settings/webhooks/new", WRITE, create).confirmed(),
        Route::scoped(Method::GET, "/settings/webhooks/{id}/edit", WRITE, show_edit),
        Route::scoped(Method::POST, "/settings/webhooks/{id}/edit", WRITE, update),
    ]
}

/// What the form shows: what was typed, or what is stored.
struct Typed {
    url: String,
    description: String,
    events: Vec<String>,
    ca_pem: String,
    max_in_flight: String,
}

impl Typed {
    fn of(form: &Fields) -> Self {
        Self {
            url: form.text("url").to_owned(),
            description: form.text("description").to_owned(),
            events: form.all("events").map(str::to_owned).collect(),
            ca_pem: form.text("ca_pem").to_owned(),
            max_in_flight: form.text("max_in_flight").to_owned(),
        }
    }

    fn stored(webhook: &Webhook) -> Self {
        Self {
            url: webhook.url.as_str().to_owned(),
            description: webhook.description.clone().unwrap_or_default(),
            events: webhook.subscription.events.names(),
            ca_pem: webhook.ca_pem.clone().unwrap_or_default(),
            max_in_flight: webhook.max_in_flight.to_string(),
        }
    }
}

/// An event, or a family of events, that the form offers.
struct EventChoice {
    name: String,
    chosen: bool,
}

/// Events of one family.
struct EventGroup {
    all: EventChoice,
    kinds: Vec<EventChoice>,
}

#[derive(Template)]
#[template(path = "pages/webhook_edit.html")]
struct Page {
    shell: Shell,
    problems: Problems,
    heading: &'static str,
    action: String,
    cancel: String,
    is_new: bool,
    /// Whether headers are set, which are not shown.
    has_headers: bool,
    typed: Typed,
    every: EventChoice,
    groups: Vec<EventGroup>,
}

fn groups(chosen: &[String]) -> Vec<EventGroup> {
    let choice = |name: String| EventChoice { chosen: chosen.contains(&name), name };
    let group = |family: &EventFamily| {
        let prefix = format!("{}.", family.name());
        let kinds = EventKind::ALL.iter().map(|kind| kind.name()).filter(|name| name.starts_with(&prefix));
        EventGroup {
            all: choice(format!("{prefix}*")),
            kinds: kinds.map(|name| choice(name.to_owned())).collect(),
        }
    };
    EventFamily::ALL.iter().map(group).collect()
}

async fn page(
    visit: &Visit,
    caller: &SignedIn,
    webhook: Option<&Webhook>,
    typed: Typed,
    problems: Problems,
) -> Result<Reply, Problem> {
    let mut above = crumbs();
    if let Some(webhook) = webhook {
        above.push(Crumb::page(webhook.url.host(), path_of(webhook.id)));
    }
    let heading = if webhook.is_some() { "Edit the endpoint" } else { "Add a webhook endpoint" };
    let cancel = webhook.map_or_else(|| super::ENTRY.path.to_owned(), |webhook| path_of(webhook.id));
    Reply::page(&Page {
        shell: Shell::new(visit, caller, above, heading).await?,
        problems,
        heading,
        action: visit.path.clone(),
        cancel,
        is_new: webhook.is_none(),
        has_headers: webhook.is_some_and(|webhook| webhook.headers_at.is_some()),
        every: EventChoice { name: "*".to_owned(), chosen: typed.events.iter().any(|name| name == "*") },
        groups: groups(&typed.events),
        typed,
    })
}

async fn show_new(visit: Visit, caller: SignedIn) -> Outcome {
    let mut typed = Typed::of(&visit.form);
    typed.events.push("*".to_owned());
    typed.max_in_flight = DEFAULT_IN_FLIGHT.to_string();
    page(&visit, &caller, None, typed, Problems::default()).await
}

async fn show_edit(visit: Visit, caller: SignedIn) -> Outcome {
    let webhook = webhook_of(&visit, &caller).await?;
    page(&visit, &caller, Some(&webhook), Typed::stored(&webhook), Problems::default()).await
}

fn in_flight(form: &Fields, problems: &mut Problems) -> Option<u32> {
    let text = form.text("max_in_flight").trim();
    if text.is_empty() {
        return None;
    }
    text.parse().map_err(|_| problems.add("max_in_flight", "Must be a whole number")).ok()
}

/// Refuses what the server must not connect to, and certificates that it could not use.
fn check_destination(visit: &Visit, url: Option<&WebhookUrl>, pem: Option<&str>) -> Problems {
    let mut problems = Problems::default();
    let rules = &visit.shared.destinations;
    if let Some(Err(problem)) = url.map(|url| rules.check_webhook_url(url)) {
        problems.add("url", problem);
    }
    if let Some(Err(problem)) = pem.map(|pem| rules.check_authorities(pem)) {
        problems.add("ca_pem", problem);
    }
    problems
}

/// The events that are chosen; all of them include every other.
fn events(form: &Fields) -> Vec<String> {
    if form.all("events").any(|name| name == "*") {
        return vec!["*".to_owned()];
    }
    form.all("events").map(str::to_owned).collect()
}

async fn create(visit: Visit, caller: SignedIn) -> Outcome {
    let problems = match try_create(&visit, &caller).await? {
        Ok(reply) => return Ok(reply),
        Err(problems) => problems,
    };
    let reply = page(&visit, &caller, None, Typed::of(&visit.form), problems).await?;
    Ok(reply.status(StatusCode::UNPROCESSABLE_ENTITY))
}

/// Creates the endpoint; the inner error is what the form must correct.
async fn try_create(visit: &Visit, caller: &SignedIn) -> Result<Result<Reply, Problems>, Problem> {
    let (form, mut problems) = (&visit.form, Problems::default());
    let draft = WebhookDraft {
        url: given(form.text("url")),
        description: given(form.text("description")),
        events: Some(events(form)),
        signature: given(form.text("signature")),
        headers: Some(headers(form.text("headers"), "headers", &mut problems)),
        ca_pem: given(form.text("ca_pem")),
        max_in_flight: in_flight(form, &mut problems),
        ..WebhookDraft::default()
    };
    if !problems.is_empty() {
        return Ok(Err(problems));
    }
    let new = match draft.check() {
        Ok(new) => new,
        Err(invalid) => return Ok(Err(invalid.into())),
    };
    let refused = check_destination(visit, Some(&new.url), new.ca_pem.as_deref());
    if !refused.is_empty() {
        return Ok(Err(refused));
    }
    let made = visit.store().create_webhook(caller.session.account, new, visit.change_by(caller)).await;
    match made {
        Ok(made) => Ok(Ok(secret::page(visit, caller, &made, "Endpoint created.").await?)),
        Err(WebhookChangeError::Invalid(invalid)) => Ok(Err(invalid.into())),
        Err(error) => Err(error.into()),
    }
}

async fn update(visit: Visit, caller: SignedIn) -> Outcome {
    let webhook = webhook_of(&visit, &caller).await?;
    let problems = match try_update(&visit, &caller, &webhook).await? {
        Ok(reply) => return Ok(reply),
        Err(problems) => problems,
    };
    let reply = page(&visit, &caller, Some(&webhook), Typed::of(&visit.form), problems).await?;
    Ok(reply.status(StatusCode::UNPROCESSABLE_ENTITY))
}

async fn try_update(
    visit: &Visit,
    caller: &SignedIn,
    webhook: &Webhook,
) -> Result<Result<Reply, Problems>, Problem> {
    let (form, mut problems) = (&visit.form, Problems::default());
    let typed = headers(form.text("headers"), "headers", &mut problems);
    let clear = |text: &str| given(text).map_or(Patch::Clear, Patch::Set);
    let patch = WebhookPatchDraft {
        // Without a change of the URL, headers that are set stay valid.
        url: given(form.text("url")).filter(|url| url != webhook.url.as_str()),
        description: clear(form.text("description")),
        events: Some(events(form)),
        headers: match (form.is_checked("remove_headers"), typed.is_empty()) {
            (true, _) => Patch::Clear,
            (false, true) => Patch::Keep,
            (false, false) => Patch::Set(typed),
        },
        ca_pem: clear(form.text("ca_pem")),
        max_in_flight: in_flight(form, &mut problems),
        ..WebhookPatchDraft::default()
    };
    if !problems.is_empty() {
        return Ok(Err(problems));
    }
    let patch = match patch.check() {
        Ok(patch) => patch,
        Err(invalid) => return Ok(Err(invalid.into())),
    };
    let pem = match &patch.ca_pem {
        Patch::Set(pem) => Some(pem.as_str()),
        Patch::Clear | Patch::Keep => None,
    };
    let refused = check_destination(visit, patch.url.as_ref(), pem);
    if !refused.is_empty() {
        return Ok(Err(refused));
    }
    let (account, scopes, origin) = (caller.session.account, caller.role.scopes(), visit.change_by(caller));
    match visit.store().update_webhook(account, webhook.id, patch, scopes, origin).await {
        Ok(_) => Ok(Ok(Reply::see_other(format!("{}?done=saved", path_of(webhook.id))))),
        Err(WebhookChangeError::Invalid(invalid)) => Ok(Err(invalid.into())),
        Err(error) => Err(error.into()),
    }
}

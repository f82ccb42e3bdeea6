//! `/settings/webhooks`: the endpoints that events are sent to.

mod delivery;
mod edit;
mod figures;
mod receiver;
mod secret;
mod show;
mod status;

use askama::Template;
use http::Method;
use telepath_core::id::WebhookId;
use telepath_core::page::{CREATED_AT, Cursor, MAX_LIMIT, PageRequest, PageStart};
use telepath_core::scope::Scope;
use telepath_core::webhook::{DisabledReason, Webhook, WebhookStatus};
use telepath_store::{SignedIn, WebhookChangeError};

use crate::icon::{self, Icon};
use crate::navigation::{Entry, Group};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::{Outcome, Route};
use crate::shell::{Crumb, Shell};
use crate::time::relative;
use crate::visible::visible_lines;
use crate::visit::Visit;
use figures::Figures;

pub(crate) const ENTRY: Entry = Entry {
    group: Group::Settings,
    place: 2,
    label: "Webhooks",
    path: "/settings/webhooks",
    shortcut: 'w',
    icon: icon::WEBHOOKS,
    scope: Scope::WebhooksRead,
};

const UNKNOWN: &str = "This webhook endpoint does not exist";

pub(crate) fn routes() -> Vec<Route> {
    let mut routes = vec![Route::scoped(Method::GET, "/settings/webhooks", Scope::WebhooksRead, list)];
    routes.extend(edit::routes());
    routes.extend(show::routes());
    routes.extend(delivery::routes());
    routes
}

/// The breadcrumb of the pages below the list.
fn crumbs() -> Vec<Crumb> {
    vec![Crumb::group("Settings"), Crumb::page("Webhooks", ENTRY.path)]
}

fn path_of(id: WebhookId) -> String {
    format!("/settings/webhooks/{id}")
}

async fn webhook_of(visit: &Visit, caller: &SignedIn) -> Result<Webhook, Problem> {
    let id: WebhookId = visit.id_in_path(UNKNOWN)?;
    visit.store().get_webhook(caller.session.account, id).await?.ok_or(Problem::NotFound(UNKNOWN))
}

/// The state of an endpoint in words.
struct State {
    word: String,
    detail: String,
    class: &'static str,
    icon: Icon,
}

fn state_of(webhook: &Webhook, visit: &Visit) -> State {
    let since = webhook.health.failing_since;
    match (webhook.status, webhook.disabled_reason) {
        (WebhookStatus::Disabled, reason) => State {
            word: "Disabled".to_owned(),
            detail: match reason {
                Some(DisabledReason::Gone) => "It answered that it is gone (410)",
                Some(DisabledReason::Failing) => "Every delivery failed for days",
                Some(DisabledReason::Requested) | None => "Events are kept and not sent",
            }
            .to_owned(),
            class: if reason == Some(DisabledReason::Requested) { "" } else { "chip-bad" },
            icon: icon::PAUSE,
        },
        (WebhookStatus::Active, _) if since.is_some() => State {
            word: "Failing".to_owned(),
            detail: since.map_or_else(String::new, |at| format!("Since {}", relative(at, visit.now))),
            class: "chip-bad",
            icon: icon::WARNING,
        },
        (WebhookStatus::Active, _) => match webhook.limit.reduced {
            Some(limit) => State {
                word: "Slow".to_owned(),
                detail: format!("{limit} instead of {} at once", webhook.max_in_flight),
                class: "chip-warn",
                icon: icon::CLOCK,
            },
            None => State {
                word: "Healthy".to_owned(),
                detail: String::new(),
                class: "chip-ok",
                icon: icon::CHECK,
            },
        },
    }
}

/// An endpoint as the list shows it.
struct Row {
    path: String,
    url: String,
    description: String,
    events: String,
    state: State,
    figures: Figures,
}

#[derive(Template)]
#[template(path = "pages/webhooks.html")]
struct Page {
    shell: Shell,
    done: Option<&'static str>,
    may_change: bool,
    rows: Vec<Row>,
    /// What the figures leave out.
    partial: Option<String>,
    next: Option<String>,
    is_first: bool,
}

/// Queries: the endpoints with their public keys, how their deliveries went, what waits, and those of the shell.
async fn list(visit: Visit, caller: SignedIn) -> Outcome {
    let (page, is_first) = match visit.query.get("after") {
        None => (PageRequest::new(MAX_LIMIT, 0), true),
        Some(text) => {
            let cursor = Cursor::parse::<WebhookId>(text, Some(CREATED_AT));
            let cursor = cursor.map_err(|_| Problem::NotFound("This page of the list does not exist"))?;
            (PageRequest::starting(MAX_LIMIT, PageStart::After(cursor)), false)
        }
    };
    let found = visit.store().list_webhooks(caller.session.account, None, page.unwrap_or_default()).await?;
    let figures = visit.store().delivery_figures(caller.session.account, None).await?;
    let row = |webhook: &Webhook| Row {
        figures: Figures::of(&figures.of(webhook.id), visit.now),
        path: path_of(webhook.id),
        url: webhook.url.masked(),
        description: webhook.description.as_deref().map_or_else(String::new, visible_lines),
        events: events_in_words(webhook),
        state: state_of(webhook, &visit),
    };
    Reply::page(&Page {
        shell: Shell::new(&visit, &caller, vec![Crumb::group("Settings")], "Webhooks").await?,
        done: (visit.query.get("done") == Some("deleted"))
            .then_some("The endpoint is deleted. Nothing more is sent to it."),
        may_change: caller.role.scopes().allows(Scope::WebhooksWrite),
        partial: figures::partial(&figures),
        rows: found.items.iter().map(row).collect(),
        next: found.position.next.as_ref().map(|cursor| format!("{}?after={cursor}", ENTRY.path)),
        is_first,
    })
}

fn events_in_words(webhook: &Webhook) -> String {
    let names = webhook.subscription.events.names();
    if names.iter().any(|name| name == "*") { "All events".to_owned() } else { names.join(", ") }
}

/// What a form does not show beside one of its fields.
impl From<WebhookChangeError> for Problem {
    fn from(error: WebhookChangeError) -> Self {
        match error {
            WebhookChangeError::NotFound => Problem::NotFound(UNKNOWN),
            WebhookChangeError::DeliveryNotFound => Problem::NotFound("This delivery does not exist"),
            WebhookChangeError::TooManySecrets => Problem::Conflict(
                "Five secrets sign already. Wait until one ends, or rotate without a grace period."
                    .to_owned(),
            ),
            WebhookChangeError::Disabled => Problem::Conflict(
                "The endpoint is disabled, so nothing is sent to it. Enable it first.".to_owned(),
            ),
            WebhookChangeError::OutOfReach | WebhookChangeError::MissingScope(_) => Problem::Forbidden,
            WebhookChangeError::Invalid(problems) => Problem::Conflict(problems.to_string()),
            WebhookChangeError::Store(error) => error.into(),
        }
    }
}

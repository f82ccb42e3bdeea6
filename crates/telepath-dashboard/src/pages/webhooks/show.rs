//! One endpoint: its state, its deliveries, and what is done to it.

use std::time::Duration;

use askama::Template;
use http::Method;
use telepath_core::id::DeliveryId;
use telepath_core::page::{Cursor, PageRequest, PageStart};
use telepath_core::scope::Scope;
use telepath_core::webhook::delivery::DeliveryStatus;
use telepath_core::webhook::{MAX_GRACE_SECONDS, SignatureScheme, Webhook, WebhookPatch, WebhookStatus};
use telepath_store::{DeliveryFilter, DeliveryRecord, SignedIn};

use super::figures::{Figures, partial};
use super::status::chip;
use super::{State, crumbs, delivery, events_in_words, path_of, secret, state_of, webhook_of};
use crate::chip::Chip;
use crate::number::grouped;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::{Outcome, Route};
use crate::shell::Shell;
use crate::time::{Shown, Zone, relative};
use crate::visible::visible_lines;
use crate::visit::Visit;

/// Deliveries of a page.
const ROWS: u32 = 25;
/// The times since which deliveries are recovered, in hours, with their words.
const SINCE: [(u64, &str); 4] = [(1, "hour"), (24, "day"), (7 * 24, "7 days"), (30 * 24, "30 days")];
/// The grace periods that are offered, in seconds, with their words.
const GRACE: [(u32, &str); 4] = [(0, "Not at all"), (3600, "1 hour"), (86_400, "1 day"), (604_800, "7 days")];

pub(super) fn routes() -> Vec<Route> {
    const WRITE: Scope = Scope::WebhooksWrite;
    vec![
        Route::scoped(Method::GET, "/settings/webhooks/{id}", Scope::WebhooksRead, show),
        Route::scoped(Method::POST, "/settings/webhooks/{id}/rotate", WRITE, rotate).confirmed(),
        Route::scoped(Method::POST, "/settings/webhooks/{id}/status", WRITE, set_status),
        Route::scoped(Method::POST, "/settings/webhooks/{id}/delete", WRITE, delete),
        Route::scoped(Method::POST, "/settings/webhooks/{id}/test", WRITE, test),
        Route::scoped(Method::POST, "/settings/webhooks/{id}/recover", WRITE, recover),
    ]
}

/// A delivery as lists show it.
pub(super) struct DeliveryRow {
    pub(super) path: String,
    pub(super) event: &'static str,
    pub(super) status: Chip,
    /// Whether each attempt on record succeeded, the oldest first.
    pub(super) attempts: Vec<bool>,
    pub(super) count: u32,
    pub(super) shown: Shown,
    pub(super) next: String,
}

pub(super) fn row(record: &DeliveryRecord, visit: &Visit, zone: &Zone) -> DeliveryRow {
    DeliveryRow {
        path: delivery::path_of(record.id),
        event: record.kind.name(),
        status: chip(record.status),
        attempts: record.attempt_records.iter().map(|attempt| attempt.error.is_none()).collect(),
        count: record.attempts,
        shown: zone.shown(record.created_at),
        next: record.next_at.map_or_else(String::new, |at| relative(at, visit.now)),
    }
}

/// A filter by status.
struct Tab {
    label: &'static str,
    path: String,
    current: bool,
}

fn tabs(path: &str, chosen: Option<DeliveryStatus>) -> Vec<Tab> {
    let mut tabs = vec![Tab { label: "All", path: path.to_owned(), current: chosen.is_none() }];
    tabs.extend(DeliveryStatus::ALL.iter().map(|status| Tab {
        label: chip(*status).word,
        path: format!("{path}?status={}", status.name()),
        current: chosen == Some(*status),
    }));
    tabs
}

/// What would be sent again.
struct Recovery {
    hours: u64,
    words: &'static str,
    count: String,
    is_empty: bool,
}

#[derive(Template)]
#[template(path = "pages/webhook.html")]
struct Page {
    shell: Shell,
    done: Option<String>,
    may_change: bool,
    path: String,
    url: String,
    description: String,
    state: State,
    is_active: bool,
    events: String,
    trunks: usize,
    scheme: &'static str,
    public_keys: Vec<String>,
    headers_set: Option<Shown>,
    authorities: &'static str,
    max_in_flight: u32,
    shown_created: Shown,
    zone: String,
    tabs: Vec<Tab>,
    is_filtered: bool,
    deliveries: Vec<DeliveryRow>,
    older: Option<String>,
    /// The path of the first page, if this is a later one.
    newest: Option<String>,
    since: [(u64, &'static str); 4],
    grace: [(u32, &'static str); 4],
    recovery: Option<Recovery>,
    figures: Figures,
    partial: Option<String>,
}

/// Queries: the endpoint with its keys, its deliveries with their attempts, how they went, what waits, and those of the shell.
async fn show(visit: Visit, caller: SignedIn) -> Outcome {
    let webhook = webhook_of(&visit, &caller).await?;
    let path = path_of(webhook.id);
    let status = visit.query.get("status").and_then(DeliveryStatus::from_name);
    let filter = DeliveryFilter { status, ..DeliveryFilter::default() };
    let (page, is_first) = page_request(&visit)?;
    let found = visit.store().list_deliveries(caller.session.account, webhook.id, filter, page).await?;
    let figures = visit.store().delivery_figures(caller.session.account, Some(webhook.id)).await?;
    let zone = visit.zone_of(&caller);
    let filter_text = status.map_or_else(String::new, |status| format!("&status={}", status.name()));
    Reply::page(&Page {
        shell: Shell::new(&visit, &caller, crumbs(), webhook.url.host()).await?,
        done: done(&visit),
        may_change: caller.role.scopes().allows(Scope::WebhooksWrite),
        url: webhook.url.masked(),
        description: webhook.description.as_deref().map_or_else(String::new, visible_lines),
        state: state_of(&webhook, &visit),
        is_active: webhook.status == WebhookStatus::Active,
        events: events_in_words(&webhook),
        trunks: webhook.subscription.trunks.len(),
        scheme: match webhook.scheme {
            SignatureScheme::V1 => "HMAC-SHA-256 (v1)",
            SignatureScheme::V1a => "Ed25519 (v1a)",
        },
        public_keys: webhook.public_keys.clone(),
        headers_set: webhook.headers_at.map(|at| zone.shown(at)),
        authorities: if webhook.ca_pem.is_some() { "Its own" } else { "Those of the system" },
        max_in_flight: webhook.max_in_flight,
        shown_created: zone.shown_date(webhook.created_at),
        zone: zone.abbreviation(visit.now),
        tabs: tabs(&path, status),
        is_filtered: status.is_some(),
        deliveries: found.items.iter().map(|record| row(record, &visit, &zone)).collect(),
        older: found.position.next.map(|cursor| format!("{path}?after={cursor}{filter_text}")),
        newest: (!is_first).then(|| path.clone()),
        since: SINCE,
        grace: GRACE,
        recovery: recovery(&visit, &caller, &webhook).await?,
        partial: partial(&figures),
        figures: Figures::of(&figures.of(webhook.id), visit.now),
        path,
    })
}

fn page_request(visit: &Visit) -> Result<(PageRequest, bool), Problem> {
    let unknown = Problem::NotFound("This page of the list does not exist");
    let (start, is_first) = match visit.query.get("after") {
        None => (PageStart::Offset(0), true),
        Some(text) => match Cursor::parse::<DeliveryId>(text, None) {
            Ok(cursor) => (PageStart::After(cursor), false),
            Err(_) => return Err(unknown),
        },
    };
    PageRequest::starting(ROWS, start).map(|page| (page, is_first)).ok_or(unknown)
}

fn done(visit: &Visit) -> Option<String> {
    let text = match visit.query.get("done")? {
        "saved" => "Saved.",
        "enabled" => "Events are sent again. Those that were held wait below until you recover them.",
        "disabled" => "Nothing is sent any more. Events are held for 30 days.",
        "recovered" => {
            let count = visit.query.text("count").parse::<u64>().ok()?;
            return Some(format!("{} deliveries are sent again.", grouped(count)));
        }
        _ => return None,
    };
    Some(text.to_owned())
}

/// The hours that a form or a link names, if they are among those that are offered.
fn hours(text: &str) -> Option<(u64, &'static str)> {
    let hours = text.parse::<u64>().ok()?;
    SINCE.into_iter().find(|(known, _)| *known == hours)
}

async fn recovery(visit: &Visit, caller: &SignedIn, webhook: &Webhook) -> Result<Option<Recovery>, Problem> {
    let Some((hours, words)) = hours(visit.query.text("recover")) else { return Ok(None) };
    let since = visit.now.minus(Duration::from_hours(hours));
    let count = visit.store().count_recoverable(caller.session.account, webhook, since).await?;
    Ok(Some(Recovery { hours, words, count: grouped(count), is_empty: count == 0 }))
}

async fn recover(visit: Visit, caller: SignedIn) -> Outcome {
    let webhook = webhook_of(&visit, &caller).await?;
    let (hours, _) =
        hours(visit.form.text("hours")).ok_or(Problem::Malformed("Choose a time from the list."))?;
    let since = visit.now.minus(Duration::from_hours(hours));
    let (account, origin) = (caller.session.account, visit.change_by(&caller));
    let recovered = visit.store().recover_deliveries(account, webhook.id, since, origin).await?;
    Ok(Reply::see_other(format!("{}?done=recovered&count={}", path_of(webhook.id), recovered.deliveries)))
}

async fn rotate(visit: Visit, caller: SignedIn) -> Outcome {
    let webhook = webhook_of(&visit, &caller).await?;
    let grace = visit.form.text("grace").parse::<u32>().ok().filter(|grace| *grace <= MAX_GRACE_SECONDS);
    let grace = grace.ok_or(Problem::Malformed("Choose a time from the list."))?;
    let (account, origin) = (caller.session.account, visit.change_by(&caller));
    let made = visit.store().rotate_webhook_secret(account, webhook.id, grace, origin).await?;
    let sentence = if grace == 0 {
        "Secret rotated. Only this one signs now."
    } else {
        "Secret rotated. The previous one signs too until its time is over."
    };
    secret::page(&visit, &caller, &made, sentence).await
}

async fn set_status(visit: Visit, caller: SignedIn) -> Outcome {
    let webhook = webhook_of(&visit, &caller).await?;
    let status = WebhookStatus::from_name(visit.form.text("status"));
    let status = status.ok_or(Problem::Malformed("The status must be active or disabled."))?;
    let patch = WebhookPatch { status: Some(status), ..WebhookPatch::default() };
    let (account, scopes, origin) = (caller.session.account, caller.role.scopes(), visit.change_by(&caller));
    visit.store().update_webhook(account, webhook.id, patch, scopes, origin).await?;
    let done = match status {
        WebhookStatus::Active => "enabled",
        WebhookStatus::Disabled => "disabled",
    };
    Ok(Reply::see_other(format!("{}?done={done}", path_of(webhook.id))))
}

async fn delete(visit: Visit, caller: SignedIn) -> Outcome {
    let webhook = webhook_of(&visit, &caller).await?;
    visit.store().delete_webhook(caller.session.account, webhook.id, visit.change_by(&caller)).await?;
    Ok(Reply::see_other("/settings/webhooks?done=deleted"))
}

/// Leads to the delivery, which shows the request and the response.
async fn test(visit: Visit, caller: SignedIn) -> Outcome {
    let webhook = webhook_of(&visit, &caller).await?;
    let sent =
        visit.store().test_webhook(caller.session.account, webhook.id, visit.change_by(&caller)).await?;
    Ok(Reply::see_other(delivery::path_of(sent.id)))
}

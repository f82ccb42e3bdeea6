//! One delivery: what was sent, and how each attempt went.

use askama::Template;
use http::Method;
use telepath_core::id::DeliveryId;
use telepath_core::scope::Scope;
use telepath_core::webhook::delivery::{DeliveryStatus, ErrorClass};
use telepath_store::{AttemptRecord, SignedIn};

use super::status::chip;
use super::{crumbs, path_of as path_of_webhook};
use crate::chip::Chip;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::{Outcome, Route};
use crate::shell::{Crumb, Shell};
use crate::time::{Shown, Zone, relative};
use crate::visible::visible_lines;
use crate::visit::Visit;

const UNKNOWN: &str = "This delivery does not exist";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::scoped(Method::GET, "/settings/webhooks/deliveries/{id}", Scope::WebhooksRead, show),
        Route::scoped(
            Method::POST,
            "/settings/webhooks/deliveries/{id}/resend",
            Scope::WebhooksWrite,
            resend,
        ),
    ]
}

pub(super) fn path_of(id: DeliveryId) -> String {
    format!("/settings/webhooks/deliveries/{id}")
}

/// An attempt as the page shows it.
struct Attempt {
    number: u32,
    shown: Shown,
    duration_ms: u32,
    status: String,
    /// What went wrong; empty after a success.
    error: &'static str,
    succeeded: bool,
    /// The beginning of the response.
    body: String,
}

#[derive(Template)]
#[template(path = "pages/webhook_delivery.html")]
struct Page {
    shell: Shell,
    done: Option<&'static str>,
    may_change: bool,
    path: String,
    id: String,
    event: &'static str,
    event_id: String,
    status: Chip,
    is_pending: bool,
    next: Option<(Shown, String)>,
    shown_created: Shown,
    zone: String,
    attempt_count: u32,
    attempts: Vec<Attempt>,
    payload: String,
}

/// What went wrong, in words.
const fn explained(error: ErrorClass) -> &'static str {
    match error {
        ErrorClass::AddressRefused => "The address is not allowed by the egress rules",
        ErrorClass::Resolve => "The host name does not lead to an address that is allowed",
        ErrorClass::Connect => "No connection could be established",
        ErrorClass::Tls => "The TLS handshake failed, or the certificate is not trusted",
        ErrorClass::TimedOut => "No complete response within 30 s",
        ErrorClass::Broken => "The connection broke, or the response was not HTTP",
        ErrorClass::Redirect => "It answered with a redirect, which is not followed",
        ErrorClass::Gone => "It answered that it is gone, so the endpoint is disabled",
        ErrorClass::TooMany => "It asked for fewer requests",
        ErrorClass::ClientError => "It refused the event",
        ErrorClass::ServerError => "It failed",
        ErrorClass::Unsigned => "The secret or the headers could not be used, so nothing was sent",
    }
}

fn attempt(record: &AttemptRecord, zone: &Zone) -> Attempt {
    Attempt {
        number: record.number,
        shown: zone.shown(record.at),
        duration_ms: record.duration_ms,
        status: record.status.map_or_else(|| "No response".to_owned(), |status| status.to_string()),
        error: record.error.map_or("", explained),
        succeeded: record.error.is_none(),
        body: visible_lines(&String::from_utf8_lossy(&record.response_body)),
    }
}

/// Queries: the delivery, its payload, its attempts, its endpoint, and those of the shell.
async fn show(visit: Visit, caller: SignedIn) -> Outcome {
    let id: DeliveryId = visit.id_in_path(UNKNOWN)?;
    let found = visit.store().get_delivery(caller.session.account, id).await?;
    let found = found.ok_or(Problem::NotFound(UNKNOWN))?;
    let record = &found.record;
    let webhook = visit.store().get_webhook(caller.session.account, record.webhook_id).await?;
    let host = webhook.map_or_else(|| "Endpoint".to_owned(), |webhook| webhook.url.host().to_owned());
    let mut above = crumbs();
    above.push(Crumb::page(&host, path_of_webhook(record.webhook_id)));
    let zone = visit.zone_of(&caller);
    Reply::page(&Page {
        shell: Shell::new(&visit, &caller, above, record.kind.name()).await?,
        done: (visit.query.get("done") == Some("resent")).then_some("It is sent again."),
        may_change: caller.role.scopes().allows(Scope::WebhooksWrite),
        path: path_of(id),
        id: id.to_string(),
        event: record.kind.name(),
        event_id: record.event_id.to_string(),
        status: chip(record.status),
        is_pending: record.status == DeliveryStatus::Pending,
        next: record.next_at.map(|at| (zone.shown(at), relative(at, visit.now))),
        shown_created: zone.shown(record.created_at),
        zone: zone.abbreviation(visit.now),
        attempt_count: record.attempts,
        attempts: record.attempt_records.iter().rev().map(|record| attempt(record, &zone)).collect(),
        payload: visible_lines(&found.payload),
    })
}

async fn resend(visit: Visit, caller: SignedIn) -> Outcome {
    let id: DeliveryId = visit.id_in_path(UNKNOWN)?;
    visit.store().redeliver(caller.session.account, id, visit.change_by(&caller)).await?;
    Ok(Reply::see_other(format!("{}?done=resent", path_of(id))))
}

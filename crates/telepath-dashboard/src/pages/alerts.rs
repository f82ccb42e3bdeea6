//! `/alerts`: what is unusual or needs attention, and the rules that say so.

mod advice;
mod rules;
mod show;

use askama::Template;
use http::Method;
use telepath_core::alert::{Alert, AlertFilter, AlertStatus, AlertSubjectKind, Severity};
use telepath_core::clock::Timestamp;
use telepath_core::id::AlertId;
use telepath_core::scope::Scope;
use telepath_store::SignedIn;

use crate::chip::Chip;
use crate::icon;
use crate::navigation::{Entry, Group};
use crate::number::counted;
use crate::object::page_of;
use crate::pager::Place;
use crate::reply::Reply;
use crate::route::{Outcome, Route};
use crate::shell::Shell;
use crate::time::{Shown, Zone, relative};
use crate::visit::Visit;

pub(crate) const ENTRY: Entry = Entry {
    group: Group::Activity,
    place: 2,
    label: "Alerts",
    path: "/alerts",
    shortcut: 'l',
    icon: icon::ALERTS,
    scope: Scope::UsageRead,
};

/// Alerts on a page.
const PAGE: u32 = 25;

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::scoped(Method::GET, "/alerts", Scope::UsageRead, list),
        Route::scoped(Method::GET, "/alerts/rules", Scope::UsageRead, rules::show),
        Route::scoped(Method::POST, "/alerts/rules/test", Scope::KeysWrite, rules::test),
        Route::scoped(Method::GET, "/alerts/{id}", Scope::UsageRead, show::show),
        Route::scoped(Method::POST, "/alerts/{id}/acknowledge", Scope::KeysWrite, show::acknowledge),
    ]
}

/// A severity as a chip.
const fn chip_of(severity: Severity) -> Chip {
    match severity {
        Severity::Info => Chip::new("chip-info", icon::INFO, "Info"),
        Severity::Warning => Chip::new("chip-warn", icon::WARNING, "Warning"),
        Severity::Critical => Chip::new("chip-bad", icon::CIRCLE_ALERT, "Critical"),
    }
}

/// What an alert is about.
struct Subject {
    kind: &'static str,
    name: String,
    /// The page about it.
    path: Option<String>,
}

impl Subject {
    fn of(alert: &Alert) -> Self {
        let kind = match alert.subject.kind() {
            AlertSubjectKind::Key => "Key",
            AlertSubjectKind::Webhook => "Webhook",
            AlertSubjectKind::Trunk => "Connection",
            AlertSubjectKind::User => "User",
            AlertSubjectKind::Account => "Account",
        };
        let path = page_of(&alert.subject.to_string()).map(|(_, path)| path);
        Self { kind, name: alert.name.clone(), path }
    }
}

/// An alert of the list.
struct Row {
    path: String,
    chip: Chip,
    message: String,
    rule: &'static str,
    subject: Subject,
    raised: Shown,
    ago: String,
    note: Option<String>,
}

impl Row {
    fn of(alert: Alert, zone: &Zone, now: Timestamp) -> Self {
        Self {
            path: format!("/alerts/{}", alert.id),
            chip: chip_of(alert.severity),
            subject: Subject::of(&alert),
            rule: alert.rule.name(),
            raised: zone.shown(alert.raised_at),
            ago: relative(alert.raised_at, now),
            note: alert.acknowledged.and_then(|acknowledged| acknowledged.note),
            message: alert.message,
        }
    }
}

#[derive(Template)]
#[template(path = "pages/alerts.html")]
struct Page {
    shell: Shell,
    done: Option<&'static str>,
    is_open: bool,
    /// Whether alerts are raised at all.
    is_enabled: bool,
    rows: Vec<Row>,
    /// The number of alerts of the first page's list, in words.
    total: Option<String>,
    newer: Option<String>,
    older: Option<String>,
    zone: String,
}

/// Reads the alerts from the store (1, and their number).
async fn list(visit: Visit, caller: SignedIn) -> Outcome {
    let is_open = visit.query.get("status") != Some("acknowledged");
    let status = if is_open { AlertStatus::Open } else { AlertStatus::Acknowledged };
    let address = if is_open { "/alerts" } else { "/alerts?status=acknowledged" };
    let (place, request) = Place::read::<AlertId>(&visit.query, None, PAGE);
    let filter = AlertFilter { status: Some(status), ..AlertFilter::default() };
    let page = visit.store().list_alerts(caller.session.account, filter, request).await?;
    let zone = visit.zone_of(&caller);
    let total = page.position.total.map(|total| {
        let more = if total.is_lower_bound { "More than " } else { "" };
        format!("{more}{}", counted(total.count, "alert", "alerts"))
    });
    Reply::page(&Page {
        shell: Shell::new(&visit, &caller, Vec::new(), "Alerts").await?,
        done: (visit.query.get("done") == Some("acknowledged")).then_some("The alert is acknowledged."),
        is_open,
        is_enabled: visit.store().alert_settings().enabled,
        newer: place.newer(address),
        older: place.older(address, page.position.next.as_ref()),
        rows: page.items.into_iter().map(|alert| Row::of(alert, &zone, visit.now)).collect(),
        total,
        zone: zone.abbreviation(visit.now),
    })
}

//! `/docs/errors` and `/docs/alerts`: what errors and alerts mean, from the tables that the reference pages of the documentation
//! are made of.

use askama::Template;
use http::Method;
use telepath_core::alert::{AlertRule, AlertSettings, length};
use telepath_core::error::{ErrorCode, Fault};
use telepath_store::SignedIn;

use crate::reply::Reply;
use crate::route::{Outcome, Route};
use crate::shell::Shell;
use crate::visit::Visit;

pub(crate) fn routes() -> Vec<Route> {
    vec![Route::user(Method::GET, "/docs/errors", errors), Route::user(Method::GET, "/docs/alerts", alerts)]
}

#[derive(Template)]
#[template(path = "pages/docs_errors.html")]
struct Errors {
    shell: Shell,
    codes: &'static [ErrorCode],
}

/// A rule as the page explains it.
struct Rule {
    name: &'static str,
    severity: &'static str,
    summary: &'static str,
    condition: String,
    cooldown: String,
    advice: &'static str,
}

#[derive(Template)]
#[template(path = "pages/docs_alerts.html")]
struct Alerts {
    shell: Shell,
    rules: Vec<Rule>,
}

/// Whose fault an error is, in words.
const fn side(code: ErrorCode) -> &'static str {
    match code.fault() {
        Fault::Client => "The caller",
        Fault::Carrier => "The carrier",
        Fault::Agent => "The agent",
        Fault::Server => "This server",
    }
}

async fn errors(visit: Visit, caller: SignedIn) -> Outcome {
    let shell = Shell::new(&visit, &caller, Vec::new(), "Errors").await?;
    Reply::page(&Errors { shell, codes: ErrorCode::ALL })
}

fn explained(rule: AlertRule, settings: &AlertSettings) -> Rule {
    let off = || "This rule is turned off on this server.".to_owned();
    Rule {
        name: rule.name(),
        severity: rule.severity().name(),
        summary: rule.describe(),
        condition: rule.condition(settings).unwrap_or_else(off),
        cooldown: length(settings.cooldown(rule)),
        advice: rule.advice(),
    }
}

async fn alerts(visit: Visit, caller: SignedIn) -> Outcome {
    let shell = Shell::new(&visit, &caller, Vec::new(), "Alert rules explained").await?;
    let settings = visit.store().alert_settings();
    let rules = AlertRule::ALL.iter().map(|rule| explained(*rule, settings)).collect();
    Reply::page(&Alerts { shell, rules })
}

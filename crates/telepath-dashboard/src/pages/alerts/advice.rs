//! The next steps after an alert, as links to the pages that take them.

use telepath_core::alert::{Alert, AlertRule, AlertSubject};

use crate::form::encoded;

/// A next step.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) label: &'static str,
    pub(super) path: String,
}

/// The steps that the rule recommends.
pub(super) fn steps(alert: &Alert) -> Vec<Step> {
    match alert.subject {
        AlertSubject::Key(key) => key_steps(alert, &format!("/settings/api-keys/{key}")),
        AlertSubject::Webhook(webhook) => {
            vec![Step { label: "See its deliveries", path: format!("/settings/webhooks/{webhook}") }]
        }
        AlertSubject::Trunk(trunk) => {
            vec![Step { label: "See the connection", path: format!("/connections/{trunk}") }]
        }
        AlertSubject::User(_) | AlertSubject::Account(_) => Vec::new(),
    }
}

fn key_steps(alert: &Alert, key: &str) -> Vec<Step> {
    let step = |label, path: String| Step { label, path };
    let rotate = || step("Rotate without a grace period", format!("{key}/rotate"));
    let revoke = || step("Revoke the key", format!("{key}/revoke"));
    let requests = |status: &str| {
        let (start, end) = around(alert);
        let path = format!("/requests?key_id={}&start_date={start}&end_date={end}{status}", alert.subject);
        step("Review its requests", path)
    };
    match alert.rule {
        AlertRule::NewAddress => {
            vec![requests(""), rotate(), step("See which addresses use it", key.to_owned())]
        }
        AlertRule::RequestSpike => vec![requests(""), rotate()],
        AlertRule::ErrorBurst => vec![requests("&status=4xx")],
        AlertRule::LimitRiding => vec![step("See how it is used", key.to_owned()), requests("&status=429")],
        AlertRule::IdleAwake => vec![requests(""), revoke()],
        AlertRule::DeadKeyUsed => vec![requests("&status=401")],
        AlertRule::SeenInClear => vec![rotate(), requests("")],
        AlertRule::LeakReported => {
            let guide = format!("/settings/api-keys/leaked?key={}", alert.subject);
            vec![step("Follow the guide for a leaked key", guide), revoke(), requests("")]
        }
        AlertRule::Expiring => vec![step("Rotate it", format!("{key}/rotate"))],
        AlertRule::Unused => vec![revoke()],
        AlertRule::WebhookFailing => Vec::new(),
    }
}

/// Half an hour before the alert, and a quarter of an hour after it.
fn around(alert: &Alert) -> (String, String) {
    use std::time::Duration;
    let text = |moment: telepath_core::clock::Timestamp| encoded(&moment.to_string());
    let raised = alert.raised_at;
    (text(raised.minus(Duration::from_mins(30))), text(raised.plus(Duration::from_mins(15))))
}

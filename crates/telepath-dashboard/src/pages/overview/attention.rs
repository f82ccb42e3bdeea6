//! What needs attention, in sentences, and the steps of a new installation.

use telepath_core::alert::{AlertSubjectKind, Severity};
use telepath_core::clock::Timestamp;
use telepath_core::scope::Scope;
use telepath_core::user::Role;
use telepath_store::{AccountCounts, Attention};

use crate::icon::{self, Icon};
use crate::time::{Shown, Zone, relative, span};

/// One line of the list.
pub(super) struct Notice {
    pub(super) icon: Icon,
    /// The colour of the icon.
    pub(super) class: &'static str,
    /// What the icon says.
    pub(super) word: &'static str,
    pub(super) name: String,
    pub(super) text: String,
    /// When it happened or will happen.
    pub(super) at: Option<Shown>,
    pub(super) action: &'static str,
    pub(super) path: String,
}

impl Notice {
    pub(super) fn of(attention: &Attention, zone: &Zone, now: Timestamp) -> Self {
        let warning = ("warn", "Warning", icon::WARNING);
        let ((class, word, icon), name, text, at, action, path) = match attention {
            Attention::Alert { severity, kind, subject, name, message, raised_at, .. } => (
                look(*severity),
                name.clone(),
                message.clone(),
                Some(zone.shown(*raised_at)),
                "View",
                path_of(*kind, subject),
            ),
            Attention::KeyExpires { id, name, at } => (
                ("warn", "Expires soon", icon::CLOCK),
                name.clone(),
                format!("expires {}.", relative(*at, now)),
                Some(zone.shown(*at)),
                "View key",
                format!("/settings/api-keys/{id}"),
            ),
            Attention::WebhookFails { id, host, since, is_disabled } => (
                if *is_disabled { look(Severity::Critical) } else { warning },
                host.clone(),
                failing(*since, *is_disabled, now),
                since.map(|since| zone.shown(since)),
                "Deliveries",
                format!("/settings/webhooks/{id}"),
            ),
            Attention::TrunkInError { id, name } => (
                look(Severity::Critical),
                name.clone(),
                "the most recent calls did not reach its agent.".to_owned(),
                None,
                "View connection",
                format!("/connections/{id}"),
            ),
        };
        Self { icon, class, word, name, text, at, action, path }
    }
}

impl Notice {
    /// Markup.
    pub(super) fn when(&self) -> String {
        self.at.as_ref().map(Shown::to_string).unwrap_or_default()
    }
}

const fn look(severity: Severity) -> (&'static str, &'static str, Icon) {
    match severity {
        Severity::Critical => ("bad", "Critical", icon::CIRCLE_ALERT),
        Severity::Warning => ("warn", "Warning", icon::WARNING),
        Severity::Info => ("info", "Information", icon::INFO),
    }
}

/// The page about the subject of an alert.
fn path_of(kind: AlertSubjectKind, subject: &str) -> String {
    match kind {
        AlertSubjectKind::Key => format!("/settings/api-keys/{subject}"),
        AlertSubjectKind::Webhook => format!("/settings/webhooks/{subject}"),
        AlertSubjectKind::Trunk => format!("/connections/{subject}"),
        AlertSubjectKind::User | AlertSubjectKind::Account => "/alerts".to_owned(),
    }
}

fn failing(since: Option<Timestamp>, is_disabled: bool, now: Timestamp) -> String {
    let length = since.and_then(|since| span(now.since(since)));
    match (is_disabled, length) {
        (true, _) => "was disabled; its events are kept and not sent.".to_owned(),
        (false, Some(length)) => format!("has failed every delivery for {length}."),
        (false, None) => "has failed its last delivery.".to_owned(),
    }
}

/// A step of a new installation.
pub(super) struct Step {
    pub(super) done: bool,
    pub(super) label: &'static str,
    pub(super) hint: &'static str,
    /// Where the step is taken; `None` if it is done or the role may not take it.
    pub(super) path: Option<&'static str>,
}

/// The steps of a new installation; none once all are done.
pub(super) fn steps(counts: &AccountCounts, role: Role) -> Vec<Step> {
    let step = |done: bool, label, hint, path, scope: Option<Scope>| {
        let may = scope.is_some_and(|scope| role.scopes().allows(scope));
        Step { done, label, hint, path: (may && !done).then_some(path) }
    };
    let steps = vec![
        step(
            counts.has_keys,
            "Create an API key",
            "Every request to the API needs one.",
            "/settings/api-keys/new",
            Some(Scope::KeysWrite),
        ),
        step(
            counts.has_trunks,
            "Add a connection",
            "It links your carrier to an agent.",
            "/connections/new",
            Some(Scope::TrunksWrite),
        ),
        step(
            counts.has_calls,
            "Make a test call",
            "Call one of the numbers that your carrier sends to the connection.",
            "/calls",
            None,
        ),
        step(
            counts.has_webhooks,
            "Add a webhook",
            "Your application hears of calls as they happen.",
            "/settings/webhooks",
            Some(Scope::WebhooksWrite),
        ),
    ];
    if steps.iter().all(|step| step.done) { Vec::new() } else { steps }
}

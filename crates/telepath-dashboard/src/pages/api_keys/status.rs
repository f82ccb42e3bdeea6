//! The state of a key in a word: the most urgent one.

use std::collections::BTreeMap;

use telepath_core::alert::{Alert, AlertFilter, AlertRule, AlertStatus, AlertSubject, AlertSubjectKind};
use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, KeyId};
use telepath_core::key::{KeyRecord, KeyStatus, SecretStatus};
use telepath_core::page::{MAX_LIMIT, PageRequest};
use telepath_store::{EXPIRES_SOON, IDLE_FOR};

use crate::chip::Chip;
use crate::icon;
use crate::problem::Problem;
use crate::visit::Visit;

/// The word of an alert.
pub(super) const fn of_alert(rule: AlertRule) -> Chip {
    match rule {
        AlertRule::LeakReported => Chip::new("chip-bad", icon::WARNING, "Reported leak"),
        AlertRule::SeenInClear => Chip::new("chip-bad", icon::WARNING, "Sent in the clear"),
        AlertRule::ErrorBurst => Chip::new("chip-bad", icon::WARNING, "Error burst"),
        AlertRule::DeadKeyUsed => Chip::new("chip-bad", icon::WARNING, "Old secret used"),
        AlertRule::NewAddress => Chip::new("chip-warn", icon::WARNING, "New address"),
        AlertRule::RequestSpike => Chip::new("chip-warn", icon::WARNING, "Request spike"),
        AlertRule::LimitRiding => Chip::new("chip-warn", icon::WARNING, "At its limit"),
        AlertRule::IdleAwake => Chip::new("chip-warn", icon::WARNING, "Used again"),
        AlertRule::Expiring => Chip::new("chip-warn", icon::CLOCK, "Expires soon"),
        AlertRule::Unused => Chip::new("chip-warn", icon::CIRCLE_ALERT, "Idle"),
        AlertRule::WebhookFailing => Chip::new("chip-bad", icon::WARNING, "Failing"),
    }
}

/// The most urgent word about a key: that it does not work any more, an alert, an end that comes, a rotation, idleness; at
/// last, that nothing is wrong.
pub(super) fn of_key(key: &KeyRecord, alert: Option<AlertRule>, now: Timestamp) -> Chip {
    let status = key.status(now);
    match status {
        KeyStatus::Revoked => return Chip::new("", icon::REVOKE, "Revoked"),
        KeyStatus::Expired => return Chip::new("", icon::CLOCK, "Expired"),
        KeyStatus::Paused => return Chip::new("chip-warn", icon::PAUSE, "Paused"),
        KeyStatus::Scheduled | KeyStatus::Active | KeyStatus::Expiring => {}
    }
    if let Some(rule) = alert {
        of_alert(rule)
    } else if expires_soon(key, now) {
        Chip::new("chip-warn", icon::CLOCK, "Expires soon")
    } else if is_rotating(key, now) {
        Chip::new("chip-accent", icon::ROTATE, "Rotating")
    } else if status == KeyStatus::Scheduled {
        Chip::new("chip-info", icon::CLOCK, "Not yet valid")
    } else if is_idle(key, now) {
        Chip::new("chip-warn", icon::CIRCLE_ALERT, "Idle")
    } else {
        Chip::new("chip-ok", icon::CHECK, "Active")
    }
}

pub(super) fn expires_soon(key: &KeyRecord, now: Timestamp) -> bool {
    key.expires_at.is_some_and(|end| end > now && end <= now.plus(EXPIRES_SOON))
}

/// Whether a previous secret still works.
pub(super) fn is_rotating(key: &KeyRecord, now: Timestamp) -> bool {
    key.secrets.iter().any(|secret| secret.status(now) == SecretStatus::Grace)
}

/// Whether the key was not used for a long time; an unused key counts from its creation.
pub(super) fn is_idle(key: &KeyRecord, now: Timestamp) -> bool {
    now.since(key.last_use.map_or(key.created_at, |last| last.at)) >= IDLE_FOR
}

/// The open alerts about keys; the newest 100 of an account.
pub(super) struct OpenAlerts(BTreeMap<KeyId, Vec<Alert>>);

impl OpenAlerts {
    pub(super) async fn of(
        visit: &Visit,
        account: AccountId,
        subject: Option<KeyId>,
    ) -> Result<Self, Problem> {
        let filter = AlertFilter {
            subject_kind: Some(AlertSubjectKind::Key),
            subject: subject.map(AlertSubject::Key),
            status: Some(AlertStatus::Open),
            ..AlertFilter::default()
        };
        let page = PageRequest::new(MAX_LIMIT, 0).unwrap_or_default();
        let mut open: BTreeMap<KeyId, Vec<Alert>> = BTreeMap::new();
        for alert in visit.store().list_alerts(account, filter, page).await?.items {
            if let AlertSubject::Key(key) = alert.subject {
                open.entry(key).or_default().push(alert);
            }
        }
        Ok(Self(open))
    }

    pub(super) fn about(&self, key: KeyId) -> &[Alert] {
        self.0.get(&key).map_or(&[], Vec::as_slice)
    }

    /// The rule of the most urgent one.
    pub(super) fn worst(&self, key: KeyId) -> Option<AlertRule> {
        self.about(key).iter().max_by_key(|alert| alert.severity).map(|alert| alert.rule)
    }
}

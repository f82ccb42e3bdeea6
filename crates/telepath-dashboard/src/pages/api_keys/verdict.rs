//! How a key is, in a sentence of at most three facts, and the one next step.

use std::time::Duration;

use telepath_core::alert::{Alert, AlertRule};
use telepath_core::clock::Timestamp;
use telepath_core::key::{KeyRecord, KeyStatus, SecretStatus};

use super::requests_chart::Classes;
use super::status::{expires_soon, is_idle, of_alert};
use crate::number::grouped;
use crate::time::{Zone, relative};

/// The most facts of a sentence.
const FACTS: usize = 3;
/// A previous secret that was not used for this long can be expired.
const SILENT: Duration = Duration::from_hours(6);

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    /// The words of the button.
    pub(super) label: &'static str,
    /// What follows the path of the key.
    pub(super) path: &'static str,
}

impl Step {
    const fn new(label: &'static str, path: &'static str) -> Self {
        Self { label, path }
    }
}

/// How a key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) sentence: String,
    pub(super) step: Option<Step>,
}

/// What is known of a key.
pub(super) struct Facts<'a> {
    pub(super) key: &'a KeyRecord,
    pub(super) alerts: &'a [Alert],
    /// The requests of the range that the page shows.
    pub(super) requests: Classes,
    pub(super) now: Timestamp,
    pub(super) zone: &'a Zone,
}

impl Facts<'_> {
    /// The most urgent fact comes first, and the step belongs to it.
    pub(super) fn verdict(&self) -> Verdict {
        if let Some(ended) = self.ended() {
            return ended;
        }
        let facts: Vec<(String, Option<Step>)> =
            [self.state(), self.alert(), self.rotation(), self.errors(), self.idle()]
                .into_iter()
                .flatten()
                .take(FACTS)
                .collect();
        let step = facts.iter().find_map(|(_, step)| step.clone());
        let sentence = if facts.is_empty() {
            "Healthy.".to_owned()
        } else {
            facts.into_iter().map(|(fact, _)| fact).collect::<Vec<_>>().join(" ")
        };
        Verdict { sentence, step }
    }

    fn ended(&self) -> Option<Verdict> {
        let (key, zone) = (self.key, self.zone);
        let sentence = match (key.status(self.now), &key.revocation, key.expires_at) {
            (KeyStatus::Revoked, Some(revocation), _) => {
                let reason =
                    revocation.reason.as_deref().map_or_else(String::new, |text| format!(" Reason: {text}."));
                format!("Revoked on {}.{reason} No request is accepted.", zone.moment(revocation.at))
            }
            (KeyStatus::Expired, _, Some(end)) => {
                format!("Expired on {}. No request is accepted.", zone.moment(end))
            }
            _ => return None,
        };
        Some(Verdict { sentence, step: None })
    }

    fn state(&self) -> Option<(String, Option<Step>)> {
        let key = self.key;
        match (key.status(self.now), key.expires_at) {
            (KeyStatus::Paused, _) => Some(("Paused: its requests are refused.".to_owned(), None)),
            (KeyStatus::Scheduled, _) => Some(("Not yet valid.".to_owned(), None)),
            (_, Some(end)) if expires_soon(key, self.now) => {
                let when = relative(end, self.now);
                Some((format!("Expires {when}."), Some(Step::new("Rotate", "/rotate"))))
            }
            _ => None,
        }
    }

    fn alert(&self) -> Option<(String, Option<Step>)> {
        let worst = self.alerts.iter().max_by_key(|alert| alert.severity)?;
        // The state says these already.
        if matches!(worst.rule, AlertRule::Expiring | AlertRule::Unused) {
            return None;
        }
        let step = match worst.rule {
            AlertRule::LeakReported | AlertRule::SeenInClear => Some(Step::new("Revoke", "/revoke")),
            AlertRule::DeadKeyUsed
            | AlertRule::NewAddress
            | AlertRule::RequestSpike
            | AlertRule::ErrorBurst
            | AlertRule::LimitRiding
            | AlertRule::IdleAwake
            | AlertRule::Expiring
            | AlertRule::Unused
            | AlertRule::WebhookFailing => None,
        };
        Some((format!("Open alert: {}.", of_alert(worst.rule).word.to_lowercase()), step))
    }

    fn rotation(&self) -> Option<(String, Option<Step>)> {
        let previous: Vec<_> =
            self.key.secrets.iter().filter(|secret| secret.status(self.now) == SecretStatus::Grace).collect();
        let newest = previous.first()?;
        let used = previous.iter().filter_map(|secret| secret.last_use).max_by_key(|last| last.at);
        let text = match (used, newest.expires_at) {
            (Some(last), Some(end)) if self.now.since(last.at) < SILENT => format!(
                "The previous secret was used {} from {}, and works until {}.",
                relative(last.at, self.now),
                last.address,
                self.zone.moment(end)
            ),
            (Some(last), _) => format!(
                "The previous secret was last used {}; you can expire it now.",
                relative(last.at, self.now)
            ),
            (None, _) => "Nothing has used the previous secret; you can expire it now.".to_owned(),
        };
        Some((text, Some(Step::new("See who uses it", "#secrets-h"))))
    }

    /// More than one request in twenty.
    fn errors(&self) -> Option<(String, Option<Step>)> {
        let [good, client, limited, server] = self.requests;
        let (failed, all) = (client + limited + server, good + client + limited + server);
        (failed.saturating_mul(20) > all)
            .then(|| (format!("{} of {} requests failed.", grouped(failed), grouped(all)), None))
    }

    fn idle(&self) -> Option<(String, Option<Step>)> {
        let key = self.key;
        is_idle(key, self.now).then(|| match key.last_use {
            Some(last) => {
                (format!("Last used {}.", relative(last.at, self.now)), Some(Step::new("Revoke", "/revoke")))
            }
            None => ("Never used.".to_owned(), Some(Step::new("Revoke", "/revoke"))),
        })
    }
}

//! Requests to create or change an endpoint, and the checks that validate them.

use super::{
    DEFAULT_IN_FLIGHT, DisabledReason, EventFilter, MAX_IN_FLIGHT, SignatureScheme, Subscription, Webhook,
    WebhookStatus, WebhookUrl,
};
use crate::event::EventKind;
use crate::id::TrunkId;
use crate::patch::Patch;
use crate::validation::{Invalid, bounded_text};

/// The most trunks that one endpoint can name.
pub const MAX_TRUNKS: usize = 100;
/// The longest description in characters.
const MAX_DESCRIPTION: usize = 500;

/// A request to create an endpoint, not yet checked.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct WebhookDraft {
    /// Where events are sent: an `https://` URL without user info.
    pub url: Option<String>,
    /// The description, at most 500 characters.
    pub description: Option<String>,
    /// Names of events, or `*` for all, which is also what leaving it out means.
    pub events: Option<Vec<String>>,
    /// Calls of these trunks only; left out or empty, of all.
    pub trunk_ids: Option<Vec<String>>,
    /// `v1` (HMAC-SHA-256, the default) or `v1a` (Ed25519).
    pub signature: Option<String>,
    /// Deliveries under way at once, 1–100; 10 when left out.
    pub max_in_flight: Option<u32>,
    /// `active` (the default) or `disabled`: events are then kept and not sent.
    pub status: Option<String>,
}

/// A checked request to create an endpoint.
#[derive(Debug, Clone)]
pub struct NewWebhook {
    /// Where events are sent.
    pub url: WebhookUrl,
    /// The description.
    pub description: Option<String>,
    /// The events that it receives.
    pub subscription: Subscription,
    /// How events are signed.
    pub scheme: SignatureScheme,
    /// Deliveries under way at once.
    pub max_in_flight: u32,
    /// Whether events are sent.
    pub status: WebhookStatus,
}

impl WebhookDraft {
    /// Checks every member. Whether the URL leads to an address that may be reached is not known here.
    pub fn check(self) -> Result<NewWebhook, Invalid> {
        let mut problems = Invalid::default();
        let url = problems.require("url", self.url, WebhookUrl::try_from);
        let description = problems.optional("description", self.description, check_description);
        let events = check_events(&self.events.unwrap_or_else(|| vec!["*".to_owned()]), &mut problems);
        let trunks = check_trunks(&self.trunk_ids.unwrap_or_default(), &mut problems);
        let scheme = problems.optional("signature", self.signature, |name| {
            SignatureScheme::from_name(&name).ok_or("must be v1 or v1a")
        });
        let max_in_flight = problems.optional("max_in_flight", self.max_in_flight, check_in_flight);
        let status = problems.optional("status", self.status, check_status);
        match (url, events) {
            (Some(url), Some(events)) if problems.is_empty() => Ok(NewWebhook {
                url,
                description,
                subscription: Subscription { events, trunks },
                scheme: scheme.unwrap_or(SignatureScheme::V1),
                max_in_flight: max_in_flight.unwrap_or(DEFAULT_IN_FLIGHT),
                status: status.unwrap_or(WebhookStatus::Active),
            }),
            _ => Err(problems),
        }
    }
}

/// A request to change an endpoint. Members that are left out keep their value.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct WebhookPatchDraft {
    /// Where events are sent from now on, those that wait included.
    pub url: Option<String>,
    /// Null takes it away.
    pub description: Patch<String>,
    /// Replaces the whole list.
    pub events: Option<Vec<String>>,
    /// Replaces the whole list.
    pub trunk_ids: Option<Vec<String>>,
    /// Deliveries under way at once, 1–100.
    pub max_in_flight: Option<u32>,
    /// `active` or `disabled`.
    pub status: Option<String>,
}

/// A checked change.
#[derive(Debug, Clone, Default)]
pub struct WebhookPatch {
    /// The new URL.
    pub url: Option<WebhookUrl>,
    /// The new description.
    pub description: Patch<String>,
    /// The new kinds.
    pub events: Option<EventFilter>,
    /// The new trunks.
    pub trunks: Option<Vec<TrunkId>>,
    /// The new number.
    pub max_in_flight: Option<u32>,
    /// The new status.
    pub status: Option<WebhookStatus>,
}

impl WebhookPatchDraft {
    /// Checks every member that is given.
    pub fn check(self) -> Result<WebhookPatch, Invalid> {
        let mut problems = Invalid::default();
        let url = problems.optional("url", self.url, WebhookUrl::try_from);
        let description = problems.keep("description", self.description.try_map(check_description));
        let events = self.events.and_then(|events| check_events(&events, &mut problems));
        let trunks = self.trunk_ids.map(|trunks| check_trunks(&trunks, &mut problems));
        let max_in_flight = problems.optional("max_in_flight", self.max_in_flight, check_in_flight);
        let status = problems.optional("status", self.status, check_status);
        match description {
            Some(description) if problems.is_empty() => {
                Ok(WebhookPatch { url, description, events, trunks, max_in_flight, status })
            }
            _ => Err(problems),
        }
    }
}

impl WebhookPatch {
    /// The endpoint after the change. Switching it on begins a new life: what failed before does not count any more.
    pub fn apply(self, old: &Webhook) -> Webhook {
        let status = self.status.unwrap_or(old.status);
        let mut new = Webhook {
            url: self.url.unwrap_or_else(|| old.url.clone()),
            description: self.description.apply(old.description.clone()),
            subscription: Subscription {
                events: self.events.unwrap_or_else(|| old.subscription.events.clone()),
                trunks: self.trunks.unwrap_or_else(|| old.subscription.trunks.clone()),
            },
            max_in_flight: self.max_in_flight.unwrap_or(old.max_in_flight),
            status,
            ..old.clone()
        };
        if status != old.status {
            match status {
                WebhookStatus::Active => {
                    new.disabled_reason = None;
                    new.health = super::Health::default();
                    new.limit = super::AdaptiveLimit::default();
                }
                WebhookStatus::Disabled => new.disabled_reason = Some(DisabledReason::Requested),
            }
        }
        new
    }
}

fn check_description(text: String) -> Result<String, String> {
    bounded_text(text, 0, MAX_DESCRIPTION, &['\n'])
}

fn check_in_flight(number: u32) -> Result<u32, String> {
    let fits = (1..=MAX_IN_FLIGHT).contains(&number);
    if fits { Ok(number) } else { Err(format!("must be 1 to {MAX_IN_FLIGHT}")) }
}

#[expect(clippy::needless_pass_by_value, reason = "the signature of a check of a draft's member")]
fn check_status(name: String) -> Result<WebhookStatus, &'static str> {
    WebhookStatus::from_name(&name).ok_or("must be active or disabled")
}

fn check_events(names: &[String], problems: &mut Invalid) -> Option<EventFilter> {
    if names.is_empty() || names.len() > EventKind::ALL.len() {
        problems.wrong("events", "must name each wanted event once, or hold just *");
        return None;
    }
    if names == ["*"] {
        return Some(EventFilter::All);
    }
    let mut kinds = Vec::new();
    for (place, name) in names.iter().enumerate() {
        match EventKind::from_name(name) {
            Some(kind) if !kinds.contains(&kind) => kinds.push(kind),
            Some(_) => problems.wrong(&format!("events[{place}]"), "is a duplicate"),
            None => problems.wrong(&format!("events[{place}]"), "is not the name of an event"),
        }
    }
    Some(EventFilter::Only(kinds))
}

fn check_trunks(texts: &[String], problems: &mut Invalid) -> Vec<TrunkId> {
    if texts.len() > MAX_TRUNKS {
        problems.wrong("trunk_ids", format!("must hold at most {MAX_TRUNKS} ids"));
        return Vec::new();
    }
    let mut trunks = Vec::new();
    for (place, text) in texts.iter().enumerate() {
        let field = format!("trunk_ids[{place}]");
        match problems.keep(&field, text.parse::<TrunkId>()) {
            Some(id) if trunks.contains(&id) => problems.wrong(&field, "is a duplicate"),
            Some(id) => trunks.push(id),
            None => {}
        }
    }
    trunks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str) -> Result<NewWebhook, Invalid> {
        serde_json::from_str::<WebhookDraft>(json).unwrap().check()
    }

    #[test]
    fn only_the_url_is_required() {
        let new = check(r#"{"url": "https://hooks.example/a"}"#).unwrap();
        assert_eq!(new.subscription, Subscription { events: EventFilter::All, trunks: vec![] });
        assert_eq!((new.scheme, new.max_in_flight), (SignatureScheme::V1, 10));
        assert_eq!(check("{}").unwrap_err().first_missing(), Some("url"));
    }

    #[test]
    fn errors_name_every_invalid_member() {
        let problems = check(
            r#"{"url": "http://hooks.example/", "description": "a\u0007", "events": ["call.ended", "call.ended", "x"],
                "trunk_ids": ["call_1"], "signature": "v2", "max_in_flight": 101, "status": "off"}"#,
        );
        let fields: Vec<_> =
            problems.unwrap_err().into_details().into_iter().map(|problem| problem.field).collect();
        assert_eq!(
            fields,
            [
                "url",
                "description",
                "events[1]",
                "events[2]",
                "trunk_ids[0]",
                "signature",
                "max_in_flight",
                "status"
            ]
        );
        for events in ["[]", r#"["*", "call.ended"]"#] {
            assert!(
                check(&format!(r#"{{"url": "https://a.example/", "events": {events}}}"#)).is_err(),
                "{events}"
            );
        }
    }
}

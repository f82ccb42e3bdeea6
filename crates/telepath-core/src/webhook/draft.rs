//! Requests to create or change an endpoint, and the checks that validate them.

use std::collections::BTreeMap;

use super::{
    DEFAULT_IN_FLIGHT, DisabledReason, EventFilter, EventPattern, MAX_CA_PEM, MAX_IN_FLIGHT, SignatureScheme,
    Subscription, Webhook, WebhookHeaders, WebhookStatus, WebhookUrl,
};
use crate::clock::Timestamp;
use crate::event::EventKind;
use crate::event::family::EventFamily;
use crate::id::TrunkId;
use crate::patch::Patch;
use crate::reach::checked_trunk_ids;
use crate::secret::SecretText;
use crate::validation::{Invalid, bounded_text};

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
    /// Names of events, families such as `call.*`, or `*` for all, which is also what leaving it out means.
    pub events: Option<Vec<String>>,
    /// Calls of these trunks only; left out or empty, of all.
    pub trunk_ids: Option<Vec<String>>,
    /// `v1` (HMAC-SHA-256, the default) or `v1a` (Ed25519).
    pub signature: Option<String>,
    /// Headers to add to each delivery; their values are secrets.
    pub headers: Option<BTreeMap<String, SecretText>>,
    /// Certificate authorities of the endpoint in PEM, instead of those of the system.
    pub ca_pem: Option<String>,
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
    /// Headers to add to each delivery.
    pub headers: Option<WebhookHeaders>,
    /// Certificate authorities of the endpoint in PEM.
    pub ca_pem: Option<String>,
    /// Deliveries under way at once.
    pub max_in_flight: u32,
    /// Whether events are sent.
    pub status: WebhookStatus,
}

impl WebhookDraft {
    /// Checks every member. Whether the URL leads to an address that may be reached, and whether the certificates can be
    /// used, is not known here.
    pub fn check(self) -> Result<NewWebhook, Invalid> {
        let mut problems = Invalid::default();
        let url = problems.require("url", self.url, WebhookUrl::try_from);
        let description = problems.optional("description", self.description, check_description);
        let events = check_events(&self.events.unwrap_or_else(|| vec!["*".to_owned()]), &mut problems);
        let trunks = checked_trunk_ids(&self.trunk_ids.unwrap_or_default(), &mut problems);
        let scheme = problems.optional("signature", self.signature, |name| {
            SignatureScheme::from_name(&name).ok_or("must be v1 or v1a")
        });
        let headers = WebhookHeaders::check(self.headers.unwrap_or_default(), &mut problems);
        let ca_pem = problems.optional("ca_pem", self.ca_pem, check_ca_pem);
        let max_in_flight = problems.optional("max_in_flight", self.max_in_flight, check_in_flight);
        let status = problems.optional("status", self.status, check_status);
        match (url, events) {
            (Some(url), Some(events)) if problems.is_empty() => Ok(NewWebhook {
                url,
                description,
                subscription: Subscription { events, trunks },
                scheme: scheme.unwrap_or(SignatureScheme::V1),
                headers,
                ca_pem,
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
    /// Replaces all headers; null takes them away.
    pub headers: Patch<BTreeMap<String, SecretText>>,
    /// Replaces all certificates; null means those of the system.
    pub ca_pem: Patch<String>,
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
    /// The new headers.
    pub headers: Patch<WebhookHeaders>,
    /// The new certificate authorities.
    pub ca_pem: Patch<String>,
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
        let trunks = self.trunk_ids.map(|trunks| checked_trunk_ids(&trunks, &mut problems));
        let headers = match self.headers {
            Patch::Keep => Patch::Keep,
            Patch::Clear => Patch::Clear,
            Patch::Set(headers) => {
                WebhookHeaders::check(headers, &mut problems).map_or(Patch::Clear, Patch::Set)
            }
        };
        let ca_pem = problems.keep("ca_pem", self.ca_pem.try_map(check_ca_pem));
        let max_in_flight = problems.optional("max_in_flight", self.max_in_flight, check_in_flight);
        let status = problems.optional("status", self.status, check_status);
        match (description, ca_pem) {
            (Some(description), Some(ca_pem)) if problems.is_empty() => {
                Ok(WebhookPatch { url, description, events, trunks, headers, ca_pem, max_in_flight, status })
            }
            _ => Err(problems),
        }
    }
}

impl WebhookPatch {
    /// Whether the change decides which events are sent, or to whom. It then needs the read scopes of these events.
    pub const fn directs_events(&self) -> bool {
        self.url.is_some() || self.events.is_some() || self.trunks.is_some()
    }

    /// Refuses to send headers that are set to a server that they were not given for.
    pub fn check_headers(&self, old: &Webhook) -> Result<(), Invalid> {
        let moves = self.url.as_ref().is_some_and(|url| !url.has_same_origin(&old.url));
        if moves && old.headers_at.is_some() && self.headers.is_kept() {
            let problem = "must be given again, or removed with null, because host or port of url changes";
            return Err(Invalid::one("headers", problem));
        }
        Ok(())
    }

    /// The endpoint after the change at `now`. Switching it on begins a new life: what failed before does not count any
    /// more.
    pub fn apply(self, old: &Webhook, now: Timestamp) -> Webhook {
        let status = self.status.unwrap_or(old.status);
        let mut new = Webhook {
            url: self.url.unwrap_or_else(|| old.url.clone()),
            description: self.description.apply(old.description.clone()),
            subscription: Subscription {
                events: self.events.unwrap_or_else(|| old.subscription.events.clone()),
                trunks: self.trunks.unwrap_or_else(|| old.subscription.trunks.clone()),
            },
            headers_at: match self.headers {
                Patch::Keep => old.headers_at,
                Patch::Clear => None,
                Patch::Set(_) => Some(now),
            },
            ca_pem: self.ca_pem.apply(old.ca_pem.clone()),
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

fn check_ca_pem(text: String) -> Result<String, String> {
    if text.contains("PRIVATE KEY") {
        return Err("must not contain a private key".to_owned());
    }
    if text.len() > MAX_CA_PEM {
        return Err(format!("must have at most {} KiB", MAX_CA_PEM / 1024));
    }
    bounded_text(text, 1, MAX_CA_PEM, &['\n', '\r', '\t'])
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
    if names.is_empty() || names.len() > EventKind::ALL.len() + EventFamily::ALL.len() {
        problems.wrong("events", "must name each wanted event once, or hold just *");
        return None;
    }
    if names == ["*"] {
        return Some(EventFilter::All);
    }
    let mut patterns = Vec::new();
    for (place, name) in names.iter().enumerate() {
        match name.parse::<EventPattern>() {
            Ok(pattern) if !patterns.contains(&pattern) => patterns.push(pattern),
            Ok(_) => problems.wrong(&format!("events[{place}]"), "is a duplicate"),
            Err(()) => problems.wrong(
                &format!("events[{place}]"),
                "is not the name of an event, or of a family such as call.*",
            ),
        }
    }
    Some(EventFilter::Only(patterns))
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
                "trunk_ids": ["call_1"], "signature": "v2", "headers": {"Host": "h"}, "ca_pem": "-----BEGIN PRIVATE KEY-----", "max_in_flight": 101, "status": "off"}"#,
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
                "headers.Host",
                "ca_pem",
                "max_in_flight",
                "status"
            ]
        );
        for events in ["[]", r#"["*", "call.ended"]"#, r#"["call.*", "call.*"]"#, r#"["call*"]"#] {
            assert!(
                check(&format!(r#"{{"url": "https://a.example/", "events": {events}}}"#)).is_err(),
                "{events}"
            );
        }
    }
}

//! The five steps, from what happened since the leak.

use telepath_core::audit::{AuditAction, AuditRecord};
use telepath_core::clock::Timestamp;
use telepath_core::key::KeyRecord;
use telepath_core::trunk::CredentialField;
use telepath_core::usage::SeenAddress;
use telepath_store::{LeakResponse, Names, OldCredential, RejectedClient};

use super::super::people::who;

use crate::form::encoded;
use crate::icon::{self, Icon};
use crate::number::{counted, grouped};
use crate::object::page_of;
use crate::pages::audit::phrase;
use crate::time::{Zone, relative};
use crate::visible::visible;

/// Addresses and clients that a step lists.
const LISTED: usize = 8;

/// What the steps follow from.
pub(super) struct Facts<'a> {
    pub(super) key: &'a KeyRecord,
    pub(super) response: &'a LeakResponse,
    pub(super) names: &'a Names,
    /// From when on the use of the key is reviewed.
    pub(super) since: Timestamp,
    pub(super) now: Timestamp,
    pub(super) zone: &'a Zone,
}

/// One step.
pub(super) struct Step {
    pub(super) title: &'static str,
    pub(super) done: bool,
    /// What is known, in parts; those that stand out are marked.
    pub(super) lead: Vec<(bool, String)>,
    pub(super) found: Vec<Found>,
    /// What follows the list.
    pub(super) note: String,
}

/// Something to look at.
pub(super) struct Found {
    pub(super) icon: Icon,
    pub(super) warns: bool,
    pub(super) strong: String,
    pub(super) rest: String,
    pub(super) aside: String,
    /// The words of the link, what it is about, and its path.
    pub(super) link: Option<(&'static str, String)>,
}

fn plain(text: impl Into<String>) -> (bool, String) {
    (false, text.into())
}

fn strong(text: impl Into<String>) -> (bool, String) {
    (true, text.into())
}

impl Facts<'_> {
    pub(super) fn steps(&self) -> Vec<Step> {
        vec![self.revoke(), self.rotate(), self.review(), self.clients(), self.credentials()]
    }

    fn revoke(&self) -> Step {
        let lead =
            if let (Some(revocation), Some(rejections)) = (&self.key.revocation, &self.response.rejections) {
                let accepted = match rejections.accepted {
                    None => "0 requests have been accepted".to_owned(),
                    Some(last) => format!("a request was accepted from {}", last.address),
                };
                let from = match rejections.addresses {
                    0 => ".".to_owned(),
                    addresses => format!(", from {}.", counted(addresses, "address", "addresses")),
                };
                vec![
                    plain(format!("Revoked on {}. Since then, {accepted} and ", self.second(revocation.at))),
                    strong(format!("{} rejected", grouped(rejections.requests))),
                    plain(from),
                ]
            } else {
                let used = self.key.last_use.map_or_else(
                    || "It was never used.".to_owned(),
                    |last| format!("It was last used {} from {}.", relative(last.at, self.now), last.address),
                );
                vec![strong("The key still works. "), plain(used)]
            };
        let done = self.key.revocation.is_some();
        Step { title: "Revoke the key immediately", done, lead, found: Vec::new(), note: String::new() }
    }

    fn rotate(&self) -> Step {
        let (others, start) = (self.response.other_keys, self.response.guide.started_at);
        let done = others.rotated >= others.keys;
        let mut lead = match (others.keys, done) {
            (0, _) => vec![plain("There are no other keys.")],
            (keys, true) => vec![plain(format!(
                "{} has a secret from after {}.",
                if keys == 1 {
                    "The other key".to_owned()
                } else {
                    format!("Each of the {} other keys", grouped(keys))
                },
                self.zone.moment(start)
            ))],
            (keys, false) => vec![
                strong(format!("{} of {}", grouped(others.rotated), grouped(keys))),
                plain(format!(" other keys have a secret from after {}.", self.zone.moment(start))),
            ],
        };
        if let Some(until) = others.grace_until {
            let secrets = counted(others.in_grace, "older secret still works", "older secrets still work");
            lead.push(plain(format!(" {secrets} until {} at the latest.", self.zone.moment(until))));
        }
        Step { title: "Rotate all API keys", done, lead, found: Vec::new(), note: String::new() }
    }

    fn review(&self) -> Step {
        let reviewed = &self.response.reviewed;
        let review = self.response.guide.review;
        let uses = counted(reviewed.requests, "request", "requests");
        let quiet = reviewed.new_addresses.is_empty() && reviewed.changes.is_empty();
        let rest =
            if quiet { ". No address was new, and it changed nothing." } else { ". Review these first:" };
        let mut lead = vec![
            plain(format!("{uses} used this key since ")),
            strong(self.zone.weekday(self.since)),
            plain(rest),
        ];
        if let Some(review) = review {
            lead.truncate(2);
            lead.push(plain(format!(
                ". Reviewed by {} on {}, from {} on.",
                who(review.by, self.names),
                self.zone.moment(review.at),
                self.zone.date(review.since)
            )));
        }
        let addresses = reviewed.new_addresses.iter().take(LISTED).map(|seen| self.address(seen));
        let found: Vec<Found> =
            addresses.chain(reviewed.changes.iter().map(|change| self.change(change))).collect();
        let mut note = String::new();
        if reviewed.new_addresses.len() > LISTED {
            let more = (reviewed.new_addresses.len() - LISTED) as u64;
            note = format!("{} more on the page of the key. ", counted(more, "new address", "new addresses"));
        }
        if reviewed.has_more_changes {
            note.push_str("The audit trail has older changes.");
        }
        Step { title: "Audit recent API calls", done: review.is_some(), lead, found, note }
    }

    fn address(&self, seen: &SeenAddress) -> Found {
        let (key, address) = (self.key.id, seen.what.to_string());
        let from = encoded(&self.since.to_string());
        Found {
            icon: icon::WARNING,
            warns: true,
            rest: format!(
                "a new address, sent {} between {} and {}",
                counted(seen.requests, "request", "requests"),
                self.zone.day_and_clock(seen.first_seen),
                self.zone.day_and_clock(seen.last_seen)
            ),
            aside: String::new(),
            link: Some((
                "View requests",
                format!("/requests?key_id={key}&address={}&start_date={from}", encoded(&address)),
            )),
            strong: address,
        }
    }

    fn change(&self, change: &AuditRecord) -> Found {
        let (words, has_target) = phrase(change.action.name());
        let target = match self.names.get(&change.target) {
            Some(named) => visible(&named.name),
            None => change.target.clone(),
        };
        let ends = matches!(change.action, AuditAction::CallHangupRequested);
        let link = match page_of(&change.target) {
            Some((_, page)) if ends => ("View call", page),
            _ => ("View change", format!("/audit?actor={}&target={}", self.key.id, encoded(&change.target))),
        };
        Found {
            icon: if ends { icon::CALLS } else { icon::EDIT },
            warns: !ends,
            strong: capitalized(&words),
            rest: if has_target { target } else { String::new() },
            aside: self.zone.day_and_clock(change.origin.at),
            link: Some(link),
        }
    }

    fn clients(&self) -> Step {
        let clients = &self.response.clients;
        let (done, lead) = match (&self.key.revocation, &self.response.rejections) {
            (Some(revocation), Some(rejections)) if rejections.is_silent(revocation.at, self.now) => {
                (true, vec![plain("No request has used the revoked key for an hour.")])
            }
            (Some(_), Some(_)) if clients.is_empty() => {
                (false, vec![plain("Nothing has used the revoked key within the last hour so far.")])
            }
            (Some(_), Some(_)) => {
                let count = counted(clients.len() as u64, "client still uses", "clients still use");
                (false, vec![strong(count), plain(" the revoked key:")])
            }
            (None, _) | (_, None) => {
                (false, vec![plain("Known once the key is revoked: who sends its secret is listed here.")])
            }
        };
        let note = if done || self.key.revocation.is_none() {
            ""
        } else {
            "Completes by itself after one hour without a request with the revoked key."
        };
        Step {
            title: "Update applications using the key",
            done,
            lead,
            found: clients.iter().take(LISTED).map(|client| self.client(client)).collect(),
            note: note.to_owned(),
        }
    }

    fn client(&self, client: &RejectedClient) -> Found {
        let key = self.key.id;
        let address = client.address.to_string();
        Found {
            icon: icon::TERMINAL,
            warns: false,
            rest: client.program.as_deref().map_or_else(|| "without a user agent".to_owned(), visible),
            aside: format!(
                "{}, {}",
                relative(client.last_seen, self.now),
                counted(client.requests, "request", "requests")
            ),
            link: Some((
                "View requests",
                format!("/requests?key_id={key}&address={}&status=401", encoded(&address)),
            )),
            strong: address,
        }
    }

    fn credentials(&self) -> Step {
        let (old, kept) = (&self.response.credentials, &self.response.guide.kept);
        let lead = match kept {
            _ if old.is_empty() => {
                vec![plain("No connection that this key could use has credentials from before the leak.")]
            }
            Some(kept) => vec![plain(format!(
                "Kept by {} on {}: {}",
                who(kept.by, self.names),
                self.zone.moment(kept.at),
                visible(&kept.reason)
            ))],
            None => vec![
                plain("This key could use these credentials but not read them. They are from "),
                strong("before the leak"),
                plain(":"),
            ],
        };
        Step {
            title: "Consider rotating AI provider credentials",
            done: old.is_empty() || kept.is_some(),
            lead,
            found: old.iter().map(|one| self.credential(one)).collect(),
            note: String::new(),
        }
    }

    fn credential(&self, old: &OldCredential) -> Found {
        let what = match old.field {
            CredentialField::OpenAiApiKey => "OpenAI key",
            CredentialField::ElevenLabsApiKey => "ElevenLabs key",
            CredentialField::DeepgramApiKey => "Deepgram key",
            CredentialField::GeminiApiKey => "Gemini key",
            CredentialField::CustomHeaders => "headers of the agent",
        };
        let last4 = old.last4.as_deref().map_or_else(String::new, |last4| format!(" …{}", visible(last4)));
        Found {
            icon: icon::CONNECTIONS,
            warns: false,
            strong: visible(&old.trunk_name),
            rest: format!("{what}{last4}"),
            aside: format!("set on {}", self.zone.date(old.updated_at)),
            link: Some(("Replace", format!("/connections/{}", old.trunk))),
        }
    }

    fn second(&self, at: Timestamp) -> String {
        format!("{} at {}", self.zone.day(at), self.zone.clock_second(at))
    }
}

fn capitalized(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map(char::to_uppercase).into_iter().flatten().chain(letters).collect()
}

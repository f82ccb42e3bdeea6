//! The five steps: what each will do, in words, and the doing of it.

use std::time::Duration;

use telepath_client::{
    AuditQuery, Client, Key, KeyId, KeysQuery, RequestsQuery, SecretText, Timestamp, UsageQuery,
};

use super::findings::{self, Finding};
use crate::cli::{audit, keys, requests, text, trunks};
use crate::exit::Failure;

/// Requests and audit entries of the key that are shown; the log has the others.
const SHOWN: u32 = 200;
/// How far back refused requests are looked for beside those since the rotation.
const LOOK_BACK: Duration = Duration::from_hours(1);
/// The rights that all steps together need.
const NEEDED: [&str; 4] = ["keys:write", "usage:read", "audit:read", "trunks:read"];

/// A step of the guide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Revoke,
    RotateAll,
    AuditCalls,
    OldSecrets,
    Credentials,
}

impl Step {
    pub(super) const ALL: [Step; 5] =
        [Step::Revoke, Step::RotateAll, Step::AuditCalls, Step::OldSecrets, Step::Credentials];

    pub(super) fn number(self) -> usize {
        self as usize + 1
    }

    /// The name in JSON.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Step::Revoke => "revoke",
            Step::RotateAll => "rotate_all",
            Step::AuditCalls => "audit_calls",
            Step::OldSecrets => "old_secrets",
            Step::Credentials => "provider_credentials",
        }
    }
}

/// What a key lacks of the rights that the steps need, and of those that the known key has: only who has them all may
/// revoke it. A `:write` brings its `:read`.
pub(super) fn lacking<'a>(scopes: &[String], of_known: &'a [String]) -> Vec<&'a str> {
    let has = |needed: &str| {
        let writes = needed.replace(":read", ":write");
        scopes.iter().any(|scope| *scope == needed || *scope == writes)
    };
    let of_known = of_known.iter().map(String::as_str).filter(|scope| !NEEDED.contains(scope));
    NEEDED.into_iter().chain(of_known).filter(|needed| !has(needed)).collect()
}

/// Somebody on the way through the steps.
pub(super) struct Guide {
    pub(super) client: Client,
    /// The key that the client uses; `None` for local administration.
    pub(super) own: Option<KeyId>,
    pub(super) key: Key,
    pub(super) reason: String,
    pub(super) grace: Duration,
    pub(super) begun: Timestamp,
}

impl Guide {
    /// What a step will do, before it is done.
    pub(super) fn describe(&self, step: Step) -> String {
        let key = format!("{} ({})", self.key.id, text::plain(&self.key.name));
        match step {
            Step::Revoke => format!(
                "revoke the key {key}. It is {} and was {}. No request is admitted with it afterwards.",
                self.key.status,
                self.key.last_used_at.map_or("never used".to_owned(), |at| format!("last used {at}")),
            ),
            Step::RotateAll if self.grace.is_zero() => {
                "give all other keys new secrets, shown once. The old ones are dead \
                at once: every client fails until it has its new secret (--grace leaves time)."
                    .to_owned()
            }
            Step::RotateAll => format!(
                "give all other keys new secrets, shown once. The old ones go on working for {}.",
                text::length(self.grace)
            ),
            Step::AuditCalls => {
                format!("show what was done with {key}: its requests, from where, and its changes.")
            }
            Step::OldSecrets => {
                "show which old secrets are still in use, and requests that were refused for one.".to_owned()
            }
            Step::Credentials => {
                "list the AI provider credentials that trunks hold. Whoever had the key may have used them: \
                 replace them at the provider."
                    .to_owned()
            }
        }
    }

    pub(super) async fn take(&mut self, step: Step) -> Result<Finding, Failure> {
        match step {
            Step::Revoke => self.revoke().await,
            Step::RotateAll => self.rotate_all().await,
            Step::AuditCalls => self.audit_calls().await,
            Step::OldSecrets => self.old_secrets().await,
            Step::Credentials => self.credentials().await,
        }
    }

    async fn revoke(&mut self) -> Result<Finding, Failure> {
        self.key = self.client.revoke_key(self.key.id, Some(&self.reason)).await?;
        Ok(findings::revoked(&self.key))
    }

    /// Goes on with the new secret of its own key: the old one may be dead now.
    async fn rotate_all(&mut self) -> Result<Finding, Failure> {
        let rotated = self.client.rotate_all_keys(Some(self.grace)).await?;
        if let Some(own) = rotated.keys.iter().find(|created| Some(created.key.id) == self.own) {
            self.client = self.client.with_key(SecretText::new(own.secret.expose().to_owned()))?;
        }
        findings::rotated(&rotated, self.own)
    }

    async fn audit_calls(&self) -> Result<Finding, Failure> {
        let of_key = RequestsQuery { key_id: Some(self.key.id), ..RequestsQuery::default() };
        let (requests, more) = requests::newest(&self.client, &of_key, SHOWN).await?;
        let by_key = AuditQuery { actor: Some(self.key.id.to_string()), ..AuditQuery::default() };
        let (changes, _) = audit::newest(&self.client, &by_key, SHOWN).await?;
        // The log forgets sooner than the counters, so the addresses are asked for by themselves.
        let day = UsageQuery { interval: Some("day".to_owned()), ..UsageQuery::default() };
        let addresses = self.client.key_usage(self.key.id, &day).await?.addresses;
        Ok(findings::calls(&self.key, &requests, more, &changes, &addresses, self.begun))
    }

    async fn old_secrets(&self) -> Result<Finding, Failure> {
        let keys = keys::all(&self.client, &KeysQuery::default()).await?;
        let refused = RequestsQuery {
            status: Some("401".to_owned()),
            start_date: Some(self.begun.minus(LOOK_BACK)),
            ..RequestsQuery::default()
        };
        let (refused, more) = requests::newest(&self.client, &refused, SHOWN).await?;
        Ok(findings::old_secrets(&keys, &refused, more, self.begun))
    }

    async fn credentials(&self) -> Result<Finding, Failure> {
        Ok(findings::credentials(&trunks::all(&self.client).await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_have_the_order_of_the_guide() {
        let numbers: Vec<_> = Step::ALL.iter().map(|step| (step.number(), step.name())).collect();
        let wanted = [
            (1, "revoke"),
            (2, "rotate_all"),
            (3, "audit_calls"),
            (4, "old_secrets"),
            (5, "provider_credentials"),
        ];
        assert_eq!(numbers, wanted);
    }

    #[test]
    fn missing_rights_are_known_before_the_first_step() {
        let scopes = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let known = scopes(&["calls:write", "trunks:read"]);
        let own = scopes(&["keys:write", "trunks:write"]);
        assert_eq!(lacking(&own, &known), ["usage:read", "audit:read", "calls:write"]);
        assert!(lacking(&scopes(&NEEDED), &[]).is_empty());
        assert_eq!(lacking(&scopes(&["keys:read"]), &[]), NEEDED);
    }
}

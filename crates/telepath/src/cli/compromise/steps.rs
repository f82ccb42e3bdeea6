//! The five steps: their descriptions and how they run.

use std::time::Duration;

use telepath_client::{
    AuditQuery, Client, Key, KeyId, KeysQuery, RequestsQuery, SecretText, Timestamp, UsageQuery,
};

use super::findings::{self, Finding};
use crate::cli::{audit, keys, requests, text, trunks};
use crate::exit::Failure;

/// The number of requests and audit events of the key that are read.
const SHOWN: u32 = 200;
/// How far back to look for rejected requests.
const LOOK_BACK: Duration = Duration::from_hours(1);
/// The scopes that the steps need.
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

/// The scopes that a key lacks: those that the steps need, and those of the leaked key, because revoking a key requires all
/// of its scopes. A `:write` scope includes the `:read` scope.
pub(super) fn lacking<'a>(scopes: &[String], of_known: &'a [String]) -> Vec<&'a str> {
    let has = |needed: &str| {
        let writes = needed.replace(":read", ":write");
        scopes.iter().any(|scope| *scope == needed || *scope == writes)
    };
    let of_known = of_known.iter().map(String::as_str).filter(|scope| !NEEDED.contains(scope));
    NEEDED.into_iter().chain(of_known).filter(|needed| !has(needed)).collect()
}

/// A run through the steps.
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
    /// Describes a step before it runs.
    pub(super) fn describe(&self, step: Step) -> String {
        let key = format!("{} ({})", self.key.id, text::printable(&self.key.name));
        match step {
            Step::Revoke => format!(
                "revoke key {key}. It is {} and was {}. Afterwards it admits no requests.",
                self.key.status,
                self.key.last_used_at.map_or("never used".to_owned(), |at| format!("last used {at}")),
            ),
            Step::RotateAll if self.grace.is_zero() => {
                "rotate all other keys. New secrets are shown once. The old ones stop working \
                at once: every client fails until it has its new secret (use --grace to allow time)."
                    .to_owned()
            }
            Step::RotateAll => format!(
                "rotate all other keys. New secrets are shown once. The old ones keep working for {}.",
                text::duration(self.grace)
            ),
            Step::AuditCalls => {
                format!("audit {key}: its requests, their addresses, and its changes.")
            }
            Step::OldSecrets => {
                "list old secrets that are still in use, and requests that were rejected for one.".to_owned()
            }
            Step::Credentials => {
                "list the AI provider credentials of trunks. Whoever had the key may have misused them, so \
                 consider replacing them at the provider."
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

    /// Continues with the new secret of its own key, because the old one may have stopped working.
    async fn rotate_all(&mut self) -> Result<Finding, Failure> {
        let rotated = self.client.rotate_all_keys(Some(self.grace), Some(self.begun)).await?;
        if let Some(own) = rotated.keys.iter().find(|created| Some(created.key.id) == self.own) {
            self.client = self.client.with_key(SecretText::new(own.secret.expose().to_owned()))?;
        }
        findings::rotated(&rotated, self.own)
    }

    async fn audit_calls(&self) -> Result<Finding, Failure> {
        let of_key = RequestsQuery { key_id: Some(self.key.id), ..RequestsQuery::default() };
        let requests = requests::newest(&self.client, &of_key, SHOWN).await?;
        let by_key = AuditQuery { actor: Some(self.key.id.to_string()), ..AuditQuery::default() };
        let changes = audit::newest(&self.client, &by_key, SHOWN).await?.items;
        // Addresses are kept longer than the request log, so read them from usage.
        let day = UsageQuery { interval: Some("day".to_owned()), ..UsageQuery::default() };
        let addresses = self.client.key_usage(self.key.id, &day).await?.addresses;
        Ok(findings::calls(&self.key, &requests.items, requests.has_more, &changes, &addresses, self.begun))
    }

    async fn old_secrets(&self) -> Result<Finding, Failure> {
        let keys = keys::all(&self.client, &KeysQuery::default()).await?;
        let refused = RequestsQuery {
            status: Some("401".to_owned()),
            start_date: Some(self.begun.minus(LOOK_BACK)),
            ..RequestsQuery::default()
        };
        let refused = requests::newest(&self.client, &refused, SHOWN).await?;
        Ok(findings::old_secrets(&keys, &refused.items, refused.has_more, self.begun))
    }

    async fn credentials(&self) -> Result<Finding, Failure> {
        Ok(findings::credentials(&trunks::all(&self.client).await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_follow_the_order_of_the_guide() {
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
    fn missing_scopes_are_reported_before_the_first_step() {
        let scopes = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let known = scopes(&["calls:write", "trunks:read"]);
        let own = scopes(&["keys:write", "trunks:write"]);
        assert_eq!(lacking(&own, &known), ["usage:read", "audit:read", "calls:write"]);
        assert!(lacking(&scopes(&NEEDED), &[]).is_empty());
        assert_eq!(lacking(&scopes(&["keys:read"]), &[]), NEEDED);
    }
}

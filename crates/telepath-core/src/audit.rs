//! The audit trail: who changed what, from where, before and after. Each entry carries a hash over itself and the hash of
//! the one before, so that a changed or removed entry breaks every later link.

use std::net::IpAddr;

use aws_lc_rs::digest::{Context, SHA256};

use crate::account::Actor;
use crate::clock::Timestamp;
use crate::id::{AccountId, AuditId, IdempotencyId};

/// What was done. The names are those of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditAction {
    /// A key was made.
    KeyCreated,
    /// A key's rights, limit, addresses, name or expiry were changed.
    KeyUpdated,
    /// A key was revoked.
    KeyRevoked,
    /// A key has a new secret.
    KeyRotated,
    /// A secret of a key was ended before its grace was over.
    KeySecretEnded,
    /// A preset was edited.
    PresetUpdated,
    /// A preset is again the one that is built in.
    PresetReset,
    /// A trunk was made.
    TrunkCreated,
    /// A trunk was changed.
    TrunkUpdated,
    /// A trunk was deleted.
    TrunkDeleted,
    /// A trunk has a new SIP password.
    TrunkPasswordRotated,
    /// A live call was hung up by request.
    CallHangupRequested,
    /// A webhook endpoint was made.
    WebhookCreated,
    /// A webhook endpoint was changed.
    WebhookUpdated,
    /// A webhook endpoint was deleted.
    WebhookDeleted,
    /// A webhook endpoint has a new signing secret.
    WebhookSecretRotated,
    /// A webhook endpoint was given up by the server.
    WebhookDisabled,
    /// A test delivery was asked for.
    WebhookTested,
    /// Failed deliveries of an endpoint were asked for again.
    WebhookRecovered,
    /// One delivery was asked for again.
    DeliveryRepeated,
    /// The account was made.
    AccountCreated,
    /// The account was changed.
    AccountUpdated,
    /// Somebody took note of an alert.
    AlertAcknowledged,
}

impl AuditAction {
    /// Every action.
    pub const ALL: &'static [AuditAction] = &[
        AuditAction::KeyCreated,
        AuditAction::KeyUpdated,
        AuditAction::KeyRevoked,
        AuditAction::KeyRotated,
        AuditAction::KeySecretEnded,
        AuditAction::PresetUpdated,
        AuditAction::PresetReset,
        AuditAction::TrunkCreated,
        AuditAction::TrunkUpdated,
        AuditAction::TrunkDeleted,
        AuditAction::TrunkPasswordRotated,
        AuditAction::CallHangupRequested,
        AuditAction::WebhookCreated,
        AuditAction::WebhookUpdated,
        AuditAction::WebhookDeleted,
        AuditAction::WebhookSecretRotated,
        AuditAction::WebhookDisabled,
        AuditAction::WebhookTested,
        AuditAction::WebhookRecovered,
        AuditAction::DeliveryRepeated,
        AuditAction::AccountCreated,
        AuditAction::AccountUpdated,
        AuditAction::AlertAcknowledged,
    ];

    /// The action with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|action| action.name() == name)
    }

    /// The name in the API and the database.
    pub const fn name(self) -> &'static str {
        match self {
            AuditAction::KeyCreated => "key.created",
            AuditAction::KeyUpdated => "key.updated",
            AuditAction::KeyRevoked => "key.revoked",
            AuditAction::KeyRotated => "key.rotated",
            AuditAction::KeySecretEnded => "key.secret_ended",
            AuditAction::PresetUpdated => "key_preset.updated",
            AuditAction::PresetReset => "key_preset.reset",
            AuditAction::TrunkCreated => "trunk.created",
            AuditAction::TrunkUpdated => "trunk.updated",
            AuditAction::TrunkDeleted => "trunk.deleted",
            AuditAction::TrunkPasswordRotated => "trunk.sip_password_rotated",
            AuditAction::CallHangupRequested => "call.hangup_requested",
            AuditAction::WebhookCreated => "webhook.created",
            AuditAction::WebhookUpdated => "webhook.updated",
            AuditAction::WebhookDeleted => "webhook.deleted",
            AuditAction::WebhookSecretRotated => "webhook.secret_rotated",
            AuditAction::WebhookDisabled => "webhook.disabled",
            AuditAction::WebhookTested => "webhook.tested",
            AuditAction::WebhookRecovered => "webhook.recovered",
            AuditAction::DeliveryRepeated => "delivery.repeated",
            AuditAction::AccountCreated => "account.created",
            AuditAction::AccountUpdated => "account.updated",
            AuditAction::AlertAcknowledged => "alert.acknowledged",
        }
    }
}

/// Who asks for a change, and from where; an argument of every changing store function, so that none can forget it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// Who.
    pub actor: Actor,
    /// From which address; `None` for local administration and for the server itself.
    pub address: Option<IpAddr>,
    /// When.
    pub at: Timestamp,
    /// The attempt to which the change belongs, when the request has an `Idempotency-Key`: the change is made for a valid
    /// attempt or not at all.
    pub idempotency: Option<IdempotencyId>,
}

impl Origin {
    /// Whoever has access to the data folder.
    pub const fn local(at: Timestamp) -> Self {
        Self { actor: Actor::Local, address: None, at, idempotency: None }
    }

    /// The server itself, on what came from an address.
    pub const fn system(address: Option<IpAddr>, at: Timestamp) -> Self {
        Self { actor: Actor::System, address, at, idempotency: None }
    }
}

/// An entry about to be written, in the transaction of the change.
#[derive(Debug, Clone)]
pub struct AuditEntry {
    /// Its id.
    pub id: AuditId,
    /// Whose trail.
    pub account_id: AccountId,
    /// Who, from where, when.
    pub origin: Origin,
    /// What was done.
    pub action: AuditAction,
    /// The id of what it was done to.
    pub target: String,
    /// The changed members before the change, without secrets.
    pub before: serde_json::Value,
    /// The changed members after it, without secrets.
    pub after: serde_json::Value,
}

/// An entry as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    /// Its id.
    pub id: AuditId,
    /// Its place in the account's trail, counted from 1.
    pub position: u64,
    /// Who, from where, when.
    pub origin: Origin,
    /// What was done.
    pub action: AuditAction,
    /// The id of what it was done to.
    pub target: String,
    /// The changed members before the change.
    pub before: serde_json::Value,
    /// The changed members after it.
    pub after: serde_json::Value,
    /// Its link of the chain.
    pub hash: ChainHash,
}

/// Which entries a list shows; every member narrows it.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Of changes by this one.
    pub actor: Option<Actor>,
    /// Of this kind.
    pub action: Option<AuditAction>,
    /// Of changes of what has this id.
    pub target: Option<String>,
    /// Not before this moment.
    pub start: Option<Timestamp>,
    /// Not after this moment.
    pub end: Option<Timestamp>,
    /// Older than this entry.
    pub after: Option<AuditId>,
}

/// A link of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainHash(pub [u8; 32]);

impl ChainHash {
    /// What the first entry of a trail follows.
    pub const GENESIS: Self = Self([0; 32]);
}

/// In hexadecimal.
impl std::fmt::Display for ChainHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl AuditEntry {
    /// SHA-256 over the previous hash and every member of this entry, each preceded by its length so that no two entries
    /// can have the same input. `before` and `after` are given as the exact texts that are stored.
    pub fn chain(&self, previous: ChainHash, before_text: &str, after_text: &str) -> ChainHash {
        let mut context = Context::new(&SHA256);
        context.update(&previous.0);
        let address = self.origin.address.map(|address| address.to_string()).unwrap_or_default();
        for part in [
            self.id.to_string().as_str(),
            self.account_id.to_string().as_str(),
            self.origin.actor.to_string().as_str(),
            address.as_str(),
            self.origin.at.unix_ms().to_string().as_str(),
            self.action.name(),
            self.target.as_str(),
            before_text,
            after_text,
        ] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(context.finish().as_ref());
        ChainHash(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id as _;

    #[test]
    fn every_member_and_the_previous_hash_change_the_link() {
        let entry = AuditEntry {
            id: AuditId::from_bytes([1; 16]),
            account_id: AccountId::from_bytes([2; 16]),
            origin: Origin::local(Timestamp::from_unix_seconds(5)),
            action: AuditAction::KeyCreated,
            target: "key_a".to_owned(),
            before: serde_json::Value::Null,
            after: serde_json::Value::Null,
        };
        let base = entry.chain(ChainHash::GENESIS, "null", "{}");
        let moved = AuditEntry { target: "key_an".to_owned(), ..entry.clone() };
        let other = AuditEntry { action: AuditAction::KeyRevoked, ..entry.clone() };
        assert_ne!(base, entry.chain(base, "null", "{}"));
        assert_ne!(base, entry.chain(ChainHash::GENESIS, "null{", "}"));
        assert_ne!(base, moved.chain(ChainHash::GENESIS, "null", "{}"));
        assert_ne!(base, other.chain(ChainHash::GENESIS, "null", "{}"));
        assert_eq!(base, entry.chain(ChainHash::GENESIS, "null", "{}"));
    }
}

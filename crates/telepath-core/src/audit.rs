//! The audit trail: who changed what, from where, with the values before and after. Each entry contains a keyed hash over
//! itself and the hash of the previous one, so that a changed or removed entry breaks the chain.

mod bounds;
mod chain;
pub mod export;
mod heads;

mod digest;

use std::net::IpAddr;

pub use chain::{ChainHash, ChainHead, ChainKey, ChainState, InvalidChainHead, KeyedAuditId};
pub use heads::{ExpectedHead, HeadLog};

pub use digest::{MAX_MEMBER, MAX_TEXT, digested};

use crate::account::Actor;
use crate::clock::Timestamp;
use crate::id::{AccountId, AuditId, IdempotencyId};
use crate::named::named_enum;
use crate::page::{SortKey, SortKind};
use crate::scope::Scope;

named_enum! {
    /// What was done. The names are those of the API.
    pub enum AuditAction {
        /// A key was created.
        KeyCreated = "key.created",
        /// A key's rights, limit, addresses, name or expiry were changed.
        KeyUpdated = "key.updated",
        /// A key was paused.
        KeyPaused = "key.paused",
        /// A paused key was resumed.
        KeyResumed = "key.resumed",
        /// A key was revoked.
        KeyRevoked = "key.revoked",
        /// A key has a new secret.
        KeyRotated = "key.rotated",
        /// A secret of a key was ended before its grace was over.
        KeySecretEnded = "key.secret_ended",
        /// The guide through the response to a leaked key was started.
        LeakGuideStarted = "leak_guide.started",
        /// The requests of a leaked key were reviewed.
        LeakedKeyReviewed = "leak_guide.requests_reviewed",
        /// The provider credentials that a leaked key could use were kept.
        LeakedCredentialsKept = "leak_guide.credentials_kept",
        /// A preset was edited.
        PresetUpdated = "key_preset.updated",
        /// A preset is again the one that is built in.
        PresetReset = "key_preset.reset",
        /// A trunk was created.
        TrunkCreated = "trunk.created",
        /// A trunk was changed.
        TrunkUpdated = "trunk.updated",
        /// A trunk was deleted.
        TrunkDeleted = "trunk.deleted",
        /// A trunk has a new SIP password.
        TrunkPasswordRotated = "trunk.sip_password_rotated",
        /// A live call was hung up by request.
        CallHangupRequested = "call.hangup_requested",
        /// A webhook endpoint was created.
        WebhookCreated = "webhook.created",
        /// A webhook endpoint was changed.
        WebhookUpdated = "webhook.updated",
        /// A webhook endpoint was deleted.
        WebhookDeleted = "webhook.deleted",
        /// A webhook endpoint has a new signing secret.
        WebhookSecretRotated = "webhook.secret_rotated",
        /// A webhook endpoint was given up by the server.
        WebhookDisabled = "webhook.disabled",
        /// A test delivery was requested.
        WebhookTested = "webhook.tested",
        /// Failed deliveries of an endpoint were retried.
        WebhookRecovered = "webhook.recovered",
        /// One delivery was retried.
        DeliveryRepeated = "delivery.repeated",
        /// The account was created.
        AccountCreated = "account.created",
        /// The account was changed.
        AccountUpdated = "account.updated",
        /// A user was created.
        UserCreated = "user.created",
        /// A user changed their name or settings.
        UserUpdated = "user.updated",
        /// A user was disabled; all of their sessions ended.
        UserDisabled = "user.disabled",
        /// A user may sign in again.
        UserEnabled = "user.enabled",
        /// A user became a member of the account.
        UserAdded = "user.added",
        /// A member has another role.
        UserRoleChanged = "user.role_changed",
        /// A user is no longer a member of the account.
        UserRemoved = "user.removed",
        /// A user has another password; their other sessions ended.
        UserPasswordChanged = "user.password_changed",
        /// A link was created with which a user sets a password.
        UserPasswordLinkCreated = "user.password_link_created",
        /// A user got a secret for an authenticator, and has not confirmed it yet.
        UserSecondFactorEnrolled = "user.second_factor_enrolled",
        /// A user confirmed a second factor, which is required from then on.
        UserSecondFactorAdded = "user.second_factor_added",
        /// A user has no second factor any more.
        UserSecondFactorRemoved = "user.second_factor_removed",
        /// A user has new recovery codes.
        UserRecoveryCodesReplaced = "user.recovery_codes_replaced",
        /// A user gave a recovery code in the place of the second factor.
        UserRecoveryCodeUsed = "user.recovery_code_used",
        /// A user can sign in with an identity at an OpenID Connect provider.
        UserIdentityLinked = "user.identity_linked",
        /// A user was invited to the account.
        InvitationCreated = "invitation.created",
        /// An invitation was accepted.
        InvitationAccepted = "invitation.accepted",
        /// An invitation was revoked.
        InvitationRevoked = "invitation.revoked",
        /// A session was started.
        SessionCreated = "session.created",
        /// The user of a session proved again who they are.
        SessionConfirmed = "session.confirmed",
        /// A session works on this account, and worked on another.
        SessionSwitched = "session.switched",
        /// A session was ended.
        SessionRevoked = "session.revoked",
        /// Several sessions of a user were ended.
        SessionsRevoked = "session.all_revoked",
        /// A password or a code of a user was wrong.
        SignInRefused = "session.refused",
        /// The record of a call was erased.
        CallErased = "call.erased",
        /// A number was erased from the records of calls.
        NumberErased = "number.erased",
        /// An alert was acknowledged.
        AlertAcknowledged = "alert.acknowledged",
        /// A test of the emails about alerts was sent.
        AlertsTested = "alerts.tested",
        /// A master key was generated and added to the keyring.
        MasterKeyAdded = "master_key.added",
        /// Another master key seals from now on.
        MasterKeyActivated = "master_key.activated",
        /// Everything is sealed with the active master key.
        MasterKeyRotated = "master_key.rotated",
        /// A master key that seals nothing was removed from the keyring.
        MasterKeyRemoved = "master_key.removed",
    }
}

impl AuditAction {
    /// The scope that the action needs; `None` where a rule of its own decides: who manages whom, what users do with
    /// themselves, and what only local administration or the server does.
    pub const fn scope(self) -> Option<Scope> {
        match self {
            AuditAction::KeyCreated
            | AuditAction::KeyUpdated
            | AuditAction::KeyPaused
            | AuditAction::KeyResumed
            | AuditAction::KeyRevoked
            | AuditAction::KeyRotated
            | AuditAction::KeySecretEnded
            | AuditAction::LeakGuideStarted
            | AuditAction::LeakedKeyReviewed
            | AuditAction::LeakedCredentialsKept
            | AuditAction::PresetUpdated
            | AuditAction::PresetReset
            | AuditAction::AlertAcknowledged
            | AuditAction::AlertsTested => Some(Scope::KeysWrite),
            AuditAction::TrunkCreated
            | AuditAction::TrunkUpdated
            | AuditAction::TrunkDeleted
            | AuditAction::TrunkPasswordRotated => Some(Scope::TrunksWrite),
            AuditAction::CallHangupRequested | AuditAction::CallErased | AuditAction::NumberErased => {
                Some(Scope::CallsWrite)
            }
            AuditAction::WebhookCreated
            | AuditAction::WebhookUpdated
            | AuditAction::WebhookDeleted
            | AuditAction::WebhookSecretRotated
            | AuditAction::WebhookDisabled
            | AuditAction::WebhookTested
            | AuditAction::WebhookRecovered
            | AuditAction::DeliveryRepeated => Some(Scope::WebhooksWrite),
            AuditAction::AccountCreated | AuditAction::AccountUpdated => Some(Scope::AccountWrite),
            AuditAction::UserCreated
            | AuditAction::UserUpdated
            | AuditAction::UserDisabled
            | AuditAction::UserEnabled
            | AuditAction::UserAdded
            | AuditAction::UserRoleChanged
            | AuditAction::UserRemoved
            | AuditAction::UserPasswordChanged
            | AuditAction::UserPasswordLinkCreated
            | AuditAction::UserSecondFactorEnrolled
            | AuditAction::UserSecondFactorAdded
            | AuditAction::UserSecondFactorRemoved
            | AuditAction::UserRecoveryCodesReplaced
            | AuditAction::UserRecoveryCodeUsed
            | AuditAction::UserIdentityLinked
            | AuditAction::InvitationCreated
            | AuditAction::InvitationAccepted
            | AuditAction::InvitationRevoked
            | AuditAction::SessionCreated
            | AuditAction::SessionConfirmed
            | AuditAction::SessionSwitched
            | AuditAction::SessionRevoked
            | AuditAction::SessionsRevoked
            | AuditAction::SignInRefused
            | AuditAction::MasterKeyAdded
            | AuditAction::MasterKeyActivated
            | AuditAction::MasterKeyRotated
            | AuditAction::MasterKeyRemoved => None,
        }
    }
}

/// Who asks for a change, and from where; an argument of every changing store function, so that none can forget it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The actor of the change.
    pub actor: Actor,
    /// From which address; `None` for local administration and for the server itself.
    pub address: Option<IpAddr>,
    /// The time of the change.
    pub at: Timestamp,
    /// The attempt to which the change belongs, when the request has an `Idempotency-Key`: the change is made for a valid
    /// attempt or not at all.
    pub idempotency: Option<IdempotencyId>,
}

impl Origin {
    /// Local administration: a process with access to the data folder.
    pub const fn local(at: Timestamp) -> Self {
        Self { actor: Actor::Local { uid: None }, address: None, at, idempotency: None }
    }

    /// The server itself, on what came from an address.
    pub const fn system(address: Option<IpAddr>, at: Timestamp) -> Self {
        Self { actor: Actor::System, address, at, idempotency: None }
    }
}

/// An entry about to be written, in the transaction of the change.
#[derive(Debug, Clone)]
pub struct AuditEntry {
    /// The id of the audit entry, and the key that links it to the chain.
    pub id: KeyedAuditId,
    /// The account that the trail belongs to.
    pub account_id: AccountId,
    /// Who, from where, when.
    pub origin: Origin,
    /// The action.
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
    /// The id of the audit entry.
    pub id: AuditId,
    /// Its place in the account's trail, counted from 1.
    pub position: u64,
    /// Who, from where, when.
    pub origin: Origin,
    /// The action.
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
}

/// The order of the trail.
pub const TRAIL_ORDER: SortKey = SortKey { name: "position", kind: SortKind::Number };

//! API keys: identity, rights, lifecycle. A key keeps its identity when its secrets change. [`KeyPolicy::decide`] is the only
//! place that decides whether a key may be used.

mod authority;
mod draft;
mod filter;
mod policy;
mod preset;
mod rotation;
mod summary;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

pub use authority::{Authority, Bound, Escalation, Rights, RoleAuthority};
pub use draft::{KeyDraft, KeyPatch, KeyPatchDraft, NewKey, QuotasPatch, QuotasPatchDraft};
pub use filter::{KEY_SORTS, KeyFilter, KeySort};
pub use policy::{KeyPolicy, PolicyDecision};
pub use preset::{Preset, PresetPatch, PresetPatchDraft, PresetTerms, Presets};
pub use rotation::{
    GraceSeconds, LONGEST_GRACE, MAX_ENDED_SECRETS, MAX_LIVE_SECRETS, MAX_ROTATED_TOGETHER, RotateAll,
    RotateAllDraft, RotateDraft, Rotation, SecretEnd, SecretStatus, TooManySecrets,
};
pub use summary::{describe_access, describe_preset, describe_scopes};

use crate::account::Actor;
use crate::address::NetworkList;
use crate::clock::Timestamp;
use crate::id::{AccountId, KeyId, SecretId};
use crate::limit::RateLimit;
use crate::limit::quota::Quotas;
use crate::named::named_enum;
use crate::reach::TrunkAccess;
use crate::scope::ScopeSet;
use crate::secret::KeyMask;

/// A key that expires within this time is shown as `expiring`.
pub const EXPIRING_WITHIN: Duration = Duration::from_hours(7 * 24);

named_enum! {
    /// The state of a key.
    pub enum KeyStatus {
        /// Will be usable from its `not_before` on.
        Scheduled = "scheduled",
        /// May be used.
        Active = "active",
        /// Stopped until it is resumed.
        Paused = "paused",
        /// May be used, for no more than [`EXPIRING_WITHIN`].
        Expiring = "expiring",
        /// It is past its expiry.
        Expired = "expired",
        /// Withdrawn.
        Revoked = "revoked",
    }
}

/// When, by whom and why a key was revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// The time of the revocation.
    pub at: Timestamp,
    /// The actor that revoked it.
    pub by: Actor,
    /// The reason that the actor gave.
    pub reason: Option<String>,
}

/// When and from where something was last used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastUse {
    /// The time of the last use.
    pub at: Timestamp,
    /// From which address.
    pub address: IpAddr,
}

/// One secret of a key, as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRecord {
    /// The secret id.
    pub id: SecretId,
    /// The few characters that may be shown.
    pub mask: KeyMask,
    pub created_at: Timestamp,
    /// When it stops working; `None` for the newest secret.
    pub expires_at: Option<Timestamp>,
    pub last_use: Option<LastUse>,
}

/// Everything that is known of a key but its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    pub id: KeyId,
    /// The account that owns it.
    pub account_id: AccountId,
    /// The name, 1–100 characters.
    pub name: String,
    pub description: Option<String>,
    /// The owner's own pairs, at most 16.
    pub metadata: BTreeMap<String, String>,
    /// The preset it was created from.
    pub preset: Preset,
    /// The operations that it allows.
    pub scopes: ScopeSet,
    /// The trunks that it reaches.
    pub trunks: TrunkAccess,
    /// Requests per minute.
    pub rate_limit: RateLimit,
    /// Requests per calendar day and month.
    pub quotas: Quotas,
    /// The networks that it is allowed from; empty is any address.
    pub allowed_ips: NetworkList,
    /// Not after this.
    pub expires_at: Option<Timestamp>,
    /// Not before this.
    pub not_before: Option<Timestamp>,
    /// When it was paused; `None` while it is not.
    pub paused_at: Option<Timestamp>,
    pub created_at: Timestamp,
    /// The actor that created it.
    pub created_by: Actor,
    pub last_use: Option<LastUse>,
    /// Requests with this key so far, of every status.
    pub request_count: u64,
    /// Those answered with 4xx or 5xx.
    pub error_count: u64,
    /// The revocation, if the key is revoked.
    pub revocation: Option<Revocation>,
    /// Its secrets, the newest first.
    pub secrets: Vec<SecretRecord>,
}

impl KeyRecord {
    /// The state of the key.
    pub fn status(&self, now: Timestamp) -> KeyStatus {
        match (&self.revocation, self.expires_at) {
            (Some(_), _) => KeyStatus::Revoked,
            (None, Some(end)) if end <= now => KeyStatus::Expired,
            (None, _) if self.paused_at.is_some() => KeyStatus::Paused,
            (None, _) if self.not_before.is_some_and(|start| now < start) => KeyStatus::Scheduled,
            (None, Some(end)) if end <= now.plus(EXPIRING_WITHIN) => KeyStatus::Expiring,
            (None, _) => KeyStatus::Active,
        }
    }

    /// Whether the key may be used now or, if it is not valid yet, later. A paused key may not, until it is resumed.
    pub fn is_usable(&self, now: Timestamp) -> bool {
        match self.status(now) {
            KeyStatus::Scheduled | KeyStatus::Active | KeyStatus::Expiring => true,
            KeyStatus::Expired | KeyStatus::Paused | KeyStatus::Revoked => false,
        }
    }
}

//! What a principal may grant. A key that is created or changed stays within the authority of whoever creates or changes
//! it, so that nobody gets around their own bounds with a key.

use std::fmt;

use super::{KeyRecord, NewKey, PresetTerms};
use crate::account::Actor;
use crate::address::NetworkList;
use crate::clock::Timestamp;
use crate::id::UserId;
use crate::limit::RateLimit;
use crate::limit::quota::Quotas;
use crate::reach::TrunkAccess;
use crate::scope::ScopeSet;
use crate::user::Role;
use crate::validation::Invalid;

/// The rights of a key: scopes, trunks, rate limit, quotas, networks and expiry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    pub scopes: ScopeSet,
    pub trunks: TrunkAccess,
    /// Requests per minute.
    pub rate_limit: RateLimit,
    pub quotas: Quotas,
    /// The networks it is allowed from; empty is any address.
    pub allowed_ips: NetworkList,
    /// The expiry; `None` is never.
    pub expires_at: Option<Timestamp>,
}

impl From<&KeyRecord> for Rights {
    fn from(key: &KeyRecord) -> Self {
        Self {
            scopes: key.scopes,
            trunks: key.trunks.clone(),
            rate_limit: key.rate_limit,
            quotas: key.quotas,
            allowed_ips: key.allowed_ips.clone(),
            expires_at: key.expires_at,
        }
    }
}

impl From<&NewKey> for Rights {
    fn from(key: &NewKey) -> Self {
        Self {
            scopes: key.scopes,
            trunks: key.trunks.clone(),
            rate_limit: key.rate_limit,
            quotas: key.quotas,
            allowed_ips: key.allowed_ips.clone(),
            expires_at: key.expires_at,
        }
    }
}

/// What a principal may grant on an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authority {
    /// Local administration and the server itself.
    Unbounded,
    /// A key: its own rights.
    Key(Rights),
    /// A member of the account.
    Role(RoleAuthority),
}

/// What a member may grant: the scopes of the role, within the bounds of the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoleAuthority {
    pub user: UserId,
    pub role: Role,
    /// The account's highest rate limit of a key.
    pub max_rate_limit: RateLimit,
}

/// Whose bounds an [`Escalation`] exceeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    Key,
    Role,
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Bound::Key => "the key that makes this request",
            Bound::Role => "your role",
        })
    }
}

/// Why a principal may not change a key or a preset, as a sentence for whoever asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Escalation {
    /// The key that asks is not valid any more or lost `keys:write`, or the user has no role with it.
    #[error("{}", no_authority(*.0))]
    NoAuthority(Bound),
    /// Whoever may not grant a right may not change a key that has it either.
    #[error("The key has more rights than {0}")]
    KeyExceeds(Bound),
    /// The preset grants a right that the caller cannot grant.
    #[error("The preset grants more rights than {0}")]
    PresetExceeds(Bound),
    /// The role manages no keys of others.
    #[error("Your role manages only the keys that you created")]
    NotCreator,
    /// The role edits no presets.
    #[error("Your role does not edit presets")]
    Presets,
}

const fn no_authority(bound: Bound) -> &'static str {
    match bound {
        Bound::Key => "The key that makes this request does not manage keys any more",
        Bound::Role => "Your role does not manage keys",
    }
}

impl Authority {
    /// Checks that a key with these rights may be given.
    ///
    /// # Errors
    /// The members that go beyond, each with the most that may be granted.
    pub fn check_can_grant(&self, rights: &Rights) -> Result<(), Invalid> {
        let mut problems = Invalid::default();
        self.check_scopes(rights.scopes, &mut problems);
        self.check_limit(rights.rate_limit, &mut problems);
        if let Authority::Key(own) = self {
            own.check_reach(rights, &mut problems);
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// Checks that a preset may offer this.
    ///
    /// # Errors
    /// The members that go beyond, each with the most that may be granted.
    pub fn check_can_offer(&self, terms: PresetTerms) -> Result<(), Invalid> {
        let mut problems = Invalid::default();
        self.check_scopes(terms.scopes, &mut problems);
        self.check_limit(terms.rate_limit, &mut problems);
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// Checks that a key, as it is, may be changed or get a new secret.
    ///
    /// # Errors
    /// What the authority lacks.
    pub fn check_can_change(&self, key: &KeyRecord) -> Result<(), Escalation> {
        self.check_manages(key)?;
        let rights = Rights::from(key);
        self.check_can_grant(&rights).map_err(|_| Escalation::KeyExceeds(self.bound()))
    }

    /// Checks that a key or one of its secrets may be ended. Taking away is not giving, so limit, networks and expiry do
    /// not matter: every key that has the scopes of a harmful key can stop it, and so can every member who manages it.
    ///
    /// # Errors
    /// What the authority lacks.
    pub fn check_can_stop(&self, key: &KeyRecord) -> Result<(), Escalation> {
        match self {
            Authority::Key(own) if !own.scopes.covers(key.scopes) => Err(Escalation::KeyExceeds(Bound::Key)),
            Authority::Unbounded | Authority::Key(_) => Ok(()),
            Authority::Role(_) => self.check_manages(key),
        }
    }

    /// Checks that a preset with these scopes may be edited.
    ///
    /// # Errors
    /// What the authority lacks.
    pub fn check_can_edit_preset(&self, scopes: ScopeSet) -> Result<(), Escalation> {
        match self {
            Authority::Role(member) if !member.role.manages_all_keys() => Err(Escalation::Presets),
            Authority::Unbounded | Authority::Key(_) | Authority::Role(_) => {
                let mut problems = Invalid::default();
                self.check_scopes(scopes, &mut problems);
                if problems.is_empty() { Ok(()) } else { Err(Escalation::PresetExceeds(self.bound())) }
            }
        }
    }

    /// The trunks that may be granted.
    pub fn trunks(&self) -> TrunkAccess {
        match self {
            Authority::Unbounded | Authority::Role(_) => TrunkAccess::ALL,
            Authority::Key(own) => own.trunks.clone(),
        }
    }

    /// The highest quotas that may be granted.
    pub const fn quotas(&self) -> Quotas {
        match self {
            Authority::Unbounded | Authority::Role(_) => Quotas { per_day: None, per_month: None },
            Authority::Key(own) => own.quotas,
        }
    }

    /// Whether a key exists for the principal: a key that is limited to trunks sees only keys with the same limits or
    /// narrower ones.
    pub fn reaches(&self, key: &KeyRecord) -> bool {
        self.trunks().encloses(&key.trunks)
    }

    /// The highest rate limit that may be granted, if there is a bound.
    pub const fn max_rate_limit(&self) -> Option<RateLimit> {
        match self {
            Authority::Unbounded => None,
            Authority::Key(own) => Some(own.rate_limit),
            Authority::Role(member) => Some(member.max_rate_limit),
        }
    }

    /// Whose bounds these are, for messages. Nothing exceeds [`Authority::Unbounded`].
    pub const fn bound(&self) -> Bound {
        match self {
            Authority::Unbounded | Authority::Key(_) => Bound::Key,
            Authority::Role(_) => Bound::Role,
        }
    }

    fn check_manages(&self, key: &KeyRecord) -> Result<(), Escalation> {
        match self {
            Authority::Role(member)
                if !member.role.manages_all_keys() && key.created_by != Actor::User(member.user) =>
            {
                Err(Escalation::NotCreator)
            }
            Authority::Unbounded | Authority::Key(_) | Authority::Role(_) => Ok(()),
        }
    }

    fn check_scopes(&self, scopes: ScopeSet, problems: &mut Invalid) {
        let own = match self {
            Authority::Unbounded => return,
            Authority::Key(own) => own.scopes,
            Authority::Role(member) => member.role.grantable_scopes(),
        };
        if !own.covers(scopes) {
            problems.wrong("scopes", format!("goes beyond the rights of {}", self.bound()));
        }
    }

    fn check_limit(&self, limit: RateLimit, problems: &mut Invalid) {
        let Some(most) = self.max_rate_limit().filter(|most| limit > *most) else { return };
        let of = match self {
            Authority::Unbounded | Authority::Key(_) => "the key that makes this request",
            Authority::Role(_) => "a key of this account",
        };
        problems.wrong("rate_limit_per_minute", format!("must be at most {}, the limit of {of}", most.get()));
    }
}

impl Rights {
    /// Notes trunks, networks and times on, from and at which a key with these rights does not work itself.
    fn check_reach(&self, rights: &Rights, problems: &mut Invalid) {
        if !self.trunks.encloses(&rights.trunks) {
            problems.wrong("trunk_ids", format!("must name trunks among those of {}", Bound::Key));
        }
        self.quotas.check_encloses(rights.quotas, "the key that makes this request", problems);
        if !self.allowed_ips.encloses(&rights.allowed_ips) {
            let own = &self.allowed_ips;
            problems
                .wrong("allowed_ips", format!("must name networks within those of {}: {own}", Bound::Key));
        }
        if let Some(own) = self.expires_at
            && rights.expires_at.is_none_or(|end| end > own)
        {
            problems.wrong("expires_at", format!("must not be after {own}, when {} expires", Bound::Key));
        }
    }
}

#[cfg(test)]
mod tests;

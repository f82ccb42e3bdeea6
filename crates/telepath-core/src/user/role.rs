//! The roles of an account's members.

use std::str::FromStr;

use crate::named::named_enum;
use crate::scope::{Scope, ScopeSet};

named_enum! {
    /// The role of a member, the least powerful first. Each role includes the ones before it.
    #[derive(PartialOrd, Ord)]
    pub enum Role {
        /// Sees everything except secrets.
        Viewer = "viewer",
        /// Also changes trunks and webhooks, hangs up calls, and manages the keys they created.
        Developer = "developer",
        /// Also manages all keys, presets and alerts, and every member who is not an owner.
        Admin = "admin",
        /// Also manages owners, the account and its policies.
        Owner = "owner",
    }
}

/// The text names no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be viewer, developer, admin or owner")]
pub struct InvalidRole;

impl Role {
    /// A description in one line.
    pub const fn describe(self) -> &'static str {
        match self {
            Role::Viewer => "Sees everything except secrets; changes nothing.",
            Role::Developer => {
                "Also changes trunks and webhooks, hangs up calls, and manages the keys they created."
            }
            Role::Admin => "Also manages all keys, presets and alerts, and members who are not owners.",
            Role::Owner => "Also manages owners, the account and its policies.",
        }
    }

    /// The scopes of the role. All but the owner's are explicit lists, so that a new scope is never added to one by accident.
    pub const fn scopes(self) -> ScopeSet {
        match self {
            Role::Viewer => ScopeSet::of(VIEWER),
            // They differ in whose keys and members they manage, not in scopes.
            Role::Developer | Role::Admin => ScopeSet::of(DEVELOPER_AND_ADMIN),
            Role::Owner => ScopeSet::all(),
        }
    }

    /// The scopes that a member can give to a key. A key with `keys:write` manages the keys of the whole account, so only
    /// roles that do so themselves can give that scope.
    pub const fn grantable_scopes(self) -> ScopeSet {
        if self.manages_all_keys() { self.scopes() } else { self.scopes().without(Scope::KeysWrite) }
    }

    /// Whether the role manages keys that others created.
    pub const fn manages_all_keys(self) -> bool {
        matches!(self, Role::Admin | Role::Owner)
    }

    /// Whether the role changes the account and its policies.
    pub const fn manages_account(self) -> bool {
        matches!(self, Role::Owner)
    }

    /// Whether a member with this role can invite, change, remove or sign out a member with the other role, and can assign
    /// that role.
    pub const fn manages(self, other: Role) -> bool {
        match self {
            Role::Owner => true,
            Role::Admin => !matches!(other, Role::Owner),
            Role::Viewer | Role::Developer => false,
        }
    }
}

const VIEWER: &[Scope] = &[
    Scope::TrunksRead,
    Scope::CallsRead,
    Scope::AnalyticsRead,
    Scope::WebhooksRead,
    Scope::KeysRead,
    Scope::UsageRead,
    Scope::AuditRead,
    Scope::AccountRead,
    Scope::MetricsRead,
];

/// Every scope except `account:write`: only owners change the account and its policies.
const DEVELOPER_AND_ADMIN: &[Scope] = &[
    Scope::TrunksRead,
    Scope::TrunksWrite,
    Scope::CallsRead,
    Scope::CallsWrite,
    Scope::AnalyticsRead,
    Scope::WebhooksRead,
    Scope::WebhooksWrite,
    Scope::KeysRead,
    Scope::KeysWrite,
    Scope::UsageRead,
    Scope::AuditRead,
    Scope::AccountRead,
    Scope::MetricsRead,
];

impl FromStr for Role {
    type Err = InvalidRole;

    fn from_str(text: &str) -> Result<Self, InvalidRole> {
        Self::from_name(text).ok_or(InvalidRole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_covers_the_scopes_of_the_one_before() {
        for pair in Role::ALL.windows(2) {
            assert!(pair[1].scopes().covers(pair[0].scopes()), "{} and {}", pair[0], pair[1]);
            assert!(pair[1] > pair[0]);
        }
    }

    #[test]
    fn a_viewer_has_every_read_scope_and_no_write_scope() {
        for scope in Scope::ALL {
            assert_eq!(Role::Viewer.scopes().allows(*scope), scope.name().ends_with(":read"), "{scope}");
        }
    }

    #[test]
    fn only_an_owner_can_change_the_account() {
        for role in Role::ALL {
            assert_eq!(role.scopes().allows(Scope::AccountWrite), *role == Role::Owner, "{role}");
        }
    }

    #[test]
    fn admins_manage_every_role_except_owners() {
        for other in Role::ALL {
            assert!(Role::Owner.manages(*other));
            assert_eq!(Role::Admin.manages(*other), *other != Role::Owner);
            assert!(!Role::Developer.manages(*other) && !Role::Viewer.manages(*other));
        }
        assert!(Role::Owner.manages_account() && !Role::Admin.manages_account());
        assert!(Role::Admin.manages_all_keys() && !Role::Developer.manages_all_keys());
    }

    #[test]
    fn names_round_trip() {
        for role in Role::ALL {
            assert_eq!(role.name().parse(), Ok(*role));
        }
        assert_eq!("root".parse::<Role>(), Err(InvalidRole));
    }
}

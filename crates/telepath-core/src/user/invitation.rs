//! Invitations to an account, and how long one-use links work.

use std::time::Duration;

use super::{Email, Role};
use crate::account::Actor;
use crate::clock::Timestamp;
use crate::id::{AccountId, InvitationId};

/// How long an invitation may be accepted.
pub const INVITATION_LIFETIME: Duration = Duration::from_hours(72);
/// How long the link may be used with which a new user sets the first password.
pub const SETUP_LINK_LIFETIME: Duration = Duration::from_hours(72);
/// How long the link may be used that replaces a forgotten password.
pub const PASSWORD_LINK_LIFETIME: Duration = Duration::from_hours(1);

/// An invitation; the token is in the link only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    pub id: InvitationId,
    pub account: AccountId,
    pub email: Email,
    /// The role granted on acceptance.
    pub role: Role,
    pub invited_by: Actor,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub accepted_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

/// The state of an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvitationStatus {
    /// May be accepted.
    Open,
    Accepted,
    Revoked,
    Expired,
}

impl Invitation {
    pub fn status(&self, now: Timestamp) -> InvitationStatus {
        if self.accepted_at.is_some() {
            InvitationStatus::Accepted
        } else if self.revoked_at.is_some() {
            InvitationStatus::Revoked
        } else if now >= self.expires_at || self.created_at > now.horizon(Duration::ZERO) {
            // From beyond the horizon it was created while the clock was ahead: its age is unknown.
            InvitationStatus::Expired
        } else {
            InvitationStatus::Open
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id as _;

    #[test]
    fn an_invitation_is_open_until_it_is_accepted_revoked_or_too_old() {
        let now = Timestamp::from_unix_seconds(1_800_014_400);
        let open = Invitation {
            id: InvitationId::from_bytes([1; 16]),
            account: AccountId::from_bytes([2; 16]),
            email: "ada@example.com".parse().unwrap(),
            role: Role::Viewer,
            invited_by: Actor::Local { uid: Some(0) },
            created_at: now,
            expires_at: now.plus(INVITATION_LIFETIME),
            accepted_at: None,
            revoked_at: None,
        };
        assert_eq!(open.status(now), InvitationStatus::Open);
        assert_eq!(open.status(open.expires_at), InvitationStatus::Expired);
        assert_eq!(open.status(now.minus(Duration::from_hours(1))), InvitationStatus::Expired);
        let accepted = Invitation { accepted_at: Some(now), ..open.clone() };
        assert_eq!(accepted.status(open.expires_at), InvitationStatus::Accepted);
        let revoked = Invitation { revoked_at: Some(now), ..open.clone() };
        assert_eq!(revoked.status(open.expires_at), InvitationStatus::Revoked);
    }
}

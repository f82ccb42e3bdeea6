//! Which actions a full audit trail refuses.

use super::{AuditAction, Origin};
use crate::account::Actor;

impl AuditAction {
    /// Whether the action is recorded, and so possible, whatever the size of the trail: what stops, removes or protects something
    /// and is bounded by what exists, what people do about themselves, and what the server does.
    const fn is_always_recorded(self) -> bool {
        match self {
            AuditAction::KeyPaused
            | AuditAction::KeyRevoked
            | AuditAction::KeySecretEnded
            | AuditAction::LeakGuideStarted
            | AuditAction::LeakedKeyReviewed
            | AuditAction::LeakedCredentialsKept
            | AuditAction::TrunkDeleted
            | AuditAction::CallHangupRequested
            | AuditAction::WebhookDeleted
            | AuditAction::WebhookDisabled
            | AuditAction::AccountCreated
            | AuditAction::UserCreated
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
            | AuditAction::UserIdentityLinked
            | AuditAction::UserRecoveryCodeUsed
            | AuditAction::InvitationAccepted
            | AuditAction::InvitationRevoked
            | AuditAction::SessionCreated
            | AuditAction::SessionConfirmed
            | AuditAction::SessionSwitched
            | AuditAction::SessionRevoked
            | AuditAction::SessionsRevoked
            | AuditAction::SignInRefused
            | AuditAction::CallErased
            | AuditAction::NumberErased
            | AuditAction::MasterKeyAdded
            | AuditAction::MasterKeyActivated
            | AuditAction::MasterKeyRotated
            | AuditAction::MasterKeyRemoved => true,
            AuditAction::KeyCreated
            | AuditAction::KeyUpdated
            | AuditAction::KeyResumed
            | AuditAction::KeyRotated
            | AuditAction::PresetUpdated
            | AuditAction::PresetReset
            | AuditAction::TrunkCreated
            | AuditAction::TrunkUpdated
            | AuditAction::TrunkPasswordRotated
            | AuditAction::WebhookCreated
            | AuditAction::WebhookUpdated
            | AuditAction::WebhookSecretRotated
            | AuditAction::WebhookTested
            | AuditAction::WebhookRecovered
            | AuditAction::DeliveryRepeated
            | AuditAction::AccountUpdated
            | AuditAction::InvitationCreated
            | AuditAction::AlertAcknowledged
            | AuditAction::AlertsTested => false,
        }
    }

    /// Whether the action needs room in the trail. Local administration and the server itself never do.
    pub const fn needs_room(self, origin: &Origin) -> bool {
        match origin.actor {
            Actor::Key(_) | Actor::User(_) => !self.is_always_recorded(),
            Actor::Local { .. } | Actor::System => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::id::{Id as _, KeyId};

    #[test]
    fn a_full_trail_never_prevents_a_revocation() {
        let local = Origin::local(Timestamp::from_unix_seconds(5));
        let key = Origin { actor: Actor::Key(KeyId::from_bytes([1; 16])), ..local };
        assert!(AuditAction::KeyCreated.needs_room(&key) && !AuditAction::KeyCreated.needs_room(&local));
        for protective in [AuditAction::KeyRevoked, AuditAction::KeyPaused, AuditAction::KeySecretEnded] {
            assert!(!protective.needs_room(&key), "{protective}");
        }
    }
}

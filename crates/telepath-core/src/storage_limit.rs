//! Limits: how much one account, one user or the whole server can store. A change that would exceed a limit is refused in
//! its own transaction.

use crate::account::MAX_ACCOUNTS;
use crate::named::named_enum;
use crate::user::{MAX_INVITATIONS, MAX_MEMBERS, MAX_MEMBERSHIPS, MAX_USERS};
use crate::webhook::MAX_WEBHOOKS;

named_enum! {
    /// What has a limit. The names complete the message of the error.
    pub enum StorageLimit {
        /// Keys that are not revoked.
        Keys = "API keys per account",
        /// Trunks that are not deleted.
        Trunks = "trunks per account",
        /// Webhook endpoints that are not deleted.
        Webhooks = "webhook endpoints per account",
        /// Responses stored for their `Idempotency-Key`.
        StoredResponses = "stored responses per account",
        /// Bytes of these responses.
        StoredResponseBytes = "bytes of stored responses per account",
        /// Bytes of audit entries.
        AuditBytes = "bytes of the audit trail per account",
        Members = "members per account",
        /// Invitations that were neither accepted nor revoked and have not expired.
        Invitations = "open invitations per account",
        /// Accounts that one user is a member of.
        Memberships = "accounts per user",
        Users = "users per server",
        Accounts = "accounts per server",
    }
}

/// The limits of every account of a server. Those that are not listed here are constants, see [`StorageLimits::most`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StorageLimits {
    /// Keys that are not revoked.
    pub keys: u32,
    /// Trunks that are not deleted.
    pub trunks: u32,
    /// Webhook endpoints that are not deleted, at most [`MAX_WEBHOOKS`].
    pub webhooks: u32,
    /// Responses stored for their `Idempotency-Key`.
    pub stored_responses: u32,
    /// Bytes of these responses. A request that is still running counts with the largest response that is stored.
    pub stored_response_bytes: u64,
    /// Bytes of the audit trail: texts, and 200 bytes for each entry. What protects an account is recorded beyond it.
    pub audit_bytes: u64,
    /// Bytes of the responses that webhook endpoints sent. Beyond it, the oldest make room.
    pub webhook_response_bytes: u64,
}

impl Default for StorageLimits {
    fn default() -> Self {
        Self {
            keys: 10_000,
            trunks: 1_000,
            webhooks: MAX_WEBHOOKS,
            stored_responses: 1_000_000,
            stored_response_bytes: 1024 * 1024 * 1024,
            audit_bytes: 4 * 1024 * 1024 * 1024,
            webhook_response_bytes: 1024 * 1024 * 1024,
        }
    }
}

impl StorageLimits {
    /// The most that can be stored.
    pub fn most(&self, limit: StorageLimit) -> u64 {
        match limit {
            StorageLimit::Keys => self.keys.into(),
            StorageLimit::Trunks => self.trunks.into(),
            StorageLimit::Webhooks => self.webhooks.min(MAX_WEBHOOKS).into(),
            StorageLimit::StoredResponses => self.stored_responses.into(),
            StorageLimit::StoredResponseBytes => self.stored_response_bytes,
            StorageLimit::AuditBytes => self.audit_bytes,
            StorageLimit::Members => MAX_MEMBERS.into(),
            StorageLimit::Invitations => MAX_INVITATIONS.into(),
            StorageLimit::Memberships => MAX_MEMBERSHIPS.into(),
            StorageLimit::Users => MAX_USERS.into(),
            StorageLimit::Accounts => MAX_ACCOUNTS.into(),
        }
    }

    /// Refuses one more when there are `stored` already.
    ///
    /// # Errors
    /// The limit that is reached.
    pub fn check(&self, limit: StorageLimit, stored: u64) -> Result<(), LimitReached> {
        let reached = self.reached(limit);
        if stored < reached.most { Ok(()) } else { Err(reached) }
    }

    /// The error of a limit that is reached.
    pub fn reached(&self, limit: StorageLimit) -> LimitReached {
        LimitReached { limit, most: self.most(limit) }
    }
}

/// A limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("limit of {most} {limit} reached")]
pub struct LimitReached {
    pub limit: StorageLimit,
    /// How much can be stored.
    pub most: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_itself_fits_and_one_more_does_not() {
        let storage_limits = StorageLimits { keys: 3, ..StorageLimits::default() };
        assert_eq!(storage_limits.check(StorageLimit::Keys, 2), Ok(()));
        let reached = storage_limits.check(StorageLimit::Keys, 3).unwrap_err();
        assert_eq!(reached.to_string(), "limit of 3 API keys per account reached");
        assert_eq!(storage_limits.check(StorageLimit::Keys, u64::MAX), Err(reached));
    }

    #[test]
    fn every_limit_is_at_least_one_and_webhooks_never_exceed_their_maximum() {
        let most = StorageLimits { webhooks: u32::MAX, ..StorageLimits::default() };
        assert_eq!(most.most(StorageLimit::Webhooks), u64::from(MAX_WEBHOOKS));
        for limit in StorageLimit::ALL {
            assert!(StorageLimits::default().most(*limit) > 0, "{limit}");
        }
    }
}

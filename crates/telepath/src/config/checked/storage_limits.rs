//! `[limits]`: how much each account can store.

use telepath_core::storage_limit::StorageLimits;

use super::Check;

impl Check<'_> {
    pub(super) fn storage_limits(&mut self) -> Option<StorageLimits> {
        let keys = self.count("limits.account_keys");
        let trunks = self.count("limits.account_trunks");
        let webhooks = self.count("limits.account_webhooks");
        let stored_responses = self.count("limits.account_stored_responses");
        let megabytes = self.count("limits.account_stored_response_megabytes");
        let audit = self.count("limits.account_audit_megabytes");
        let webhook_responses = self.count("limits.account_webhook_response_megabytes");
        Some(StorageLimits {
            keys: keys?,
            trunks: trunks?,
            webhooks: webhooks?,
            stored_responses: stored_responses?,
            stored_response_bytes: bytes(megabytes?),
            audit_bytes: bytes(audit?),
            webhook_response_bytes: bytes(webhook_responses?),
        })
    }
}

fn bytes(megabytes: u32) -> u64 {
    u64::from(megabytes) * 1024 * 1024
}

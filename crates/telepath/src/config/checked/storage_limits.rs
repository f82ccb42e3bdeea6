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
        Some(StorageLimits {
            keys: keys?,
            trunks: trunks?,
            webhooks: webhooks?,
            stored_responses: stored_responses?,
            stored_response_bytes: u64::from(megabytes?) * 1024 * 1024,
        })
    }
}

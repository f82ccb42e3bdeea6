//! `[limits]`: how much each account can store.

use telepath_core::quota::Quotas;

use super::Check;

impl Check<'_> {
    pub(super) fn quotas(&mut self) -> Option<Quotas> {
        let keys = self.count("limits.account_keys");
        let trunks = self.count("limits.account_trunks");
        let webhooks = self.count("limits.account_webhooks");
        let stored_responses = self.count("limits.account_stored_responses");
        let megabytes = self.count("limits.account_stored_response_megabytes");
        Some(Quotas {
            keys: keys?,
            trunks: trunks?,
            webhooks: webhooks?,
            stored_responses: stored_responses?,
            stored_response_bytes: u64::from(megabytes?) * 1024 * 1024,
        })
    }
}

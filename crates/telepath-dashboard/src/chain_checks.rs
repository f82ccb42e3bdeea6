//! The results of the checks of audit trails, until the server stops.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use telepath_core::clock::Timestamp;
use telepath_core::id::AccountId;
use telepath_store::AuditReport;

/// The last check of each account; there are no more than accounts.
#[derive(Debug, Default)]
pub(crate) struct Checks(Mutex<BTreeMap<AccountId, (Timestamp, AuditReport)>>);

impl Checks {
    /// The last check of an account.
    pub(crate) fn last(&self, account: AccountId) -> Option<(Timestamp, AuditReport)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&account).copied()
    }

    /// Keeps the result of a check.
    pub(crate) fn keep(&self, account: AccountId, at: Timestamp, report: AuditReport) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(account, (at, report));
    }
}

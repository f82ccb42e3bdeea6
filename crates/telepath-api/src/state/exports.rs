//! How many exports of the request log may run at once: on the server, and of each account, so that no account takes every slot.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use telepath_core::id::AccountId;

/// The most exports that run at once.
const MAX_EXPORTS: usize = 8;
/// The most exports of one account that run at once.
const MAX_OF_AN_ACCOUNT: usize = 2;

/// The exports that are running, by account. Accounts without any are not listed.
#[derive(Debug, Default, Clone)]
pub(crate) struct ExportSlots(Arc<Mutex<HashMap<AccountId, usize>>>);

/// A slot of an account. Dropping it frees the slot.
#[derive(Debug)]
pub(crate) struct ExportSlot {
    slots: ExportSlots,
    account: AccountId,
}

impl ExportSlots {
    /// Takes a slot; `None` when all of the account or of the server are taken.
    pub(crate) fn try_acquire(&self, account: AccountId) -> Option<ExportSlot> {
        let mut running = self.running();
        let of_account = running.get(&account).copied().unwrap_or(0);
        if of_account >= MAX_OF_AN_ACCOUNT || running.values().sum::<usize>() >= MAX_EXPORTS {
            return None;
        }
        running.insert(account, of_account + 1);
        Some(ExportSlot { slots: self.clone(), account })
    }

    fn running(&self) -> MutexGuard<'_, HashMap<AccountId, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ExportSlot {
    fn drop(&mut self) {
        let mut running = self.slots.running();
        if let Some(of_account) = running.get_mut(&self.account) {
            *of_account -= 1;
            if *of_account == 0 {
                running.remove(&self.account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use telepath_core::id::Id as _;

    use super::*;

    fn account(number: u8) -> AccountId {
        AccountId::from_bytes([number; 16])
    }

    #[test]
    fn one_account_cannot_take_the_slots_of_all() {
        let slots = ExportSlots::default();
        let first: Vec<_> = (0..3).map_while(|_| slots.try_acquire(account(1))).collect();
        assert_eq!(first.len(), MAX_OF_AN_ACCOUNT);
        let others: Vec<_> = (2..20).filter_map(|number| slots.try_acquire(account(number))).collect();
        assert_eq!(first.len() + others.len(), MAX_EXPORTS);
        drop(first);
        assert!(slots.try_acquire(account(30)).is_some());
        drop(others);
        assert!(slots.running().is_empty(), "no account is listed without an export");
    }
}
